"""`/incidents/<id>/promises`: every promise of an incident and what became of it, for all who read its milestones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.models import User
from accounts.roles import Can
from incidents import words
from incidents.badges import Badge, due_badge, severity_badge
from incidents.board import promise_ledger
from incidents.models import Incident, Milestone
from incidents.pages import asked_incident, page, person
from incidents.promises import Outcome, Promised, Tally, tally
from majorops.lib.visibility import visible

SAID: dict[Outcome, tuple[str, str, str]] = {
    Outcome.KEPT: ("good", "✓", "kept"),
    Outcome.WAIVED: ("good", "✓", "closed by the resolution"),
    Outcome.MISSED: ("bad", "✕", "missed"),
    Outcome.REVISED: ("", "→", "moved in time"),
    Outcome.PENDING: ("", "○", "not due yet"),
}


@dataclass(frozen=True, slots=True)
class PromiseRow:
    """One promise as the table shows it."""

    promise: Promised[Milestone]
    outcome: Badge
    #: How late, or how early, it came; None for one that was moved in time or is not due.
    late: timedelta | None
    early: timedelta | None
    #: Why it took the place of another one.
    reason: str


def promise_rows(ledger: list[Promised[Milestone]], now: datetime) -> list[PromiseRow]:
    """The newest first."""
    return [_row(promise, now) for promise in reversed(ledger)]


def _row(promise: Promised[Milestone], now: datetime) -> PromiseRow:
    tone, shape, text = SAID[promise.outcome]
    early = promise.due_at - promise.delivered_at if promise.is_kept and promise.delivered_at else None
    reason = getattr(promise.move, "reason", "") or promise.made_by.no_promise_reason
    return PromiseRow(promise, Badge(tone, shape, text), promise.late_by(now), early, reason)


def in_words(told: Tally) -> str:
    """`kept 3 of 4, missed 1 by 4 min, moved 1 in time`."""
    said = [f"kept {told.kept} of {told.judged}"] if told.judged else ["none has come due yet"]
    said += [f"missed {told.missed} by {words.span(told.late_by)}"] if told.missed else []
    said += [f"moved {told.revised} in time"] if told.revised else []
    return ", ".join(said)


@page(Can.READ_INCIDENTS)
@require_GET
def promises(request: HttpRequest, incident_id: str) -> HttpResponse:
    now, incident = timezone.now(), asked_incident(request, incident_id)
    return render(request, "incidents/promises.html", promise_context(incident, person(request), now))


def promise_context(incident: Incident, viewer: User, now: datetime) -> dict[str, object]:
    """What the page is made of, for an incident from `incidents_for`."""
    milestones = list(visible(incident.milestones.order_by("sequence"), viewer))
    ledger = promise_ledger(incident, milestones, viewer, now)
    return {
        "incident": incident,
        "severity": severity_badge(incident.severity),
        "due": due_badge(incident.next_update_eta, now) if incident.is_open else None,
        "rows": promise_rows(ledger, now),
        "told": in_words(tally(ledger, now)),
        "now": now,
    }
