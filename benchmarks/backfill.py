"""What storing observations costs beside one SQL statement that computes and writes the same figures. JSON lines.

`mim kpi backfill` computes a KPI of one sample per team page, and stores samples and figures. Two limits, in the same
run, on the same database (a temporary SQLite file, and the PostgreSQL of tests/run.py), each into an empty table with
the columns, constraints and indexes of the observations:

- `ratio`: beside an `INSERT ... SELECT` from pages, incidents and teams that computes every figure: durations, n,
  median, p90, coverage, confidence, label, inputs and both hashes. The run compares what both wrote. The statement
  knows this one KPI by heart: it looks for no claim, earlier revision or excluded row (`excluded`, `invalid` and
  `evidence_reasons` are constants, empty here in both), and leaves out a group that has no
  row in a window. Its ids count up, and on PostgreSQL, which cannot spell a
  ULID, a row is named by 26 of its hexadecimal digits: so hashes are of the same width, not the same.
- `ratio_of_copy`: beside a bare copy of the finished rows, which computes nothing.

Everything is timed `ROUNDS` times in turn, medians are told. `cpu` ratios count the processor time of this process and
of its PostgreSQL backend instead of the wall clock, which other work on the machine disturbs. `exponent` is that of the
backfill's time over the number of rows.
"""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SIZES = [int(size) for size in os.environ.get("BENCH_BACKFILL_SIZES", "1000,10000,100000").split(",")]
#: Rounds at each size: the large ones are steady, and long.
ROUNDS = {1000: 5, 10_000: 3}
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
SLUG = "team-page-to-bridge"


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds by the clock on the wall, and of processor time here and in the database."""

    wall: float
    cpu: float


def timed(work: Callable[[], object]) -> Took:
    cpu, wall = cpu_seconds(), time.perf_counter()
    work()
    return Took(time.perf_counter() - wall, cpu_seconds() - cpu)


def cpu_seconds() -> float:
    """Of this process, and of the PostgreSQL process that serves its connection, to a hundredth of a second."""
    from django.db import connection

    own = time.process_time()
    if connection.vendor != "postgresql":
        return own
    connection.ensure_connection()
    told = Path(f"/proc/{connection.connection.info.backend_pid}/stat").read_text().rpartition(")")[2].split()
    return own + (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def median(of: list[Took], name: str = "wall") -> float:
    return statistics.median(getattr(each, name) for each in of)


def plant(size: int) -> None:
    """`size` team pages of a tenth as many incidents, over two years."""
    from incidents.models import Incident, TeamPage
    from teams.models import Team

    dice = random.Random(1)  # noqa: S311
    teams = [Team.objects.get_or_create(slug=f"bench-{n}", defaults={"name": f"Bench {n}"})[0] for n in range(4)]
    incidents = []
    for n in range(max(1, size // 10)):
        began = AS_OF - timedelta(days=730) + timedelta(days=729) * (n / max(1, size // 10))
        incidents.append(
            Incident(
                title=f"Bench {n}", severity="critical", status="resolved", phase=8, detected_at=began,
                phase_entered_at=began, resolved_at=began + timedelta(hours=2),
            )
        )  # fmt: skip
    Incident.objects.bulk_create(incidents, batch_size=2000)
    pages = []
    for n in range(size):
        incident = incidents[n % len(incidents)]
        paged = incident.detected_at + timedelta(seconds=n // len(incidents))
        arrived = paged + timedelta(seconds=dice.randint(60, 900))
        pages.append(
            TeamPage(
                incident=incident, team=teams[n % 4], alarm_level="box3", paged_at=paged, arrived_at=arrived,
                arrival_source="observed",
            )
        )  # fmt: skip
    TeamPage.objects.bulk_create(pages, batch_size=2000)


def empty() -> None:
    from django.db import connection

    from kpis.models import KpiObservation, KpiRun
    from majorops.lib.ledger import unlocked

    run("DROP TABLE IF EXISTS kpi_twin")
    with unlocked(connection):
        for model in (KpiObservation, KpiRun):
            if connection.vendor == "postgresql":
                run(f"TRUNCATE {model._meta.db_table} CASCADE")
            else:
                run(f"DELETE FROM {model._meta.db_table}")  # noqa: S608


def run(statement: str, values: Sequence[object] | None = None) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def twin() -> None:
    """An empty table `kpi_twin` with the columns, constraints and indexes of the observations, and no trigger."""
    from django.db import connection

    from kpis.models import KpiObservation

    if connection.vendor == "postgresql":
        run("CREATE TABLE kpi_twin (LIKE kpi_observations INCLUDING ALL)")
        for column, target in foreign_keys():
            refers = f"ADD FOREIGN KEY ({column}) REFERENCES {target} DEFERRABLE INITIALLY DEFERRED"
            run(f"ALTER TABLE kpi_twin {refers}")
        return
    table = KpiObservation._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = %s AND type IN ('table', 'index') AND sql IS NOT NULL "
            "ORDER BY type DESC",
            [table],
        )
        statements = [row[0] for row in cursor.fetchall()]
    for statement in statements:
        is_table = statement.startswith("CREATE TABLE")
        copy = statement.replace(f'"{table}"', '"kpi_twin"')
        run(copy if is_table else copy.replace(' INDEX "', ' INDEX "twin_', 1))


def foreign_keys() -> list[tuple[str, str]]:
    """(column, table it refers to); to its own table it refers in neither."""
    from kpis.models import KpiObservation

    fields = [field for field in KpiObservation._meta.concrete_fields if field.is_relation]
    found = [(str(field.column), field.related_model._meta.db_table) for field in fields]
    return [(column, table) for column, table in found if table != KpiObservation._meta.db_table]


#: What differs between the databases: how a row is named, minutes and milliseconds, a new id, JSON, sha256.
DIALECTS = {
    "postgresql": {
        "ref": "'team_page:' || substr(upper(replace(p.id::text, '-', '')), 7)",
        "minutes": "extract(epoch FROM p.arrived_at - p.paged_at)::float8 / 60",
        "millisecond": "date_trunc('milliseconds', p.paged_at)",
        "since": "%s::timestamptz - interval '{days} days'",
        "id": "lpad(to_hex(row_number() OVER ()), 32, '0')::uuid",
        "json": "{}::jsonb",
        "sha": "encode(sha256(convert_to({}, 'UTF8')), 'hex')",
        "real": "::float8",
        "no_id": "NULL::uuid",
        "no_time": "NULL::timestamptz",
        "as_of": "%s::timestamptz",
    },
    "sqlite": {
        "ref": "'team_page:' || p.id",
        "minutes": "(strftime('%%s', p.arrived_at) - strftime('%%s', p.paged_at)"
        " + ('0' || substr(p.arrived_at, 20)) - ('0' || substr(p.paged_at, 20))) / 60.0",
        "millisecond": "CASE WHEN length(p.paged_at) = 19 THEN p.paged_at ELSE substr(p.paged_at, 1, 23) || '000' END",
        "since": "datetime(%s, '-{days} days')",
        "id": "printf('%%026d', row_number() OVER ())",
        "json": "{}",
        "sha": "SHA256({})",
        "real": "",
        "no_id": "NULL",
        "no_time": "NULL",
        "as_of": "%s",
    },
}
#: A row for each page that should give a value, and in `f` the figures of each window: everyone's, and of each group.
STATEMENT = """
INSERT INTO kpi_twin (id, kpi_id, subject_type, subject_id, subject_key, "window", dims_key, dims, timestamp, revision,
    is_current, incident_id, value, reason, units, n, median, p90, excluded, invalid, coverage, confidence, evidence,
    evidence_reasons, source, definition_version_id, run_id, last_fact_at, inputs, inputs_sha256, result_sha256,
    created_at, retired_reason)
