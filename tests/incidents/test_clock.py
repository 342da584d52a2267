"""How long and how late. Pure: time is handed in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from incidents.clock import (
    Promise,
    check_happened,
    check_order,
    check_promise,
    elapsed,
    impact,
    next_update,
    written_late,
)
from incidents.errors import TimeCannotBe
from tests.factories import NOON, at


@pytest.mark.parametrize(
    ("due", "state", "minutes"),
    [
        (None, Promise.NONE, None),
        ("12:06", Promise.ON_TIME, 6),
        ("12:05", Promise.DUE_SOON, 5),
        ("12:01", Promise.DUE_SOON, 1),
        ("12:00", Promise.DUE_NOW, 0),
        ("11:59:59.999", Promise.OVERDUE, 0),
        ("11:56", Promise.OVERDUE, 4),
    ],
)
def test_the_badge_of_the_next_update(due: str | None, state: Promise, minutes: int | None) -> None:
    badge = next_update(due and at(due), NOON)
    assert (badge.state, badge.minutes) == (state, minutes)


def test_a_clock_stops_where_it_ended() -> None:
    assert elapsed(at("11:00"), NOON) == timedelta(hours=1)
    assert elapsed(at("11:00"), NOON, until=at("11:30")) == timedelta(minutes=30)


def test_without_an_alert_time_the_impact_is_unknown_not_zero() -> None:
    assert impact(None, NOON) is None
    assert impact(at("11:50"), NOON) == timedelta(minutes=10)


def test_an_entry_is_late_after_more_than_two_minutes() -> None:
    assert written_late(NOON, at("12:02")) is None
    assert written_late(NOON, at("12:14")) == timedelta(minutes=14)


def test_nothing_happens_in_the_future_but_clocks_may_run_ahead() -> None:
    check_happened(at("12:05"), NOON)
    with pytest.raises(TimeCannotBe, match="in the future"):
        check_happened(at("12:05:00.001"), NOON)


def test_a_wrong_order_names_both_times() -> None:
    with pytest.raises(TimeCannotBe, match=r"arrived 2026-03-02T11:58:00.000Z .* 2026-03-02T12:00:00.000Z"):
        check_order(NOON, at("11:58"), sentence="arrived {later} before {earlier}", field="arrived_at")


def test_a_promise_lies_ahead() -> None:
    check_promise(None, NOON)
    check_promise(at("12:30"), NOON)
    with pytest.raises(TimeCannotBe, match="cannot be promised"):
        check_promise(NOON, NOON)
