"""The audit trail: what one event tells, and how a flood of refusals stays short."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts import audit
from accounts.audit import LISTED_PER_MINUTE, Action, record, record_refusal
from accounts.models import ActorKind, AuditEvent, RefusalCount, User
from accounts.principals import Service
from tests.factories import NOON

pytestmark = pytest.mark.django_db

HEADER = "Cf-Access-Authenticated-User-Email"


def test_an_event_tells_who_what_and_from_where(rf: Any, mim: User, stakeholder: User) -> None:
    request = rf.get("/", REMOTE_ADDR="10.1.2.3", HTTP_X_FORWARDED_FOR="192.0.2.7", HTTP_CF_CONNECTING_IP="192.0.2.7")
    request.user, request.request_id = mim, "request-1"
    event = record(
        Action.EXPORT, request=request, obj=stakeholder, before={"at": NOON}, after={"rows": 3}, reason="why"
    )
    event.refresh_from_db()
    assert (event.actor_kind, event.actor_id, event.actor_name) == (ActorKind.HUMAN, mim.pk, mim.email)
    assert (event.object_type, event.object_id) == ("accounts.user", stakeholder.pk)
    assert (event.request_id, event.peer, event.forwarded) == ("request-1", "10.1.2.3", "192.0.2.7; 192.0.2.7")
    assert (event.before, event.after, event.reason) == ({"at": str(NOON)}, {"rows": 3}, "why")


def test_behind_our_proxy_an_event_names_the_client_and_the_way(rf: Any, settings: Any) -> None:
    settings.PROXY_CLIENT_HEADER, settings.PROXY_TRUSTED_CIDRS = "X-Forwarded-For", ["10.1.2.0/24"]
    request = rf.get("/", REMOTE_ADDR="10.1.2.3", HTTP_X_FORWARDED_FOR="198.51.100.1, 192.0.2.7")
    event = record(Action.EXPORT, request=request)
    assert (event.peer, event.forwarded) == ("192.0.2.7", "198.51.100.1, 192.0.2.7; via 10.1.2.3")


def test_a_program_is_named_by_its_integration() -> None:
    event = record(Action.EXPORT, by=Service("01HZ", "Alertmanager", frozenset()))
    assert (event.actor_kind, event.actor_id, event.actor_name) == (ActorKind.SERVICE, "01HZ", "Alertmanager")


def test_without_a_sender_majorops_did_it_itself() -> None:
    assert record(Action.EXPORT).actor_kind == ActorKind.SYSTEM


def test_bytes_of_a_header_cannot_break_or_forge_a_line(rf: Any) -> None:
    event = record(Action.EXPORT, request=rf.get("/", HTTP_X_FORWARDED_FOR="a\nb\0c\x1b" + "x" * 400))
    assert event.forwarded.startswith("a?b?c?x")
    assert len(event.forwarded) == 300


@pytest.fixture
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit.timezone, "now", lambda: NOON)


@pytest.mark.usefixtures("_noon")
def test_refusals_beyond_ten_a_minute_are_counted_not_listed(rf: Any) -> None:
    for _ in range(LISTED_PER_MINUTE + 5):
        record_refusal(rf.get("/", REMOTE_ADDR="10.0.0.1"), "no_role")
    record_refusal(rf.get("/", REMOTE_ADDR="10.0.0.2"), "no_role")
    record_refusal(rf.get("/", REMOTE_ADDR="10.0.0.1"), "account_disabled")
    counted = RefusalCount.objects.get()
    assert AuditEvent.objects.filter(action=Action.LOGIN_REFUSED).count() == LISTED_PER_MINUTE + 2
    assert (counted.reason, counted.peer, counted.minute, counted.count) == ("no_role", "10.0.0.1", NOON, 5)


def test_the_next_minute_lists_again(rf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for minutes in (0, 1):
        monkeypatch.setattr(audit.timezone, "now", lambda minutes=minutes: NOON + timedelta(minutes=minutes))
        for _ in range(LISTED_PER_MINUTE):
            record_refusal(rf.get("/"), "no_role")
    assert not RefusalCount.objects.exists()


def test_a_refused_sign_in_is_on_the_trail_with_its_address(mim: User) -> None:
    Client(headers={HEADER: "Nobody@example.com"}).get("/incidents/")
    event = AuditEvent.objects.get()
    assert (event.action, event.reason, event.actor_kind) == (Action.LOGIN_REFUSED, "unknown_person", "anonymous")
    assert (event.after, event.auth_mode, event.peer) == ({"email": "nobody@example.com"}, "dev", "127.0.0.1")
    assert event.request_id


def test_a_visitor_without_any_identity_writes_nothing() -> None:
    Client().get("/incidents/")
    assert not AuditEvent.objects.exists()


@pytest.mark.usefixtures("behind_access", "_noon")
def test_look_alikes_of_the_proxys_headers_are_listed_once_a_minute_and_then_counted() -> None:
    for _ in range(3):
        answer = Client().get("/incidents/", **{"HTTP_CF.ACCESS.JWT.ASSERTION": "x", "HTTP_CF_ACCESS_USER": "y"})
        assert answer.status_code == 401
    Client().get("/healthz", HTTP_CF_ACCESS_USER="y")
    event, counted = AuditEvent.objects.get(), RefusalCount.objects.get()
    assert (event.action, event.actor_kind, event.peer) == (Action.HEADER_IGNORED, ActorKind.ANONYMOUS, "127.0.0.1")
    assert event.after == {"headers": ["HTTP_CF.ACCESS.JWT.ASSERTION", "HTTP_CF_ACCESS_USER"]}
    assert (counted.reason, counted.count) == (Action.HEADER_IGNORED, 2)


def test_where_another_proxy_names_people_no_header_looks_like_anything(mim: User) -> None:
    Client(headers={HEADER: mim.email}).get("/incidents/", HTTP_CF_ACCESS_USER="y")
    assert not AuditEvent.objects.filter(action=Action.HEADER_IGNORED).exists()
