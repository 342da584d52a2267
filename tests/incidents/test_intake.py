"""Alerts come in by the door: proven, read, kept, and turned into what the source's policy says."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from standardwebhooks.webhooks import Webhook
from zeal import zeal_ignore

from accounts.models import AuditEvent, User
from incidents import actions
from incidents.alerts import inbox, linking, setup
from incidents.alerts.inbox import Delivery, Receipt
from incidents.alerts.kinds import Standing, State
from incidents.alerts.policy import Known, News, news_of
from incidents.alerts.sources.generic import PRESETS
from incidents.models import Incident, IntakeEvent, IntakeSource, SourceAlert, TimelineEvent
from majorops.lib.errors import DomainError, Invalid
from tests.factories import NOON, IncidentFactory, at, stamp
from tests.incidents.test_alert_sources import KINDS, payload

pytestmark = pytest.mark.django_db
Send = Callable[..., Any]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """What the clock says; a test may move it."""
    told = [at("12:45")]
    monkeypatch.setattr("django.utils.timezone.now", lambda: told[-1])
    return told


def source(kind: str = "alertmanager", **columns: Any) -> setup.Made:
    more = {"slug": kind.replace("_", "-"), "name": kind.title(), **columns}
    return setup.create(kind=kind, by=None, now=NOON, **more)


def post(made: setup.Made, body: Any, **headers: str) -> Any:
    """As the sender posts it, with the source's token."""
    told = body if isinstance(body, bytes) else json.dumps(body).encode()
    proof = headers or {"Authorization": f"Bearer {made.secret}"}
    address = f"/api/v1/intake/{made.source.slug}/"
    return Client().post(address, told, content_type="application/json", headers=proof)


def receive(made: setup.Made, body: Any, *, now: datetime | None = None) -> Receipt:
    """As the door hands it on."""
    return inbox.receive(made.source, Delivery(json.dumps(body).encode()), now=now or at("12:45"))


def alert(key: str = "k", state: str = "firing", **more: Any) -> dict[str, Any]:
    return {"dedup_key": key, "title": f"Alert {key}", "state": state, **more}


@pytest.fixture
def mapped() -> setup.Made:
    """A source of our own words by a token: the plainest there is."""
    names = ("dedup_key", "alert_id", "title", "state", "severity", "occurred_at", "issue_time", "resolve_time")
    return source("mapped", slug="plain", field_map={name: f"/{name}" for name in names})


@pytest.fixture
def opening(mapped: setup.Made) -> setup.Made:
    setup.change(mapped.source, {"policy": "open"}, by=None)
    return mapped


# --- The door ---


def test_an_alert_is_taken_and_waits_for_a_person() -> None:
    answer = post(source(), payload("alertmanager_firing"))
    assert answer.status_code == 202
    told = answer.json()
    assert (told["verdict"], told["isDuplicate"], told["alerts"]) == ("candidate", False, 1)
    waiting = SourceAlert.objects.waiting().get()
    assert (waiting.title, waiting.severity, waiting.state) == ("One in five checkouts fails", "critical", "firing")
    assert not Incident.objects.exists()


def test_the_address_works_without_its_last_slash() -> None:
    made = source()
    told = {"Authorization": f"Bearer {made.secret}"}
    body = payload("alertmanager_firing")
    answer = Client().post("/api/v1/intake/alertmanager", body, content_type="application/json", headers=told)
    assert answer.status_code == 202


