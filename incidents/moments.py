"""RULES: times as people type them at 3 am: "14:02", "-7m", "+30m", or a full one with its zone. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from majorops.lib.errors import Invalid
from majorops.lib.times import SKEW, parse_time, to_millisecond

_CLOCK = re.compile(r"([01]?\d|2[0-3])[:.]([0-5]\d)(?:[:.]([0-5]\d))?\s*(?:z|utc)?", re.IGNORECASE)
_SHIFT = re.compile(r"([+-]?)\s*(?:(\d{1,3})\s*h)?\s*(?:(\d{1,4})\s*m(?:in)?)?\s*(?:(\d{1,5})\s*s)?", re.IGNORECASE)
#: "23:50" typed at 00:10 is of yesterday; "14:30" typed at 14:00 is a mistake.
_YESTERDAY = timedelta(hours=12)
_DAY = timedelta(days=1)


def happened(text: str, now: datetime, *, zone: tzinfo = UTC, field: str = "happened") -> datetime:
    """When something happened. Empty is now; a clock time is the last such time in this zone. Raises Invalid."""
    if not text.strip():
        return now
    at = _clock_time(text, now, zone)
    if at is None:
        return _shifted(text, now, sign="-", field=field)
    if at <= now + SKEW:
        return at.astimezone(UTC)
    if now - (at - _DAY) > _YESTERDAY:
        raise Invalid(f"{at:%H:%M %Z} has not come yet. For an earlier day, write the full date.", field=field)
    return (at - _DAY).astimezone(UTC)


def promised(text: str, now: datetime, *, zone: tzinfo = UTC, field: str = "next_update") -> datetime:
    """When something is promised for: `14:30`, the next such time in this zone; `30m`, `+1h`. Raises Invalid."""
    at = _clock_time(text, now, zone)
    if at is None:
        return _shifted(text, now, sign="+", field=field)
    return (at if at > now else at + _DAY).astimezone(UTC)


def zone_called(name: str) -> tzinfo:
    """A time zone by its name, such as Europe/Rome; UTC for none, and for one that nobody knows."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _clock_time(text: str, now: datetime, zone: tzinfo = UTC) -> datetime | None:
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups())
    # Who writes the zone behind it means that.
    zone = UTC if text.strip()[-1:].lower() in ("z", "c") else zone
    return now.astimezone(zone).replace(hour=hour, minute=minute, second=second, microsecond=0)


def _shifted(text: str, now: datetime, *, sign: str, field: str) -> datetime:
    match = _SHIFT.fullmatch(text.strip())
    if match and (match[1] or "+") == sign and any(match.groups()[1:]):
        hours, minutes, seconds = (int(part or 0) for part in match.groups()[1:])
        shift = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        return to_millisecond(now + shift if sign == "+" else now - shift)
    if not re.match(r"\d{4}-\d", text.strip()):
        raise Invalid(f"Write a time such as 14:02 (UTC), {sign}7m or 2026-03-02T14:02Z.", field=field)
    return parse_time(text.strip(), field=field)
