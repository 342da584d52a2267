"""How a sender proves that it is the source: a signature over the raw body, or a token. Comparisons take equal time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from standardwebhooks.webhooks import Webhook

from incidents.alerts.kinds import SourceKind
from incidents.alerts.registry import VENDORS

#: How far a signed time may be from ours.
WINDOW = timedelta(seconds=300)
HASHED = "sha256:"
PAGERDUTY, GRAFANA, GRAFANA_TIME = (
    "x-pagerduty-signature",
    "x-grafana-alerting-signature",
    "x-grafana-alerting-timestamp",
)
STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")
TOKEN = "x-majorops-token"  # noqa: S105  # the name of a header


def new_secret(kind: str) -> str:
    """Random: 256 bits."""
    if kind == SourceKind.GENERIC:
        return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_hex(16) if kind == SourceKind.PAGERDUTY_EVENTS else f"in_{secrets.token_urlsafe(32)}"


def stored(kind: str, secret: str) -> str:
    """What of a secret is kept: a hash, unless signatures are made with it. Random as it is, it needs no salt."""
    return secret if VENDORS[SourceKind(kind)].signs else hashed(secret)


def hashed(secret: str) -> str:
    return HASHED + hashlib.sha256(secret.encode()).hexdigest()


def is_proven(
    kind: str, kept: Collection[str], headers: Mapping[str, str], body: bytes, now: datetime, token: str = ""
) -> bool:
    """Whether one of the live secrets made this. `headers` have lower-case names; `token` stood in the address."""
    live = [secret for secret in kept if secret]
    vendor = VENDORS[SourceKind(kind)]
    if vendor.must_sign:
        return _is_standard(live, headers, body, now)
    if kind == SourceKind.PAGERDUTY and PAGERDUTY in headers:
        return _is_pagerduty(live, headers[PAGERDUTY], body)
    if kind == SourceKind.GRAFANA and GRAFANA in headers:
        return _is_grafana(live, headers, body, now)
    return any(has_token(live, told) for told in _tokens(headers, token))


def has_token(kept: Collection[str], told: str) -> bool:
    """Whether the token is one of these, kept as they are or hashed."""
    if not told:
        return False
    return any(_same(secret, hashed(told) if secret.startswith(HASHED) else told) for secret in kept if secret)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode(errors="replace"))


def _digest(secret: str, text: bytes) -> str:
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def _is_pagerduty(live: Collection[str], header: str, body: bytes) -> bool:
    """A list of `v1=<hex>`, one for each of their secrets: any that matches will do."""
    told = [part.strip().removeprefix("v1=") for part in header.split(",") if part.strip().startswith("v1=")]
    return any(_same(_digest(secret, body), each) for secret in live for each in told)


def _is_grafana(live: Collection[str], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    at = headers.get(GRAFANA_TIME)
    if at is not None and not _is_recent(at, now):
        return False
    text = body if at is None else at.encode() + b":" + body
    told = headers[GRAFANA].removeprefix("sha256=")
    return any(_same(_digest(secret, text), told) for secret in live)


def _is_standard(live: Collection[str], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """https://www.standardwebhooks.com: `id.timestamp.body`, signed by any of the live secrets."""
    name, at, told = (headers.get(header, "") for header in STANDARD)
    if not name or not _is_recent(at, now):
        return False
    moment = datetime.fromtimestamp(int(at), UTC)
    try:
        signatures = [Webhook(secret).sign(name, moment, body.decode()) for secret in live]
    except (UnicodeDecodeError, ValueError, RuntimeError):
        return False
    return any(_same(signature, each) for signature in signatures for each in told.split())


def _is_recent(at: str, now: datetime) -> bool:
    if not at.isascii() or not at.isdigit() or len(at) > 12:
        return False
    return abs(int(at) - now.timestamp()) <= WINDOW.total_seconds()


def _tokens(headers: Mapping[str, str], in_address: str) -> Iterator[str]:
    """A bearer token, the password of basic authentication, our own header, or the address."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "genkey"):
        yield rest.strip()
    if scheme.lower() == "basic":
        with suppress(binascii.Error, UnicodeDecodeError, ValueError):
            yield base64.b64decode(rest).decode().partition(":")[2]
    yield headers.get(TOKEN, "")
    yield in_address
