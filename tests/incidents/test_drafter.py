"""The optional language model, against a server of our own: it drafts, or the rules do and say why."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import User
from incidents import drafter
from incidents.models import ExecSummary
from incidents.summaries import draft
from tests.cast import Knock
from tests.factories import IncidentFactory
from tests.incidents.test_summaries import FACTS


@dataclass
class Asked:
    """What the server was sent."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


Answer = Callable[[BaseHTTPRequestHandler], None]


def reply(body: bytes, *, status: int = 200, kind: str = "application/json", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte at a time: each read of the other side is in time, the whole is not."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    for _ in range(60):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, Asked]]:
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.headers.append(dict(self.headers))
            asked.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            with suppress(OSError):  # the other side had enough
                answer(self)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/draft", asked
        server.shutdown()


@pytest.fixture(autouse=True)
def here(settings: Settings) -> None:
    """This machine counts as reachable, where a test does not say otherwise."""
    settings.MAJOROPS_DRAFTER_TO_PRIVATE = True


def test_off_by_default() -> None:
    assert not drafter.is_offered()
    assert drafter.by_model(FACTS, is_restricted=False).origin == "rules"


def test_the_contract(settings: Settings) -> None:
    with serving(reply(b'{"summary": " It is bad. "}')) as (url, asked):
        settings.MAJOROPS_DRAFTER_URL, settings.MAJOROPS_DRAFTER_TOKEN = url, "secret-token"
        made = drafter.by_model(FACTS, is_restricted=False)
    assert (made.body, made.origin, made.note) == ("It is bad.", "model", "")
    assert asked.headers[0]["Authorization"] == "Bearer secret-token"
    sent = asked.bodies[0]
    assert (sent["version"], sent["task"], sent["max_characters"]) == (1, "exec_summary", 1200)
    assert sent["facts"]["detected_at"] == "2026-03-02T12:44:00.000Z"
    assert sent["facts"]["milestones"][0]["title"] == "Fault isolated"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (reply(b"{}", status=500), "answered 500"),
        (reply(b"", status=302, Location="http://127.0.0.1:9/"), "answered 302"),
        (reply(b"<p>", kind="text/html"), "answered 200 text/html"),
        (reply(b"not json"), "gave no summary"),
        (reply(b"[" * 5000), "gave no summary"),
        (reply(b'{"summary": 7}'), "gave no summary"),
        (reply(b'{"summary": "  "}'), "gave no summary"),
        (reply(json.dumps({"summary": "x" * 1201}).encode()), "gave no summary"),
        (reply(b'{"summary": "\\u0000"}'), "gave no summary"),
        (reply(b" " * 70_000), "answered too much"),
    ],
)
def test_whatever_else_it_answers_the_rules_draft_and_say_why(settings: Settings, answer: Answer, says: str) -> None:
    with serving(answer) as (url, asked):
        settings.MAJOROPS_DRAFTER_URL = url
        made = drafter.by_model(FACTS, is_restricted=False)
    assert (made.body, made.origin) == (draft(FACTS), "rules")
    assert says in made.note
    assert "made by rules" in made.note
    assert len(asked.bodies) == 1


def test_a_server_that_drips_is_not_waited_for(settings: Settings) -> None:
    with serving(drip) as (url, _):
        settings.MAJOROPS_DRAFTER_URL, settings.MAJOROPS_DRAFTER_TIMEOUT = url, 0.3
        made = drafter.by_model(FACTS, is_restricted=False)
    assert "did not answer within 0.3 s" in made.note


def test_a_server_that_is_not_there(settings: Settings) -> None:
    settings.MAJOROPS_DRAFTER_URL = "http://127.0.0.1:9/secret-path"
    made = drafter.by_model(FACTS, is_restricted=False)
    assert "could not be reached" in made.note
    assert "secret-path" not in made.note


def test_a_private_address_is_refused_unless_it_is_allowed(settings: Settings) -> None:
    settings.MAJOROPS_DRAFTER_TO_PRIVATE = False
    with serving(reply(b'{"summary": "x"}')) as (url, asked):
        settings.MAJOROPS_DRAFTER_URL = url
        made = drafter.by_model(FACTS, is_restricted=False)
    assert "private network" in made.note
    assert asked.bodies == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.com/x", "nonsense"])
def test_other_kinds_of_address_are_refused(settings: Settings, url: str) -> None:
    settings.MAJOROPS_DRAFTER_URL = url
    assert "must be an address" in drafter.by_model(FACTS, is_restricted=False).note


def test_a_restricted_incident_is_not_sent(settings: Settings) -> None:
    with serving(reply(b'{"summary": "x"}')) as (url, asked):
        settings.MAJOROPS_DRAFTER_URL = url
        assert "restricted" in drafter.by_model(FACTS, is_restricted=True).note
    assert asked.bodies == []


def test_the_page_asks_it_and_keeps_a_draft_only(page_as: Knock, mim: User, settings: Settings) -> None:
    incident = IncidentFactory(description="INTERNAL cause")
    with serving(reply(b'{"summary": "From the model."}')) as (url, asked):
        settings.MAJOROPS_DRAFTER_URL = url
        sent = {"do": "ask", "body": "", "version": incident.version}
        page_as(mim).post(f"/incidents/{incident.pk}/summary", sent)
    row = ExecSummary.objects.get()
    assert (row.body, row.origin, row.is_accepted) == ("From the model.", "model", False)
    assert "INTERNAL" not in json.dumps(asked.bodies)
    incident.refresh_from_db()
    assert incident.exec_summary == ""
