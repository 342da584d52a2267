"""A Cloudflare Access of our own: keys, assertions good and forged, and a server of key sets on loopback."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from django.test import override_settings

from accounts.assertion import Accepted

TEAM = "https://example.cloudflareaccess.com"
AUDIENCE = "ours-" + "f0" * 20
ACCEPTED = Accepted(issuer=TEAM, audiences=(AUDIENCE, "second-audience"))
KID = "key-1"
MISSING = object()

ASSERTION = "Cf-Access-Jwt-Assertion"
EMAIL = "Cf-Access-Authenticated-User-Email"
ASSERTION_KEY = "HTTP_CF_ACCESS_JWT_ASSERTION"
EMAIL_KEY = "HTTP_CF_ACCESS_AUTHENTICATED_USER_EMAIL"


def private_key(name: str = KID, bits: int = 2048) -> RSAPrivateKey:
    """One key of this name for the whole run: making one takes a tenth of a second."""
    return _made(name, bits)


@cache
def _made(name: str, bits: int) -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=bits)


def jwk(name: str = KID, bits: int = 2048, **changes: Any) -> dict[str, Any]:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(private_key(name, bits).public_key(), as_dict=True)
    return {**public, "kid": name, "alg": "RS256", "use": "sig", **changes}


def key_set(*rows: dict[str, Any]) -> bytes:
    return json.dumps({"keys": rows or [jwk()]}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """What Access says of a person; MISSING takes a claim out."""
    now = int(time.time())
    said = {"type": "app", "iss": TEAM, "aud": [AUDIENCE], "sub": "subject-of-mim", "email": "mim@example.com"}
    said |= {"iat": now, "nbf": now, "exp": now + 3600, **changes}
    return {name: value for name, value in said.items() if value is not MISSING}


def mint(key: str = KID, **changes: Any) -> str:
    """A valid assertion of mim@example.com, with changed claims."""
    return sign(claims(**changes), key=key)


def of_program(name: str = "client-id.access", **changes: Any) -> str:
    return mint(email=MISSING, **{"common_name": name, "sub": "", **changes})


def sign(payload: dict[str, Any] | bytes, *, key: str = KID, header: dict[str, Any] | bytes | None = None) -> str:
    """A genuine RS256 signature over whatever header and payload are given, raw bytes included."""
    signed = f"{segment(header or {'alg': 'RS256', 'kid': key, 'typ': 'JWT'})}.{segment(payload)}"
    signature = private_key(key).sign(signed.encode(), PKCS1v15(), SHA256())
    return f"{signed}.{encoded(signature)}"


def segment(part: dict[str, Any] | bytes) -> str:
    return encoded(part if isinstance(part, bytes) else json.dumps(part).encode())


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@contextmanager
def access_mode(folder: Path, *rows: dict[str, Any], **changes: Any) -> Iterator[None]:
    """The product behind Access, with these keys in its key file."""
    file = folder / "jwks.json"
    file.write_bytes(key_set(*rows))
    with override_settings(
        **{
            "MAJOROPS_AUTH_MODE": "access",
            "ACCESS_TEAM_DOMAIN": TEAM,
            "ACCESS_AUD": [AUDIENCE],
            "ACCESS_JWKS_FILE": str(file),
            **changes,
        }
    ):
        yield


@pytest.fixture
def behind_access(tmp_path: Path) -> Iterator[None]:
    with access_mode(tmp_path):
        yield


Answer = Callable[[BaseHTTPRequestHandler], None]


class KeyServer:
    """Serves what `answer` says and counts who asked."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        self.answer: Answer = body(key_set())
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        keys = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                keys.hits.append(self.path)
                keys.answer(self)

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        return Handler

    @contextmanager
    def running(self) -> Iterator[KeyServer]:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()


def body(content: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        with suppress(ConnectionError):  # a client that has read enough hangs up
            handler.wfile.write(content)

    return answer


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    with KeyServer().running() as server:
        yield server
