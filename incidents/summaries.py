"""RULES: the executive summary as rules draft it, from what executives may read and nothing else. Pure.

Each sentence comes from facts. What is not known is said to be unknown or left out, never guessed. No names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from incidents import clock, words
from incidents.brief_rules import excerpt
from incidents.clock import Promise
from incidents.lifecycle import ExternalImpact, Phase, RiskLevel, Severity, Status
from majorops.lib.times import iso

#: One paragraph. A longer one is not read, and does not fit on one page with the rest.
LENGTH = 1200


@dataclass(frozen=True, slots=True)
class Said:
    """A milestone: what stakeholders and executives were told, and when."""

    at: datetime
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a draft is made of. Every field is one that executives read; there is no place for a name."""

    title: str
    severity: str
    status: str
    phase: int
    detected_at: datetime
    now: datetime
    resolved_at: datetime | None = None
    customer_impact: str = ""
    business_impact: str = ""
    customer_count: int | None = None
    external_impact: str = ExternalImpact.UNKNOWN
    risk_level: str = RiskLevel.MEDIUM
    decision_asked: str = ""
    affected_systems: tuple[str, ...] = ()
    next_update_eta: datetime | None = None
    #: Newest first.
    milestones: tuple[Said, ...] = field(default=())
    promises_kept: int = 0
    promises_judged: int = 0

    def as_json(self) -> dict[str, Any]:
        """For a drafter of another kind: the same facts, times as text."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def draft(facts: Facts) -> str:
    """One paragraph: what it is, whom it hurts, how it stands, what comes next."""
    return str(excerpt(" ".join(_sentences(facts)), characters=LENGTH, lines=1))


def _sentences(facts: Facts) -> Iterator[str]:
    yield _what(facts)
    yield from _customers(facts)
    yield from _business(facts)
    yield from _newest(facts)
    yield from _next(facts)
    if facts.promises_judged:
        yield f"Updates on time so far: {facts.promises_kept} of {facts.promises_judged}."


def _what(facts: Facts) -> str:
    title, severity = sentence(facts.title), Severity(facts.severity).label
    since = words.hour(facts.detected_at, facts.now)
    lasted = words.span(clock.elapsed(facts.detected_at, facts.now, facts.resolved_at))
    if facts.resolved_at:
        return f"{title} This {severity.lower()} incident is resolved; it lasted {lasted}, from {since}."
    watched = " A fix is in place and is being watched." if facts.status == Status.MONITORING else ""
    return f"{title} {severity} incident since {since} ({lasted}).{watched}"


def _customers(facts: Facts) -> Iterator[str]:
    if facts.customer_impact.strip():
        yield sentence(facts.customer_impact)
    felt = facts.external_impact
    if facts.customer_count is not None:
        yield f"Customers confirmed as affected: {words.number(facts.customer_count)}."
    elif felt == ExternalImpact.NO:
        yield "Customers do not feel it."
    elif felt == ExternalImpact.LIKELY:
        yield "Customers probably feel it; how many is not known."
    elif not facts.resolved_at:
        yield "How many customers are affected is not known."


def _business(facts: Facts) -> Iterator[str]:
    if facts.business_impact.strip():
        yield sentence(facts.business_impact)
    if not facts.resolved_at:
        yield f"Risk: {RiskLevel(facts.risk_level).label.lower()}."


def _newest(facts: Facts) -> Iterator[str]:
    if not facts.milestones:
        yield "No milestone has been published yet."
        return
    newest = facts.milestones[0]
    told = first_sentence(newest.body)
    more = f" {told}" if told and told != sentence(newest.title) else ""
    yield f"Last word at {words.hour(newest.at, facts.now)}: {sentence(newest.title)}{more}"


def _next(facts: Facts) -> Iterator[str]:
    if facts.resolved_at:
        return
    yield f"Work is in phase {facts.phase} of {len(Phase)}, {Phase(facts.phase).label}."
    if facts.decision_asked.strip():
        yield f"Decision asked: {sentence(facts.decision_asked)}"
    promise = clock.next_update(facts.next_update_eta, facts.now)
    if promise.due_at is None:
        yield "No next update is promised."
    elif promise.state == Promise.OVERDUE:
        due, late = words.hour(promise.due_at, facts.now), words.span(promise.gap)
        yield f"The update promised for {due} is overdue by {late}."
    else:
        yield f"Next update: {words.hour(promise.due_at, facts.now)}."


def sentence(text: str) -> str:
    """The text on one line, with a full stop if it has no end."""
    joined = " ".join(text.split())
    return joined if not joined or joined[-1] in ".!?…" else f"{joined}."


def first_sentence(text: str) -> str:
    """Up to the first end of a sentence; "v2.1" is none."""
    joined = " ".join(text.split())
    ends = [at for mark in (". ", "! ", "? ") if (at := joined.find(mark)) >= 0]
    return sentence(joined[: min(ends) + 1] if ends else joined)


def is_behind(written_at: datetime, newest_milestone_at: datetime | None) -> bool:
    """Whether something was published after the summary was accepted."""
    return newest_milestone_at is not None and newest_milestone_at > written_at
