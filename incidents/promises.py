"""RULES: the promises that an incident's milestones made, and what became of them. Pure.

A promise is the next-update time of a milestone that is not the resolution. The next milestone delivers it,
a resolution too. Exactly on time is on time; a promise that fell due with nothing after it is a miss, and stays one.
Who moves a promise before it is due has broken none and kept none. Who moves it afterwards has missed it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any, Generic, Protocol, TypeVar

from incidents.clock import is_late
from incidents.errors import NextUpdateMissing, ReasonMissing
from incidents.lifecycle import Status
from majorops.lib.errors import Invalid

#: How far ahead the next update is promised where nobody said otherwise.
USUAL = timedelta(minutes=30)


class Cut(Protocol):
    """What the rule needs of a milestone."""

    @property
    def id(self) -> Any: ...
    @property
    def published_at(self) -> datetime: ...
    @property
    def next_update_eta(self) -> datetime | None: ...
    @property
    def is_resolution(self) -> bool: ...


class Moved(Protocol):
    """What it needs of a promise that was moved: whose, until when, and when that was said."""

    @property
    def id(self) -> Any: ...
    @property
    def milestone_id(self) -> str: ...
    @property
    def due_at(self) -> datetime: ...
    @property
    def recorded_at(self) -> datetime: ...


M = TypeVar("M", bound=Cut)
#: The same, without the bound: mypy would check it before it knows the columns of a model.
T = TypeVar("T")


class Outcome(StrEnum):
    """What became of a promise."""

    PENDING = "pending"
    KEPT = "kept"
    #: Closed by the resolution before it was due. Nobody waited in vain, so it counts as kept.
    WAIVED = "waived"
    MISSED = "missed"
    #: Moved before it was due. It is judged by what took its place.
    REVISED = "revised"


#: Those that adherence counts.
JUDGED = frozenset({Outcome.KEPT, Outcome.WAIVED, Outcome.MISSED})


@dataclass(frozen=True, slots=True)
class Promised(Generic[T]):
    """One promise: who made it, when, until when, and what became of it."""

    made_by: T
    made_at: datetime
    due_at: datetime
    delivered_at: datetime | None
    outcome: Outcome
    #: The milestone that delivered it; None while none did.
    delivered_by: T | None = None
    #: It took the place of one that was moved: by this.
    move: Moved | None = None

    @property
    def is_pending(self) -> bool:
        """Not due yet, and nothing came yet: not judged."""
        return self.outcome == Outcome.PENDING

    @property
    def is_judged(self) -> bool:
        return self.outcome in JUDGED

    @property
    def is_kept(self) -> bool:
        return self.outcome in (Outcome.KEPT, Outcome.WAIVED)

    @property
    def interval(self) -> timedelta:
        """How long people were asked to wait."""
        return self.due_at - self.made_at

    def late_by(self, now: datetime) -> timedelta | None:
        """Of a missed one, how long people waited in vain, or have waited until now."""
        return (self.delivered_at or now) - self.due_at if self.outcome == Outcome.MISSED else None


def promises(milestones: Sequence[M], now: datetime, moves: Iterable[Moved] = ()) -> Iterator[Promised[M]]:
    """The promises of one incident as they stand at `now`: `milestones` by sequence, `moves` as they were made."""
    moved: dict[str, list[Moved]] = defaultdict(list)
    for move in moves:
        moved[move.milestone_id].append(move)
    following: list[M | None] = [*milestones[1:], None]
    for milestone, delivery in zip(milestones, following, strict=False):
        if milestone.next_update_eta is not None and not milestone.is_resolution:
            yield from _chain(milestone, milestone.next_update_eta, delivery, moved[milestone.id], now)


def _chain(
    milestone: M, due_at: datetime, delivery: M | None, moves: Sequence[Moved], now: datetime
) -> Iterator[Promised[M]]:
    """The promise of one milestone, and each that took its place."""
    delivered_at = delivery.published_at if delivery else None
    made: list[Moved | None] = [None, *moves]
    links = [(milestone.published_at, due_at), *((move.recorded_at, move.due_at) for move in moves)]
    for move, ((made_at, due), (moved_at, _)) in zip(made, pairwise(links), strict=False):
        if is_late(moved_at, due):
            yield Promised(milestone, made_at, due, delivered_at, Outcome.MISSED, delivery, move)
        else:
            yield Promised(milestone, made_at, due, None, Outcome.REVISED, None, move)
    made_at, due = links[-1]
    yield Promised(milestone, made_at, due, delivered_at, _outcome(due, delivery, now), delivery, made[-1])


def _outcome(due_at: datetime, delivery: Cut | None, now: datetime) -> Outcome:
    if is_late(delivery.published_at if delivery else now, due_at):
        return Outcome.MISSED
    if delivery is None:
        return Outcome.PENDING
    return Outcome.WAIVED if delivery.is_resolution else Outcome.KEPT


@dataclass(frozen=True, slots=True)
class Tally:
    """How promises were kept. `late_by` adds up the misses."""

    kept: int = 0
    missed: int = 0
    revised: int = 0
    pending: int = 0
    late_by: timedelta = timedelta()

    @property
    def judged(self) -> int:
        return self.kept + self.missed


def tally(ledger: Iterable[Promised[T]], now: datetime) -> Tally:
    found = list(ledger)
    return Tally(
        kept=sum(each.is_kept for each in found),
        missed=sum(each.outcome == Outcome.MISSED for each in found),
        revised=sum(each.outcome == Outcome.REVISED for each in found),
        pending=sum(each.is_pending for each in found),
        late_by=sum((each.late_by(now) or timedelta() for each in found), timedelta()),
    )


# --- What a milestone must promise ---


def check_next_update(status: Status, due_at: datetime | None, *, reason: str) -> None:
    """Active: when the next update comes. Monitoring: that, or why not. Raises NextUpdateMissing, ReasonMissing."""
    if status == Status.RESOLVED and due_at is not None:
        raise Invalid("A resolved incident promises no further update.", field="next_update_eta")
    if due_at is not None or status == Status.RESOLVED:
        return
    if status == Status.ACTIVE:
        raise NextUpdateMissing(field="next_update_eta")
    if not reason.strip():
        raise ReasonMissing("Say why no next update is promised: those who wait read it.", field="no_promise_reason")


def usual_interval(last: Promised[T] | None) -> timedelta:
    """How far ahead "no change" promises: as far as the last time."""
    return last.interval if last is not None and last.interval > timedelta() else USUAL


def is_worth_an_alert(promise: Promised[T], now: datetime) -> bool:
    """Still undelivered, and overdue for longer than people were asked to wait in the first place."""
    late = promise.late_by(now)
    return promise.delivered_by is None and late is not None and late > promise.interval


def standing(ledger: Sequence[Promised[T]]) -> Promised[T] | None:
    """The promise that nothing has delivered yet; None without one."""
    return ledger[-1] if ledger and ledger[-1].delivered_by is None else None
