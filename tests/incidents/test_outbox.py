"""What leaves the house: told to those who want and may, signed, tried until it arrives, never told twice unnoticed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from accounts.models import User
from incidents import actions, outbox, subscriptions, webhooks
from incidents.lifecycle import Kind
from incidents.models import Delivery, DeliveryAttempt, DeliveryState, Endpoint, Incident, Notice
from incidents.outbox_rules import CHOOSABLE, Event, Wish, next_try
from majorops.lib.outgoing import AddressRefused, NoAnswer, NotSent, post
from tests.factories import NOON, IncidentFactory, UserFactory, at, stamp
from tests.incidents.hearing import Hook, mail_server, running

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _sending(settings: Any) -> None:
    settings.DEBUG = settings.MAJOROPS_SEND_MAIL = True
    settings.MAJOROPS_DELIVER_IN_PROCESS, settings.MAJOROPS_SURVEY_DAYS = False, 0
    settings.MAJOROPS_PUBLIC_URL = "https://majorops.example.com"
    settings.DEFAULT_FROM_EMAIL = "MajorOps <ops@example.com>"


@pytest.fixture
def hook() -> Iterator[Hook]:
    with running(Hook()) as server:
        yield server


def endpoint(hook: Hook, **more: Any) -> webhooks.Made:
    columns = {"name": "Bot", "kind": "webhook", "url": hook.url, "by": None, "now": NOON}
    return webhooks.create(**columns | more)


def follower(incident: Incident, wish: str = Wish.UPDATES, **person: Any) -> User:
    user = UserFactory(**person)
    subscriptions.follow(incident, user, wish, now=NOON)
    return user


def publish(
    incident: Incident, text: str = "We restart it.", visibility: str = "public", when: datetime = NOON
) -> None:
    actions.post_update(incident, text, visibility=visibility, stamp=stamp(None, when))


def resolve(incident: Incident) -> None:
    actions.resolve(incident, summary="It works again.", stamp=stamp())


def told() -> list[tuple[str, str]]:
    """(to whom, of what), as it was queued."""
    rows = Delivery.objects.order_by("pk").values_list("address", "notice__event")
    return [(address, event) for address, event in rows]


# --- Who is told, of what ---


def test_a_public_update_is_told_and_an_internal_one_is_not() -> None:
    incident = IncidentFactory()
    person = follower(incident)
    publish(incident, "internal words", "internal")
    publish(incident, "public words")
    assert told() == [(person.email, "incident.update")]
    outbox.deliver_due(NOON)
    assert "public words" in mail.outbox[0].body
    assert "internal words" not in str(mail.outbox[0].message())


@pytest.mark.parametrize("least", ["critical", "high", "medium", "low"])
def test_a_rule_takes_incidents_from_a_severity_upwards(least: str) -> None:
    person = UserFactory()
    subscriptions.follow_all(person, least, now=NOON)
    for severity in ("low", "medium", "high", "critical"):
        actions.open_incident(title=severity, severity=severity, stamp=stamp())
    graver = {"critical": 1, "high": 2, "medium": 3, "low": 4}
    assert told() == [(person.email, "incident.declared")] * graver[least]


def test_each_transition_tells() -> None:
    subscriptions.follow_all(UserFactory(), "low", now=NOON)
    incident = actions.open_incident(title="x", severity="high", stamp=stamp())
    actions.cut_milestone(incident, title="Known", body="x", next_update_eta=at("13:00"), stamp=stamp())
    actions.edit_incident(incident, {"severity": "critical", "description": "quiet"}, stamp=stamp())
    actions.change_status(incident, "monitoring", stamp=stamp())
    resolve(incident)
    actions.reopen(incident, reason="it is back, says the DBA", stamp=stamp())
    assert [event.removeprefix("incident.") for _, event in told()] == [
        "declared", "milestone", "severity_changed", "status_changed", "resolved", "reopened",
    ]  # fmt: skip
    assert list(Notice.objects.order_by("pk").values_list("sequence", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert "DBA" not in str(Notice.objects.values_list("title", "text", "said"))


def test_who_heard_of_it_hears_its_end() -> None:
    incident = IncidentFactory()
    stayed, left, quiet = follower(incident), follower(incident), follower(incident)
    publish(incident)
    subscriptions.end(left.subscriptions.get())
    subscriptions.follow(incident, quiet, Wish.NOTHING, now=NOON)
    waiting = follower(incident, Wish.LAST)
    resolve(incident)
    ended = {address for address, event in told() if event == Event.RESOLVED}
    assert ended == {stayed.email, left.email, waiting.email}


def test_what_was_chosen_for_one_incident_goes_before_the_rule() -> None:
    incident = IncidentFactory()
    person = follower(incident, Wish.NOTHING)
    subscriptions.follow_all(person, "low", now=NOON)
    publish(incident)
    resolve(incident)
    assert told() == []


def test_what_was_entered_after_the_fact_is_told_to_nobody() -> None:
    subscriptions.follow_all(UserFactory(), "low", now=NOON)
    incident = IncidentFactory(kind=Kind.BACKFILLED)
    resolve(incident)
    assert not Notice.objects.exists()


# --- Who may know ---


def test_a_restricted_incident_is_told_to_those_who_know_of_it(mim: User, hook: Hook) -> None:
    endpoint(hook)
    for person in (mim, UserFactory(), UserFactory(role="executive")):
        subscriptions.follow_all(person, "low", now=NOON)
    incident = IncidentFactory(restricted=True)
    publish(incident)
    resolve(incident)
    assert {address for address, _ in told()} == {mim.email}


@pytest.mark.parametrize(
    "change", [{"is_active": False}, {"role": ""}, {"restricted": True}], ids=["switched off", "no role", "restricted"]
)
def test_who_lost_access_meanwhile_gets_nothing(change: dict[str, Any]) -> None:
    incident = IncidentFactory()
    person = follower(incident)
    publish(incident)
    model, row = (Incident, incident) if "restricted" in change else (User, person)
    model.objects.filter(pk=row.pk).update(**change)
    assert outbox.deliver_due(NOON).dropped == 1
    assert mail.outbox == []
    assert DeliveryAttempt.objects.get().error.startswith(("They may not", "This person has no"))


def test_an_endpoint_of_the_public_gets_published_columns_only(hook: Hook) -> None:
    endpoint(hook, audience="public")
    publish(IncidentFactory(title="prod-db-01", publish_status=False))
    publish(IncidentFactory(title="prod-db-02", publish_status=True, kind=Kind.DRILL))
    shown = IncidentFactory(
        title="prod-db-03", publish_status=True, public_title="Checkout", affected_systems=["db-03"]
    )
    publish(shown)
    outbox.deliver_due(NOON)
    [heard] = hook.heard
    incident = json.loads(heard.body)["data"]["incident"]
    assert (incident["publicTitle"], incident["publicId"]) == ("Checkout", shown.public_id)
    assert b"db-03" not in heard.body
    assert shown.pk.encode() not in heard.body


# --- E-mail ---


def test_an_incident_is_one_thread_and_can_be_stopped_from_the_message(client: Any) -> None:
    incident = IncidentFactory(title="Checkout fails")
    person = follower(incident)
    publish(incident, "<b>first</b>")
    resolve(incident)
    outbox.deliver_due(NOON)
    first, last = (message.message() for message in mail.outbox)
    assert first["References"] == last["References"] == f"<incident-{incident.pk}@example.com>"
    assert first["Message-ID"] != last["Message-ID"]
    assert first["Subject"] == last["Subject"] == "Checkout fails"
    assert "&lt;b&gt;first" in mail.outbox[0].alternatives[0][0]
    assert "<b>first" in mail.outbox[0].body
    assert first["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = first["List-Unsubscribe"].strip("<>").removeprefix("https://majorops.example.com")
    assert client.get(address).status_code == 200
    assert subscriptions.wish_of(incident, person) == Wish.UPDATES
    client.post(address, {"List-Unsubscribe": "One-Click"})
    assert subscriptions.wish_of(incident, person) == Wish.NOTHING


def test_a_forged_link_stops_nothing(client: Any) -> None:
    person = follower(IncidentFactory())
    assert client.post("/stop/" + subscriptions.stop_token(person, None)[:-1], {"wish": "nothing"}).status_code == 404
    assert person.subscriptions.get().wish == Wish.UPDATES


def test_a_link_cannot_start_messages(client: Any) -> None:
    incident = IncidentFactory()
    person = follower(incident, Wish.NOTHING)
    client.post("/stop/" + subscriptions.stop_token(person, incident.pk), {"wish": "updates"})
    assert person.subscriptions.get().wish == Wish.NOTHING


def test_mail_leaves_by_smtp(settings: Any) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1"
    with mail_server() as server:
        settings.EMAIL_PORT = server.port
        outbox.queue_message(to=["Ops@example.com", "ops@example.com"], title="MTTR is red", text="118 min", now=NOON)
        assert outbox.deliver_due(NOON).sent == 1
    [received] = server.mails
    assert (received["To"], received["Subject"]) == ("ops@example.com", "MTTR is red")
    assert received["Message-ID"] == f"<{Delivery.objects.get().message_id}@example.com>"
    assert "118 min" in received.get_payload()[0].get_payload()  # type: ignore[index,union-attr]


def test_a_mail_server_that_is_away_is_tried_again(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    outbox.queue_message(to=["ops@example.com"], title="x", text="y", now=NOON)
    outbox.deliver_due(NOON)
    assert Delivery.objects.get().state == DeliveryState.WAITING
    assert "ConnectionRefusedError" in DeliveryAttempt.objects.get().error


# --- Webhooks ---


def verified(secret: str, heard: Any) -> dict[str, Any]:
    """As a receiver does it, with the library of Standard Webhooks."""
    body: dict[str, Any] = Webhook(secret).verify(heard.body, heard.headers)
    return body


def test_a_webhook_is_signed_and_thin(hook: Hook) -> None:
    made = endpoint(hook)
    incident = IncidentFactory(title="Checkout fails", description="the DBA dropped it", exec_summary="bad")
    publish(incident, when=timezone.now())
    outbox.deliver_due(timezone.now())
    body = verified(made.secret, hook.heard[0])
    assert hook.heard[0].headers["webhook-id"] == f"msg_{Delivery.objects.get().message_id}"
    assert (body["type"], body["api_version"], body["sequence"]) == ("incident.update", "1", 1)
    assert body["data"]["link"] == f"https://majorops.example.com/incidents/{incident.pk}/"
    assert body["data"]["incident"]["title"] == "Checkout fails"
    assert not {"description", "execSummary"} & body["data"]["incident"].keys()
    with pytest.raises(WebhookVerificationError):
        Webhook(made.secret).verify(hook.heard[0].body + b" ", hook.heard[0].headers)


def test_while_a_secret_is_rotated_both_verify(hook: Hook) -> None:
    old = endpoint(hook)
    new = webhooks.rotate(old.endpoint, by=None)
    outbox.send_test(old.endpoint, now=timezone.now())
    outbox.deliver_due(timezone.now())
    assert verified(old.secret, hook.heard[0]) == verified(new.secret, hook.heard[0])
    webhooks.finish_rotation(old.endpoint, by=None)
    outbox.send_test(old.endpoint, now=timezone.now())
    outbox.deliver_due(timezone.now())
    assert verified(new.secret, hook.heard[1])
    with pytest.raises(WebhookVerificationError):
        verified(old.secret, hook.heard[1])


def test_an_endpoint_hears_what_it_chose_and_the_end_of_that(hook: Hook) -> None:
    endpoint(hook, event_types=["incident.milestone"], min_severity="high")
    graver, lesser = IncidentFactory(severity="high"), IncidentFactory(severity="medium")
    for incident in (graver, lesser):
        publish(incident)
        actions.cut_milestone(incident, title="Known", body="x", next_update_eta=at("13:00"), stamp=stamp())
        resolve(incident)
    assert [event for _, event in told()] == ["incident.milestone", "incident.resolved"]


def test_redelivering_keeps_the_message_id(hook: Hook) -> None:
    endpoint(hook)
    publish(IncidentFactory())
    outbox.deliver_due(NOON)
    outbox.redeliver(Delivery.objects.get(), now=NOON)
    assert outbox.deliver_due(NOON).sent == 1
    assert len({heard.headers["webhook-id"] for heard in hook.heard}) == 1
    assert len(hook.heard) == 2


def test_it_is_tried_for_a_day_and_then_given_up(hook: Hook) -> None:
    hook.answer = 500
    endpoint(hook)
    publish(IncidentFactory())
    now = NOON
    while now:
        outbox.deliver_due(now)
        last, now = now, Delivery.objects.get().next_try_at  # type: ignore[assignment]
    assert Delivery.objects.get().state == DeliveryState.FAILED
    assert timedelta(hours=19) < last - NOON < timedelta(hours=24)
    assert outbox.lag(NOON).failed == 1
    assert DeliveryAttempt.objects.first().error == "It answered 500."  # type: ignore[union-attr]


def test_what_waited_for_a_day_is_not_sent_any_more(hook: Hook) -> None:
    endpoint(hook)
    publish(IncidentFactory())
    outbox.deliver_due(NOON + timedelta(hours=24))
    assert (hook.heard, Delivery.objects.get().state) == ([], DeliveryState.FAILED)


def test_a_worker_that_dies_uses_up_no_try() -> None:
    assert next_try("page", 3, NOON, NOON) == NOON + timedelta(minutes=5)
    assert next_try("page", 4, NOON, NOON) is None


def test_an_endpoint_that_is_switched_off_hears_no_more(hook: Hook) -> None:
    made = endpoint(hook)
    publish(IncidentFactory())
    webhooks.change(made.endpoint, {"is_active": False}, by=None)
    assert outbox.deliver_due(NOON).dropped == 1
    publish(IncidentFactory())
    assert Delivery.objects.count() == 1


def test_an_endpoint_that_hangs_delays_nobody_else(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs one wait a round, however much there is for it."""
    import socket

    monkeypatch.setattr("majorops.lib.outgoing.CONNECT_WITHIN", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint(hook, name="Silent", url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        person = UserFactory()
        for _ in range(5):
            publish(incident := IncidentFactory())
        follower(incident)
        publish(incident)
        done = outbox.deliver_due(NOON)
    assert done.sent == 1
    assert DeliveryAttempt.objects.filter(was_sent=False).count() == 1
    assert person


def test_a_drip_of_bytes_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import socketserver
    import time

    class Drip(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            for _ in range(40):
                try:
                    self.request.sendall(b"H")
                except OSError:
                    return
                time.sleep(0.05)

    monkeypatch.setattr("majorops.lib.outgoing.ANSWER_WITHIN", 0.3)
    with running(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip)) as server, pytest.raises(NoAnswer):
        post(f"http://127.0.0.1:{server.server_address[1]}/", b"", {}, guarded=False)


# --- Where it may lead ---


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "0177.0.0.1", "127.1",
        "0", "[fe80::1%25lo]",
    ],
)  # fmt: skip
def test_no_spelling_leads_into_this_machine(hook: Hook, host: str) -> None:
    with pytest.raises((AddressRefused, NotSent)):
        post(f"http://{host}:{hook.server_port}/", b"{}", {})
    assert hook.heard == []


