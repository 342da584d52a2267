"""`mim review`: which learning reviews are owed, and one of them."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from incidents import words
from incidents.cli_port import IncidentNotFound
from incidents.models import LearningReview
from incidents.review import ReviewDue, due_state
from incidents.review_export import figures_of, markdown
from majorops.lib.times import iso
from majorops.lib.ulid import parse_ulid
from majorops.lib.visibility import visible

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Learning reviews.")

#: Exit code: the command looked for something and found it.
FOUND = 8


@app.callback()
def reviews() -> None:
    """Learning reviews."""


@app.command()
def due(as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False) -> None:
    """Reviews that are not published, the most urgent first. Exit code 8 if one of them is overdue.

    Example: mim review due
    """
    now = timezone.now()
    rows = list(visible(LearningReview.objects.unpublished().select_related("incident", "owner"), _operator()))
    late = [row for row in rows if due_state(row.due_at, None, now) == ReviewDue.OVERDUE]
    if as_json:
        typer.echo(json.dumps([_shown(row, is_late=row in late) for row in rows], indent=2))
    else:
        for row in rows:
            gap = words.span(abs(row.due_at - now))
            said = f"overdue by {gap}" if row in late else f"due in {gap}"
            typer.echo(f"{row.incident_id}  {row.state:<9} {said:<22} {row.owner or 'nobody':<20} {row.incident.title}")
        typer.echo(f"{len(rows)} owed, {len(late)} overdue. One of them: mim review open ID", err=True)
    if late:
        raise typer.Exit(FOUND)


def _shown(row: LearningReview, *, is_late: bool) -> dict[str, object]:
    return {
        "incident": row.incident_id,
        "title": row.incident.title,
        "state": row.state,
        "owner": row.owner.email if row.owner else None,
        "dueAt": iso(row.due_at),
        "isOverdue": is_late,
    }


@app.command("open")
def open_review(id: Annotated[str, typer.Argument(metavar="ID", help="The incident's ULID.")]) -> None:
    """The review of one incident, as Markdown on stdout.

    Example: mim review open 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E > review.md
    """
    rows = visible(LearningReview.objects.select_related("incident", "owner"), _operator())
    try:
        review = rows.get(incident=parse_ulid(id))
    except (ValueError, LearningReview.DoesNotExist):
        raise IncidentNotFound(f'No incident "{id}" has a learning review. See: mim review due') from None
    tasks = list(visible(review.follow_ups.select_related("owner"), _operator()))
    typer.echo("".join(markdown(review, tasks, figures_of(review.incident, _operator()), timezone.now())), nl=False)


def _operator() -> User:
    return User(role=Role.ADMIN)
