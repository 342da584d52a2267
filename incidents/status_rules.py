"""RULES: what the anonymous status page shows, in the words that readers of status pages know. Pure.

A `Board` is everything that is public, and nothing else: what is not a field here cannot be shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from incidents.lifecycle import Phase, Severity, Status

#: How many days the page shows one by one.
DAYS = 14


class State(StrEnum):
    """How far an incident is."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"
    #: Resolved, and what was learned from it is public.
    POSTMORTEM = "postmortem"


class Impact(StrEnum):
    """How grave an incident is, and the whole page with it."""

    NONE = "none"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


class Health(StrEnum):
    """How a component does."""

    OPERATIONAL = "operational"
    DEGRADED = "degraded_performance"
    PARTIAL = "partial_outage"
    MAJOR = "major_outage"


IMPACTS = {
    Severity.CRITICAL: Impact.CRITICAL,
    Severity.HIGH: Impact.MAJOR,
    Severity.MEDIUM: Impact.MINOR,
    Severity.LOW: Impact.NONE,
}
HEALTHS = {
    Impact.CRITICAL: Health.MAJOR,
    Impact.MAJOR: Health.PARTIAL,
    Impact.MINOR: Health.DEGRADED,
    Impact.NONE: Health.OPERATIONAL,
}
HEADLINES = {
    Impact.NONE: "All Systems Operational",
    Impact.MINOR: "Minor Service Outage",
    Impact.MAJOR: "Partial System Outage",
    Impact.CRITICAL: "Major Service Outage",
}
_GRAVITY = {value: rank for ranks in (Impact, Health) for rank, value in enumerate(ranks)}


def worst(impacts: Iterable[Impact]) -> Impact:
    return max(impacts, key=_GRAVITY.__getitem__, default=Impact.NONE)


def state_of(status: str, phase: int) -> State:
    """From what the command page knows. The cause is found when isolation begins."""
    if status == Status.RESOLVED:
        return State.RESOLVED
    if status == Status.MONITORING or phase >= Phase.VALIDATION:
        return State.MONITORING
    return State.IDENTIFIED if phase >= Phase.ISOLATION else State.INVESTIGATING


@dataclass(frozen=True, slots=True)
class Move:
    """A change of phase, of status, or of both."""

    at: datetime
    phase: int | None = None
    status: str | None = None


def turns(moves: Iterable[Move]) -> Iterator[tuple[datetime, State]]:
    """When each state began, oldest first; a move within one state is no turn."""
    phase, status, before = int(Phase.ALERT), str(Status.ACTIVE), None
    for move in sorted(moves, key=lambda move: move.at):
        phase = move.phase or phase
        if move.phase:
            is_over = phase == Phase.RESOLUTION
            status = Status.RESOLVED if is_over else Status.ACTIVE if status == Status.RESOLVED else status
        status = move.status or status
        state = state_of(status, phase)
        if state != before:
            yield move.at, state
        before = state


def state_at(moves: Iterable[Move], moment: datetime) -> State:
    """What the page said at that moment."""
    began = [state for at, state in turns(moves) if at <= moment]
    return began[-1] if began else State.INVESTIGATING


def began(moves: Iterable[Move], wanted: State) -> datetime | None:
    """When the state began last; None if it never did."""
    return max((at for at, state in turns(moves) if state == wanted), default=None)


# --- What is public ---


@dataclass(frozen=True, slots=True)
class Word:
    """One public update or milestone."""

    id: str
    title: str
    body: str
    state: State
    said_at: datetime


@dataclass(frozen=True, slots=True)
class PublicIncident:
    """One published incident."""

    id: str
    name: str
    summary: str
    impact: Impact
    state: State
    started_at: datetime
    resolved_at: datetime | None
    monitoring_at: datetime | None
    next_update_at: datetime | None
    #: Ids of the components it touches.
    components: tuple[str, ...]
    #: Newest first.
    words: tuple[Word, ...]
    #: What was learned, in the words for the public.
    review: Word | None = None

    @property
    def is_open(self) -> bool:
        return self.state != State.RESOLVED

    @property
    def said(self) -> tuple[Word, ...]:
        """All that was said of it, the review first."""
        return (self.review, *self.words) if self.review else self.words

    @property
    def told_state(self) -> State:
        """For programs, to which a review is a state of its own."""
        return State.POSTMORTEM if self.review else self.state

    @property
    def updated_at(self) -> datetime:
        """The last thing that was said or happened. Never in the future: the promise does not count."""
        told = [self.started_at, self.resolved_at, self.monitoring_at, *(word.said_at for word in self.said)]
        return max(at for at in told if at is not None)

    @property
    def lasted(self) -> timedelta | None:
        return self.resolved_at - self.started_at if self.resolved_at else None


@dataclass(frozen=True, slots=True)
class Component:
    """One line of the curated list."""

    id: str
    name: str
    group: str
    description: str
    position: int
    created_at: datetime
    #: Names from inside that mean it. Never shown.
    systems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that is public, newest incident first."""

    incidents: tuple[PublicIncident, ...] = ()
    components: tuple[Component, ...] = ()

    @property
    def open(self) -> list[PublicIncident]:
        return [incident for incident in self.incidents if incident.is_open]

    @property
    def impact(self) -> Impact:
        return worst(incident.impact for incident in self.open)

    @property
    def updated_at(self) -> datetime | None:
        """None where nothing was ever published."""
        return max((incident.updated_at for incident in self.incidents), default=None)

    def incident(self, public_id: str) -> PublicIncident | None:
        return next((incident for incident in self.incidents if incident.id == public_id), None)

    def touching(self, component: Component) -> list[PublicIncident]:
        return [incident for incident in self.open if component.id in incident.components]

    def health(self, component: Component) -> Health:
        return max(
            (health_in(incident) for incident in self.touching(component)),
            key=_gravity,
            default=Health(HEALTHS[Impact.NONE]),
        )

    def named(self, ids: Sequence[str]) -> list[Component]:
        return [component for component in self.components if component.id in ids]


def _gravity(health: Health) -> int:
    return _GRAVITY[health]


def health_in(incident: PublicIncident) -> Health:
    """A mitigated incident leaves its components degraded at most."""
    health = HEALTHS[incident.impact]
    return min(health, Health.DEGRADED, key=_gravity) if incident.state == State.MONITORING else health


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the page, in UTC, and the incidents that belong to it."""

    day: date
    incidents: tuple[PublicIncident, ...]


def days(board: Board, now: datetime, count: int = DAYS) -> list[Day]:
    """Newest first. An incident is listed on the day it began, or ended if it began before the first of them."""
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=count - 1)
    by_day: dict[date, list[PublicIncident]] = {}
    for incident in board.incidents:
        by_day.setdefault(_day_of(incident, first), []).append(incident)
    wanted = [today - timedelta(days=back) for back in range(count)]
    return [Day(day, tuple(by_day.get(day, ()))) for day in wanted]


def _day_of(incident: PublicIncident, first: date) -> date:
    began = incident.started_at.astimezone(UTC).date()
    return began if began >= first or incident.resolved_at is None else incident.resolved_at.astimezone(UTC).date()
