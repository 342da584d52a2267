"""`mim`, the command line: where its commands live, and how a refusal leaves the house.

Exit codes: 0 done, 1 failure, 2 usage, 3 identity or role, 4 not found, 5 invalid input, 6 conflict, 7 partly done,
8 a check found something, 130 interrupted.
"""

from __future__ import annotations

import difflib
import errno
import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, tzinfo
from enum import StrEnum
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from typer.core import TyperGroup
from typer.main import get_group

from majorops.lib.errors import DomainError
from majorops.lib.manner import Manner, confirm, detail, next_step, speaking
from majorops.lib.terminal import can_be_tried, remote_too

#: Each group of commands: its one line of help, and the typer apps that its commands are in.
GROUPS: dict[str, tuple[str, *tuple[str, ...]]] = {
    "incident": ("Open, run, resolve and import incidents.", "incidents.cli:app", "incidents.import_cli:app"),
    "kpi": (
        "KPI definitions, and computing observations.",
        "kpis.cli:app",
        "kpis.dwell_cli:app",
        "kpis.alerts_cli:app",
        "kpis.monitoring_cli:app",
    ),
    "log": ("The log of an incident: add a line, see the newest.", "incidents.cli:log"),
    "fact": ("Facts of other systems: append, import, look.", "kpis.facts_cli:app"),
    "health": ("Asking services whether they are well, and measuring ourselves.", "kpis.health_cli:app"),
    "report": (
        "Reports: weekly, executive, daily, 90 days; and how things stand now.",
        "kpis.reports_cli:app",
        "kpis.pulse_cli:app",
    ),
    "pack": ("Packs of KPIs: look, install, compare, retire.", "kpis.packs_cli:app"),
    "team": (
        "Teams: who is called, histories of calls, and how they come.",
        "teams.cli:app",
        "incidents.team_cli:app",
        "kpis.readiness_cli:app",
    ),
    "alert": (
        "Alerts of other systems: candidates, and trying a source.",
        "incidents.alerts_cli:app",
        "kpis.alerts_cli:checking",
    ),
    "outbox": ("Sending what waits: pages, mail, webhooks, chat.", "incidents.paging_cli:app"),
    "review": ("Learning reviews: which are owed, and one of them.", "incidents.review_cli:app"),
    "pages": ("The same as outbox.", "incidents.paging_cli:app"),
    "user": ("People and their roles.", "accounts.cli:app", "kpis.personal_cli:app"),
    "token": ("Programs that use the API, and their tokens.", "accounts.token_cli:app"),
    "access": ("A local stand-in for the access proxy (development).", "accounts.access_cli:app"),
    "worker": ("Run the schedules and background tasks.", "majorops.worker_cli:worker"),
    "jobs": ("What is done in the background, and when.", "majorops.worker_cli:jobs"),
    "db": ("The database.", "majorops.cli:database"),
    "demo": ("Data to look around with.", "majorops.cli:demo"),
    "doctor": ("What works, what is weak, what is broken.", "majorops.doctor_cli:app"),
    "completion": ("Lets the shell complete commands: bash, zsh or fish.", "majorops.cli:completion"),
}
#: By what was refused, before the status counts.
_EXIT_CODES_OF = {"database_only": 2, "unconfirmed": 2}
_EXIT_CODES = {400: 5, 401: 3, 403: 3, 404: 4, 409: 6, 412: 6, 422: 5}


def exit_code(error: DomainError) -> int:
    return _EXIT_CODES_OF.get(error.code, _EXIT_CODES.get(error.status, 1))


#: Options of `mim` itself, which may stand anywhere, and whether a value follows.
ANYWHERE = {
    "--url": True, "--tz": True, "--quiet": False, "-q": False, "--verbose": False, "-v": False, "--yes": False,
    "--no-input": False, "--no-color": False,
}  # fmt: skip


def hoisted(arguments: Sequence[str]) -> list[str]:
    """The arguments with the options of `mim` itself in front, wherever they were typed."""
    found: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for each in waiting:
        if each == "--":
            rest += [each, *waiting]
        elif each.partition("=")[0] in ANYWHERE:
            found.append(each)
            if ANYWHERE[each.partition("=")[0]] and "=" not in each:
                found += [value for value in [next(waiting, None)] if value is not None]
        else:
            rest.append(each)
    return [*found, *rest]


#: Groups that ask no app anything.
WITHOUT_DJANGO = {"completion"}


