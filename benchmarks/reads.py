"""What reading the API costs beside PostgreSQL writing the same answer alone with `json_agg`. JSON lines.

100,000 incidents; the list is the newest 50, the detail has 200 log entries, 30 updates and 10 milestones. Over real
HTTP and one kept connection, turn by turn in the same run; `ratio` is the median of the rounds' ratios of p50. The
limit stands behind the same door (identity and middleware), `bare_ratio` is against the same view with no door at all.
Then an open loop: requests come at random moments, 100 a second, whether the last was answered or not, and latency
counts from the moment they were due. Exit status 1 if a goal is missed.
`python benchmarks/reads.py [--rounds 7] [--rate 100] [--seconds 10] [--open-rounds 3] [--workers 1,2]`
"""
# ruff: noqa: E402 - Django needs its settings before the imports.

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import random
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import uvloop

from benchmarks.live import servers

if TYPE_CHECKING:
    from incidents.models import Incident, Milestone, StatusUpdate, TimelineEvent

RATIO_GOALS = {"list": 2.0, "detail": 2.5, "detail 304": 0.5}
#: At an offered rate, in milliseconds.
OPEN_GOALS = {"p50_ms": 10.0, "p95_ms": 25.0, "p99_ms": 50.0}
#: Requests of one way in one turn.
TURN = 60
APPLICATION = "benchmarks.live.limit:application"
WHO = "mim@example.com"
WORDS = "The primary answers again, replicas catch up, and the queue in front of checkout gets shorter. "


