"""Who gets in: page, API and admin, sync and async, in all modes. The negative cases are in test_identity_cases.py."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient, Client, RequestFactory, override_settings
from typer.testing import CliRunner

from accounts import access, jwks
from accounts.access import Claim, claim_of
from accounts.access_cli import DebugOnly, NoLocalKey, app
from accounts.assertion import fingerprint
from accounts.models import User
from tests.factories import UserFactory
from tests.identity import ASSERTION, AUDIENCE, TEAM, access_mode, key_set, mint, of_program
from tests.rawsocket import uvicorn

pytestmark = pytest.mark.django_db

HEADER = "Cf-Access-Authenticated-User-Email"
SECRET = "a-shared-secret-of-more-than-32-characters"
PROXY = override_settings(MAJOROPS_AUTH_MODE="proxy", PROXY_SHARED_SECRET=SECRET, PROXY_TRUSTED_CIDRS=["10.0.0.0/8"])
DOORS = ["/kpis", "/api/v1/incidents", "/incidents/", "/admin/"]


def knock(path: str = "/api/v1/users/me", *, peer: str = "127.0.0.1", **headers: str) -> tuple[int, str]:
    """Status and problem code (empty for pages)."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    response = Client(headers=names).get(path, REMOTE_ADDR=peer)
    is_json = "json" in response["Content-Type"]
    return response.status_code, response.json().get("code", "") if is_json else ""


# --- nobody ---


@pytest.mark.parametrize("path", DOORS)
def test_without_identity_every_door_is_shut(path: str) -> None:
    assert knock(path) == (401, "not_signed_in")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_open(path: str) -> None:
    assert knock(path)[0] == 200


def test_in_dev_a_browser_is_asked_who_it_is() -> None:
    response = Client(headers={"Accept": "text/html"}).get("/incidents/?status=active")
    assert (response.status_code, response["Location"]) == (302, "/who?next=%2Fincidents%2F%3Fstatus%3Dactive")


@PROXY
def test_in_production_a_browser_gets_a_plain_refusal() -> None:
    response = Client(headers={"Accept": "text/html"}).get("/incidents/")
    assert response.status_code == 401
    assert "WWW-Authenticate" in response


# --- dev ---


@pytest.mark.parametrize("address", ["mim@example.com", "MIM@EXAMPLE.COM"])
def test_the_header_signs_in(mim: User, address: str) -> None:
    assert knock(**{HEADER: address})[0] == 200
    mim.refresh_from_db()
    assert mim.last_seen_at is not None


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("nobody@example.com", (403, "unknown_person")),
        ("gone@example.com", (403, "account_disabled")),
        ("new@example.com", (403, "no_role")),
        ("mim@example.com, admin@example.com", (400, "malformed_identity")),
        ("mi\u212ae@example.com", (400, "malformed_identity")),
        ("", (400, "malformed_identity")),
        ("x" * 9000, (400, "malformed_identity")),
    ],
)
def test_who_is_not_let_in_and_why(mim: User, address: str, verdict: tuple[int, str]) -> None:
    UserFactory(email="gone@example.com", role="admin", is_active=False)
    UserFactory(email="new@example.com", role="")
    assert knock(**{HEADER: address}) == verdict
    assert User.objects.count() == 3


@pytest.mark.parametrize("peer", ["192.0.2.7", "10.0.0.1", "::ffff:192.0.2.7", "not-an-address", ""])
def test_dev_answers_this_machine_only(mim: User, peer: str) -> None:
    assert knock(peer=peer, **{HEADER: mim.email}) == (403, "identity_refused")


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_dev_knows_the_names_of_this_machine(mim: User, peer: str) -> None:
    assert knock(peer=peer, **{HEADER: mim.email})[0] == 200


@pytest.mark.parametrize("trace", ["Cf-Connecting-Ip", "Cf-Ray", "X-Forwarded-For", "Forwarded"])
def test_dev_refuses_what_came_through_a_proxy(mim: User, trace: str) -> None:
    assert knock(**{HEADER: mim.email, trace: "127.0.0.1"}) == (403, "identity_refused")


@pytest.mark.parametrize(
    "header", ["Remote-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Goog-Authenticated-User-Email"]
)
def test_other_headers_are_not_identity(mim: User, header: str) -> None:
    assert knock(**{header: mim.email}) == (401, "not_signed_in")


def test_picking_a_person_signs_in_and_starts_a_new_session(mim: User) -> None:
    browser = Client(headers={"Accept": "text/html"})
    browser.get("/who")
    answer = browser.post("/who", {"email": mim.email, "next": "/incidents/"})
    assert (answer.status_code, answer["Location"]) == (302, "/incidents/")
    assert browser.get("/incidents/").status_code == 200


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil.example"]
)
def test_picking_a_person_never_leads_off_the_site(mim: User, target: str) -> None:
    answer = Client().post("/who", {"email": mim.email, "next": target})
    assert answer["Location"] == "/"


@PROXY
def test_there_is_no_picking_outside_dev() -> None:
    assert Client().get("/who").status_code == 404


