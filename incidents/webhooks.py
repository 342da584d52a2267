"""THE ONLY WRITER of endpoints, and what one is sent: a thin signed body for programs, cards for chats."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from standardwebhooks.webhooks import Webhook

from accounts import audit
from accounts.idempotency import effect
from accounts.models import User
from accounts.principals import Service
from accounts.scopes import Scope
from incidents.lifecycle import Kind
from incidents.models import Audience, Delivery, Endpoint, Incident, Notice
from incidents.outbox_chat import slack_body, teams_body
from incidents.outbox_rules import CHOOSABLE, Channel
from incidents.outbox_words import Words, words_of
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.links import check_https
from majorops.lib.outgoing import is_public, post
from majorops.lib.problems import camel
from majorops.lib.text import clean_text
from majorops.lib.times import iso
from majorops.lib.visibility import readable

API_VERSION = "1"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
#: What may be set; the kind of an endpoint stays, for its log tells of it.
CHANGEABLE = ("name", "url", "audience", "event_types", "min_severity", "is_active")


class NameIsTaken(DomainError):
    """Another endpoint is called so. Choose another name."""

    code = "name_is_taken"


class NothingToRotate(DomainError):
    """Chats do not check signatures, so this endpoint has no secret."""

    code = "no_secret"


# --- Who listens ---


def viewer_of(endpoint: Endpoint) -> Service | None:
    """The endpoint as the registry of visibility knows viewers: a program that reads incidents, or nobody known."""
    if endpoint.audience == Audience.PUBLIC:
        return None
    return Service(endpoint.pk, endpoint.name, frozenset({Scope.INCIDENTS_READ}))


def hears_kind(endpoint: Endpoint, kind: str) -> bool:
    """Drills and tests are told as such, which the public cannot be."""
    return endpoint.audience != Audience.PUBLIC or kind == Kind.REAL


# --- Writing ---


@dataclass(frozen=True, slots=True)
class Made:
    """An endpoint, and the secret that is shown this once."""

    endpoint: Endpoint
    secret: str


def create(
    *, name: str, kind: str, url: str, by: User | None, now: datetime, request: HttpRequest | None = None, **more: Any
) -> Made:
    """A new endpoint. `more`: audience, event_types, min_severity, is_active. Raises Invalid, NameIsTaken."""
    if kind not in dict(Endpoint.KINDS):
        kinds = list(dict(Endpoint.KINDS))
        raise Invalid(f"kind must be one of {', '.join(kinds)}.", field="kind", allowed=kinds)
    endpoint = Endpoint(kind=kind, created_at=now, created_by=by)
    if kind == Channel.WEBHOOK:
        endpoint.secret = new_secret()
    _set(endpoint, {"name": name, "url": url, **more})
    with effect():
        _check_name(endpoint)
        endpoint.save(force_insert=True)
        audit.record(audit.Action.WEBHOOK_CHANGE, request=request, by=by, obj=endpoint, after=described(endpoint))
    return Made(endpoint, endpoint.secret)


def change(
    endpoint: Endpoint, changes: Mapping[str, Any], *, by: User | None, request: HttpRequest | None = None
) -> Endpoint:
    """Sets what CHANGEABLE names. Raises Invalid, NameIsTaken."""
    with effect(endpoint):
        current = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        before = described(current)
        _set(current, changes)
        _check_name(current)
        current.save(update_fields=list(CHANGEABLE))
        if before != (after := described(current)) or "url" in changes:
            audit.record(audit.Action.WEBHOOK_CHANGE, request=request, by=by, obj=current, before=before, after=after)
    return current


def rotate(endpoint: Endpoint, *, by: User | None, request: HttpRequest | None = None) -> Made:
    """A new secret. Messages carry both signatures until `finish_rotation`; an older one than these two is gone."""
    with effect(endpoint):
        current = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        if current.kind != Channel.WEBHOOK:
            raise NothingToRotate
        current.old_secret, current.secret = current.secret, new_secret()
        current.save(update_fields=["secret", "old_secret"])
        audit.record(audit.Action.WEBHOOK_SECRET, request=request, by=by, obj=current, reason="A new secret.")
    return Made(current, current.secret)


def finish_rotation(endpoint: Endpoint, *, by: User | None, request: HttpRequest | None = None) -> Endpoint:
    """From now on only the newest secret signs."""
    with effect(endpoint):
        current = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        if current.old_secret:
            current.old_secret = ""
            current.save(update_fields=["old_secret"])
            audit.record(audit.Action.WEBHOOK_SECRET, request=request, by=by, obj=current, reason="The old one ends.")
    return current


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def described(endpoint: Endpoint) -> dict[str, object]:
    """For the audit trail: nothing secret."""
    shown = {name: getattr(endpoint, name) for name in (*CHANGEABLE, "kind")}
    return shown | {"url": masked(endpoint.url)}


def masked(url: str) -> str:
    """Its host; the path of a chat's address is its key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/..." if parts.netloc else ""


