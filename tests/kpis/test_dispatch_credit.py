"""The class of a team: the golden values of the design note (section 5), to the last digit shown there."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpis.dispatch_credit import (
    DEFAULT,
    UNRATED,
    Credit,
    Dispatch,
    Outcome,
    Status,
    Tally,
    Trend,
    arrivals_of,
    credit,
    outcome_of,
    overall,
    rating_of,
    tally,
    trend,
)
from kpis.stats import wilson
from tests.kpis import at

BOX3 = DEFAULT.levels["box3"]
INF = math.inf

#: case: level, n, met, p90, ack met, ack n; then WL arrival, WL ack, points, status, class.
GOLDEN = {
    "A strong": ("box3", 20, 20, 4.5, 20, 20, 0.9241, 0.9241, 93.17, "rated", 1),
    "B good": ("box3", 20, 17, 5.5, 17, 20, 0.7216, 0.7216, 74.03, "rated", 3),
    "C slow": ("box3", 12, 3, 22, 4, 12, 0.1269, 0.1886, 14.93, "rated", 9),
    "D too few": ("box3", 4, 4, 3, 4, 4, None, None, None, "unrated", None),
    "E provisional": ("box2", 8, 7, 11, 6, 8, 0.6604, 0.5237, 65.80, "provisional", 4),
    "F no ack rule": ("box1", 10, 9, 18, 0, 0, 0.7176, None, 75.29, "rated", 3),
    "G two no-shows": ("box3", 10, 8, INF, 5, 6, 0.6016, 0.5747, 53.61, "rated", 5),
    "H never on time": ("box3", 10, 0, 18, 0, 10, 0.0, 0.0, 2.78, "rated", 10),
    "I ack coverage": ("box3", 10, 10, 5.0, 3, 3, 0.8589, None, 87.66, "rated", 2),
    "J sixty perfect": ("box3", 60, 60, 3.5, 60, 60, 0.9734, 0.9734, 97.60, "rated", 1),
}


def golden(case: str) -> Credit:
    level, n, met, p90, ack_met, ack_n = GOLDEN[case][:6]
    return credit(Tally(n, met, p90, ack_n=ack_n, ack_met=ack_met), DEFAULT.levels[level])


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_classes(case):
    found = golden(case)
    bounds = [None if bound is None else round(bound, 4) for bound in (found.arrival, found.ack)]
    assert [*bounds, found.points, found.status, found.rating] == list(GOLDEN[case][6:])


@pytest.mark.parametrize(
    ("n", "bound"), [(5, 0.7527), (10, 0.8589), (14, 0.8950), (15, 0.9013), (20, 0.9241), (30, 0.9481), (60, 0.9734)]
)
def test_a_perfect_record_is_worth_more_the_longer_it_is(n, bound):
    assert round(wilson(n, n, DEFAULT.z)[0], 4) == bound


def dispatches(*minutes: float | None) -> list[Dispatch]:
    """Pages at 10:00 that were answered after so many minutes, or never."""
    start = at("10:00")
    arrived = [None if one is None else start + timedelta(minutes=one) for one in minutes]
    return [Dispatch(start, arrived_at=one, incident_is_over=True) for one in arrived]


RAW = dispatches(3, 4, 4.5, 5.0, 2.5, 4.9, 6.2, None, 4.2, 3.1)


def test_raw_rows_give_the_golden_class():
    counts = tally(RAW, BOX3)
    assert counts == Tally(n=10, met=8, p90=6.2)
    mean, median = arrivals_of(RAW)
    assert (round(mean, 4), median) == (4.1556, 4.2)
    found = credit(counts, BOX3)
    assert (found.points, found.status, found.rating, found.ack) == (62.72, Status.RATED, 4, None)


def test_nobody_came():
    assert arrivals_of(dispatches(None)) == (None, None)
    assert tally([], BOX3) == Tally(n=0, met=0, p90=INF)


def test_team_overall_weighs_its_rated_levels():
    found = overall({"box3": golden("B good"), "box1": golden("F no ack rule")})
    assert (found.points, found.rating) == (74.39, 3)


def test_overall_is_never_better_than_box_3():
    slow, perfect = golden("G two no-shows"), golden("J sixty perfect")
    found = overall({"box3": slow, "box2": perfect, "box1": perfect})
    assert (found.points, found.rating) == (75.61, 5)
    provisional = replace(slow, status=Status.PROVISIONAL)
    assert overall({"box3": provisional, "box2": perfect}).rating == 5


def test_overall_needs_a_level_that_asks_something():
    perfect = golden("J sixty perfect")
    assert overall({"box1": perfect, "box3": golden("D too few")}) == UNRATED
    assert overall({"box1": perfect, "box2": golden("E provisional")}) == UNRATED
    assert overall({"box2": perfect}).rating == 1
    assert overall({}) == UNRATED


@pytest.mark.parametrize(
    ("recent", "before", "expected"),
    [
        ((9, 10), (12, 20), Trend.UNCLEAR),
        ((10, 10), (8, 20), Trend.BETTER),
        ((8, 20), (10, 10), Trend.WORSE),
        ((4, 4), (0, 20), Trend.UNKNOWN),
        ((5, 5), (0, 0), Trend.UNKNOWN),
    ],
)
def test_trend_has_an_arrow_only_when_it_is_clear(recent, before, expected):
    counts = [Tally(n, met, p90=INF if met < 0.9 * n else 5) for met, n in (recent, before)]
    assert trend(*counts) is expected


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(9, 10, 0.7176, 0.9696), (12, 20, 0.4572, 0.7276), (10, 10, 0.8589, 1.0), (8, 20, 0.2724, 0.5428)],
)
def test_wilson_intervals(hits, n, low, high):
    assert tuple(round(bound, 4) for bound in wilson(hits, n, DEFAULT.z)) == (low, high)


PAGED = at("10:00")
OUTCOMES = {
    "in time to the microsecond": ({"arrived_at": at("10:05")}, Outcome.MET),
    "a moment late": ({"arrived_at": at("10:05:00.000001")}, Outcome.MISSED),
    "came before it was called": ({"arrived_at": at("09:59")}, Outcome.INVALID),
    "came though stood down": ({"arrived_at": at("10:04"), "cancelled_at": at("10:03")}, Outcome.MET),
    "stood down in time": ({"cancelled_at": at("10:04:59")}, Outcome.CANCELLED),
    "stood down too late": ({"cancelled_at": at("10:05")}, Outcome.NO_SHOW),
    "incident over": ({"incident_is_over": True}, Outcome.NO_SHOW),
    "still awaited": ({}, Outcome.PENDING),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_outcomes(case):
    known, expected = OUTCOMES[case]
    assert outcome_of(Dispatch(PAGED, **known), BOX3, as_of=at("10:15")) is expected


def test_patience_ends_after_three_times_the_limit():
    assert outcome_of(Dispatch(PAGED), BOX3, as_of=at("10:15:00.000001")) is Outcome.NO_SHOW
    assert outcome_of(Dispatch(PAGED), DEFAULT.levels["box1"], as_of=at("11:00")) is Outcome.PENDING


def test_an_acknowledgement_before_the_page_is_none():
    assert Dispatch(PAGED, acknowledged_at=at("09:59")).ack is None
    assert Dispatch(PAGED, acknowledged_at=at("10:01:30")).ack == 1.5


@pytest.mark.parametrize(("n", "ack_n", "is_scored"), [(8, 4, False), (11, 5, False), (10, 5, True)])
def test_acknowledging_is_scored_from_five_and_half_of_the_pages(n, ack_n, is_scored):
    found = credit(Tally(n=n, met=n, p90=4, ack_n=ack_n, ack_met=ack_n), BOX3)
    assert (found.ack is not None) == is_scored


def test_counts_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="9 of 10 met 5 min, but their p90 is 6 min"):
        credit(Tally(n=10, met=9, p90=6), BOX3)


def test_arriving_at_once_is_no_division_by_zero():
    assert credit(Tally(n=10, met=10, p90=0.0), BOX3).points == 87.66


@pytest.mark.parametrize(("points", "rating"), [(100, 1), (90, 1), (89.99, 2), (80, 2), (10, 9), (9.99, 10), (0, 10)])
def test_classes_of_points(points, rating):
    assert rating_of(points) == rating


@given(st.lists(st.none() | st.integers(0, 60), min_size=5, max_size=30), st.data())
def test_order_never_matters_and_being_late_never_pays(minutes, data):
    found = credit(tally(dispatches(*minutes), BOX3), BOX3)
    assert credit(tally(dispatches(*data.draw(st.permutations(minutes))), BOX3), BOX3) == found
    worse = [*minutes]
    worse[data.draw(st.integers(0, len(minutes) - 1))] = None
    assert credit(tally(dispatches(*worse), BOX3), BOX3).points <= found.points
