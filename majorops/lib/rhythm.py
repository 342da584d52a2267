"""RULES: when something that repeats is due.

A rhythm is a line of text: `every 5 minutes`, `daily 02:15`, `mon,thu 08:00`. Its slots are instants in UTC. Times of
day are those of a time zone, and come once a day also where a clock is changed: a time that is skipped in spring comes
an hour later, one that is shown twice in autumn comes the first time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from majorops.lib.errors import Invalid

UNITS = {"second": 1, "minute": 60, "hour": 3600}
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SHORTEST, LONGEST = timedelta(seconds=10), timedelta(hours=24)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_EVERY = re.compile(r"every (?:(\d{1,5}) )?(second|minute|hour)s?")
_AT = re.compile(r"(daily|[a-z]{3}(?:,[a-z]{3})*) ([01]\d|2[0-3]):([0-5]\d)")


class NoRhythm(Invalid):
    """Write how often as "every 5 minutes", "daily 02:15" or "mon,thu 08:00"."""


@dataclass(frozen=True, slots=True)
class Every:
    """At equal distances, counted from 1970: `every 5 minutes` is due at 10:00, 10:05, 10:10."""

    step: timedelta

    def latest(self, now: datetime) -> datetime:
        return now.astimezone(UTC) - (now - EPOCH) % self.step

    def after(self, moment: datetime) -> datetime:
        return self.latest(moment) + self.step


@dataclass(frozen=True, slots=True)
class At:
    """At one time of day, on some days of the week."""

    days: frozenset[int]
    time: time
    zone: ZoneInfo

    def latest(self, now: datetime) -> datetime:
        return next(slot for slot in self._slots(now, -1) if slot <= now)

    def after(self, moment: datetime) -> datetime:
        return next(slot for slot in self._slots(moment, 1) if slot > moment)

    def _slots(self, around: datetime, direction: int) -> list[datetime]:
        """Those of the week and a day that begin with the day of `around`, in that direction."""
        today = around.astimezone(self.zone).date()
        days = [today + timedelta(days=direction * distance) for distance in range(9)]
        return [
            datetime.combine(day, self.time, self.zone).astimezone(UTC) for day in days if day.weekday() in self.days
        ]


Rhythm = Every | At


def rhythm_of(text: str, zone: str) -> Rhythm:
    """The rhythm that a line says. Raises NoRhythm."""
    if found := _EVERY.fullmatch(text):
        step = timedelta(seconds=int(found[1] or 1) * UNITS[found[2]])
        if not SHORTEST <= step <= LONGEST:
            raise NoRhythm("The shortest rhythm is every 10 seconds, the longest every 24 hours.", field="rhythm")
        return Every(step)
    if found := _AT.fullmatch(text):
        names = WEEKDAYS if found[1] == "daily" else tuple(found[1].split(","))
        if set(names) <= set(WEEKDAYS):
            return At(frozenset(map(WEEKDAYS.index, names)), time(int(found[2]), int(found[3])), ZoneInfo(zone))
    raise NoRhythm(field="rhythm")


def due_slot(rhythm: Rhythm, *, settled_until: datetime, now: datetime) -> datetime | None:
    """The newest slot that nobody has settled; None if there is none. Older ones that were missed do not count."""
    slot = rhythm.latest(now)
    return slot if slot > settled_until else None