WITH s AS MATERIALIZED (
    SELECT {ref} AS ref, p.incident_id, coalesce(m.slug, t.slug) AS team, p.alarm_level AS level, p.paged_at,
        {millisecond} AS at,
        CASE WHEN p.arrived_at >= p.paged_at AND p.arrived_at < {as_of} THEN {minutes} END AS minutes,
        CASE WHEN p.arrival_source <> 'self' THEN 0.8
            WHEN p.arrival_recorded_at IS NULL OR p.arrival_recorded_at = p.arrived_at THEN 1.0
            ELSE 0.9 END{real} AS sure
    FROM team_pages p JOIN incidents i ON i.id = p.incident_id JOIN teams t ON t.id = p.team_id
    LEFT JOIN teams m ON m.id = t.merged_into_id
    WHERE i.kind IN ('real', 'backfilled') AND p.cancelled_at IS NULL AND p.paged_at < {as_of}
        AND (p.arrived_at < {as_of} OR (i.status = 'resolved' AND i.resolved_at < {as_of}))
), w (name, since) AS (
    SELECT 'all', {no_time} UNION ALL SELECT 'P90D', {since_90} UNION ALL SELECT 'P60D', {since_60}
    UNION ALL SELECT 'P30D', {since_30}
), f AS ({figures}
), o AS (
    SELECT 'team_page' AS kind, substr(ref, 11) AS subject, '' AS name, '' AS dims_key,
        '{{"team": "' || team || '", "alarm_level": "' || level || '"}}' AS dims, at, incident_id, minutes AS value,
        1 AS n, minutes AS median, minutes AS p90, 1.0{real} AS coverage, sure, {no_time} AS last_fact_at,
        '"' || ref || '"' AS refs, 1 AS least FROM s WHERE minutes IS NOT NULL
    UNION ALL
    SELECT 'org', 'org', name, CASE WHEN team IS NULL THEN '' ELSE 'alarm_level=' || level || ';team=' || team END,
        CASE WHEN team IS NULL THEN '{{}}'
            ELSE '{{"team": "' || team || '", "alarm_level": "' || level || '"}}' END,
        {as_of}, {no_id}, value, n, median, p90, coverage, sure,
        (SELECT max(paged_at) FROM s), refs, 5 FROM f
), h AS (SELECT o.*, {sha_of_refs} AS inputs_sha256 FROM o)
SELECT {id}, 'team-page-to-bridge', kind, subject, kind || ':' || subject, name, dims_key, {dims}, at, 1,
    TRUE, incident_id, value, '', 'minutes', n, median, p90, {nothing}, {nothing}, coverage, round(coverage * sure, 3),
    CASE WHEN n >= least AND coverage >= 0.8 AND sure >= 0.8 THEN 'verified' ELSE 'partial' END,
    {no_reasons}, 'cli', %s, %s, last_fact_at, {inputs}, inputs_sha256, {sha_of_result}, %s, ''
