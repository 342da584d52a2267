"""Promises through real actions, on the database: no way round the ledger, and the KPI reads what it says."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.models import User
from incidents import actions, promise_alerts
from incidents.errors import NextUpdateMissing, NothingPromised, ReasonMissing, TimeCannotBe, WrongIncident
from incidents.lifecycle import Status
from incidents.models import Incident, Milestone, MilestoneSource, PromiseAlert, PromiseMove
from incidents.promises import Outcome, tally
from kpis.sources import Scope, rows_of
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible
from tests.factories import NOON, IncidentFactory, UserFactory, at, stamp
from tests.races import race

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
#: `make drill` makes it more.
ROUNDS = int(os.environ.get("MAJOROPS_RACE_ROUNDS", "5"))


@pytest.fixture
def incident(mim: User) -> Incident:
    return actions.open_incident(title="Checkout fails", severity="critical", stamp=stamp(mim))


def cut(incident: Incident, when: str, due: str | None, *, now: str = "", **more: object) -> Milestone:
    by = stamp(when=at(when), now=at(now or when))
    return actions.cut_milestone(incident, title="News", body="x", next_update_eta=due and at(due), stamp=by, **more)


def outcomes(incident: Incident, now: str) -> list[str]:
    return [promise.outcome.value for promise in actions.ledger_of(incident, at(now))]


# --- What the ledger says ---


def test_moving_in_time_is_told_and_judged_by_the_new_time(incident: Incident, mim: User) -> None:
    cut(incident, "12:05", "12:30")
    move = actions.move_promise(incident, at("12:50"), reason="The vendor looks", stamp=stamp(mim, at("12:20")))
    cut(incident, "12:50", "13:20")
    assert outcomes(incident, "13:00") == ["revised", "kept", "pending"]
    entry = incident.timeline.get(title="Next update moved from 12:30 UTC to 12:50 UTC")
    assert (entry.visibility, entry.description, move.moved_by) == ("public", "The vendor looks", mim)


def test_moving_too_late_stays_missed(incident: Incident, mim: User) -> None:
    cut(incident, "12:05", "12:30")
    actions.move_promise(incident, at("12:50"), reason="Busy", stamp=stamp(mim, at("12:31")))
    assert outcomes(incident, "12:40") == ["missed", "pending"]


def test_moving_does_not_pass_for_a_word_to_those_who_wait(incident: Incident, mim: User) -> None:
    cut(incident, "12:05", "12:30")
    actions.move_promise(incident, at("12:50"), reason="Busy", stamp=stamp(mim, at("12:20")))
    row = Incident.objects.get()
    assert (row.next_update_eta, row.last_communicated_at) == (at("12:50"), at("12:05"))


@pytest.mark.parametrize(("due", "reason", "refusal"), [("12:20", "x", TimeCannotBe), ("12:50", " ", ReasonMissing)])
def test_a_move_needs_a_later_time_and_a_reason(incident: Incident, due: str, reason: str, refusal: type) -> None:
    cut(incident, "12:05", "12:30")
    with pytest.raises(refusal):
        actions.move_promise(incident, at(due), reason=reason, stamp=stamp(when=at("12:20")))
    assert not PromiseMove.objects.exists()


def test_nothing_promised_cannot_be_moved(incident: Incident) -> None:
    with pytest.raises(NothingPromised):
        actions.move_promise(incident, at("12:50"), reason="x", stamp=stamp(when=at("12:20")))


def test_back_dating_does_not_make_an_update_earlier(incident: Incident) -> None:
    cut(incident, "12:05", "12:30")
    cut(incident, "12:29", "13:00", now="12:40")
    assert outcomes(incident, "12:45") == ["missed", "pending"]


def test_a_back_dated_milestone_promises_nothing_that_is_past(incident: Incident) -> None:
    with pytest.raises(TimeCannotBe):
        cut(incident, "12:05", "12:30", now="12:40")


def test_no_change_keeps_the_promise_and_makes_one_as_long(incident: Incident, mim: User) -> None:
    cut(incident, "12:05", "12:25")
    said = actions.publish_no_change(incident, stamp=stamp(mim, at("12:25")))
    assert (said.next_update_eta, said.title) == (at("12:45"), "No change, next update 12:45 UTC")
    assert outcomes(incident, "12:30") == ["kept", "pending"]


def test_active_needs_a_promise_and_monitoring_a_reason(incident: Incident) -> None:
    with pytest.raises(NextUpdateMissing):
        cut(incident, "12:05", None)
    actions.change_status(incident, Status.MONITORING, stamp=stamp(when=at("12:06")))
    with pytest.raises(ReasonMissing):
        cut(incident, "12:07", None)
    assert cut(incident, "12:08", None, no_promise_reason="Over night").no_promise_reason == "Over night"


def test_resolving_closes_the_ledger(incident: Incident) -> None:
    cut(incident, "12:05", "12:30")
    actions.resolve(incident, summary="Over.", stamp=stamp(when=at("12:20")))
    assert outcomes(incident, "14:00") == ["waived"]


# --- G6 and G8 ---


def judged(incident: Incident, now: str) -> list[bool]:
    rows = list(rows_of("update_promises", Scope(as_of=at(now), incident_id=incident.pk)))
    return [
        row["delivered_at"] is not None and row["delivered_at"] <= row["due_at"]  # type: ignore[operator]
        for row in rows
        if row["state"] != "pending"
    ]


def test_g6_exactly_on_time_is_on_time_and_a_millisecond_is_late(incident: Incident) -> None:
    cut(incident, "12:00", "12:30")
    cut(incident, "12:30:00.000", "13:00")
    actions.change_status(incident, Status.MONITORING, stamp=stamp(when=at("12:45")))
    cut(incident, "13:00:00.001", None, no_promise_reason="We watch it")
    actions.resolve(incident, summary="Over.", stamp=stamp(when=at("13:45")))
    assert judged(incident, "14:00") == [True, False]


@pytest.mark.parametrize(("now", "found"), [("12:29", []), ("12:30", []), ("13:00", [False])])
def test_g8_silence_is_judged_once_it_is_late(incident: Incident, now: str, found: list[bool]) -> None:
    cut(incident, "12:00", "12:30")
    assert judged(incident, now) == found


def test_g8_a_resolution_in_time_delivers_and_promises_nothing(incident: Incident) -> None:
    cut(incident, "12:00", "12:30")
    actions.resolve(incident, summary="Over.", stamp=stamp(when=at("12:20")))
    assert judged(incident, "14:00") == [True]


def test_kpi_leaves_out_what_was_moved_in_time_and_keeps_what_was_not(incident: Incident) -> None:
    cut(incident, "12:00", "12:30")
    actions.move_promise(incident, at("12:40"), reason="x", stamp=stamp(when=at("12:10")))
    actions.move_promise(incident, at("13:00"), reason="x", stamp=stamp(when=at("12:41")))
    cut(incident, "12:50", "13:30")
    assert judged(incident, "12:55") == [False, True]
    refs = [row["ref"] for row in rows_of("update_promises", Scope(as_of=at("12:55"), incident_id=incident.pk))]
    assert len(refs) == len(set(refs))


# --- What a milestone was made from ---


def test_entries_are_kept_and_read_by_those_who_read_both(incident: Incident, mim: User, stakeholder: User) -> None:
    told = actions.post_entry(incident, "Told", visibility="public", stamp=stamp(mim))
    secret = actions.post_entry(incident, "Secret", stamp=stamp(mim))
    milestone = cut(incident, "12:05", "12:30", entries=[secret.pk, told.pk, secret.pk])
    assert list(milestone.sources.values_list("entry", "position")) == [(secret.pk, 1), (told.pk, 2)]
    assert [row.entry_id for row in visible(MilestoneSource.objects.all(), stakeholder)] == [told.pk]


def test_an_entry_of_another_incident_is_refused(incident: Incident, mim: User) -> None:
    other = actions.post_entry(IncidentFactory(), "Elsewhere", stamp=stamp(mim))
    with pytest.raises(WrongIncident):
        cut(incident, "12:05", "12:30", entries=[other.pk])
    assert not Milestone.objects.exists()


# --- Alerts ---


def test_leader_and_manager_hear_once_of_what_is_long_overdue(incident: Incident, mim: User) -> None:
    leader = UserFactory(display_name="L. Stone", role="mim")
    for role, person in (("mim", mim), ("leader", leader)):
        actions.assign_role(incident, role, user=person, stamp=stamp(mim))
    cut(incident, "12:05", "12:30")
    assert promise_alerts.alert_overdue(at("12:55")) == []
    assert len(promise_alerts.alert_overdue(at("12:56"))) == 1
    assert promise_alerts.alert_overdue(at("12:57")) == []
    entry = PromiseAlert.objects.get().entry
    assert (entry.title, entry.visibility) == ("The update promised for 12:30 UTC is 26 min overdue", "internal")
    assert entry.description.startswith("Alerted: L. Stone and R. Okafor.")


def test_a_promise_that_was_moved_is_another_alert(incident: Incident) -> None:
    cut(incident, "12:05", "12:30")
    promise_alerts.alert_overdue(at("13:00"))
    actions.move_promise(incident, at("13:10"), reason="x", stamp=stamp(when=at("13:05")))
    assert promise_alerts.alert_overdue(at("13:12")) == []
    assert len(promise_alerts.alert_overdue(at("13:20"))) == 1
    assert list(PromiseAlert.objects.values_list("due_at", flat=True)) == [at("12:30"), at("13:10")]


# --- No way round ---


class NoWayRound(TestCase):
    """Whatever people do, in whatever order, at whatever time."""

    @given(
        deeds=st.lists(
            st.tuples(
                st.sampled_from(["publish", "move", "no_change", "monitor", "activate", "resolve", "reopen"]),
                st.integers(min_value=0, max_value=40),
                st.integers(min_value=0, max_value=30),
                st.integers(min_value=-5, max_value=45),
            ),
            max_size=9,
        )
    )
    @examples(max_examples=int(os.environ.get("MAJOROPS_EXAMPLES", "60")), deadline=None)
    def test_what_was_late_stays_late_and_moving_never_helps(self, deeds: list[tuple[str, int, int, int]]) -> None:
        incident = actions.open_incident(title="x", severity="high", stamp=stamp())
        now, late = NOON, set[tuple[str, datetime]]()
        for deed, minutes, back, ahead in deeds:
            now += minutes * MINUTE
            before = tally(actions.ledger_of(incident, now), now)
            try:
                with transaction.atomic():
                    do(deed, incident, now, now - back * MINUTE, now + ahead * MINUTE)
            except DomainError:
                continue
            ledger = actions.ledger_of(incident, now)
            after = tally(ledger, now)
            assert after.missed >= before.missed
            if deed == "move":
                assert (after.kept, after.missed) == (before.kept, before.missed)
            missed = {(each.made_by.pk, each.due_at) for each in ledger if each.outcome == Outcome.MISSED}
            assert late <= missed
            late = missed
            assert missed == silent(incident, now)


def do(deed: str, incident: Incident, now: datetime, happened: datetime, due: datetime) -> None:
    by, told = stamp(when=now), {"title": "x", "body": "x", "no_promise_reason": "watching"}
    match deed:
        case "publish":
            eta = None if due.minute % 7 == 0 else due
            actions.cut_milestone(incident, next_update_eta=eta, stamp=stamp(when=happened, now=now), **told)  # type: ignore[arg-type]
        case "move":
            actions.move_promise(incident, due, reason="x", stamp=stamp(when=happened, now=now))
        case "no_change":
            actions.publish_no_change(incident, stamp=stamp(when=happened, now=now))
        case "monitor" | "activate":
            actions.change_status(incident, "monitoring" if deed == "monitor" else "active", stamp=by)
        case "resolve":
            actions.resolve(incident, summary="Over", stamp=stamp(when=happened, now=now))
        case "reopen":
            actions.reopen(incident, reason="again", stamp=by)


def silent(incident: Incident, now: datetime) -> set[tuple[str, datetime]]:
    """By another road: what was promised and neither delivered nor moved when it fell due, as rows were written."""
    found, rows = set(), list(Milestone.objects.filter(incident=incident).order_by("sequence"))
    for milestone, following in zip(rows, [*rows[1:], None], strict=False):
        if milestone.next_update_eta is None:
            continue
        heard = following.recorded_at if following else None
        due = milestone.next_update_eta
        for move in [*PromiseMove.objects.filter(milestone=milestone).order_by("recorded_at", "pk"), None]:
            came = move.recorded_at if move else heard
            if (came or now) > due:
                found.add((milestone.pk, due))
            due = move.due_at if move else due
    return found


# --- Many at once ---


@pytest.mark.django_db(transaction=True)
def test_eight_people_cut_milestones_at_once_without_a_gap() -> None:
    incident = actions.open_incident(title="x", severity="critical", stamp=stamp())

    def cut_one(number: int) -> None:
        actions.cut_milestone(incident, title=f"News {number}", body="x", next_update_eta=at("13:00"), stamp=stamp())

    for _ in range(ROUNDS):
        assert race(cut_one) == {"won": 8}
    assert list(incident.milestones.values_list("sequence", flat=True)) == list(range(1, 8 * ROUNDS + 1))


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_alert_once() -> None:
    incident = actions.open_incident(title="x", severity="critical", stamp=stamp())
    cut(incident, "12:05", "12:30")
    race(lambda _: promise_alerts.alert_overdue(at("13:00")))
    assert PromiseAlert.objects.count() == 1
