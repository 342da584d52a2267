"""Up to 500 values in one request: each row has its own answer, and what is refused keeps no other out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from accounts.models import User
from incidents.models import Incident
from kpis.models import KpiObservation
from tests.cast import Knock
from tests.factories import IncidentFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _each_row_is_looked_up() -> Iterator[None]:
    """Each claim locks its definition: what is the same for two rows of a list is asked twice."""
    with override_settings(MIDDLEWARE=[each for each in settings.MIDDLEWARE if not each.startswith("zeal.")]):
        yield


GOOD = {"kpi": "mttr", "value": 90, "timestamp": "2026-03-02T13:30:00Z"}


@pytest.fixture
def incident(db: None) -> Incident:
    return IncidentFactory(closed=True)


def state(client: Any, incident: Incident, claims: object, **headers: str) -> Any:
    return client.post(f"/api/v1/incidents/{incident.pk}/kpis", claims, "application/json", headers=headers)


def test_each_row_is_answered(client_as: Knock, mim: User, incident: Incident) -> None:
    claims = [GOOD, GOOD, {**GOOD, "value": 91}, {**GOOD, "kpi": "mtr"}, {**GOOD, "values": 1}, 7]
    answer = state(client_as(mim), incident, claims)
    told = answer.json()
    assert answer.status_code == 200
    assert [row["outcome"] for row in told["results"]] == ["new", "same", "changed", "rejected", "rejected", "rejected"]
    assert {name: told[name] for name in ("received", "new", "changed", "same", "rejected")} == {
        "received": 6, "new": 1, "changed": 1, "same": 1, "rejected": 3,
    }  # fmt: skip
    unknown, stray, number = (row["errors"][0] for row in told["results"][3:])
    assert (unknown["pointer"], unknown["code"]) == ("/3/kpi", "unknown_kpi")
    assert stray["pointer"] == "/4/values"
    assert "Did you mean value?" in stray["message"]
    assert number["pointer"] == "/5"
    assert KpiObservation.objects.current().get(incident=incident).value == 91


@pytest.mark.parametrize("count", [0, 501])
def test_none_and_too_many_are_refused_whole(client_as: Knock, mim: User, incident: Incident, count: int) -> None:
    answer = state(client_as(mim), incident, [GOOD] * count)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert "Send 1 to 500 observations at once" in answer.json()["detail"]
    assert not KpiObservation.objects.filter(incident=incident).exists()


def test_a_list_that_is_sent_again_is_stored_once(client_as: Knock, mim: User, incident: Incident) -> None:
    client, key = client_as(mim), {"Idempotency-Key": "a-list-of-claims"}
    first, second = (state(client, incident, [GOOD, {**GOOD, "value": 91}], **key) for _ in range(2))
    assert second["Idempotency-Replayed"] == "true"
    assert second.json() == first.json()
    assert KpiObservation.objects.filter(incident=incident).count() == 2
