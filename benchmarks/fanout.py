"""What it costs to show one new log entry to everybody who watches: 500, 2000, 5000 people, one worker and two.

One JSON line a figure. A bare asyncio server sends as many bytes to as many sockets in the same run, turn by turn, and
the goal is a ratio to it (`ratio`): from the notification until the last client has the new entry, looking and
rendering included, which the bare server does not do. `fan_out_ratio` leaves that out: from the first client to the
last. Exit status 1 if a goal is missed. `python benchmarks/fanout.py [--sizes 500,2000] [--rounds 5]`
"""
# ruff: noqa: E402 - Django needs its settings before the imports.

from __future__ import annotations

import argparse
import asyncio
import http.client
import itertools
import json
import os
import resource
import statistics
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import psycopg
import uvloop

from benchmarks.live import bare, servers
from benchmarks.live.viewers import Crowd, Pass

#: From publishing to the last client, in times of the bare server's, by number of workers.
RATIO_GOALS = {1: 4.0, 2: 2.0}
KIB_GOAL = 60.0
QUERIES_GOAL = 3
NUMBERS = itertools.count()
#: Browsers that come at the same moment.
AT_ONCE = 200


@dataclass(frozen=True)
class Scene:
    """The database, the incident that is watched, and who watches."""

    url: str
    incident: str
    commander: str
    crowd: list[str]
    named: list[str]
    other_roles: list[str]

    @property
    def path(self) -> str:
        return f"/incidents/{self.incident}/live"


