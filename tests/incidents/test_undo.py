"""Taking back what was just done: who may, for how long, and what is left in the history."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts.models import User
from incidents import actions
from incidents.errors import UndoRefused, WrongIncident
from incidents.lifecycle import Phase, Verb
from incidents.models import Incident, Participant, PhaseEntry, RoleAssignment, TeamPage, TimelineEvent
from incidents.undo import Deed, check_undo, seconds_left
from kpis.compute import recompute_incident
from kpis.models import KpiObservation
from teams.models import Membership, Team
from tests.factories import NOON, TeamFactory, UserFactory, at, stamp

LATER = at("12:00:20")


@pytest.fixture
def incident(mim: User) -> Incident:
    return actions.open_incident(title="x", severity="critical", stamp=stamp(mim, at("11:50")))


@pytest.fixture
def team(engineer: User) -> Team:
    team = TeamFactory(name="Database", slug="database")
    Membership.objects.create(team=team, user=engineer)
    return team


def last(incident: Incident, verb: str = "") -> TimelineEvent:
    rows = incident.timeline.filter(verb=verb) if verb else incident.timeline.all()
    return rows.order_by("recorded_at", "pk").last()


def take_back(incident: Incident, by: User, verb: str = "", when: datetime = LATER) -> TimelineEvent:
    return actions.undo(incident, last(incident, verb), stamp=stamp(by, when))


# --- The rule ---


def deed(id: str, verb: Verb = Verb.ADVANCED, **known: Any) -> Deed:
    return Deed(**{"id": id, "verb": verb, "by": "me", "recorded_at": NOON, **known})


@pytest.mark.parametrize(
    ("verb", "seconds", "left"), [(Verb.ADVANCED, 30, 0), (Verb.ADVANCED, 5, 25), (Verb.HERE, 119, 1), ("", 1, 0)]
)
def test_the_window_is_half_a_minute_and_two_for_here(verb: Verb, seconds: int, left: int) -> None:
    assert seconds_left(deed("1", verb), NOON + timedelta(seconds=seconds)) == left


REFUSED: list[tuple[str, Deed, list[Deed], str | None, float]] = [
    ("Only the person", deed("1"), [], "you", 0),
    ("Only the person", deed("1", by=None), [], None, 0),
    ("undone already", deed("1", is_undone=True), [], "me", 0),
    ("are over", deed("1"), [], "me", 30.001),
    ("are over", deed("1", Verb.HERE), [], "me", 120.001),
    ("Stakeholders", deed("1", Verb.ENTRY, visibility="public"), [], "me", 0),
    ("Stakeholders", deed("1", Verb.ENTRY, visibility=None), [], "me", 0),
    ("cannot be undone", deed("1", Verb.PUBLISHED), [], "me", 0),
    ("cannot be undone", deed("1", Verb.RESOLVED), [], "me", 0),
    ("cannot be undone", deed("1", Verb.UNDONE), [], "me", 0),
    ("newer", deed("1"), [deed("2", by="you")], "me", 0),
    ("newer", deed("1"), [deed("2", Verb.RESOLVED)], "me", 0),
    ("newer", deed("1", Verb.STATUS, changes={"status": []}), [deed("2", Verb.REOPENED)], "me", 0),
    ("newer", deed("1", Verb.PAGED, page="p"), [deed("2", Verb.ACKNOWLEDGED, page="p")], "me", 0),
    ("newer", deed("1", Verb.ENTRY), [deed("2", Verb.CORRECTED, corrects="1")], "me", 0),
]


@pytest.mark.parametrize(("why", "what", "others", "by", "seconds"), REFUSED)
def test_what_cannot_be_undone_says_why(
    why: str, what: Deed, others: list[Deed], by: str | None, seconds: float
) -> None:
    with pytest.raises(UndoRefused, match=why):
        check_undo(what, [what, *others], by=by, now=NOON + timedelta(seconds=seconds))


ALLOWED: list[tuple[Deed, list[Deed]]] = [
    (deed("2"), [deed("1")]),
    (deed("1"), [deed("2", is_undone=True), deed("3", Verb.UNDONE, undoes="2")]),
    (deed("1", Verb.EDITED, changes={"title": []}), [deed("2", Verb.EDITED, changes={"severity": []})]),
    (deed("1", Verb.PAGED, page="p"), [deed("2", Verb.ARRIVED, page="q")]),
    (deed("1", Verb.ENTRY), [deed("2", Verb.ENTRY)]),
]


@pytest.mark.parametrize(("what", "others"), ALLOWED)
def test_what_touches_something_else_is_not_in_the_way(what: Deed, others: list[Deed]) -> None:
    check_undo(what, [what, *others], by="me", now=NOON + timedelta(seconds=30))


# --- The incident's row ---


def test_an_undone_phase_is_the_one_before_with_its_own_beginning(incident: Incident, mim: User) -> None:
    actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim))
    undone = take_back(incident, mim)
    now = Incident.objects.get()
    assert (now.phase, now.phase_entered_at, now.version) == (Phase.ALERT, at("11:50"), 3)
    assert (undone.title, undone.undoes.verb, undone.visibility) == ("Undone: Alert → Gather", "advanced", "internal")
    assert [entry.phase_number for entry in PhaseEntry.objects.all()] == [Phase.ALERT]
    assert PhaseEntry.with_undone.count() == 2


def test_an_undone_gather_is_no_acknowledgement(incident: Incident, mim: User) -> None:
    actions.edit_incident(incident, {"issue_time": at("11:49")}, stamp=stamp(mim))
    actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim))
    recompute_incident(incident.pk, now=at("12:00:10"))
    mtta = KpiObservation.objects.filter(kpi__slug="mtta", is_current=True)
    assert mtta.get().value == 11.0
    take_back(incident, mim)
    recompute_incident(incident.pk, now=LATER)
    assert mtta.filter(value__isnull=False).count() == 0


def test_an_undone_edit_puts_every_kind_of_value_back(incident: Incident, mim: User) -> None:
    was = {"title": "x", "customer_count": None, "issue_time": at("11:40"), "affected_systems": ["A"]}
    actions.edit_incident(incident, was, stamp=stamp(mim, at("11:55")))
    now = {"title": "y", "customer_count": 5, "issue_time": at("11:45"), "affected_systems": []}
    actions.edit_incident(incident, now, stamp=stamp(mim))
    undone = take_back(incident, mim)
    assert Incident.objects.values(*was).get() == was
    assert undone.changes["title"] == ["y", "x"]


def test_an_undone_status_is_the_one_before(incident: Incident, mim: User) -> None:
    actions.change_status(incident, "monitoring", stamp=stamp(mim))
    take_back(incident, mim)
    assert Incident.objects.get().status == "active"


@pytest.mark.parametrize("had_holder", [True, False])
def test_an_undone_role_goes_back_to_who_held_it(incident: Incident, mim: User, had_holder: bool) -> None:
    other = UserFactory(role="mim")
    if had_holder:
        actions.assign_role(incident, "mim", user=other, stamp=stamp(mim, at("11:55")))
    actions.assign_role(incident, "mim", user=mim, stamp=stamp(mim))
    take_back(incident, mim)
    assert Incident.objects.get().mim == (other if had_holder else None)
    held = RoleAssignment.objects.filter(renounced_at=None)
    assert [row.user for row in held] == ([other] if had_holder else [])


def test_an_undone_line_stays_in_the_log(incident: Incident, mim: User) -> None:
    line = actions.post_entry(incident, "Wrong window", stamp=stamp(mim))
    take_back(incident, mim)
    line.refresh_from_db()
    assert (line.title, line.undone_by.title) == ("Wrong window", "Undone: Wrong window")
    assert Incident.objects.get().version == 1


# --- What holds for all ---


def test_undoing_twice_changes_nothing(incident: Incident, mim: User) -> None:
    actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim))
    event = last(incident)
    actions.undo(incident, event, stamp=stamp(mim, LATER))
    with pytest.raises(UndoRefused, match="undone already"):
        actions.undo(incident, event, stamp=stamp(mim, LATER))
    assert incident.timeline.filter(verb=Verb.UNDONE).count() == 1


def test_the_last_but_one_can_be_undone_after_the_last(incident: Incident, mim: User) -> None:
    actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim))
    first = last(incident)
    actions.advance_phase(incident, Phase.ASSESS, stamp=stamp(mim, at("12:00:05")))
    with pytest.raises(UndoRefused, match="newer"):
        actions.undo(incident, first, stamp=stamp(mim, LATER))
    take_back(incident, mim, Verb.ADVANCED)
    actions.undo(incident, first, stamp=stamp(mim, LATER))
    assert Incident.objects.get().phase == Phase.ALERT


def test_an_entry_is_undone_on_its_own_incident(incident: Incident, mim: User) -> None:
    other = actions.open_incident(title="y", severity="low", stamp=stamp(mim))
    with pytest.raises(WrongIncident):
        actions.undo(other, last(incident), stamp=stamp(mim))


def test_undoable_names_my_own_newest_first_with_the_time_left(
    incident: Incident, mim: User, engineer: User, django_assert_num_queries: Any
) -> None:
    actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim))
    actions.post_entry(incident, "A line", stamp=stamp(mim, at("12:00:10")))
    actions.post_update(incident, "Said", visibility="public", stamp=stamp(mim, at("12:00:11")))
    with django_assert_num_queries(1):
        offered = actions.undoable(incident, mim, LATER)
    assert [(one.words, one.seconds_left) for one in offered] == [("Undo: A line", 20), ("Undo: Alert → Gather", 10)]
    assert actions.undoable(incident, engineer, LATER) == []


# --- Dispatches ---


def test_an_undone_page_counts_nowhere(incident: Incident, mim: User, team: Team) -> None:
    actions.page_team(incident, team, stamp=stamp(mim))
    take_back(incident, mim)
    assert list(incident.team_pages.all()) == []
    assert TeamPage.with_voided.get().voided_at == LATER
    again = actions.page_team(incident, team, stamp=stamp(mim, at("12:01")))
    assert (again.page_count, again.paged_at) == (1, at("12:01"))


def test_an_undone_second_call_is_not_counted(incident: Incident, mim: User, team: Team) -> None:
    actions.page_team(incident, team, stamp=stamp(mim, at("11:55")))
    actions.page_team(incident, team, stamp=stamp(mim))
    take_back(incident, mim)
    assert TeamPage.objects.get().page_count == 1


def test_an_undone_answer_goes_on_in_another_row(incident: Incident, mim: User, team: Team) -> None:
    page = actions.page_team(incident, team, stamp=stamp(mim, at("11:55")), contact_name="Kim")
    actions.acknowledge_page(incident, page, stamp=stamp(mim, at("11:57")))
    actions.record_arrival(incident, page, stamp=stamp(mim))
    take_back(incident, mim)
    now = TeamPage.objects.get()
    assert (now.replaces_id, now.paged_at, now.contact_name, now.alarm_level) == (page.pk, at("11:55"), "Kim", "box3")
    assert (now.acknowledged_at, now.arrived_at, now.arrival_source) == (at("11:57"), None, None)
    kept = TeamPage.with_voided.get(pk=page.pk)
    assert (kept.arrived_at, kept.voided_by_event.undoes.verb) == (NOON, "arrived")


def test_an_answer_on_the_void_row_counts_on_its_replacement(incident: Incident, mim: User, team: Team) -> None:
    page = actions.page_team(incident, team, stamp=stamp(mim, at("11:55")))
    actions.acknowledge_page(incident, page, stamp=stamp(mim))
    take_back(incident, mim)
    arrived = actions.record_arrival(incident, page, stamp=stamp(mim, at("12:01")))
    assert (arrived.pk != page.pk, TeamPage.objects.get().arrived_at) == (True, at("12:01"))


def test_page_and_answer_are_undone_one_after_the_other(incident: Incident, mim: User, team: Team) -> None:
    page = actions.page_team(incident, team, stamp=stamp(mim))
    paged = last(incident)
    actions.acknowledge_page(incident, page, stamp=stamp(mim, at("12:00:05")))
    with pytest.raises(UndoRefused, match="newer"):
        actions.undo(incident, paged, stamp=stamp(mim, LATER))
    take_back(incident, mim, Verb.ACKNOWLEDGED)
    actions.undo(incident, paged, stamp=stamp(mim, LATER))
    assert not TeamPage.objects.exists()
    assert TeamPage.with_voided.count() == 2


def test_a_stood_down_team_is_awaited_again(incident: Incident, mim: User, team: Team) -> None:
    page = actions.page_team(incident, team, stamp=stamp(mim, at("11:55")))
    actions.stand_down(incident, page, reason="Not theirs", stamp=stamp(mim))
    take_back(incident, mim)
    assert TeamPage.objects.waiting().get().paged_at == at("11:55")


def test_the_figure_of_a_void_page_is_retired_and_the_new_one_computed(
    incident: Incident, mim: User, team: Team
) -> None:
    page = actions.page_team(incident, team, stamp=stamp(mim, at("11:55")))
    actions.record_arrival(incident, page, stamp=stamp(mim))
    recompute_incident(incident.pk, now=at("12:00:10"))
    take_back(incident, mim)
    actions.record_arrival(incident, page, stamp=stamp(mim, at("12:00:30")))
    recompute_incident(incident.pk, now=at("12:00:40"))
    rows = KpiObservation.objects.filter(kpi__slug="team-page-to-bridge")
    assert {row.subject_key: (row.value, row.is_current, row.retired_reason) for row in rows} == {
        f"team_page:{page.pk}": (5.0, False, "source_vanished"),
        f"team_page:{TeamPage.objects.get().pk}": (5.5, True, ""),
    }


# --- "I'm here" ---


def test_here_taken_back_leaves_no_arrival_and_no_participant(
    incident: Incident, mim: User, engineer: User, team: Team
) -> None:
    actions.page_team(incident, team, stamp=stamp(mim, at("11:55")))
    actions.report_here(incident, stamp=stamp(engineer))
    take_back(incident, engineer, when=at("12:01:59"))
    assert TeamPage.objects.get().arrived_at is None
    assert not Participant.objects.exists()


def test_here_taken_back_gives_the_observed_arrival_its_place_again(
    incident: Incident, mim: User, engineer: User, team: Team
) -> None:
    page = actions.page_team(incident, team, stamp=stamp(mim, at("11:55")))
    actions.record_arrival(incident, page, stamp=stamp(mim, at("11:59")))
    actions.report_here(incident, stamp=stamp(engineer))
    take_back(incident, engineer)
    now = TeamPage.objects.get()
    assert (now.arrived_at, now.arrival_source, now.user) == (at("11:59"), "observed", None)


def test_who_was_invited_stays_invited(incident: Incident, mim: User, engineer: User) -> None:
    actions.invite(incident, engineer, stamp=stamp(mim, at("11:55")))
    actions.report_here(incident, stamp=stamp(engineer))
    take_back(incident, engineer)
    assert Participant.objects.get().joined_at is None
