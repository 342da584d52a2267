"""RULES: durations and distances in time, in words. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

UNKNOWN = "—"
_NOTHING = timedelta()


def clock(length: timedelta | None) -> str:
    """`01:42:10`, from a day on `3 d 04:12`; a dash for what is not known or runs backwards."""
    if length is None or length < _NOTHING:
        return UNKNOWN
    hours, rest = divmod(int(length.total_seconds()), 3600)
    minutes, seconds = divmod(rest, 60)
    if hours >= 24:
        return f"{hours // 24} d {hours % 24:02}:{minutes:02}"
    return f"{hours:02}:{minutes:02}:{seconds:02}"


def short(length: timedelta | None) -> str:
    """`4:05`, `1:31:20`: a stop watch, for tables."""
    if length is None or length < _NOTHING:
        return UNKNOWN
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"


def span(length: timedelta | None) -> str:
    """`45 s`, `12 min`, `1 h 42 min`, `3 d 4 h`: the one or two units that matter."""
    if length is None or length < _NOTHING:
        return UNKNOWN
    seconds = int(length.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    if hours < 24:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h" if hours % 24 and hours < 14 * 24 else f"{hours // 24} d"


def ago(at: datetime, now: datetime) -> str:
    """`2 min ago`, `just now`, `in 5 min`."""
    gap = now - at
    if gap < _NOTHING:
        return f"in {span(-gap)}"
    return "just now" if gap < timedelta(seconds=10) else f"{span(gap)} ago"


def hour(at: datetime, now: datetime, zone: tzinfo = UTC) -> str:
    """`14:30 UTC`, with the day in front when it is another one than today's."""
    at, now = at.astimezone(zone), now.astimezone(zone)
    day = "" if at.date() == now.date() else f"{at:%a} {at.day} {at:%b} "
    return f"{day}{at:%H:%M %Z}"


def clock_time(at: datetime) -> str:
    """`14:30`, UTC, where the zone stands beside it."""
    return f"{at.astimezone(UTC):%H:%M}"


def day(at: datetime) -> str:
    """`Monday 2 March 2026`."""
    at = at.astimezone(UTC)
    return f"{at:%A} {at.day} {at:%B %Y}"


def number(value: float | int | None) -> str:
    """`1,240`, `96.5`, `4.25`: as many decimals as say something."""
    if value is None:
        return UNKNOWN
    if value == int(value):
        return f"{int(value):,}"
    if abs(value) < 0.01:
        return "≈ 0"
    return (f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}").rstrip("0").rstrip(".")


def counted(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