def test_whatever_a_sender_accepts_it_gets_json() -> None:
    made = source()
    proof = {"Authorization": f"Bearer {made.secret}", "Accept": "text/html, image/png"}
    assert post(made, payload("alertmanager_firing"), **proof).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Nothing": "1"},
        {"Authorization": "Bearer in_wrong"},
        {"Authorization": "Basic !!!"},
        {"X-MajorOps-Token": ""},
    ],
)
def test_what_is_not_proven_is_refused_and_not_kept(headers: dict[str, str]) -> None:
    answer = post(source(), payload("alertmanager_firing"), **headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == "intake_not_proven"
    assert not IntakeEvent.objects.exists()
    assert AuditEvent.objects.filter(reason="intake_not_proven").exists()


def test_an_unknown_source_and_one_switched_off_look_alike() -> None:
    made = source()
    setup.change(made.source, {"is_active": False}, by=None)
    off = post(made, payload("alertmanager_firing"))
    unknown = Client().post("/api/v1/intake/never-there/", {}, content_type="application/json")
    assert (off.status_code, unknown.status_code) == (401, 401)
    assert off.json()["detail"] == unknown.json()["detail"]


@pytest.mark.parametrize(
    "proof",
    [
        lambda secret: {"Authorization": f"Bearer {secret}"},
        lambda secret: {"X-MajorOps-Token": secret},
        lambda secret: {"Authorization": "Basic " + __import__("base64").b64encode(f"am:{secret}".encode()).decode()},
    ],
)
def test_a_token_comes_by_any_of_these_ways(proof: Callable[[str], dict[str, str]]) -> None:
    made = source()
    assert post(made, payload("alertmanager_firing"), **proof(made.secret)).status_code == 202
    assert made.secret not in made.source.secret  # a hash is kept
    assert IntakeEvent.objects.get().headers == {"content-type": "application/json"}


def test_a_token_in_the_address_for_senders_that_can_do_no_other() -> None:
    made = source("mapped", slug="robot", field_map=dict(PRESETS["uptimerobot"]))
    address = f"/api/v1/intake/robot/?token={made.secret}"
    answer = Client().post(address, payload("uptimerobot_down"), content_type="application/json")
    assert answer.status_code == 202


def test_pagerduty_signs_with_any_of_its_secrets() -> None:
    made = source("pagerduty", secret="from-pagerduty-itself")
    body = json.dumps(payload("pagerduty_v3_triggered")).encode()
    right = hmac.new(b"from-pagerduty-itself", body, hashlib.sha256).hexdigest()
    assert post(made, body, **{"X-PagerDuty-Signature": f"v1={'0' * 64},v1={right}"}).status_code == 202
    for wrong in ("", "v1=", f"v1={'0' * 64}", right, f"v2={right}"):
        assert post(made, body + b" ", **{"X-PagerDuty-Signature": wrong}).status_code == 401


@pytest.mark.parametrize("has_time", [True, False])
def test_grafana_signs_with_and_without_a_time(has_time: bool) -> None:
    made = source("grafana")
    body = json.dumps(payload("grafana_unified")).encode()
    now = str(int(at("12:45").timestamp()))
    text = f"{now}:".encode() + body if has_time else body
    proof = {"X-Grafana-Alerting-Signature": hmac.new(made.secret.encode(), text, hashlib.sha256).hexdigest()}
    proof |= {"X-Grafana-Alerting-Timestamp": now} if has_time else {}
    assert post(made, body, **proof).status_code == 202
    old = str(int(at("12:30").timestamp()))
    assert post(made, body, **(proof | {"X-Grafana-Alerting-Timestamp": old})).status_code == 401


def signed(secret: str, body: bytes, when: datetime, name: str = "msg_1") -> dict[str, str]:
    told = {"webhook-id": name, "webhook-timestamp": str(int(when.timestamp()))}
    return told | {"webhook-signature": Webhook(secret).sign(name, when, body.decode())}


def test_standard_webhooks_are_signed_and_recent() -> None:
    made = source("generic")
    body = json.dumps(payload("generic_firing")).encode()
    assert post(made, body, **signed(made.secret, body, at("12:44"))).status_code == 202
    assert post(made, body, **signed(made.secret, body, at("12:39"))).status_code == 401  # too old
    assert post(made, body + b" ", **signed(made.secret, body, at("12:44"))).status_code == 401
    assert post(made, body, Authorization=f"Bearer {made.secret}").status_code == 401  # the secret is not sent
    assert IntakeEvent.objects.get().event_id == "msg_1"


def test_two_secrets_are_taken_until_the_older_one_is_ended() -> None:
    old = source()
    new = setup.rotate(old.source, by=None)
    assert [post(made, payload("alertmanager_firing")).status_code for made in (old, new)] == [202, 202]
    setup.finish_rotation(old.source, by=None)
    assert [post(made, payload("alertmanager_firing")).status_code for made in (old, new)] == [401, 202]


def test_a_body_that_is_too_large_is_413() -> None:
    answer = post(source(), b'{"a": "' + b"x" * inbox.MAX_BYTES + b'"}')
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert not IntakeEvent.objects.exists()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[1]", b"[" * 9000, b'{"alerts": [{"status": "\\u0000"}]}'])
def test_what_cannot_be_read_is_400_and_kept(body: bytes) -> None:
    answer = post(source(), body)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert IntakeEvent.objects.get(pk=answer.json()["intakeId"]).verdict == "failed"


def test_a_byte_order_mark_before_the_body_is_looked_past() -> None:
    body = b"\xef\xbb\xbf" + json.dumps(payload("alertmanager_firing")).encode()
    assert post(source(), body).json()["verdict"] == "candidate"


def test_malformed_names_the_field() -> None:
    body = payload("alertmanager_firing")
    body["alerts"][0]["startsAt"] = "yesterday"
    answer = post(source(), body)
    assert answer.json()["errors"][0]["pointer"] == "/alerts/0/startsAt"


def test_what_nobody_knows_is_kept_with_the_reason() -> None:
    answer = post(source(), payload("unknown_ticket"))
    assert (answer.status_code, answer.json()["verdict"]) == (202, "ignored")
    assert "no group of alerts" in IntakeEvent.objects.get().reason


def test_what_breaks_us_is_kept_for_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    made = source()
    with monkeypatch.context() as broken:
        broken.setattr("incidents.alerts.policy.news_of", None)
        assert post(made, payload("alertmanager_firing")).json()["verdict"] == "failed"
    again = inbox.replay(IntakeEvent.objects.get(), now=at("12:46"))
    assert again.event.verdict == "candidate"


# --- The Events API v2 ---


def enqueue(body: Any) -> Any:
    return Client().post("/v2/enqueue", body, content_type="application/json")


def test_events_v2_speak_as_its_clients_expect() -> None:
    made = source("events_v2")
    answer = enqueue(payload("events_v2_trigger") | {"routing_key": made.secret})
    assert answer.status_code == 202
    assert answer.json() == {"status": "success", "message": "Event processed", "dedup_key": "disk-orders-1"}
    assert made.secret not in IntakeEvent.objects.get().body
    assert SourceAlert.objects.waiting().get().affected_systems == ["orders-1", "postgres"]


def test_events_v2_refuse_a_wrong_key_and_a_wrong_event() -> None:
    made = source("events_v2")
    assert enqueue(payload("events_v2_trigger")).status_code == 401
    assert enqueue({"routing_key": made.secret}).status_code == 400
    answer = enqueue({"routing_key": made.secret, "event_action": "explode"})
    assert answer.json()["errors"][0]["pointer"] == "/event_action"
    assert Client().get("/v2/enqueue").status_code == 405


# --- Once ---


@pytest.mark.parametrize("name", ["pagerduty_v3_triggered", "alertmanager_firing", "unknown_ticket"])
def test_a_delivery_that_is_sent_again_changes_nothing(name: str) -> None:
    kind = KINDS[name.partition("_")[0]]
    made = source("alertmanager" if kind == "generic" else kind)
    first, again = post(made, payload(name)), post(made, payload(name))
    assert first.json() | {"isDuplicate": True} == again.json()
    assert IntakeEvent.objects.count() == 1
    assert not SourceAlert.objects.exclude(repeats=0).exists()


def test_the_same_words_after_others_are_news() -> None:
    """Legacy Grafana says an alert of today in the very bytes of yesterday's."""
    made = source("grafana", policy="open")
    for name in ("grafana_legacy_alerting", "grafana_legacy_ok"):
        receive(made, payload(name))
    incident = Incident.objects.get()
    actions.resolve(incident, summary="Over.", stamp=stamp(None, at("12:50")))
    receipt = receive(made, payload("grafana_legacy_alerting"), now=at("13:30"))
    assert (receipt.is_duplicate, receipt.event.verdict) == (False, "opened")
    assert Incident.objects.count() == 2


def test_a_body_that_failed_is_read_again_when_its_map_is_mended(mapped: setup.Made) -> None:
    body = {"id": "7", "title": "Down", "dedup_key": {}}
    assert receive(mapped, body).refused
    changed = setup.change(mapped.source, {"field_map": {"dedup_key": "/id", "title": "/title"}}, by=None)
    assert receive(setup.Made(changed, mapped.secret), body).event.verdict == "candidate"


# --- What becomes of it ---


def test_policy_open_opens_an_incident_with_the_alerts_own_times(opening: setup.Made) -> None:
    receive(opening, alert(severity="P1", issue_time="2026-03-02T12:30:00Z", alert_id="A-7"))
    incident = Incident.objects.get()
    assert (incident.severity, incident.alert_source, incident.dedup_key) == ("critical", "plain", "k")
    assert (incident.detected_at, incident.issue_time) == (at("12:45"), at("12:30"))
    assert incident.timeline.filter(type="alert", source="intake").count() == 1
    assert incident.timeline.filter(actor="Mapped").count() == 2


def test_one_incident_is_open_for_an_alert(opening: setup.Made) -> None:
    for minute in range(5):
        receive(opening, alert(occurred_at=f"2026-03-02T12:3{minute}:00Z"))
    assert Incident.objects.count() == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        IncidentFactory(alert_source="plain", dedup_key="k")


def test_an_incident_that_a_person_declared_of_the_alert_gets_it(mapped: setup.Made, mim: User) -> None:
    opened = stamp(mim, at("12:40"))
    incident = actions.open_incident(
        title="Mine", severity="low", stamp=opened, alert_source="plain", dedup_key="A-7", alert_id="A-7"
    )
    receipt = receive(mapped, alert(alert_id="A-7", severity="P1", issue_time="2026-03-02T12:30:00Z"))
    incident.refresh_from_db()
    assert receipt.event.verdict == "attached"
    assert (incident.title, incident.severity, incident.issue_time) == ("Mine", "low", at("12:30"))


def test_attach_only_never_asks_anybody(mapped: setup.Made) -> None:
    setup.change(mapped.source, {"policy": "attach"}, by=None)
    assert receive(mapped, alert()).event.verdict == "ignored"
    assert not SourceAlert.objects.waiting().exists()
    IncidentFactory(alert_source="plain", dedup_key="k", detected_at=at("12:40"))
    assert receive(mapped, alert(severity="P1")).event.verdict == "attached"


def test_repeats_touch_the_alert_and_never_what_people_wrote(opening: setup.Made, mim: User) -> None:
    receive(opening, alert(severity="P3"))
    incident = Incident.objects.get()
    actions.edit_incident(incident, {"title": "Shop is down", "severity": "critical"}, stamp=stamp(mim, at("12:46")))
    before = Incident.objects.values().get()
    for number in range(3):
        receive(opening, alert(severity="P3", title=f"Other {number}"), now=at(f"12:5{number}"))
    assert Incident.objects.values().get() == before
    assert SourceAlert.objects.get().repeats == 3
    assert incident.timeline.filter(type="alert").count() == 1


def test_its_end_sets_the_resolve_time_and_closes_nothing(opening: setup.Made) -> None:
    receive(opening, alert())
    receive(opening, alert(state="resolved", resolve_time="2026-03-02T12:50:00Z"), now=at("12:51"))
    incident = Incident.objects.get()
    assert (incident.resolve_time, incident.status) == (at("12:50"), "active")
    assert incident.timeline.filter(type="alert").last().title.startswith("Alert cleared")
    receive(opening, alert(occurred_at="2026-03-02T12:55:00Z"), now=at("12:56"))
    incident.refresh_from_db()
    assert incident.resolve_time is None
    assert incident.timeline.filter(type="alert").last().title.startswith("Alert fires again")


def test_an_end_that_a_person_wrote_stays(opening: setup.Made, mim: User) -> None:
    receive(opening, alert())
    typed = {"resolve_time": at("12:47")}
    actions.edit_incident(Incident.objects.get(), typed, stamp=stamp(mim, at("12:48")))
    receive(opening, alert(state="resolved", resolve_time="2026-03-02T12:50:00Z"), now=at("12:51"))
    assert Incident.objects.get().resolve_time == at("12:47")


def test_the_incident_has_cleared_when_the_last_of_its_alerts_has(opening: setup.Made, mim: User) -> None:
    from incidents.alerts import deciding

    receive(opening, alert("a"))
    setup.change(opening.source, {"policy": "candidate"}, by=None)
    receive(opening, alert("b"))
    incident = Incident.objects.get()
    deciding.attach(SourceAlert.objects.waiting().get(), incident, stamp=stamp(mim, at("12:46")))
    receive(opening, alert("a", "resolved", resolve_time="2026-03-02T12:50:00Z"), now=at("12:55"))
    incident.refresh_from_db()
    assert incident.resolve_time is None
    assert "1 of its alerts still fire" in incident.timeline.filter(type="alert").last().title
    receive(opening, alert("b", "resolved", resolve_time="2026-03-02T12:53:00Z"), now=at("12:55"))
    incident.refresh_from_db()
    assert incident.resolve_time == at("12:53")


def test_the_end_is_noted_after_the_incident_was_resolved_too(opening: setup.Made) -> None:
    receive(opening, alert())
    actions.resolve(Incident.objects.get(), summary="Over.", stamp=stamp(None, at("12:50")))
    receive(opening, alert(state="resolved", resolve_time="2026-03-02T12:49:00Z"), now=at("12:52"))
    assert Incident.objects.get().resolve_time == at("12:49")


def test_a_severity_that_changes_is_told_and_not_taken(opening: setup.Made) -> None:
    receive(opening, alert(severity="P3"))
    receive(opening, alert(severity="P1"), now=at("12:50"))
    incident = Incident.objects.get()
    assert incident.severity == "medium"
    assert incident.timeline.filter(title__contains="now says Critical").count() == 1


def test_a_severity_that_nobody_knows_is_medium_and_says_so(mapped: setup.Made) -> None:
    receipt = receive(mapped, alert(severity="sev-banana"))
    assert SourceAlert.objects.get().severity == "medium"
    assert "'sev-banana' is unknown" in receipt.event.reason


def test_a_clock_that_runs_ahead_is_not_believed(opening: setup.Made) -> None:
    receive(opening, alert(issue_time="2026-03-02T14:00:00Z"))
    assert Incident.objects.get().issue_time is None


# --- Out of order ---


def test_an_end_before_its_beginning_is_kept_and_paired(opening: setup.Made) -> None:
    end = alert(state="resolved", resolve_time="2026-03-02T12:40:00Z")
    assert receive(opening, end).event.verdict == "parked"
    begin = alert(issue_time="2026-03-02T12:30:00Z", occurred_at="2026-03-02T12:30:00Z")
    receipt = receive(opening, begin, now=at("12:46"))
    waiting = SourceAlert.objects.waiting().get()
    assert "over at its source already" in receipt.event.reason
    assert (waiting.issue_time, waiting.resolve_time, waiting.state) == (at("12:30"), at("12:40"), "resolved")
    assert not Incident.objects.exists()


def test_a_late_beginning_does_not_fire_again(opening: setup.Made) -> None:
    receive(opening, alert(state="acknowledged", occurred_at="2026-03-02T12:40:00Z"))
    begin = alert(issue_time="2026-03-02T12:30:00Z", occurred_at="2026-03-02T12:30:00Z")
    receive(opening, begin, now=at("12:46"))
    row = SourceAlert.objects.get()
    assert (row.state, Incident.objects.get().issue_time) == ("acknowledged", at("12:30"))


def test_in_whatever_order_the_end_is_the_same(mapped: setup.Made) -> None:
    """Beginning, acknowledgement and end of one alert, as they may arrive."""
    story = [
        alert(issue_time="2026-03-02T12:30:00Z", occurred_at="2026-03-02T12:30:00Z"),
        alert(state="acknowledged", occurred_at="2026-03-02T12:35:00Z"),
        alert(state="resolved", resolve_time="2026-03-02T12:40:00Z"),
    ]
    for number, order in enumerate(permutations(story)):
        for said in order:
            receive(mapped, said | {"dedup_key": f"k{number}"})
        row = SourceAlert.objects.current().get(dedup_key=f"k{number}")
        assert (row.state, row.issue_time, row.resolve_time) == ("resolved", at("12:30"), at("12:40")), order


@pytest.mark.parametrize(
    ("state", "minute", "known", "news"),
    [
        ("firing", 5, None, News.NEW),
        ("resolved", 5, None, News.STRAY),
        ("acknowledged", 5, None, News.NEW),
        ("firing", 5, ("waiting", "firing", False), News.REPEAT),
        ("acknowledged", 12, ("linked", "firing", True), News.CHANGE),
        ("firing", 5, ("linked", "acknowledged", True), News.LATE),
        ("firing", 12, ("linked", "resolved", True), News.CHANGE),
        ("firing", 12, ("linked", "resolved", False), News.NEW),
        ("firing", 12, ("dismissed", "resolved", False), News.NEW),
        ("firing", 5, ("held", "resolved", False), News.PAIR),
        ("firing", 12, ("held", "resolved", False), News.NEW),
        ("resolved", 12, ("waiting", "resolved", False), News.REPEAT),
        ("resolved", 5, ("linked", "firing", True), News.LATE),
    ],
)
def test_what_is_new_is_judged_by_when_it_happened(
    state: str, minute: int, known: tuple[str, str, bool] | None, news: News
) -> None:
    """What was known was so at ten past, or at the same moment for a repeat."""
    last = NOON + timedelta(minutes=minute if news == News.REPEAT else 10)
    told = Known(Standing(known[0]), State(known[1]), last, known[2]) if known else None
    assert news_of(State(state), NOON + timedelta(minutes=minute), told) == news


# --- Storms ---


def test_a_storm_is_gathered_and_nothing_is_dropped(opening: setup.Made, mim: User) -> None:
    from incidents.alerts import deciding

    setup.change(opening.source, {"per_minute": 3}, by=None)
    for number in range(10):
        receive(opening, alert(f"k{number}", severity="P1" if number == 9 else "P4"))
    assert Incident.objects.count() == 3
    storm = SourceAlert.objects.waiting().get()
    assert (storm.is_storm, storm.severity, storm.gathered.count()) == (True, "critical", 7)
    assert IntakeEvent.objects.count() == 10
    incident = deciding.accept(storm, title="All is down", severity="critical", stamp=stamp(mim, at("12:46")))
    assert incident.source_alerts.filter(is_storm=False).count() == 7
    for number in range(3, 10):
        receive(opening, alert(f"k{number}", "resolved", resolve_time="2026-03-02T12:50:00Z"), now=at("12:50"))
    incident.refresh_from_db()
    assert incident.resolve_time == at("12:50")


def test_a_storm_is_over_after_a_minute(opening: setup.Made) -> None:
    setup.change(opening.source, {"per_minute": 1}, by=None)
    receive(opening, alert("a"))
    receive(opening, alert("b"), now=at("12:47"))
    assert Incident.objects.count() == 2


def test_alerts_that_the_sender_left_out_are_told() -> None:
    made = source()
    receipt = receive(made, payload("alertmanager_mixed"))
    assert receipt.event.truncated == 12
    assert "left 12 alerts" in receipt.event.reason
    assert SourceAlert.objects.waiting().first().truncated == 12  # type: ignore[union-attr]


def test_one_bad_alert_does_not_hold_up_the_others(opening: setup.Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made = source("alertmanager", policy="open", slug="am")
    opened = linking.actions.open_incident

    def refusing(**said: Any) -> Incident:
        if said["dedup_key"] == "c0ffee0000000001":
            raise Invalid("Not this one.")
        return opened(**said)

    monkeypatch.setattr(linking.actions, "open_incident", refusing)
    receipt = receive(made, payload("alertmanager_mixed"))
    assert [each["verdict"] for each in receipt.event.outcomes] == ["failed", "parked", "opened"]
    assert receipt.event.verdict == "failed"


# --- Sources ---


def test_a_source_that_cannot_be_is_refused() -> None:
    for wrong in (
        {"severity_map": {"x": "banana"}}, {"per_minute": 0}, {"policy": "maybe"}, {"slug": "no slug"},
        {"kind": "mapped", "field_map": {}}, {"secret": "short"}, {"kind": "generic", "secret": "whsec_" + "!" * 40},
    ):  # fmt: skip
        with pytest.raises(Invalid):
            source(**({"kind": "grafana"} | wrong))
    source()
    with pytest.raises(DomainError):
        source()


def test_history_is_not_rewritten() -> None:
    receive(source(), payload("alertmanager_firing"))
    event = IntakeEvent.objects.get()
    with pytest.raises(DomainError):
        event.save()


# --- Real bodies ---

#: Which source takes which file of the collection, by the word before the two underscores.
REAL = {
    "alertmanager": "alertmanager", "datadog": "datadog", "grafana": "grafana", "newrelic": "newrelic",
    "opsgenie": "opsgenie", "pagerduty": "pagerduty", "statuspage": "statuspage", "github": "plain",
    "chatwoot": "plain", "uptimerobot": "uptimerobot", "freshstatus": "freshstatus",
}  # fmt: skip
ALERTA = {"grafana_alert": "grafana", "new_relic": "newrelic", "prometheus_v4": "alertmanager"}
#: What says nothing of an alert. Everything else must be read.
NO_ALERT = (
    "github", "chatwoot", "pagerduty__docs_service", "pagerduty__composed", "pagerduty__responder", "opsgenie__addnote",
)  # fmt: skip


def taker(name: str) -> str:
    word, _, rest = name.partition("__")
    if word == "alerta_fixture":
        return next(kind for start, kind in ALERTA.items() if rest.startswith(start))
    return REAL[word]


@pytest.mark.parametrize("policy", ["candidate", "open", "attach"])
def test_every_real_body_is_taken(policy: str, mapped: setup.Made) -> None:
    """Not committed here: see MAJOROPS_REAL_DATA in docs."""
    folder = os.environ.get("MAJOROPS_REAL_DATA")
    if not folder:
        pytest.skip("MAJOROPS_REAL_DATA names no folder with real bodies")
    files = sorted(path for path in (Path(folder) / "webhooks").glob("*.json") if path.stem != "INDEX")
    assert len(files) == 35
    for file in files:
        name = taker(file.stem)
        kind = "mapped" if name in ("plain", "uptimerobot", "freshstatus") else name
        made = source(kind, slug=f"{name}-{file.stem[:20].lower().strip('_')}-{len(file.stem)}".replace("_", "-")[:40],
                      field_map=dict(PRESETS.get(name, mapped.source.field_map)), policy=policy)  # fmt: skip
        with zeal_ignore():  # a group is as many alerts, each on its own
            answer = post(made, file.read_bytes())
        told = answer.json()
        assert answer.status_code == 202, (file.name, told)
        assert told["reason"], file.name
        is_read = told["alerts"] > 0
        assert is_read != file.stem.startswith(NO_ALERT), (file.name, told)
        assert told["verdict"] != "failed", (file.name, told)


def test_the_story_of_a_vendor_ends_where_it_should() -> None:
    """Trigger, acknowledgement, a note and the end, each once and each twice."""
    made = source("pagerduty", policy="open")
    story = ("triggered", "acknowledged", "note", "resolved")
    verdicts = [receive(made, payload(f"pagerduty_v3_{name}")).event.verdict for name in story for _ in range(2)]
    assert verdicts == ["opened"] * 2 + ["updated"] * 2 + ["ignored"] * 2 + ["updated"] * 2
    incident = Incident.objects.get()
    assert (incident.severity, incident.resolve_time) == ("critical", at("12:20:10.500"))
    assert TimelineEvent.objects.filter(type="alert").count() == 3


def test_sources_are_for_administrators_and_their_secrets_for_nobody(mim: User, admin_user: User) -> None:
    from majorops.lib.visibility import readable, visible

    receive(source(), payload("alertmanager_firing"))
    assert visible(IntakeSource.objects.all(), admin_user).exists()
    assert not visible(IntakeSource.objects.all(), mim).exists()
    assert not visible(IntakeEvent.objects.all(), mim).exists()
    assert visible(SourceAlert.objects.all(), mim).exists()
    assert not {"secret", "old_secret"} & readable(IntakeSource, admin_user)
