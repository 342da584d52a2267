"""What becomes of an alert rule, from its figures alone."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from kpis.alerts.rules import NoData, Reading, Terms, due_steps, fired, from_then_on, replay
from tests.factories import NOON

DAY = timedelta(days=1)
LOW = Terms("lt", 40.0)
WEEK = Terms("lt", 60.0, hold=timedelta(days=7))


def days(*values: float | None) -> list[Reading]:
    """One figure a day from noon on."""
    return [Reading(NOON + place * DAY, value) for place, value in enumerate(values)]


def course(terms: Terms, *values: float | None, until: float = 30, acknowledged: tuple[float, ...] = ()) -> list[str]:
    acks = [NOON + day * DAY for day in acknowledged]
    found = replay(terms, days(*values), NOON + until * DAY, acknowledged=acks)
    return [f"{change.state.value} {(change.at - NOON) / DAY:g}" for change in found.changes]


def test_it_fires_at_the_first_figure_beyond_the_limit_and_is_resolved_by_the_first_within() -> None:
    assert course(LOW, 50, 39, 38, 40, 12) == ["firing 1", "resolved 3", "firing 4"]


def test_exactly_on_the_limit_is_within_it() -> None:
    assert course(LOW, 40) == []


def test_what_must_hold_is_pending_first_and_fires_at_the_end_of_that_time() -> None:
    assert course(WEEK, *[50] * 10) == ["pending 0", "firing 7"]
    assert course(WEEK, *[50] * 6, 61, 50, until=7) == ["pending 0", "ok 6", "pending 7"]


def test_a_figure_within_the_limit_at_the_last_moment_saves_it() -> None:
    assert course(WEEK, *[50] * 7, 61) == ["pending 0", "ok 7"]


def test_no_data_keeps_what_was_unless_the_rule_says_otherwise() -> None:
    assert course(LOW, 39, None, None) == ["firing 0"]
    assert course(Terms("lt", 40.0, no_data=NoData.OK), 39, None) == ["firing 0", "resolved 1"]
    assert course(Terms("lt", 40.0, no_data=NoData.FIRE), 50, None) == ["firing 1"]


def test_only_what_fires_is_acknowledged_and_the_next_time_begins_anew() -> None:
    assert course(LOW, 39, 50, 39, acknowledged=(0.5, 1.5)) == [
        "firing 0", "acknowledged 0.5", "resolved 1", "firing 2",
    ]  # fmt: skip


def test_what_was_known_before_the_watch_began_counts_as_read_then() -> None:
    found = from_then_on(days(39, 38, 50), NOON + 1.5 * DAY)
    assert [(each.at, each.value) for each in found] == [(NOON + 1.5 * DAY, 38), (NOON + 2 * DAY, 50)]


VALUES = st.lists(st.one_of(st.none(), st.integers(30, 70)), max_size=20)


@given(VALUES, st.integers(0, 20), st.sampled_from([LOW, WEEK]))
def test_looking_early_changes_nothing_of_what_comes(values: list[float | None], early: int, terms: Terms) -> None:
    """What was found on some day is the beginning of what is found later: nothing depends on when somebody looks."""
    readings = days(*values)
    moment = NOON + early * DAY
    first = replay(terms, readings, moment).changes
    whole = replay(terms, readings, NOON + 40 * DAY).changes
    assert whole[: len(first)] == first


@given(VALUES)
def test_the_order_in_which_figures_come_does_not_matter(values: list[float | None]) -> None:
    readings = days(*values)
    until = NOON + 40 * DAY
    assert replay(WEEK, readings[::-1], until).changes == replay(WEEK, readings, until).changes
    assert fired(replay(LOW, readings, until)) <= len(values)


def test_each_step_is_told_once_when_its_time_has_come() -> None:
    at = [NOON + timedelta(minutes=minutes) for minutes in (0, 14, 15)]
    assert [due_steps([0, 15], NOON, told, now) for told, now in zip(([], [0], [0]), at, strict=True)] == [
        [0],
        [],
        [15],
    ]
