"""Background work: each slot once, nothing lost, nothing stopped by what fails."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from accounts.idempotency import forget
from accounts.models import IdempotencyKey
from majorops import jobs
from majorops.jobs import AlreadyRunning
from majorops.jobs_queue import queue_due, queue_now
from majorops.jobs_reading import stale_jobs
from majorops.lib.jobs import Job, NoSuchJob, declared, job_named
from majorops.models import JobRun, RunState, Schedule
from majorops.tasks import forget_runs
from majorops.worker import Worker, run_next_task
from tests.factories import NOON, at
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = int(os.environ.get("MAJOROPS_RACE_ROUNDS", "3"))

Plan = Callable[..., Schedule]


@pytest.fixture
def plan(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Declares a job for the time of the test, whose slots are settled until noon. The other jobs are switched off."""
    Schedule.objects.update(is_active=False)

    def declare(work: Callable[[datetime], str | None] = lambda now: "All well.", **more: object) -> Schedule:
        facts = {
            "name": "tidy",
            "when": "every 5 minutes",
            "lease": timedelta(minutes=2),
            "is_repeatable": True,
            **more,
        }
        job = Job(work=work, **facts)  # type: ignore[arg-type]
        declared()
        monkeypatch.setitem(jobs_registry(), job.name, job)
        return Schedule.objects.create(job=job.name, rhythm=job.when, settled_until=NOON)

    return declare


def jobs_registry() -> dict[str, Job]:
    from majorops.lib import jobs as registry

    return registry._declared


def work_off() -> None:
    while run_next_task():
        pass


def lost(run: JobRun, state: RunState = RunState.RUNNING) -> None:
    """As its worker leaves it when it is killed."""
    JobRun.objects.filter(pk=run.pk).update(state=state, lease_until=at("12:07"))


# --- Slots ---


def test_a_slot_is_claimed_once_by_eight(plan: Plan) -> None:
    schedule = plan()
    for round_number in range(1, ROUNDS + 1):
        claimed: list[JobRun] = []
        now = NOON + timedelta(minutes=5 * round_number)
        race(lambda _, now=now, claimed=claimed: claimed.extend(jobs.claim_due(now)))
        assert [run.slot for run in claimed] == [now]
        jobs.carry_out(claimed[0].pk, 1)
    assert schedule.runs.count() == ROUNDS


def test_a_lost_run_is_taken_over_once_by_eight(plan: Plan) -> None:
    plan()
    (run,) = jobs.claim_due(at("12:05"))
    for attempt in range(2, 5):
        lost(run)
        claimed: list[JobRun] = []
        race(lambda _, claimed=claimed: claimed.extend(jobs.claim_due(at("12:08"))))
        assert [(found.pk, found.attempt) for found in claimed] == [(run.pk, attempt)]


def test_what_another_worker_took_over_meanwhile_is_left_to_it(plan: Plan) -> None:
    plan(name="first")
    plan(name="second")
    for run in jobs.claim_due(at("12:05")):
        lost(run)
    slow_one = jobs.taken_over(at("12:08"))
    assert next(slow_one).schedule_id == "first"
    assert [run.schedule_id for run in jobs.claim_due(at("12:08"))] == ["second"]
    assert list(slow_one) == []


def test_the_database_lets_a_slot_in_once(plan: Plan) -> None:
    plan()
    (run,) = jobs.claim_due(at("12:05"))
    jobs.carry_out(run.pk, 1)
    again = JobRun(schedule=run.schedule, slot=run.slot, claimed_at=NOON, lease_until=NOON)
    with pytest.raises(IntegrityError):
        again.save()


def test_slots_missed_while_the_machine_was_down_run_once_and_late(plan: Plan) -> None:
    schedule = plan()
    assert [run.slot for run in jobs.claim_due(at("18:02"))] == [at("18:00")]
    JobRun.objects.update(state=RunState.DONE, lease_until=None, finished_at=at("18:03"))
    assert jobs.claim_due(at("18:04")) == []
    assert schedule.runs.count() == 1


def test_a_job_that_is_not_done_yet_is_not_begun_again(plan: Plan) -> None:
    plan()
    (run,) = jobs.claim_due(at("12:05"))
    assert jobs.claim_due(at("12:10")) == []
    with pytest.raises(AlreadyRunning):
        jobs.ask("tidy", at("12:11"))
    jobs.carry_out(run.pk, 1)
    assert [later.slot for later in jobs.claim_due(at("12:16"))] == [at("12:15")]


def test_a_new_or_changed_schedule_makes_up_for_nothing(plan: Plan) -> None:
    schedule = plan(when="daily 04:00")
    jobs.reschedule(schedule, rhythm="daily 11:00", is_active=True, now=at("12:30"))
    assert jobs.claim_due(at("12:31")) == []
    assert [run.slot for run in jobs.claim_due(at("2026-03-03T11:00"))] == [at("2026-03-03T11:00")]


