"""Who sees the background work: administrators."""

from __future__ import annotations

from django.db.models import Model

from accounts.visibility import administrators, for_administrators
from majorops.lib.visibility import Sight
from majorops.models import JobRun, Schedule

SIGHTS: dict[type[Model], Sight] = {
    Schedule: Sight(administrators, for_administrators(Schedule)),
    JobRun: Sight(administrators, for_administrators(JobRun)),
}
