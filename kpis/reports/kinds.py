"""RULES: which reports there are, whom they are for, and which time each is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Audience(StrEnum):
    """Who may read it: executives and those who command, or only the latter."""

    EXEC = "exec"
    INTERNAL = "internal"


class Kind(StrEnum):
    WEEKLY_EXECUTIVE = "weekly-executive"
    WEEKLY_TECHNICAL = "weekly-technical"
    DAILY = "daily"
    NINETY_DAYS = "ninety-days"
    METRICS = "metrics"

    @property
    def heading(self) -> str:
        return _ABOUT[self].title

    @property
    def audience(self) -> Audience:
        return _ABOUT[self].audience

    def period(self, now: datetime) -> tuple[datetime, datetime]:
        """The whole days, weeks or months that ended last, in UTC: [begin, end)."""
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        end = midnight - timedelta(days=midnight.weekday()) if _ABOUT[self].is_of_weeks else midnight
        end = now if self is Kind.METRICS else end
        return end - timedelta(days=_ABOUT[self].days), end


@dataclass(frozen=True, slots=True)
class _About:
    title: str
    audience: Audience
    days: int
    is_of_weeks: bool = False


_ABOUT = {
    Kind.WEEKLY_EXECUTIVE: _About("Weekly executive report", Audience.EXEC, 7, is_of_weeks=True),
    Kind.WEEKLY_TECHNICAL: _About("Weekly technical report", Audience.INTERNAL, 7, is_of_weeks=True),
    Kind.DAILY: _About("Daily collection", Audience.INTERNAL, 1),
    Kind.NINETY_DAYS: _About("90-day report", Audience.EXEC, 90),
    Kind.METRICS: _About("Metrics summary", Audience.INTERNAL, 30),
}


def in_days(begin: datetime, end: datetime) -> str:
    """`9 Mar to 15 Mar 2026`: the days that the period is about, the last one included."""
    first, last = begin.astimezone(UTC), end.astimezone(UTC) - timedelta(microseconds=1)
    told = f"{last.day} {last:%b %Y}"
    if first.date() == last.date():
        return told
    year = f" {first.year}" if first.year != last.year else ""
    return f"{first.day} {first:%b}{year} to {told}"
