"""What the commands of `mim` share: lists in four shapes, and the marks that say where a command can run."""

from __future__ import annotations

import difflib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from majorops.lib import tables
from majorops.lib.errors import Invalid
from majorops.lib.manner import hint

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="CSV on stdout.")]
AsLines = Annotated[bool, typer.Option("--jq-lines", help="One JSON object a line.")]
Fields = Annotated[str, typer.Option("--fields", metavar="A,B", help="Only these fields; with --json, --csv.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and show it, write nothing.")]

C = TypeVar("C", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Listing:
    """What a command found: rows for programs, and how a person reads one."""

    rows: Sequence[Mapping[str, Any]]
    line: Callable[[Mapping[str, Any]], str]
    #: Told on stderr after the lines, e.g. the next step.
    footer: str = ""
    #: The exit code, where what was found says something.
    code: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """How a list is wanted: for a person, or in one of three ways for a program."""

    as_json: bool
    as_csv: bool
    as_lines: bool
    fields: str

    def check(self) -> None:
        wanted = self.as_json + self.as_csv + self.as_lines
        if wanted > 1:
            raise Invalid("Choose one of --json, --csv and --jq-lines.", field="json")
        if self.fields and not wanted:
            raise Invalid("--fields goes with --json, --csv or --jq-lines.", field="fields")

    def show(self, found: Listing) -> None:
        rows = chosen(found.rows, self.fields)
        if self.as_json:
            typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        elif self.as_csv:
            typer.echo(_csv(rows), nl=False)
        elif self.as_lines:
            for row in rows:
                typer.echo(json.dumps(row, ensure_ascii=False))
        else:
            _show_to_a_person(found)
        if found.code:
            raise typer.Exit(found.code)


def _show_to_a_person(found: Listing) -> None:
    for row in found.rows:
        typer.echo(found.line(row).rstrip())
    if found.footer:
        hint(found.footer)


def remote_too(command: C) -> C:
    """Marks a command that also works over the API."""
    command.works_remotely = True  # type: ignore[attr-defined]
    return command


def listing(command: Callable[..., Listing]) -> Callable[..., None]:
    """Gives a command that finds rows the options --json, --csv, --jq-lines and --fields."""
    formats = {"as_json": (AsJson, False), "as_csv": (AsCsv, False), "as_lines": (AsLines, False)}
    shapes: dict[str, tuple[Any, object]] = {**formats, "fields": (Fields, "")}

    def told(**given: Any) -> None:
        shape = Shape(*(given.pop(name) for name in shapes))
        shape.check()
        shape.show(command(**given))

    return _with_options(told, command, shapes)


def can_be_tried(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command that writes to the database the option --dry-run: what it wrote is taken back at its end."""

    def tried(*, dry_run: bool, **given: Any) -> None:
        from majorops.lib.remote import DatabaseOnly, is_remote  # it needs Django, which --help does not wait for

        if not dry_run:
            command(**given)
            return
        if is_remote():
            raise DatabaseOnly.said("--dry-run of a change")
        try:
            with taken_back():
                command(**given)
        finally:
            typer.echo("Nothing written (--dry-run).", err=True)

    return _with_options(tried, command, {"dry_run": (DryRun, False)})


@contextmanager
def taken_back() -> Iterator[None]:
    """Whatever is written inside is rolled back, and nobody hears of it."""
    from django.db import transaction

    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _with_options(
    wrapper: Callable[..., None], command: Callable[..., Any], options: Mapping[str, tuple[Any, object]]
) -> Callable[..., None]:
    """The wrapper as typer sees it: with the name, help and parameters of the command, and these options more."""
    hints = get_type_hints(command, include_extras=True)
    own = [each.replace(annotation=hints[name]) for name, each in inspect.signature(command).parameters.items()]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in options.items()
    ]
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    wrapper.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {each.name: each.annotation for each in (*own, *added)}
    if getattr(command, "works_remotely", False):
        remote_too(wrapper)
    return wrapper


def chosen(rows: Iterable[Mapping[str, Any]], fields: str) -> list[dict[str, Any]]:
    """The rows, or of each only the fields that are named; `alert.customerCount` names one inside another."""
    found = [dict(row) for row in rows]
    if not fields:
        return found
    wanted = [name.strip() for name in fields.split(",") if name.strip()]
    known = {name for row in found for name in (*row, *tables.flat(row))}
    for name in wanted:
        if found and name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(sorted(known))}."
            raise Invalid(f"No row has a field {name!a}. {hint}", field="fields")
    return [{name: {**tables.flat(row), **row}.get(name) for name in wanted} for row in found]


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    return tables.csv_text([tables.flat(row) for row in rows]).replace("\r\n", "\n")
