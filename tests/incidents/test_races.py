"""One winner each, and the others are told why: advance, resolve, reopen, milestones, answers. Both databases.

ROUNDS is small here; `make drill` runs the same 200 times (MAJOROPS_RACE_ROUNDS=200).
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from incidents import actions
from incidents.lifecycle import Phase
from incidents.models import Incident, Milestone, Participant, PhaseEntry, TeamPage, TimelineEvent
from teams.models import Membership
from tests.factories import EVENING, NOON, TeamFactory, UserFactory, at, stamp
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = int(os.environ.get("MAJOROPS_RACE_ROUNDS", "3"))


@pytest.fixture
def incident(transactional_db: None) -> Incident:
    return actions.open_incident(title="x", severity="critical", stamp=stamp())


def test_one_advances_and_the_others_hear_that_it_is_done(incident: Incident) -> None:
    for _ in range(ROUNDS):
        actions.advance_phase(incident, Phase.MITIGATION, stamp=stamp())
        verdicts = race(lambda _: actions.advance_phase(incident, Phase.GATHER, stamp=stamp(), reason="again"))
        assert verdicts == {"won": 1, "phase_cannot_move": 7}
    assert PhaseEntry.objects.filter(phase_number=Phase.GATHER).count() == ROUNDS


def test_an_old_version_loses_whoever_comes_first(incident: Incident) -> None:
    for _ in range(ROUNDS):
        version = Incident.objects.get().version
        verdicts = race(
            lambda i, seen=version: actions.edit_incident(
                incident, {"title": f"Title {i} of {seen}"}, stamp=stamp(), expected_version=seen
            )
        )
        assert verdicts == {"won": 1, "incident_changed": 7}


def test_resolve_and_reopen_have_one_winner_each(incident: Incident) -> None:
    for _ in range(ROUNDS):
        closing = race(lambda _: actions.resolve(incident, summary="Over.", stamp=stamp()))
        opening = race(lambda _: actions.reopen(incident, reason="it is back", stamp=stamp()))
        assert closing == {"won": 1, "incident_closed": 7}
        assert opening == {"won": 1, "incident_open": 7}
    assert PhaseEntry.objects.filter(phase_number=Phase.RESOLUTION).count() == ROUNDS


def test_milestones_are_numbered_without_gap_or_double(incident: Incident) -> None:
    for _ in range(ROUNDS):
        verdicts = race(
            lambda i: actions.cut_milestone(
                incident, title=f"News {i}", body="x", next_update_eta=EVENING, stamp=stamp()
            )
        )
        assert verdicts == {"won": 8}
    assert list(Milestone.objects.values_list("sequence", flat=True)) == list(range(1, 8 * ROUNDS + 1))


def test_advance_against_resolve_leaves_one_consistent_history(incident: Incident) -> None:
    for _ in range(ROUNDS):
        verdicts = race(
            lambda i: (
                actions.resolve(incident, summary="Over.", stamp=stamp())
                if i % 2
                else actions.advance_phase(incident, Phase.VALIDATION, stamp=stamp())
            )
        )
        assert set(verdicts) <= {"won", "incident_closed", "phase_cannot_move"}
        current, last = Incident.objects.get(), PhaseEntry.objects.order_by("pk").last()
        assert current.phase == last.phase_number == Phase.RESOLUTION
        actions.reopen(incident, reason="again", stamp=stamp())


def test_a_team_is_paged_once_and_arrives_once(incident: Incident) -> None:
    for round_number in range(ROUNDS):
        team = TeamFactory(slug=f"raced-{round_number}")
        race(lambda _, team=team: actions.page_team(incident, team, stamp=stamp()))
        page = TeamPage.objects.get(team=team)
        assert page.page_count == 8
        verdicts = race(lambda _, page=page: actions.record_arrival(incident, page, stamp=stamp(when=at("12:04"))))
        assert verdicts == {"won": 1, "page_answered": 7}


def test_one_undoes_and_the_others_hear_that_it_is_done(incident: Incident) -> None:
    mim = UserFactory(role="mim")
    for _ in range(ROUNDS):
        actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim))
        event = TimelineEvent.objects.order_by("pk").last()
        verdicts = race(lambda _, event=event: actions.undo(incident, event, stamp=stamp(mim)))
        assert verdicts == {"won": 1, "undo_refused": 7}
    assert TimelineEvent.objects.filter(verb="undone").count() == ROUNDS
    assert Incident.objects.get().phase == Phase.ALERT


def test_undo_against_arrival_leaves_one_row_that_says_what_happened(incident: Incident) -> None:
    mim = UserFactory(role="mim")
    for number in range(ROUNDS):
        team = TeamFactory(slug=f"undone-{number}")
        page = actions.page_team(incident, team, stamp=stamp(mim))
        event = TimelineEvent.objects.order_by("pk").last()
        verdicts = race(
            lambda i, page=page, event=event: (
                actions.undo(incident, event, stamp=stamp(mim))
                if i % 2
                else actions.record_arrival(incident, page, stamp=stamp(mim))
            )
        )
        standing = TeamPage.objects.filter(team=team)
        # Either the page was taken back and nobody came, or somebody came and it could not be taken back.
        outcomes = ({"won": 1, "undo_refused": 3, "page_void": 4}, {"won": 1, "undo_refused": 4, "page_answered": 3})
        assert verdicts in outcomes
        assert standing.count() == TeamPage.with_voided.filter(team=team, arrived_at__isnull=False).count()


def test_eight_taps_are_one_arrival_and_one_participant(incident: Incident) -> None:
    for number in range(ROUNDS):
        engineer, team = UserFactory(), TeamFactory(slug=f"here-{number}")
        Membership.objects.create(team=team, user=engineer)
        actions.page_team(incident, team, stamp=stamp())
        assert race(lambda _, who=engineer: actions.report_here(incident, stamp=stamp(who))) == {"won": 8}
        assert TeamPage.with_voided.get(team=team).arrived_at == NOON
        assert Participant.objects.filter(user=engineer).count() == 1
        assert TimelineEvent.objects.filter(verb="here", actor_user=engineer).count() == 1


def test_what_was_seen_against_what_is_reported_leaves_one_arrival(incident: Incident) -> None:
    for number in range(ROUNDS):
        engineer, team = UserFactory(), TeamFactory(slug=f"seen-{number}")
        Membership.objects.create(team=team, user=engineer)
        page = actions.page_team(incident, team, stamp=stamp())
        race(
            lambda i, page=page, who=engineer: (
                actions.report_here(incident, stamp=stamp(who))
                if i % 2
                else actions.record_arrival(incident, page, stamp=stamp())
            )
        )
        now = TeamPage.objects.get(team=team)
        assert (now.arrival_source, now.arrived_at) == ("self", NOON)


def test_one_incident_is_opened_per_alert() -> None:
    for number in range(ROUNDS):
        verdicts = race(
            lambda _, key=f"alert-{number}": actions.open_incident(
                title="x", severity="high", stamp=stamp(), alert_source="pagerduty", dedup_key=key
            )
        )
        assert verdicts == {"won": 1, "duplicate_alert": 7}


def test_every_winner_left_exactly_one_entry(incident: Incident) -> None:
    verdicts: Counter[str] = Counter()
    for _ in range(ROUNDS):
        verdicts += race(lambda i: actions.post_entry(incident, f"line {i}", stamp=stamp(when=NOON)))
    assert TimelineEvent.objects.filter(title__startswith="line").count() == verdicts["won"] == 8 * ROUNDS
