"""Hands claimed runs to the engine that carries out tasks. All background work is this one task."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.models import User
from majorops import jobs
from majorops.lib.tasks import task
from majorops.models import JobRun


@task
def carry_out(run_id: str, attempt: int) -> str:
    """One attempt at a run. What it raises is kept with the run, and with the task."""
    return jobs.carry_out(run_id, attempt)


def queue_due(now: datetime) -> list[JobRun]:
    """Claims and queues what is due."""
    runs = jobs.claim_due(now)
    for run in runs:
        _queue(run)
    return runs


def queue_now(name: str, now: datetime, *, by: User | None = None) -> JobRun:
    """A run out of turn, by the next worker. Raises NoSuchJob, AlreadyRunning."""
    run = jobs.ask(name, now, by=by)
    _queue(run)
    return run


def _queue(run: JobRun) -> None:
    """After the claim is committed. If the process ends between the two, the run is taken over like any other."""
    transaction.on_commit(lambda: carry_out.enqueue(run.pk, run.attempt))
