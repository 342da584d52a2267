"""RULES: Datadog, whose webhook body is a template that we give (docs/howto/alerts.md). Pure."""

from __future__ import annotations

from incidents.alerts.alert import TEXT_LENGTH, Alert, Node, Reading, key_of, short_hash, systems
from incidents.alerts.kinds import State

#: $ALERT_TRANSITION. A template without it means an alert that fires.
STATES = {
    "": State.FIRING,
    "triggered": State.FIRING,
    "re-triggered": State.FIRING,
    "warn": State.FIRING,
    "re-warn": State.FIRING,
    "no data": State.FIRING,
    "re-no data": State.FIRING,
    "recovered": State.RESOLVED,
    "warn recovered": State.RESOLVED,
    "no data recovered": State.RESOLVED,
}


def read(body: Node) -> Reading:
    """The body of our template, or of one like it. Raises Malformed."""
    body.object()
    if not body.has("monitor_id", "cycle_key", "alert_id"):
        return Reading(ignored="This is no alert of Datadog: it has neither cycle_key nor monitor_id.")
    said = body.first("transition", "alert_transition").text()
    state = STATES.get(said.casefold())
    event_id = body.at("id").key()
    if state is None:
        return Reading(event_id=event_id, ignored=f"{said} does not change whether the monitor alerts.")
    changed = body.first("last_updated", "date").time()
    begun = body.first("date", "last_updated").time() if state == State.FIRING else None
    return Reading(
        (
            Alert(
                dedup_key=_key(body),
                alert_id=body.first("monitor_id", "alert_id").text(),
                title=body.at("title").needed(),
                state=state,
                description=body.first("message", "description").text(TEXT_LENGTH),
                severity_said=body.first("priority", "alert_type").text(),
                occurred_at=changed,
                issue_time=begun,
                resolve_time=changed if state == State.RESOLVED else None,
                link=body.at("link").link(),
                affected_systems=systems(*_services(body.at("tags"))),
            ),
        ),
        event_id,
    )


def _key(body: Node) -> str:
    """The cycle from trigger to recovery; without it the monitor and its scope."""
    if body.at("cycle_key").is_there:
        return body.at("cycle_key").key()
    body.first("monitor_id", "alert_id").needed()
    scope = body.first("scopes", "scope").value
    return key_of("monitor", body.first("monitor_id", "alert_id").key(), short_hash(scope) if scope else "")


def _services(tags: Node) -> list[str]:
    """`service:checkout` and `host:web-1` of the tags, which come as text with commas or as a list."""
    told = [each.text(200) for each in tags.items()] if isinstance(tags.value, list) else tags.text(4000).split(",")
    pairs = [tag.strip().partition(":") for tag in told]
    return [value for name, _, value in pairs if name in ("service", "host")]
