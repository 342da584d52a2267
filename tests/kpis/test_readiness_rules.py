"""What a record of dispatches amounts to, and what would move its class: the golden rows, run forward."""

from __future__ import annotations

import math
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpis.dispatch_credit import DEFAULT, Outcome, Status, Tally, Trend, credit, tally_of
from kpis.evidence import Evidence
from kpis.readiness_rules import Case, figures, moved, outlook, together, weekly, within
from tests.kpis import at

BOX3 = DEFAULT.levels["box3"]
RAW = (3, 4, 4.5, 5.0, 2.5, 4.9, 6.2, None, 4.2, 3.1)


def case(arrival: float | None = 4, *, age: float = 1, ack: float | None = None, **known: object) -> Case:
    outcome = Outcome.NO_SHOW if arrival is None else Outcome.MET if arrival <= 5 else Outcome.MISSED
    told = {"level": "box3", "outcome": outcome, "why": "", "confidence": 1.0, **known}
    return Case(id="x", paged=at("12:00") - timedelta(days=age), age=age, arrival=arrival, ack=ack, **told)


def test_raw_rows_give_the_golden_figures() -> None:
    found = figures([case(minutes) for minutes in RAW], "box3", 90, DEFAULT)
    assert (found.n, found.credit.points, found.credit.rating, found.credit.status) == (10, 62.72, 4, Status.RATED)
    assert (round(found.mean or 0, 4), found.median, found.rate) == (4.1556, 4.2, 0.8)
    assert found.outcomes == {Outcome.MET: 8, Outcome.MISSED: 1, Outcome.NO_SHOW: 1}


def test_the_parts_are_the_points() -> None:
    found = figures([case(minutes) for minutes in RAW], "box3", 90, DEFAULT)
    assert [(part.name, round(part.points, 2), part.most) for part in found.parts] == [
        ("arrival", 52.64, 87.5),
        ("slowest tenth", 10.08, 12.5),
    ]
    assert sum(part.points for part in found.parts) == pytest.approx(62.72, abs=0.005)


def test_a_window_ends_at_its_moment_and_begins_with_its_first_instant() -> None:
    assert len(within([case(age=30), case(age=30.001), case(age=0.001)], 30)) == 2
    assert len(within([case(age=30), case(age=30.001)], 90, after=30)) == 1


def test_too_few_have_no_class_and_no_parts() -> None:
    found = figures([case() for _ in range(4)], "box3", 90, DEFAULT)
    assert (found.credit.rating, found.credit.status, found.parts) == (None, Status.UNRATED, ())
    assert found.evidence.label is Evidence.UNVERIFIED


def test_acknowledgements_that_nobody_wrote_down_lower_the_evidence_and_not_the_points() -> None:
    few, none = ([case(ack=1 if number < count else None) for number in range(10)] for count in (3, 0))
    found = figures(few, "box3", 90, DEFAULT)
    assert found.credit.points == figures(none, "box3", 90, DEFAULT).credit.points == 87.66
    assert (found.ack_coverage, found.evidence.label) == (0.3, Evidence.PARTIAL)
    assert [reason.words for reason in found.evidence.reasons] == [
        "Only 3 of 10 dispatches have an acknowledgement written down."
    ]


@pytest.mark.parametrize(("confidence", "label"), [(0.79, Evidence.PARTIAL), (0.8, Evidence.VERIFIED)])
def test_arrivals_that_are_not_sure_lower_the_evidence(confidence: float, label: Evidence) -> None:
    found = figures([case(ack=1, confidence=confidence) for _ in range(10)], "box3", 90, DEFAULT)
    assert found.evidence.label is label


def test_what_is_not_judged_counts_neither_way_and_what_is_invalid_lowers_the_coverage() -> None:
    left_out = [case(None, outcome=outcome) for outcome in (Outcome.PENDING, Outcome.CANCELLED, Outcome.INVALID)]
    found = figures([case(ack=1) for _ in range(9)] + left_out, "box3", 90, DEFAULT)
    assert (found.n, found.coverage) == (9, 0.9)


