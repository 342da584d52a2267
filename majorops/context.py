"""What every page's frame needs."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from accounts.roles import Can
from teams.models import Membership


def chrome(request: HttpRequest) -> dict[str, object]:
    user = getattr(request, "user", None)
    person = user if isinstance(user, User) else None
    return {
        "person": person,
        "may_administer": bool(person and person.can(Can.ADMINISTER)),
        "may_read_teams": bool(person and _reads_teams(person)),
        "may_read_executive": bool(person and person.can(Can.READ_EXECUTIVE)),
        "may_command": bool(person and person.can(Can.COMMAND)),
        "is_dev": settings.MAJOROPS_AUTH_MODE == "dev",
        "now": timezone.now(),
    }


def _reads_teams(person: User) -> bool:
    """Readers of team response, executives, and members of a team: the page shows each what is theirs."""
    if person.can(Can.READ_TEAMS) or person.can(Can.READ_EXEC_KPIS):
        return True
    return person.can(Can.READ_INCIDENTS) and Membership.objects.filter(user=person).exists()
