"""Standings, and the page's parts as they are polled."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from incidents import actions, live
from incidents.models import Incident
from kpis.compute import recompute_incident
from kpis.models import KpiDefinition
from tests.cast import Knock
from tests.factories import EVENING, NOON, IncidentFactory, TeamFactory, stamp

pytestmark = pytest.mark.django_db


def standing(person: User, incident: Incident, now: object = NOON) -> str:
    state = live.state_for(person, incident.pk, now)  # type: ignore[arg-type]
    assert state is not None
    return state.standing


def test_a_standing_moves_with_every_entry_and_only_then(mim: User) -> None:
    incident = IncidentFactory.create()
    before = standing(mim, incident)
    assert standing(mim, incident) == before
    actions.post_entry(incident, "Failover started", stamp=stamp(mim))
    assert standing(mim, incident) != before


def test_what_somebody_may_not_read_does_not_move_theirs(mim: User, stakeholder: User) -> None:
    incident = IncidentFactory.create()
    before = standing(stakeholder, incident)
    actions.post_entry(incident, "Somebody tripped over a cable", stamp=stamp(mim))
    actions.edit_incident(incident, {"description": "secret"}, stamp=stamp(mim))
    assert standing(stakeholder, incident) == before
    actions.cut_milestone(incident, title="We know", body="It comes back.", next_update_eta=EVENING, stamp=stamp(mim))
    assert standing(stakeholder, incident) != before


def test_a_promise_that_falls_due_moves_the_standing(mim: User) -> None:
    incident = IncidentFactory.create()
    due = NOON + timedelta(minutes=30)
    actions.cut_milestone(incident, title="We know", body="More soon.", next_update_eta=due, stamp=stamp(mim))
    assert standing(mim, incident, due - timedelta(minutes=20)) != standing(mim, incident, due + timedelta(minutes=1))


def test_what_changed_is_told_once_and_then_nothing(mim: User, client_as: Knock) -> None:
    incident = IncidentFactory.create()
    first = client_as(mim).get(f"/incidents/{incident.pk}/live")
    assert set(first.json()["blocks"]) == set(live.BLOCKS)
    again = client_as(mim).get(f"/incidents/{incident.pk}/live", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_nothing_new_costs_at_most_three_queries(
    mim: User, client_as: Knock, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    incident = IncidentFactory.create()
    client = client_as(mim)
    tag = client.get(f"/incidents/{incident.pk}/live")["ETag"]
    with django_assert_max_num_queries(3):
        assert client.get(f"/incidents/{incident.pk}/live", headers={"If-None-Match": tag}).status_code == 304


def test_a_server_that_cannot_keep_streams_open_says_what_changed_and_ends(mim: User, client_as: Knock) -> None:
    incident = IncidentFactory.create()
    path, accept = f"/incidents/{incident.pk}/live", {"Accept": "text/event-stream"}
    told = client_as(mim).get(path, headers=accept).content.decode()
    assert told.startswith("retry: 5000\n")
    assert "event: blocks\n" in told
    has = {"Last-Event-ID": standing(mim, incident)}
    assert "event: blocks" not in client_as(mim).get(path, headers=accept | has).content.decode()


def test_a_restricted_incident_has_no_live_parts_for_outsiders(stakeholder: User, client_as: Knock) -> None:
    incident = IncidentFactory.create(restricted=True)
    assert client_as(stakeholder).get(f"/incidents/{incident.pk}/live").status_code == 404


def test_people_who_share_a_rendering_would_each_have_got_it(mim: User, stakeholder: User, engineer: User) -> None:
    incident = IncidentFactory.create()
    team = TeamFactory.create()
    team.memberships.create(user=engineer)
    others = [User.objects.create_user(f"p{n}@example.com", role=role) for n, role in enumerate(["mim", "stakeholder"])]
    actions.page_team(incident, team, stamp=stamp(mim))
    actions.assign_role(incident, "mim", user=mim, stamp=stamp(mim))
    groups = live.sharers(incident.pk, [mim, stakeholder, engineer, *others])
    assert sorted(len(group) for group in groups.values()) == [1, 1, 1, 2]
    for group in groups.values():
        assert len({seen(person, incident) for person in group}) == 1


def seen(person: User, incident: Incident) -> str:
    state = live.state_for(person, incident.pk, NOON)
    return str(state and live.blocks_for(person, state.incident, NOON))


def test_the_token_in_shared_forms_is_a_placeholder(mim: User) -> None:
    incident = IncidentFactory.create()
    state = live.state_for(mim, incident.pk, NOON)
    assert state is not None
    shown = "".join(live.blocks_for(mim, state.incident, NOON).values())
    assert shown.count('name="csrfmiddlewaretoken"') == shown.count(f'value="{live.CSRF_OF_THE_PAGE}"') > 0


def test_a_figure_computed_since_moves_the_standing_of_those_who_read_it(mim: User, stakeholder: User) -> None:
    incident = IncidentFactory.create(closed=True, kind="real")
    before = standing(mim, incident), standing(stakeholder, incident)
    recompute_incident(incident.pk, now=NOON + timedelta(hours=2))
    assert standing(mim, incident) != before[0]
    KpiDefinition.objects.update(stakeholder_visible=False)
    unseen = standing(stakeholder, incident)
    recompute_incident(incident.pk, now=NOON + timedelta(hours=3))
    assert standing(stakeholder, incident) == unseen
