"""A worker that is killed fifty times while its receiver fails, hangs and hangs up: everything arrives, once each for
a receiver that knows ids. Workers are processes of their own, on a SQLite file and on a PostgreSQL."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.drills.test_killed_backfill import command, run
from tests.incidents.hearing import running
from tests.run import postgresql

KILLS, ENDPOINTS, UPDATES = 50, 10, 60

PLANT = f"""
import os
from django.core.management import call_command
from django.utils import timezone
call_command("migrate", verbosity=0)
from incidents import actions, webhooks
now, url = timezone.now(), os.environ["DRILL_URL"]
for number in range({ENDPOINTS}):
    webhooks.create(name=f"Endpoint {{number}}", kind="webhook", url=url, by=None, now=now)
stamp = actions.Stamp(by=None, at=now, now=now, source="cli")
incident = actions.open_incident(title="Checkout fails", severity="critical", stamp=stamp)
for number in range({UPDATES}):
    actions.post_update(incident, f"Update {{number}}", visibility="public", stamp=stamp)
"""
#: One more update, so that a kill also meets queueing; then it works until it is killed or nothing waits.
WORK = """
import time
from datetime import timedelta
from django.utils import timezone
from incidents import actions, outbox
from incidents.models import Incident
from majorops.lib import outgoing
import incidents.outbox_rules as rules
outbox.LEASE, outgoing.CONNECT_WITHIN, outgoing.ANSWER_WITHIN = timedelta(seconds=1), 0.3, 0.6
rules.BACKOFF = (timedelta(milliseconds=200),)
print("ready", flush=True)
now = timezone.now()
stamp = actions.Stamp(by=None, at=now, now=now, source="cli")
actions.post_update(Incident.objects.get(), "One more", visibility="public", stamp=stamp)
while outbox.next_due():
    outbox.deliver_due(timezone.now())
    time.sleep(0.02)
"""
TELL = """
import json
from incidents.models import Delivery, DeliveryAttempt
rows = Delivery.objects.values_list("message_id", "state", "attempts")
ids = [f"msg_{row[0]}" for row in rows]
states = [row[1] for row in rows]
print(json.dumps({"ids": ids, "states": states, "claims": sum(row[2] for row in rows),
                  "logged": DeliveryAttempt.objects.count()}))
"""


class Flapping(ThreadingHTTPServer):
    """Takes a message, or fails in one of three ways. What it takes it processes once for each id."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Flapping)
        self.dice, self.lock = random.Random(7), threading.Lock()  # noqa: S311
        self.taken: list[str] = []
        self.processed: list[str] = []
        self.answers: Counter[str] = Counter()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A killed worker hangs up in the middle of a word."""


class _Flapping(BaseHTTPRequestHandler):
    server: Flapping

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            answer = self.server.dice.choices(["take", "500", "hang", "reset", "take, then hang"], [80, 8, 3, 6, 3])[0]
            self.server.answers[answer] += 1
            if answer.startswith("take"):
                self._take(self.headers["webhook-id"])
        if "hang" in answer:
            time.sleep(0.8)
        if answer == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        self.send_response(500 if answer == "500" else 204)
        self.end_headers()

    def _take(self, message_id: str) -> None:
        self.server.taken.append(message_id)
        if message_id not in self.server.processed:
            self.server.processed.append(message_id)

    def log_message(self, format: str, *args: Any) -> None:
        """Quietly."""


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/drill.sqlite3"
        return
    import psycopg

    with postgresql() as (url, _):
        base, _, query = url.partition("?")
        name = f"drill_outbox_{os.getpid()}"
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
            try:
                yield f"{base.rpartition('/')[0]}/{name}{'?' + query if query else ''}"
            finally:
                server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[call-overload]


def killed_at_random(url: str, dice: random.Random, receiver: Flapping, *, is_sending: bool) -> bool:
    """Starts a worker and kills it somewhere in its work; `is_sending`: once something of it was heard, which on a busy
    machine takes a while. Whether it was still at it."""
    heard, patience = receiver.answers.total(), time.monotonic() + 60
    process = command(WORK, url)
    assert process.stdout
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    while is_sending and receiver.answers.total() == heard and time.monotonic() < patience:
        time.sleep(0.005)
    time.sleep(dice.uniform(0.02, 0.5))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_everything_arrives_however_often_the_worker_is_killed(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dice, started = random.Random(3), time.monotonic()  # noqa: S311
    with running(Flapping()) as receiver:
        monkeypatch.setenv("DRILL_URL", f"http://127.0.0.1:{receiver.server_port}/")
        monkeypatch.setenv("MAJOROPS_DELIVER_IN_PROCESS", "0")
        run(PLANT, database)
        kills = sum(killed_at_random(database, dice, receiver, is_sending=life % 2 > 0) for life in range(KILLS))
        before = len(set(receiver.processed))
        run(WORK, database)
        outcome = json.loads(run(TELL, database))
    assert kills == KILLS
    assert before, "every worker was killed before it sent anything"
    assert Counter(outcome["states"]) == {"sent": len(outcome["ids"])}
    assert len(set(outcome["ids"])) == len(outcome["ids"])
    assert sorted(receiver.processed) == sorted(outcome["ids"])
    print(
        f"\n{len(outcome['ids'])} messages, {kills} kills ({before} messages had arrived by the last), "
        f"{outcome['claims']} tries of which {outcome['claims'] - outcome['logged']} died with their worker; received "
        f"{len(receiver.taken)} times, {len(receiver.taken) - len(receiver.processed)} of them known by their id; "
        f"answers {dict(receiver.answers)}; 0 undelivered, 0 doubled; {time.monotonic() - started:.0f} s"
    )
