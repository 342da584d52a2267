"""What became of a promise. Pure: no database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from incidents.errors import NextUpdateMissing, ReasonMissing
from incidents.lifecycle import Status
from incidents.promises import Outcome, check_next_update, is_worth_an_alert, promises, tally, usual_interval
from majorops.lib.errors import Invalid
from tests.factories import NOON, at


@dataclass
class Cut:
    published_at: datetime
    next_update_eta: datetime | None = None
    is_resolution: bool = False

    @property
    def id(self) -> str:
        return self.published_at.isoformat()


@dataclass
class Move:
    recorded_at: datetime
    due_at: datetime
    of: Cut
    id: str = "move"

    @property
    def milestone_id(self) -> str:
        return self.of.id


def outcomes(cuts: list[Cut], now: str, *moves: Move) -> list[str]:
    return [promise.outcome.value for promise in promises(cuts, at(now), moves)]


@pytest.mark.parametrize(
    ("now", "verdict"), [("12:29", "pending"), ("12:30", "pending"), ("12:30:00.001", "missed"), ("14:00", "missed")]
)
def test_silence_is_pending_until_due_and_then_a_miss(now: str, verdict: str) -> None:
    assert outcomes([Cut(NOON, at("12:30"))], now) == [verdict]


@pytest.mark.parametrize(("next_cut", "verdict"), [("12:20", "kept"), ("12:30", "kept"), ("12:30:00.001", "missed")])
def test_the_next_milestone_delivers(next_cut: str, verdict: str) -> None:
    assert outcomes([Cut(NOON, at("12:30")), Cut(at(next_cut), at("15:00"))], "14:00")[0] == verdict


@pytest.mark.parametrize(("resolved", "verdict"), [("12:20", "waived"), ("12:30", "waived"), ("12:31", "missed")])
def test_a_resolution_closes_what_is_not_overdue(resolved: str, verdict: str) -> None:
    assert outcomes([Cut(NOON, at("12:30")), Cut(at(resolved), is_resolution=True)], "14:00") == [verdict]


def test_closed_by_a_resolution_counts_as_kept() -> None:
    ledger = list(promises([Cut(NOON, at("12:30")), Cut(at("12:20"), is_resolution=True)], at("14:00")))
    assert (tally(ledger, at("14:00")).kept, tally(ledger, at("14:00")).judged) == (1, 1)


def test_a_resolution_and_a_milestone_without_a_time_promise_nothing() -> None:
    cuts = [Cut(NOON), Cut(at("12:10"), at("13:00"), is_resolution=True)]
    assert list(promises(cuts, at("14:00"))) == []


def test_moved_before_it_is_due_is_neither_kept_nor_missed() -> None:
    first = Cut(NOON, at("12:30"))
    move = Move(at("12:30"), at("12:50"), first)
    assert outcomes([first], "12:40", move) == ["revised", "pending"]
    assert outcomes([first, Cut(at("12:50"), at("13:30"))], "12:55", move) == ["revised", "kept", "pending"]


def test_moved_after_it_was_due_is_missed_and_the_new_one_is_judged_too() -> None:
    first = Cut(NOON, at("12:30"))
    move = Move(at("12:31"), at("12:50"), first)
    assert outcomes([first], "12:40", move) == ["missed", "pending"]
    assert outcomes([first, Cut(at("12:51"), at("13:30"))], "12:55", move) == ["missed", "missed", "pending"]


def test_misses_add_up_how_late_they_were() -> None:
    cuts = [Cut(NOON, at("12:30")), Cut(at("12:34"), at("13:00")), Cut(at("12:50"), is_resolution=True)]
    told = tally(promises(cuts, at("14:00")), at("14:00"))
    assert (told.kept, told.missed, told.late_by) == (1, 1, timedelta(minutes=4))


@pytest.mark.parametrize(("now", "worth"), [("12:31", False), ("13:00", False), ("13:00:01", True)])
def test_an_alert_waits_as_long_as_people_were_asked_to(now: str, worth: bool) -> None:
    [promise] = promises([Cut(NOON, at("12:30"))], at(now))
    assert is_worth_an_alert(promise, at(now)) is worth


def test_what_came_late_is_not_worth_an_alert_any_more() -> None:
    promise, _ = promises([Cut(NOON, at("12:10")), Cut(at("12:50"), at("15:00"))], at("14:00"))
    assert promise.outcome == Outcome.MISSED
    assert not is_worth_an_alert(promise, at("14:00"))


def test_an_active_incident_promises_the_next_update() -> None:
    with pytest.raises(NextUpdateMissing):
        check_next_update(Status.ACTIVE, None, reason="nobody knows")
    with pytest.raises(ReasonMissing):
        check_next_update(Status.MONITORING, None, reason=" ")
    with pytest.raises(Invalid):
        check_next_update(Status.RESOLVED, NOON, reason="")
    check_next_update(Status.MONITORING, None, reason="We watch it over night")
    check_next_update(Status.ACTIVE, NOON, reason="")


def test_no_change_asks_to_wait_as_long_as_the_last_time() -> None:
    [promise] = promises([Cut(NOON, at("12:20"))], at("12:10"))
    assert (usual_interval(promise), usual_interval(None)) == (timedelta(minutes=20), timedelta(minutes=30))
