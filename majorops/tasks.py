"""Jobs of the house itself."""

from __future__ import annotations

from datetime import datetime, timedelta

from django_tasks_db.models import DBTaskResult

from majorops import jobs
from majorops.lib.jobs import job

#: How long the rows of carried out tasks are kept. One that still runs by then died with its worker.
TASKS_KEPT = timedelta(days=7)


@job("forget-runs", when="daily 03:20")
def forget_runs(now: datetime) -> str:
    """Deletes old entries of background work."""
    tasks, _ = DBTaskResult.objects.filter(started_at__lte=now - TASKS_KEPT).delete()
    return f"{jobs.forget_runs(now)} runs and {tasks} tasks deleted."
