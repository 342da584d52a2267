"""The last good board, in a file: the status page answers from it, also while the database does not.

A request asks the database only if nobody has for FRESH; a change of what is public rewrites the file at once
(`on_recorded`). One process at a time reads and writes, under a lock on a file; it is replaced as a whole, so nobody
reads half of one. What was not public changes neither the file nor the time it shows.
"""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection
from django.utils import timezone

from incidents.models import Incident
from incidents.status_read import published, published_incidents
from incidents.status_rules import Board

#: For how long a board counts as what the database says.
FRESH = timedelta(seconds=15)
#: After this it is shown with its age. Another process may be refreshing it in between.
STALE = timedelta(seconds=30)
#: A database that did not answer is left alone for as long; a request must not wait for it again.
PAUSE = timedelta(seconds=15)
#: The most that reading the board may take on PostgreSQL.
PATIENCE = "3s"
#: Grows when the file's shape changes; a file of another shape is no file.
SHAPE = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A board, and when the database last said so."""

    board: Board
    checked_at: datetime
    #: When what is public last changed.
    changed_at: datetime
    shape: int = SHAPE


@dataclass(frozen=True, slots=True)
class Reading:
    """What a request answers from."""

    snapshot: Snapshot
    now: datetime

    @property
    def board(self) -> Board:
        return self.snapshot.board

    @property
    def age(self) -> timedelta:
        return max(self.now - self.snapshot.checked_at, timedelta())

    @property
    def is_stale(self) -> bool:
        return self.age > STALE

    @property
    def updated_at(self) -> datetime:
        """When what is public last changed, by its own times."""
        return self.board.updated_at or self.snapshot.changed_at


@dataclass(slots=True)
class _Memory:
    """What this process knows of one folder."""

    mark: tuple[int, ...] = ()
    snapshot: Snapshot | None = None
    paused_until: datetime | None = None


_memories: dict[str, _Memory] = {}


def read(now: datetime) -> Reading | None:
    """The board, asked anew if the file is older than FRESH. None if there never was one and there is no database."""
    snapshot = _last()
    if snapshot is None or not snapshot.checked_at - FRESH < now < snapshot.checked_at + FRESH:
        snapshot = _refreshed(snapshot, now)
    return Reading(snapshot, now) if snapshot else None


def _refreshed(last: Snapshot | None, now: datetime) -> Snapshot | None:
    memory = _memory()
    if memory.paused_until and memory.paused_until - PAUSE <= now < memory.paused_until:
        return last
    with _alone(wait=last is None) as is_alone:
        if not is_alone:
            return last
        try:
            taken = _take(_last(), now)
        except DatabaseFailure:
            logger.warning("the database does not answer; the status page serves its last snapshot")
            memory.paused_until = now + PAUSE
            return last
        memory.paused_until = None
        _keep(taken)
        return taken


def on_recorded(sender: object, incident_id: str, **kwargs: Any) -> None:
    """Receiver of incidents.signals.recorded: rewrites the file if what is public has changed."""
    if settings.MAJOROPS_STATUS_PAGE and _is_public(incident_id):
        with _alone(wait=True):
            last, now = _last(), timezone.now()
            taken = _take(last, now)
            if last is None or taken.board != last.board:
                _keep(taken)


def _is_public(incident_id: str) -> bool:
    """Whether it is on the page, or was until now."""
    if published_incidents().filter(pk=incident_id).exists():
        return True
    last = _last()
    shown = {incident.id for incident in last.board.incidents} if last else set()
    return bool(shown & set(Incident.objects.filter(pk=incident_id).values_list("public_id", flat=True)))


def _take(last: Snapshot | None, now: datetime) -> Snapshot:
    """What the database says now. Raises DatabaseFailure."""
    with _impatient():
        board = published()
    if last is not None and board == last.board:
        return replace(last, checked_at=now)
    return Snapshot(board, checked_at=now, changed_at=now)


@contextmanager
def _impatient() -> Iterator[None]:
    """A database that hangs is one that does not answer."""
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, false)", [PATIENCE])
    try:
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("RESET statement_timeout")


# --- The file ---


def folder() -> Path:
    return Path(settings.MAJOROPS_STATUS_FOLDER)


def _file() -> Path:
    return folder() / "board.json"


def _memory() -> _Memory:
    return _memories.setdefault(str(folder()), _Memory())


def _last() -> Snapshot | None:
    """The file as it is now, read again only if it was replaced; what this process took if it cannot be read."""
    memory = _memory()
    try:
        stat = _file().stat()
        mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if mark != memory.mark:
            found = msgspec.json.decode(_file().read_bytes(), type=Snapshot)
            if found.shape == SHAPE:
                memory.snapshot = found
            memory.mark = mark
    except (OSError, msgspec.MsgspecError) as error:
        if not isinstance(error, FileNotFoundError):
            logger.warning("the snapshot of the status page cannot be read: %s", error)
    return memory.snapshot


def _keep(snapshot: Snapshot) -> None:
    """In the file for all, and in this process if the file cannot be written."""
    _memory().snapshot = snapshot
    try:
        folder().mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder(), prefix=".board-")
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(snapshot))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(_file())
    except OSError as error:
        logger.warning("the snapshot of the status page cannot be written: %s", error)


@contextmanager
def _alone(*, wait: bool) -> Iterator[bool]:
    """Whether nobody else, in this process or another, is refreshing the file. Without a lock file all are alone."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        lock = (folder() / ".lock").open("w")
    except OSError:
        yield True
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
