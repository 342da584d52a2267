"""What lists of incidents are narrowed by in the API, and who may ask for what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from incidents.lifecycle import Status
from tests.cast import Knock
from tests.factories import IncidentFactory, TeamFactory, TeamPageFactory, TimelineEventFactory

pytestmark = pytest.mark.django_db


def titles(client: Any, query: str) -> set[str]:
    return {row["title"] for row in client.get(f"/api/v1/incidents?{query}").json()["results"]}


def test_by_a_whole_system(client_as: Knock, stakeholder: User) -> None:
    IncidentFactory(title="One", affected_systems=["Checkout", "Zahlungsverkehr Zürich"])
    IncidentFactory(title="Two", affected_systems=["Checkout API"])
    client = client_as(stakeholder)
    assert titles(client, "system=checkout") == {"One"}
    assert titles(client, "system=zahlungsverkehr%20Z%C3%BCrich") == {"One"}


def test_by_a_promise_that_is_late(client_as: Knock, stakeholder: User) -> None:
    before = timezone.now() - timedelta(minutes=1)
    IncidentFactory(title="Late", next_update_eta=before)
    IncidentFactory(title="In time", next_update_eta=timezone.now() + timedelta(hours=1))
    IncidentFactory(title="No promise")
    IncidentFactory(title="Over", closed=True, next_update_eta=before)
    client = client_as(stakeholder)
    assert titles(client, "overdue=yes") == {"Late"}
    assert titles(client, "overdue=no") == {"In time", "No promise", "Over"}
    assert titles(client, "overdue=yes,no") == titles(client, "") != set()
    assert titles(client, f"overdue=yes&status={Status.RESOLVED}") == set()


def test_by_a_paged_team_for_readers_of_team_response(client_as: Knock, mim: User, stakeholder: User) -> None:
    paged = IncidentFactory(title="Paged")
    IncidentFactory(title="Not paged")
    TeamPageFactory(incident=paged, team=TeamFactory(slug="network"))
    assert titles(client_as(mim), "team=network") == {"Paged"}
    refused = client_as(stakeholder).get("/api/v1/incidents?team=network")
    assert (refused.status_code, refused.json()["code"]) == (403, "role_required")


def test_the_log_after_an_entry(client_as: Knock, mim: User) -> None:
    incident = IncidentFactory()
    first, second = (TimelineEventFactory(incident=incident) for _ in range(2))
    client, address = client_as(mim), f"/api/v1/incidents/{incident.pk}/timeline"
    assert [row["id"] for row in client.get(f"{address}?after={first.pk}").json()["results"]] == [second.pk]
    assert client.get(f"{address}?after={second.pk}").json()["results"] == []
    assert client.get(f"{address}?after=7").json()["parameter"] == "after"


def test_reviews_by_state_and_by_what_is_late(client_as: Knock, mim: User) -> None:
    client = client_as(mim)
    assert client.get("/api/v1/reviews?state=draft&overdue=yes").json()["results"] == []
    assert client.get("/api/v1/reviews?state=late").status_code == 400


def test_a_list_for_excel_begins_with_a_mark(client_as: Knock, mim: User) -> None:
    IncidentFactory(title="Zürich")
    client = client_as(mim)
    plain, marked = (client.get(f"/api/v1/incidents{q}", headers={"Accept": "text/csv"}) for q in ("", "?excel=1"))
    assert marked.content == "\ufeff".encode() + plain.content
    assert client.get("/api/v1/incidents?excel=yes").status_code == 400
