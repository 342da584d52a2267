"""RULES: New Relic: workflows send issues, older channels incidents. Pure."""

from __future__ import annotations

from incidents.alerts.alert import TEXT_LENGTH, Alert, Node, Reading, systems
from incidents.alerts.kinds import State

STATES = {
    "activated": State.FIRING,
    "created": State.FIRING,
    "open": State.FIRING,
    "acknowledged": State.ACKNOWLEDGED,
    "closed": State.RESOLVED,
}


def read(body: Node) -> Reading:
    """Either form. Raises Malformed."""
    body.object()
    if not body.has("current_state", "state"):
        return Reading(ignored="This is no notification of New Relic: it has no state.")
    said = body.first("state", "current_state").needed().casefold()
    if said not in STATES:
        return Reading(ignored=f"The state {said} neither fires nor ends.")
    state = STATES[said]
    at = body.first("timestamp", "updatedAt").time()
    ended = body.at("closedAt").time() or at
    key = body.first("issueUrl", "incident_id", "issueId", "id")
    key.needed()
    return Reading(
        (
            Alert(
                # Of an issue the id may be that of the message; its address is always that of the issue.
                dedup_key=key.key(),
                alert_id=body.first("incident_id", "issueId", "id").text(),
                title=body.first("title", "condition_name", "details").needed(),
                state=state,
                description=body.at("details").text(TEXT_LENGTH),
                severity_said=body.first("priority", "severity").text(),
                occurred_at=ended if state == State.RESOLVED else at,
                issue_time=body.at("createdAt").time() or (at if state == State.FIRING else None),
                resolve_time=ended if state == State.RESOLVED else None,
                link=body.first("issueUrl", "incident_url").link(),
                affected_systems=_targets(body.at("targets")),
            ),
        )
    )


def _targets(targets: Node) -> tuple[str, ...]:
    if not isinstance(targets.value, list):
        return ()
    return systems(*(each.at("name").text(120) for each in targets.items()))
