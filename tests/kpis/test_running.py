"""What a KPI stands at while its incident is open."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.models import User
from incidents import actions
from incidents.models import Incident
from incidents.viewing import incidents_for
from kpis import reading
from kpis.compute import recompute_incident
from kpis.viewing import observations_for, running_for
from tests.factories import NOON, IncidentFactory, stamp

pytestmark = pytest.mark.django_db


def card(person: User, incident: Incident, minutes: float) -> dict[str, reading.Shown]:
    now = NOON + timedelta(minutes=minutes)
    recompute_incident(incident.pk, now=now)
    seen = incidents_for(person).get(pk=incident.pk)
    rows = reading.of_incident(observations_for(person, seen), now, running=running_for(person, seen, now))
    return {kpi.slug: figure for kpi, figure in rows}


def test_time_to_resolve_runs_until_the_incident_is_over(mim: User) -> None:
    incident = IncidentFactory.create()
    running = card(mim, incident, 96)["mttr"]
    assert (running.value, running.is_so_far, running.state) == ("96 min", True, "")
    actions.resolve(incident, summary="Over.", stamp=stamp(mim, NOON + timedelta(minutes=100)))
    over = card(mim, incident, 180)["mttr"]
    assert (over.value, over.is_so_far, over.state) == ("100 min", False, "met")


def test_what_still_runs_can_be_missed_already(mim: User) -> None:
    assert card(mim, IncidentFactory.create(), 121)["mttr"].state == "missed"


def test_time_to_acknowledge_runs_from_the_alert_until_gather(mim: User) -> None:
    incident = IncidentFactory.create(issue_time=NOON)
    assert card(mim, incident, 4)["mtta"].value == "4 min"
    actions.advance_phase(incident, 2, stamp=stamp(mim, NOON + timedelta(minutes=6)))
    assert (card(mim, incident, 30)["mtta"].value, card(mim, incident, 30)["mtta"].is_so_far) == ("6 min", False)


def test_without_an_alert_time_nothing_runs_from_it(mim: User) -> None:
    assert "mtta" not in card(mim, IncidentFactory.create(), 4)


def test_what_somebody_may_not_read_does_not_run_for_them(stakeholder: User) -> None:
    assert set(card(stakeholder, IncidentFactory.create(issue_time=NOON), 4)) <= {"mttr", "cadence-adherence"}


def test_a_drill_is_not_measured(mim: User) -> None:
    assert "mttr" not in card(mim, IncidentFactory.create(kind="drill"), 4)
