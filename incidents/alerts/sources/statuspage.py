"""RULES: Statuspage webhooks of a supplier: their incident is an alert of ours. Pure."""

from __future__ import annotations

from incidents.alerts.alert import TEXT_LENGTH, Alert, Node, Reading, systems
from incidents.alerts.kinds import State

STATES = {
    "investigating": State.FIRING,
    "identified": State.FIRING,
    "monitoring": State.FIRING,
    "resolved": State.RESOLVED,
    "postmortem": State.RESOLVED,
}
#: Their word for how bad it is, in words that we know.
IMPACTS = {"critical": "critical", "major": "high", "minor": "medium", "none": "low", "maintenance": "low"}


def read(body: Node) -> Reading:
    """An incident of the page. Components and maintenance are ignored. Raises Malformed."""
    body.object()
    if not body.has("incident"):
        told = "A component changed; incidents tell more." if body.has("component") else "It has no incident."
        return Reading(ignored=told)
    incident = body.at("incident").object()
    said = incident.at("status").needed()
    if said not in STATES or incident.at("scheduled_for").is_there:
        return Reading(ignored=f"{said} is planned work, or a state that we do not know.")
    state, changed = STATES[said], incident.at("updated_at").time()
    impact = incident.at("impact").text()
    return Reading(
        (
            Alert(
                dedup_key=incident.at("id").needed() and incident.at("id").key(),
                alert_id=incident.at("id").text(),
                title=incident.at("name").needed(),
                state=state,
                description=_newest(incident),
                severity_said=IMPACTS.get(impact, impact),
                occurred_at=changed,
                issue_time=incident.first("started_at", "created_at").time(),
                resolve_time=(incident.at("resolved_at").time() or changed) if state == State.RESOLVED else None,
                link=incident.at("shortlink").link(),
                affected_systems=_components(incident),
            ),
        )
    )


def _newest(incident: Node) -> str:
    updates = incident.at("incident_updates")
    return updates.at("0", "body").text(TEXT_LENGTH) if isinstance(updates.value, list) else ""


def _components(incident: Node) -> tuple[str, ...]:
    listed = incident.at("components")
    if not isinstance(listed.value, list):
        return ()
    return systems(*(each.at("name").text(120) for each in listed.items()))
