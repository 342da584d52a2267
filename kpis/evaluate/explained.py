"""Every row of a figure with what became of it and what it adds, so that the rows add up to the figure again.

Read off the entries of an evaluation when somebody asks; an ordinary run pays nothing for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kpis import stats
from kpis.evaluate.dispatches import came_in_time
from kpis.evaluate.figures import Measurement, in_time
from kpis.evaluate.population import Entry, Fate
from kpis.evaluate.rows import key_of
from kpis.formulas.kinds import Aggregate, Builtin, Conversion, Formula, Interval, Ratio, Recency
from kpis.formulas.language import MICROSECONDS, SHARES, Percentile


class Place(StrEnum):
    """Where a row went, from what a reader asks about first to what matters least."""

    USED = "used"
    NEGATIVE = "negative_duration"
    INVALID = "invalid"
    MISSING = "missing"
    OPEN = "open"
    NOT_JUDGED = "not_judged"
    CANCELLED = "cancelled"
    DUPLICATE = "duplicate"
    NOT_COUNTED = "not_counted"
    LATER = "later"
    OUTSIDE = "outside"


_BY_REASON = {
    "negative_duration": Place.NEGATIVE,
    "not judged yet": Place.NOT_JUDGED,
    "stood down in time": Place.CANCELLED,
    "cancelled_at is not empty": Place.CANCELLED,
    "not the newest of its group": Place.DUPLICATE,
    "not the first of its kind": Place.DUPLICATE,
    "not the last of its kind": Place.DUPLICATE,
}
_BY_FATE = {
    Fate.VALID: Place.USED,
    Fate.INVALID: Place.INVALID,
    Fate.MISSED: Place.MISSING,
    Fate.OUT: Place.NOT_COUNTED,
    Fate.LATER: Place.LATER,
}
_ORDER = {place: number for number, place in enumerate(Place)}


@dataclass(frozen=True, slots=True)
class Told:
    """One row. `adds` is its part of the figure (of the row count in time, for a class); None where it has none."""

    entry: Entry
    place: Place
    adds: float | None = None

    @property
    def reason(self) -> str:
        return "outside the window" if self.place is Place.OUTSIDE else self.entry.reason


@dataclass(frozen=True, slots=True)
class Explained:
    """A figure and all its rows: those used in order of time, then the others, the gravest reason first."""

    measurement: Measurement
    rows: tuple[Told, ...]

    @property
    def used(self) -> tuple[Told, ...]:
        return tuple(row for row in self.rows if row.place is Place.USED)

    @property
    def left_out(self) -> tuple[Told, ...]:
        return tuple(row for row in self.rows if row.place is not Place.USED)


def tell(
    formula: Formula,
    found: Measurement,
    entries: Iterable[Entry],
    outside: Iterable[Entry] = (),
    *,
    periods: float | None = 1,
) -> Explained:
    """The rows behind `found`, which `entries` gave; `outside` are those of the same group beyond the window."""
    chosen = list(entries)
    valid = sorted((entry for entry in chosen if entry.fate is Fate.VALID), key=in_time)
    adds = shares(formula, valid, periods) if found.value is not None else [None] * len(valid)
    used = [Told(entry, Place.USED, share) for entry, share in zip(valid, adds, strict=True)]
    others = [Told(entry, _place(entry)) for entry in chosen if entry.fate is not Fate.VALID]
    others += [Told(entry, Place.OUTSIDE) for entry in outside if entry.fate is Fate.VALID]
    return Explained(found, (*used, *sorted(others, key=lambda row: (_ORDER[row.place], row.entry.ref))))


def _place(entry: Entry) -> Place:
    if entry.fate is Fate.OUT and entry.is_due_later:
        return Place.OPEN
    return _BY_REASON.get(entry.reason, _BY_FATE[entry.fate])


def shares(formula: Formula, valid: Sequence[Entry], periods: float | None) -> list[float | None]:
    """What each valid entry adds to the value, in its unit. For a class: 1 for each dispatch that came in time."""
    calc = formula.calc
    match calc:
        case Ratio() | Conversion() | Recency():
            return list(_of_share(calc, SHARES[formula.unit], valid))
        case Interval():
            return list(_of_values(calc.agg, [entry.value for entry in valid], MICROSECONDS[calc.unit]))
        case Aggregate():
            scale = (MICROSECONDS[formula.duration_unit] if formula.duration_unit else 1) * (periods or 1)
            if calc.then is not None:
                return list(_of_groups(calc, valid, scale))
            return list(_of_values(calc.agg, [entry.value for entry in valid], scale))
        case Builtin():
            return [float(came_in_time(entry)) for entry in valid]
    raise ValueError(f"A {calc.kind} is not made of rows.")


def _of_share(calc: Ratio | Conversion | Recency, scale: int, valid: Sequence[Entry]) -> list[float]:
    whole = sum(entry.value[1] for entry in valid)
    is_complement = isinstance(calc, Ratio) and calc.complement
    parts = [entry.value[1] - entry.value[0] if is_complement else entry.value[0] for entry in valid]
    return [scale * part / whole for part in parts]


def _of_values(agg: str | Percentile, values: Sequence[Any], scale: float) -> list[float]:
    if agg == "count":
        return [1 / scale] * len(values)
    if agg == "count_distinct":
        first = {value: at for at, value in reversed(list(enumerate(values)))}
        return [float(first[value] == at) / scale for at, value in enumerate(values)]
    return [weight * value / scale for weight, value in zip(_weights(agg, values), values, strict=True)]


def _of_groups(calc: Aggregate, valid: Sequence[Entry], scale: float) -> list[float]:
    """A value of values: each row adds to its group what it would add alone, times what the group weighs."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for at, entry in enumerate(valid):
        groups[key_of(entry.row, calc.per)].append(at)
    inner = [_of_values(calc.agg, [valid[at].value for at in members], 1) for members in groups.values()]
    found = [0.0] * len(valid)
    if calc.then == "count":
        for members in groups.values():
            found[members[0]] = 1 / scale
        return found
    weights = _weights(str(calc.then), [sum(each) for each in inner])
    for members, adds, weight in zip(groups.values(), inner, weights, strict=True):
        for at, share in zip(members, adds, strict=True):
            found[at] = weight * share / scale
    return found


def _weights(agg: str | Percentile, values: Sequence[Any]) -> list[float]:
    """How much each value weighs in the result; all but one or two weigh nothing in a median or a maximum."""
    if isinstance(agg, Percentile) or agg == "median":
        p, method = (agg.p, agg.method) if isinstance(agg, Percentile) else (50, "cont")
        return _at_ranks(values, stats.ranks(len(values), p, method))
    if agg in ("avg", "sum"):
        return [1 / len(values) if agg == "avg" else 1.0] * len(values)
    chosen = {"min": 0, "max": len(values) - 1}.get(agg)
    if chosen is not None:
        return _at_ranks(values, {chosen: 1.0})
    return [float(at == (0 if agg == "first" else len(values) - 1)) for at in range(len(values))]


def _at_ranks(values: Sequence[Any], weight_of: dict[int, float]) -> list[float]:
    by_rank = sorted(range(len(values)), key=lambda at: (values[at], at))
    rank_of = {at: rank for rank, at in enumerate(by_rank)}
    return [weight_of.get(rank_of[at], 0.0) for at in range(len(values))]
