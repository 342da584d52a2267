"""The golden values of percentiles (G12), exact and the same for every order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpis import stats

LATENCIES = [12, 40, 41, 55, 60, 75, 90, 110, 180, 900]
MINUTE = 60_000_000


@pytest.mark.parametrize(
    ("p", "method", "expected"),
    [
        (50, "cont", 67.5),
        (95, "cont", 576.0),
        (95, "disc", 900.0),
        (99, "cont", 835.2),
        (99, "disc", 900.0),
        (10, "disc", 12.0),
        (99.9, "disc", 900.0),
    ],
)
def test_percentiles_are_those_of_sql(p, method, expected):
    assert stats.percentile(LATENCIES, p, method) == expected


def test_durations_interpolate_exactly():
    """Ranks in floating point gave 576.0000000000005."""
    assert stats.percentile([minutes * MINUTE for minutes in LATENCIES], 95) / MINUTE == 576.0


def test_mean_and_median():
    assert stats.mean(LATENCIES) == 156.3
    assert stats.median(LATENCIES) == 67.5
    assert stats.median([3, 1, 2]) == 2.0


def test_one_value_is_every_percentile():
    assert [stats.percentile([7], p, method) for p in (1, 50, 99) for method in ("cont", "disc")] == [7.0] * 6


@pytest.mark.parametrize("statistic", [stats.mean, stats.median, lambda values: stats.percentile(values, 90)])
def test_nothing_is_unknown_not_zero(statistic):
    with pytest.raises(ValueError, match="unknown, not 0"):
        statistic([])


@pytest.mark.parametrize("p", [0, 100, -5, 101])
def test_percentile_refuses_a_rank_outside_the_values(p):
    with pytest.raises(ValueError, match="above 0 and below 100"):
        stats.percentile([1], p)


@given(st.data(), st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30))
def test_order_never_matters(data, values):
    shuffled = data.draw(st.permutations(values))
    assert stats.mean(shuffled) == stats.mean(values)
    assert stats.percentile(shuffled, 95) == stats.percentile(values, 95)


@given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=30), st.integers(1, 99))
def test_percentile_lies_among_the_values(values, p):
    assert min(values) <= stats.percentile(values, p, "disc") <= max(values)
    assert stats.percentile(values, p, "disc") in values
    assert min(values) <= stats.percentile(values, p) <= max(values)
