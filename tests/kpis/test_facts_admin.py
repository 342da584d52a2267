"""Kinds and subjects in admin: rules hold there too, every change is a version, and ledgers are looked at only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accounts.models import User
from kpis.facts import ingest, parked
from kpis.models import Fact, FactKind, FactKindVersion, Subject, SubjectType
from tests.cast import Knock
from tests.factories import NOON, at
from tests.kpis.facts import define, event, send

pytestmark = pytest.mark.django_db
KIND: dict[str, Any] = {
    "key": "build", "description": "A build ended.", "owner": "SRE", "status": "active", "subject_type": "repo",
    "subject_field": "repo", "time_field": "occurred_at", "expected_every": "P1D", "freshness": "",
    "fields": json.dumps({"repo": {"type": "string", "required": True}, "ok": {"type": "bool"}}), "reason": "Wanted",
}  # fmt: skip


def test_a_kind_is_made_and_changed_with_a_reason(page_as: Knock, admin_user: User) -> None:
    page = page_as(admin_user)
    assert page.post("/admin/kpis/factkind/add/", KIND).status_code == 302
    assert page.get("/admin/kpis/factkind/build/change/").status_code == 200
    changed = {**KIND, "owner": "Platform", "reason": "A new team"}
    assert page.post("/admin/kpis/factkind/build/change/", changed).status_code == 302
    told = FactKindVersion.objects.filter(kind="build").order_by("id").values_list("version", "reason", "changed_by")
    assert list(told) == [(1, "Wanted", admin_user.pk), (2, "A new team", admin_user.pk)]
    assert send(event("build", "10:00", repo="shop", ok=True)).inserted == 1


@pytest.mark.parametrize(("change", "why"), [
    ({"key": "Build"}, "no name of a kind"), ({"fields": '{"id": {"type": "string"}}'}, "in every fact already"),
    ({"fields": "{"}, "Line 1, column 2: this is no JSON"), ({"fields": "[" * 2000}, "nested too deeply"),
    ({"reason": ""}, "required"),
    ({"subject_field": "nope"}, "subject_field is"), ({"expected_every": "daily"}, "not a period"),
])  # fmt: skip
def test_a_kind_that_cannot_be_is_refused_with_the_reason(
    page_as: Knock, admin_user: User, change: dict[str, str], why: str
) -> None:
    answer = page_as(admin_user).post("/admin/kpis/factkind/add/", {**KIND, **change})
    assert answer.status_code == 200
    assert why in answer.content.decode()
    assert not FactKind.objects.filter(key__iexact="build").exists()


def test_a_type_that_changes_is_refused_in_the_form(page_as: Knock, admin_user: User) -> None:
    page = page_as(admin_user)
    page.post("/admin/kpis/factkind/add/", KIND)
    other = {**KIND, "fields": json.dumps({"repo": {"type": "string"}, "ok": {"type": "string"}})}
    assert "ok held bool" in page.post("/admin/kpis/factkind/build/change/", other).content.decode()


def test_sorts_and_subjects_are_entered(page_as: Knock, admin_user: User) -> None:
    page = page_as(admin_user)
    sort = {
        "key": "device",
        "description": "A device.",
        "on_first_sight": "refuse",
        "attributes": '{"ram": {"type": "int"}}',
    }
    assert page.post("/admin/kpis/subjecttype/add/", sort).status_code == 302
    one = {"type": "device", "key": "edge-1", "name": "", "is_active": "on", "attributes": '{"ram": 8}'}
    assert page.post("/admin/kpis/subject/add/", one).status_code == 302
    row = Subject.objects.get(type="device")
    assert (row.attributes, row.is_active) == ({"ram": 8}, True)
    wrong = page.post(f"/admin/kpis/subject/{row.pk}/change/", {**one, "attributes": '{"ram": "8"}'})
    assert "ram must be a whole number" in wrong.content.decode()
    assert "tier holds string" in page.post(
        "/admin/kpis/subjecttype/add/", {**sort, "key": "other", "attributes": '{"tier": {"type": "int"}}'}
    ).content.decode()  # fmt: skip
    assert SubjectType.objects.filter(key="other").count() == 0


@pytest.mark.parametrize("model", ["fact", "decision", "parkedfact", "factkindversion"])
def test_ledgers_are_looked_at_only(page_as: Knock, admin_user: User, model: str) -> None:
    page = page_as(admin_user)
    assert page.get(f"/admin/kpis/{model}/").status_code == 200
    assert page.get(f"/admin/kpis/{model}/add/").status_code == 403


def test_a_fact_is_found_and_shown(page_as: Knock, admin_user: User) -> None:
    define("health_check")
    fact, _ = ingest.append(event("health_check", "10:00", service="api", ok=True), source="test", now=at("11:00"))
    page = page_as(admin_user)
    assert "api" in page.get(f"/admin/kpis/fact/?q={fact.pk}").content.decode()
    assert page.get(f"/admin/kpis/fact/{fact.pk}/change/").status_code == 200
    assert page.get("/admin/kpis/factkind/health_check/delete/").status_code == 403


def test_parked_events_are_released_from_the_list(page_as: Knock, admin_user: User) -> None:
    waiting = parked.Waiting(json.dumps(event("health_check", "10:00", service="api", ok=True)), "0")
    parked.park([waiting], source="test", now=NOON)
    define("health_check")
    (row,) = parked.ParkedFact.objects.all()
    done = {"action": "release", "_selected_action": [row.pk]}
    assert page_as(admin_user).post("/admin/kpis/parkedfact/", done).status_code == 302
    assert Fact.objects.get().subject_id == "api"
