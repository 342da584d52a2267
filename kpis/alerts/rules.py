"""RULES: what becomes of an alert rule, given the figures in their order. The same figures give the same answer always.

    ok -> pending -> firing -> acknowledged -> resolved        (with no time to hold: ok -> firing)

It is pending from the first figure beyond the limit, and fires once that held for longer than the rule says. A figure
within the limit ends it. A figure without a value changes nothing, unless the rule says what it means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from kpis.targets import CLOSE, JUDGES


class Severity(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"


class NoData(StrEnum):
    """What a figure without a value means."""

    KEEP = "keep"
    OK = "ok"
    FIRE = "fire"

    @property
    def label(self) -> str:
        return {"keep": "Nothing changes", "ok": "It is within the limit", "fire": "It is beyond the limit"}[self]


class State(StrEnum):
    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Happening(StrEnum):
    """What the ledger records: a state that was entered, or what was done about it."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    TOLD = "told"
    #: Figures that came later say that it never was.
    WITHDRAWN = "withdrawn"


OPEN = (State.FIRING, State.ACKNOWLEDGED)


@dataclass(frozen=True, slots=True)
class Terms:
    operator: str
    limit: float
    hold: timedelta = timedelta(0)
    no_data: NoData = NoData.KEEP

    def is_beyond(self, value: float | None) -> bool | None:
        """None where the figure says nothing."""
        if value is None:
            return {NoData.KEEP: None, NoData.OK: False, NoData.FIRE: True}[self.no_data]
        near = self.limit if abs(value - self.limit) < CLOSE else value
        return JUDGES[self.operator](near, self.limit)


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure as of a moment. `ref` is the observation it comes from."""

    at: datetime
    value: float | None
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A state that was entered, when, and by which figure."""

    state: State
    at: datetime
    reading: Reading | None = None


@dataclass(slots=True)
class Course:
    """How a rule stands after everything that was read."""

    terms: Terms
    state: State = State.OK
    since: datetime | None = None
    last: Reading | None = None
    changes: list[Change] = field(default_factory=list)

    def read(self, reading: Reading) -> None:
        self.pass_time(reading.at)
        beyond = self.terms.is_beyond(reading.value)
        if reading.value is not None:
            self.last = reading
        if beyond is None:
            return
        if beyond and self.state in (State.OK, State.RESOLVED):
            self._enter(State.PENDING if self.terms.hold else State.FIRING, reading.at, reading)
        elif not beyond and self.state == State.PENDING:
            self._enter(State.OK, reading.at, reading)
        elif not beyond and self.state in OPEN:
            self._enter(State.RESOLVED, reading.at, reading)

    def acknowledge(self, at: datetime) -> None:
        """Only what fires can be acknowledged; anything else passes without a trace."""
        self.pass_time(at)
        if self.state == State.FIRING:
            self._enter(State.ACKNOWLEDGED, at, None)

    def pass_time(self, moment: datetime) -> None:
        """What was pending for longer than it has to be fires at the end of that time, not when somebody looked."""
        if self.state == State.PENDING and self.since is not None and self.since + self.terms.hold < moment:
            self._enter(State.FIRING, self.since + self.terms.hold, self.last)

    def _enter(self, state: State, at: datetime, reading: Reading | None) -> None:
        self.state, self.since = state, at
        self.changes.append(Change(state, at, reading))


def replay(terms: Terms, readings: Iterable[Reading], until: datetime, acknowledged: Sequence[datetime] = ()) -> Course:
    """Everything that happened until then, in order, whatever order it came in."""
    course = Course(terms)
    moments: list[tuple[datetime, Reading | None]] = [(each.at, each) for each in readings if each.at <= until]
    moments += [(at, None) for at in acknowledged if at <= until]
    for at, reading in sorted(moments, key=lambda each: (each[0], each[1] is None)):
        if reading is None:
            course.acknowledge(at)
        else:
            course.read(reading)
    course.pass_time(until)
    return course


def from_then_on(readings: Sequence[Reading], begin: datetime) -> list[Reading]:
    """The readings since `begin`; what was known last before it counts as read at that moment."""
    later = [each for each in readings if each.at >= begin]
    before = [each for each in readings if each.at < begin]
    if before and (not later or later[0].at > begin):
        later.insert(0, Reading(begin, before[-1].value, before[-1].ref))
    return later


def fired(course: Course) -> int:
    """How many times it fired."""
    return sum(change.state == State.FIRING for change in course.changes)


def due_steps(steps: Iterable[int], fired_at: datetime, told: Iterable[int], now: datetime) -> list[int]:
    """The steps, as minutes after it fired, whose time has come and which have not been told."""
    known = set(told)
    return sorted({step for step in steps if step not in known and fired_at + timedelta(minutes=step) <= now})
