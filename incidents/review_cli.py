"""`mim review`: which learning reviews are owed, and one of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
from django.utils import timezone

from incidents import words
from incidents.cli_port import Document, incidents
from incidents.review import ReviewDue, due_state
from majorops.lib.terminal import Listing, listing, remote_too
from majorops.lib.times import parse_time

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Learning reviews.")

#: Exit code: the command looked for something and found it.
FOUND = 8


@app.callback()
def reviews() -> None:
    """Learning reviews."""


@app.command()
@listing
@remote_too
def due() -> Listing:
    """Reviews that are not published, the most urgent first. Exit code 8 if one of them is overdue.

    Example: mim review due
    """
    now = timezone.now()
    rows = [_shown(row, now) for row in incidents().owed_reviews()]
    late = sum(bool(row["isOverdue"]) for row in rows)
    footer = f"{len(rows)} owed, {late} overdue. One of them: mim review open ID"
    return Listing(rows, lambda row: _line(row, now), footer, code=FOUND if late else 0)


def _shown(row: Document, now: datetime) -> dict[str, object]:
    due_at = parse_time(row["dueAt"], field="dueAt")
    named = {name: row[name] for name in ("incident", "title", "state", "owner", "dueAt")}
    return {**named, "isOverdue": due_state(due_at, None, now) == ReviewDue.OVERDUE}


def _line(row: Document, now: datetime) -> str:
    gap = words.span(abs(parse_time(row["dueAt"], field="dueAt") - now))
    said = f"overdue by {gap}" if row["isOverdue"] else f"due in {gap}"
    return f"{row['incident']}  {row['state']:<9} {said:<22} {row['owner'] or 'nobody':<24} {row['title']}"


@app.command("follow-ups")
@listing
@remote_too
def follow_ups(
    every: Annotated[bool, typer.Option("--all", help="Those that are closed, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Look at so many, the newest first.")] = 200,
) -> Listing:
    """What was decided after incidents and is not done yet, the newest first.

    Example: mim review follow-ups --csv
    """
    rows = [row for row in incidents().follow_ups(limit) if every or row["closedAt"] is None]
    return Listing(rows, _task, f"{len(rows)} follow-ups. The review of one: mim review open INCIDENT")


def _task(row: Document) -> str:
    due_on, owner = row["dueOn"] or "no date", row["owner"] or "nobody"
    return f"{row['incident']}  {row['state']:<12} {row['priority']:<8} {due_on:<10} {owner:<24} {row['title']}"


@app.command("open")
@remote_too
def open_review(id: Annotated[str, typer.Argument(metavar="ID", help="The incident's ULID.")]) -> None:
    """The review of one incident, as Markdown on stdout.

    Example: mim review open 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E > review.md
    """
    typer.echo(incidents().review(id), nl=False)
