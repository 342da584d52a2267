"""What waits for a decision, and deciding it, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accounts.models import User
from accounts.scopes import Scope
from incidents.alerts import inbox, setup
from incidents.alerts.inbox import Delivery
from incidents.models import Incident, SourceAlert, TimelineEvent
from tests.accounts.programs import program_with
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, at

pytestmark = pytest.mark.django_db
ALERTS, JSON = "/api/v1/alerts", "application/json"


@pytest.fixture
def waiting(mim: User) -> SourceAlert:
    made = setup.create(kind="generic", slug="own", name="Own", by=None, now=NOON)
    body = {"dedup_key": "disk", "title": "The disk is full", "state": "firing", "severity": "high"}
    inbox.receive(made.source, Delivery(json.dumps(body).encode()), now=at("12:45"))
    return SourceAlert.objects.get()


def decide(client: Any, alert: SourceAlert, verdict: str, **body: object) -> Any:
    return client.post(f"{ALERTS}/{alert.pk}/{verdict}", body, content_type=JSON)


def test_what_waits_is_listed_and_opens_an_incident_once(waiting: SourceAlert, client_as: Knock, mim: User) -> None:
    (row,) = client_as(mim).get(ALERTS).json()["results"]
    assert (row["id"], row["source"], row["severity"], row["state"]) == (waiting.pk, "own", "high", "firing")
    opened = decide(client_as(mim), waiting, "accept", severity="Critical")
    assert (opened.status_code, opened.json()["title"], opened.json()["severity"]) == (201, waiting.title, "Critical")
    again = decide(client_as(mim), waiting, "dismiss", reason="Planned work")
    assert (again.status_code, again.json()["code"]) == (409, "decided_already")
    assert client_as(mim).get(ALERTS).json()["results"] == []


def test_it_joins_an_incident_that_is_there(waiting: SourceAlert, client_as: Knock, mim: User) -> None:
    missing = decide(client_as(mim), waiting, "attach", incident="01JD8Q6Z6ZJ5C0M5RKVX9T3W4E")
    assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (422, "/incident")
    incident = IncidentFactory()
    assert decide(client_as(mim), waiting, "attach", incident=incident.pk).json()["id"] == incident.pk
    waiting.refresh_from_db()
    assert (waiting.incident, waiting.decided_by) == (incident, mim)


def test_a_reason_is_needed_to_dismiss_it(waiting: SourceAlert, client_as: Knock, mim: User) -> None:
    assert decide(client_as(mim), waiting, "dismiss").status_code == 422
    assert decide(client_as(mim), waiting, "dismiss", reason="Planned work").json()["id"] == waiting.pk
    assert not Incident.objects.exists()


def test_a_program_is_named_in_the_log(waiting: SourceAlert) -> None:
    client = program_with(Scope.INCIDENTS_WRITE, name="Robot")
    assert decide(client, waiting, "accept").status_code == 201
    assert {entry.actor for entry in TimelineEvent.objects.all()} == {"Robot"}


def test_it_is_for_those_who_command(waiting: SourceAlert, client_as: Knock, stakeholder: User) -> None:
    assert client_as(stakeholder).get(ALERTS).status_code == 403
    assert program_with(Scope.INCIDENTS_READ).get(ALERTS).status_code == 403