FROM h ORDER BY at, subject
"""
#: On PostgreSQL by its own grouping sets and percentiles; SQLite has neither, so ranks are counted and interpolated.
FIGURES = {
    "postgresql": """
    SELECT w.name, team, level, count(minutes) AS n, avg(minutes) AS value,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY minutes) AS median,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY minutes) AS p90,
        round(count(minutes)::numeric / count(*), 3)::float8 AS coverage,
        round((avg(sure) FILTER (WHERE minutes IS NOT NULL))::numeric, 3)::float8 AS sure,
        string_agg('"' || ref || '"', ',' ORDER BY ref) FILTER (WHERE minutes IS NOT NULL) AS refs
    FROM w JOIN s ON w.since IS NULL OR s.paged_at >= w.since
    GROUP BY GROUPING SETS ((w.name, team, level), (w.name))""",
    "sqlite": """
    SELECT name, team, level, count(minutes) AS n, avg(minutes) AS value,
        sum(minutes * max(0, 1 - abs((valid - 1) * 0.5 - place))) AS median,
        sum(minutes * max(0, 1 - abs((valid - 1) * 0.9 - place))) AS p90,
        round(count(minutes) * 1.0 / count(*), 3) AS coverage,
        round(avg(sure) FILTER (WHERE minutes IS NOT NULL), 3) AS sure,
        group_concat('"' || ref || '"', ',') FILTER (WHERE minutes IS NOT NULL) AS refs
    FROM (
        SELECT w.name, g.*, row_number() OVER (PARTITION BY w.name, team, level ORDER BY minutes IS NULL, minutes) - 1
            AS place, count(minutes) OVER (PARTITION BY w.name, team, level) AS valid
        FROM w JOIN (
            SELECT ref, team, level, paged_at, minutes, sure FROM s
            UNION ALL SELECT ref, NULL, NULL, paged_at, minutes, sure FROM s
        ) g ON w.since IS NULL OR g.paged_at >= w.since
    ) GROUP BY name, team, level""",
}
#: `"team_page:...",` is 39 characters wide, and an observation names 200 rows at most.
WIDE = 39 * 200 - 1


def same_figures(definition: Any) -> Callable[[], None]:
    """The statement, ready to run: it computes what the backfill computes."""
    from django.db import connection, transaction

    from kpis.models import KpiRun

    words = DIALECTS[connection.vendor]
    result = (
        (
            """'{{"confidence":' || round(coverage * sure, 3) || ',"coverage":' || coverage || ',"dims":' || dims"""
            """ || ',"evidence":["verified"],"excluded":{{}},"figures":[' || value || ',null,null,' || median || ','"""
            """ || p90 || '],"inputs":"' || inputs_sha256 || '","invalid":{{}},"n":' || n"""
            """ || ',"reason":null,"units":"minutes","version":1}}'"""
        )
        .replace("{{", "{")
        .replace("}}", "}")
    )
    if connection.vendor == "postgresql":
        result = result.replace("round(coverage * sure, 3)", "round((coverage * sure)::numeric, 3)")
    statement = STATEMENT.format(
        **words,
        figures=FIGURES[connection.vendor],
        since_90=words["since"].format(days=90),
        since_60=words["since"].format(days=60),
        since_30=words["since"].format(days=30),
        sha_of_refs=words["sha"].format("'[' || refs || ']'"),
        sha_of_result=words["sha"].format(result),
        dims=words["json"].format("dims"),
        nothing=words["json"].format("'{}'"),
        no_reasons=words["json"].format("'[]'"),
        inputs=words["json"].format(f"('[' || substr(refs, 1, {WIDE}) || ']')"),
    )
    if connection.vendor == "postgresql":
        statement = statement.replace("round(coverage * sure, 3),\n", "round((coverage * sure)::numeric, 3)::float8,\n")
    version = definition.versions.get(version=definition.current_version, minor=0).pk

    def insert() -> None:
        newest = KpiRun.objects.order_by("-id").values_list("id", flat=True)[0]
        as_of: object = AS_OF if connection.vendor == "postgresql" else AS_OF.strftime("%Y-%m-%d %H:%M:%S")
        names = [as_uuid(version), as_uuid(newest)] if connection.vendor == "postgresql" else [version, newest]
        times = (STATEMENT.count("{as_of}") + 3) * [as_of]
        with transaction.atomic():
            run(statement, [*times, *names, as_of])

    return insert


def as_uuid(ulid: str) -> str:
    from majorops.lib.ulid import hex_of

    return hex_of(ulid)


def figures_in(table: str) -> list[tuple[object, ...]]:
    """What was computed, for a comparison: all that does not depend on ids, to nine digits."""
    from django.db import connection

    columns = '"window", dims_key, timestamp, incident_id, value, n, median, p90, coverage, confidence, evidence'
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns}, last_fact_at FROM {table} WHERE value IS NOT NULL")  # noqa: S608  (our own names)
        rows = cursor.fetchall()
    told = [tuple(f"{one:.9g}" if isinstance(one, float) else str(one) for one in row) for row in rows]
    return sorted(told)


def measure(size: int) -> dict[str, object]:
    """On the database of DATABASE_URL, which is made for this."""
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection, transaction

    from kpis.compute import backfill
    from kpis.models import KpiDefinition, KpiObservation

    settings.DEBUG = False  # or Django keeps every query in memory
    call_command("migrate", verbosity=0)
    plant(size)
    if connection.vendor == "postgresql":
        run("ANALYZE")
    definition = KpiDefinition.objects.get(slug=SLUG)
    insert = same_figures(definition)

    def copy() -> None:
        with transaction.atomic():
            run("INSERT INTO kpi_twin SELECT * FROM kpi_observations")

    backfills, again, statements, copies = [], [], [], []
    for _ in range(ROUNDS.get(size, 1)):
        empty()
        backfills.append(timed(lambda: backfill(definition, as_of=AS_OF)))
        again.append(timed(lambda: backfill(definition, as_of=AS_OF)))
        twin()
        statements.append(timed(insert))
        if figures_in("kpi_twin") != figures_in("kpi_observations"):
            sys.exit("The two tables differ.")
        run("DROP TABLE kpi_twin")
        twin()
        copies.append(timed(copy))
    stored = KpiObservation.objects.count()
    if not stored >= size:
        sys.exit("Fewer observations than team pages.")
    return {
        "benchmark": "backfill",
        "database": connection.vendor,
        "observations": stored,
        "seconds": round(median(backfills), 3),
        "cpu_seconds": round(median(backfills, "cpu"), 3),
        "per_second": round(stored / median(backfills)),
        "again_per_second": round(stored / median(again)),
        "statement_per_second": round(stored / median(statements)),
        "copy_per_second": round(stored / median(copies)),
        "ratio": round(median(statements) / median(backfills), 3),
        "cpu_ratio": round(median(statements, "cpu") / median(backfills, "cpu"), 3),
        "ratio_of_copy": round(median(copies) / median(backfills), 3),
        "cpu_ratio_of_copy": round(median(copies, "cpu") / median(backfills, "cpu"), 3),
    }


def on(url: str, size: int) -> dict[str, object]:
    """In a process of its own, for settings are read once."""
    environment = {**os.environ, "DATABASE_URL": url, "DEBUG": "1", "DJANGO_SETTINGS_MODULE": "majorops.settings"}
    environment["MAJOROPS_AUTH_MODE"] = "dev"
    command = [sys.executable, __file__, "--measure", str(size)]
    told = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    found: dict[str, object] = json.loads(told.stdout.splitlines()[-1])
    return found


def exponent(rows: list[dict[str, object]], time_of: str) -> float:
    """The slope of time over rows, both as logarithms, by least squares."""
    points = [(math.log(float(str(row["observations"]))), math.log(float(str(row[time_of])))) for row in rows]
    x, y = (statistics.mean(axis) for axis in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def tell(vendor: str, url_of: Callable[[int], str]) -> None:
    rows = []
    for size in SIZES:
        rows.append(on(url_of(size), size))
        print(json.dumps(rows[-1]), flush=True)
    if len(rows) > 1:
        fitted = {
            "exponent": round(exponent(rows, "seconds"), 3),
            "cpu_exponent": round(exponent(rows, "cpu_seconds"), 3),
        }
        print(json.dumps({"benchmark": "backfill", "database": vendor, **fitted}), flush=True)


def main() -> None:
    sys.path.insert(0, str(ROOT))
    if "--measure" in sys.argv:
        print(json.dumps(measure(int(sys.argv[-1]))))
        return
    import psycopg

    from tests.run import postgresql

    with tempfile.TemporaryDirectory() as folder:
        tell("sqlite", lambda size: f"sqlite:///{folder}/bench-{size}.sqlite3")
    with postgresql() as (url, _), psycopg.connect(url, autocommit=True) as server:
        names = {size: f"bench_{os.getpid()}_{size}" for size in SIZES}
        base, _, query = url.partition("?")
        try:
            for name in names.values():
                server.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
            where = base.rpartition("/")[0]
            tell("postgresql", lambda size: f"{where}/{names[size]}{'?' + query if query else ''}")
        finally:
            for name in names.values():
                server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
