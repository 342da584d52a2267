"""The 90 negative identity cases of the design (reliability-security.md, 3.8), by their numbers.

Each case of the table is sent to a page, to the admin, to the API and to a live stream, by the way it would come in.
What is expected is one status for all four doors. A status of 500 or above, or an answer as anybody, fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from asgiref.sync import async_to_sync
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import AsyncClient, Client, override_settings
from django.utils import timezone

from accounts import tokens
from accounts.access import DEV_SESSION_KEY
from accounts.models import Integration, User
from accounts.roles import Role
from tests.factories import IncidentFactory, UserFactory
from tests.identity import (
    ASSERTION_KEY,
    AUDIENCE,
    EMAIL_KEY,
    KID,
    MISSING,
    TEAM,
    KeyServer,
    access_mode,
    body,
    claims,
    encoded,
    jwk,
    key_set,
    mint,
    of_program,
    private_key,
    segment,
    sign,
)
from tests.run import ROOT

pytestmark = pytest.mark.django_db

PAGE, ADMIN, API = "/incidents/", "/admin/", "/api/v1/users/me"
WATCHED = "01JD0000000000000000000000"
STREAM = f"/incidents/{WATCHED}/live"
DOORS = [PAGE, ADMIN, API, STREAM]
NAMES = ["page", "admin", "api", "stream"]
SECRET = "a-shared-secret-of-more-than-32-characters"
PROXY = {"MAJOROPS_AUTH_MODE": "proxy", "PROXY_SHARED_SECRET": SECRET, "PROXY_TRUSTED_CIDRS": ["10.0.0.0/8"]}
DEV = {"MAJOROPS_AUTH_MODE": "dev"}
SECRET_KEY = "HTTP_X_MAJOROPS_PROXY_SECRET"
MIM = "mim@example.com"


@pytest.fixture(autouse=True)
def people(db: None, tmp_path: Path) -> Iterator[None]:
    """An administrator whom every case would like to be, and a product that trusts Access."""
    UserFactory(email=MIM, role=Role.ADMIN)
    IncidentFactory(pk=WATCHED)
    with access_mode(tmp_path):
        yield


@dataclass(frozen=True)
class Case:
    number: int
    what: str
    status: int
    #: What the server hands to the application, made when the case runs.
    meta: Callable[[], dict[str, str]]
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.number} {self.what}"


def knock(door: str, **meta: Any) -> Any:
    """The answer at a door; a stream is asked for as a browser does."""
    accept = {"HTTP_ACCEPT": "text/event-stream"} if door == STREAM else {}
    return Client(raise_request_exception=False).get(door, **(accept | meta))


def sends(**meta: str) -> Callable[[], dict[str, str]]:
    return lambda: meta


def token(make: Callable[[], str]) -> Callable[[], dict[str, str]]:
    return lambda: {ASSERTION_KEY: make()}


def says(**changes: Any) -> Callable[[], dict[str, str]]:
    """A genuine assertion with these claims changed."""
    return token(lambda: mint(**changes))


def headed(**header: Any) -> Callable[[], dict[str, str]]:
    """A genuine signature under this header."""
    said = {"alg": "RS256", "kid": KID, "typ": "JWT", **header}
    return token(lambda: sign(claims(), header={name: value for name, value in said.items() if value is not MISSING}))


def in_seconds(**changes: int) -> Callable[[], dict[str, str]]:
    """Times of the assertion, from now."""

    def make() -> str:
        now = claims()["iat"]
        return mint(**{name: now + seconds for name, seconds in changes.items()})

    return token(make)


def proxied(**meta: str) -> Callable[[], dict[str, str]]:
    return sends(**{EMAIL_KEY: MIM, SECRET_KEY: SECRET, "REMOTE_ADDR": "10.1.2.3", **meta})


# --- Forgeries ---


def unsigned(alg: str) -> str:
    return f"{segment({'alg': alg, 'kid': KID})}.{segment(claims())}."


def hmac_signed(key: bytes) -> str:
    signed = f"{segment({'alg': 'HS256', 'kid': KID})}.{segment(claims())}"
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    return f"{signed}.{encoded(algorithm.sign(signed.encode(), key))}"


def public_pem() -> bytes:
    return private_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def other_algorithm(alg: str) -> str:
    key: Any = ec.generate_private_key(ec.SECP256R1()) if alg == "ES256" else private_key()
    return jwt.encode(claims(), key, algorithm=alg, headers={"kid": KID})


def with_pss_called_rs256() -> str:
    signed = f"{segment({'alg': 'RS256', 'kid': KID})}.{segment(claims())}"
    pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
    return f"{signed}.{encoded(private_key().sign(signed.encode(), pss, SHA256()))}"


def other_key_same_name() -> str:
    return sign(claims(), key="stranger", header={"alg": "RS256", "kid": KID})


def edited() -> str:
    header, _, signature = mint().split(".")
    return f"{header}.{segment(claims(email='someone@example.com'))}.{signature}"


def with_signature(change: Callable[[str], str]) -> Callable[[], dict[str, str]]:
    def make() -> str:
        signed, _, signature = mint().rpartition(".")
        return f"{signed}.{change(signature)}"

    return token(make)


def modulus() -> str:
    return encoded(private_key().public_key().public_numbers().n.to_bytes(256, "big"))


def twice_named() -> str:
    text = json.dumps(claims())
    return sign((text[:-1] + ', "email": "someone@example.com"}').encode())


def deep() -> str:
    return sign((json.dumps(claims())[:-1] + ', "deep": ' + "[" * 2000 + "]" * 2000 + "}").encode())


def of_kid(kid: object) -> Callable[[], dict[str, str]]:
    return headed(kid=kid)


ADDRESSES = {
    "a@b@c": "mim@example.com@example.com",
    "quoted": '"x y"@example.com',
    "trailing space": "mim@example.com ",
    "trailing newline": "mim@example.com\n",
    "trailing dot": "mim@example.com.",
    "IDN": "mim@exämple.com",
    "zero width": "m\u200bim@example.com",
    "fullwidth": "\uff4dim@example.com",
    "Cyrillic": "mim@ex\u0430mple.com",
    "Kelvin": "mi\u212a@example.com",
    "no domain": "mim",
}
OTHER_HEADERS = {
    "HTTP_X_FORWARDED_USER": MIM,
    "HTTP_X_FORWARDED_EMAIL": MIM,
    "HTTP_X_GOOG_AUTHENTICATED_USER_EMAIL": f"accounts.google.com:{MIM}",
    "HTTP_X_AMZN_OIDC_IDENTITY": MIM,
    "HTTP_TAILSCALE_USER_LOGIN": MIM,
    "HTTP_X_POMERIUM_CLAIM_EMAIL": MIM,
}
TRICKS = {"HTTP_X_ORIGINAL_URL": "/healthz", "HTTP_X_REWRITE_URL": "/healthz", "HTTP_X_FORWARDED_URI": "/healthz"}

HEADERS = [
    Case(1, "no headers", 401, sends()),
    Case(2, "only the e-mail header", 401, sends(**{EMAIL_KEY: MIM})),
    Case(3, "empty assertion", 401, sends(**{ASSERTION_KEY: ""})),
    Case(4, "whitespace assertion", 401, sends(**{ASSERTION_KEY: " \t "})),
    Case(5, "assertion as a cookie", 401, lambda: {"HTTP_COOKIE": f"CF_Authorization={mint()}"}),
    Case(6, "assertion in the query", 401, lambda: {"QUERY_STRING": f"Cf-Access-Jwt-Assertion={mint()}"}),
    Case(7, "assertion as bearer", 401, lambda: {"HTTP_AUTHORIZATION": f"Bearer {mint()}"}),
    Case(8, "dotted look-alike", 401, lambda: {"HTTP_CF.ACCESS.JWT.ASSERTION": mint()}),
    Case(8, "doubled underscore", 401, lambda: {"HTTP_CF__ACCESS_JWT_ASSERTION": mint()}),
    Case(9, "look-alike with a tail", 401, lambda: {f"{ASSERTION_KEY}_": mint(), f"{EMAIL_KEY}S": MIM}),
    Case(10, "two assertions", 400, lambda: {ASSERTION_KEY: f"{mint()},{mint(email='evil@example.com')}"}),
    Case(11, "two e-mail headers", 400, lambda: {ASSERTION_KEY: mint(), EMAIL_KEY: f"{MIM},evil@example.com"}),
    Case(11, "two e-mail headers, proxy", 400, proxied(**{EMAIL_KEY: f"{MIM},evil@example.com"}), PROXY),
    Case(12, "folded line", 400, lambda: {ASSERTION_KEY: f"{mint()}\r\n x"}),
    Case(13, "NUL", 400, lambda: {ASSERTION_KEY: f"{mint()}\x00"}),
    Case(13, "NUL in the e-mail, proxy", 400, proxied(**{EMAIL_KEY: f"{MIM}\x00"}), PROXY),
    Case(14, "bare CR", 400, lambda: {ASSERTION_KEY: f"{mint()}\rx"}),
    Case(15, "latin-1 byte", 400, lambda: {ASSERTION_KEY: f"{mint()}\xe9"}),
    Case(15, "latin-1 byte in the e-mail", 400, lambda: {ASSERTION_KEY: mint(), EMAIL_KEY: "m\xecm@example.com"}),
    Case(16, "Kelvin sign", 400, lambda: {ASSERTION_KEY: mint(), EMAIL_KEY: "mi\u212a@example.com"}),
    Case(16, "Kelvin sign as bytes, proxy", 400, proxied(**{EMAIL_KEY: "mi\xe2\x84\xaa@example.com"}), PROXY),
    Case(17, "9 KiB", 400, says(padding="x" * 9000)),
    Case(18, "e-mail header of another", 403, lambda: {ASSERTION_KEY: mint(), EMAIL_KEY: "other@example.com"}),
    Case(18, "e-mail header beside a program", 403, lambda: {ASSERTION_KEY: of_program(), EMAIL_KEY: MIM}),
    Case(19, "Remote-User", 401, sends(HTTP_REMOTE_USER=MIM)),
    *(Case(20, name, 401, sends(**{name: value})) for name, value in OTHER_HEADERS.items()),
    Case(21, "proxy without its secret", 401, sends(**{EMAIL_KEY: MIM, "REMOTE_ADDR": "10.1.2.3"}), PROXY),
    Case(22, "wrong secret", 401, proxied(**{SECRET_KEY: SECRET[:-1]}), PROXY),
    Case(22, "two secrets", 401, proxied(**{SECRET_KEY: f"{SECRET},{SECRET}"}), PROXY),
    Case(23, "peer outside", 401, proxied(REMOTE_ADDR="192.0.2.7"), PROXY),
    Case(23, "no peer, unix socket not declared", 401, proxied(REMOTE_ADDR=""), PROXY),
    Case(24, "forwarded for loopback", 401, proxied(REMOTE_ADDR="192.0.2.7", HTTP_X_FORWARDED_FOR="127.0.0.1"), PROXY),
    Case(24, "forwarded for the proxy", 401, proxied(REMOTE_ADDR="192.0.2.7", HTTP_X_FORWARDED_FOR="10.1.2.3"), PROXY),
    *(
        Case(25, f"Host {host} from outside", 403, sends(HTTP_HOST=host, REMOTE_ADDR="192.0.2.7"), DEV)
        for host in ("localhost", "127.0.0.1", "[::1]")
    ),
    *(
        Case(25, f"Host {host}", 400, sends(HTTP_HOST=host), {**DEV, "ALLOWED_HOSTS": ["localhost"], "DEBUG": False})
        for host in ("majorops.dev", "192.0.2.7")
    ),
    Case(26, "a health checker", 401, sends(HTTP_USER_AGENT="GoogleHC/1.0")),
    Case(26, "another health checker", 401, sends(HTTP_USER_AGENT="kube-probe/1.29")),
    *(Case(27, name, 401, sends(**{name: path})) for name, path in TRICKS.items()),
]

TOKENS = [
    Case(30, "alg none", 401, token(lambda: unsigned("none"))),
    Case(30, "alg none, signed", 401, headed(alg="none")),
    Case(31, "alg NoNe", 401, headed(alg="NoNe")),
    Case(32, "HS256 with the public PEM", 401, token(lambda: hmac_signed(public_pem()))),
    Case(33, "HS256 with the JWK", 401, token(lambda: hmac_signed(json.dumps(jwk()).encode()))),
    *(
        Case(34, alg, 401, token(lambda alg=alg: other_algorithm(alg)))  # type: ignore[misc]
        for alg in ("RS384", "RS512", "PS256", "ES256")
    ),
    Case(34, "PSS called RS256", 401, token(with_pss_called_rs256)),
    Case(35, "other key, same name", 401, token(other_key_same_name)),
    Case(36, "unknown kid", 401, token(lambda: mint(key="stranger"))),
    Case(37, "no kid", 401, headed(kid=MISSING)),
    Case(38, "kid is a path", 401, of_kid("../../x")),
    Case(38, "kid is SQL", 401, of_kid("' OR 1=1 --")),
    Case(38, "kid of 10 KB", 400, of_kid("k" * 10_000)),
    Case(38, "kid of 129", 401, of_kid("k" * 129)),
    Case(38, "kid is a list", 401, of_kid([KID])),
    Case(38, "kid with a newline", 401, of_kid(f"{KID}\n")),
    Case(40, "crit", 401, headed(crit=["exp"], exp=1)),
    Case(40, "crit, empty", 401, headed(crit=[])),
    Case(41, "b64 false", 401, headed(b64=False)),
    Case(41, "b64 false and crit", 401, headed(b64=False, crit=["b64"])),
    Case(42, "payload edited", 401, token(edited)),
    Case(43, "signature cut", 401, with_signature(lambda signature: signature[:-2])),
    Case(43, "signature empty", 401, with_signature(lambda _: "")),
    Case(43, "signature zero", 401, with_signature(lambda _: encoded(bytes(256)))),
    Case(43, "signature is n", 401, with_signature(lambda _: modulus())),
    Case(44, "four segments", 401, token(lambda: f"{mint()}.x")),
    Case(44, "two segments", 401, token(lambda: mint().rpartition(".")[0])),
    Case(45, "padding", 401, token(lambda: f"{mint()}==")),
    Case(45, "other alphabet", 401, with_signature(lambda signature: signature[:-4] + "+/+/")),
    Case(46, "e-mail twice", 401, token(twice_named)),
    Case(46, "kid twice", 401, token(lambda: sign(claims(), header=b'{"alg":"RS256","kid":"x","kid":"key-1"}'))),
    Case(47, "deep payload", 401, token(deep)),
    Case(47, "payload is a list", 401, token(lambda: sign(b"[]"))),
    Case(47, "payload is not UTF-8", 401, token(lambda: sign(b'{"email": "\xff"}'))),
    Case(47, "a number of 5000 digits", 401, token(lambda: sign(b'{"exp": ' + b"9" * 5000 + b"}"))),
    Case(48, "aud missing", 401, says(aud=MISSING)),
    Case(49, "aud of another application", 401, says(aud=["theirs-" + "f0" * 20])),
    Case(50, "aud empty", 401, says(aud=[])),
    *(
        Case(51, what, 401, says(aud=audience))
        for what, audience in {
            "aud prefix": AUDIENCE[:-1],
            "aud with a suffix": [AUDIENCE + "0"],
            "aud in upper case": AUDIENCE.upper(),
            "aud as a key": {AUDIENCE: True},
            "aud with a number": [AUDIENCE, 7],
        }.items()
    ),
    Case(52, "iss missing", 401, says(iss=MISSING)),
    Case(53, "iss of another team", 401, says(iss="https://evil.cloudflareaccess.com")),
    *(
        Case(54, f"iss {issuer}", 401, says(iss=issuer))
        for issuer in (f"{TEAM}/", TEAM.replace("https", "http"), TEAM.upper(), f"{TEAM}.evil.example")
    ),
    Case(54, "iss is a list", 401, says(iss=[TEAM])),
    Case(55, "exp missing", 401, says(exp=MISSING)),
    Case(56, "exp 31 s ago", 401, in_seconds(exp=-31, iat=-100, nbf=-100)),
    *(
        Case(57, f"exp {value!r}", 401, says(exp=value))
        for value in ("9999999999", 1e400, 10**15, -1, True, None, 1.5, [1])
    ),
    Case(57, "exp too large for a float", 401, says(exp=10**400)),
    Case(58, "nbf 31 s ahead", 401, in_seconds(nbf=33)),
    Case(58, "nbf is a text", 401, says(nbf="now")),
    Case(59, "iat 31 s ahead", 401, in_seconds(iat=33)),
    Case(59, "iat missing", 401, says(iat=MISSING)),
    Case(60, "lives too long", 401, in_seconds(exp=31 * 86_400)),
    Case(61, "token of the team", 401, says(type="org")),
    Case(61, "type missing", 401, says(type=MISSING)),
    Case(62, "nobody", 401, says(email=MISSING)),
    Case(63, "person and program", 401, says(common_name="ci.access")),
    Case(63, "person and program without subject", 401, says(common_name="ci.access", sub="")),
    *(Case(64, f"e-mail {value!r}", 401, says(email=value)) for value in ("", [MIM], {MIM: 1}, None, True, 7)),
    *(Case(65, f"e-mail {what}", 400, says(email=address)) for what, address in ADDRESSES.items()),
    *(
        Case(66, f"domain of {address}", 403, says(email=address), {"ALLOWED_EMAIL_DOMAINS": ["example.com"]})
        for address in ("admin@example.com.evil.io", "admin@evil-example.com", "admin@sub.example.com")
    ),
    Case(87, "a clock an hour behind", 401, in_seconds(iat=3600, nbf=3600, exp=7200)),
]


@pytest.mark.parametrize("door", DOORS, ids=NAMES)
@pytest.mark.parametrize("case", HEADERS + TOKENS, ids=str)
def test_case(case: Case, door: str) -> None:
    with override_settings(**case.settings):
        answer = knock(door, **case.meta())
    assert answer.status_code == case.status


@pytest.mark.parametrize("door", DOORS, ids=NAMES)
def test_the_same_doors_open_to_a_good_assertion(door: str) -> None:
    assert knock(door, **{ASSERTION_KEY: mint(), EMAIL_KEY: "MIM@example.com"}).status_code == 200


@pytest.mark.parametrize("door", DOORS, ids=NAMES)
def test_the_same_doors_open_to_the_proxy(door: str) -> None:
    with override_settings(**PROXY):
        assert knock(door, **proxied()()).status_code == 200


# --- 8, 9: underscores, as an ASGI server passes them ---


@async_to_sync
async def ask_asgi(path: str, name: bytes, value: bytes) -> int:
    client = AsyncClient(raise_request_exception=False)
    scope = {"method": "GET", "path": path, "query_string": "", "headers": [(b"host", b"testserver"), (name, value)]}
    return (await client.request(**scope)).status_code


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", [b"cf_access_jwt_assertion", b"cf-access_jwt-assertion"])
def test_8_9_an_underscore_is_no_dash(name: bytes, door: str) -> None:
    assert ask_asgi(door, name, mint().encode()) == 401


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", [b"remote-user", b"remote_user", b"http-remote-user"])
def test_19_remote_user_is_nobody_under_asgi_too(name: bytes, door: str) -> None:
    assert ask_asgi(door, name, MIM.encode()) == 401


# --- 28, 29: paths and methods ---

TRICKY_PATHS = [
    "/healthz/../admin/",
    "//admin/",
    "/admin;/healthz",
    "/admin/%2e%2e/healthz",
    "/healthz/%2e%2e/admin/",
    "/healthz%23/../admin/",
    "/healthz%00",
    "/healthz/",
    "/./incidents/",
    "/incidents//",
    "/%69ncidents/",
]


@pytest.mark.parametrize("path", TRICKY_PATHS)
def test_28_no_spelling_of_a_path_opens_a_door(path: str) -> None:
    answer = Client(raise_request_exception=False).get(path)
    assert answer.status_code in (301, 401, 404)
    assert b"Incidents" not in answer.content


@pytest.mark.parametrize("name", ["HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_HTTP_METHOD", "HTTP_X_METHOD_OVERRIDE"])
def test_29_a_method_cannot_be_overridden(name: str) -> None:
    signed = {ASSERTION_KEY: mint(), name: "GET"}
    assert Client(enforce_csrf_checks=True).post(PAGE, **signed).status_code in (403, 405)
    assert Client().post(API, **signed).status_code == 405
    assert Client().get(API, **{**signed, name: "DELETE"}).status_code == 200


# --- 39: keys elsewhere ---


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
def test_39_keys_that_the_token_points_at_are_never_fetched(name: str, key_server: KeyServer) -> None:
    key_server.answer = body(key_set(jwk("stranger", kid=KID)))
    value: Any = jwk("stranger") if name == "jwk" else [key_server.url] if name == "x5c" else key_server.url
    forged = sign(claims(), key="stranger", header={"alg": "RS256", "kid": KID, name: value})
    for door in DOORS:
        assert knock(door, **{ASSERTION_KEY: forged}).status_code == 401
    assert key_server.hits == []


# --- 67 to 70: who is who ---


def get(door: str = API, **meta: Any) -> Any:
    return knock(door, **meta)


def signed_in(door: str = API, **changes: Any) -> Any:
    return get(door, **{ASSERTION_KEY: mint(**changes)})


def test_67_the_case_of_an_address_makes_no_second_person() -> None:
    assert signed_in(email="MIM@Example.com").json()["id"] == MIM
    assert User.objects.count() == 1


@pytest.mark.parametrize("door", DOORS)
def test_68_a_tag_makes_another_person(door: str) -> None:
    assert signed_in(door, email="mim+tag@example.com").status_code == 403


@pytest.mark.parametrize("door", DOORS)
def test_69_a_new_subject_is_not_the_person_of_this_address(door: str) -> None:
    assert signed_in().status_code == 200
    assert signed_in(door, sub="somebody-else").status_code == 403


@pytest.mark.parametrize("door", DOORS)
def test_70_a_changed_address_renames_unless_it_is_taken(door: str) -> None:
    UserFactory(email="taken@example.com")
    assert signed_in().status_code == 200
    assert signed_in(door, email="taken@example.com").status_code == 403
    assert signed_in(door, email="new@example.com").status_code == 200
    assert User.objects.get(email="new@example.com").subject == "subject-of-mim"


# --- 71 to 84: sessions, roles, tokens ---


def browser(**changes: Any) -> Client:
    """Signed in, with a session of its own."""
    client = Client(raise_request_exception=False, **{ASSERTION_KEY: mint(**changes)})
    assert client.get(PAGE).status_code == 200
    session = client.session
    session["remembered"] = "yes"
    session.save()
    client.cookies["sessionid"] = session.session_key
    return client


@pytest.mark.parametrize("door", DOORS)
def test_71_a_session_is_no_identity(door: str) -> None:
    client = browser()
    session = client.session
    session[DEV_SESSION_KEY] = MIM
    session.save()
    client.defaults = {}
    assert client.get(door).status_code == 401


def test_72_the_token_decides_not_the_session() -> None:
    UserFactory(email="reader@example.com", role=Role.STAKEHOLDER)
    client = browser()
    reader = {ASSERTION_KEY: mint(email="reader@example.com", sub="reader")}
    assert client.get(API, **reader).json()["role"] == "stakeholder"
    assert client.get(ADMIN, **reader).status_code in (302, 403)
    assert client.get("/api/v1/users", **reader).status_code == 403


def test_73_a_planted_session_is_not_taken_over() -> None:
    planted = browser(email=MIM)
    key = planted.session.session_key
    planted.get(PAGE)
    assert planted.session.session_key != key or "remembered" not in planted.session


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("number", "change"), [(74, {"is_active": False}), (75, {"role": ""})])
def test_74_75_switched_off_or_without_a_role(number: int, change: dict[str, Any], door: str) -> None:
    client = browser()
    User.objects.update(**change)
    assert client.get(door).status_code == 403


def test_76_a_demoted_administrator_cannot_send_the_open_form() -> None:
    UserFactory(role=Role.ADMIN)
    form = f"/admin/accounts/user/{UserFactory(email='x@example.com').pk}/change/"
    client = browser()
    assert client.get(form).status_code == 200
    User.objects.filter(email=MIM).update(role=Role.STAKEHOLDER)
    assert client.post(form, {"email": "x@example.com", "role": "admin"}).status_code in (302, 403)
    assert User.objects.get(email="x@example.com").role == Role.STAKEHOLDER


def test_77_nobody_changes_their_own_role() -> None:
    me = User.objects.get(email=MIM)
    User.objects.filter(pk=me.pk).update(role=Role.MIM)
    client = browser()
    told = {"role": "admin", "email": MIM, "is_active": "on"}
    assert client.post(f"/admin/accounts/user/{me.pk}/change/", told).status_code in (302, 403)
    for method in (client.patch, client.put, client.post):
        assert method("/api/v1/users/me", told, content_type="application/json").status_code in (403, 405)
    me.refresh_from_db()
    assert me.role == Role.MIM


def test_78_nobody_makes_themselves_staff() -> None:
    UserFactory(role=Role.ADMIN)
    other = UserFactory(email="x@example.com", role=Role.STAKEHOLDER)
    raised = {"is_staff": "1", "is_superuser": "1"}
    form = {"email": other.email, "display_name": "X", "role": "stakeholder", "is_active": "on", **raised}
    client = browser()
    assert client.post(f"/admin/accounts/user/{other.pk}/change/", form).status_code in (200, 302)
    assert client.patch("/api/v1/users/me", raised, content_type="application/json").status_code in (403, 405)
    other.refresh_from_db()
    assert (other.is_staff, other.is_superuser, other.role) == (False, False, Role.STAKEHOLDER)


@pytest.fixture
def program() -> Integration:
    return Integration.objects.create(name="CI", scopes=["incidents:read"], access_client_id="ci.access")


def bearer(integration: Integration, days: int = 30, **shift: int) -> dict[str, str]:
    now = timezone.now() - timedelta(**shift)
    text = tokens.mint(integration, by=None, expires_at=now + timedelta(days=days), now=now)[1]
    return {"HTTP_AUTHORIZATION": f"Bearer {text}"}


@pytest.mark.parametrize("door", [PAGE, ADMIN])
def test_79_a_program_does_not_reach_pages_or_admin(door: str, program: Integration) -> None:
    assert get(door, **{ASSERTION_KEY: of_program("ci.access")}).status_code == 403
    assert get(door, **bearer(program)).status_code == 403


@pytest.mark.parametrize("door", DOORS)
def test_79_a_program_that_nobody_registered(door: str, program: Integration) -> None:
    assert get(door, **{ASSERTION_KEY: of_program("other.access")}).status_code == 403
    Integration.objects.update(is_active=False)
    assert get(door, **{ASSERTION_KEY: of_program("ci.access")}).status_code == 403


def test_80_a_program_without_the_scope(program: Integration) -> None:
    signed = bearer(program)
    assert get("/api/v1/incidents", **signed).status_code == 200
    assert get("/api/v1/users", **signed).status_code == 403
    assert Client().post("/api/v1/incidents", {}, content_type="application/json", **signed).status_code == 403


@pytest.mark.parametrize("door", DOORS)
def test_81_secrets_that_no_longer_count(door: str, program: Integration) -> None:
    expired = bearer(program, days=1, hours=25)
    assert get(door, **expired).status_code == 401
    revoked = bearer(program)
    program.tokens.update(revoked_at=timezone.now())
    assert get(door, **revoked).status_code == 401


def test_81_a_secret_that_was_rotated_out(program: Integration) -> None:
    first = bearer(program)
    now = timezone.now()
    for seconds in (1, 2):
        at = now + timedelta(seconds=seconds)
        tokens.rotate(program, by=None, expires_at=at + timedelta(days=1), now=at)
    assert get("/api/v1/incidents", **first).status_code == 401


def test_82_a_wrong_secret_and_an_unknown_token_answer_alike(program: Integration) -> None:
    right = bearer(program)["HTTP_AUTHORIZATION"]
    identifier = right.split("_")[1]
    told = []
    for text in (right[:-2] + ("AA" if right[-2:] != "AA" else "BB"), right.replace(identifier, "0" * 12)):
        answer = get("/api/v1/incidents", HTTP_AUTHORIZATION=text)
        told.append((answer.status_code, {**answer.json(), "requestId": ""}))
    assert told[0] == told[1]
    assert told[0][0] == 401


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null"])
@pytest.mark.parametrize("door", ["/incidents/new", "/admin/accounts/user/add/", "/api/v1/incidents"])
def test_83_a_write_needs_intent(door: str, origin: str | None) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False, **{ASSERTION_KEY: mint()})
    client.cookies["csrftoken"] = "x" * 32
    from_there = {"HTTP_ORIGIN": origin} if origin else {}
    assert client.post(door, {"title": "x", "severity": "low"}, **from_there).status_code == 403


@pytest.mark.parametrize("door", DOORS)
def test_84_a_new_address_does_not_revive_an_account(door: str) -> None:
    assert signed_in().status_code == 200
    User.objects.update(is_active=False)
    with override_settings(AUTO_PROVISION="stakeholder"):
        assert signed_in(door, email="fresh@example.com").status_code == 403
    assert User.objects.count() == 1


# --- 85, 86: keys ---


@pytest.mark.parametrize("door", DOORS)
def test_85_without_keys_the_answer_is_to_come_back_later(door: str, tmp_path: Path) -> None:
    """The answers that give no keys are in test_jwks.py. Whatever they were, the header is not believed instead."""
    with override_settings(ACCESS_JWKS_FILE=str(tmp_path / "missing.json")):
        answer = get(door, **{ASSERTION_KEY: mint(), EMAIL_KEY: MIM})
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")


@pytest.mark.parametrize("door", DOORS)
def test_86_a_key_that_left_the_set_signs_nobody_in(door: str, tmp_path: Path) -> None:
    token = mint()
    assert get(door, **{ASSERTION_KEY: token}).status_code == 200
    with access_mode(tmp_path, jwk("a-new-key")):
        assert get(door, **{ASSERTION_KEY: token}).status_code == 401
        assert get(door, **{ASSERTION_KEY: mint(key="a-new-key")}).status_code == 200


def test_87_a_clock_that_is_behind_is_hinted_at_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    now = claims()["iat"]
    answer = signed_in(iat=now + 3600, exp=now + 7200)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert "is the clock of this machine behind?" in caplog.text
    assert "clock" not in answer.content.decode()


# --- 88 to 90: development mode ---


@pytest.mark.parametrize(("number", "changes"), [(88, {"DEBUG": "0"}), (89, {"ALLOWED_HOSTS": "*"})])
def test_88_89_development_mode_does_not_start_for_others(number: int, changes: dict[str, str]) -> None:
    environment = {"DEBUG": "1", "MAJOROPS_AUTH_MODE": "dev", "SECRET_KEY": "k" * 60, **changes}
    command = [sys.executable, "-c", "import majorops.settings"]
    assert subprocess.run(command, env=environment, cwd=ROOT, check=False, capture_output=True).returncode == 78


@override_settings(**DEV)
def test_90_nobody_picks_who_they_are_from_elsewhere() -> None:
    stranger = Client(REMOTE_ADDR="192.0.2.7")
    assert stranger.post("/who", {"email": MIM}).status_code == 403
    assert stranger.get(PAGE).status_code == 403


# --- The table is whole ---


def test_every_number_is_there() -> None:
    """1 to 90: in the table, or in the name of a test."""
    in_table = {case.number for case in HEADERS + TOKENS}
    named = {int(part) for name in globals() if name.startswith("test_") for part in name.split("_") if part.isdigit()}
    assert in_table | named == set(range(1, 91))
