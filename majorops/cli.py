"""`mim`, the command line: where its commands live, and how a refusal leaves the house.

Exit codes: 0 done, 1 failure, 2 usage, 3 identity or role, 4 not found, 5 invalid input, 6 conflict, 7 partly done,
8 a check found something, 130 interrupted.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from majorops.lib.errors import DomainError
from majorops.lib.terminal import remote_too

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
    "report": ("Reports: weekly, executive, daily, 90 days, and a summary.", "kpis.reports_cli:app"),
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
_EXIT_CODES_OF = {"database_only": 2}
_EXIT_CODES = {400: 5, 401: 3, 403: 3, 404: 4, 409: 6, 412: 6, 422: 5}


def exit_code(error: DomainError) -> int:
    return _EXIT_CODES_OF.get(error.code, _EXIT_CODES.get(error.status, 1))


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
        return first


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

    def invoke(self, ctx: Any) -> Any:
        as_json = "--json" in ctx.args
        try:
            return super().invoke(ctx)
        except DomainError as error:
            typer.echo(_problem(error) if as_json else f"error: {error.message}", err=True)
            raise typer.Exit(exit_code(error)) from None


def _problem(error: DomainError) -> str:
    """What a program gets on stderr; its stdout stays empty."""
    told = {"status": error.status, "code": error.code, "detail": error.message, "field": error.field}
    return json.dumps({name: value for name, value in told.items() if value is not None})


def start_django() -> None:
    import django

    settings = "majorops.remote_settings" if os.environ.get("MIM_URL", "").strip() else "majorops.settings"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings)
    django.setup()


app = typer.Typer(cls=Mim, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
database = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The database.")
completion = typer.Typer(rich_markup_mode=None, subcommand_metavar="", invoke_without_command=True)
demo = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Data to look around with.")


@app.callback()
def mim() -> None:
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
    """


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
def load_demo() -> None:
    """Loads people, teams, a history and one incident that is going on now. A second call changes nothing.

    Example: mim demo load
    """
    from django.utils import timezone

    from majorops.demo import load

    typer.echo(load(timezone.now()))


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
    if isinstance(error, DatabaseError):
        first_line = str(error).partition("\n")[0]
        return f"The database cannot be used ({first_line}). Check DATABASE_URL, then run: python manage.py migrate"
    logging.getLogger(__name__).error("mim broke", exc_info=error)
    return "Something broke in MajorOps. The lines above say where; please report them."


if __name__ == "__main__":
    main()
