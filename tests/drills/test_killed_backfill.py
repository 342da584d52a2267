"""A backfill that is killed with SIGKILL in the middle, and resumed: the same figures as one that was left alone.

Runs `mim` as a process of its own, on a database of its own: a SQLite file, and the PostgreSQL of tests/run.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run import ROOT, postgresql

INCIDENTS = 3000
SLUG, UNTIL = "mttr", "2026-03-03"

#: Small ranges, so that there is a middle to be killed in.
MIM = "import kpis.compute.runs as runs; runs.RANGE = 100; from majorops.cli import app; app()"
#: The incidents of every database are the same ones.
PLANT = f"""
import random
from datetime import UTC, datetime, timedelta
from incidents.models import Incident
dice, start = random.Random(1), datetime(2026, 1, 1, tzinfo=UTC)
times = [start + timedelta(minutes=20 * n) for n in range({INCIDENTS})]
Incident.objects.bulk_create(
    Incident(
        id=f"01JH{{n:022d}}", title="x", severity=dice.choice(["critical", "high"]), status="resolved", phase=8,
        detected_at=at, phase_entered_at=at, resolved_at=at + timedelta(minutes=dice.randint(5, 300)),
    )
    for n, at in enumerate(times)
)
"""
TELL = """
import json
from kpis.models import KpiObservation, KpiRun
columns = ("subject_key", "window", "dims_key", "timestamp", "revision", "is_current", "value", "n", "evidence",
           "inputs_sha256", "result_sha256")
rows = [[str(value) for value in row] for row in KpiObservation.objects.order_by().values_list(*columns)]
runs = list(KpiRun.objects.order_by("id").values_list("outcome", flat=True))
print(json.dumps({"rows": sorted(rows), "runs": runs}))
"""
STORED = "from kpis.models import KpiObservation; print(KpiObservation.objects.count())"


def command(code: str, url: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "DATABASE_URL": url, "DEBUG": "1", "MAJOROPS_AUTH_MODE": "dev"}
    environment["DJANGO_SETTINGS_MODULE"] = "majorops.settings"
    program = [sys.executable, "-c", f"import django; django.setup()\n{code}", *arguments]
    return subprocess.Popen(
        program, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def run(code: str, url: str, *arguments: str) -> str:
    out, err = (process := command(code, url, *arguments)).communicate()
    assert process.returncode == 0, err
    return out


def backfill(url: str, *more: str) -> str:
    return run(MIM, url, "kpi", "backfill", "--kpi", SLUG, "--to", UNTIL, *more)


def planted(url: str) -> str:
    run("from django.core.management import call_command; call_command('migrate', verbosity=0)", url)
    run(PLANT, url)
    return url


def killed_in_the_middle(url: str) -> int:
    """Kills a backfill once some of it is stored. How many observations it left."""
    process = command(MIM, url, "kpi", "backfill", "--kpi", SLUG, "--to", UNTIL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if _stored(url) >= INCIDENTS // 20:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "It ended before it was killed."
    return _stored(url)


def _stored(url: str) -> int:
    """Asked without Django, which takes longer to start than a backfill of this size."""
    sql = "SELECT count(*) FROM kpi_observations"
    if url.startswith("sqlite"):
        import sqlite3

        with sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30) as connection:
            return int(connection.execute(sql).fetchone()[0])
    import psycopg

    with psycopg.connect(url) as server:
        found = server.execute(sql).fetchone()
        return int(found[0]) if found else 0


@pytest.fixture
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two databases alike: one for the run that is killed, one for the run that is left alone."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/killed.sqlite3", f"sqlite:///{tmp_path}/whole.sqlite3"
        return
    import psycopg

    with postgresql() as (url, _):
        names = [f"drill_{os.getpid()}_{name}" for name in ("killed", "whole")]
        base, _, query = url.partition("?")
        urls = [f"{base.rpartition('/')[0]}/{name}{'?' + query if query else ''}" for name in names]
        with psycopg.connect(url, autocommit=True) as server:
            for name in names:
                server.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
            try:
                yield urls[0], urls[1]
            finally:
                for name in names:
                    server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[call-overload]


@pytest.mark.parametrize("databases", ["sqlite", "postgresql"], indirect=True)
def test_a_killed_backfill_resumes_to_the_same_figures(databases: tuple[str, str]) -> None:
    broken, whole = (planted(url) for url in databases)
    backfill(whole)
    left = killed_in_the_middle(broken)
    backfill(broken, "--resume")
    found, expected = json.loads(run(TELL, broken)), json.loads(run(TELL, whole))
    assert 0 < left < len(expected["rows"])
    assert found == expected
    print(f"\nkilled after {left} of {len(expected['rows'])} observations; resumed to the same in one run")
