"""Statistics that give the same answer on every machine and for every order of the input.

Durations come in as integer microseconds: integers interpolate exactly, floats gave 576.0000000000005.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

Number = int | float
Method = Literal["cont", "disc"]


def mean(values: Sequence[Number]) -> float:
    """The arithmetic mean. ValueError when there is nothing to average."""
    _refuse_nothing(values)
    return math.fsum(values) / len(values)


def median(values: Sequence[Number]) -> float:
    """The middle value, or halfway between the middle two."""
    return percentile(values, 50)


def percentile(values: Sequence[Number], p: Number, method: Method = "cont") -> float:
    """The value that `p` percent of the values do not exceed; 0 < p < 100.

    `cont` interpolates at rank (n-1)p/100, like SQL's percentile_cont; `disc` takes the smallest
    value with at least p percent at or below it, like percentile_disc.
    """
    _refuse_nothing(values)
    if not 0 < p < 100:
        raise ValueError("p must be above 0 and below 100.")
    if len(values) == 1:  # every sample of one row; fractions would cost a sixth of a backfill
        return float(values[0])
    ordered = sorted(values)
    share = Fraction(str(p)) / 100
    if method == "disc":
        return float(ordered[math.ceil(share * len(ordered)) - 1])
    below, rest = divmod(share * (len(ordered) - 1), 1)
    if not rest:
        return float(ordered[below])
    low, high = Fraction(ordered[below]), Fraction(ordered[below + 1])
    return float(low + (high - low) * rest)


def ranks(n: int, p: Number, method: Method = "cont") -> dict[int, float]:
    """Which ranks (from 0) of `n` ordered values make up the percentile, and how much each weighs."""
    share = Fraction(str(p)) / 100
    if method == "disc":
        return {math.ceil(share * n) - 1: 1.0}
    below, rest = divmod(share * (n - 1), 1)
    return {below: float(1 - rest), below + 1: float(rest)} if rest else {below: 1.0}


def wilson(hits: int, n: int, z: float) -> tuple[float, float]:
    """The bounds of a share of which `hits` out of `n` were seen, `z` standard deviations away (Wilson's score)."""
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"{hits} of {n} is no share.")
    share, squared = hits / n, z * z
    middle = share + squared / (2 * n)
    reach = z * math.sqrt(share * (1 - share) / n + squared / (4 * n * n))
    whole = 1 + squared / n
    # At the ends the formula gives 0 and 1, but for the last bit of a float.
    low = 0.0 if hits == 0 else (middle - reach) / whole
    return low, 1.0 if hits == n else (middle + reach) / whole


def _refuse_nothing(values: Sequence[Number]) -> None:
    if not values:
        raise ValueError("No values: the answer is unknown, not 0.")
