"""Definitions are made, changed, tried, published and computed over HTTP as in the admin: as drafts, and told why."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import AuditEvent, User
from accounts.scopes import Scope
from kpis import backfills
from kpis.models import KpiDefinition, KpiObservation, KpiRun
from majorops.lib.times import iso
from tests.accounts.programs import program_with
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory

pytestmark = pytest.mark.django_db
KPIS = "/api/v1/kpis"
JSON = "application/json"
NEW = {
    "slug": "time-in-the-dark",
    "name": "Time in the dark",
    "description": "How long until stakeholders heard something.",
    "formula": "avg(first update - detected_at)",
    "units": "minutes",
    "owner": "Communications",
}


@pytest.fixture
def client(client_as: Knock, admin_user: User) -> Any:
    return client_as(admin_user)


def change(client: Any, slug: str, body: object, tag: str | None = "*") -> Any:
    headers = {"If-Match": tag} if tag is not None else {}
    return client.patch(f"{KPIS}/{slug}", body, JSON, headers=headers)


def test_a_new_definition_is_a_draft_until_it_is_published(client: Any, client_as: Knock, mim: User) -> None:
    made = client.post(KPIS, NEW, JSON)
    assert (made.status_code, made["Location"]) == (201, f"{KPIS}/time-in-the-dark")
    assert made.json()["status"] == "draft"
    assert client_as(mim).get(made["Location"]).status_code == 404
    published = client.post(f"{KPIS}/time-in-the-dark/publish", {"reason": "Agreed"}, JSON)
    assert published.json()["status"] == "active"
    assert client_as(mim).get(made["Location"]).status_code == 200


def test_a_slug_is_given_once(client: Any) -> None:
    answer = client.post(KPIS, {**NEW, "slug": "mttr"}, JSON)
    assert (answer.status_code, answer.json()["code"]) == (409, "slug_taken")
    assert answer.json()["errors"][0]["pointer"] == "/slug"


def test_what_describes_holds_at_once_and_what_runs_becomes_a_draft(client: Any) -> None:
    tag = client.get(f"{KPIS}/mttr")["ETag"]
    answer = change(client, "mttr", {"owner": "Reliability", "formula": "In words", "reason": "Handed over"}, tag)
    assert answer.status_code == 200
    assert answer.json()["owner"] == "Reliability"
    assert answer.json()["formula"] != "In words"
    assert answer["ETag"] != tag
    newest = KpiDefinition.objects.get(slug="mttr").versions.first()
    assert newest is not None
    assert newest.reason == "Handed over"
    client.post(f"{KPIS}/mttr/publish", {"reason": "Agreed"}, JSON)
    assert client.get(f"{KPIS}/mttr").json()["formula"] == "In words"


def test_a_change_names_what_it_was_made_from(client: Any) -> None:
    tag = client.get(f"{KPIS}/mttr")["ETag"]
    body = {"owner": "Reliability", "reason": "Handed over"}
    assert change(client, "mttr", body, None).status_code == 428
    assert change(client, "mttr", body, tag).status_code == 200
    late = change(client, "mttr", {**body, "owner": "Others"}, tag)
    assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile")


def test_a_formula_that_cannot_run_is_refused_with_its_place(client: Any) -> None:
    spec = {"schema": "majorops.kpi/1", "source": "nowhere", "calc": {"kind": "aggregate", "agg": "avg"}}
    answer = change(client, "mttr", {"spec": spec, "reason": "Try"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"]


def test_preview_writes_nothing(client: Any) -> None:
    IncidentFactory(closed=True)
    before = KpiDefinition.objects.get(slug="mttr").versions.count()
    told = client.post(f"{KPIS}/mttr/preview", {"targets": [{"op": "lte", "value": 1}]}, JSON)
    assert told.status_code == 200
    assert told.json()["rowsRead"] >= 1
    assert {each["draft"]["targetState"] for each in told.json()["subjects"]} <= {"missed", None}
    assert KpiDefinition.objects.get(slug="mttr").versions.count() == before


def test_backfill_is_counted_or_queued(client: Any) -> None:
    IncidentFactory(closed=True)
    counted = client.post(f"{KPIS}/mttr/backfill", {"dryRun": True}, JSON)
    assert (counted.status_code, counted.json()["new"] > 0, KpiRun.objects.count()) == (200, True, 0)
    queued = client.post(f"{KPIS}/mttr/backfill", {"start": NOON.isoformat()}, JSON)
    assert queued.status_code == 202
    assert queued.json()["job"]
    backfills.carry_out.call("mttr", queued.json()["start"], queued.json()["end"])
    (run,) = client.get(queued["Location"]).json()["results"]
    assert (run["trigger"], run["outcome"], run["new"] > 0) == ("api", "done", True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"end": "2999-01-01T00:00:00Z"}, "/end"),
        ({"start": "2026-03-02T00:00:00Z", "end": "2026-03-01T00:00:00Z"}, "/start"),
        ({"from": "2026-03-02T00:00:00Z"}, "/from"),
    ],
)
def test_a_span_that_cannot_be_is_named(client: Any, body: object, field: str) -> None:
    answer = client.post(f"{KPIS}/mttr/backfill", body, JSON)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, field)


@pytest.mark.parametrize("path", ["", "/mttr/preview", "/mttr/publish", "/mttr/backfill"])
def test_only_administrators_define(client_as: Knock, mim: User, path: str) -> None:
    assert client_as(mim).post(f"{KPIS}{path}", NEW, JSON).status_code == 403


def test_a_program_defines_and_computes_with_the_scope_for_it_and_administers_nothing_else(db: None) -> None:
    IncidentFactory(closed=True)
    definer, writer = (
        program_with(Scope.KPIS_DEFINE, name="CI"),
        program_with(Scope.KPIS_READ, Scope.KPIS_WRITE, name="Writer"),
    )
    for path, body, status in (
        ("/mttr/preview", {}, 200),
        ("/mttr/backfill", {"dryRun": True}, 200),
        ("", NEW, 201),
    ):
        assert definer.post(f"{KPIS}{path}", body, JSON).status_code == status
        assert writer.post(f"{KPIS}{path}", body, JSON).status_code == 403
    assert definer.get("/api/v1/users").status_code == 403
    assert definer.post("/api/v1/teams", {"slug": "x", "name": "X"}, JSON).status_code == 403
    made = AuditEvent.objects.filter(action="kpi_definition_change").latest("at")
    assert (made.actor_name, made.actor_kind) == ("CI", "service")


def test_what_a_file_has_comes_in_again_and_changes_nothing(client: Any) -> None:
    files = client.get("/api/v1/kpi-definitions?limit=200").json()["results"]
    told = client.post("/api/v1/kpi-definitions", {"definitions": files}, JSON).json()
    assert ({each["state"] for each in told["planned"]}, told["saved"]) == ({"same"}, [])
    wrong = [{**files[0], "owner": "Somebody"}, {**files[1], "units": 7}]
    planned = client.post("/api/v1/kpi-definitions", {"definitions": wrong, "dryRun": True}, JSON).json()["planned"]
    assert [(each["state"], each["changes"]) for each in planned] == [("changed", ["owner"]), ("error", [])]
    refused = client.post("/api/v1/kpi-definitions", {"definitions": wrong}, JSON)
    assert (refused.status_code, "Nothing was imported" in refused.json()["detail"]) == (422, True)
    assert not KpiDefinition.objects.filter(owner="Somebody").exists()


def test_figures_of_single_people_are_not_tried(client: Any) -> None:
    refused = client.post(f"{KPIS}/engineer-response-time/preview", {}, JSON)
    assert (refused.status_code, "single people" in refused.json()["detail"]) == (422, True)


def test_one_incident_is_brought_up_to_date_at_once(client: Any) -> None:
    incident = IncidentFactory(closed=True)
    told = client.post(f"{KPIS}/mttr/backfill", {"incident": incident.pk}, JSON)
    assert (told.status_code, told.json()["new"]) == (200, 1)
    assert KpiObservation.objects.filter(kpi="mttr", incident=incident).count() == 1
    assert client.post(f"{KPIS}/mttr/backfill", {"incident": "nothing"}, JSON).status_code == 422
    none = client.post(f"{KPIS}/cadence-adherence/backfill", {"incident": incident.pk, "end": iso(NOON)}, JSON)
    assert none.json()["errors"][0]["pointer"] == "/incident"


def test_lists_narrow_by_evidence_and_review(client: Any) -> None:
    known = {row["slug"]: row["evidence"] for row in client.get(f"{KPIS}?limit=200").json()["results"]}
    found = {row["slug"] for row in client.get(f"{KPIS}?limit=200&evidence=unverified").json()["results"]}
    assert found == {slug for slug, evidence in known.items() if evidence == "unverified"}
    assert client.get(f"{KPIS}?review=due").json()["results"] == []
    assert client.get(f"{KPIS}?review=overdue").status_code == 400


def test_nobody_changed_anything_is_304(client: Any) -> None:
    for address in (KPIS, f"{KPIS}/mttr", "/kpis"):
        tag = client.get(address)["ETag"]
        assert client.get(address, headers={"If-None-Match": tag}).status_code == 304
