""" "I'm here", invitations, and what changed while somebody was looking."""

from __future__ import annotations

import pytest

from accounts.models import User
from incidents import actions
from incidents.errors import (
    IncidentChanged,
    IncidentIsClosed,
    NotAPerson,
    PageIsOpen,
    PageIsVoid,
    TeamUnclear,
    TimeCannotBe,
)
from incidents.lifecycle import Phase
from incidents.models import Incident, Participant, TeamPage
from kpis.sources import Scope, load
from majorops.lib.errors import Invalid
from teams.models import Membership, Team
from tests.factories import NOON, TeamFactory, UserFactory, at, stamp


@pytest.fixture
def incident(mim: User) -> Incident:
    return actions.open_incident(title="x", severity="critical", stamp=stamp(mim, at("11:50")))


def team_of(*members: User) -> Team:
    team = TeamFactory()
    for member in members:
        Membership.objects.create(team=team, user=member)
    return team


def paged(incident: Incident, mim: User, *members: User) -> TeamPage:
    return actions.page_team(incident, team_of(*members), stamp=stamp(mim, at("11:55")))


# --- "I'm here" ---


def test_here_is_the_arrival_of_the_paged_team(incident: Incident, mim: User, engineer: User) -> None:
    paged(incident, mim, engineer)
    here = actions.report_here(incident, stamp=stamp(engineer))
    page = TeamPage.objects.get()
    assert (here.page, here.participant.joined_at, here.is_new) == (page, NOON, True)
    assert (page.arrived_at, page.arrival_source, page.user, page.acknowledged_at) == (NOON, "self", engineer, None)
    assert (page.has_client_time, incident.timeline.latest("recorded_at").verb) == (False, "here")


def test_here_a_second_time_changes_nothing(incident: Incident, mim: User, engineer: User) -> None:
    paged(incident, mim, engineer)
    first = actions.report_here(incident, stamp=stamp(engineer))
    entries = incident.timeline.count()
    again = actions.report_here(incident, stamp=stamp(engineer, at("12:01")))
    assert (again.page, again.participant, again.is_new) == (first.page, first.participant, False)
    assert (TeamPage.objects.get().arrived_at, incident.timeline.count()) == (NOON, entries)


def test_the_second_colleague_joins_and_the_arrival_stays(incident: Incident, mim: User, engineer: User) -> None:
    colleague = UserFactory()
    paged(incident, mim, engineer, colleague)
    actions.report_here(incident, stamp=stamp(engineer))
    assert actions.report_here(incident, stamp=stamp(colleague, at("12:01"))).is_new
    page = TeamPage.objects.get()
    assert (page.arrived_at, page.user, Participant.objects.count()) == (NOON, engineer, 2)


def test_who_was_not_paged_only_takes_part(incident: Incident, mim: User, engineer: User) -> None:
    actions.invite(incident, engineer, stamp=stamp(mim))
    here = actions.report_here(incident, stamp=stamp(engineer, at("12:01")))
    assert (here.page, here.participant.joined_at) == (None, at("12:01"))
    assert actions.report_here(incident, stamp=stamp(engineer, at("12:02"))).participant.joined_at == at("12:01")


def test_somebody_elses_page_goes_on_in_the_name_of_who_came(incident: Incident, mim: User, engineer: User) -> None:
    colleague = UserFactory()
    team = team_of(engineer, colleague)
    actions.page_team(incident, team, stamp=stamp(mim, at("11:55")), user=colleague)
    actions.report_here(incident, stamp=stamp(engineer))
    page = TeamPage.objects.get()
    assert (page.user, page.replaces.user, page.paged_at) == (engineer, colleague, at("11:55"))


def test_of_several_paged_teams_one_is_named(incident: Incident, mim: User, engineer: User) -> None:
    first, second = (paged(incident, mim, engineer) for _ in range(2))
    with pytest.raises(TeamUnclear) as refused:
        actions.report_here(incident, stamp=stamp(engineer))
    assert refused.value.details["allowed"] == sorted([first.team.slug, second.team.slug])
    assert not Participant.objects.exists()
    assert actions.report_here(incident, stamp=stamp(engineer), team=second.team).page == second
    assert TeamPage.objects.get(arrived_at=NOON) == second


def test_a_team_of_others_is_not_reported_for(incident: Incident, mim: User, engineer: User) -> None:
    other = paged(incident, mim, UserFactory())
    with pytest.raises(Invalid, match="was not paged"):
        actions.report_here(incident, stamp=stamp(engineer), team=other.team)


def test_the_self_report_wins_over_what_was_seen_and_both_are_kept(
    incident: Incident, mim: User, engineer: User
) -> None:
    page = paged(incident, mim, engineer)
    actions.acknowledge_page(incident, page, stamp=stamp(mim, at("11:56")))
    actions.record_arrival(incident, page, stamp=stamp(mim, at("11:59")))
    now = actions.report_here(incident, stamp=stamp(engineer)).page
    seen = TeamPage.with_voided.get(pk=page.pk)
    assert (now.arrived_at, now.arrival_source, now.acknowledged_at) == (NOON, "self", at("11:56"))
    assert (seen.arrived_at, seen.arrival_source, now.replaces_id) == (at("11:59"), "observed", page.pk)


def test_who_comes_much_later_is_not_the_arrival_of_the_team(incident: Incident, mim: User, engineer: User) -> None:
    page = paged(incident, mim, engineer)
    actions.record_arrival(incident, page, stamp=stamp(mim, at("11:59")))
    actions.report_here(incident, stamp=stamp(engineer, at("12:14:01")))
    assert TeamPage.with_voided.get().arrived_at == at("11:59")