class Report:
    """Prints each figure, and remembers whether every goal was met."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def line(self, what: str, *, is_met: bool | None = None, **figures: object) -> None:
        told = {} if is_met is None else {"is_met": is_met}
        load = round(os.getloadavg()[0], 1)
        print(json.dumps({"benchmark": "fanout", "what": what, **figures, **told, "load": load}), flush=True)
        if is_met is False:
            self.missed.append(what)


class Clock(threading.Thread):
    """When the last notification came."""

    def __init__(self, lines: IO[str]) -> None:
        super().__init__(daemon=True)
        self.lines = lines
        self.published = 0.0
        lines.readline()  # it listens
        self.start()

    def run(self) -> None:
        for line in self.lines:
            self.published = float(line)


@dataclass(frozen=True)
class Heard:
    """One message: milliseconds until the first, the middle, the 99th and the last client had it."""

    from_post: float
    first: float
    p50: float
    p99: float
    last: float
    p95_from_post: float
    cpu: float


class Stage:
    """One server with its viewers, and how it is made to speak."""

    def __init__(self, scene: Scene, server: servers.Server, clock: Clock, speak: Callable[[str], None]) -> None:
        self.server, self.clock, self.speak, self.scene = server, clock, speak, scene
        self.says_titles = True
        self.crowd = Crowd(server.port, scene.path)

    async def round(self) -> Heard:
        title = f"Entry {next(NUMBERS)}"
        self.crowd.await_event(wanted=f"{title}<".encode() if self.says_titles else b"")
        cpu, begun = self.server.cpu(), perf_counter()
        await asyncio.to_thread(self.speak, title)
        await self.crowd.everyone(60)
        await asyncio.sleep(0.2)  # what the server does afterwards belongs to this message too
        got = sorted(self.crowd.got)
        since = [(moment - self.clock.published) * 1000 for moment in got]
        return Heard(
            from_post=(got[-1] - begun) * 1000,
            first=since[0],
            p50=since[len(since) // 2],
            p99=since[int(len(since) * 0.99)],
            last=since[-1],
            p95_from_post=(got[int(len(got) * 0.95)] - begun) * 1000,
            cpu=(self.server.cpu() - cpu) * 1000,
        )


# --- The scene ---


def arrange(url: str, viewers: int) -> Scene:
    """The demo, one stakeholder for each viewer, ten people named in the live incident, and some of other roles."""
    os.environ["DATABASE_URL"] = url
    import django

    django.setup()
    from django.core.management import call_command
    from django.utils import timezone

    from accounts.models import User
    from accounts.roles import Role
    from incidents.models import Incident, Participant
    from majorops.demo import load

    call_command("migrate", verbosity=0)
    load(timezone.now())
    now = timezone.now()

    def people(kind: str, number: int, role: Role) -> list[User]:
        rows = [
            User(email=f"{kind}{n}@example.com", display_name=f"{kind.title()} {n}", role=role, last_seen_at=now)
            for n in range(number)
        ]
        return User.objects.bulk_create(rows)

    incident = Incident.objects.filter(resolved_at=None).order_by("-detected_at")[0]
    crowd = people("viewer", viewers, Role.STAKEHOLDER)
    named = people("named", 10, Role.STAKEHOLDER)
    others = people("executive", 40, Role.EXECUTIVE) + people("manager", 10, Role.MIM)
    Participant.objects.bulk_create([Participant(incident=incident, user=person) for person in named])
    return Scene(url, incident.pk, "mim@example.com", *[[row.email for row in rows] for rows in (crowd, named, others)])


def speaker(scene: Scene, port: int) -> Callable[..., None]:
    """Posts a log entry for all to read, as a program of the incident manager does."""
    headers = servers.identity(scene.commander) | servers.CSRF | {"Content-Type": "application/json"}

    def post(title: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        body = json.dumps({"title": title, "type": "action", "visibility": "public"})
        connection.request("POST", f"/api/v1/incidents/{scene.incident}/timeline", body, headers)
        answer = connection.getresponse()
        if answer.status != 201:
            raise RuntimeError(f"{answer.status} {answer.read()[:300]!r}")
        answer.read()
        connection.close()

    return post


def bare_speaker(url: str) -> Callable[[str], None]:
    connection = psycopg.connect(url, autocommit=True)
    return lambda _: connection.execute("SELECT pg_notify(%s, '')", [bare.CHANNEL]) and None


def set_bare_body(port: int, size: int) -> None:
    """As many bytes as our own event has."""
    head = b"event: entries\ndata: "
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/", head + b"x" * (size - len(head) - 2) + b"\n\n")
    connection.getresponse().read()


def standing_of(scene: Scene, port: int, email: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = servers.identity(email) | {"Accept": "application/json"}
    connection.request("GET", scene.path, headers=headers)
    return str(json.loads(connection.getresponse().read())["standing"])


def connections(url: str) -> int:
    """How many database connections the measured server holds."""
    with psycopg.connect(url) as own:
        row = own.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [servers.NAME]
        ).fetchone()
        return int(row[0]) if row else 0


# --- The figures ---


async def measure(scene: Scene, sizes: list[int], rounds: int, workers: int, report: Report) -> None:
    with (
        servers.clock(scene.url) as lines,
        servers.bare(scene.url) as limit,
        servers.majorops(scene.url, workers) as server,
    ):
        clock = Clock(lines)
        ours = Stage(scene, server, clock, speaker(scene, server.port))
        theirs = Stage(scene, limit, clock, bare_speaker(scene.url))
        theirs.says_titles = False
        await warm_up(scene, ours, theirs)
        from majorops.handler import THREADS

        empty, joined = server.memory(), 0
        idle = connections(scene.url)
        for size in sizes:
            new = await passes(scene, server.port, scene.crowd[joined:size])
            joined = size
            await theirs.crowd.open(new, AT_ONCE)
            cpu, begun = server.cpu(), perf_counter()
            opened = await ours.crowd.open(new, AT_ONCE)
            storm = perf_counter() - begun
            report.line(
                "connect",
                workers=workers,
                viewers=len(new),
                at_once=AT_ONCE,
                seconds=round(storm, 2),
                cpu_ms_each=round((server.cpu() - cpu) / len(new) * 1000, 2),
                p99_ms=round(sorted(opened)[int(len(opened) * 0.99)] * 1000),
                most_connections=connections(scene.url),
            )
            await compare(ours, theirs, rounds, workers, report)
        await asyncio.sleep(2)
        kib = (server.memory() - empty) / joined / 1024
        report.line(
            "memory", workers=workers, viewers=joined, kib_each=round(kib, 1), goal=KIB_GOAL, is_met=kib <= KIB_GOAL
        )
        held, goal = connections(scene.url), workers * (1 + THREADS)
        report.line(
            "connections", workers=workers, viewers=joined, before=idle, held=held, goal=goal, is_met=held <= goal
        )
        await ours.crowd.leave()
        await theirs.crowd.leave()
        await come_back(ours, workers, report)
        await mixed(ours, workers, report)


async def come_back(stage: Stage, workers: int, report: Report) -> None:
    """All leave, something is written, all come back at once saying what they have: who lacks it?"""
    scene, crowd = stage.scene, stage.crowd
    entries = await passes(scene, crowd.port, scene.crowd[:500])
    await crowd.open(entries, AT_ONCE)
    await crowd.leave()
    stage.speak(title := f"Written while you were away, {workers}")
    crowd.await_event(len(entries), title.encode())
    begun = perf_counter()
    await crowd.open(entries, AT_ONCE)
    with suppress(TimeoutError):
        await crowd.everyone(30)
    lost = len(entries) - len(crowd.got)
    seconds = round(max(crowd.got, default=begun) - begun, 2)
    report.line(
        "reconnect", workers=workers, viewers=len(entries), lost=lost, seconds=seconds, goal=0, is_met=lost == 0
    )
    await crowd.leave()


async def mixed(stage: Stage, workers: int, report: Report) -> None:
    """Two hundred people of all roles, ten of them named in the incident: from pressing Post to their screens."""
    scene, crowd = stage.scene, stage.crowd
    emails = [*scene.named, *scene.other_roles, *scene.crowd[: 200 - len(scene.named) - len(scene.other_roles)]]
    standings = {email: await asyncio.to_thread(standing_of, scene, crowd.port, email) for email in emails}
    await crowd.open([Pass(email, standings[email]) for email in emails], AT_ONCE)
    took: list[float] = []
    for _ in range(20):
        crowd.await_event(wanted=f"{(title := f'Entry {next(NUMBERS)}')}<".encode())
        begun = perf_counter()
        await asyncio.to_thread(stage.speak, title)
        await crowd.everyone(60)
        took += [(moment - begun) * 1000 for moment in crowd.got]
        await asyncio.sleep(0.3)
    cuts = statistics.quantiles(took, n=100)
    p50, p95 = round(cuts[49]), round(cuts[94])
    report.line(
        "post to screen",
        workers=workers,
        viewers=len(emails),
        p50_ms=p50,
        p95_ms=p95,
        last_ms=round(max(took)),
        wanted_ms=1000,
    )
    await crowd.leave()


async def warm_up(scene: Scene, ours: Stage, theirs: Stage) -> None:
    few = await passes(scene, ours.crowd.port, scene.crowd[:50])
    for stage in (ours, theirs):
        await stage.crowd.open(few, 10)
    set_bare_body(theirs.crowd.port, 1000)
    for _ in range(5):
        await ours.round()
        await theirs.round()
    for stage in (ours, theirs):
        await stage.crowd.leave()
    await asyncio.sleep(1)


async def passes(scene: Scene, port: int, emails: list[str]) -> list[Pass]:
    """People of one role have the page up to the same standing."""
    standing = await asyncio.to_thread(standing_of, scene, port, emails[0])
    return [Pass(email, standing) for email in emails]


async def compare(ours: Stage, theirs: Stage, rounds: int, workers: int, report: Report) -> None:
    await ours.round()
    set_bare_body(theirs.crowd.port, ours.crowd.size)
    pairs = [(await ours.round(), await theirs.round()) for _ in range(rounds)]
    ratio = statistics.median(one.last / other.last for one, other in pairs)
    # Without what it takes to look, render and ask who may still see it, which the bare server does not do.
    spread = statistics.median((one.last - one.first + other.first) / other.last for one, other in pairs)

    def middle(of: Callable[[Heard], float], which: int = 0) -> float:
        return round(statistics.median(of(pair[which]) for pair in pairs), 1)

    report.line(
        "message",
        workers=workers,
        viewers=len(ours.crowd.viewers),
        bytes=ours.crowd.size,
        rounds=rounds,
        from_post_ms=middle(lambda heard: heard.from_post),
        first_ms=middle(lambda heard: heard.first),
        p50_ms=middle(lambda heard: heard.p50),
        p99_ms=middle(lambda heard: heard.p99),
        last_ms=middle(lambda heard: heard.last),
        cpu_ms=middle(lambda heard: heard.cpu),
        bare_last_ms=middle(lambda heard: heard.last, 1),
        bare_cpu_ms=middle(lambda heard: heard.cpu, 1),
        ratio=round(ratio, 2),
        fan_out_ratio=round(spread, 2),
        goal=RATIO_GOALS[workers],
        is_met=ratio <= RATIO_GOALS[workers],
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="500,2000,5000")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", default="1,2")
    chosen = parser.parse_args()
    sizes = [int(size) for size in chosen.sizes.split(",")]
    os.environ.update(servers.PRODUCTION)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    from tests.run import postgresql

    report = Report()
    with postgresql() as (url, _):
        scene = arrange(url, max(sizes))
        for workers in chosen.workers.split(","):
            uvloop.run(measure(scene, sizes, chosen.rounds, int(workers), report))
    if report.missed:
        print(f"Missed: {', '.join(report.missed)}", file=sys.stderr)
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
