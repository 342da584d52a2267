"""RULES: from the samples of a KPI to a figure of any span, week by week, and how it moved. Pure.

What a sample cannot give back (a class, a rate, a KPI made of others) is None here: see the stored rollups.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from itertools import pairwise

from kpis import stats
from kpis.formulas.kinds import Aggregate, Conversion, Formula, Interval, Ratio, Recency
from kpis.formulas.language import SHARES, Percentile

WEEK = timedelta(days=7)
#: Half a year of weeks: long enough to see a change, short enough to read.
WEEKS = 26
#: From so many weeks with a value on, limits say more than chance.
MIN_FOR_LIMITS = 12
#: What turns the mean difference between neighbours into three standard deviations of single values (XmR chart).
MOVING_RANGE_FACTOR = 2.66
#: An average can be rebuilt from these; a rate or a class cannot.
_REBUILT = {"avg", "median", "sum", "count", "min", "max"}


@dataclass(frozen=True, slots=True)
class Sampled:
    """One stored sample: the figure of one incident or dispatch."""

    at: datetime
    value: float
    n: int = 1
    numerator: float | None = None
    denominator: float | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """Samples taken together. `value` is None for none of them."""

    value: float | None
    n: int
    median: float | None = None
    p90: float | None = None
    numerator: float | None = None
    denominator: float | None = None


def can_rebuild(formula: Formula) -> bool:
    """Whether the samples of this KPI give back its figure for any span of time."""
    match formula.calc:
        case Ratio() | Conversion() | Recency():
            return formula.subject is not None
        case Interval(agg=agg):
            return formula.subject is not None and _is_known(agg)
        case Aggregate(agg=agg, then=then, every=every):
            return formula.subject is not None and then is None and every is None and _is_known(agg)
    return False


def _is_known(agg: str | Percentile) -> bool:
    return isinstance(agg, Percentile) or agg in _REBUILT


def together(formula: Formula, samples: Sequence[Sampled]) -> Total:
    """The figure of these samples, weighing each by the rows behind it: never a mean of means."""
    n = sum(sample.n for sample in samples)
    if not samples:
        return Total(None, 0)
    if isinstance(formula.calc, Ratio | Conversion | Recency):
        return _share(SHARES[formula.unit], samples, n)
    values = [sample.value for sample in samples]
    agg = getattr(formula.calc, "agg", "avg")
    is_spread = agg not in ("sum", "count")
    return Total(
        value=_reduced(agg, samples),
        n=n,
        median=stats.median(values) if is_spread else None,
        p90=stats.percentile(values, 90) if is_spread else None,
    )


def _share(scale: int, samples: Sequence[Sampled], n: int) -> Total:
    part = math.fsum(sample.numerator or 0.0 for sample in samples)
    whole = math.fsum(sample.denominator or 0.0 for sample in samples)
    return Total(scale * part / whole if whole else None, n, numerator=part, denominator=whole)


def _reduced(agg: str | Percentile, samples: Sequence[Sampled]) -> float:
    values = [sample.value for sample in samples]
    if isinstance(agg, Percentile):
        return stats.percentile(values, agg.p, agg.method)
    if agg == "avg":
        return math.fsum(sample.value * sample.n for sample in samples) / sum(sample.n for sample in samples)
    if agg == "median":
        return stats.median(values)
    return {"min": min, "max": max}.get(agg, math.fsum)(values)


def between(samples: Iterable[Sampled], start: datetime, end: datetime) -> list[Sampled]:
    return [sample for sample in samples if start <= sample.at < end]


# --- Week by week ---


@dataclass(frozen=True, slots=True)
class Week:
    """One week from its Monday on; without a value it is a gap, never 0."""

    monday: date
    total: Total


def mondays(as_of: datetime, zone: tzinfo, count: int = WEEKS) -> list[date]:
    """The Mondays of the last weeks, the one of `as_of` last, in the reporting zone."""
    day = (as_of - timedelta(microseconds=1)).astimezone(zone).date()
    last = day - timedelta(days=day.weekday())
    return [last - (count - 1 - number) * WEEK for number in range(count)]


def weekly(formula: Formula, samples: Iterable[Sampled], as_of: datetime, zone: tzinfo) -> list[Week]:
    """The last weeks, each with the figure of its samples."""
    by_week: dict[date, list[Sampled]] = defaultdict(list)
    for sample in samples:
        by_week[monday_of(sample.at, zone)].append(sample)
    return [Week(monday, together(formula, by_week.get(monday, []))) for monday in mondays(as_of, zone)]


def monday_of(at: datetime, zone: tzinfo) -> date:
    day = at.astimezone(zone).date()
    return day - timedelta(days=day.weekday())


# --- What is ordinary, and what moved ---


@dataclass(frozen=True, slots=True)
class Limits:
    """What chance alone keeps between `low` and `high`, as it was in the weeks shown."""

    mean: float
    low: float
    high: float


def limits(values: Sequence[float], most: float = math.inf) -> Limits | None:
    """mean ± 2.66 × the mean difference between neighbours; None below twelve values.

    They stop where values cannot go: at `most`, and at 0 where no value is negative.
    """
    if len(values) < MIN_FOR_LIMITS:
        return None
    mean = stats.mean(values)
    moved = stats.mean([abs(after - before) for before, after in pairwise(values)])
    reach = MOVING_RANGE_FACTOR * moved
    floor = 0.0 if min(values) >= 0 else -math.inf
    return Limits(mean, max(floor, mean - reach), min(most, mean + reach))


@dataclass(frozen=True, slots=True)
class Move:
    """How a figure stands to that of the span before. `change` is None when either side is too small to compare."""

    before: Total
    change: float | None


def move(now: Total, before: Total, *, min_n: int) -> Move:
    """The difference, only when both spans have values and enough of them."""
    is_comparable = now.value is not None and before.value is not None and min(now.n, before.n) >= max(min_n, 1)
    if not is_comparable or now.value is None or before.value is None:
        return Move(before, None)
    return Move(before, now.value - before.value)
