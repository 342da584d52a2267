"""20,000 examples: no bytes in the identity headers and no damage to a token give a 5xx or another person.

`make drill` runs it; EXAMPLES=500 makes it shorter.
"""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, RequestFactory, override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.access import claim_of
from accounts.middleware import identify
from accounts.models import User
from accounts.roles import Role
from majorops.lib.errors import DomainError
from tests.factories import UserFactory
from tests.identity import ASSERTION_KEY, EMAIL_KEY, access_mode, claims, mint, sign

EXAMPLES = int(os.environ.get("EXAMPLES", "20000"))
ME = "mim@example.com"
SECRET = "a-shared-secret-of-more-than-32-characters"
PROXY = {"MAJOROPS_AUTH_MODE": "proxy", "PROXY_SHARED_SECRET": SECRET, "PROXY_TRUSTED_CIDRS": ["127.0.0.0/8"]}
LONG = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
seen: Counter[str] = Counter()

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def people(db: None, tmp_path: Path) -> Iterator[None]:
    UserFactory(email=ME, role=Role.STAKEHOLDER)
    UserFactory(email="admin@example.com", role=Role.ADMIN)
    with access_mode(tmp_path):
        yield


@pytest.fixture(autouse=True, scope="module")
def figures() -> Iterator[None]:
    yield
    broken = sum(count for status, count in seen.items() if status.startswith("5"))
    told = f"examples {seen.total()}, 5xx {broken}, logins as somebody else {seen['somebody else']}"
    print(f"\nidentity fuzz: {dict(sorted(seen.items()))}, {told}")


def ask(meta: dict[str, str], allowed: set[str]) -> None:
    """Through the whole product, as an API client; only those allowed may come in."""
    answer = Client(raise_request_exception=False).get("/api/v1/users/me", **meta)
    seen[str(answer.status_code)] += 1
    assert answer.status_code < 500
    if answer.status_code == 200 and answer.json()["id"] not in allowed:
        seen["somebody else"] += 1
        pytest.fail(f"{answer.json()['id']} came in with {meta}")


#: What a server can hand over: WSGI and ASGI read bytes as latin-1.
as_latin_1 = st.binary(max_size=300).map(lambda raw: raw.decode("latin-1"))
raw_values = st.one_of(
    as_latin_1,
    st.text(max_size=300),
    st.sampled_from(["", " ", ME, ME.upper(), "admin@example.com", f"{ME},admin@example.com", "mi\u212a@example.com"]),
    st.builds(lambda a, b: a + ME + b, st.text(max_size=3), st.text(max_size=3)),
)


@cache
def valid() -> str:
    """One genuine token for the whole run."""
    return mint(exp=claims()["iat"] + 86_400)


@settings(LONG, max_examples=EXAMPLES * 4 // 20)
@given(assertion=raw_values, email=raw_values, cookie=as_latin_1)
def test_headers_in_access_mode(assertion: str, email: str, cookie: str) -> None:
    ask({ASSERTION_KEY: assertion, EMAIL_KEY: email, "HTTP_COOKIE": f"CF_Authorization={cookie}"}, set())


@settings(LONG, max_examples=EXAMPLES * 2 // 20)
@given(email=raw_values)
def test_email_header_beside_a_valid_token(email: str) -> None:
    ask({ASSERTION_KEY: valid(), EMAIL_KEY: email}, {ME})


@settings(LONG, max_examples=EXAMPLES * 2 // 20)
@given(email=raw_values, secret=st.one_of(raw_values, st.just(SECRET)))
def test_headers_in_proxy_mode(email: str, secret: str) -> None:
    """With the secret, the address is believed as it is; without it, nobody is."""
    allowed = {email.lower()} if secret == SECRET else set()
    with override_settings(**PROXY):
        ask({EMAIL_KEY: email, "HTTP_X_MAJOROPS_PROXY_SECRET": secret}, allowed)


@settings(LONG, max_examples=EXAMPLES * 8 // 20)
@given(data=st.data())
def test_damaged_tokens(data: st.DataObject) -> None:
    """Any damage to the bytes that were signed, or to the signature: nobody comes in."""
    token = valid()
    damaged = data.draw(st.one_of(bit_flips(token), splices(token), swaps(token)))
    # Blanks around a value belong to HTTP.
    ask({ASSERTION_KEY: damaged}, {ME} if same_bytes(damaged.strip(" \t"), token) else set())


def same_bytes(left: str, right: str) -> bool:
    """The last letter of a base64url signature carries bits that mean nothing."""
    signed, _, signature = left.rpartition(".")
    return right.startswith(f"{signed}.") and decoded(signature) == decoded(right.rpartition(".")[2])


def decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return text.encode()


def bit_flips(token: str) -> st.SearchStrategy[str]:
    def flip(at: int, bit: int) -> str:
        return token[:at] + chr(ord(token[at]) ^ (1 << bit)) + token[at + 1 :]

    return st.builds(flip, st.integers(0, len(token) - 1), st.integers(0, 7))


def splices(token: str) -> st.SearchStrategy[str]:
    def splice(start: int, length: int, piece: str) -> str:
        return token[:start] + piece + token[start + length :]

    pieces = st.text(alphabet="AZaz09-_.=+/ ,\x00", max_size=6)
    return st.builds(splice, st.integers(0, len(token)), st.integers(0, 40), pieces)


def swaps(token: str) -> st.SearchStrategy[str]:
    """Segments of a genuine token of the administrator's other application, in any order and number."""
    other = mint(email="admin@example.com", sub="admin", aud=["theirs"])
    return st.lists(st.sampled_from(token.split(".") + other.split(".")), max_size=5).map(".".join)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("admin@example.com"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(LONG, max_examples=EXAMPLES * 3 // 20)
@given(
    name=st.sampled_from(["aud", "iss", "exp", "iat", "nbf", "type", "sub", "common_name", "custom"]), value=json_values
)
def test_signed_claims_of_any_kind(name: str, value: Any) -> None:
    """A genuine signature over nonsense: the person it names or nobody, and never a crash on the way to the row."""
    ask({ASSERTION_KEY: sign(claims(email=ME, **{name: value}))}, {ME})
    User.objects.filter(email=ME).update(issuer="", subject="")


@settings(LONG, max_examples=EXAMPLES // 20)
@given(header=st.binary(max_size=80), payload=st.binary(max_size=200))
def test_signed_bytes_of_any_kind(header: bytes, payload: bytes) -> None:
    request = RequestFactory().get("/", **{ASSERTION_KEY: sign(payload, header=header or b"{}")})
    seen["refused"] += 1
    with pytest.raises(DomainError) as refused:
        claim_of(request)
    assert refused.value.status in (400, 401)


def test_the_fuzz_would_notice(people: None) -> None:
    """The control: the undamaged token comes in."""
    request = RequestFactory().get("/", **{ASSERTION_KEY: valid()})
    request.session = Client().session
    identify(request)
    assert request.user == User.objects.get(email=ME)
