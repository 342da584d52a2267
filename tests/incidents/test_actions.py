"""Each action: it does its work and leaves history; refused, it writes nothing; the second call changes nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from accounts.models import User
from incidents import actions
from incidents.errors import (
    AlreadyOpen,
    IncidentChanged,
    IncidentIsClosed,
    PageIsOpen,
    PhaseCannotMove,
    RoleHeld,
    TeamNotDispatchable,
    TimeCannotBe,
    WrongIncident,
)
from incidents.lifecycle import Phase, Status
from incidents.models import (
    Incident,
    Milestone,
    Participant,
    PhaseEntry,
    RoleAssignment,
    StatusUpdate,
    TeamPage,
    TimelineEvent,
)
from incidents.signals import recorded
from majorops.lib.errors import DomainError, Invalid
from tests.factories import TeamFactory, TeamPageFactory, TimelineEventFactory, at, stamp

pytestmark = pytest.mark.django_db

LEDGERS = (Incident, TimelineEvent, PhaseEntry, StatusUpdate, Milestone, RoleAssignment, TeamPage, Participant)


def everything() -> list[list[tuple[object, ...]]]:
    """Every stored row, to compare before and after."""
    return [sorted(map(repr, model.objects.values_list())) for model in LEDGERS]


def refused(error: type[DomainError], act: Callable[[], object]) -> DomainError:
    """`act` is refused with `error`, and nothing at all was written."""
    before = everything()
    with pytest.raises(error) as raised:
        act()
    assert everything() == before
    return raised.value


@pytest.fixture
def incident(mim: User) -> Incident:
    return actions.open_incident(title="db-01 unreachable", severity="critical", stamp=stamp(mim))


@pytest.fixture
def closed(incident: Incident, mim: User) -> Incident:
    return actions.resolve(incident, summary="Over.", stamp=stamp(mim, at("13:00")))


def last_entry(incident: Incident) -> TimelineEvent:
    return incident.timeline.order_by("recorded_at", "id").last()


# --- open ---


def test_opening_starts_in_phase_one_with_its_history(incident: Incident, mim: User) -> None:
    entry = PhaseEntry.objects.get()
    assert (incident.phase, incident.status, incident.opened_by) == (Phase.ALERT, Status.ACTIVE, mim)
    assert (entry.phase_number, entry.event.actor) == (Phase.ALERT, "R. Okafor")


def test_one_open_incident_per_alert(mim: User) -> None:
    def open_it() -> Incident:
        return actions.open_incident(
            title="x", severity="high", stamp=stamp(mim), alert_source="pagerduty", dedup_key="db-01"
        )

    first = open_it()
    assert refused(AlreadyOpen, open_it).details["incident_id"] == first.pk
    actions.resolve(first, summary="Over.", stamp=stamp(mim))
    assert open_it().pk != first.pk


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", "x" * 201),
        ("title", "nul\0"),
        ("title", "\ud800"),
        ("severity", "catastrophic"),
        ("customer_count", -1),
        ("customer_count", "many"),
        ("affected_systems", "not a list"),
        ("affected_systems", [1]),
        ("bridge_url", "http://meet.example.com"),
        ("bridge_url", "https://meet.example.com@evil.example.com/"),
        ("external_impact", "maybe"),
        ("kind", "exercise"),
        ("phase", 5),
    ],
)
def test_bad_values_are_refused_by_name(mim: User, field: str, value: object) -> None:
    given = {"title": "x", "severity": "high", field: value}
    error = refused(Invalid, lambda: actions.open_incident(stamp=stamp(mim), **given))
    assert field in error.message


# --- phase and status ---


def test_advancing_moves_the_row_and_writes_both_histories(incident: Incident, mim: User) -> None:
    moved = actions.advance_phase(incident, Phase.ASSESS, stamp=stamp(mim, at("12:10")))
    entry = PhaseEntry.objects.latest("entered_at")
    assert (moved.phase, moved.phase_entered_at, moved.version) == (Phase.ASSESS, at("12:10"), incident.version + 1)
    assert (entry.phase_number, entry.event.title) == (Phase.ASSESS, "Alert → Assess")


def test_the_second_advance_to_the_same_phase_changes_nothing(incident: Incident, mim: User) -> None:
    actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim))
    error = refused(PhaseCannotMove, lambda: actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim)))
    assert "already in phase 2" in error.message


def test_going_back_keeps_the_reason(incident: Incident, mim: User) -> None:
    actions.advance_phase(incident, Phase.MITIGATION, stamp=stamp(mim))
    actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim), reason="a second site fails")
    entry = PhaseEntry.objects.order_by("pk").last()
    assert (entry.reason, entry.event.title) == ("a second site fails", "Mitigation → Gather again")


def test_a_phase_cannot_begin_before_the_one_it_follows(incident: Incident, mim: User) -> None:
    refused(TimeCannotBe, lambda: actions.advance_phase(incident, 2, stamp=stamp(mim, at("11:59"), now=at("12:30"))))


@pytest.mark.parametrize("number", [0, 9, -1])
def test_there_are_eight_phases(incident: Incident, mim: User, number: int) -> None:
    refused(Invalid, lambda: actions.advance_phase(incident, number, stamp=stamp(mim)))


def test_whoever_looked_at_an_older_version_is_told(incident: Incident, mim: User) -> None:
    actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim), expected_version=1)
    act = lambda: actions.advance_phase(incident, Phase.ASSESS, stamp=stamp(mim), expected_version=1)  # noqa: E731
    assert refused(IncidentChanged, act).details["version"] == 2


def test_status_changes_with_old_and_new_in_the_log(incident: Incident, mim: User) -> None:
    actions.change_status(incident, "monitoring", stamp=stamp(mim))
    assert last_entry(incident).changes == {"status": ["active", "monitoring"]}
    refused(DomainError, lambda: actions.change_status(incident, "monitoring", stamp=stamp(mim)))
    refused(Invalid, lambda: actions.change_status(incident, "paused", stamp=stamp(mim)))


# --- edit and roles ---


def test_an_edit_logs_old_and_new_of_each_field(incident: Incident, mim: User) -> None:
    edited = actions.edit_incident(incident, {"title": "Worse", "customer_count": 12}, stamp=stamp(mim))
    assert (edited.title, edited.customer_count) == ("Worse", 12)
    assert last_entry(incident).changes == {"title": [incident.title, "Worse"], "customer_count": [None, 12]}


def test_an_edit_that_changes_nothing_writes_nothing(incident: Incident, mim: User) -> None:
    before = everything()
    actions.edit_incident(incident, {"title": incident.title}, stamp=stamp(mim))
    assert everything() == before


@pytest.mark.parametrize("field", ["phase", "status", "resolved_at", "detected_at", "version", "opened_by"])
def test_history_and_state_are_not_edited(incident: Incident, mim: User, field: str) -> None:
    error = refused(Invalid, lambda: actions.edit_incident(incident, {field: "x"}, stamp=stamp(mim)))
    assert error.field == field


def test_one_bad_field_stops_the_whole_edit(incident: Incident, mim: User) -> None:
    changes = {"risk_level": "high", "external_impact": "maybe"}
    refused(Invalid, lambda: actions.edit_incident(incident, changes, stamp=stamp(mim)))


def test_handing_over_ends_one_tenure_and_begins_another(incident: Incident, mim: User, admin_user: User) -> None:
    actions.assign_role(incident, "mim", user=mim, stamp=stamp(mim, at("12:01")))
    actions.assign_role(incident, "mim", user=admin_user, stamp=stamp(mim, at("12:30")))
    tenures = RoleAssignment.objects.values_list("user", "assumed_at", "renounced_at")
    assert list(tenures) == [(mim.pk, at("12:01"), at("12:30")), (admin_user.pk, at("12:30"), None)]
    assert Incident.objects.get().mim == admin_user
    assert last_entry(incident).changes == {"mim": ["R. Okafor", "S. Lindqvist"]}


def test_a_role_is_not_taken_twice_by_the_same_person(incident: Incident, mim: User) -> None:
    actions.assign_role(incident, "mim", user=mim, stamp=stamp(mim))
    refused(RoleHeld, lambda: actions.assign_role(incident, "mim", user=mim, stamp=stamp(mim)))


def test_only_the_sre_lead_may_be_a_name_alone(incident: Incident, mim: User) -> None:
    actions.assign_role(incident, "sre", name="T. Moreau", stamp=stamp(mim))
    assert Incident.objects.get().sre == "T. Moreau"
    refused(Invalid, lambda: actions.assign_role(incident, "leader", name="T. Moreau", stamp=stamp(mim)))


def test_a_role_can_be_left_unclaimed(incident: Incident, mim: User) -> None:
    actions.assign_role(incident, "mim", user=mim, stamp=stamp(mim))
    actions.assign_role(incident, "mim", stamp=stamp(mim, at("12:10")))
    assert Incident.objects.get().mim is None
    assert not RoleAssignment.objects.filter(renounced_at=None).exists()


# --- log, updates, milestones ---


def test_an_entry_is_internal_unless_told_otherwise(incident: Incident, mim: User) -> None:
    entry = actions.post_entry(incident, "Failover started", stamp=stamp(mim, at("12:05"), now=at("12:20")))
    assert (entry.visibility, entry.occurred_at, entry.recorded_at) == ("internal", at("12:05"), at("12:20"))


@pytest.mark.parametrize("title", ["", "   ", "x" * 301, "\0"])
def test_an_entry_needs_a_title_that_fits(incident: Incident, mim: User, title: str) -> None:
    refused(Invalid, lambda: actions.post_entry(incident, title, stamp=stamp(mim)))


def test_a_correction_stands_beside_the_original(incident: Incident, mim: User) -> None:
    wrong = actions.post_entry(incident, "Lag is 900 s", stamp=stamp(mim))
    right = actions.correct_entry(incident, wrong, title="Lag is 90 s", stamp=stamp(mim, at("12:09")))
    assert (right.corrects, right.occurred_at, right.visibility) == (wrong, wrong.occurred_at, wrong.visibility)
    assert TimelineEvent.objects.get(pk=wrong.pk).title == "Lag is 900 s"
    refused(Invalid, lambda: actions.correct_entry(incident, right, title="again", stamp=stamp(mim)))


def test_entries_are_corrected_where_they_belong(incident: Incident, mim: User) -> None:
    elsewhere = TimelineEventFactory()
    refused(WrongIncident, lambda: actions.correct_entry(incident, elsewhere, title="x", stamp=stamp(mim)))


def test_a_public_update_is_communication_and_an_internal_one_is_not(incident: Incident, mim: User) -> None:
    actions.post_update(incident, "vendor called", visibility="internal", stamp=stamp(mim, at("12:10")))
    assert Incident.objects.get().last_communicated_at is None
    actions.post_update(incident, "we are on it", visibility="public", stamp=stamp(mim, at("12:20")))
    assert Incident.objects.get().last_communicated_at == at("12:20")
    assert list(incident.timeline.filter(type="update").values_list("visibility", flat=True)) == ["internal", "public"]


def test_an_update_must_say_for_whom(incident: Incident, mim: User) -> None:
    refused(Invalid, lambda: actions.post_update(incident, "hello", visibility="everyone", stamp=stamp(mim)))


def test_milestones_count_from_one_and_carry_the_promise(incident: Incident, mim: User) -> None:
    for minute in ("12:10", "12:30"):
        milestone = actions.cut_milestone(
            incident, title="News", body="Work goes on.", stamp=stamp(mim, at(minute)), next_update_eta=at("13:00")
        )
    assert (milestone.sequence, milestone.status_at_cut) == (2, Status.ACTIVE)
    assert Incident.objects.get().next_update_eta == at("13:00")


def test_a_promise_for_the_past_is_refused(incident: Incident, mim: User) -> None:
    refused(
        TimeCannotBe,
        lambda: actions.cut_milestone(
            incident, title="News", body="x", stamp=stamp(mim, at("12:10")), next_update_eta=at("12:10")
        ),
    )


# --- teams ---


def test_a_page_copies_the_alarm_level_of_its_moment(incident: Incident, mim: User) -> None:
    page = actions.page_team(incident, TeamFactory(rated_box="box1"), stamp=stamp(mim))
    actions.edit_incident(incident, {"severity": "medium"}, stamp=stamp(mim))
    assert TeamPage.objects.get(pk=page.pk).alarm_level == "box3"


def test_a_low_severity_page_has_no_alarm_level(incident: Incident, mim: User) -> None:
    low = actions.edit_incident(incident, {"severity": "low"}, stamp=stamp(mim))
    assert actions.page_team(low, TeamFactory(), stamp=stamp(mim)).alarm_level is None


def test_calling_again_counts_but_keeps_the_first_time(incident: Incident, mim: User) -> None:
    team = TeamFactory()
    actions.page_team(incident, team, stamp=stamp(mim, at("12:01")))
    again = actions.page_team(incident, team, stamp=stamp(mim, at("12:06")))
    assert (TeamPage.objects.get().paged_at, again.page_count) == (at("12:01"), 2)


def test_a_team_that_is_switched_off_is_not_called(incident: Incident, mim: User) -> None:
    team = TeamFactory(is_active=False)
    refused(TeamNotDispatchable, lambda: actions.page_team(incident, team, stamp=stamp(mim)))


@pytest.mark.parametrize("answer", [actions.acknowledge_page, actions.record_arrival])
def test_an_answer_counts_once(incident: Incident, mim: User, answer: Callable[..., TeamPage]) -> None:
    page = actions.page_team(incident, TeamFactory(), stamp=stamp(mim))
    answer(incident, page, stamp=stamp(mim, at("12:04")))
    refused(PageIsOpen, lambda: answer(incident, page, stamp=stamp(mim, at("12:05"))))


@pytest.mark.parametrize("answer", [actions.acknowledge_page, actions.record_arrival])
def test_no_answer_before_the_page(incident: Incident, mim: User, answer: Callable[..., TeamPage]) -> None:
    page = actions.page_team(incident, TeamFactory(), stamp=stamp(mim, at("12:04")))
    error = refused(TimeCannotBe, lambda: answer(incident, page, stamp=stamp(mim, at("12:03"), now=at("12:30"))))
    assert "12:03" in error.message
    assert "12:04" in error.message


def test_a_page_is_answered_on_its_own_incident(incident: Incident, mim: User) -> None:
    elsewhere = TeamPageFactory()
    refused(WrongIncident, lambda: actions.record_arrival(incident, elsewhere, stamp=stamp(mim)))


def test_an_engineer_who_says_here_becomes_a_participant(incident: Incident, mim: User, engineer: User) -> None:
    page = actions.page_team(incident, TeamFactory(), stamp=stamp(mim))
    arrived = actions.record_arrival(incident, page, stamp=stamp(engineer, at("12:04")), arrival_source="self")
    assert (arrived.user, arrived.arrival_source) == (engineer, "self")
    assert Participant.objects.get().joined_at == at("12:04")


# --- resolve and reopen ---


def test_resolving_closes_the_row_and_the_promise(incident: Incident, mim: User) -> None:
    actions.cut_milestone(incident, title="News", body="x", stamp=stamp(mim, at("12:10")), next_update_eta=at("12:40"))
    done = actions.resolve(incident, summary="Traffic is back.", stamp=stamp(mim, at("13:00")))
    final = Milestone.objects.get(is_resolution=True)
    assert (done.status, done.phase, done.resolved_at) == (Status.RESOLVED, Phase.RESOLUTION, at("13:00"))
    assert (done.next_update_eta, final.body, final.status_at_cut) == (None, "Traffic is back.", Status.RESOLVED)


def test_resolving_needs_a_last_word(incident: Incident, mim: User) -> None:
    refused(Invalid, lambda: actions.resolve(incident, summary=" ", stamp=stamp(mim)))


@pytest.mark.parametrize(
    "act",
    [
        lambda row, by: actions.resolve(row, summary="again", stamp=by),
        lambda row, by: actions.advance_phase(row, 3, stamp=by),
        lambda row, by: actions.change_status(row, "active", stamp=by),
        lambda row, by: actions.assign_role(row, "sre", name="T. Moreau", stamp=by),
        lambda row, by: actions.post_update(row, "hello", visibility="public", stamp=by),
        lambda row, by: actions.cut_milestone(row, title="x", body="x", stamp=by),
        lambda row, by: actions.page_team(row, TeamFactory.build(), stamp=by),
    ],
)
def test_a_closed_incident_says_reopen_first(closed: Incident, mim: User, act: Callable[..., object]) -> None:
    error = refused(IncidentIsClosed, lambda: act(closed, stamp(mim, at("14:00"))))
    assert "Reopen" in error.message


def test_a_late_note_on_a_closed_incident_is_welcome(closed: Incident, mim: User) -> None:
    assert actions.post_entry(closed, "The vendor confirmed it", stamp=stamp(mim, at("15:00"))).pk


def test_reopening_goes_on_in_an_open_phase_and_keeps_history(closed: Incident, mim: User) -> None:
    again = actions.reopen(closed, reason="errors are back", stamp=stamp(mim, at("13:30")))
    assert (again.status, again.phase, again.resolved_at) == (Status.ACTIVE, Phase.ASSESS, None)
    assert PhaseEntry.objects.filter(phase_number=Phase.RESOLUTION).count() == 1
    final = actions.resolve(again, summary="Now it is over.", stamp=stamp(mim, at("14:00")))
    assert list(final.milestones.values_list("sequence", flat=True)) == [1, 2]


# --- what holds for all ---


def public_actions() -> list[str]:
    return [
        name
        for name, member in inspect.getmembers(actions, inspect.isfunction)
        if member.__module__.startswith(actions.__name__) and not name.startswith("_")
    ]


#: One only reads, the other throws a private draft away: neither leaves anything that has a time.
TIMELESS = {"recorded_already", "forget_draft"}


def test_every_action_takes_its_time_from_the_door() -> None:
    """Either a stamp, or the importer's own times with `now`."""
    for name in set(public_actions()) - TIMELESS:
        parameters = inspect.signature(getattr(actions, name)).parameters
        assert {"stamp", "now"} & set(parameters), name


def test_listeners_hear_after_commit_and_cannot_break_the_action(
    incident: Incident, mim: User, django_capture_on_commit_callbacks: Callable[..., object]
) -> None:
    heard = []

    def listen(sender: object, incident_id: str, **kwargs: object) -> None:
        heard.append((incident_id, TimelineEvent.objects.filter(title="hello").exists()))
        raise RuntimeError("a listener broke")

    recorded.connect(listen)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            actions.post_entry(incident, "hello", stamp=stamp(mim))
            assert heard == []
    finally:
        recorded.disconnect(listen)
    assert heard == [(incident.pk, True)]


def test_a_refused_action_tells_nobody(
    closed: Incident, mim: User, django_capture_on_commit_callbacks: Callable[..., list[object]]
) -> None:
    with django_capture_on_commit_callbacks() as callbacks, pytest.raises(IncidentIsClosed):
        actions.advance_phase(closed, 3, stamp=stamp(mim))
    assert callbacks == []
