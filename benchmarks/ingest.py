"""What taking in facts costs beside a bare COPY of the same finished rows into the same table. JSON lines.

On PostgreSQL (that of tests/run.py), with `BENCH_INGEST_WORKERS` processes that each send bodies of
`BENCH_INGEST_BATCH` events of about 200 bytes, in turn in the same run, each variant into an emptied table:

- `raw`: COPY of rows that were rendered before the clock starts: nothing is parsed or checked.
- `new`: `append_lines` of bodies whose events are all new. Goal: at least 1/1.5 of raw.
- `mixed`: a tenth of each body was sent before. Goal: at least 1/2.5 of raw.
- `again`: every event was sent before.
- `drf`: a plain REST framework serializer with many=True and bulk_create(ignore_conflicts). Goal: a fifth of `new`.
- `floor`: 100,000 events a second, where raw reaches 200,000.

`ratio` is how many times raw is faster, the median over rounds of the ratios within a round. The door (HTTP) is left
out: it is the same for all. `cpu_us` is the processor time of the senders for one event.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BATCH = int(os.environ.get("BENCH_INGEST_BATCH", "2000"))
WORKERS = int(os.environ.get("BENCH_INGEST_WORKERS", "2"))
ROUNDS = int(os.environ.get("BENCH_INGEST_ROUNDS", "5"))
BATCHES = int(os.environ.get("BENCH_INGEST_BATCHES", "30"))
#: The slow variant gets fewer bodies; what it does a second is the same.
SLOW_BATCHES = 4
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
KIND = "bench.request"


def events(worker: int, batch: int, old: float = 0.0) -> bytes:
    """A body. A share `old` of it has the keys of the body before."""
    lines = []
    for n in range(BATCH):
        key = f"{worker:02d}-{(batch if n >= old * BATCH else batch - 1):06d}-{n:06d}"
        payload = {"service": f"api-{n % 20}", "status": 200, "latency_ms": 12.5 + n % 7, "ok": True}
        at = f"2026-03-02T10:{n % 60:02d}:00.{n % 1000:03d}Z"
        event = {"kind": KIND, "occurredAt": at, "payload": payload, "requestId": f"request-{n}", "key": key}
        lines.append(json.dumps(event, separators=(",", ":")).encode())
    return b"\n".join(lines)


def start() -> None:
    sys.path.insert(0, str(ROOT))
    import django

    django.setup()


# --- What a worker does with one body ---


def raw_ready(bodies: Sequence[bytes]) -> Callable[[int], None]:
    from django.db import connection, transaction

    from kpis.facts import ingest, registry, table

    kinds = registry.fresh()
    terms = ingest._terms(kinds, NOW)
    blocks = []
    for body in bodies:
        facts: Any = ingest._quickly([line for _, line in ingest._lines(body, 1)], kinds.lanes, terms)
        rows = table._blocks(sorted(facts, key=lambda fact: fact.key), "bench", NOW)
        blocks.append(["".join(rows).encode()])

    def copy(number: int) -> None:
        statement = f"COPY facts ({table._NAMES}) FROM STDIN"
        with transaction.atomic(), connection.cursor() as cursor, cursor.copy(statement) as into:
            into.write(blocks[number][0])

    return copy


def quick_ready(bodies: Sequence[bytes]) -> Callable[[int], None]:
    from kpis.facts import ingest

    def append(number: int) -> None:
        told = ingest.append_lines(bodies[number], source="bench", now=NOW)
        if told.received != BATCH or told.rejected:
            raise RuntimeError(f"Not every event was taken: {told}")

    return append


def drf_ready(bodies: Sequence[bytes]) -> Callable[[int], None]:
    from rest_framework import serializers

    from kpis.models import Fact

    class Event(serializers.Serializer[Any]):
        kind = serializers.CharField(max_length=72)
        occurredAt = serializers.DateTimeField()  # noqa: N815  # the wire's spelling
        payload = serializers.JSONField()
        requestId = serializers.CharField(max_length=80)  # noqa: N815
        key = serializers.CharField(max_length=200)

    def append(number: int) -> None:
        read = Event(data=[json.loads(line) for line in bodies[number].split(b"\n")], many=True)
        read.is_valid(raise_exception=True)
        rows = [
            Fact(
                kind_id=each["kind"], kind_version=1, occurred_at=each["occurredAt"], received_at=NOW,
                payload=each["payload"], request_id=each["requestId"], source="bench", dedupe_key=each["key"],
            )
            for each in read.validated_data
        ]  # fmt: skip
        Fact.objects.bulk_create(rows, ignore_conflicts=True)

    return append


READY = {"raw": raw_ready, "quick": quick_ready, "drf": drf_ready}


def work(way: str, worker: int, batches: int, old: float, gate: Any, told: Any) -> None:
    """One worker: gets ready, waits for the others, sends its bodies, and tells how long each took."""
    start()
    from django.db import connection

    send = READY[way]([events(worker, batch, old) for batch in range(1, batches + 1)])
    connection.ensure_connection()
    gate.wait()
    began, cpu, took = time.perf_counter(), time.process_time(), []
    for number in range(batches):
        at = time.perf_counter()
        send(number)
        took.append(time.perf_counter() - at)
    told.put((began, time.perf_counter(), time.process_time() - cpu, took))


def run(way: str, batches: int, old: float = 0.0) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    gate, told = context.Barrier(WORKERS), context.Queue()
    workers = [context.Process(target=work, args=(way, n, batches, old, gate, told)) for n in range(WORKERS)]
    for worker in workers:
        worker.start()
    found = [told.get(timeout=600) for _ in workers]
    for worker in workers:
        worker.join()
    count = WORKERS * batches * BATCH
    wall = max(end for _, end, _, _ in found) - min(began for began, _, _, _ in found)
    each = sorted(one for *_, took in found for one in took)
    return {
        "events_per_s": count / wall,
        "cpu_us": 1e6 * sum(cpu for _, _, cpu, _ in found) / count,
        "p50_ms": 1000 * statistics.median(each),
        "p99_ms": 1000 * each[min(len(each) - 1, int(len(each) * 0.99))],
    }


def empty() -> None:
    from django.db import connection

    from majorops.lib.ledger import unlocked

    with unlocked(connection), connection.cursor() as cursor:
        cursor.execute("TRUNCATE facts CASCADE")


def one_round() -> dict[str, dict[str, float]]:
    found = {}
    for name, way, batches, old in (
        ("raw", "raw", BATCHES, 0.0), ("new", "quick", BATCHES, 0.0), ("again", "quick", BATCHES, 0.0),
        ("mixed", "quick", BATCHES, 0.1), ("drf", "drf", SLOW_BATCHES, 0.0),
    ):  # fmt: skip
        if name != "again":
            empty()
        found[name] = run(way, batches, old)
    return found


def measure() -> int:
    start()
    from django.core.management import call_command

    from kpis.facts import kinds
    from kpis.models import Fact

    call_command("migrate", verbosity=0)
    fields = {
        "service": {"type": "string"}, "status": {"type": "int"}, "latency_ms": {"type": "duration", "unit": "ms"},
        "ok": {"type": "bool"},
    }  # fmt: skip
    kind = kinds.Kind(key=KIND, description="A request, to measure with.", fields=fields, owner="Benchmark")
    kinds.define(kind, by=None, reason="Benchmark", now=NOW)
    rounds = [one_round() for _ in range(ROUNDS)]
    if Fact.objects.count() != WORKERS * SLOW_BATCHES * BATCH:
        raise RuntimeError("The last variant did not store every event once.")
    return tell(rounds)


def tell(rounds: list[dict[str, dict[str, float]]]) -> int:
    missed = 0
    for name in rounds[0]:
        line: dict[str, object] = {"benchmark": "ingest", "variant": name, "batch": BATCH, "workers": WORKERS}
        line |= {key: round(statistics.median(one[name][key] for one in rounds), 1) for key in rounds[0][name]}
        ratio = statistics.median(one["raw"]["events_per_s"] / one[name]["events_per_s"] for one in rounds)
        line |= {"ratio": round(ratio, 2), "load": round(os.getloadavg()[0], 1)}
        if name in GOALS:
            line |= {"goal": GOALS[name], "met": ratio <= GOALS[name]}
            missed += not line["met"]
        print(json.dumps(line), flush=True)
    faster = statistics.median(one["new"]["events_per_s"] / one["drf"]["events_per_s"] for one in rounds)
    print(json.dumps({"benchmark": "ingest", "times_drf": round(faster, 1), "goal": 5, "met": faster >= 5}))
    raw, new = (statistics.median(one[name]["events_per_s"] for one in rounds) for name in ("raw", "new"))
    has_floor = raw >= 200_000
    print(json.dumps({"benchmark": "ingest", "floor": 100_000, "applies": has_floor, "met": new >= 100_000}))
    return int(missed + (faster < 5) + (has_floor and new < 100_000) > 0)


GOALS = {"new": 1.5, "mixed": 2.5, "again": 2.5}


def main() -> int:
    os.environ |= {"DJANGO_SETTINGS_MODULE": "majorops.settings", "LOG_LEVEL": "WARNING"}
    os.environ |= {"DEBUG": "1", "MAJOROPS_AUTH_MODE": "dev", "SECRET_KEY": "for-benchmarks-only-" * 3}
    sys.path.insert(0, str(ROOT))
    from tests.run import postgresql

    with postgresql() as (url, _):
        os.environ["DATABASE_URL"] = url
        return measure()


if __name__ == "__main__":
    sys.exit(main())