def test_a_session_is_not_identity_once_the_person_is_switched_off(mim: User) -> None:
    browser = Client()
    browser.post("/who", {"email": mim.email})
    User.objects.update(is_active=False)
    assert browser.get("/api/v1/users/me").status_code == 403


# --- proxy ---


@PROXY
@pytest.mark.parametrize(
    ("peer", "secret", "verdict"),
    [
        ("10.1.2.3", SECRET, (200, "")),
        ("10.1.2.3", None, (401, "not_proven")),
        ("10.1.2.3", SECRET[:-1] + "x", (401, "not_proven")),
        ("192.0.2.7", SECRET, (401, "not_proven")),
        ("127.0.0.1", SECRET, (401, "not_proven")),
        ("", SECRET, (401, "not_proven")),
    ],
)
def test_the_proxy_header_needs_both_proofs(mim: User, peer: str, secret: str | None, verdict: tuple[int, str]) -> None:
    proof = {} if secret is None else {"X-MajorOps-Proxy-Secret": secret}
    assert knock(peer=peer, **{HEADER: mim.email}, **proof) == verdict


@PROXY
def test_a_secret_with_odd_bytes_is_refused_not_a_crash(mim: User) -> None:
    odd = {"X-MajorOps-Proxy-Secret": "\xe9" * 40}
    assert knock(peer="10.1.2.3", **{HEADER: mim.email}, **odd) == (401, "not_proven")


@override_settings(MAJOROPS_AUTH_MODE="proxy", PROXY_SHARED_SECRET=SECRET, PROXY_TRUSTED_CIDRS=[])
@pytest.mark.parametrize(
    ("peer", "declared", "status"),
    [("", True, 200), ("unix:", True, 200), ("", False, 401), ("unix:", False, 401), ("127.0.0.1", True, 401)],
)
def test_a_peer_on_the_unix_socket_is_the_proxy(mim: User, peer: str, declared: bool, status: int) -> None:
    proof = {HEADER: mim.email, "X-MajorOps-Proxy-Secret": SECRET}
    with override_settings(PROXY_UNIX_SOCKET=declared):
        assert knock(peer=peer, **proof)[0] == status
        assert knock(peer=peer, **{HEADER: mim.email}) == (401, "not_proven")


# --- access ---


def claimed(**headers: str) -> Claim | None:
    return claim_of(RequestFactory().get("/", headers=headers))


@pytest.mark.usefixtures("behind_access")
def test_the_claim_says_all_that_was_proven() -> None:
    token = mint(email="MIM@example.com", custom={"groups": ["sre"]})
    claim = claimed(**{ASSERTION: token, HEADER: "Mim@Example.com"})
    assert claim is not None
    assert (claim.email, claim.common_name, claim.issuer, claim.subject) == (
        "mim@example.com",
        "",
        TEAM,
        "subject-of-mim",
    )
    assert (claim.groups, claim.is_ambient, claim.expires_at is not None) == (("sre",), True, True)
    assert claim.fingerprint == hashlib.sha256(token.encode()).hexdigest()[:12]


@pytest.mark.usefixtures("behind_access")
def test_the_claim_of_a_program_has_no_address() -> None:
    claim = claimed(**{ASSERTION: of_program("ci.access")})
    assert claim is not None
    assert (claim.email, claim.common_name, claim.subject) == ("", "ci.access", "")


@pytest.mark.usefixtures("behind_access")
def test_the_refusals_of_access_mode_have_their_codes(mim: User) -> None:
    assert knock() == (401, "not_signed_in")
    assert knock(**{HEADER: mim.email}) == (401, "not_signed_in")
    assert knock(**{ASSERTION: mint(aud="other")}) == (401, "invalid_token")
    assert knock(**{ASSERTION: mint(), HEADER: "other@example.com"}) == (403, "identity_mismatch")
    assert knock(**{ASSERTION: f"{mint()}, x"}) == (400, "malformed_identity")
    with override_settings(ACCESS_JWKS_FILE="/nowhere/jwks.json"):
        assert knock(**{ASSERTION: mint(), HEADER: mim.email}) == (503, "keys_unavailable")


@pytest.mark.usefixtures("behind_access")
@override_settings(ALLOWED_EMAIL_DOMAINS=["example.com"])
def test_only_the_named_domains_come_in(mim: User) -> None:
    assert knock(**{ASSERTION: mint()}) == (200, "")
    assert knock(**{ASSERTION: mint(email="mim@example.com.evil.io")}) == (403, "domain_not_allowed")
    assert claimed(**{ASSERTION: of_program()}) is not None


@pytest.mark.usefixtures("behind_access")
def test_the_log_names_the_token_and_the_reason_not_the_token_itself(caplog: pytest.LogCaptureFixture) -> None:
    token = mint(type="org")
    knock(**{ASSERTION: token})
    assert f"Sign-in token {fingerprint(token)} refused: type is 'org', not app" in caplog.text
    assert token not in caplog.text


@pytest.mark.usefixtures("behind_access")
def test_look_alike_headers_are_no_identity_and_are_named() -> None:
    request = RequestFactory().get("/", **{"HTTP_CF.ACCESS.JWT.ASSERTION": mint(), access.ASSERTION_KEY: ""})
    assert claim_of(request) is None
    assert access.look_alikes(request) == ["HTTP_CF.ACCESS.JWT.ASSERTION"]


