"""Claims slots of schedules and runs the jobs behind them. The only writer of schedules and their runs.

claim_due     what is due, each slot once, however many ask at once
ask           a run out of turn
carry_out     one attempt at a run, from begin to outcome
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts.models import User
from majorops.lib.errors import DomainError
from majorops.lib.jobs import Job, declared, job_named
from majorops.lib.rhythm import NoRhythm, Rhythm, due_slot, rhythm_of
from majorops.models import UNFINISHED, JobRun, RunState, Schedule

log = logging.getLogger(__name__)

#: A run that waits so long for a worker is queued again: its task may have been lost with a machine.
PATIENCE = timedelta(minutes=10)
#: A job that takes its worker down with it is not run for ever.
MAX_ATTEMPTS = 5
#: How long finished runs are kept.
KEPT = timedelta(days=14)


class AlreadyRunning(DomainError):
    """This job has a run that is not finished. Wait for it, or see what it does: mim jobs list"""

    code = "job_already_running"


# --- Schedules ---


def create_missing(now: datetime) -> list[str]:
    """A row for every job that has none, to run from its next slot on. Rows that are there stay as they are."""
    known = set(Schedule.objects.values_list("job", flat=True))
    new = [
        Schedule(job=job.name, rhythm=job.when, settled_until=now)
        for job in declared().values()
        if job.name not in known
    ]
    Schedule.objects.bulk_create(new, ignore_conflicts=True)
    return [schedule.job for schedule in new]


def reschedule(schedule: Schedule, *, rhythm: str, is_active: bool, now: datetime) -> None:
    """From its next slot on. Slots that lie behind, of the old rhythm or the new, are not made up for."""
    rhythm_of(rhythm, settings.MAJOROPS_REPORTING_ZONE)
    schedule.rhythm, schedule.is_active, schedule.settled_until = rhythm, is_active, now
    schedule.save(update_fields=["rhythm", "is_active", "settled_until"])


def rhythm_for(schedule: Schedule) -> Rhythm | None:
    """None where the row says what nobody understands, which admin refuses."""
    try:
        return rhythm_of(schedule.rhythm, settings.MAJOROPS_REPORTING_ZONE)
    except NoRhythm:
        log.error("The rhythm of %s cannot be read: %s", schedule.job, schedule.rhythm)
        return None


# --- Claiming ---


def claim_due(now: datetime) -> list[JobRun]:
    """The runs that are this caller's to queue: new slots, and what others have lost."""
    return [*taken_over(now), *_newly_due(now)]


def _newly_due(now: datetime) -> Iterator[JobRun]:
    busy = JobRun.objects.filter(schedule=OuterRef("pk"), state__in=UNFINISHED)
    idle = Schedule.objects.filter(~Exists(busy), is_active=True, settled_until__lt=now, job__in=declared())
    for schedule in idle:
        rhythm = rhythm_for(schedule)
        slot = rhythm and due_slot(rhythm, settled_until=schedule.settled_until, now=now)
        if slot and (run := _claimed(schedule, slot, now)):
            yield run


def _claimed(schedule: Schedule, slot: datetime, now: datetime, by: User | None = None) -> JobRun | None:
    """None if somebody else was faster: the database lets each slot, and each job, in once."""
    try:
        with transaction.atomic():
            run = JobRun.objects.create(
                schedule=schedule, slot=slot, claimed_at=now, lease_until=now + PATIENCE, asked_by=by
            )
            Schedule.objects.filter(pk=schedule.pk, settled_until__lt=slot).update(settled_until=slot)
    except IntegrityError:
        return None
    return run


def ask(name: str, now: datetime, *, by: User | None = None) -> JobRun:
    """A run now, whatever the schedule says. Raises NoSuchJob, AlreadyRunning."""
    job_named(name)
    create_missing(now)
    run = _claimed(Schedule.objects.get(pk=name), now, now, by)
    if run is None:
        raise AlreadyRunning
    return run