def test_a_name_that_resolves_to_this_machine_is_refused(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may have been public when the endpoint was saved: what counts is what is connected to."""
    import socket

    here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", hook.server_port))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: here)
    with pytest.raises(AddressRefused):
        post(f"http://hooks.example.com:{hook.server_port}/", b"{}", {})
    assert hook.heard == []


def test_a_redirect_is_not_followed(hook: Hook) -> None:
    hook.answer = 302
    with pytest.raises(NotSent, match="Redirects are not followed"):
        post(hook.url, b"{}", {}, guarded=False)
    assert len(hook.heard) == 1


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example.com/", "https://10.0.0.1/x", "https://user@hooks.example.com/", "ftp://example.com", "x"],
)
def test_an_address_that_cannot_be_right_is_refused_when_it_is_set(url: str) -> None:
    with pytest.raises(webhooks.Invalid):
        webhooks.create(name="Bot", kind="webhook", url=url, by=None, now=NOON)


def test_plain_http_to_this_machine_is_for_development_only(settings: Any, hook: Hook) -> None:
    settings.DEBUG = False
    with pytest.raises(webhooks.Invalid):
        endpoint(hook)


# --- Doors ---


def test_a_person_follows_and_stops_on_the_pages(stakeholder: User, page_as: Any) -> None:
    incident = IncidentFactory()
    browser = page_as(stakeholder)
    address = f"/incidents/{incident.pk}/follow"
    assert "Every public update" in browser.get(address).content.decode()
    assert browser.post(address, {"wish": "last"}).status_code == 302
    assert subscriptions.wish_of(incident, stakeholder) == Wish.LAST
    browser.post("/settings/notifications", {"min_severity": "high"})
    assert incident.title in browser.get("/settings/notifications").content.decode()
    browser.post("/settings/notifications", {"forget": stakeholder.subscriptions.get(incident=incident).pk})
    assert subscriptions.wish_of(incident, stakeholder) == Wish.UPDATES


def test_nobody_follows_what_does_not_exist_for_them(stakeholder: User, page_as: Any, client_as: Any) -> None:
    hidden = IncidentFactory(restricted=True)
    assert page_as(stakeholder).post(f"/incidents/{hidden.pk}/follow", {"wish": "updates"}).status_code == 404
    asked = client_as(stakeholder).post(
        "/api/v1/subscriptions", {"incidentId": hidden.pk}, content_type="application/json"
    )
    assert asked.status_code == 404
    assert not stakeholder.subscriptions.exists()


def test_the_api_of_subscriptions(stakeholder: User, client_as: Any) -> None:
    program, incident = client_as(stakeholder), IncidentFactory()
    for body in ({"incidentId": incident.pk, "wish": "last"}, {"minSeverity": "Critical"}):
        assert program.post("/api/v1/subscriptions", body, content_type="application/json").status_code == 201
    listed = program.get("/api/v1/subscriptions").json()["results"]
    assert [(row["incidentId"], row["wish"], row["minSeverity"]) for row in listed] == [
        (None, "updates", "Critical"),
        (incident.pk, "last", None),
    ]
    assert program.delete(f"/api/v1/subscriptions/{listed[0]['id']}").status_code == 204
    assert client_as(UserFactory()).delete(f"/api/v1/subscriptions/{listed[1]['id']}").status_code == 404
    assert stakeholder.subscriptions.count() == 1


def test_the_api_of_webhooks(admin_user: User, mim: User, client_as: Any, hook: Hook) -> None:
    program = client_as(admin_user)
    body = {"name": "Bot", "url": hook.url, "eventTypes": ["incident.resolved"]}
    made = program.post("/api/v1/webhooks", body, content_type="application/json").json()
    assert made["secret"].startswith("whsec_")
    base = f"/api/v1/webhooks/{made['id']}"
    assert program.post(f"{base}/test").status_code == 202
    outbox.deliver_due(timezone.now())
    [row] = program.get(f"{base}/deliveries").json()["results"]
    assert (row["state"], row["tries"][0]["wasSent"]) == ("sent", True)
    assert program.post(f"{base}/deliveries/{row['id']}/redeliver").json()["messageId"] == row["messageId"]
    rotated = program.post(f"{base}/secret").json()["secret"]
    assert rotated != made["secret"]
    known = {"If-Match": program.get(base).headers["ETag"]}
    changed = program.patch(base, {"isActive": False}, content_type="application/json", headers=known).json()
    assert changed["isActive"] is False
    everything = program.get("/api/v1/webhooks").content + program.get(base).content
    assert b"secret" not in everything
    assert client_as(mim).get("/api/v1/webhooks").status_code == 403


def test_admin_shows_no_secret_and_keeps_the_address(admin_user: User, page_as: Any, hook: Hook) -> None:
    made = endpoint(hook)
    browser, base = page_as(admin_user), f"/admin/incidents/endpoint/{made.endpoint.pk}"
    outbox.send_test(made.endpoint, now=timezone.now())
    pages = [f"{base}/change/", f"{base}/secret/", "/admin/incidents/endpoint/", "/admin/incidents/delivery/"]
    shown = "".join(browser.get(page).content.decode() for page in pages)
    assert "Test of MajorOps" in shown
    assert made.secret not in shown
    assert "secret-path" not in shown
    sent = {"name": "New name", "audience": "stakeholders", "min_severity": "low", "is_active": "on", "url": ""}
    assert browser.post(f"{base}/change/", sent).status_code == 302
    current = Endpoint.objects.get()
    assert (current.name, current.url) == ("New name", hook.url)
    assert Webhook  # the newest secret is shown once, by the answer to the POST
    assert browser.post(f"{base}/secret/", {"rotate": ""}).content.decode().count("whsec_") == 1
    assert "whsec_" not in browser.get(f"{base}/secret/").content.decode()


def test_every_choosable_event_is_about_an_incident() -> None:
    assert all(event.value.startswith("incident.") for event in CHOOSABLE)
