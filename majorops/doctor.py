"""`mim doctor`: what of an installation works, what is weak, what is broken, and what to do about each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Max

from incidents import outbox
from kpis.models import KpiDefinition, KpiRun
from majorops.checks import is_behind
from majorops.jobs import PATIENCE
from majorops.jobs_reading import stale_jobs
from majorops.lib.bus import listening
from majorops.lib.grants import rewritable
from majorops.lib.ledger import missing_guards
from majorops.lib.remote import Refused, Server
from majorops.lib.times import SKEW
from majorops.models import JobRun

#: Figures of a day are computed in the night after it.
FRESH = timedelta(hours=36)
#: Messages that wait longer do so because nobody sends them.
WAIT = timedelta(minutes=15)
#: Clocks of two machines that differ by more show times that surprise.
DRIFT = timedelta(seconds=2)


class State(StrEnum):
    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    state: State
    told: str
    next_step: str = ""


def examine(now: datetime) -> list[Finding]:
    """Every check of the server. Without a database the others cannot be asked."""
    try:
        found = list(database(now))
        if any(each.state == State.FAIL for each in found):
            return [*found, *unsafe_settings(now)]
        return [*found, *(each for check in CHECKS for each in check(now))]
    except DatabaseError as error:
        return [_unreachable(error), *unsafe_settings(now)]


def _unreachable(error: DatabaseError) -> Finding:
    first_line = str(error).partition("\n")[0]
    return Finding("database", State.FAIL, f"It does not answer: {first_line}", "Check DATABASE_URL.")


def database(now: datetime) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    yield Finding("database", State.OK, f"{connection.vendor} answers.")
    if is_behind(connection):
        yield Finding("migrations", State.FAIL, "Migrations wait.", "python manage.py migrate")
    else:
        yield Finding("migrations", State.OK, "All are applied.")


def ledgers(now: datetime) -> Iterator[Finding]:
    if missing := missing_guards(connection):
        told = f"{len(missing)} guards are missing, the first is {missing[0]}: history could be rewritten."
        yield Finding("ledgers", State.FAIL, told, "python manage.py migrate")
    elif weak := rewritable(connection):
        yield Finding("ledgers", State.WARN, weak[0], 'mim db grants ROLE | psql "$OWNER_DATABASE_URL"')
    else:
        yield Finding("ledgers", State.OK, "Every guard stands.")


def worker(now: datetime) -> Iterator[Finding]:
    last = JobRun.objects.exclude(worker="").aggregate(at=Max("started_at"))["at"]
    stale = stale_jobs(now)
    missed = [job for job in stale if job.since < now - PATIENCE and "worker" in job.why]
    heard = f"last heard {last:%Y-%m-%d %H:%M} UTC" if last else "never heard"
    if missed:
        told = f"{heard}; {missed[0].job} has waited since {missed[0].since:%Y-%m-%d %H:%M} UTC"
        yield Finding("worker", State.FAIL, f"{told}, and {len(missed) - 1} more jobs.", "mim worker")
    else:
        yield Finding("worker", State.OK, f"{heard[0].upper()}{heard[1:]}; nothing is overdue.")
    for job in stale:
        if job not in missed:
            yield Finding(f"job {job.job}", State.WARN, job.why, f"mim jobs run {job.job}")


def messages(now: datetime) -> Iterator[Finding]:
    standing = outbox.lag(now - timedelta(days=1))
    if standing.oldest and now - standing.oldest > WAIT:
        told = f"{standing.waiting} wait, the oldest since {standing.oldest:%Y-%m-%d %H:%M} UTC."
        yield Finding("outbox", State.FAIL, told, "mim outbox deliver --watch")
    elif standing.failed:
        told = f"{standing.failed} were given up in the last 24 hours."
        yield Finding("outbox", State.WARN, told, "Look at Deliveries in admin.")
    else:
        yield Finding("outbox", State.OK, f"{standing.waiting} wait.")


def unsafe_settings(now: datetime) -> Iterator[Finding]:
    """What is allowed and yet fit for a laptop only; what is forbidden lets nothing start."""
    weak = [
        (settings.DEBUG, "DEBUG=1 shows its insides to everybody who causes an error.", "Unset DEBUG."),
        (
            settings.MAJOROPS_AUTH_MODE == "dev",
            "MAJOROPS_AUTH_MODE=dev lets anyone be anyone.",
            "Set it to access or proxy: docs/settings.md",
        ),
        (
            connection.vendor == "sqlite",
            "SQLite: one machine, one writer.",
            "Set DATABASE_URL to PostgreSQL.",
        ),
        (
            settings.MAJOROPS_AUTH_MODE == "proxy" and not settings.TLS_TERMINATED_BY_PROXY and not settings.DEBUG,
            "The proxy is not said to speak https.",
            "TLS_TERMINATED_BY_PROXY=1, if it does.",
        ),
        (settings.MAJOROPS_PAGES_TO_PRIVATE, "Teams may be called at private addresses.", "Unset it."),
        (not settings.MAJOROPS_PUBLIC_URL, "Messages carry no link to this site.", "Set MAJOROPS_PUBLIC_URL."),
    ]
    found = [Finding("settings", State.WARN, told, step) for is_so, told, step in weak if is_so]
    yield from found or [Finding("settings", State.OK, "Fit to serve people.")]


def clock(now: datetime) -> Iterator[Finding]:
    if connection.vendor != "postgresql":
        yield Finding("clock", State.OK, "The database is a file of this machine.")
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        theirs: datetime = cursor.fetchone()[0]
    yield drift(abs(datetime.now(UTC) - theirs), "the database")


def drift(apart: timedelta, whose: str) -> Finding:
    """How far our clock and another one are apart."""
    state = State.FAIL if apart > SKEW else State.WARN if apart > DRIFT else State.OK
    step = "" if state == State.OK else "Set both clocks by NTP."
    return Finding("clock", state, f"{apart.total_seconds():.1f} s apart from {whose}.", step)


def figures(now: datetime) -> Iterator[Finding]:
    if not KpiDefinition.objects.computable().exists():
        yield Finding("figures", State.WARN, "No KPI is computed.", "mim pack list")
        return
    newest = KpiRun.objects.exclude(outcome="").aggregate(at=Max("as_of"))["at"]
    if newest is None:
        yield Finding("figures", State.WARN, "Nothing was computed yet.", "mim kpi backfill --all")
    elif now - newest > FRESH:
        yield Finding("figures", State.WARN, f"The newest are as of {newest:%Y-%m-%d %H:%M} UTC.", "mim kpi nightly")
    else:
        yield Finding("figures", State.OK, f"As of {newest:%Y-%m-%d %H:%M} UTC.")


def stream(now: datetime) -> Iterator[Finding]:
    with listening() as ear:
        ear.heard(0)
    how = "LISTEN works" if connection.vendor == "postgresql" else "the file's commits are counted"
    yield Finding("stream", State.OK, f"Pages can hear of changes: {how}.")


CHECKS: tuple[Callable[[datetime], Iterator[Finding]], ...] = (
    ledgers,
    worker,
    messages,
    clock,
    figures,
    stream,
    unsafe_settings,
)


def examine_from_afar(server: Server) -> list[Finding]:
    """What a program far away can tell: the server answers, the token counts, and the clocks agree."""
    answer = server.ask("GET", "users/me")
    scopes = ", ".join(answer.document.get("scopes") or []) or "none"
    found = [
        Finding("server", State.OK, f"{server.url} answers."),
        Finding("token", State.OK, f"It is of {answer.document.get('name', 'a program')}, with the scopes {scopes}."),
        drift(abs(datetime.now(UTC) - answer.at), "the server"),
    ]
    try:
        server.get("incidents", limit=1)
    except Refused as refused:
        found.append(Finding("incidents", State.WARN, refused.message, "mim token create NAME --scope SCOPE"))
    return found
