"""One statistic of a KPI over time, for each group: how many values, what was left out, how far to trust it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from incidents.models import Incident
from kpis.claims import Claim, record_claim
from kpis.models import KpiDefinition
from tests.cast import Knock
from tests.factories import IncidentFactory

pytestmark = pytest.mark.django_db


def value(minutes: float, *, severity: str = "critical", days_ago: int = 1, **of_incident: Any) -> Incident:
    at = timezone.now() - timedelta(days=days_ago)
    incident = IncidentFactory(severity=severity, detected_at=at, **of_incident)
    record_claim(KpiDefinition.objects.get(slug="mttr"), incident, Claim(minutes, at), now=timezone.now())
    return incident


def asked(client: Any, query: str) -> Any:
    return client.get(f"/api/v1/kpis/mttr/aggregate?{query}").json()


def test_everything_together(client_as: Knock, mim: User) -> None:
    for minutes in (10, 20, 60):
        value(minutes)
    value(500, days_ago=40)
    told = asked(client_as(mim), "stat=mean")
    (all_of_it,) = told["groups"]
    assert (told["window"], told["units"], all_of_it["group"]) == ("30d", "minutes", None)
    assert (all_of_it["value"], all_of_it["n"], all_of_it["evidence"]) == (30.0, 3, "partial")
    assert [reason["code"] for reason in all_of_it["evidenceReasons"]] == ["low_n"]
    assert asked(client_as(mim), "stat=median&window=60d")["groups"][0]["value"] == 40.0


def test_each_severity_apart(client_as: Knock, mim: User) -> None:
    value(10)
    value(30, severity="high")
    told = asked(client_as(mim), "group=severity")
    assert {each["group"]: each["value"] for each in told["groups"]} == {"critical": 10.0, "high": 30.0}


def test_nothing_is_null_with_a_reason(client_as: Knock, mim: User) -> None:
    (nothing,) = asked(client_as(mim), "stat=p95")["groups"]
    assert (nothing["value"], nothing["n"], nothing["reason"]) == (None, 0, "no_samples")
    assert asked(client_as(mim), "group=week")["groups"] == []


def test_restricted_incidents_are_in_no_aggregate(client_as: Knock, mim: User) -> None:
    value(10)
    value(900, restricted=True)
    assert asked(client_as(mim), "")["groups"][0]["n"] == 1


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("windw=30d", "Did you mean window?"),
        ("window=0d", "from 1d to 366d"),
        ("window=30", ""),
        ("stat=avg", "stat is one of mean, median, p95, rate"),
        ("group=system", "group is one of team, severity, week"),
        ("stat=rate", "measured in minutes; only a share has a rate"),
    ],
)
def test_what_cannot_be_asked_is_named(client_as: Knock, mim: User, query: str, names: str) -> None:
    answer = client_as(mim).get(f"/api/v1/kpis/mttr/aggregate?{query}")
    assert answer.status_code == (400 if names else 200)
    assert names in answer.content.decode()


def test_teams_are_compared_by_readers_of_team_response(client_as: Knock, mim: User, executive: User) -> None:
    address = "/api/v1/kpis/mttr/aggregate?group=team"
    assert [client_as(person).get(address).status_code for person in (mim, executive)] == [200, 403]


def test_a_kpi_that_one_may_not_read_is_not_there(client_as: Knock, stakeholder: User) -> None:
    assert client_as(stakeholder).get("/api/v1/kpis/mtta/aggregate").status_code == 404
