"""A fair sample of what several processes do in an hour, kept in files until a job takes it up.

Everything that happens draws a number; the lowest draws of the hour are the sample. A process writes a line only
when its draw is among the lowest it has seen, so busy hours cost no more lines than quiet ones, nothing is lost with a
process, and the lowest draws of all files together are a fair sample of all processes.
"""

from __future__ import annotations

import heapq
import json
import logging
import os
import random
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
#: An hour is taken up so long after its end: a line may still be on its way.
GRACE = timedelta(minutes=2)
_FORM = "%Y%m%dT%H"


class Spool:
    """Where one process leaves its lines. Nothing it does disturbs whoever calls it: a full disk loses samples only."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self._lock = threading.Lock()
        self._at: tuple[int, str] = (0, "")
        self._file = -1
        #: The lowest draws so far, the highest of them first, negated.
        self._lowest: list[float] = []

    def offer(self, told: Mapping[str, object], at: datetime) -> None:
        """Keeps it if its draw is among the lowest of the hour."""
        draw = random.random()  # noqa: S311  (chooses a sample, guards nothing)
        try:
            with self._lock:
                self._turn(at)
                if self._is_chosen(draw):
                    os.write(self._file, json.dumps({"draw": draw, **told}).encode() + b"\n")
        except OSError as error:
            logger.warning("A sample was not kept in %s: %s", self.folder, error.strerror)

    def _turn(self, at: datetime) -> None:
        """Another hour, or a process that was forked, begins a file of its own."""
        now = (os.getpid(), at.astimezone(UTC).strftime(_FORM))
        if now == self._at:
            return
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{now[1]}-{now[0]}-{os.urandom(4).hex()}.jsonl"
        self._file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._at, self._lowest = now, []

    def _is_chosen(self, draw: float) -> bool:
        if len(self._lowest) < self.most:
            heapq.heappush(self._lowest, -draw)
            return True
        return -heapq.heappushpop(self._lowest, -draw) > draw


def ended(folder: Path, now: datetime) -> dict[str, list[Path]]:
    """The files of each hour that is over, the oldest hour first."""
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        hour = file.name.partition("-")[0]
        if _begin(hour) + HOUR + GRACE <= now:
            found.setdefault(hour, []).append(file)
    return found


def _begin(hour: str) -> datetime:
    """A file of another name is none of ours, and never over."""
    try:
        return datetime.strptime(hour, _FORM).replace(tzinfo=UTC)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC) - 2 * HOUR


def sample(files: Iterable[Path], most: int) -> list[dict[str, Any]]:
    """The lowest draws of the files: the same each time it is asked."""
    lines = (line for file in files for line in _lines(file))
    return heapq.nsmallest(most, lines, key=lambda line: float(line["draw"]))


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """A line that a dying process left half written is left out."""
    for line in file.read_bytes().splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("draw"), float):
            yield found
