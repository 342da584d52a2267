"""Writes the audit trail. Whoever lets in, refuses, or changes rights calls `record` in the same transaction."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db.models import F, Model
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import ActorKind, AuditEvent, RefusalCount, User
from accounts.peers import client_of
from accounts.principals import Service

logger = logging.getLogger(__name__)

#: Refused sign-ins of one reason and address that are listed in a minute; the rest is counted.
LISTED_PER_MINUTE = 10
#: What proxies say of a request's way. It can be forged, so it is kept as told, beside the address that is proven.
_FORWARDED = ("HTTP_CF_CONNECTING_IP", "HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED")


class Action(StrEnum):
    """Everything that is recorded. A new word needs no migration."""

    LOGIN_FIRST = "login_first"
    LOGIN_REFUSED = "login_refused"
    IDENTITY_MISMATCH = "identity_mismatch"
    IDENTITY_REBOUND = "identity_rebound"
    IDENTITY_BOUND = "identity_bound"
    BINDING_CLEARED = "binding_cleared"
    PROVISIONED = "provisioned"
    RENAMED = "renamed"
    ROLE_CHANGE = "role_change"
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    GROUP_ROLE_CHANGE = "group_role_change"
    TOKEN_CREATE = "token_create"  # noqa: S105  # a verb, not a secret
    TOKEN_ROTATE = "token_rotate"  # noqa: S105
    TOKEN_REVOKE = "token_revoke"  # noqa: S105
    INTEGRATION_CHANGE = "integration_change"
    KPI_DEFINITION_CHANGE = "kpi_definition_change"
    CREDIT_SETTING_CHANGE = "credit_setting_change"
    WEBHOOK_CHANGE = "webhook_change"
    WEBHOOK_SECRET = "webhook_secret"  # noqa: S105
    VISIBILITY_CHANGE = "visibility_change"
    PERSONAL_KPI_VIEW = "personal_kpi_view"
    EXPORT = "export"
    ERASURE = "erasure"
    GUARD_OPEN = "guard_open"
    #: Headers that only look like those of the access proxy.
    HEADER_IGNORED = "header_ignored"


def record(
    action: Action | str,
    *,
    request: HttpRequest | None = None,
    by: User | Service | ActorKind | None = None,
    obj: Model | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> AuditEvent:
    """One event. Who did it is `by`, else the request's sender, else MajorOps itself. Never pass a secret."""
    told = _event(action, request=request, by=by, obj=obj, before=before, after=after, reason=reason)
    told.save(force_insert=True)
    return told


def record_made(
    action: Action | str,
    made: Iterable[tuple[Model, Mapping[str, Any]]],
    *,
    by: User | Service | ActorKind | None,
    request: HttpRequest | None = None,
    reason: str = "",
) -> None:
    """An event for each of many things that came into being at once, with what it says; all in one statement."""
    told = (_event(action, request=request, by=by, obj=obj, after=after, reason=reason) for obj, after in made)
    AuditEvent.objects.bulk_create(told)


def _event(
    action: Action | str,
    *,
    request: HttpRequest | None,
    by: User | Service | ActorKind | None,
    obj: Model | None,
    reason: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEvent:
    kind, actor_id, actor_name = _actor(request, by)
    return AuditEvent(
        at=timezone.now(),
        action=str(action),
        actor_kind=kind,
        actor_id=actor_id,
        actor_name=actor_name,
        object_type=obj._meta.label_lower if obj else "",
        object_id=str(obj.pk)[:80] if obj else "",
        before=_plain(before),
        after=_plain(after),
        reason=_line(reason, 300),
        **_way(request),
    )


def record_refusal(request: HttpRequest, code: str, *, person: User | None = None, email: str = "") -> None:
    """A refused sign-in: listed up to ten a minute for one reason and address, then only counted."""
    now = timezone.now()
    minute = now.replace(second=0, microsecond=0)
    peer = _peer(request)
    action = code if code in (Action.IDENTITY_MISMATCH, Action.IDENTITY_REBOUND) else Action.LOGIN_REFUSED
    listed = AuditEvent.objects.filter(action=action, at__gte=minute, reason=code, peer=peer)
    if listed.count() < LISTED_PER_MINUTE:
        claimed = {"email": email} if email else None
        record(action, request=request, by=ActorKind.ANONYMOUS, obj=person, after=claimed, reason=code)
    else:
        _count(code, peer, minute)


def record_look_alikes(request: HttpRequest, names: Sequence[str]) -> None:
    """Headers that were ignored: listed once a minute for one address, then only counted."""
    minute, peer = timezone.now().replace(second=0, microsecond=0), _peer(request)
    listed = AuditEvent.objects.filter(action=Action.HEADER_IGNORED, at__gte=minute, peer=peer)
    if listed.exists():
        _count(Action.HEADER_IGNORED, peer, minute)
        return
    shown = [_line(name, 60) for name in names[:10]]
    logger.warning("Headers that only look like those of the access proxy are ignored: %s", ascii(shown))
    record(
        Action.HEADER_IGNORED,
        request=request,
        by=ActorKind.ANONYMOUS,
        after={"headers": shown},
        reason="Somebody tries, or a proxy is set up wrong.",
    )


def _count(code: str, peer: str, minute: datetime) -> None:
    row, _ = RefusalCount.objects.get_or_create(reason=code[:40], peer=peer, minute=minute)
    RefusalCount.objects.filter(pk=row.pk).update(count=F("count") + 1)


def _actor(request: HttpRequest | None, by: User | Service | ActorKind | None) -> tuple[str, str, str]:
    who = by or getattr(request, "user", None)
    if isinstance(who, ActorKind):
        return who, "", ""
    if isinstance(who, User):
        return ActorKind.HUMAN, who.pk, who.email
    if isinstance(who, Service):
        return ActorKind.SERVICE, who.integration_id, who.name
    return (ActorKind.ANONYMOUS if request else ActorKind.SYSTEM), "", ""


def _way(request: HttpRequest | None) -> dict[str, str]:
    """How the request came here."""
    if request is None:
        return {}
    identity = getattr(request, "identity", None)
    told = [request.META[name] for name in _FORWARDED if request.META.get(name)]
    peer, connected = _peer(request), _line(request.META.get("REMOTE_ADDR", ""), 64)
    if peer != connected:
        told.append(f"via {connected or 'a socket'}")
    return {
        "request_id": getattr(request, "request_id", "")[:64],
        "peer": peer,
        "forwarded": _line("; ".join(told), 300),
        "auth_mode": settings.MAJOROPS_AUTH_MODE[:8],
        "token_fingerprint": getattr(identity, "fingerprint", "")[:12],
    }


def _peer(request: HttpRequest) -> str:
    """The client's address, or what the server calls a peer that has none."""
    return _line(str(client_of(request) or request.META.get("REMOTE_ADDR", "")), 64)


def _line(text: str, length: int) -> str:
    """One line that any database can hold, whatever bytes a header carried."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:length]


def _plain(values: Mapping[str, Any] | None) -> Any:
    """What JSON can say of the values; times and ids become text."""
    return None if values is None else json.loads(json.dumps(values, default=str))
