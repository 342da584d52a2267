"""14 shapes of identity headers as raw bytes, against uvicorn as the README starts it, in two modes.

Whatever the server makes of them: nobody comes in by the plain header, and only a genuine assertion signs in.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.identity import AUDIENCE, TEAM, key_set, mint
from tests.rawsocket import Server, uvicorn

SECRET = "a-shared-secret-of-more-than-32-characters"
NAME, EMAIL, MIM = b"Cf-Access-Jwt-Assertion", b"Cf-Access-Authenticated-User-Email", b"mim@example.com"
REFUSED = {0, 400, 401, 403, 431}

#: What is done to a header that would sign in: each shape makes the lines that are sent.
SHAPES = {
    "underscores": lambda name, value: [name.replace(b"-", b"_") + b": " + value],
    "mixed underscores": lambda name, value: [name.replace(b"-", b"_", 1) + b": " + value],
    "dots": lambda name, value: [name.replace(b"-", b".") + b": " + value],
    "space before the colon": lambda name, value: [name + b" : " + value],
    "leading space": lambda name, value: [b" " + name + b": " + value],
    "twice": lambda name, value: [name + b": " + value, name + b": " + value],
    "genuine, then another's": lambda name, value: [name + b": " + value, name + b": admin@example.com"],
    "dashes and underscores": lambda name, value: [name.replace(b"-", b"_") + b": " + value, name + b": x"],
    "obs-fold": lambda name, value: [name + b": " + value, b" admin@example.com"],
    "NUL": lambda name, value: [name + b": " + value + b"\x00"],
    "bare CR": lambda name, value: [name + b": " + value + b"\rX: y"],
    "latin-1": lambda name, value: [name + b": " + value + b"\xe9"],
    "Kelvin sign": lambda name, value: [name + b": " + value.replace(b"m", "\u212a".encode(), 1)],
    "9 KiB": lambda name, value: [name + b": " + value + b"x" * 9216],
}


@pytest.fixture(scope="module")
def access_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("access")
    (folder / "jwks.json").write_bytes(key_set())
    told = {"ACCESS_TEAM_DOMAIN": TEAM, "ACCESS_AUD": AUDIENCE, "ACCESS_JWKS_FILE": str(folder / "jwks.json")}
    with uvicorn(folder, MAJOROPS_AUTH_MODE="access", **told) as server:
        yield server


@pytest.fixture(scope="module")
def proxy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    told = {"PROXY_SHARED_SECRET": SECRET, "PROXY_TRUSTED_CIDRS": "127.0.0.0/8"}
    with uvicorn(tmp_path_factory.mktemp("proxy"), MAJOROPS_AUTH_MODE="proxy", **told) as server:
        yield server


def test_there_are_fourteen_shapes() -> None:
    assert len(SHAPES) == 14


def test_the_genuine_headers_sign_in(access_server: Server, proxy_server: Server) -> None:
    assert access_server.ask(NAME + b": " + mint().encode())[0] == 200
    assert proxy_server.ask(EMAIL + b": " + MIM, b"X-MajorOps-Proxy-Secret: " + SECRET.encode())[0] == 200


@pytest.mark.parametrize("shape", SHAPES)
def test_an_assertion_of_another_shape(shape: str, access_server: Server) -> None:
    assert access_server.ask(*SHAPES[shape](NAME, mint().encode()))[0] in REFUSED


@pytest.mark.parametrize("shape", SHAPES)
def test_an_email_header_is_nobody_in_access_mode(shape: str, access_server: Server) -> None:
    assert access_server.ask(*SHAPES[shape](EMAIL, MIM))[0] in REFUSED


@pytest.mark.parametrize("shape", SHAPES)
def test_an_email_header_of_another_shape_with_the_secret(shape: str, proxy_server: Server) -> None:
    proof = b"X-MajorOps-Proxy-Secret: " + SECRET.encode()
    assert proxy_server.ask(proof, *SHAPES[shape](EMAIL, MIM))[0] in REFUSED


@pytest.mark.parametrize("shape", SHAPES)
def test_a_secret_of_another_shape(shape: str, proxy_server: Server) -> None:
    lines = SHAPES[shape](b"X-MajorOps-Proxy-Secret", SECRET.encode())
    assert proxy_server.ask(*lines, EMAIL + b": " + MIM)[0] in REFUSED
