"""What comparing all teams costs: 200 teams at 3 levels over 30, 60 and 90 days. JSON lines, on PostgreSQL.

Per number of arrivals, spread over two years: the exact way (one query over single arrivals, by the covering index),
the histograms (two rows a window), and one team by itself; in milliseconds as Python has the answer: the best and the
median of ROUNDS warm rounds, and the processor time of one, here and in the database. Goals and `ratio` look at the
best, which other work on the machine disturbs least. `ratio` is the exact way over the histograms. `error` is the
farthest that a percentile is off, and `mean_error` a mean, compared cell by cell in the same run.

    ROWS=100000,1000000,10000000 .venv/bin/python benchmarks/scorecards.py

Ten million rows need 5 GB of disk and a few minutes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROWS = [int(rows) for rows in os.environ.get("ROWS", "100000,1000000").split(",")]
ROUNDS = 20
TEAMS, DAYS, END = 200, 731, date(2026, 3, 1)
#: Goals of the design, in milliseconds.
ONE_TEAM, OVERVIEW = 10.0, 20.0

#: Arrivals of about five minutes with a long tail. `setseed` makes them the same each time.
_PLANT = """
    INSERT INTO dispatch_times (page_id, team_id, level, at, minutes)
    SELECT gen_random_uuid(), teams.ids[1 + n %% cardinality(teams.ids)],
           (ARRAY['box3', 'box2', 'box1'])[1 + (n / cardinality(teams.ids)) %% 3],
           %s::timestamptz - interval '1 day' * %s * (1 - n::float8 / %s),
           exp(1.6 + 0.6 * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()))
    FROM generate_series(0, %s - 1) AS n, (SELECT array_agg(id) AS ids FROM teams) AS teams
"""


def measure(rows: int) -> dict[str, object]:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from kpis import histograms
    from teams.models import Team

    call_command("migrate", verbosity=0)
    Team.objects.bulk_create([Team(slug=f"bench-{n}", name=f"Bench {n}") for n in range(TEAMS)])
    with connection.cursor() as cursor:
        # The pages of the arrivals do not exist: only their times are compared.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SELECT setseed(0.5)")
        cursor.execute(_PLANT, [histograms.midnight(END), DAYS, rows, rows])
        cursor.execute("VACUUM ANALYZE dispatch_times")
    began = time.perf_counter()
    written = histograms.rebuild_histograms(END)
    built = time.perf_counter() - began
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE dispatch_histograms")
    team = Team.objects.get(slug="bench-7")
    exact, counted = milliseconds(lambda: histograms.exact(END)), milliseconds(lambda: histograms.counted(END))
    one_team = milliseconds(lambda: histograms.exact(END, team))
    return {
        "benchmark": "scorecards",
        "rows": rows,
        "exact_ms": exact,
        "histogram_ms": counted,
        "one_team_ms": one_team,
        "ratio": round(exact[0] / counted[0], 1),
        "one_team_goal": one_team[0] <= ONE_TEAM,
        "overview_goal": (counted if rows >= histograms.LARGE else exact)[0] <= OVERVIEW,
        "rebuild_seconds": round(built, 1),
        "histogram_rows": written,
        **errors(),
        **sizes(),
    }


def milliseconds(work: Callable[[], object]) -> tuple[float, float, float]:
    """The best round, the median, and the processor time of a round, here and in the database."""
    work()
    took, before = [], cpu_seconds()
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - began))
    cpu = 1000 * (cpu_seconds() - before) / ROUNDS
    return round(min(took), 2), round(statistics.median(took), 2), round(cpu, 1)


def cpu_seconds() -> float:
    """Of this process, and of the PostgreSQL process that serves its connection, to a hundredth of a second."""
    from django.db import connection

    connection.ensure_connection()
    told = Path(f"/proc/{connection.connection.info.backend_pid}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def errors() -> dict[str, float]:
    """How far the two are apart, as a share of the exact figure."""
    from kpis import histograms

    exact, counted = histograms.exact(END), histograms.counted(END)
    if exact.keys() != counted.keys():
        raise SystemExit("The two do not have the same cells.")
    pairs = [(true, counted[key]) for key, true in exact.items()]
    if any(true.n != found.n for true, found in pairs):
        raise SystemExit("The two do not count the same arrivals.")

    def worst(name: str) -> float:
        return max(abs(getattr(found, name) / getattr(true, name) - 1) for true, found in pairs)

    return {"error": round(max(worst("median"), worst("p90")), 4), "mean_error": float(f"{worst('mean'):.1e}")}


def sizes() -> dict[str, int]:
    from django.db import connection

    found = {}
    with connection.cursor() as cursor:
        for name in ("dispatch_times", "dispatch_histograms"):
            cursor.execute("SELECT pg_total_relation_size(%s::regclass)", [name])
            found[f"{name}_mb"] = cursor.fetchone()[0] // 1_000_000
    return found


def on(url: str, rows: int) -> dict[str, object]:
    """In a process of its own, for settings are read once."""
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "majorops.settings"}
    environment |= {"DEBUG": "1", "MAJOROPS_AUTH_MODE": "dev"}
    command = [sys.executable, __file__, "--measure", str(rows)]
    told = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    found: dict[str, object] = json.loads(told.stdout.splitlines()[-1])
    return found


def main() -> None:
    sys.path.insert(0, str(ROOT))
    if "--measure" in sys.argv:
        print(json.dumps(measure(int(sys.argv[-1]))))
        return
    import psycopg

    from tests.run import postgresql

    with postgresql() as (url, _), psycopg.connect(url, autocommit=True) as server:
        base, _, query = url.partition("?")
        where, name = base.rpartition("/")[0], f"bench_scorecards_{os.getpid()}"
        for rows in ROWS:
            try:
                server.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
                print(json.dumps(on(f"{where}/{name}{'?' + query if query else ''}", rows)), flush=True)
            finally:
                server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
