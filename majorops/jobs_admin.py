"""Background work in admin: when jobs run, how that went, and a run now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from accounts.visibility import viewer_of
from majorops import jobs, jobs_queue
from majorops.jobs_reading import Standing, newest_runs, standing, took
from majorops.lib.errors import DomainError
from majorops.lib.jobs import declared
from majorops.lib.rhythm import NoRhythm, rhythm_of
from majorops.lib.visibility import visible
from majorops.models import JobRun, Schedule


class ScheduleForm(forms.ModelForm):
    def clean_rhythm(self) -> str:
        text = " ".join(self.cleaned_data["rhythm"].lower().split())
        try:
            rhythm_of(text, settings.MAJOROPS_REPORTING_ZONE)
        except NoRhythm as error:
            raise ValidationError(error.message) from None
        return text


class WithRuns(ChangeList):
    """The list, with the newest run of each job: asked once for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows, now = list(self.result_list), timezone.now()
        runs = newest_runs(rows, visible(JobRun.objects.all(), viewer_of(request)))
        for row in rows:
            row.standing = standing(row, runs.get(row.pk), now)
        self.result_list = rows


@admin.register(Schedule)
class ScheduleAdmin(admin.ModelAdmin):
    form = ScheduleForm
    list_display = ("job", "rhythm", "is_active", "next_run", "last_run", "duration", "last_outcome", "look")
    fields = ("job", "about", "rhythm", "is_active")
    readonly_fields = ("job", "about")
    actions = ("run_now",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Schedule]:
        return visible(super().get_queryset(request), viewer_of(request))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[WithRuns]:
        return WithRuns

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A schedule comes with the job that the code declares."""
        return False

    def save_model(self, request: HttpRequest, obj: Schedule, form: forms.ModelForm, change: bool) -> None:
        jobs.reschedule(obj, rhythm=obj.rhythm, is_active=obj.is_active, now=timezone.now())

    @admin.action(description="Run now", permissions=["change"])
    def run_now(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> None:
        for schedule in schedules:
            try:
                jobs_queue.queue_now(schedule.job, timezone.now(), by=cast(User, request.user))
            except DomainError as error:
                self.message_user(request, f"No run of {schedule.job}: {error.message}", messages.ERROR)
            else:
                self.log_change(request, schedule, "Asked for a run")
                self.message_user(request, f"The next worker runs {schedule.job}.", messages.SUCCESS)

    @admin.display(description="what it does")
    def about(self, schedule: Schedule) -> str:
        job = declared().get(schedule.job)
        return job.about if job else "It is not declared any more and does not run."

    @admin.display(description="next run")
    def next_run(self, schedule: Schedule) -> datetime | None:
        return _of(schedule).next_slot

    @admin.display(description="last run")
    def last_run(self, schedule: Schedule) -> datetime | None:
        last = _of(schedule).last
        return last.started_at or last.claimed_at if last else None

    @admin.display(description="outcome")
    def last_outcome(self, schedule: Schedule) -> str | None:
        last = _of(schedule).last
        return last.outcome or last.get_state_display() if last else None

    @admin.display(description="took")
    def duration(self, schedule: Schedule) -> str | None:
        last = _of(schedule).last
        return seconds(took(last)) if last else None

    @admin.display(description="look after it")
    def look(self, schedule: Schedule) -> str | None:
        stale = _of(schedule).stale
        return stale.why if stale else None


def _of(schedule: Any) -> Standing:
    """What `WithRuns` put beside the row."""
    found: Standing = schedule.standing
    return found


def seconds(duration: timedelta | None) -> str | None:
    return None if duration is None else f"{duration.total_seconds():.1f} s"


@admin.register(JobRun)
class JobRunAdmin(admin.ModelAdmin):
    """To be looked at. The worker writes it."""

    list_display = ("schedule", "slot", "state", "duration", "attempt", "asked_by", "worker", "outcome")
    list_filter = ("state", "schedule")
    list_select_related = ("schedule", "asked_by")
    date_hierarchy = "slot"

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobRun]:
        return visible(super().get_queryset(request), viewer_of(request))

    @admin.display(description="took")
    def duration(self, run: JobRun) -> str | None:
        return seconds(took(run))