def test_a_tap_that_waited_for_the_network_says_so_and_counts_less(
    incident: Incident, mim: User, engineer: User
) -> None:
    paged(incident, mim, engineer)
    actions.report_here(incident, stamp=stamp(engineer, at("11:58"), now=at("12:03")))
    (row,) = load(["team_pages"], Scope(as_of=at("12:05")))["team_pages"]
    assert TeamPage.objects.get().has_client_time
    assert (row["arrived_at"], row["confidence"]) == (at("11:58"), 0.9)


def test_nobody_is_here_before_the_page_or_after_the_end(incident: Incident, mim: User, engineer: User) -> None:
    paged(incident, mim, engineer)
    with pytest.raises(TimeCannotBe):
        actions.report_here(incident, stamp=stamp(engineer, at("11:54"), now=NOON))
    actions.resolve(incident, summary="Over.", stamp=stamp(mim))
    with pytest.raises(IncidentIsClosed):
        actions.report_here(incident, stamp=stamp(engineer, at("12:01")))
    assert actions.report_here(incident, stamp=stamp(engineer, at("11:59"), now=at("12:05"))).page


def test_a_program_is_nowhere(incident: Incident) -> None:
    with pytest.raises(NotAPerson):
        actions.report_here(incident, stamp=stamp(None))


# --- Invited, and sent home ---


def test_an_invitation_counts_once(incident: Incident, mim: User, engineer: User) -> None:
    for _ in range(2):
        invited = actions.invite(incident, engineer, stamp=stamp(mim))
    assert (invited.joined_at, incident.timeline.filter(verb="invited").count()) == (None, 1)


def test_a_stood_down_team_is_not_awaited_and_the_log_says_why(incident: Incident, mim: User) -> None:
    page = paged(incident, mim)
    actions.stand_down(incident, page, reason="Not the database", stamp=stamp(mim))
    assert not TeamPage.objects.waiting().exists()
    assert incident.timeline.get(verb="stood").description == "Not the database"
    with pytest.raises(PageIsOpen):
        actions.stand_down(incident, page, reason="again", stamp=stamp(mim))


@pytest.mark.parametrize("typed", ["KIM@example.com", "kim park"])
def test_a_contact_called_like_a_member_is_that_member(incident: Incident, mim: User, typed: str) -> None:
    kim, other = UserFactory(email="kim@example.com", display_name="Kim Park"), UserFactory(display_name="Sam")
    team = team_of(kim)
    page = actions.page_team(incident, team, contact_name=typed, stamp=stamp(mim))
    assert (page.user, page.contact_name) == (kim, "Kim Park")
    assert actions.page_team(incident, team_of(kim), contact_name=other.display_name, stamp=stamp(mim)).user is None


def test_the_call_of_a_wrong_team_is_taken_back_with_a_reason(incident: Incident, mim: User) -> None:
    page = paged(incident, mim)
    entry = actions.wrong_team(incident, page, reason="It is the network", stamp=stamp(mim, at("12:20")))
    assert not TeamPage.objects.exists()
    assert (entry.title, entry.description) == (f"Wrong team: {page.team}", "It is the network")
    assert (entry.undoes, entry.page) == (incident.timeline.get(verb="paged"), page)
    with pytest.raises(PageIsVoid):
        actions.wrong_team(incident, page, reason="again", stamp=stamp(mim, at("12:21")))


def test_a_team_that_came_was_no_wrong_team_and_a_reason_is_needed(incident: Incident, mim: User) -> None:
    page = paged(incident, mim)
    with pytest.raises(Invalid):
        actions.wrong_team(incident, page, reason=" ", stamp=stamp(mim))
    actions.record_arrival(incident, page, stamp=stamp(mim))
    with pytest.raises(PageIsOpen):
        actions.wrong_team(incident, page, reason="Not theirs", stamp=stamp(mim))


# --- What changed while somebody was looking ---


def test_a_conflict_says_what_changed_by_whom_and_what_stands_there_now(incident: Incident, mim: User) -> None:
    actions.edit_incident(incident, {"title": "Theirs", "severity": "high"}, stamp=stamp(mim))
    actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim, at("12:01")))
    actions.post_entry(incident, "no change", stamp=stamp(mim, at("12:02")))
    with pytest.raises(IncidentChanged) as refused:
        actions.edit_incident(incident, {"title": "Mine"}, stamp=stamp(mim), expected_version=1)
    details = refused.value.details
    assert (details["version"], details["current"]) == (3, {"title": "Theirs"})
    assert [(one["field"], one["old"], one["new"]) for one in details["changes"]] == [
        ("title", "x", "Theirs"),
        ("severity", "critical", "high"),
        ("phase", None, 2),
    ]
    assert {one["by"] for one in details["changes"]} == {mim.name}


@pytest.mark.parametrize("verb", ["advance_phase", "change_status", "assign_role", "resolve", "reopen"])
def test_every_change_of_the_row_asks_for_the_version(incident: Incident, mim: User, verb: str) -> None:
    known = {
        "advance_phase": {"to": 2}, "change_status": {"to": "monitoring"}, "assign_role": {"role": "mim", "user": mim},
        "resolve": {"summary": "Over."}, "reopen": {"reason": "back"},
    }  # fmt: skip
    with pytest.raises(IncidentChanged):
        getattr(actions, verb)(incident, **known[verb], stamp=stamp(mim), expected_version=9)
