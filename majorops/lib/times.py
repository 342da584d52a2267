"""Times as people and programs write them: aware, UTC, to the millisecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from majorops.lib.errors import Invalid

#: Outside these, a time is a typing error or a broken clock, and both databases agree inside them.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
#: How far a sender's clock may be ahead of ours.
SKEW = timedelta(minutes=5)


def to_millisecond(at: datetime) -> datetime:
    """`at` in UTC without its microseconds: the precision the product stores and shows."""
    at = at.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def parse_time(value: object, *, field: str) -> datetime:
    """An instant from RFC 3339 text with a zone, or from Unix milliseconds. Raises Invalid."""
    if isinstance(value, datetime):
        at = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        at = _from_milliseconds(value, field)
    elif isinstance(value, str):
        at = _from_text(value, field)
    else:
        raise Invalid(f"{field} must be a time such as 2026-03-02T10:00:00Z.", field=field)
    if at.tzinfo is None:
        raise Invalid(f"{field} needs a time zone: write {value}Z for UTC, or an offset such as +01:00.", field=field)
    try:
        inside = EARLIEST <= at < LATEST
    except OverflowError:  # 0001-01-01T00:00+14:00 is before year 1 in UTC
        inside = False
    if not inside:
        raise Invalid(f"{field} must lie between the years 2000 and 2099.", field=field)
    return to_millisecond(at)


def _from_milliseconds(value: float, field: str) -> datetime:
    if not 0 <= value < 4_102_444_800_000:  # NaN and infinity are not inside either
        raise Invalid(f"{field} must be Unix milliseconds between the years 2000 and 2099.", field=field)
    return datetime.fromtimestamp(value / 1000, UTC)


def _from_text(value: str, field: str) -> datetime:
    try:
        return datetime.fromisoformat(value.strip())
    except ValueError:
        raise Invalid(
            f"{field} must be a time such as 2026-03-02T10:00:00Z, not {value[:40]!r}.", field=field
        ) from None


def iso(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds and `Z`, as the API shows every time."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"