def test_a_schedule_that_is_off_runs_when_it_is_asked_only(plan: Plan) -> None:
    schedule = plan()
    jobs.reschedule(schedule, rhythm=schedule.rhythm, is_active=False, now=NOON)
    assert jobs.claim_due(at("12:05")) == []
    assert jobs.ask("tidy", at("12:06")).slot == at("12:06")


def test_times_of_day_are_those_of_the_reporting_zone(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan(when="daily 14:00")
    monkeypatch.setattr(settings, "MAJOROPS_REPORTING_ZONE", "Europe/Berlin")
    assert [run.slot for run in jobs.claim_due(at("13:30"))] == [at("13:00")]


def test_every_declared_job_has_a_schedule_of_its_own_and_says_what_it_does() -> None:
    assert {"kpi-nightly", "kpi-verify", "forget-requests", "forget-sessions", "forget-runs"} <= set(declared())
    assert set(Schedule.objects.values_list("job", flat=True)) == set(declared())
    for job in declared().values():
        assert job.about.endswith("."), job.name
        assert jobs.rhythm_for(Schedule(job=job.name, rhythm=job.when)), job.name


def test_a_job_that_is_declared_no_more_stays_quiet(plan: Plan) -> None:
    schedule = plan()
    jobs_registry().pop("tidy")
    assert jobs.claim_due(at("12:05")) == []
    assert stale_jobs(at("18:00")) == []
    with pytest.raises(NoSuchJob, match="kpi-nightly"):
        job_named(schedule.job)


# --- Outcomes ---


def test_a_run_keeps_what_it_did(plan: Plan) -> None:
    plan(lambda now: f"3 rows,\nbegun in {now:%Y}.")
    queue_due(at("12:05"))
    work_off()
    run = JobRun.objects.get()
    assert (run.state, run.lease_until, run.attempt) == (RunState.DONE, None, 1)
    assert run.outcome == f"3 rows, begun in {timezone.now():%Y}."
    assert run.worker.endswith(f" {os.getpid()}")


def broken(now: datetime) -> str:
    raise ValueError("the disk is full")


def test_a_job_that_raises_is_recorded_and_stops_nobody(plan: Plan) -> None:
    plan(broken)
    plan(name="other")
    queue_due(at("12:05"))
    work_off()
    failed, done = JobRun.objects.get(schedule="tidy"), JobRun.objects.get(schedule="other")
    assert (failed.state, failed.outcome) == (RunState.FAILED, "ValueError: the disk is full")
    assert done.state == RunState.DONE
    assert "the disk is full" in DBTaskResult.objects.failed().get().traceback
    assert [run.slot for run in jobs.claim_due(at("12:10")) if run.schedule_id == "tidy"] == [at("12:10")]


def test_a_task_is_carried_out_once_by_eight(plan: Plan) -> None:
    done: list[int] = []
    plan(lambda now: str(done.append(1)))
    (run,) = jobs.claim_due(at("12:05"))
    race(lambda _: jobs.carry_out(run.pk, 1))
    assert done == [1]


def test_a_pile_of_tasks_is_carried_out_once_each_by_eight(plan: Plan) -> None:
    done: list[str] = []
    for number in range(40):
        plan(lambda now, name=f"pile-{number}": done.append(name), name=f"pile-{number}")
    queue_due(at("12:05"))
    race(lambda _: work_off())
    assert sorted(done) == sorted(f"pile-{number}" for number in range(40))
    assert DBTaskResult.objects.successful().count() == 40


def test_a_long_job_keeps_its_lease(plan: Plan) -> None:
    """It waits for the lease to move on, not for a time."""

    def last(now: datetime) -> str:
        first, deadline = JobRun.objects.get().lease_until, time.monotonic() + 30
        while JobRun.objects.get().lease_until == first and time.monotonic() < deadline:
            time.sleep(0.02)
        return str(JobRun.objects.get().lease_until > first)  # type: ignore[operator]

    plan(last, lease=timedelta(seconds=0.4))
    (run,) = jobs.claim_due(at("12:05"))
    assert jobs.carry_out(run.pk, 1) == "True"


# --- Workers that die ---


def test_what_a_dead_worker_left_is_done_by_the_next(plan: Plan) -> None:
    plan()
    (run,) = jobs.claim_due(at("12:05"))
    lost(run)
    assert jobs.claim_due(at("12:06")) == []
    queue_due(at("12:08"))
    work_off()
    run.refresh_from_db()
    assert (run.state, run.attempt) == (RunState.DONE, 2)


def test_a_worker_that_was_taken_for_dead_has_no_say_any_more(plan: Plan) -> None:
    """It hung, another one took over and finished; then it comes to its own end."""

    def hangs(now: datetime) -> str:
        mine = JobRun.objects.get()
        lost(mine)
        (again,) = jobs.claim_due(at("12:08"))
        jobs_registry()["tidy"] = Job("tidy", lambda now: "The second.", "every 5 minutes", timedelta(minutes=2), True)
        jobs.carry_out(again.pk, again.attempt)
        return "The first."

    plan(hangs)
    (run,) = jobs.claim_due(at("12:05"))
    jobs.carry_out(run.pk, 1)
    assert JobRun.objects.get().outcome == "The second."


def test_a_job_that_must_not_run_twice_waits_for_a_person(plan: Plan) -> None:
    plan(is_repeatable=False)
    (run,) = jobs.claim_due(at("12:05"))
    lost(run)
    assert jobs.claim_due(at("12:08")) == []
    run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert "mim jobs run tidy" in run.outcome


def test_a_run_that_never_began_is_queued_again_whatever_it_is(plan: Plan) -> None:
    """Its task was lost with the machine between the claim and the queue."""
    plan(is_repeatable=False)
    (run,) = jobs.claim_due(at("12:05"))
    lost(run, RunState.WAITING)
    assert [(found.pk, found.attempt) for found in jobs.claim_due(at("12:08"))] == [(run.pk, 1)]


def test_a_job_that_kills_its_worker_is_given_up(plan: Plan) -> None:
    plan()
    (run,) = jobs.claim_due(at("12:05"))
    for _ in range(jobs.MAX_ATTEMPTS - 1):
        lost(run)
        assert jobs.claim_due(at("12:08"))
    lost(run)
    assert jobs.claim_due(at("12:08")) == []
    run.refresh_from_db()
    assert (run.state, run.outcome) == (RunState.FAILED, "5 workers ended in the middle of it.")


# --- Looking after it ---


def test_stale_jobs_say_what_to_do(plan: Plan) -> None:
    plan()
    assert stale_jobs(at("12:14")) == []
    (stale,) = stale_jobs(at("12:16"))
    assert (stale.job, stale.since) == ("tidy", at("12:05"))
    assert "mim worker" in stale.why


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"state": "waiting", "claimed_at": at("12:05"), "lease_until": at("12:30")}, "waits for a worker"),
        ({"state": "running", "claimed_at": at("12:05"), "lease_until": at("12:10")}, "no sign of life"),
        ({"state": "running", "claimed_at": at("12:05"), "lease_until": at("12:30")}, ""),
        ({"state": "failed", "claimed_at": at("12:15"), "finished_at": at("12:15"), "outcome": "No disk."}, "No disk."),
        ({"state": "done", "claimed_at": at("12:15"), "finished_at": at("12:15")}, ""),
    ],
)
def test_a_run_that_hangs_or_failed_is_stale(plan: Plan, columns: dict[str, object], said: str) -> None:
    schedule = plan()
    Schedule.objects.update(settled_until=at("12:15"))
    JobRun.objects.create(schedule=schedule, slot=at("12:15"), **columns)
    found = stale_jobs(at("12:18"))
    assert [said in stale.why for stale in found] == ([True] if said else [])