def test_the_trend_shows_its_intervals() -> None:
    found = moved(Tally(10, 10, 5), Tally(20, 8, math.inf), DEFAULT)
    assert found.trend is Trend.BETTER
    assert [round(bound, 4) for bound in found.recent_interval or ()] == [0.8589, 1.0]
    assert moved(Tally(0, 0, math.inf), Tally(5, 5, 4), DEFAULT).recent_interval is None


def test_levels_together_are_shares_of_their_own_limits() -> None:
    found = together([Tally(10, 9, 5), Tally(20, 3, 30)])
    assert (found.n, found.met) == (30, 12)


# --- What would move the class ---


def test_the_next_class_of_the_golden_rows() -> None:
    """So many more, and not one fewer."""
    arrivals = [math.inf if minutes is None else minutes for minutes in RAW]
    found = outlook(arrivals, [], BOX3, DEFAULT)
    assert found.goal == 3
    assert found.on_time is not None
    assert found.on_time.count is not None
    more = found.on_time.count
    reached, short = (
        credit(tally_of([*arrivals, *[5.0] * count], [2.0] * count, BOX3), BOX3) for count in (more, more - 1)
    )
    assert (reached.rating, short.rating) == (3, 4)
    assert found.on_time.points == reached.points


def test_a_building_record_is_told_how_many_are_missing() -> None:
    found = outlook([4.0, 4.0, 4.0], [1.0, 1.0, 1.0], BOX3, DEFAULT)
    assert found.goal is None
    assert found.on_time is not None
    assert found.on_time.count == 2
    assert found.no_show.rating is None


def test_the_best_class_has_nothing_to_reach_and_something_to_lose() -> None:
    found = outlook([4.0] * 20, [1.0] * 20, BOX3, DEFAULT)
    assert (found.goal, found.on_time, found.acknowledged) == (None, None, None)
    assert found.no_show.points is not None
    assert found.late.points is not None
    assert found.no_show.points <= found.late.points == 88.23


def test_acknowledging_alone_can_be_enough() -> None:
    """Nine of ten came in time, five acknowledged late: acknowledging those is worth a class."""
    arrivals, acks = [4.0] * 9 + [6.0], [1.0] * 5 + [3.0] * 5
    found = outlook(arrivals, acks, BOX3, DEFAULT)
    assert found.acknowledged is not None
    assert found.acknowledged.count is not None
    better = [1.0] * (5 + found.acknowledged.count) + [3.0] * (5 - found.acknowledged.count)
    assert credit(tally_of(arrivals, better, BOX3), BOX3).rating == found.goal


def test_a_level_that_asks_no_acknowledgement_offers_none() -> None:
    assert outlook([30.0] * 10, [], DEFAULT.levels["box1"], DEFAULT).acknowledged is None


@given(
    st.lists(st.integers(0, 20).map(float) | st.just(math.inf), min_size=5, max_size=25),
    st.lists(st.integers(0, 8).map(float), max_size=5),
)
def test_running_forward_is_the_rule_itself(arrivals: list[float], acks: list[float]) -> None:
    """Every count before the one that is named falls short, and the named one does not."""
    found = outlook(arrivals, acks, BOX3, DEFAULT)
    if found.on_time is None or found.goal is None:
        return
    for count in range(1, min(found.on_time.count or 60, 60) + 1):
        after = credit(tally_of([*arrivals, *[5.0] * count], [*acks, *[2.0] * count], BOX3), BOX3)
        assert after.rating is not None
        assert (after.rating <= found.goal) == (count == found.on_time.count)


# --- Weeks ---


def test_a_week_without_a_dispatch_has_no_share() -> None:
    monday, next_monday = date(2026, 2, 23), date(2026, 3, 2)
    found = weekly([(monday, case(4)), (monday, case(None))], [monday, next_monday], BOX3)
    assert [(cell.n, cell.met, cell.median, cell.share) for cell in found] == [(2, 1, 4, 0.5), (0, 0, None, None)]