class Later(TyperGroup):
    """A group whose commands are imported when one of them is called: `mim --help` need not wait for Django."""

    def __init__(self, name: str, help: str, targets: Sequence[str]) -> None:
        super().__init__(name=name, help=help)
        self.targets = targets

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        if self.name not in WITHOUT_DJANGO:
            start_django()
        first = self.loaded()
        if os.environ.get("MIM_URL", "").strip():
            _keep_from_the_database(first, info_name or self.name or "")
        return first.make_context(info_name, args, parent=parent, **extra)

    def loaded(self) -> Any:
        """The group with all its commands."""
        first, *others = (get_group(_app(target)) for target in self.targets)
        for other in others:
            first.commands.update(other.commands)
        _show_examples(first)
        return first


#: How many commands a group shows an example of.
EXAMPLES = 3


def _show_examples(group: Any) -> None:
    """Puts an example of its first commands before the list of all, also of the groups inside."""
    if not hasattr(group, "commands") or group.invoke_without_command:
        return
    for each in group.commands.values():
        _show_examples(each)
    shown = [found for each in group.commands.values() if not each.hidden and (found := _example_of(each))]
    lines = "".join(f"\n  {one}" for one in shown[:EXAMPLES])
    group.help = f"{group.help or ''}\n\n\b\nFor example:{lines}" if lines else group.help


def _example_of(command: Any) -> str:
    """The first line that begins with `mim` behind the word Example."""
    _, _, rest = (command.help or "").partition("Example")
    found = re.search(r"^[s:]*\s*(.*\bmim .*)$", rest, re.MULTILINE)
    return found[1].strip() if found else ""


def _keep_from_the_database(group: Any, name: str) -> None:
    """Over the API only the commands that are marked for it run; each of the others says why it does not."""
    from majorops.lib.remote import DatabaseOnly

    def refused(name: str) -> Any:
        def refuse(**given: Any) -> None:
            raise DatabaseOnly.said(f"mim {name}")

        return refuse

    if not hasattr(group, "commands") or group.invoke_without_command:
        if not getattr(group.callback, "works_remotely", False):
            group.callback = refused(name)
        return
    for each, command in group.commands.items():
        if hasattr(command, "commands"):
            _keep_from_the_database(command, f"{name} {each}")
        elif not getattr(command.callback, "works_remotely", False):
            command.callback = refused(f"{name} {each}")


def _app(target: str) -> typer.Typer:
    module, _, attribute = target.partition(":")
    app: typer.Typer = getattr(import_module(module), attribute)
    return app


class Mim(TyperGroup):
    """The root. A refusal of any command becomes one line on stderr and an exit code."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        for name, (help_line, *targets) in GROUPS.items():
            self.add_command(Later(name, help_line, targets))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, hoisted(args))

    def invoke(self, ctx: Any) -> Any:
        as_json = "--json" in ctx.args
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _with_what_is_near(error.message)
            raise
        except DomainError as error:
            typer.echo(_problem(error) if as_json else f"error: {error.message}", err=True)
            raise typer.Exit(exit_code(error)) from None


def _with_what_is_near(message: str) -> str:
    """A word that is none of those there are, with the one that was probably meant."""
    told = message.removeprefix("Value error, ")
    typed, *there = re.findall(r"'([^']*)'", told) if "is not one of" in told else [""]
    near = difflib.get_close_matches(typed.lower(), there, n=1)
    return f"{told.rstrip('.')}. Did you mean '{near[0]}'?" if near else told


def _problem(error: DomainError) -> str:
    """What a program gets on stderr; its stdout stays empty."""
    told = {"status": error.status, "code": error.code, "detail": error.message, "field": error.field}
    return json.dumps({name: value for name, value in told.items() if value is not None})


def start_django() -> None:
    import django

    # A shell that completes a word touches no data, and may have none of the server's settings.
    is_far = os.environ.get("MIM_URL", "").strip() or "_MIM_COMPLETE" in os.environ
    settings = "majorops.remote_settings" if is_far else "majorops.settings"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings)
    django.setup()


app = typer.Typer(cls=Mim, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
database = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The database.")
completion = typer.Typer(rich_markup_mode=None, subcommand_metavar="", invoke_without_command=True)
demo = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Data to look around with.")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"mim {version('majorops')}")
        raise typer.Exit


@app.callback()
def mim(
    ctx: typer.Context,
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="Over the API of this server, with MIM_TOKEN. Default: MIM_URL.")
    ] = "",
    zone: Annotated[
        str, typer.Option("--tz", metavar="ZONE", envvar="MIM_TZ", help="Show and read times here: Europe/Rome.")
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No hints and no progress.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say where it works, and how long it took.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Yes to every question.")] = False,
    no_input: Annotated[bool, typer.Option("--no-input", help="Ask nothing; fail and name the option.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours. NO_COLOR says the same.")] = False,
    shows_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and end.")
    ] = False,
) -> None:
    """Major incidents and the KPIs that follow from them.

    \b
    For example:
      mim incident declare "prod-west-db-01 unreachable" --severity critical
      mim incident list
      mim incident import history.json --format statuspage
      mim kpi backfill --all

    \b
    Exit codes: 0 done, 1 failure, 2 usage, 3 identity or role, 4 not found,
    5 invalid input, 6 conflict, 7 partly done, 8 a check found something,
    130 interrupted.

    \b
    Over the API instead of the database: set MIM_URL and MIM_TOKEN.
    The options below may stand anywhere.
    """
    told = {"MIM_URL": url, "NO_COLOR": "1" if no_color else ""}
    ctx.with_resource(_environment({name: value for name, value in told.items() if value}))
    ctx.with_resource(speaking(Manner(quiet, verbose, yes, no_input, _zone(zone))))
    ctx.with_resource(_timed())


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(f"{name[:60]!a} is no time zone. Write one such as Europe/Rome.") from None


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """With these variables set, and as they were before afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.update({name: value for name, value in before.items() if value is not None})
        for name in (name for name, value in before.items() if value is None):
            os.environ.pop(name, None)