def _set(endpoint: Endpoint, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if name not in CHANGEABLE:
            raise Invalid(f"{name} cannot be set. These can: {', '.join(CHANGEABLE)}.", field=name)
        setattr(endpoint, name, _clean(name, value))


def _clean(name: str, value: Any) -> Any:
    if name == "name":
        return clean_text(value, field="name", max_length=80, required=True)
    if name == "url":
        return check_url(clean_text(value, field="url", max_length=1000, required=True))
    if name == "event_types":
        return _events(value)
    column = Endpoint._meta.get_field(name)
    allowed = [key for key, _ in column.flatchoices]  # type: ignore[union-attr]
    if allowed and value not in allowed:
        raise Invalid(f"{name} must be one of {', '.join(allowed)}.", field=name, allowed=allowed)
    return value


def _events(value: Collection[str]) -> list[str]:
    known = [event.value for event in CHOOSABLE]
    if strangers := sorted(set(value) - set(known)):
        raise Invalid(
            f"{strangers[0][:60]!a} is no event. Allowed: {', '.join(known)}.", field="event_types", allowed=known
        )
    return [event for event in known if event in value]


def check_url(url: str) -> str:
    """An https address; in development also http to this machine. Raises Invalid.

    What a name leads to is judged when it is connected to; a private number is refused here, where it can be told why.
    """
    if is_of_this_machine(url):
        return url
    check_https(url, field="url")
    host = urlsplit(url).hostname or ""
    looks_numeric = host.replace(".", "").isdigit() or ":" in host
    if looks_numeric and not is_public(host) and not settings.MAJOROPS_PAGES_TO_PRIVATE:
        raise Invalid(
            "url leads into a private network, which is not allowed (MAJOROPS_PAGES_TO_PRIVATE).", field="url"
        )
    return url


def is_of_this_machine(url: str) -> bool:
    """An http address of the developer's own machine."""
    try:
        parts = urlsplit(url)
        return settings.DEBUG and parts.scheme == "http" and parts.hostname in LOOPBACK and parts.port != 0
    except ValueError:
        return False


def _check_name(endpoint: Endpoint) -> None:
    if Endpoint.objects.filter(name=endpoint.name).exclude(pk=endpoint.pk).exists():
        raise NameIsTaken(field="name")


# --- What is sent ---


def said_to(notice: Notice, viewer: object) -> dict[str, Any]:
    """The columns of its incident that this viewer reads."""
    if notice.incident is None:
        return {}
    seen = readable(Incident, viewer, notice.incident)
    return {name: value for name, value in notice.said.items() if name in seen}


def words_for(notice: Notice, viewer: object) -> Words:
    """The notice as this viewer reads it, with a link for whom this site lets in."""
    base = settings.MAJOROPS_PUBLIC_URL.rstrip("/")
    link = f"{base}{notice.path}" if base and notice.path and viewer is not None else ""
    return words_of(notice.event, notice.title, notice.text, said_to(notice, viewer), link)


def send(delivery: Delivery, endpoint: Endpoint, notice: Notice, now: datetime) -> None:
    """Posts it. Raises NotSent, AddressRefused."""
    viewer = viewer_of(endpoint)
    bodies = {
        Channel.SLACK: lambda: slack_body(words_for(notice, viewer)),
        Channel.TEAMS: lambda: teams_body(words_for(notice, viewer)),
        Channel.WEBHOOK: lambda: webhook_body(notice, viewer),
    }
    body = json.dumps(bodies[Channel(endpoint.kind)](), ensure_ascii=False, separators=(",", ":"))
    headers = {"Content-Type": "application/json", "User-Agent": "MajorOps"}
    headers |= signed(endpoint, delivery.message_id, body, now)
    is_free = settings.MAJOROPS_PAGES_TO_PRIVATE or is_of_this_machine(endpoint.url)
    post(endpoint.url, body.encode(), headers, guarded=not is_free)


def webhook_body(notice: Notice, viewer: object) -> dict[str, Any]:
    """What a program gets: which event, in which order, and where to read the rest."""
    words = words_for(notice, viewer)
    said = {camel(name): value for name, value in said_to(notice, viewer).items()}
    return {
        "type": notice.event,
        "id": notice.pk,
        "timestamp": iso(notice.happened_at),
        "api_version": API_VERSION,
        "sequence": notice.sequence,
        "data": {
            "incident": said or None,
            "headline": notice.title,
            "text": notice.text,
            "link": words.link or None,
        },
    }


def signed(endpoint: Endpoint, message_id: str, body: str, now: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks; a signature for each live secret, the newest first."""
    name = f"msg_{message_id}"
    live = [secret for secret in (endpoint.secret, endpoint.old_secret) if secret]
    stamped = {"webhook-id": name, "webhook-timestamp": str(int(now.timestamp()))}
    if not live:
        return stamped
    return stamped | {"webhook-signature": " ".join(Webhook(each).sign(name, now, body) for each in live)}
