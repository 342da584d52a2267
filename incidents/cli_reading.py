"""`mim incident list | show | watch | export` and `mim log tail`: looking."""

from __future__ import annotations

import time
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer
from django.utils import timezone

from incidents import words
from incidents.cli_port import Document, Which, incidents
from incidents.cli_shared import AsJson, IncidentId, as_document, entry_line, known_time, phase_of, time_in, when
from incidents.lifecycle import Phase, Status, allowed_moves
from majorops.lib.errors import Invalid
from majorops.lib.manner import hint
from majorops.lib.tables import csv_text
from majorops.lib.terminal import AsCsv, AsLines, Fields, Listing, Shape, listing, remote_too

#: Seconds between two looks of `watch`, and the lines of the log that `show` and `tail` begin with.
GLANCE, SHOWN = 2.0, 20


@listing
@remote_too
def list_incidents(
    status: Annotated[Which, typer.Option(help="Which ones.")] = Which.OPEN,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
) -> Listing:
    """Incidents, the newest first. Open ones unless told otherwise.

    Example: mim incident list --status resolved --json
    """
    found, now = incidents().found(status, limit + 1), timezone.now()
    rows = found[:limit]
    more = f"and there are more: --limit {2 * limit}. " if len(found) > limit else ""
    return Listing(
        rows, lambda row: _line(row, now), f"{len(rows)} {status.value}, {more}one of them: mim incident show ID"
    )


def _line(incident: Document, now: datetime) -> str:
    lasted = words.span((time_in(incident["resolvedAt"]) or now) - known_time(incident["detectedAt"]))
    phase = f"{incident['phase']} {Phase(incident['phase']).label:<22}"
    state = f"{incident['severity'].lower():<8} {incident['status'].lower():<10} {phase}"
    return f"{incident['id']}  {state} {lasted:>12}  {incident['title']}"


@remote_too
def show(id: IncidentId, as_json: AsJson = False) -> None:
    """One incident and the end of its log.

    Example: mim incident show 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E
    """
    incident = incidents().one(id)
    if as_json:
        as_document(incident)
        return
    typer.echo(f"{incident['title']}\n{incident['severity']}, {incident['status']}, {phase_of(incident)}")
    typer.echo(f"Detected {when(incident['detectedAt'])}, resolved {when(incident['resolvedAt'])}")
    typer.echo(f"MIM {incident['command']['mim'] or 'unclaimed'}, next update {when(incident['nextUpdateEta'])}")
    for entry in incident["timeline"][-SHOWN:]:
        typer.echo(f"  {entry_line(entry)}")
    if incident["status"] != Status.RESOLVED.label:
        following = allowed_moves(Phase(incident["phase"]))[0]
        hint(f"Next phase: mim incident phase {incident['id']} {following}")


@remote_too
def watch(
    id: IncidentId,
    once: Annotated[bool, typer.Option("--once", help="Look once, do not wait.")] = False,
) -> None:
    """Follows the log of an incident until it is resolved. Ctrl-C ends it.

    Example: mim incident watch 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E
    """
    incident = incidents().one(id)
    hint(f"{incident['title']}: {incident['severity']}, {incident['status']}, {phase_of(incident)}")
    _follow(id, SHOWN, forever=not once)


def _follow(id: str, count: int, *, forever: bool) -> None:
    seen: set[str] = set()
    while True:
        incident = incidents().one(id)
        new = [entry for entry in incident["timeline"] if entry["id"] not in seen]
        for entry in new if seen else new[-count:]:
            typer.echo(entry_line(entry))
        seen |= {entry["id"] for entry in new}
        if not forever or incident["status"] == Status.RESOLVED.label:
            return
        time.sleep(GLANCE)


@remote_too
def tail_log(
    id: IncidentId,
    count: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many lines.")] = SHOWN,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it is resolved.")] = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    as_lines: AsLines = False,
    fields: Fields = "",
) -> None:
    """The end of the log, the oldest line first.

    Example: mim log tail 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E -n 5 --follow
    """
    shape = Shape(as_json, as_csv, as_lines, fields)
    shape.check()
    if not follow:
        shape.show(Listing(incidents().one(id)["timeline"][-count:], entry_line))
    elif as_json or as_csv or as_lines:
        raise Invalid("--follow is for people: --json, --csv and --jq-lines show what there is.", field="follow")
    else:
        _follow(id, count, forever=True)


class ExportFormat(StrEnum):
    JSON = "json"
    CSV = "csv"


@remote_too
def export(
    id: IncidentId,
    format: Annotated[ExportFormat, typer.Option(help="json: all of it. csv: its log.")] = ExportFormat.JSON,
) -> None:
    """One incident with its log, updates and milestones, to take along.

    Example: mim incident export 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E > incident.json
    """
    incident = incidents().one(id)
    if format == ExportFormat.JSON:
        as_document(incident)
    else:
        typer.echo(csv_text(incident["timeline"]).replace("\r\n", "\n"), nl=False)
