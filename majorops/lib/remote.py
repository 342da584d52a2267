"""The API of a MajorOps server as a program on another machine asks it: one token, one kind of error, no database."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from majorops.lib.errors import DomainError
from majorops.lib.manner import detail
from majorops.lib.problems import camel
from majorops.lib.times import iso

URL, TOKEN, HEADERS = "MIM_URL", "MIM_TOKEN", "MIM_HEADERS"
#: Seconds that an answer may take, and between the tries to reach a server.
TIMEOUT, PAUSES = 30, (0.3, 1.0)
#: Rows on one page of a list, as many as the server gives.
PAGE = 200
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Unconnected(DomainError):
    """MIM_URL cannot be used."""

    code = "bad_connection"
    status = 401


class Unreachable(DomainError):
    """The server does not answer."""

    code = "unreachable"
    status = 503


class DatabaseOnly(DomainError):
    """This works on the database, and MIM_URL names a server far from it."""

    code = "database_only"
    status = 400

    @classmethod
    def said(cls, what: str) -> DatabaseOnly:
        return cls(f"{what} works on the database. Run it on the server, with {URL} unset (it is {os.environ[URL]}).")


class Refused(DomainError):
    """What the server refused, in its words."""

    @classmethod
    def of(cls, status: int, told: Mapping[str, Any]) -> Refused:
        first: Mapping[str, Any] = next(iter(told.get("errors") or ()), {})
        place = _snake(str(first.get("pointer", "")).strip("/").replace("/", ".")) or None
        refused = cls(str(told.get("detail") or f"The server answered {status}."), field=place, errors=first)
        refused.status, refused.code = status, str(told.get("code") or "refused")
        return refused


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


class _Stays(urllib.request.HTTPRedirectHandler):
    """A token is sent to the server that MIM_URL names, and to no other."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    document: Any
    #: When the server answered, to the second.
    at: datetime
    status: int


@dataclass(frozen=True, slots=True)
class Server:
    """A server and the token of a program that may ask it."""

    url: str
    token: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def get(self, path: str, **query: object) -> Any:
        return self.ask("GET", path, query=query).document

    def post(self, path: str, body: Mapping[str, object]) -> Answer:
        return self.ask("POST", path, json.dumps(wire(body)).encode())

    def rows(self, path: str, limit: int | None = None, **query: object) -> list[Any]:
        """The rows of a list, page by page, at most so many."""
        found: list[Any] = []
        for page in self._pages(path, min(limit or PAGE, PAGE), query):
            found += page
            if limit and len(found) >= limit:
                return found[:limit]
        return found

    def _pages(self, path: str, size: int, query: Mapping[str, object]) -> Iterator[list[Any]]:
        cursor: str | None = ""
        while cursor is not None:
            told = self.get(path, limit=size, cursor=cursor, **query)
            yield told["results"]
            cursor = told["next_cursor"]

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        query: Mapping[str, object] | None = None,
        media_type: str = "application/json",
    ) -> Answer:
        """One answer. Raises Refused in the server's words, Unreachable where it has none."""
        asked = urlencode({name: value for name, value in (query or {}).items() if value not in (None, "")})
        address = f"{self.url}/api/v1/{quote(path)}{'?' if asked else ''}{asked}"
        # The key makes it safe to ask again: what was done is not done twice.
        said = {"Accept": "application/json", "Authorization": f"Bearer {self.token}", **self.headers}
        said |= {"Content-Type": media_type, "Idempotency-Key": str(uuid.uuid4())} if body is not None else {}
        return self._sent(urllib.request.Request(address, body, said, method=method))  # noqa: S310  # connected()

    def _sent(self, request: urllib.request.Request) -> Answer:
        opener = urllib.request.build_opener(_Stays)
        for pause in (*PAUSES, None):
            detail(f"{request.get_method()} {request.full_url}")
            try:
                with opener.open(request, timeout=TIMEOUT) as answer:
                    detail(f"{answer.status} {answer.headers.get('X-Request-ID', '')}".rstrip())
                    return Answer(_parsed(answer.read()), _date(answer.headers), answer.status)
            except urllib.error.HTTPError as error:
                with error:
                    raise self._refusal(error.code, error.read(), error.headers) from None
            except (OSError, HTTPException) as error:
                if pause is None:
                    raise self._silent(getattr(error, "reason", error)) from None
                time.sleep(pause)
        raise AssertionError("unreachable")  # pragma: no cover

    def _refusal(self, status: int, body: bytes, headers: Any) -> DomainError:
        if status in range(300, 400):
            where = str(headers.get("Location", ""))[:120]
            return Unconnected(
                f"{URL} leads elsewhere ({where}), and a token is not sent there. Name the server itself; "
                f"what an access proxy wants besides goes into {HEADERS}."
            )
        try:
            told = json.loads(body)
        except ValueError:
            told = {}
        if not isinstance(told, dict) or "code" not in told:
            return Unreachable(f"{self.url} answered {status}, and not as MajorOps does. Check {URL}.")
        return Refused.of(status, told)

    def _silent(self, reason: object) -> Unreachable:
        return Unreachable(f"{self.url} does not answer ({reason}). Check {URL}, or try again in a moment.")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        raise Unreachable(f"The server answered with what is no JSON. Check {URL}.") from None


def _date(headers: Any) -> datetime:
    told = headers.get("Date")
    return parsedate_to_datetime(told).astimezone(UTC) if told else datetime.now(UTC)


def wire(value: object) -> Any:
    """As the API reads it: names in camelCase, times as text."""
    if isinstance(value, Mapping):
        return {camel(name): wire(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [wire(each) for each in value]
    return iso(value) if isinstance(value, datetime) else value


def is_remote() -> bool:
    """Whether the environment names a server instead of a database."""
    return bool(os.environ.get(URL, "").strip())


def connected() -> Server:
    """The server that the environment names. Raises Unconnected."""
    url, token = os.environ[URL].strip().rstrip("/"), os.environ.get(TOKEN, "").strip()
    parts = _parts(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unconnected(f"{URL} is an address such as https://majorops.example.com, not {url[:80]!a}.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise Unconnected(
            f"{URL} is an address and nothing else; the token is in {TOKEN}, further headers in {HEADERS}."
        )
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise Unconnected(f"{URL} is http: everybody on the way could read the token. Use https.")
    if not token:
        raise Unconnected(f"{URL} is set and {TOKEN} is not. On the server: mim token create NAME --scope SCOPE")
    if not re.fullmatch(r"[!-~]+", token):
        raise Unconnected(f"{TOKEN} is no token: it has spaces or letters that no token has.")
    return Server(url.removesuffix("/api/v1"), token, _headers(os.environ.get(HEADERS, "")))


def _parts(url: str) -> SplitResult | None:
    """None for what is no address."""
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None
    except ValueError:
        return None


def _headers(text: str) -> dict[str, str]:
    """`Name: value`, several separated by semicolons or lines."""
    found = {}
    for each in filter(None, map(str.strip, re.split(r"[;\n]", text))):
        name, colon, value = each.partition(":")
        if not colon or not re.fullmatch(r"[A-Za-z0-9-]+", name.strip()):
            raise Unconnected(f"{HEADERS} holds headers such as CF-Access-Client-Id: abc; {each[:40]!a} is none.")
        found[name.strip()] = value.strip()
    return found
