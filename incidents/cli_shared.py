"""What the commands of `mim incident` share: their options, and how what was done is told."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import typer

from incidents.cli_port import Document, Done, Order
from incidents.lifecycle import Phase
from majorops.lib.manner import next_step as tell_next
from majorops.lib.manner import shown
from majorops.lib.times import iso, parse_time

#: Exit code: some records were refused, the others are in.
PARTLY_DONE = 7

IncidentId = Annotated[str, typer.Argument(metavar="ID", help="The incident's ULID, as the list shows it.")]
TeamName = Annotated[str, typer.Argument(metavar="TEAM", help="Slug, name or alias of the team.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
As = Annotated[str, typer.Option("--as", metavar="EMAIL", envvar="MIM_AS", help="Who does it. Default: the name CLI.")]
At = Annotated[
    str, typer.Option("--at", metavar="TIME", help="When it happened: -7m, 14:02 (UTC, or --tz) or 2026-03-02T14:02Z.")
]


def time_in(text: str | None) -> datetime | None:
    return parse_time(text, field="time") if text else None


def known_time(text: str) -> datetime:
    return parse_time(text, field="time")


def as_document(document: Document) -> None:
    """The answer as the API gives it."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def phase_of(incident: Document) -> str:
    return f"phase {incident['phase']} ({Phase(incident['phase']).label})"


def when(text: str | None) -> str:
    return shown(time_in(text))


def entry_line(entry: Document) -> str:
    return f"{when(entry['timestamp'])}  {entry['actor']}: {entry['title']}"


def milestone_of(done: Done) -> str:
    """The command that tells stakeholders."""
    return f'mim incident milestone {done.incident["id"]} "HEADLINE" --body "…" --next-update 30m'


def did(done: Done, order: Order, what: str, *, next_step: str = "", as_json: bool = False) -> None:
    """Tells what was done, or shows the answer to a program, and what comes next."""
    if as_json:
        as_document(done.answer)
    else:
        typer.echo(f"{iso(done.at)}  {what}")
    if order.dry_run:
        typer.echo("Nothing written (--dry-run).", err=as_json)
    elif next_step:
        tell_next(next_step)
