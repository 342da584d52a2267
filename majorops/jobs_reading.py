"""How the background work stands: what runs next, what ran last, and what should have run and has not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import OuterRef, QuerySet, Subquery

from majorops.jobs import PATIENCE, rhythm_for
from majorops.lib.jobs import Job, declared
from majorops.models import JobRun, RunState, Schedule


@dataclass(frozen=True, slots=True)
class Stale:
    """A job that somebody should look after: since when, and why."""

    job: str
    since: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A schedule with its next slot and its newest run. `job` is None where it is not declared any more."""

    schedule: Schedule
    job: Job | None
    next_slot: datetime | None
    last: JobRun | None
    stale: Stale | None


def stale_jobs(now: datetime) -> list[Stale]:
    """The active jobs that missed a slot, hang, or failed the last time."""
    return [standing.stale for standing in standings(Schedule.objects.all(), now) if standing.stale]


def standings(schedules: Iterable[Schedule], now: datetime) -> list[Standing]:
    """In the order of the schedules. Two queries."""
    rows = list(schedules)
    runs = newest_runs(rows, JobRun.objects.all())
    return [standing(schedule, runs.get(schedule.job), now) for schedule in rows]


def newest_runs(schedules: Iterable[Schedule], runs: QuerySet[JobRun]) -> dict[str, JobRun]:
    """The newest run of each job that has one. One query."""
    of_job = runs.filter(schedule=OuterRef("pk")).order_by("-id").values("pk")[:1]
    newest = Schedule.objects.filter(pk__in=[row.pk for row in schedules]).values(newest=Subquery(of_job))
    return {run.schedule_id: run for run in runs.filter(pk__in=newest)}


def standing(schedule: Schedule, last: JobRun | None, now: datetime) -> Standing:
    job, rhythm = declared().get(schedule.job), rhythm_for(schedule)
    if job is None or rhythm is None or not schedule.is_active:
        return Standing(schedule, job, None, last, None)
    due = rhythm.after(schedule.settled_until)
    return Standing(schedule, job, due, last, _stale(schedule, due, last, now))


def _stale(schedule: Schedule, due: datetime, last: JobRun | None, now: datetime) -> Stale | None:
    if last and last.lease_until:
        return _stuck(schedule, last, last.lease_until, now)
    if now - due > PATIENCE:
        return Stale(schedule.job, due, "No worker took its slot. Start one: mim worker")
    if last and last.finished_at and last.state == RunState.FAILED:
        return Stale(schedule.job, last.finished_at, f"Its last run failed: {last.outcome}")
    return None


def _stuck(schedule: Schedule, run: JobRun, lease_until: datetime, now: datetime) -> Stale | None:
    if run.state == RunState.WAITING and now - run.claimed_at > PATIENCE:
        return Stale(schedule.job, run.claimed_at, "It waits for a worker that has time. Start another: mim worker")
    if now > lease_until:
        return Stale(schedule.job, lease_until, "Its worker gives no sign of life. Another one will take it over.")
    return None


def took(run: JobRun) -> timedelta | None:
    """How long the run took; None while it is not over."""
    return run.finished_at - run.started_at if run.finished_at and run.started_at else None
