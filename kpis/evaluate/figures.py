"""One figure from the entries of its rows, with the proof of it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kpis import stats
from kpis.evaluate.dispatches import standing
from kpis.evaluate.population import Entry, Fate
from kpis.evaluate.rows import key_of
from kpis.formulas.kinds import Aggregate, Builtin, Conversion, Formula, Interval, Ratio, Recency
from kpis.formulas.language import MICROSECONDS, SHARES, Percentile


class Measurement(NamedTuple):
    """One figure and its proof. `value` is in the formula's unit, or None with the `reason`; never 0 for unknown.

    n counts the valid values, eligible the rows that should have given one. `excluded` and `invalid` count rows by
    reason; an excluded row is eligible when it was MISSED. `used` names the rows behind the value, `left_out` every
    other row with its reason, also those after as_of, which are counted nowhere. median and p90 accompany averages and
    durations. numerator and denominator belong to shares, classes and composites.
    """

    value: float | None
    reason: str | None
    n: int
    eligible: int
    excluded: Mapping[str, int]
    invalid: Mapping[str, int]
    numerator: float | None
    denominator: float | None
    coverage: float | None
    mean_confidence: float | None
    confidence: float | None
    median: float | None
    p90: float | None
    used: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def summarise(formula: Formula, entries: Sequence[Entry], *, is_alive: bool, periods: float | None) -> Measurement:
    """The figure the entries give.

    `is_alive`: the source has spoken before, so that no rows are a true zero for a count.
    `periods`: how many periods of `every` lie in the window; None when the window has no length.
    """
    return summarise_in_time(formula, sorted(entries, key=in_time), is_alive=is_alive, periods=periods)


def summarise_in_time(
    formula: Formula, entries: Sequence[Entry], *, is_alive: bool, periods: float | None
) -> Measurement:
    """The same for entries that are sorted by `in_time` already: one sort serves every window and group."""
    valid = [entry for entry in entries if entry.fate is Fate.VALID]
    others = [entry for entry in entries if entry.fate is not Fate.VALID] if len(valid) < len(entries) else []
    invalid = _counts([entry.reason for entry in others if entry.fate is Fate.INVALID])
    n = sum([entry.counts for entry in valid])
    eligible = n + sum([entry.is_eligible for entry in others])
    found = _figure(formula, valid, periods, is_zero=is_alive and not eligible)
    coverage = n / eligible if eligible else None
    trust = _mean_confidence(valid)
    return Measurement(
        value=found.value,
        reason=None if found.value is not None else found.reason or _why_nothing(formula, eligible, invalid),
        n=n,
        eligible=eligible,
        excluded=_counts([entry.reason for entry in others if entry.fate is Fate.MISSED or entry.fate is Fate.OUT]),
        invalid=invalid,
        numerator=found.numerator,
        denominator=found.denominator,
        coverage=_three(coverage),
        mean_confidence=_three(trust),
        confidence=_three(coverage * trust if coverage is not None and trust is not None else None),
        median=found.median,
        p90=found.p90,
        used=_refs(valid),
        left_out=tuple(sorted((entry.ref, entry.reason) for entry in others)),
    )


def _refs(valid: Sequence[Entry]) -> tuple[str, ...]:
    """The rows behind a value, each once, sorted. Only an interval has a second row that others may share."""
    refs = [str(entry.row["ref"]) for entry in valid]
    ends = [str(entry.end["ref"]) for entry in valid if entry.end is not None]
    return tuple(sorted(dict.fromkeys(refs + ends))) if len(refs) > 1 or ends else tuple(refs)


def stable(value: float) -> float:
    """`value` to 9 significant digits: what is hashed and compared, so that no revision is born of rounding."""
    return float(f"{value:.9g}") + 0.0  # -0.0 + 0.0 is 0.0


class _Figure(NamedTuple):
    value: float | None = None
    reason: str | None = None
    numerator: float | None = None
    denominator: float | None = None
    median: float | None = None
    p90: float | None = None


def _figure(formula: Formula, valid: Sequence[Entry], periods: float | None, *, is_zero: bool) -> _Figure:
    calc = formula.calc
    try:
        match calc:
            case Ratio() | Conversion() | Recency():
                return _share(calc, SHARES[formula.unit], valid)
            case Aggregate():
                return _aggregate(calc, formula.duration_unit, valid, periods, is_zero=is_zero)
            case Interval():
                return _spread(calc.agg, [entry.value for entry in valid], MICROSECONDS[calc.unit])
            case Builtin():
                return _class(calc, valid)
        raise ValueError(f"A {calc.kind} is not made of rows.")
    except OverflowError:
        return _Figure(reason="overflow")


def _class(calc: Builtin, valid: Sequence[Entry]) -> _Figure:
    found = standing(calc, valid)
    return _Figure(
        value=None if found.rating is None else float(found.rating),
        reason="unrated" if valid else None,
        numerator=float(found.met),
        denominator=float(found.n),
        median=found.median,
        p90=found.p90,
    )


def _share(calc: Ratio | Conversion | Recency, scale: int, valid: Sequence[Entry]) -> _Figure:
    part = math.fsum(entry.value[0] for entry in valid)
    whole = math.fsum(entry.value[1] for entry in valid)
    part = whole - part if isinstance(calc, Ratio) and calc.complement else part
    if not whole:
        return _Figure(numerator=part, denominator=whole)
    return _Figure(value=scale * part / whole, numerator=part, denominator=whole)


def _aggregate(
    calc: Aggregate, unit: str | None, valid: Sequence[Entry], periods: float | None, *, is_zero: bool
) -> _Figure:
    scale = MICROSECONDS[unit] if unit else 1
    if not valid and is_zero and calc.agg in ("count", "count_distinct", "sum"):
        return _Figure(value=0.0)
    if periods is None:
        return _Figure(reason="no_period")
    if calc.then is not None:
        groups: dict[tuple[object, ...], list[Entry]] = defaultdict(list)
        for entry in valid:
            groups[key_of(entry.row, calc.per)].append(entry)
        inner = [_reduce(calc.agg, [entry.value for entry in group]) for group in groups.values()]
        return _Figure(value=_reduce(calc.then, inner) / scale / periods) if inner else _Figure()
    values = [entry.value for entry in valid]
    if unit or isinstance(calc.agg, Percentile) or calc.agg in ("avg", "median"):
        return _spread(calc.agg, values, scale)
    return _Figure(value=_reduce(calc.agg, values) / periods) if values else _Figure()


def _spread(agg: str | Percentile, values: Sequence[stats.Number], scale: int) -> _Figure:
    """A figure with its companions: a mean alone hides the slow ones."""
    if not values:
        return _Figure()
    if len(values) == 1 and agg not in ("count", "count_distinct"):  # every sample of one row: all three are that value
        only = float(values[0]) / scale
        return _Figure(value=only, median=only, p90=only)
    ordered = sorted(values)  # sorting what is sorted costs next to nothing
    median, p90 = stats.median(ordered) / scale, stats.percentile(ordered, 90) / scale
    return _Figure(value=_reduce(agg, values) / scale, median=median, p90=p90)


_REDUCERS: Mapping[str, Callable[[Sequence[Any]], float]] = {
    "count": len,
    "count_distinct": lambda values: len(set(values)),
    "sum": math.fsum,
    "avg": stats.mean,
    "median": stats.median,
    "min": min,
    "max": max,
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
}


def _reduce(agg: str | Percentile, values: Sequence[stats.Number]) -> float:
    """One number from values in order of time."""
    if isinstance(agg, Percentile):
        return stats.percentile(values, agg.p, agg.method)
    return float(_REDUCERS[agg](values))


def _why_nothing(formula: Formula, eligible: int, invalid: Mapping[str, int]) -> str:
    if eligible and sum(invalid.values()) == eligible:
        return "all_invalid"
    return "zero_denominator" if isinstance(formula.calc, Ratio | Conversion | Recency) else "no_samples"


def in_time(entry: Entry) -> tuple[bool, object, str]:
    """A sort key: the order in which `first` and `last` are meant."""
    return entry.at is None, entry.at or 0, entry.ref


def _mean_confidence(valid: Sequence[Entry]) -> float | None:
    known = [one for entry in valid if (one := entry.confidence) is not None]
    return stats.mean(known) if known else None


def _three(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _counts(reasons: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(reasons).items())) if reasons else {}
