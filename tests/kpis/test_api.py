"""KPI definitions and observations over HTTP: at the documented paths, for whom, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from incidents.models import Incident, Participant
from kpis.claims import Claim, record_claim
from kpis.compute import backfill
from kpis.models import KpiDefinition, KpiObservation
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, TeamFactory, TeamPageFactory

JSON = "application/json"
PROBLEM = "application/problem+json"
Counter = Callable[[int], AbstractContextManager[object]]

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident(db: None) -> Incident:
    return IncidentFactory(closed=True)


def slugs(client: Client, path: str = "/kpis") -> set[str]:
    return {row["slug"] for row in client.get(path).json()["results"]}


def claim(client: Client, incident: Incident, **changes: object) -> Any:
    body = {"kpi": "mttr", "value": 90, "timestamp": "2026-03-02T13:30:00Z", **changes}
    return client.post(f"/incidents/{incident.pk}/kpis", body, content_type=JSON)


# --- Definitions ---


def test_definitions_are_at_both_paths_and_alike(client_as: Knock, mim: User) -> None:
    client = client_as(mim)
    assert client.get("/kpis").json()["results"] == client.get("/api/v1/kpis").json()["results"]
    assert client.get("/kpis/mttr").json() == client.get("/api/v1/kpis/mttr").json()


def test_definition_says_everything_about_the_kpi(client_as: Knock, mim: User) -> None:
    shown = client_as(mim).get("/kpis/mttr").json()
    assert {name: shown[name] for name in ("slug", "name", "units", "visibility", "owner", "version", "status")} == {
        "slug": "mttr",
        "name": "Mean Time to Resolve",
        "units": "minutes",
        "visibility": "exec",
        "owner": "Ops Leader",
        "version": 1,
        "status": "active",
    }
    assert shown["targets"][0] == {
        "when": {"severity": "critical"},
        "op": "lte",
        "value": 120,
        "readable": "Critical ≤ 120 min",
    }
    assert "incidents.resolved_at" in shown["dataSources"]
    assert shown["reviewCadence"] == "quarterly"


def test_figure_without_data_is_null_with_a_reason(client_as: Knock, mim: User) -> None:
    latest = client_as(mim).get("/kpis/mttr").json()["latest"]
    assert (latest["value"], latest["n"], latest["reason"], latest["timestamp"]) == (None, 0, "not_computed", None)
    assert latest["evidence"] == "unverified"


def test_definition_without_a_formula_is_proposed(client_as: Knock, mim: User) -> None:
    KpiDefinition.objects.filter(slug="mttr").update(spec=None)
    shown = client_as(mim).get("/kpis/mttr").json()
    assert (shown["evidence"], shown["latest"]["reason"], shown["dataSources"]) == ("proposed", "no_formula", [])


def test_latest_figure_is_the_newest_of_the_headline_window(client_as: Knock, mim: User, incident: Incident) -> None:
    mttr = KpiDefinition.objects.get(slug="mttr")
    for days in (1, 2):
        backfill(mttr, as_of=NOON + timedelta(days=days))
    IncidentFactory(closed=True, resolved_at=NOON + timedelta(minutes=30))
    backfill(mttr, as_of=NOON + timedelta(days=3))
    shown = client_as(mim).get("/kpis/mttr").json()
    headline = shown["latest"]
    assert (headline["window"], headline["value"], headline["n"], headline["median"]) == ("P30D", 60.0, 2, 60.0)
    assert headline["timestamp"] == "2026-03-05T12:00:00.000Z"
    assert [figure["window"] for figure in shown["figures"]] == ["P30D", "P90D", "all"]


@pytest.mark.parametrize(
    ("who", "may", "may_not"),
    [
        ("mim", {"mttr", "mtta", "engineer-response-time"}, set()),
        ("admin_user", {"mttr", "mtta", "engineer-response-time"}, set()),
        ("executive", {"mttr", "stakeholder-satisfaction"}, {"mtta", "team-page-to-bridge", "engineer-response-time"}),
        ("stakeholder", {"mttr"}, {"mtta", "engineer-response-time"}),
    ],
)
def test_definitions_are_for_their_readers(
    client_as: Knock, request: pytest.FixtureRequest, who: str, may: set[str], may_not: set[str]
) -> None:
    client = client_as(request.getfixturevalue(who))
    assert may <= slugs(client)
    assert not may_not & slugs(client)
    for slug in may_not:
        assert client.get(f"/kpis/{slug}").status_code == 404


def test_executive_kpi_is_hidden_from_stakeholders_unless_it_says_so(client_as: Knock, stakeholder: User) -> None:
    KpiDefinition.objects.filter(slug="mttr").update(stakeholder_visible=False)
    assert "mttr" not in slugs(client_as(stakeholder))


def test_draft_is_for_administrators(client_as: Knock, mim: User, admin_user: User) -> None:
    KpiDefinition.objects.filter(slug="mttr").update(status="draft")
    assert "mttr" not in slugs(client_as(mim))
    assert "mttr" in slugs(client_as(admin_user))


def test_personal_kpi_shows_no_figure(client_as: Knock, admin_user: User, engineer: User) -> None:
    TeamPageFactory(user=engineer, arrived_at=NOON + timedelta(minutes=4), arrival_source="self")
    backfill(KpiDefinition.objects.get(slug="engineer-response-time"), as_of=NOON + timedelta(days=1))
    assert not KpiObservation.objects.filter(kpi="engineer-response-time").exists()
    shown = client_as(admin_user).get("/kpis/engineer-response-time").json()
    assert {(figure["value"], figure["reason"]) for figure in shown["figures"]} == {(None, "personal")}


def test_definitions_are_filtered(client_as: Knock, mim: User) -> None:
    client = client_as(mim)
    assert slugs(client, "/kpis?visibility=exec") == {"mttr", "cadence-adherence", "stakeholder-satisfaction"}
    assert slugs(client, "/kpis?q=ACKNOW&visibility=internal,exec") == {
        "alert-acknowledgement-time",
        "mtta",
        "team-page-to-ack",
    }
    assert client.get("/kpis?slug=mttr").status_code == 400


def test_list_of_definitions_costs_the_same_for_all(
    client_as: Knock, mim: User, django_assert_max_num_queries: Counter
) -> None:
    client = client_as(mim)
    client.get("/api/v1/users/me")
    with django_assert_max_num_queries(5):  # the person, definitions, targets, figures, what failed a re-run
        assert len(client.get("/kpis").json()["results"]) > 5


def test_definitions_are_never_deleted(client_as: Knock, admin_user: User) -> None:
    assert client_as(admin_user).delete("/kpis/mttr").status_code == 405
    assert client_as(admin_user).put("/kpis/mttr", {"slug": "x"}, content_type=JSON).status_code == 405


# --- One address, two answers ---


@pytest.mark.parametrize("accept", ["*/*", JSON, "application/json, */*", None])
def test_program_gets_json(client_as: Knock, mim: User, incident: Incident, accept: str | None) -> None:
    client = Client(headers={"Cf-Access-Authenticated-User-Email": mim.email, **({"Accept": accept} if accept else {})})
    for path in ("/kpis", "/kpis/mttr", f"/incidents/{incident.pk}/kpis"):
        answer = client.get(path)
        assert (answer.status_code, answer["Content-Type"]) == (200, JSON)
        assert "Accept" in answer["Vary"]


def test_browser_gets_the_page(page_as: Knock, mim: User, incident: Incident) -> None:
    for path in ("/kpis", "/kpis/mttr", f"/incidents/{incident.pk}/kpis"):
        answer = page_as(mim).get(path)
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/html")
        assert "Accept" in answer["Vary"]


def test_program_gets_problems_at_the_root_too(client_as: Knock, mim: User) -> None:
    client = client_as(mim)
    for path in ("/kpis/no-such", "/incidents/01ARZ3NDEKTSV4RRFFQ69G5FAV/kpis"):
        answer = client.get(path)
        assert (answer.status_code, answer["Content-Type"]) == (404, PROBLEM)
    assert Client().get("/kpis", headers={"Accept": "*/*"}).status_code == 401


@pytest.mark.parametrize("accept", ["*/*", "text/html, */*"])
def test_program_posts_at_the_root_without_a_csrf_token(mim: User, incident: Incident, accept: str) -> None:
    headers = {"Cf-Access-Authenticated-User-Email": mim.email, "Accept": accept}
    answer = claim(Client(enforce_csrf_checks=True, headers=headers), incident)
    assert (answer.status_code, answer["Content-Type"]) == (201, JSON)


def test_ambient_identity_needs_a_csrf_token_to_write(mim: User, incident: Incident) -> None:
    """The root path is exempt from Django's own check, so that programs can post; the API's check must hold."""
    browser = Client(enforce_csrf_checks=True)
    session = browser.session
    session["dev_email"] = mim.email
    session.save()
    answer = claim(browser, incident)
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    assert not KpiObservation.objects.exists()


# --- Observations ---


def test_observations_of_the_incident_are_current_ones(client_as: Knock, mim: User, incident: Incident) -> None:
    backfill(KpiDefinition.objects.get(slug="mttr"), as_of=NOON + timedelta(days=1))
    (row,) = client_as(mim).get(f"/incidents/{incident.pk}/kpis?kpi=mttr").json()["results"]
    assert (row["kpi"], row["value"], row["units"], row["n"], row["source"]) == ("mttr", 90.0, "minutes", 1, "cli")
    assert (row["timestamp"], row["dims"], row["reason"]) == (
        "2026-03-02T13:30:00.000Z",
        {"severity": "critical"},
        None,
    )
    assert (row["definitionVersion"], row["revision"], row["evidence"]) == (1, 1, "verified")
    assert row["subject"] == f"incident:{incident.pk}"


def test_observations_are_for_readers_of_their_kpi(
    client_as: Knock, mim: User, executive: User, stakeholder: User, engineer: User
) -> None:
    page = TeamPageFactory(user=engineer, arrived_at=NOON + timedelta(minutes=4), arrival_source="self")
    backfill(KpiDefinition.objects.get(slug="engineer-response-time"), as_of=NOON + timedelta(days=1))
    backfill(KpiDefinition.objects.get(slug="team-page-to-bridge"), as_of=NOON + timedelta(days=1))
    record_claim(
        KpiDefinition.objects.get(slug="mttr"),
        page.incident,
        Claim(value=9, timestamp=NOON, metadata={"note": "INTERNAL"}),
        now=NOON,
    )
    told = {
        user: client_as(user).get(f"/incidents/{page.incident.pk}/kpis")
        for user in (mim, executive, stakeholder, engineer)
    }
    seen = {user.email: {row["kpi"] for row in answer.json()["results"]} for user, answer in told.items()}
    assert seen == {
        mim.email: {"mttr", "team-page-to-bridge"},  # the personal one for nobody
        executive.email: {"mttr"},
        stakeholder.email: {"mttr"},
        engineer.email: {"mttr"},
    }
    assert "INTERNAL" in told[mim].content.decode()
    assert "INTERNAL" not in told[executive].content.decode()


def test_single_dispatch_of_an_executive_kpi_is_for_readers_of_team_response(
    client_as: Knock, mim: User, executive: User, engineer: User
) -> None:
    KpiDefinition.objects.filter(slug="team-page-to-bridge").update(visibility="exec", stakeholder_visible=True)
    page = TeamPageFactory(arrived_at=NOON + timedelta(minutes=4))
    backfill(KpiDefinition.objects.get(slug="team-page-to-bridge"), as_of=NOON + timedelta(days=1))
    Participant.objects.create(incident=page.incident, user=engineer)
    found = [
        len(client_as(user).get(f"/incidents/{page.incident.pk}/kpis").json()["results"])
        for user in (mim, executive, engineer)
    ]
    assert found == [1, 0, 1]


def test_observations_cost_the_same_for_many(
    client_as: Knock, mim: User, incident: Incident, django_assert_max_num_queries: Counter
) -> None:
    for minute in range(12):
        moment = NOON + timedelta(minutes=minute)
        record_claim(KpiDefinition.objects.get(slug="mttr"), incident, Claim(value=1, timestamp=moment), now=moment)
    client = client_as(mim)
    client.get("/api/v1/users/me")
    with django_assert_max_num_queries(5):  # the person, the incident, the observations, what holds of them now (2)
        assert len(client.get(f"/incidents/{incident.pk}/kpis").json()["results"]) == 12


# --- Claims ---


def test_claim_is_stored_once_and_another_value_is_a_revision(client_as: Knock, mim: User, incident: Incident) -> None:
    client = client_as(mim)
    first, again, other = claim(client, incident), claim(client, incident), claim(client, incident, value=91.5)
    assert [answer.status_code for answer in (first, again, other)] == [201, 200, 201]
    assert again.json() == first.json()
    assert (other.json()["revision"], other.json()["value"], other.json()["source"]) == (2, 91.5, "api")
    assert list(KpiObservation.objects.current().values_list("value", flat=True)) == [91.5]


def test_claim_takes_the_documented_triple_at_both_paths(client_as: Knock, mim: User, incident: Incident) -> None:
    body = {"kpi": "mttr", "value": 90, "timestamp": 1772458200000}
    at_root = claim(client_as(mim), incident)
    below_api = client_as(mim).post(f"/api/v1/incidents/{incident.pk}/kpis", body, content_type=JSON)
    assert (at_root.status_code, below_api.status_code) == (201, 200)
    assert below_api.json()["id"] == at_root.json()["id"]


def test_claim_about_a_dispatch(client_as: Knock, mim: User) -> None:
    page = TeamPageFactory(team=TeamFactory(slug="network"))
    client, base = client_as(mim), {"kpi": "team-page-to-bridge", "value": 4.5}
    named = claim(client, page.incident, **base, subject=f"team_page:{page.pk}")
    by_team = claim(client, page.incident, **base, team="network")
    assert (named.status_code, by_team.status_code) == (201, 200)
    assert by_team.json()["subject"] == f"team_page:{page.pk}"


@pytest.mark.parametrize("who", ["stakeholder", "executive", "engineer"])
def test_only_those_who_command_claim(
    client_as: Knock, request: pytest.FixtureRequest, incident: Incident, who: str
) -> None:
    answer = claim(client_as(request.getfixturevalue(who)), incident)
    assert (answer.status_code, answer.json()["code"]) == (403, "role_required")
    assert not KpiObservation.objects.exists()


def test_unknown_slug_gets_the_near_matches(client_as: Knock, mim: User, incident: Incident) -> None:
    problem = claim(client_as(mim), incident, kpi="mtr").json()
    assert (problem["status"], problem["code"], problem["errors"][0]["pointer"]) == (422, "unknown_kpi", "/kpi")
    assert "mttr" in problem["near"]
    assert "Did you mean mttr" in problem["detail"]


def test_retired_kpi_takes_no_claims(client_as: Knock, mim: User, incident: Incident) -> None:
    KpiDefinition.objects.filter(slug="mttr").update(status="retired")
    problem = claim(client_as(mim), incident).json()
    assert (problem["status"], problem["code"], problem["errors"][0]["pointer"]) == (422, "kpi_retired", "/kpi")


BAD_CLAIMS: dict[str, dict[str, object]] = {
    "wrong unit": {"units": "hours"},
    "unknown slug": {"kpi": "nope"},
    "slug too long": {"kpi": "x" * 5000},
    "slug is a list": {"kpi": ["mttr"]},
    "no value": {"value": None},
    "value as text": {"value": "90"},
    "value is true": {"value": True},
    "value is NaN as text": {"value": "NaN"},
    "value beyond the column": {"value": 1e15},
    "value is a list": {"value": [1]},
    "no time": {"timestamp": None},
    "time without a zone": {"timestamp": "2026-03-02T13:30:00"},
    "time six minutes ahead": {"timestamp": (timezone.now() + timedelta(hours=1)).isoformat()},
    "time before time": {"timestamp": "0001-01-01T00:00:00+14:00"},
    "confidence above one": {"confidence": 1.01},
    "confidence below zero": {"confidence": -0.01},
    "confidence as text": {"confidence": "high"},
    "source of a machine": {"source": "worker"},
    "source unknown": {"source": "rumour"},
    "metadata is a list": {"metadata": [1]},
    "subject unknown": {"subject": "team_page:01ARZ3NDEKTSV4RRFFQ69G5FAV"},
    "subject is no id": {"subject": "team_page:x"},
    "subject of another kind": {"subject": "user:1"},
    "team never paged": {"team": "network"},
    "unknown key": {"revision": 7},
    "key of another spelling": {"kpi_slug": "mttr"},
}


@pytest.mark.parametrize("change", BAD_CLAIMS.values(), ids=BAD_CLAIMS)
def test_bad_claim_is_422_and_stores_nothing(
    client_as: Knock, mim: User, incident: Incident, change: dict[str, object]
) -> None:
    answer = claim(client_as(mim), incident, **change)
    assert (answer.status_code, answer["Content-Type"]) == (422, PROBLEM), answer.content
    assert answer.json()["errors"][0]["pointer"] == f"/{next(iter(change))}"
    assert not KpiObservation.objects.exists()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
def test_number_that_is_none_is_422_and_stores_nothing(
    client_as: Knock, mim: User, incident: Incident, number: str
) -> None:
    body = f'{{"kpi": "mttr", "value": {number}, "timestamp": "2026-03-02T13:30:00Z"}}'
    answer = client_as(mim).post(f"/incidents/{incident.pk}/kpis", body, content_type=JSON)
    assert (answer.status_code, answer["Content-Type"]) == (422, PROBLEM)
    assert answer.json()["errors"][0]["pointer"] == "/value"
    assert not KpiObservation.objects.exists()


@pytest.mark.parametrize("body", [[], "x", None, 5])
def test_claim_that_is_no_object_is_422(client_as: Knock, mim: User, incident: Incident, body: object) -> None:
    answer = client_as(mim).post(f"/incidents/{incident.pk}/kpis", json.dumps(body), content_type=JSON)
    assert answer.status_code == 422


def test_dispatch_of_another_incident_is_refused(client_as: Knock, mim: User, incident: Incident) -> None:
    other = TeamPageFactory()
    answer = claim(client_as(mim), incident, kpi="team-page-to-bridge", subject=f"team_page:{other.pk}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/subject")


# --- Figures about everyone ---


def figure(client: Client, slug: str = "mttr", **changes: object) -> Any:
    body = {"value": 90, "timestamp": "2026-03-02T00:00:00Z", **changes}
    return client.post(f"/api/v1/kpis/{slug}/observations", body, content_type=JSON)


def test_figure_is_stored_once_and_another_value_is_a_revision(client_as: Knock, mim: User) -> None:
    client = client_as(mim)
    first, again, other = figure(client), figure(client), figure(client, value=91.5)
    assert [answer.status_code for answer in (first, again, other)] == [201, 200, 201]
    assert (other.json()["subject"], other.json()["incident"], other.json()["revision"]) == ("org:org", None, 2)


def test_figure_of_a_group_and_window(client_as: Knock, mim: User) -> None:
    told = figure(client_as(mim), window="all", dims={"severity": "high"}).json()
    assert (told["window"], told["dims"], told["evidence"]) == ("all", {"severity": "high"}, "partial")


@pytest.mark.parametrize("change", [{"window": "P7D"}, {"dims": {"team": "x"}}, {"units": "hours"}, {"value": "90"}])
def test_figure_that_the_definition_does_not_have(client_as: Knock, mim: User, change: dict[str, object]) -> None:
    assert figure(client_as(mim), **change).status_code == 422
    assert not KpiObservation.objects.exists()


@pytest.mark.parametrize("who", ["stakeholder", "executive", "engineer"])
def test_only_those_who_command_state_figures(client_as: Knock, request: pytest.FixtureRequest, who: str) -> None:
    assert figure(client_as(request.getfixturevalue(who))).status_code == 403
    assert not KpiObservation.objects.exists()


def test_figure_of_an_unknown_kpi(client_as: Knock, mim: User) -> None:
    assert figure(client_as(mim), "nope").status_code == 404


def test_all_observations_are_narrowed_by_what_they_are_about(client_as: Knock, mim: User) -> None:
    first, second = IncidentFactory(closed=True), IncidentFactory(closed=True, severity="high")
    client = client_as(mim)
    for incident in (first, second):
        claim(client, incident)

    def found(query: str) -> list[str]:
        return [row["incident"] for row in client.get(f"/api/v1/observations?kpi=mttr&{query}").json()["results"]]

    assert found(f"incident={first.pk.lower()}") == [first.pk]
    assert found("severity=high") == [second.pk]
    assert found("source=api,ui") == [second.pk, first.pk]
    assert found("source=worker") == found("team=database-west") == []
    assert client.get("/api/v1/observations?incident=7").status_code == 400
