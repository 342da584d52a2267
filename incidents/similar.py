"""What was seen before: resolved incidents that look like this one, and how they ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.models import User
from incidents.alike import alikeness
from incidents.lifecycle import Status
from incidents.models import Incident, Milestone
from majorops.lib.visibility import readable, visible

#: How many of the newest are compared, and how many are shown.
COMPARED, SHOWN = 300, 5


@dataclass(frozen=True, slots=True)
class Seen:
    """A resolved incident, why it may be the same trouble again, and its last words."""

    id: str
    title: str
    resolved_at: datetime
    why: str
    ending: str


def similar_to(incident: Incident, user: User) -> list[Seen]:
    """The most alike first, then the newest. Two queries. Alerts are compared for those who read them."""
    past = visible(Incident.objects.filter(status=Status.RESOLVED).exclude(pk=incident.pk), user)
    newest = past.order_by("-detected_at", "-id")[:COMPARED]
    alert = _alert(incident) if "dedup_key" in readable(Incident, user) else ("", "")
    found = []
    for other in newest:
        why, weight = alikeness(
            incident.title, incident.affected_systems, alert, other.title, other.affected_systems, _alert(other)
        )
        if weight:
            found.append((weight, other, why))
    best = sorted(found, key=lambda each: -each[0])[:SHOWN]
    endings = _endings([other.pk for _, other, _ in best], user)
    return [
        Seen(other.pk, other.title, other.resolved_at or other.detected_at, why, endings.get(other.pk, ""))
        for _, other, why in best
    ]


def _alert(incident: Incident) -> tuple[str, str]:
    return incident.alert_source, incident.dedup_key or incident.alert_id or ""


def _endings(ids: list[str], user: User) -> dict[str, str]:
    """The final milestone of each; an imported one may have none."""
    if not ids:
        return {}
    rows = visible(Milestone.objects.filter(incident__in=ids, is_resolution=True).order_by("sequence"), user)
    return {row.incident_id: row.body for row in rows}
