"""RULES: arrivals counted in buckets, each 5 % wider than the one before. Counts add and subtract exactly, so a span of
days is what stood at its end less what stood at its beginning. A mean is exact, a percentile off by 2.5 % at most.

The counts of a cell are kept summed up: place i holds how many took no longer than bucket i reaches. So a percentile
is looked up by halving, without a walk over all buckets.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from operator import add
from typing import Final, NamedTuple

RATIO = 1.05
#: The first bucket reaches half a minute: of what is faster, only that is known.
FIRST = 0.5
#: The last reaches four hours; the one after it has no end. Every bucket more makes reading slower.
BUCKETS = 128
WORST = math.sqrt(RATIO) - 1
_LOG = math.log(RATIO)
EDGES = tuple(FIRST * RATIO**place for place in range(BUCKETS - 1))
#: What a bucket stands for: the geometric middle, as far from one edge as from the other.
MIDDLES = (FIRST, *(FIRST * RATIO ** (place - 0.5) for place in range(1, BUCKETS - 1)))
#: Unsigned, four bytes on every machine that Python runs on here.
CODE: Final = "I"


class Spread(NamedTuple):
    """Mean and percentiles of so many arrivals. `is_approximate`: the percentiles come from buckets."""

    n: int
    mean: float | None
    median: float | None
    p90: float | None
    is_approximate: bool = False


NOTHING = Spread(0, None, None, None)


def bucket_of(minutes: float) -> int:
    """As width_bucket of PostgreSQL says it: an edge belongs to the bucket that it begins."""
    return bisect_right(EDGES, minutes)


class Mark(NamedTuple):
    """What stood at the end of a day. A tuple, for a page makes thousands."""

    n: int
    total: float
    counts: bytes


ZERO = Mark(0, 0.0, bytes(4 * BUCKETS))


def after(mark: Mark, buckets: Sequence[int], total: float) -> Mark:
    """What stands after some more arrivals, told by their buckets and the sum of their minutes."""
    steps = [0] * BUCKETS
    for bucket in buckets:
        steps[bucket] += 1
    counts = array(CODE, map(add, memoryview(mark.counts).cast(CODE), accumulate(steps))).tobytes()
    return Mark(mark.n + len(buckets), mark.total + total, counts)


def between(start: Mark, end: Mark) -> Spread:
    """What came after `start` and by `end`."""
    n = end.n - start.n
    if not n:
        return NOTHING
    upper, lower = memoryview(end.counts).cast(CODE), memoryview(start.counts).cast(CODE)
    mean = (end.total - start.total) / n
    median = _percentile(lower, upper, n, 50, 0)
    p90 = _percentile(lower, upper, n, 90, median)
    return Spread(n, mean, _middle(median), _middle(p90), True)


def _percentile(lower: memoryview[int], upper: memoryview[int], n: int, percent: int, low: int) -> int:
    """The bucket of the nearest rank, which is not below `low`."""
    rank = -(-percent * n // 100)
    high = BUCKETS - 1
    while low < high:
        middle = (low + high) // 2
        if upper[middle] - lower[middle] < rank:
            low = middle + 1
        else:
            high = middle
    return low


def _middle(bucket: int) -> float | None:
    """None beyond the last edge."""
    return MIDDLES[bucket] if bucket < len(MIDDLES) else None


def exactly(minutes: Sequence[float]) -> Spread:
    """The same of known arrivals, to the last digit."""
    if not minutes:
        return NOTHING
    known, n = sorted(minutes), len(minutes)
    return Spread(n, math.fsum(known) / n, known[-(-n // 2) - 1], known[-(-9 * n // 10) - 1])
