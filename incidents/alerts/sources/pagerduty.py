"""RULES: PagerDuty webhooks (v3, and v2 with its envelope of messages) and the Events API v2. Pure."""

from __future__ import annotations

from incidents.alerts.alert import TEXT_LENGTH, Alert, Malformed, Node, Reading, short_hash, systems
from incidents.alerts.kinds import State

#: What events say by themselves.
STATES = {
    "triggered": State.FIRING,
    "reopened": State.FIRING,
    "unacknowledged": State.FIRING,
    "acknowledged": State.ACKNOWLEDGED,
    "resolved": State.RESOLVED,
    # The words of v2.
    "trigger": State.FIRING,
    "unacknowledge": State.FIRING,
    "acknowledge": State.ACKNOWLEDGED,
    "resolve": State.RESOLVED,
}
#: Something about the incident changed; its own status says how it stands.
BY_STATUS = {"escalated", "reassigned", "delegated", "priority_updated", "escalate", "assign", "delegate"}
ACTIONS = {"trigger": State.FIRING, "acknowledge": State.ACKNOWLEDGED, "resolve": State.RESOLVED}


def read(body: Node) -> Reading:
    """A webhook of either version. Raises Malformed."""
    body.object()
    if body.has("messages"):
        return _messages(body)
    if body.has("event"):
        return _event(body.at("event").object())
    return Reading(ignored="This is no PagerDuty webhook: it has neither event nor messages.")


def _event(event: Node) -> Reading:
    event_id, said = event.at("id").key(), event.at("event_type").needed()
    state = _state(said.removeprefix("incident."), event.at("data", "status"))
    if event.at("resource_type").text() not in ("", "incident") or not said.startswith("incident.") or state is None:
        return Reading(event_id=event_id, ignored=f"{said} says nothing about the state of an incident.")
    data = event.at("data").object()
    return Reading((_incident(data, state, event.at("occurred_at")),), event_id)


def _messages(body: Node) -> Reading:
    """Version 2 sends several at once, each about an incident."""
    alerts, ids, others = [], [], []
    for message in body.at("messages").items():
        said = message.object().at("event").needed()
        ids.append(message.at("id").key())
        state = _state(said.removeprefix("incident."), message.at("incident", "status"))
        if state is None or not said.startswith("incident."):
            others.append(said)
            continue
        alerts.append(_incident(message.at("incident").object(), state, message.at("created_on")))
    told = f"{', '.join(others[:5])} says nothing about the state of an incident." if others else "It has no messages."
    event_id = short_hash(ids) if len(ids) > 1 else "".join(ids)
    return Reading(tuple(alerts), event_id if all(ids) else "", "" if alerts else told)


def _state(word: str, status: Node) -> State | None:
    if word in BY_STATUS:
        return STATES.get(status.text(), State.FIRING)
    return STATES.get(word)


def _incident(data: Node, state: State, occurred: Node) -> Alert:
    at = occurred.time()
    begun = data.at("created_at").time()
    return Alert(
        dedup_key=data.at("id").needed() and data.at("id").key(),
        alert_id=data.at("id").text(),
        title=data.first("title", "summary", "description").needed(),
        state=state,
        severity_said=_severity(data),
        occurred_at=at,
        issue_time=begun or (at if state == State.FIRING else None),
        resolve_time=(data.at("resolved_at").time() or at) if state == State.RESOLVED else None,
        link=data.at("html_url").link(),
        affected_systems=systems(data.at("service").first("summary", "name").text()),
        bridge_url=data.at("conference_bridge", "conference_url").link(),
    )


def _severity(data: Node) -> str:
    """The priority, which people set; else the urgency, which only tells how loudly to call."""
    priority = data.at("priority")
    said = priority.first("summary", "name").text() if isinstance(priority.value, dict) else priority.text()
    return said or data.at("urgency").text()


def read_event(body: Node) -> Reading:
    """The Events API v2, which many tools speak. Raises Malformed."""
    body.object()
    if not body.has("event_action", "payload", "dedup_key"):
        return Reading(ignored="This is no event of the Events API v2: it has no event_action.")
    state = ACTIONS[body.at("event_action").one_of(*ACTIONS)]
    payload = body.at("payload")
    if state == State.FIRING or payload.is_there:
        payload.object()
    key = body.at("dedup_key").key()
    if not key and state != State.FIRING:
        raise Malformed("dedup_key must be given: it says which alert is meant.", ("dedup_key",))
    at = payload.at("timestamp").time()
    title = payload.at("summary").needed() if state == State.FIRING else payload.at("summary").text()
    return Reading(
        (
            Alert(
                # A trigger without a key gets one that is the same when it is sent again.
                dedup_key=key or _own_key(body),
                alert_id=key,
                title=title or key,
                state=state,
                severity_said=payload.at("severity").text(),
                occurred_at=at if state == State.FIRING else None,
                issue_time=at if state == State.FIRING else None,
                description=_details(payload),
                link=body.at("client_url").link(),
                affected_systems=systems(payload.at("source").text(120), payload.at("component").text(120)),
            ),
        )
    )


def _own_key(body: Node) -> str:
    """The same for the same event."""
    return short_hash({name: body.at(name).value for name in body.names() if name != "routing_key"})


def _details(payload: Node) -> str:
    details = payload.at("custom_details")
    if not isinstance(details.value, dict):
        return details.text(TEXT_LENGTH) if isinstance(details.value, str) else ""
    simple = (str, int, float)
    lines = [f"{name}: {item}" for name, item in details.value.items() if isinstance(item, simple)]
    return Node("\n".join(lines)).text(TEXT_LENGTH)
