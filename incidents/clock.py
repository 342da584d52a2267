"""RULES: how long, how late, and whether a time can be right. Pure; `now` is always handed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from incidents.errors import TimeCannotBe
from majorops.lib.times import SKEW, iso

#: An entry written this much later than it happened says so.
LATE_ENTRY = timedelta(minutes=2)
#: When the next-update badge turns from "due in" to "due soon", and when to "due now".
DUE_SOON = timedelta(minutes=5)
DUE_NOW = timedelta(minutes=1)


def elapsed(since: datetime, now: datetime, until: datetime | None = None) -> timedelta:
    """From `since` to `until`, or to `now` while it lasts."""
    return (until or now) - since


def impact(issue_time: datetime | None, now: datetime, until: datetime | None = None) -> timedelta | None:
    """How long customers have felt it: from the alert; None without an alert time."""
    return None if issue_time is None else elapsed(issue_time, now, until)


class Promise(StrEnum):
    """The state of the next promised update."""

    NONE = "none"
    ON_TIME = "on_time"
    DUE_SOON = "due_soon"
    DUE_NOW = "due_now"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class NextUpdate:
    state: Promise
    due_at: datetime | None
    #: Until due, or since it was due.
    gap: timedelta | None

    @property
    def minutes(self) -> int | None:
        return None if self.gap is None else int(self.gap.total_seconds() // 60)


def is_late(at: datetime, due_at: datetime) -> bool:
    """Exactly on time is on time. Badges, promise ledger, alerts and KPIs all ask this."""
    return at > due_at


def next_update(due_at: datetime | None, now: datetime) -> NextUpdate:
    """What the badge says, on pages and in the API."""
    if due_at is None:
        return NextUpdate(Promise.NONE, None, None)
    if is_late(now, due_at):
        return NextUpdate(Promise.OVERDUE, due_at, now - due_at)
    left = due_at - now
    state = Promise.DUE_NOW if left < DUE_NOW else Promise.DUE_SOON if left <= DUE_SOON else Promise.ON_TIME
    return NextUpdate(state, due_at, left)


def written_late(occurred_at: datetime, recorded_at: datetime) -> timedelta | None:
    """The gap between happening and writing if it is worth showing."""
    gap = recorded_at - occurred_at
    return gap if gap > LATE_ENTRY else None


def check_happened(at: datetime, now: datetime, *, field: str = "at") -> None:
    """Nothing is recorded before it happens; five minutes are left for a clock that runs ahead."""
    if at > now + SKEW:
        raise TimeCannotBe(f"{iso(at)} lies in the future (it is {iso(now)}).", field=field)


def check_order(earlier: datetime | None, later: datetime | None, *, sentence: str, field: str) -> None:
    """Refuses a pair in the wrong order, naming both. `sentence` has {earlier} and {later}."""
    if earlier is not None and later is not None and later < earlier:
        raise TimeCannotBe(sentence.format(earlier=iso(earlier), later=iso(later)), field=field)


def check_promise(due_at: datetime | None, at: datetime, now: datetime | None = None) -> None:
    """A promise is about the future: later than what makes it, and later than the moment it is heard."""
    if due_at is not None and due_at <= (said_at := max(at, now or at)):
        raise TimeCannotBe(
            f"The next update cannot be promised for {iso(due_at)}: that is not after {iso(said_at)}.",
            field="next_update_eta",
        )
