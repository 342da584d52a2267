"""Says when each notification came: `python -m benchmarks.live.clock DATABASE_URL`, one time of perf_counter() a line.

A process of its own, for the one that holds the viewers is busy just then. The clock counts for all of a machine.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from time import perf_counter

import psycopg

from benchmarks.live.bare import CHANNEL
from majorops.lib import bus


def main(url: str) -> None:
    with suppress(psycopg.OperationalError), psycopg.connect(url, autocommit=True) as connection:
        for channel in (bus.CHANNEL, CHANNEL):
            connection.execute(f"LISTEN {channel}")
        print("listening", flush=True)
        for _ in connection.notifies():
            print(perf_counter(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
