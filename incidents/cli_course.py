"""`mim incident declare | phase | status | resolve | reopen`: the course of an incident."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from incidents import words
from incidents.cli_port import Order, Verb, incidents
from incidents.cli_shared import As, AsJson, At, IncidentId, did, known_time, milestone_of
from incidents.lifecycle import Kind, Phase, Severity, Status
from majorops.lib.terminal import DryRun, remote_too


@remote_too
def open_incident(
    title: Annotated[str, typer.Argument(help="A short label, e.g. prod-west-db-01 unreachable.")],
    severity: Annotated[Severity, typer.Option("--severity", "-s", help="Sets targets and alarm level.")],
    description: Annotated[str, typer.Option(help="The problem in a few sentences.")] = "",
    system: Annotated[list[str] | None, typer.Option(help="An affected system. Repeatable.")] = None,
    bridge: Annotated[str, typer.Option(help="Conference link, https only.")] = "",
    kind: Annotated[Kind, typer.Option(help="Drills and tests are left out of KPIs.")] = Kind.REAL,
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Declares an incident, detected now or at --at.

    Example: mim incident declare "prod-west-db-01 unreachable" --severity critical --at -7m
    """
    order = Order.given(at, acting, dry_run=dry_run)
    said = {
        "title": title,
        "severity": severity.value,
        "kind": kind.value,
        "description": description,
        "affected_systems": system or [],
        "bridge_url": bridge,
    }
    done = incidents().opened(said, order)
    made = done.answer
    did(
        done,
        order,
        f"Opened {made['id']}: {made['title']}",
        next_step=f"mim incident page {made['id']} TEAM",
        as_json=as_json,
    )


@remote_too
def advance(
    id: IncidentId,
    phase: Annotated[int, typer.Argument(min=1, max=8, help="2 Gather … 7 Validation.")],
    reason: Annotated[str, typer.Option(help="Needed to go back into 2 or 3.")] = "",
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Moves to a later phase, or back into Gather (2) or Assess (3) with a reason.

    Example: mim incident phase 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E 5
    """
    order = Order.given(at, acting, dry_run=dry_run)
    done = incidents().done(id, Verb.PHASE, {"phase": phase, "reason": reason}, order)
    before, after = Phase(done.incident["phase"]), Phase(done.answer["phase"])
    told = f"{before.label} → {after.label}: {done.incident['title']}"
    did(done, order, told, next_step=milestone_of(done), as_json=as_json)


class StatusWord(StrEnum):
    ACTIVE = Status.ACTIVE.value
    MONITORING = Status.MONITORING.value


@remote_too
def change_status(
    id: IncidentId,
    status: Annotated[StatusWord, typer.Argument(help="active, or monitoring once the mitigation holds.")],
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Active, or Monitoring: the mitigation holds and is watched.

    Example: mim incident status 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E monitoring
    """
    order = Order.given(at, acting, dry_run=dry_run)
    done = incidents().done(id, Verb.STATUS, {"status": status.value}, order)
    told = f"{done.incident['status']} → {done.answer['status']}: {done.incident['title']}"
    following = f'mim incident resolve {done.incident["id"]} --summary "…"' if status == StatusWord.MONITORING else ""
    did(done, order, told, next_step=following or milestone_of(done), as_json=as_json)


@remote_too
def resolve(
    id: IncidentId,
    summary: Annotated[str, typer.Option(help="The final milestone: what was wrong, and that it is over.")],
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Closes the incident with a final milestone.

    Example: mim incident resolve 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E --summary "Database failed over. All orders are in."
    """
    order = Order.given(at, acting, dry_run=dry_run)
    done = incidents().done(id, Verb.RESOLVE, {"summary": summary}, order)
    closed = done.answer
    lasted = words.span(known_time(closed["resolvedAt"]) - known_time(closed["detectedAt"]))
    told = f"Resolved after {lasted}: {closed['title']}"
    did(done, order, told, next_step=f"mim review open {closed['id']}", as_json=as_json)


@remote_too
def reopen(
    id: IncidentId,
    reason: Annotated[str, typer.Option(help="Why it is taken up again; the log keeps it.")],
    phase: Annotated[int, typer.Option(min=2, max=7, help="Where it goes on.")] = Phase.ASSESS.value,
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Takes a resolved incident up again; if that was too long ago, opens a new one that is linked to it.

    Example: mim incident reopen 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E --reason "It is back."
    """
    order = Order.given(at, acting, dry_run=dry_run)
    done = incidents().done(id, Verb.REOPEN, {"reason": reason, "phase": phase}, order)
    taken_up = done.answer
    late = f"Too late to reopen. Opened the new incident {taken_up['id']}"
    told = f"{'Reopened' if taken_up['id'] == done.incident['id'] else late}: {taken_up['title']}"
    did(done, order, told, next_step=f"mim incident show {taken_up['id']}", as_json=as_json)