@pytest.mark.usefixtures("behind_access")
def test_keys_are_fetched_from_the_team_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(jwks, "fetch", lambda url: (asked.append(url), key_set())[1])
    jwks.keyring.cache_clear()
    with override_settings(ACCESS_JWKS_FILE=""):
        assert claimed(**{ASSERTION: mint()})
        assert claimed(**{ASSERTION: mint()})
    jwks.keyring.cache_clear()
    assert asked == [f"{TEAM}/cdn-cgi/access/certs"]


def test_the_header_of_a_server_in_bytes(tmp_path: Path) -> None:
    """A short form of tests/drills/test_raw_sockets.py: uvicorn as the README starts it."""
    (tmp_path / "jwks.json").write_bytes(key_set())
    told = {"ACCESS_TEAM_DOMAIN": TEAM, "ACCESS_AUD": AUDIENCE, "ACCESS_JWKS_FILE": str(tmp_path / "jwks.json")}
    token = mint().encode()
    with uvicorn(tmp_path, MAJOROPS_AUTH_MODE="access", **told) as server:
        assert server.ask(b"Cf-Access-Jwt-Assertion: " + token)[0] == 200
        assert server.ask(b"Cf_Access_Jwt_Assertion: " + token)[0] == 401
        assert server.ask(b"Cf-Access-Authenticated-User-Email: mim@example.com")[0] == 401
        assert server.ask(*[b"Cf-Access-Jwt-Assertion: " + token] * 2)[0] == 400
        assert server.ask(b"Cf-Access-Jwt-Assertion: " + token + b"\x00")[0] in (0, 400)


# --- mim access ---


@pytest.fixture
def cli() -> Callable[..., Any]:
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@override_settings(DEBUG=True)
def test_a_laptop_is_its_own_access(mim: User, tmp_path: Path, cli: Callable[..., Any]) -> None:
    made = cli("keys", tmp_path / "keys")
    file = tmp_path / "keys" / "jwks.json"
    assert made.stdout == f"ACCESS_JWKS_FILE={file}\n"
    assert (tmp_path / "keys" / "access-key.pem").stat().st_mode & 0o777 == 0o600
    with access_mode(tmp_path, ACCESS_JWKS_FILE=str(file)):
        token = cli("mint", mim.email, "--minutes", 5).stdout.strip()
        assert knock(**{ASSERTION: token})[0] == 200
        assert cli("keys", tmp_path / "keys").exit_code == 0
        assert knock(**{ASSERTION: token})[0] == 200


@override_settings(DEBUG=True)
def test_a_token_goes_to_a_file_of_its_own(tmp_path: Path, cli: Callable[..., Any]) -> None:
    cli("keys", tmp_path)
    with access_mode(tmp_path / "..", ACCESS_JWKS_FILE=str(tmp_path / "jwks.json")):
        assert cli("mint", "a@example.com", "--sub", "s-1", "--out", tmp_path / "token").stdout == ""
        claim = claimed(**{ASSERTION: (tmp_path / "token").read_text()})
    assert claim is not None
    assert (claim.email, claim.subject) == ("a@example.com", "s-1")
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


def test_local_tokens_are_for_debug_only(tmp_path: Path, cli: Callable[..., Any]) -> None:
    with override_settings(DEBUG=False):
        for arguments in (("keys", tmp_path), ("mint", "a@example.com")):
            assert isinstance(cli(*arguments).exception, DebugOnly)
    assert list(tmp_path.iterdir()) == []


@override_settings(DEBUG=True, ACCESS_TEAM_DOMAIN=TEAM, ACCESS_AUD=["x"], ACCESS_JWKS_FILE="")
def test_a_token_without_a_key_says_how_to_make_one(cli: Callable[..., Any]) -> None:
    error = cli("mint", "a@example.com").exception
    assert isinstance(error, NoLocalKey)
    assert "mim access keys" in error.message


# --- async, csrf ---


async def ask_async(address: str) -> int:
    return (await AsyncClient().get("/api/v1/users/me", headers={HEADER: address})).status_code


@pytest.mark.django_db(transaction=True)
async def test_async_servers_read_the_same_header() -> None:
    await User.objects.acreate(email="mim@example.com", role="mim")
    assert (await ask_async("mim@example.com"), await ask_async("nobody@example.com")) == (200, 403)


OBSERVATION = {"title": "From another site", "severity": "low"}


def test_an_ambient_identity_needs_a_csrf_token_to_write(mim: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.get("/who")
    token = browser.cookies["csrftoken"].value
    browser.post("/who", {"email": mim.email, "csrfmiddlewaretoken": token})
    answer = browser.post("/api/v1/incidents", OBSERVATION, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")


def test_a_header_the_client_sent_itself_needs_none(mim: User) -> None:
    program = Client(enforce_csrf_checks=True, headers={HEADER: mim.email})
    assert program.post("/api/v1/incidents", OBSERVATION, content_type="application/json").status_code == 201