class Report:
    """Prints each figure, and remembers whether every goal was met."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def line(self, what: str, *, is_met: bool | None = None, **figures: object) -> None:
        told = {} if is_met is None else {"is_met": is_met}
        load = round(os.getloadavg()[0], 1)
        print(json.dumps({"benchmark": "reads", "what": what, **figures, **told, "load": load}), flush=True)
        if is_met is False:
            self.missed.append(what)


# --- The scene ---


def arrange(url: str, count: int) -> str:
    """The demo's people, `count` incidents, 400 of them with a long history, and the id of the newest."""
    os.environ["DATABASE_URL"] = url
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.utils import timezone

    from incidents.models import Milestone, StatusUpdate, TimelineEvent
    from majorops.demo import load

    call_command("migrate", verbosity=0)
    load(now := timezone.now())
    newest = _incidents(count, now)[:400]
    for model, write in ((TimelineEvent, _entries), (StatusUpdate, _updates), (Milestone, _milestones)):
        model._default_manager.bulk_create((row for one in newest for row in write(one)), batch_size=2000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return str(newest[0].pk)


def _incidents(count: int, now: datetime) -> list[Incident]:
    from accounts.models import User
    from incidents.models import Incident

    mim, leader = (User.objects.get(email=email) for email in (WHO, "admin@example.com"))
    usual: dict[str, Any] = {
        "title": "prod-west-db-01 unreachable",
        "description": WORDS * 3,
        "severity": "critical",
        "phase_entered_at": now,
        "affected_systems": ["checkout", "payments", "prod-west-db-01"],
        "bridge_url": "https://meet.example.com/mi-1",
        "mim": mim,
        "leader": leader,
        "opened_by": mim,
        "alert_source": "pagerduty",
        "alert_id": "Q0V6X1",
        "customer_count": 1200,
        "issue_time": now,
        "business_impact": WORDS,
        "customer_impact_summary": WORDS,
        "exec_summary": WORDS,
    }
    rows = (Incident(detected_at=now + timedelta(minutes=1 - n), **usual) for n in range(count))
    return Incident.objects.bulk_create(rows, batch_size=2000)


def _entries(incident: Incident) -> Iterator[TimelineEvent]:
    from incidents.models import TimelineEvent

    for n in range(200):
        yield TimelineEvent(
            incident=incident,
            type="action",
            title=f"Entry {n}",
            description=WORDS,
            actor="R. Okafor",
            occurred_at=incident.detected_at + timedelta(seconds=n),
            visibility=("internal", "public", None)[n % 3],
            changes=None if n % 20 else {"severity": ["high", "critical"]},
        )


def _updates(incident: Incident) -> Iterator[StatusUpdate]:
    from incidents.models import StatusUpdate

    for n in range(30):
        yield StatusUpdate(
            incident=incident,
            content=WORDS * 2,
            visibility=("internal", "public")[n % 2],
            author_name="R. Okafor",
            created_at=incident.detected_at + timedelta(minutes=n),
        )


def _milestones(incident: Incident) -> Iterator[Milestone]:
    from incidents.models import Milestone

    for n in range(10):
        yield Milestone(
            incident=incident,
            sequence=n + 1,
            title=f"Milestone {n}",
            body=WORDS * 2,
            status_at_cut="active",
            cut_by_name="R. Okafor",
            created_at=incident.detected_at + timedelta(minutes=n),
        )


# --- Turn by turn ---


@dataclass
class Way:
    """One address asked again and again on one connection."""

    name: str
    path: str
    connection: http.client.HTTPConnection
    headers: dict[str, str]
    status: int = 200
    bytes: int = 0
    #: p50 of each round, in milliseconds.
    rounds: list[float] = field(default_factory=list)

    def ask(self) -> http.client.HTTPResponse:
        self.connection.request("GET", self.path, headers=self.headers)
        answer = self.connection.getresponse()
        self.bytes = len(answer.read())
        if answer.status != self.status:
            raise RuntimeError(f"{self.path}: {answer.status}")
        return answer

    def turn(self) -> None:
        took = []
        for _ in range(TURN):
            begun = perf_counter()
            self.ask()
            took.append((perf_counter() - begun) * 1000)
        self.rounds.append(statistics.median(took))


def compare(port: int, incident: str, rounds: int, report: Report) -> None:
    """List, detail and detail nobody changed, each beside its two limits."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    who = servers.identity(WHO) | {"Accept": "application/json"}

    def way(name: str, path: str, **more: Any) -> Way:
        return Way(name, path, connection, who | more.pop("headers", {}), **more)

    one = f"incidents/{incident}"
    tag = way("", f"/api/v1/{one}").ask().headers["ETag"]
    read = {
        "list": way("list", "/api/v1/incidents"),
        "detail": way("detail", f"/api/v1/{one}"),
        "detail 304": way("detail 304", f"/api/v1/{one}", headers={"If-None-Match": tag}, status=304),
    }
    limits = {
        f"{door} {what}": way("", f"/{door}/{where}")
        for door in ("limit", "bare")
        for what, where in (("list", "incidents"), ("detail", one))
    }
    ways = [*read.values(), *limits.values()]
    for turn in range(rounds + 1):
        for each in ways:
            each.turn()
        if not turn:  # the first warms up
            for each in ways:
                each.rounds.clear()
    for name, each in read.items():
        limit, bare = (limits[f"{door} {name.partition(' ')[0]}"] for door in ("limit", "bare"))
        ratio, goal = _ratio(each, limit), RATIO_GOALS[name]
        report.line(
            name,
            rounds=rounds,
            p50_ms=round(statistics.median(each.rounds), 2),
            limit_ms=round(statistics.median(limit.rounds), 2),
            bare_ms=round(statistics.median(bare.rounds), 2),
            bytes=each.bytes,
            limit_bytes=limit.bytes,
            bare_ratio=_ratio(each, bare),
            ratio=ratio,
            goal=goal,
            is_met=ratio <= goal,
        )
    connection.close()


def _ratio(one: Way, other: Way) -> float:
    return round(statistics.median(a / b for a, b in zip(one.rounds, other.rounds, strict=True)), 2)


# --- At an offered rate ---


async def offer(port: int, path: str, rate: float, seconds: float) -> tuple[list[float], int]:
    """Milliseconds from the moment each request was due until its answer was there, and how many went wrong."""
    dice, loop = random.Random(1), asyncio.get_running_loop()  # noqa: S311
    idle: list[Line] = []
    took: list[float] = []
    asked: list[asyncio.Task[None]] = []
    errors = 0

    async def ask(due: float) -> None:
        nonlocal errors
        line = idle.pop() if idle else await Line.open(port)
        try:
            status = await asyncio.wait_for(line.get(path), 30)
        except (OSError, EOFError, TimeoutError):
            errors += 1
            return
        idle.append(line)
        took.append((loop.time() - due) * 1000)
        errors += status != 200

    due = loop.time() + 0.1
    until = due + seconds
    while due < until:
        await asyncio.sleep(max(0, due - loop.time()))
        asked.append(asyncio.create_task(ask(due)))
        due += dice.expovariate(rate)
    await asyncio.gather(*asked)
    for line in idle:
        line.writer.close()
    return took, errors


@dataclass
class Line:
    """A kept connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> Line:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    async def get(self, path: str) -> int:
        headers = servers.identity(WHO) | {"Host": "127.0.0.1", "Accept": "application/json"}
        told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.writer.write(f"GET {path} HTTP/1.1\r\n{told}\r\n".encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        await self.reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        return int(head.split(b" ", 2)[1])


def offered(server: servers.Server, incident: str, chosen: argparse.Namespace, workers: int, report: Report) -> None:
    for what, path in (("list", "/api/v1/incidents"), ("detail", f"/api/v1/incidents/{incident}")):
        uvloop.run(offer(server.port, path, chosen.rate, 2))  # warms up
        for _ in range(chosen.open_rounds):
            cpu = server.cpu()
            took, errors = uvloop.run(offer(server.port, path, chosen.rate, chosen.seconds))
            cuts = statistics.quantiles(took, n=100)
            figures = {"p50_ms": cuts[49], "p95_ms": cuts[94], "p99_ms": cuts[98]}
            report.line(
                f"{what} at {chosen.rate:g}/s",
                workers=workers,
                requests=len(took),
                errors=errors,
                **{name: round(value, 1) for name, value in figures.items()},
                cpu_ms_each=round((server.cpu() - cpu) / len(took) * 1000, 2),
                goal=OPEN_GOALS,
                is_met=not errors and all(figures[name] < goal for name, goal in OPEN_GOALS.items()),
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--open-rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--workers", default="1,2")
    chosen = parser.parse_args()
    os.environ.update(servers.PRODUCTION)
    from tests.run import postgresql

    report = Report()
    with postgresql() as (url, _):
        incident = arrange(url, chosen.incidents)
        with servers.majorops(url, 1, APPLICATION) as server:
            compare(server.port, incident, chosen.rounds, report)
        for workers in map(int, chosen.workers.split(",")):
            with servers.majorops(url, workers) as server:
                offered(server, incident, chosen, workers, report)
    if report.missed:
        print(f"Missed: {', '.join(report.missed)}", file=sys.stderr)
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
