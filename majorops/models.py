"""Background work: when each job runs, and every run there was. Written by majorops/jobs.py only."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from majorops.lib.ulid import ULIDField, new_ulid


class Schedule(models.Model):
    """When a job runs. The row comes with the job's declaration, and an administrator may change it."""

    job = models.CharField(primary_key=True, max_length=60, editable=False)
    rhythm = models.CharField(
        max_length=80,
        help_text="every 5 minutes, daily 02:15, or mon,thu 08:00. Times of day are those of the reporting zone.",
    )
    is_active = models.BooleanField("active", default=True)
    settled_until = models.DateTimeField(editable=False, help_text="Slots up to here are done with.")

    class Meta:
        db_table = "job_schedules"
        ordering = ["job"]

    def __str__(self) -> str:
        return self.job


class RunState(models.TextChoices):
    WAITING = "waiting", "Waits for a worker"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


UNFINISHED = (RunState.WAITING, RunState.RUNNING)


class JobRun(models.Model):
    """One slot of a schedule, claimed once whatever the number of workers, and what became of it.

    A job has one unfinished run at most. `lease_until` moves on while a worker is at it; a run whose lease has ended
    is taken over. Each take-over is an attempt, and what an earlier attempt still says does not count.
    """

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    schedule = models.ForeignKey(Schedule, models.PROTECT, related_name="runs", db_column="job", verbose_name="job")
    slot = models.DateTimeField(help_text="When it was due.")
    state = models.CharField(max_length=8, choices=RunState.choices, default=RunState.WAITING)
    attempt = models.PositiveSmallIntegerField(default=1)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: its schedule.",
    )
    claimed_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    worker = models.CharField(max_length=120, blank=True, help_text="Machine and process.")
    outcome = models.CharField(max_length=500, blank=True, help_text="What it did, or why it failed.")

    class Meta:
        db_table = "job_runs"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["schedule", "slot"], name="job_runs_slot_once"),
            models.UniqueConstraint(
                fields=["schedule"], name="job_runs_one_at_a_time", condition=Q(state__in=UNFINISHED)
            ),
            models.CheckConstraint(condition=Q(state__in=RunState.values), name="job_runs_state_known"),
            models.CheckConstraint(
                condition=Q(state__in=UNFINISHED, lease_until__isnull=False, finished_at=None)
                | Q(state__in=(RunState.DONE, RunState.FAILED), lease_until=None, finished_at__isnull=False),
                name="job_runs_lease_while_unfinished",
            ),
        ]
        indexes = [
            models.Index(fields=["lease_until"], name="job_runs_leased", condition=Q(lease_until__isnull=False)),
            models.Index(fields=["finished_at"], name="job_runs_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id} of {self.slot:%Y-%m-%d %H:%M} UTC"
