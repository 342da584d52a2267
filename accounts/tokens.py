"""The secrets of integrations: made, shown once, proven on each request, taken back.

A token reads `mo_<id>_<secret>`. The id finds the row; of the secret only its SHA-256 is kept. Two secrets of one
integration may live at once, so that a program can be moved to the new one before the old one ends.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest

from accounts import audit
from accounts.models import Integration, ServiceToken, User
from accounts.principals import Service
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.times import iso

logger = logging.getLogger(__name__)

PREFIX = "mo_"
MAX_LIFETIME = timedelta(days=366)
MAX_LIVE = 2
#: How stale last_used_at may be: a request should not cost a write each time.
USED_EVERY = timedelta(minutes=5)

_ID_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_TOKEN = re.compile(r"mo_([0-9a-z]{12})_([A-Za-z0-9_-]{43})")
#: Compared with when no row has the id, so that an unknown id takes as long as a wrong secret.
_NOBODYS_SHA256 = hashlib.sha256(secrets.token_bytes(32)).hexdigest()


class InvalidToken(DomainError):
    """This token is not valid. Ask an administrator for a new one."""

    code = "invalid_token"
    status = 401


class UnknownService(DomainError):
    """No active integration has this Access client id. Ask an administrator to register it."""

    code = "unknown_service"
    status = 403


class TooManyTokens(DomainError):
    """Two tokens of this integration live already. Revoke one first."""

    code = "too_many_tokens"


class IntegrationIsOff(DomainError):
    """This integration is switched off. Switch it on before giving it a token."""

    code = "integration_off"


# --- Made and taken back ---


@transaction.atomic
def mint(
    integration: Integration,
    *,
    by: User | None,
    expires_at: datetime,
    now: datetime,
    request: HttpRequest | None = None,
) -> tuple[ServiceToken, str]:
    """A new token and its text, which is known here and never again. Raises Invalid, TooManyTokens."""
    live = _locked_live(integration, now)
    if len(live) >= MAX_LIVE:
        raise TooManyTokens(
            f"{integration.name} has {MAX_LIVE} live tokens. Revoke one first; the older is {live[-1].pk}.",
            live=[token.pk for token in live],
        )
    token, text = _insert(integration, by, expires_at, now)
    audit.record(audit.Action.TOKEN_CREATE, request=request, by=by, obj=integration, after=_told(token))
    return token, text


@transaction.atomic
def rotate(
    integration: Integration,
    *,
    by: User | None,
    expires_at: datetime,
    now: datetime,
    request: HttpRequest | None = None,
) -> tuple[ServiceToken, str]:
    """A new token. The newest so far lives on until the program is moved over; any older one is revoked."""
    outdated = _locked_live(integration, now)[MAX_LIVE - 1 :]
    for token in outdated:
        _revoke(token, now)
    token, text = _insert(integration, by, expires_at, now)
    revoked = {"revoked": [token.pk for token in outdated]}
    audit.record(audit.Action.TOKEN_ROTATE, request=request, by=by, obj=integration, before=revoked, after=_told(token))
    return token, text


@transaction.atomic
def revoke(token: ServiceToken, *, by: User | None, now: datetime, request: HttpRequest | None = None) -> bool:
    """Ends a token at once. False, and nothing written, if it was revoked before."""
    if not _revoke(token, now):
        return False
    audit.record(audit.Action.TOKEN_REVOKE, request=request, by=by, obj=token.integration, before=_told(token))
    return True


def _locked_live(integration: Integration, now: datetime) -> list[ServiceToken]:
    """The live tokens, newest first. The lock makes two who mint at once take turns."""
    current = Integration.objects.select_for_update(no_key=True).get(pk=integration.pk)
    if not current.is_active:
        raise IntegrationIsOff
    return list(current.tokens.live(now))


def _insert(integration: Integration, by: User | None, expires_at: datetime, now: datetime) -> tuple[ServiceToken, str]:
    if not now < expires_at <= now + MAX_LIFETIME:
        raise Invalid(f"A token lives at least a moment and at most {MAX_LIFETIME.days} days.", field="expires_at")
    secret = secrets.token_urlsafe(32)
    token = ServiceToken.objects.create(
        id="".join(secrets.choice(_ID_LETTERS) for _ in range(12)),
        integration=integration,
        secret_sha256=_sha256(secret),
        created_at=now,
        created_by=by,
        expires_at=expires_at,
    )
    return token, f"{PREFIX}{token.pk}_{secret}"


def _revoke(token: ServiceToken, now: datetime) -> bool:
    return bool(ServiceToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now))


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _told(token: ServiceToken) -> dict[str, object]:
    return {"token": token.pk, "expires_at": iso(token.expires_at)}


def state(token: ServiceToken, now: datetime) -> str:
    """live, expired or revoked."""
    if token.revoked_at is not None:
        return "revoked"
    return "live" if token.expires_at > now else "expired"


def described(integration: Integration) -> dict[str, object]:
    """What of an integration the audit trail keeps."""
    return {
        "name": integration.name,
        "scopes": sorted(integration.scopes),
        "access_client_id": integration.access_client_id,
        "owner": integration.owner.email if integration.owner else None,
        "is_active": integration.is_active,
    }


# --- Proven ---


def service_of_bearer(text: str, *, now: datetime) -> Service:
    """Who sent `Authorization: Bearer <text>`. Raises InvalidToken, the same whatever is wrong with it."""
    parts = _TOKEN.fullmatch(text)
    if parts is None:
        raise InvalidToken
    token_id, secret = parts.groups()
    token = ServiceToken.objects.select_related("integration").filter(pk=token_id).first()
    is_right = hmac.compare_digest(_sha256(secret), token.secret_sha256 if token else _NOBODYS_SHA256)
    if token is None or not is_right:
        raise InvalidToken
    if fault := _fault(token, now):
        logger.warning("Token %s of %s was refused: it %s.", token.pk, token.integration.name, fault)
        raise InvalidToken
    _touch(token, now)
    return _service(token.integration, token.pk)


def _fault(token: ServiceToken, now: datetime) -> str:
    """Told to the log only, and only of tokens whose secret was right."""
    if token.revoked_at is not None:
        return "was revoked"
    if token.expires_at <= now:
        return "has expired"
    return "" if token.integration.is_active else "belongs to an integration that is switched off"


def _touch(token: ServiceToken, now: datetime) -> None:
    if token.last_used_at is None or now - token.last_used_at >= USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USED_EVERY)
        ServiceToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)


def service_of_access_client(common_name: str, *, now: datetime) -> Service:
    """The integration behind an Access service token that the proxy has verified. Raises UnknownService."""
    # What cannot be printed (NUL, half a surrogate pair) cannot be asked of the database either.
    known = Integration.objects.filter(is_active=True, access_client_id=common_name)
    integration = known.first() if common_name and common_name.isprintable() else None
    if integration is None:
        raise UnknownService
    return _service(integration)


def _service(integration: Integration, token_id: str = "") -> Service:
    return Service(integration.pk, integration.name, frozenset(integration.scopes), token_id)