@contextmanager
def _timed() -> Iterator[None]:
    """For -v: where it works, and how long it took."""
    began = time.perf_counter()
    server = os.environ.get("MIM_URL", "").strip()
    detail(f"Works on {server or 'the database that DATABASE_URL names'}.")
    try:
        yield
    finally:
        detail(f"Took {time.perf_counter() - began:.2f} s.")


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@completion.callback()
@remote_too
def completion_script(
    shell: Annotated[Shell, typer.Argument(help="Which shell reads it.")],
) -> None:
    """Prints what lets the shell complete commands and options. Nothing is installed.

    \b
    Example: mim completion bash > ~/.local/share/bash-completion/completions/mim
             mim completion zsh > "${fpath[1]}/_mim"
             mim completion fish > ~/.config/fish/completions/mim.fish
    """
    from typer.completion import get_completion_script

    typer.echo(get_completion_script(prog_name="mim", complete_var="_MIM_COMPLETE", shell=shell.value))


@demo.callback()
def demo_commands() -> None:
    """Data to look around with."""


@demo.command("load")
@can_be_tried
def load_demo() -> None:
    """Loads people, teams, a history and one incident that is going on now. A second call changes nothing.

    Example: mim demo load
    """
    from django.utils import timezone

    from majorops.demo import load

    typer.echo(load(timezone.now()))
    next_step("mim incident list, or open / as mim@example.com")


@demo.command("reset")
def reset_demo(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be lost, take nothing away.")] = False,
) -> None:
    """Takes everything away and loads the demo again. Refuses where anybody but its own people has a role.

    Example: mim demo reset --yes
    """
    from django.utils import timezone

    from majorops.demo_reset import check_is_demo, reset

    lost = check_is_demo()
    if dry_run:
        typer.echo(f"{lost} Nothing written (--dry-run).")
        return
    confirm(f"{lost} Go on?")
    typer.echo(reset(timezone.now()))
    next_step("mim incident list, or open / as mim@example.com")


@database.callback()
def database_commands() -> None:
    """The database."""


@database.command("grants")
def print_grants(
    role: Annotated[str, typer.Argument(help="The PostgreSQL role that the service connects as.")],
    schema: Annotated[str, typer.Option(help="Where the tables are.")] = "public",
) -> None:
    """Prints the SQL that lets a role serve and not rewrite history. The owner runs it after each migrate.

    Example: mim db grants majorops_app | psql "$OWNER_DATABASE_URL"
    """
    from majorops.lib.grants import grants

    typer.echo("\n".join(grants(role, schema=schema)))


def main() -> None:
    try:
        app()
    except Exception as error:
        typer.echo(f"error: {_why(error)}", err=True)
        sys.exit(1)


def _why(error: Exception) -> str:
    """What a person can do about a failure that no rule foresaw."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import DatabaseError

    if isinstance(error, ImproperlyConfigured):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO):
        return f"What was found cannot be written: {error.strerror}."
    if isinstance(error, DatabaseError):
        first_line = str(error).partition("\n")[0]
        return f"The database cannot be used ({first_line}). Check DATABASE_URL, then run: python manage.py migrate"
    logging.getLogger(__name__).error("mim broke", exc_info=error)
    return "Something broke in MajorOps. The lines above say where; please report them."


if __name__ == "__main__":
    main()
