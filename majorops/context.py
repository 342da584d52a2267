"""What every page's frame needs."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from accounts.roles import Can


def chrome(request: HttpRequest) -> dict[str, object]:
    user = getattr(request, "user", None)
    person = user if isinstance(user, User) else None
    return {
        "person": person,
        "may_administer": bool(person and person.can(Can.ADMINISTER)),
        "may_read_teams": bool(person and (person.can(Can.READ_TEAMS) or person.can(Can.READ_EXEC_KPIS))),
        "may_command": bool(person and person.can(Can.COMMAND)),
        "is_dev": settings.MAJOROPS_AUTH_MODE == "dev",
        "now": timezone.now(),
    }
