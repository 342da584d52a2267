"""RULES: what a Cf-Access-Jwt-Assertion proves, given the keys, what we accept, and the time.

PyJWT checks the signature. The claims are checked here: with its options alone it accepts another
team's issuer, an empty e-mail, a list as e-mail and a token of the team instead of the application.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from majorops.lib.errors import DomainError

ALGORITHM = "RS256"
MAX_BYTES = 8 * 1024
#: As wide as the columns that keep a subject, a client id or a group.
_MAX_TEXT = 200
#: Of a key's name, in a token and in a key set.
KID = re.compile(r"[A-Za-z0-9_-]{1,128}")
#: Padding and the other base64 alphabet would give one token several spellings.
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_SIGNATURES = jwt.PyJWS(algorithms=[ALGORITHM])

#: The key of this name, or None if there is none.
KeyFor = Callable[[str], RSAPublicKey | None]


class InvalidToken(DomainError):
    """The sign-in token of this request is not valid here. Reload the page to sign in again."""

    code = "invalid_token"
    status = 401

    def __init__(self, reason: str) -> None:
        super().__init__()
        #: For our log only: a refusal does not teach the sender what to change.
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a token must say to be for us."""

    issuer: str
    audiences: tuple[str, ...]
    leeway: int = 30
    max_lifetime: int = 30 * 24 * 60 * 60
    #: Where the groups are, as a path of names: `custom.groups`.
    groups_claim: str = "custom.groups"


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a valid token says: a person (`email`) or a program (`common_name`), never both."""

    email: str
    common_name: str
    issuer: str
    subject: str
    groups: tuple[str, ...]
    expires_at: datetime
    fingerprint: str


def verify(token: str, *, key_for: KeyFor, accepted: Accepted, now: datetime) -> Assertion:
    """What `token` proves. Raises InvalidToken with the reason; `email` is as written in the token."""
    claims = _signed_claims(token, key_for)
    _check_place(claims, accepted)
    expires_at = _check_time(claims, accepted, now.timestamp())
    email, common_name = _who(claims)
    return Assertion(
        email=email,
        common_name=common_name,
        issuer=accepted.issuer,
        subject=claims["sub"],
        groups=_groups(claims, accepted.groups_claim),
        expires_at=expires_at,
        fingerprint=fingerprint(token),
    )


def fingerprint(token: str) -> str:
    """Names a token in a log without giving it away."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


# --- Signature ---


def _signed_claims(token: str, key_for: KeyFor) -> dict[str, Any]:
    if len(token) > MAX_BYTES:
        raise InvalidToken(f"longer than {MAX_BYTES} bytes")
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        raise InvalidToken("not three base64url segments")
    kid = _kid(_json_object(parts[1], "header"))
    key = key_for(kid)
    if key is None:
        raise InvalidToken(f"no key named {kid} in the key set")
    try:
        _SIGNATURES.decode_complete(token, key, algorithms=[ALGORITHM])
    except (jwt.PyJWTError, ValueError) as error:
        raise InvalidToken(f"signature: {type(error).__name__}") from None
    return _json_object(parts[2], "payload")


def _kid(header: dict[str, Any]) -> str:
    """The name of the key. `jku`, `jwk`, `x5u` and their like are the sender's word and never read."""
    if header.get("alg") != ALGORITHM:
        raise InvalidToken(f"alg is {_shown(header.get('alg'))}, not {ALGORITHM}")
    for name in ("crit", "b64"):
        if name in header:
            raise InvalidToken(f"header has {name}")
    kid = header.get("kid")
    if not isinstance(kid, str) or not KID.fullmatch(kid):
        raise InvalidToken(f"kid is {_shown(kid)}")
    return kid


def _json_object(segment: str, what: str) -> dict[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
        found = json.loads(raw.decode(), object_pairs_hook=_once_each, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidToken(f"{what} cannot be read: {_shown(str(error))}") from None
    if not isinstance(found, dict):
        raise InvalidToken(f"{what} is not a JSON object")
    return found


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")  # which one counts would be the reader's choice
    return found


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


# --- Claims ---


def _check_place(claims: dict[str, Any], accepted: Accepted) -> None:
    if claims.get("iss") != accepted.issuer:
        raise InvalidToken(f"iss is {_shown(claims.get('iss'))}, not {accepted.issuer}")
    audiences = claims.get("aud")
    if isinstance(audiences, str):
        audiences = [audiences]
    if not isinstance(audiences, list) or not all(isinstance(one, str) for one in audiences):
        raise InvalidToken(f"aud is {_shown(audiences)}")
    if not set(audiences) & set(accepted.audiences):
        raise InvalidToken(f"aud is {_shown(audiences)}, none of ours")
    if claims.get("type") != "app":
        raise InvalidToken(f"type is {_shown(claims.get('type'))}, not app")


def _check_time(claims: dict[str, Any], accepted: Accepted, now: float) -> datetime:
    issued, expires = _seconds(claims, "iat"), _seconds(claims, "exp")
    if expires + accepted.leeway <= now:
        raise InvalidToken(f"expired {now - expires:.0f} s ago")
    starts = {"iat": issued, **({"nbf": _seconds(claims, "nbf")} if "nbf" in claims else {})}
    for name, starts_at in starts.items():
        if starts_at > now + accepted.leeway:
            raise InvalidToken(f"{name} is {starts_at - now:.0f} s ahead of us: is the clock of this machine behind?")
    if not 0 < expires - issued <= accepted.max_lifetime:
        raise InvalidToken(f"it would live {expires - issued} s; at most {accepted.max_lifetime} are accepted")
    return datetime.fromtimestamp(expires, UTC)


def _seconds(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidToken(f"{name} is {_shown(value)}, not a whole number")
    if not 0 < value < 10**11:  # arithmetic on the floats around it would overflow
        raise InvalidToken(f"{name} is {_shown(value)}")
    return value


def _who(claims: dict[str, Any]) -> tuple[str, str]:
    """E-mail and common name: one of them is empty."""
    subject = claims.get("sub")
    if ("email" in claims) == ("common_name" in claims):
        raise InvalidToken("it must have one of email and common_name")
    if "email" in claims:
        # Without a subject the account could not be bound to whom it belongs to.
        # The form of the address is judged by canonical_email.
        if not (isinstance(claims["email"], str) and claims["email"] and _is_text(subject)):
            raise InvalidToken(f"email is {_shown(claims['email'])}, sub is {_shown(subject)}")
        return claims["email"], ""
    if not (_is_text(claims["common_name"]) and subject == ""):
        raise InvalidToken(f"common_name is {_shown(claims['common_name'])}, sub is {_shown(subject)}")
    return "", claims["common_name"]


def _groups(claims: dict[str, Any], path: str) -> tuple[str, ...]:
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    if found is None:
        return ()
    if not isinstance(found, list) or not all(_is_text(group) for group in found):
        raise InvalidToken(f"{path} is {_shown(found)}, not a list of group names")
    return tuple(found)


def _is_text(value: object) -> bool:
    """A text that a database stores and a log shows. Lone surrogates are not printable either."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and value.isprintable()


def _shown(value: object) -> str:
    return ascii(value)[:80]
