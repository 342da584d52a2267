"""Candidates on their page, in admin and on the command line; the proposal on the desk."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accounts.models import User
from incidents import actions
from incidents.alerts import deciding, inbox, setup
from incidents.alerts.inbox import Delivery
from incidents.alerts_cli import app
from incidents.models import Incident, IntakeEvent, IntakeSource, SourceAlert
from majorops.cli import app as mim_app
from majorops.lib.errors import DomainError
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, at, stamp
from tests.incidents.test_alert_sources import FIXTURES, payload

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: at("12:45"))


@pytest.fixture
def prometheus(db: None) -> IntakeSource:
    return setup.create(slug="prometheus", name="Prometheus", kind="alertmanager", by=None, now=NOON).source


def receive(source: IntakeSource, name: str, now: datetime | None = None) -> IntakeEvent:
    return inbox.receive(source, Delivery(json.dumps(payload(name)).encode()), now=now or at("12:40")).event


@pytest.fixture
def candidate(prometheus: IntakeSource) -> SourceAlert:
    receive(prometheus, "alertmanager_firing")
    return SourceAlert.objects.waiting().get()


def test_the_page_shows_what_waits(page_as: Knock, mim: User, candidate: SourceAlert) -> None:
    text = page_as(mim).get("/alerts/").content.decode()
    assert "One in five checkouts fails" in text
    assert "Prometheus" in text
    assert "Declare incident" in text


def test_the_page_is_for_those_who_command(page_as: Knock, stakeholder: User, mim: User) -> None:
    assert page_as(stakeholder).get("/alerts/").status_code == 403
    assert "No alert waits for you." in page_as(mim).get("/alerts/").content.decode()


def test_a_candidate_becomes_an_incident_detected_when_it_came_in(
    page_as: Knock, mim: User, candidate: SourceAlert
) -> None:
    said = {"title": "Checkout fails", "severity": "high"}
    answer = page_as(mim).post(f"/alerts/{candidate.pk}/accept", said)
    incident = Incident.objects.get()
    assert answer["Location"] == f"/incidents/{incident.pk}/"
    assert (incident.title, incident.severity, incident.opened_by) == ("Checkout fails", "high", mim)
    assert (incident.detected_at, incident.issue_time) == (at("12:40"), at("11:55:00.123"))
    assert (incident.alert_source, incident.dedup_key) == ("prometheus", "c0ffee0000000001")
    assert SourceAlert.objects.get().decided_by == mim


def test_a_candidate_is_decided_once(page_as: Knock, mim: User, candidate: SourceAlert) -> None:
    deciding.dismiss(candidate, "Planned work.", stamp=stamp(mim, at("12:45")))
    answer = page_as(mim).post(f"/alerts/{candidate.pk}/accept", {"title": "x", "severity": "low"})
    assert answer.status_code == 409
    assert "decided on this candidate already" in answer.content.decode()
    assert not Incident.objects.exists()


def test_a_candidate_is_attached_to_an_open_incident(page_as: Knock, mim: User, candidate: SourceAlert) -> None:
    incident = IncidentFactory(detected_at=at("12:00"))
    page_as(mim).post(f"/alerts/{candidate.pk}/attach", {"incident": incident.pk})
    incident.refresh_from_db()
    assert SourceAlert.objects.get().incident == incident
    assert (incident.dedup_key, incident.issue_time) == ("c0ffee0000000001", at("11:55:00.123"))
    assert incident.timeline.filter(type="alert").count() == 1


def test_a_candidate_is_not_attached_to_one_that_is_over(page_as: Knock, mim: User, candidate: SourceAlert) -> None:
    over = IncidentFactory(closed=True)
    assert page_as(mim).post(f"/alerts/{candidate.pk}/attach", {"incident": over.pk}).status_code == 422
    with pytest.raises(DomainError):
        deciding.attach(candidate, over, stamp=stamp(mim, at("12:45")))


def test_dismissing_needs_a_reason_and_asks_nobody_again(
    page_as: Knock, mim: User, candidate: SourceAlert, prometheus: IntakeSource
) -> None:
    address = f"/alerts/{candidate.pk}/dismiss"
    assert page_as(mim).post(address, {"reason": " "}).status_code == 422
    assert page_as(mim).post(address, {"reason": "Planned work."}).status_code == 302
    receive(prometheus, "alertmanager_mixed", at("12:44"))
    assert not SourceAlert.objects.waiting().filter(dedup_key=candidate.dedup_key).exists()
    assert "Dismissed: Planned work." in page_as(mim).get("/alerts/").content.decode()


def test_an_alert_opened_meanwhile_leads_to_its_incident(page_as: Knock, mim: User, candidate: SourceAlert) -> None:
    other = actions.open_incident(
        title="Mine", severity="low", stamp=stamp(mim, at("12:41")), alert_source="prometheus",
        dedup_key=candidate.dedup_key,
    )  # fmt: skip
    answer = page_as(mim).post(f"/alerts/{candidate.pk}/accept", {"title": "x", "severity": "low"})
    assert answer["Location"] == f"/incidents/{other.pk}/"


def test_the_desk_proposes_monitoring_when_the_alert_has_cleared(
    page_as: Knock, mim: User, prometheus: IntakeSource
) -> None:
    setup.change(prometheus, {"policy": "open"}, by=None)
    receive(prometheus, "alertmanager_firing")
    incident = Incident.objects.get()
    address = f"/incidents/{incident.pk}/"
    assert "alert cleared" not in page_as(mim).get(address).content.decode()
    receive(prometheus, "alertmanager_resolved")
    assert "alert cleared" in page_as(mim).get(address).content.decode()
    page_as(mim).post(f"{address}status", {"status": "monitoring"})
    assert "alert cleared" not in page_as(mim).get(address).content.decode()


# --- Admin ---


def test_a_secret_is_shown_once(page_as: Knock, admin_user: User, prometheus: IntakeSource) -> None:
    client, address = page_as(admin_user), f"/admin/incidents/intakesource/{prometheus.pk}/secret/"
    shown = client.post(address, {"rotate": ""}).content.decode()
    assert "in_" in shown
    assert "Two secrets are taken" in shown
    prometheus.refresh_from_db()
    again = client.get(address).content.decode()
    assert "Copy this secret" not in again
    assert prometheus.secret not in again
    client.post(address, {"finish": ""})
    prometheus.refresh_from_db()
    assert prometheus.old_secret == ""


def test_admin_makes_and_changes_a_source(page_as: Knock, admin_user: User) -> None:
    said = {
        "name": "Robot", "slug": "robot", "kind": "mapped", "policy": "candidate", "per_minute": "30",
        "severity_map": "{}", "field_map": '{"dedup_key": "/id", "title": "/name"}', "is_active": "on",
    }  # fmt: skip
    client = page_as(admin_user)
    assert client.post("/admin/incidents/intakesource/add/", said | {"field_map": "{}"}).status_code == 200
    assert client.post("/admin/incidents/intakesource/add/", said).status_code == 302
    made = IntakeSource.objects.get()
    assert made.secret.startswith("sha256:")
    change = f"/admin/incidents/intakesource/{made.pk}/change/"
    assert client.post(change, said | {"policy": "attach"}).status_code == 302
    made.refresh_from_db()
    assert (made.policy, made.created_by) == ("attach", admin_user)


def test_trying_a_source_writes_nothing(page_as: Knock, admin_user: User, prometheus: IntakeSource) -> None:
    client, address = page_as(admin_user), f"/admin/incidents/intakesource/{prometheus.pk}/test/"
    body = (FIXTURES / "alertmanager_mixed.json").read_text()
    shown = client.post(address, {"body": body}).content.decode()
    assert shown.count("<caption>One in five") == 3
    assert "One in five checkouts fails: candidate" in shown
    assert "not JSON" in client.post(address, {"body": "{"}).content.decode()
    assert not IntakeEvent.objects.exists()
    assert not SourceAlert.objects.exists()


def test_a_field_map_is_tried_before_it_is_kept(page_as: Knock, admin_user: User) -> None:
    made = setup.create(
        slug="m", name="M", kind="mapped", field_map={"dedup_key": "/id", "title": "/t"}, by=None, now=NOON
    ).source
    client, address = page_as(admin_user), f"/admin/incidents/intakesource/{made.pk}/test/"
    said = {"body": '{"id": 1, "name": "Down"}', "field_map": '{"dedup_key": "/id", "title": "/name"}'}
    assert "Down: candidate" in client.post(address, said).content.decode()
    assert "/t:" in client.post(address, said | {"field_map": ""}).content.decode()
    assert "must be mapped" in client.post(address, said | {"field_map": "{}"}).content.decode()


def test_the_inbox_replays(page_as: Knock, admin_user: User, prometheus: IntakeSource) -> None:
    event = receive(prometheus, "unknown_ticket")
    client, address = page_as(admin_user), "/admin/incidents/intakeevent/"
    assert "no group of alerts" in client.get(address).content.decode()
    assert client.get(f"{address}{event.pk}/change/").status_code == 200
    client.post(address, {"action": "replay", "_selected_action": [event.pk]})
    again = IntakeEvent.objects.latest("id")
    assert (again.replays, again.verdict, again.body) == (event, "ignored", event.body)


# --- The command line ---


def test_mim_alert_tests_a_body_and_writes_nothing(prometheus: IntakeSource) -> None:
    file = str(FIXTURES / "alertmanager_mixed.json")
    told = json.loads(CliRunner().invoke(mim_app, ["alert", "test", "prometheus", file, "--json"]).stdout)
    assert [each["verdict"] for each in told] == ["candidate", "parked", "candidate"]
    assert not IntakeEvent.objects.exists()


def test_mim_alert_refuses_what_is_malformed(prometheus: IntakeSource, tmp_path: Path) -> None:
    (tmp_path / "body").write_text('{"alerts": 1}')
    for arguments in (["prometheus", str(tmp_path / "body")], ["never", str(tmp_path / "body")], ["prometheus", "/no"]):
        assert CliRunner().invoke(mim_app, ["alert", "test", *arguments]).exit_code in (4, 5)


def test_mim_alert_lists_and_decides(candidate: SourceAlert, mim: User, prometheus: IntakeSource) -> None:
    listed = CliRunner().invoke(app, ["list"])
    assert candidate.pk in listed.stdout
    done = CliRunner().invoke(app, ["accept", candidate.pk, "--as", mim.email, "--severity", "low"])
    incident = Incident.objects.get()
    assert done.stdout.strip() == incident.pk
    assert (incident.severity, incident.opened_by) == ("low", mim)
    receive(prometheus, "alertmanager_mixed", at("12:44"))
    other = SourceAlert.objects.waiting().get()
    assert CliRunner().invoke(app, ["attach", other.pk, incident.pk, "--as", mim.email]).exit_code == 0
    assert not SourceAlert.objects.waiting().exists()
