"""Who sends this request? Reads the identity that the access proxy attached; decides nothing about rights.

Three modes (settings.MAJOROPS_AUTH_MODE):

access Cloudflare Access. Its signed assertion is verified on every request. The e-mail header beside it
       is never identity: it is compared, and one that disagrees is refused.
proxy  The e-mail header of any other proxy. It counts only with two proofs: the shared secret the proxy
       adds, and a peer inside PROXY_TRUSTED_CIDRS or on a unix socket.
dev    For a laptop. The header if sent, else the person picked on the who-are-you page. Only for
       loopback peers, and never for a request that has passed a proxy: a tunnel to a laptop must not
       become an open door.
"""

from __future__ import annotations

import hmac
import logging
import re
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from accounts import assertion
from accounts.assertion import Accepted, InvalidToken
from accounts.emails import MAX_LENGTH, canonical_email
from accounts.jwks import keyring
from accounts.peers import comes_from_a_proxy, is_in, meta_key, peer_of
from majorops.lib.errors import DomainError

DEV_SESSION_KEY = "dev_email"
#: Present on a request that went through Cloudflare or any other proxy.
PROXY_TRACES = ("HTTP_CF_CONNECTING_IP", "HTTP_CF_RAY", "HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED")
#: What Cloudflare Access sends. A key that only looks like one of these is no identity.
ASSERTION_KEY = "HTTP_CF_ACCESS_JWT_ASSERTION"
EMAIL_KEY = "HTTP_CF_ACCESS_AUTHENTICATED_USER_EMAIL"
CLIENT_KEYS = ("HTTP_CF_ACCESS_CLIENT_ID", "HTTP_CF_ACCESS_CLIENT_SECRET")
_LOOK_ALIKE = re.compile(r"HTTP_CF[^A-Z]?ACCESS")
_VISIBLE = re.compile(r"[!-+\--~]*")  # ASCII without the comma that joins two headers

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A proven claim: this request comes from this person (`email`) or this program (`common_name`)."""

    email: str = ""
    common_name: str = ""
    #: Who vouches, and its own id of the person. Empty where the proof names neither.
    issuer: str = ""
    subject: str = ""
    groups: tuple[str, ...] = ()
    #: The browser sent it without the page's doing (proxy cookie, session): needs a CSRF token to write.
    is_ambient: bool = True
    #: Names the token in the audit trail; empty without one.
    fingerprint: str = ""
    expires_at: datetime | None = None


class IdentityRefused(DomainError):
    """This request cannot be trusted."""

    code = "identity_refused"
    status = 403


class IdentityMismatch(IdentityRefused):
    """The e-mail header and the sign-in token name different people. Ask an administrator to check the proxy."""

    code = "identity_mismatch"


class DomainNotAllowed(IdentityRefused):
    """Addresses of this domain are not let in here. Sign in with your work address."""

    code = "domain_not_allowed"


class NotProven(DomainError):
    """The identity in this request is not proven. Come through the access proxy."""

    code = "not_proven"
    status = 401


class MalformedIdentity(DomainError):
    """The identity in this request is not one well-formed value. Come through the access proxy once, not twice."""

    code = "malformed_identity"
    status = 400


def claim_of(request: HttpRequest) -> Claim | None:
    """The claimed identity, or None for nobody.

    Raises MalformedIdentity or MalformedEmail (400), NotProven or InvalidToken (401), IdentityRefused
    (403), JwksUnavailable (503).
    """
    claims = {"access": _access_claim, "proxy": _proxy_claim, "dev": _dev_claim}
    claim = claims[settings.MAJOROPS_AUTH_MODE](request)
    if claim is not None and claim.email:
        _check_domain(claim.email)
    return claim


def _check_domain(email: str) -> None:
    domain = email.rpartition("@")[2]
    if settings.ALLOWED_EMAIL_DOMAINS and domain not in settings.ALLOWED_EMAIL_DOMAINS:
        raise DomainNotAllowed


# --- access ---


def _access_claim(request: HttpRequest) -> Claim | None:
    token = _header(request, ASSERTION_KEY, limit=assertion.MAX_BYTES)
    announced = _header(request, EMAIL_KEY, limit=MAX_LENGTH)
    if not token:
        return None
    claim = _verified(token)
    if announced and canonical_email(announced) != claim.email:
        raise IdentityMismatch
    return claim


def _header(request: HttpRequest, key: str, *, limit: int) -> str:
    """One visible ASCII value, or nothing. Raises MalformedIdentity."""
    value = request.META.get(key, "").strip(" \t")
    if len(value) > limit or not _VISIBLE.fullmatch(value):
        raise MalformedIdentity
    return value


def _verified(token: str) -> Claim:
    keys = keyring(settings.ACCESS_TEAM_DOMAIN, settings.ACCESS_JWKS_FILE, settings.ACCESS_JWKS_MAX_STALE)
    try:
        proven = assertion.verify(token, key_for=keys.key, accepted=_accepted(), now=timezone.now())
    except InvalidToken as error:
        logger.warning("Sign-in token %s refused: %s", assertion.fingerprint(token), error.reason)
        raise
    return Claim(
        email=canonical_email(proven.email) if proven.email else "",
        common_name=proven.common_name,
        issuer=proven.issuer,
        subject=proven.subject,
        groups=proven.groups,
        fingerprint=proven.fingerprint,
        expires_at=proven.expires_at,
    )


def _accepted() -> Accepted:
    return Accepted(
        issuer=settings.ACCESS_TEAM_DOMAIN,
        audiences=tuple(settings.ACCESS_AUD),
        leeway=settings.ACCESS_LEEWAY,
        max_lifetime=settings.ACCESS_MAX_LIFETIME,
        groups_claim=settings.ACCESS_GROUPS_CLAIM,
    )


def look_alikes(request: HttpRequest) -> list[str]:
    """Headers that were not read, though they look as if they came from the access proxy."""
    if settings.MAJOROPS_AUTH_MODE != "access":
        return []
    known = {ASSERTION_KEY, EMAIL_KEY, *CLIENT_KEYS}
    return sorted(key for key in request.META if key not in known and _LOOK_ALIKE.match(key))


# --- proxy ---


def _proxy_claim(request: HttpRequest) -> Claim | None:
    value = request.META.get(meta_key(settings.PROXY_EMAIL_HEADER))
    if value is None:
        return None
    secret = request.META.get(meta_key(settings.PROXY_SECRET_HEADER), "")
    knows_secret = hmac.compare_digest(secret.encode(), settings.PROXY_SHARED_SECRET.encode())
    if not (knows_secret and comes_from_a_proxy(request)):
        raise NotProven
    return Claim(canonical_email(value))


# --- dev ---


def _dev_claim(request: HttpRequest) -> Claim | None:
    refuse_strangers(request)
    value = request.META.get(meta_key(settings.PROXY_EMAIL_HEADER))
    if value is not None:
        # No other site can make a browser add this header, so it is not ambient on a laptop.
        return Claim(canonical_email(value), is_ambient=False)
    picked = request.session.get(DEV_SESSION_KEY)
    return Claim(picked) if picked else None


def refuse_strangers(request: HttpRequest) -> None:
    """Dev mode lets anyone be anyone, so it answers this machine only."""
    if not is_in(peer_of(request), ["127.0.0.0/8", "::1/128"]):
        raise IdentityRefused(
            "Development mode answers this machine only. Set MAJOROPS_AUTH_MODE=access or proxy to serve others."
        )
    if any(trace in request.META for trace in PROXY_TRACES):
        raise IdentityRefused("Development mode refuses requests that came through a proxy or tunnel.")
