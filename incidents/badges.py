"""A word and a shape for a state, the same on every page: nobody has to tell colours apart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from incidents import clock, words
from incidents.clock import Promise
from incidents.lifecycle import ALARMS, Severity

SHAPES = {Severity.CRITICAL: "▲", Severity.HIGH: "◆", Severity.MEDIUM: "■", Severity.LOW: "●"}


@dataclass(frozen=True, slots=True)
class Badge:
    """A word and a shape; `tone` picks the fill."""

    tone: str
    shape: str
    text: str


def severity_badge(severity: str) -> Badge:
    known = Severity(severity)
    priority = f" ({ALARMS[known].priority})" if ALARMS[known].box else ""
    return Badge(known.value, SHAPES[known], f"{known.label}{priority}")


def due_badge(due_at: datetime | None, now: datetime) -> Badge:
    """The state of the next promised update: `! Next update 14:30 UTC · due in 3 min`."""
    promise = clock.next_update(due_at, now)
    if promise.due_at is None or promise.gap is None:
        return Badge("none", "", "No update promised")
    at, gap = words.hour(promise.due_at, now), words.span(promise.gap)
    if promise.state == Promise.OVERDUE:
        return Badge("over", "✕", f"Next update {at} · overdue by {gap}")
    if promise.state == Promise.DUE_NOW:
        return Badge("soon", "!", f"Next update {at} · due now")
    if promise.state == Promise.DUE_SOON:
        return Badge("soon", "!", f"Next update {at} · due in {gap}")
    return Badge("ok", "✓", f"Next update {at} · in {gap}")