# --- The worker ---


def test_once_does_what_is_due_and_ends(plan: Plan) -> None:
    plan()
    assert len(Worker().run_once()) == 1
    assert JobRun.objects.get().state == RunState.DONE
    assert Worker().run_once() == []


def test_tasks_only_leaves_the_schedules_alone(plan: Plan) -> None:
    plan()
    assert Worker(with_schedules=False).run_once() == []
    queue_now("tidy", timezone.now())
    Worker(with_schedules=False).run_once()
    assert JobRun.objects.get().state == RunState.DONE


def test_the_immediate_engine_needs_no_worker(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    from majorops.lib.tasks import task_backends

    engine = {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}
    monkeypatch.setitem(task_backends.settings, "default", engine)
    monkeypatch.delattr(task_backends._connections, "default", raising=False)
    plan()
    plan(broken, name="breaks")
    try:
        queue_due(at("12:05"))
    finally:
        del task_backends["default"]
    assert set(JobRun.objects.values_list("schedule", "state")) == {("tidy", "done"), ("breaks", "failed")}
    assert not DBTaskResult.objects.exists()


# --- The jobs themselves ---


def test_old_runs_and_tasks_are_forgotten(plan: Plan) -> None:
    plan()
    queue_due(at("12:05"))
    work_off()
    queue_due(at("12:10"))
    month = timedelta(days=30)
    assert forget_runs(timezone.now()) == "0 runs and 0 tasks deleted."
    assert forget_runs(timezone.now() + month) == "1 runs and 1 tasks deleted."
    assert JobRun.objects.get().state == RunState.WAITING


def test_old_requests_are_forgotten() -> None:
    for key, when in (("old", NOON), ("new", at("2026-03-03T11:59"))):
        IdempotencyKey.objects.create(sender="user:1", key=key, request_sha256="x", rights="mim", claimed_at=when)
    assert forget(at("2026-03-03T12:00")) == 1
    assert IdempotencyKey.objects.get().key == "new"


@pytest.mark.parametrize("name", ["kpi-nightly", "kpi-verify", "forget-requests", "forget-sessions", "forget-runs"])
def test_every_job_may_run_twice(name: str) -> None:
    for _ in range(2):
        run = jobs.ask(name, timezone.now())
        assert jobs.carry_out(run.pk, 1)
