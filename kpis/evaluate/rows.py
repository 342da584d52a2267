"""Reading one row: its times, numbers, keys and conditions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from kpis.formulas.language import AnyOf, Cond, FieldRef, instant

Row = Mapping[str, object]
Tables = Mapping[str, Sequence[Row]]
Dims = Mapping[str, str | None]
Number = int | float


def time_of(row: Row, field: str) -> datetime | None:
    """The time in `field`, in UTC. ValueError for what is no aware datetime: a source has let it through."""
    value = row.get(field)
    if value is None:
        return None
    if isinstance(value, datetime) and value.tzinfo is not None:
        # Two times of one zone compare and subtract by the wall clock, which jumps twice a year.
        return value if value.tzinfo is UTC else value.astimezone(UTC)
    raise ValueError(f"{row['ref']}: {field} must be a time with a zone or None, not {value!r}.")


def seen(row: Row, field: str, as_of: datetime) -> datetime | None:
    """The time in `field`, if it had come before `as_of`."""
    at = time_of(row, field)
    return at if at is not None and at < as_of else None


def at_of(row: Row, field: str) -> datetime:
    """The time in `field` of a row that has one."""
    at = time_of(row, field)
    if at is None:
        raise ValueError(f"{row['ref']}: {field} is empty.")
    return at


def in_order(row: Row, field: str) -> tuple[datetime, str]:
    """A sort key: by time, and rows of the same instant by their ref."""
    return at_of(row, field), str(row["ref"])


def key_of(row: Row, fields: Iterable[str]) -> tuple[object, ...]:
    return tuple(row.get(field) for field in fields)


def microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def number(value: object) -> Number | None:
    """The finite number that `value` is, or None. True is no number."""
    if type(value) is float:  # most are, and every row is asked
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def text(value: object) -> str | None:
    return None if value is None else str(value)


def is_open(row: Row, as_of: datetime) -> bool:
    """Whether what the row is about was still open at `as_of`."""
    closed = time_of(row, "subject_closed_at")
    return row.get("subject_open") is True or (closed is not None and closed >= as_of)


def holds(condition: Cond | AnyOf, row: Row) -> bool:
    """Whether the row meets the condition. An empty field meets none, save is_null."""
    if isinstance(condition, AnyOf):
        return any(holds(one, row) for one in condition.any)
    left = _value(row, condition.field)
    if condition.op in ("is_null", "not_null"):
        return (left is None) == (condition.op == "is_null")
    if isinstance(condition.value, FieldRef):
        right = _value(row, condition.value.field)
        return left is not None and right is not None and _compares(condition.op, left, right)
    if left is None:
        return False
    if isinstance(condition.value, tuple):
        return any(_compares("eq", left, one) for one in condition.value) == (condition.op == "in")
    return _compares(condition.op, left, condition.value)


def _value(row: Row, field: str) -> object:
    value = row.get(field)
    return time_of(row, field) if isinstance(value, datetime) else value


def _compares(op: str, left: object, right: object) -> bool:
    if isinstance(left, datetime) and isinstance(right, str):
        right = instant(right)
    if _sort_of(left) != _sort_of(right):  # True is not 1, and "5" is not 5
        return op == "ne"
    match op:
        case "eq":
            return left == right
        case "ne":
            return left != right
        case "starts_with":
            return str(left).startswith(str(right))
    return _ordered(op, left, right)


def _ordered(op: str, left: Any, right: Any) -> bool:
    try:
        order = int(left > right) - int(left < right)
    except TypeError:  # no order: a list, an object
        return False
    return {"lt": order < 0, "lte": order <= 0, "gt": order > 0, "gte": order >= 0}[op]


def _sort_of(value: object) -> type:
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, int | float | Decimal) else type(value)
