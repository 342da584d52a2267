"""Rows that belong together by their keys: from a start to its end, to what it became, to the newest of its kind."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kpis.evaluate.population import Entry, Fate, select, select_members
from kpis.evaluate.rows import Row, Tables, at_of, in_order, key_of, microseconds, number, time_of
from kpis.formulas.kinds import Conversion, Interval, Length, Pairs, Recency
from kpis.formulas.language import FieldRef, Rows, period

Key = tuple[object, ...]
#: Far more than any policy allows, and far less than what overflows.
MAX_DAYS = 100_000


def interval_entries(calc: Interval, rows: Tables, as_of: datetime) -> Iterator[Entry]:
    spec = calc.start.rows
    kept, out = select(spec, rows, as_of)
    yield from out
    ends = _Ends.of(calc.end.rows, calc.end.pick, calc.on, rows, as_of)
    for row, key, is_picked in _starts(kept, spec, calc.start.pick, calc.on):
        if is_picked:
            yield _pair(row, ends.pick(key, at_of(row, spec.at)), calc, as_of)
        else:
            yield Entry(row, Fate.OUT, time_of(row, spec.at), f"not the {calc.start.pick} of its kind")


def _starts(kept: list[Row], spec: Rows, pick: str, on: Pairs) -> Iterator[tuple[Row, Key, bool]]:
    """Each row with its key, and whether it is the one picked of that key. Rows without a key have no kind."""
    started = sorted(kept, key=lambda row: in_order(row, spec.at))
    picked: dict[Key, str] = {}
    for row in started if pick != "last" else reversed(started):
        key = key_of(row, [left for left, _ in on])
        first = picked.setdefault(key, str(row["ref"]))
        yield row, key, pick == "each" or None in key or first == row["ref"]


@dataclass(frozen=True, slots=True)
class _Ends:
    """The ending rows by key, in order of time."""

    pick_rule: str
    field: str
    by_key: Mapping[Key, list[Row]]

    @classmethod
    def of(cls, spec: Rows, pick_rule: str, on: Pairs, rows: Tables, as_of: datetime) -> _Ends:
        by_key: dict[Key, list[Row]] = defaultdict(list)
        for row in sorted(select(spec, rows, as_of)[0], key=lambda row: in_order(row, spec.at)):
            by_key[key_of(row, [right for _, right in on])].append(row)
        return cls(pick_rule, spec.at, by_key)

    def pick(self, key: Key, start: datetime) -> Row | None:
        found = self.by_key.get(key, []) if None not in key else []
        index = 0
        if self.pick_rule == "last":
            index = len(found) - 1
        elif self.pick_rule == "first_after":
            index = bisect_left(found, start, key=lambda row: at_of(row, self.field))
        return found[index] if 0 <= index < len(found) else None


def _pair(row: Row, end: Row | None, calc: Interval, as_of: datetime) -> Entry:
    start = at_of(row, calc.start.rows.at)
    limit = period(calc.within) if calc.within else None
    end_at = at_of(end, calc.end.rows.at) if end is not None else None
    if limit is not None and (end_at is None or end_at - start > limit):
        if as_of - start <= limit:
            return Entry(row, Fate.OUT, start, "not judged yet")
        return Entry(row, Fate.MISSED, start, f"no matching end within {calc.within}")
    if end_at is None:
        return Entry(row, Fate.MISSED, start, "no matching end")
    if end_at < start and calc.negative == "reject":
        return Entry(row, Fate.INVALID, start, "negative_duration", end=end)
    return Entry(row, Fate.VALID, start, value=microseconds(end_at - start), at=end_at, end=end)


# --- What it became, and how old that is ---


def conversion_entries(calc: Conversion, rows: Tables, as_of: datetime) -> Iterator[Entry]:
    """A base row is judged when its time is over, also one followed early: else the quick ones would count first."""
    kept, out = select(calc.base, rows, as_of)
    yield from out
    ends = _Ends.of(calc.convert, "first_after", calc.on, rows, as_of)
    for row, key, is_picked in _starts(kept, calc.base, calc.entity, calc.on):
        start = at_of(row, calc.base.at)
        limit = _limit(row, calc.within)
        if not is_picked:
            yield Entry(row, Fate.OUT, start, "not the first of its kind")
        elif not isinstance(limit, timedelta):
            yield Entry(row, limit[0], start, limit[1])
        elif as_of - start <= limit:
            yield Entry(row, Fate.OUT, start, "not judged yet")
        else:
            yield _conversion(row, start, ends.pick(key, start), limit, calc)


def _conversion(row: Row, start: datetime, end: Row | None, limit: timedelta, calc: Conversion) -> Entry:
    is_hit = end is not None and at_of(end, calc.convert.at) - start <= limit
    return Entry(row, Fate.VALID, start, value=(int(is_hit), 1), at=start, end=end if is_hit else None)


def recency_entries(calc: Recency, rows: Tables, as_of: datetime) -> Iterator[Entry]:
    """Each member of the universe by its newest event; one that never had any is too old."""
    kept, out = select_members(calc.universe, rows)
    yield from out
    events = _Ends.of(calc.event, "last", calc.on, rows, as_of)
    for row in kept:
        limit = _limit(row, calc.max_age)
        if not isinstance(limit, timedelta):
            yield Entry(row, limit[0], None, limit[1])
            continue
        newest = events.pick(key_of(row, [left for left, _ in calc.on]), as_of)
        is_hit = newest is not None and as_of - at_of(newest, calc.event.at) <= limit
        yield Entry(row, Fate.VALID, None, value=(int(is_hit), 1), end=newest)


def _limit(row: Row, length: Length) -> timedelta | tuple[Fate, str]:
    """The length that applies to the row, or what becomes of it without one."""
    if not isinstance(length, FieldRef):
        return period(length)
    if row.get(length.field) is None:
        return Fate.MISSED, f"{length.field} is empty"
    days = number(row[length.field])
    if days is None:
        return Fate.INVALID, "not_a_number"
    return timedelta(days=days) if 0 <= days <= MAX_DAYS else (Fate.INVALID, "out_of_range")
