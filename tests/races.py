"""Many people do the same thing at the same moment, with a connection each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from django.db import connection

from majorops.lib.errors import DomainError


def race(act: Callable[[int], object], *, threads: int = 8) -> Counter[str]:
    """What became of `act(i)` for each of `threads`: "won", or the code of the refusal. Any other error is raised."""
    start = Barrier(threads)

    def run(number: int) -> str:
        try:
            start.wait(timeout=30)
            act(number)
        except DomainError as refusal:
            return refusal.code
        finally:
            connection.close()
        return "won"

    with ThreadPoolExecutor(threads) as pool:
        return Counter(pool.map(run, range(threads)))
