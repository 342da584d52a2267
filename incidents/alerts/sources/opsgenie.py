"""RULES: Opsgenie webhooks. Pure."""

from __future__ import annotations

from incidents.alerts.alert import TEXT_LENGTH, Alert, Node, Reading, systems
from incidents.alerts.kinds import State

STATES = {
    "Create": State.FIRING,
    "UnAcknowledge": State.FIRING,
    "Acknowledge": State.ACKNOWLEDGED,
    "Close": State.RESOLVED,
    "Delete": State.RESOLVED,
}


def read(body: Node) -> Reading:
    """One action on one alert. `createdAt` counts milliseconds and `updatedAt` nanoseconds. Raises Malformed."""
    body.object()
    if not body.has("action", "alert"):
        return Reading(ignored="This is no Opsgenie webhook: it has no action.")
    said = body.at("action").needed()
    state = STATES.get(said)
    if state is None:
        return Reading(ignored=f"{said} does not change whether the alert fires.")
    alert = body.at("alert").object()
    begun, changed = alert.at("createdAt").time(), alert.at("updatedAt").time()
    alert.first("alias", "alertId").needed()
    return Reading(
        (
            Alert(
                dedup_key=alert.first("alias", "alertId").key(),
                alert_id=alert.at("alertId").text(),
                title=alert.at("message").needed(),
                state=state,
                description=alert.at("description").text(TEXT_LENGTH),
                severity_said=alert.at("priority").text(),
                occurred_at=begun if said == "Create" else changed,
                issue_time=begun,
                resolve_time=changed if state == State.RESOLVED else None,
                affected_systems=systems(alert.at("entity").text(120)),
            ),
        )
    )
