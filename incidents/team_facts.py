"""What hangs on a team here, for the directory to tell before a merge."""

from __future__ import annotations

from incidents.models import TeamPage
from teams import insight
from teams.models import Team


def register() -> None:
    insight.facts["calls"] = calls


def calls(team: Team) -> str:
    """How many calls are recorded for it, and how many are still waiting for an answer."""
    pages = TeamPage.objects.filter(team=team)
    count, waiting = pages.count(), pages.waiting().exclude(incident__resolved_at__isnull=False).count()
    if not count:
        return ""
    open_words = f" {waiting} of them wait for an answer, which its own people still give." if waiting else ""
    return (
        f"Recorded calls: {count:,}. They keep their team, and count for the other one in KPIs from now on.{open_words}"
    )