def taken_over(now: datetime) -> Iterator[JobRun]:
    """Runs whose lease has ended: they are this caller's to queue again, or have failed for good."""
    for run in JobRun.objects.filter(lease_until__lte=now).order_by("pk"):
        if why := _why_not_again(run):
            _finish(run, RunState.FAILED, why, now)
            continue
        same = JobRun.objects.filter(pk=run.pk, attempt=run.attempt, lease_until=run.lease_until)
        run.attempt += run.state == RunState.RUNNING  # two tasks of one attempt are harmless: one of them begins
        if same.update(state=RunState.WAITING, attempt=run.attempt, lease_until=now + PATIENCE):
            log.warning("%s is queued again: nobody was at it any more.", run)
            yield run


def _why_not_again(run: JobRun) -> str:
    job = declared().get(run.schedule_id)
    if job is None:
        return "This job is not declared any more."
    if run.state == RunState.WAITING:
        return ""
    if not job.is_repeatable:
        return f"Its worker ended in the middle. Look how far it came, then: mim jobs run {job.name}"
    return f"{run.attempt} workers ended in the middle of it." if run.attempt >= MAX_ATTEMPTS else ""


# --- Running ---


def carry_out(run_id: str, attempt: int) -> str:
    """One attempt at a run, its outcome in words. Nothing where another worker has it. Raises what the job raises."""
    run = JobRun.objects.filter(pk=run_id).first()
    if run is None or not _begun(run, attempt):
        return "Another worker has it."
    try:
        job = job_named(run.schedule_id)
        with _sign_of_life(run, job):
            outcome = job.work(timezone.now()) or "Done."
    except BaseException as error:  # whatever ended it, it is not running any more
        _finish(run, RunState.FAILED, _told(error), timezone.now())
        raise
    _finish(run, RunState.DONE, outcome, timezone.now())
    return outcome


def _begun(run: JobRun, attempt: int) -> bool:
    now, job = timezone.now(), declared().get(run.schedule_id)
    lease = job.lease if job else PATIENCE
    waiting = JobRun.objects.filter(pk=run.pk, attempt=attempt, state=RunState.WAITING)
    return bool(waiting.update(state=RunState.RUNNING, started_at=now, lease_until=now + lease, worker=_here()))


def _here() -> str:
    return f"{socket.gethostname()[:100]} {os.getpid()}"


@contextmanager
def _sign_of_life(run: JobRun, job: Job) -> Iterator[None]:
    """Moves the lease on from a thread of its own, so that a long job is not taken for a dead one."""
    is_over = threading.Event()

    def beat() -> None:
        try:
            while not is_over.wait(job.lease.total_seconds() / 4):
                _extend(run, job)
        finally:
            connection.close()

    heart = threading.Thread(target=beat, name=f"lease of {job.name}", daemon=True)
    heart.start()
    try:
        yield
    finally:
        is_over.set()
        heart.join()


def _extend(run: JobRun, job: Job) -> None:
    """What fails here is tried again before the lease ends; SQLite may be held by the job itself for a while."""
    try:
        mine = JobRun.objects.filter(pk=run.pk, attempt=run.attempt, state=RunState.RUNNING)
        mine.update(lease_until=timezone.now() + job.lease)
    except DatabaseError as error:
        log.warning("The lease of %s could not be moved on: %s", run, error)
        connection.close()


def _finish(run: JobRun, state: RunState, outcome: str, now: datetime) -> None:
    """Only this attempt at it: one that was taken over has nothing to say any more."""
    mine = JobRun.objects.filter(pk=run.pk, attempt=run.attempt, state__in=UNFINISHED)
    mine.update(state=state, outcome=" ".join(outcome.split())[:500], finished_at=now, lease_until=None)


def _told(error: BaseException) -> str:
    return error.message if isinstance(error, DomainError) else f"{type(error).__name__}: {error}"


# --- Forgetting ---


def forget_runs(now: datetime) -> int:
    """Deletes finished runs that are too old to be looked at. How many."""
    deleted, _ = JobRun.objects.filter(finished_at__lte=now - KEPT).delete()
    return deleted
