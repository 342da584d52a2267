"""Tells every process of this installation that something changed.

PostgreSQL carries it by NOTIFY. SQLite has no such thing: within the process a queue carries it, and another process
(the command line, a second worker) is noticed by the counter that the file keeps of its commits. A message may be lost
(a broken connection) or come twice; who listens must look at the state itself, the message only says when.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Protocol, cast

import psycopg
from django.db import connection

CHANNEL = "majorops_changed"
#: Heard instead of a topic: something changed, and nobody knows what.
ANYTHING = "*"
#: How often SQLite's commit counter is read, in seconds.
GLANCE = 0.2

_queues: set[SimpleQueue[str]] = set()


def publish(topic: str) -> None:
    """Call after commit. Topics are short texts such as an incident's id."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, topic])
        return
    for queue in _queues.copy():
        queue.put(topic)


class Ear(Protocol):
    def heard(self, seconds: float) -> set[str]:
        """The topics published since the last call; waits up to `seconds` for the first one."""


@contextmanager
def listening() -> Iterator[Ear]:
    """Listens on this thread's database connection, and needs no other. Raises OperationalError when it is lost."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        yield _Notifications()
        return
    queue: SimpleQueue[str] = SimpleQueue()
    _queues.add(queue)
    try:
        yield _Commits(queue)
    finally:
        _queues.discard(queue)


class _Notifications:
    def heard(self, seconds: float) -> set[str]:
        wire = cast("psycopg.Connection[object]", connection.connection)
        first = {notice.payload for notice in wire.notifies(timeout=seconds, stop_after=1)}
        return first | {notice.payload for notice in wire.notifies(timeout=0)} if first else first


class _Commits:
    def __init__(self, queue: SimpleQueue[str]) -> None:
        self._queue = queue
        self._seen = self._commits()

    def heard(self, seconds: float) -> set[str]:
        topics: set[str] = set()
        until = monotonic() + seconds
        while not topics and (left := until - monotonic()) > 0:
            with suppress(Empty):
                topics.add(self._queue.get(timeout=min(left, GLANCE)))
            if self._commits() != self._seen:
                self._seen = self._commits()
                topics |= {ANYTHING} if not topics else set()
        while not self._queue.empty():
            topics.add(self._queue.get())
        return topics

    @staticmethod
    def _commits() -> int:
        with connection.cursor() as cursor:
            return int(cursor.execute("PRAGMA data_version").fetchone()[0])
