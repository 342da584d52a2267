"""`mim alert`: candidates, and trying out what a source would make of a body."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from incidents.alerts import trying
from incidents.alerts.inbox import MAX_BYTES
from incidents.cli_port import Document, Order, Verdict, incidents
from incidents.cli_shared import As
from incidents.lifecycle import Severity
from incidents.models import IntakeSource
from incidents.pages import NothingHere
from majorops.lib.errors import Invalid
from majorops.lib.manner import hint
from majorops.lib.terminal import Listing, can_be_tried, listing, remote_too
from majorops.lib.text import near_match
from majorops.lib.visibility import visible

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Alerts of other systems.")


@app.callback()
def alert_commands() -> None:
    """Alerts of other systems."""


def try_out(source: str, file: str, as_json: bool) -> None:
    """What a source would make of a body: `mim alert test`, which stands beside the rules on KPIs."""
    found = visible(IntakeSource.objects.filter(slug=source), _operator()).first()
    if found is None:
        slugs = visible(IntakeSource.objects.all(), _operator()).values_list("slug", flat=True)
        raise NothingHere(f"No source is called {source[:60]!a}. {near_match(source, slugs)}")
    told = trying.preview(found, _body(file), now=timezone.now())
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for each in told:
        typer.echo(
            "\n".join(f"{name:<16} {value}" for name, value in each.items() if value not in (None, "", [])) + "\n"
        )
    hint("Nothing was written.")


def _body(file: str) -> bytes:
    try:
        body = sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}.", field="file") from None
    if len(body) > MAX_BYTES:
        raise Invalid(f"The body is larger than {MAX_BYTES // 1024} KiB, which the door refuses.", field="file")
    return body


@app.command("list")
@listing
@remote_too
def candidates() -> Listing:
    """Candidates that wait for a person, the oldest first.

    Example: mim alert list
    """
    rows = incidents().candidates()
    return Listing(rows, _line, f"{len(rows)} wait. To make one an incident: mim alert accept ID")


def _line(row: Document) -> str:
    return f"{row['id']}  {row['severity']:<9} {row['state']:<13} {row['source']:<16} {row['title']}"


Id = Annotated[str, typer.Argument(metavar="ID", help="The candidate's ULID.")]


@app.command("accept")
@can_be_tried
@remote_too
def accept(
    id: Id,
    severity: Annotated[Severity | None, typer.Option(help="Default: the candidate's.")] = None,
    title: Annotated[str, typer.Option(help="Default: the candidate's.")] = "",
    acting: As = "",
) -> None:
    """Opens an incident of a candidate. Its id is printed.

    Example: mim alert accept 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E --as mim@example.com
    """
    said = {"title": title, "severity": severity.value if severity else ""}
    incident = incidents().decided(id, Verdict.ACCEPT, said, Order.given("", acting))
    typer.echo(incident["id"])
    hint(f'Opened: "{incident["title"]}". Next: mim incident show {incident["id"]}')


@app.command("attach")
@can_be_tried
@remote_too
def attach(
    id: Id,
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="The open incident's ULID.")],
    acting: As = "",
) -> None:
    """Attaches a candidate to an open incident.

    Example: mim alert attach 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E 01JD8Q7A0B1C2D3E4F5G6H7J8K --as mim@example.com
    """
    found = incidents().decided(id, Verdict.ATTACH, {"incident": incident}, Order.given("", acting))
    hint(f'Attached to "{found["title"]}". Next: mim log tail {found["id"]}')


@app.command("dismiss")
@can_be_tried
@remote_too
def dismiss(
    id: Id,
    reason: Annotated[str, typer.Option(help="Why it is no incident.")],
    acting: As = "",
) -> None:
    """Dismisses a candidate. It is kept, with the reason.

    Example: mim alert dismiss 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E --reason "Planned work" --as mim@example.com
    """
    incidents().decided(id, Verdict.DISMISS, {"reason": reason}, Order.given("", acting))
    hint("Dismissed. What waits still: mim alert list")


def _operator() -> User:
    return User(role=Role.ADMIN)
