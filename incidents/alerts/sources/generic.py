"""RULES: our own format, for whoever writes a sender, and any JSON by a field map. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from incidents.alerts.alert import TEXT_LENGTH, Alert, Malformed, Node, Reading, systems
from incidents.alerts.kinds import State

STATES = tuple(state.value for state in State)
#: What a field map may fill.
FIELDS = (
    "dedup_key",
    "alert_id",
    "title",
    "description",
    "severity",
    "state",
    "occurred_at",
    "issue_time",
    "resolve_time",
    "link",
    "affected_systems",
    "customer_count",
    "bridge_url",
    "event_id",
)
NEEDED = ("dedup_key", "title", "state")
MEANINGS = "states"

#: Maps for senders that people asked for; an administrator copies one and changes it.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "uptimerobot": {
        "dedup_key": "/monitor_url",
        "title": "/monitor_friendly_name",
        "description": "/alert_details",
        "state": "/alert_type",
        "affected_systems": "/monitor_friendly_name",
        MEANINGS: {"1": "firing", "2": "resolved"},
    },
    "freshstatus": {
        "dedup_key": "/id",
        "title": "/title",
        "description": "/description",
        "state": "/status",
        "occurred_at": "/event_data/event_created_on",
        "issue_time": "/start_time",
        "resolve_time": "/end_time",
        "affected_systems": "/affected_services",
        MEANINGS: {"open": "firing", "closed": "resolved", "resolved": "resolved"},
    },
    "alerta": {
        "dedup_key": "/id",
        "title": ["/text", "/event"],
        "state": "/status",
        "severity": "/severity",
        "issue_time": "/createTime",
        "occurred_at": "/updateTime",
        "affected_systems": "/service",
        MEANINGS: {"open": "firing", "ack": "acknowledged", "closed": "resolved", "expired": "resolved"},
    },
}


def read(body: Node) -> Reading:
    """Our own format: `dedup_key`, `title` and `state`, the rest as known. Raises Malformed."""
    body.object()
    if not body.has("title", "state", "dedup_key", "alert_id"):
        return Reading(ignored="Nothing of an alert is in this: no title, no state and no dedup_key.")
    state = State(body.at("state").one_of(*STATES)) if body.at("state").is_there else State.FIRING
    key = body.first("dedup_key", "alert_id")
    key.needed()
    at = body.at("occurred_at").time()
    begun, ended = body.at("issue_time").time(), body.at("resolve_time").time()
    return Reading(
        (
            Alert(
                dedup_key=key.key(),
                alert_id=body.at("alert_id").text(),
                title=body.at("title").needed(),
                state=state,
                description=body.at("description").text(TEXT_LENGTH),
                severity_said=body.at("severity").text(),
                occurred_at=at or (ended if state == State.RESOLVED else begun if state == State.FIRING else None),
                issue_time=begun,
                resolve_time=(ended or at) if state == State.RESOLVED else None,
                link=body.at("link").link(),
                affected_systems=_names(body.at("affected_systems")),
                customer_count=body.at("customer_count").count(),
                bridge_url=body.at("bridge_url").link(),
            ),
        )
    )


def _names(names: Node) -> tuple[str, ...]:
    """A list, or text with commas."""
    if isinstance(names.value, list):
        return systems(*(each.text(120) for each in names.items()))
    return systems(*names.text(TEXT_LENGTH).split(","))


def read_mapped(body: Node, field_map: Mapping[str, Any]) -> Reading:
    """Any JSON, read as the field map says: a JSON pointer for each field, or several of which the first that is
    there counts. Raises Malformed."""
    body.object()
    places = {name: _place(body, field_map.get(name)) for name in FIELDS}
    if not any(places[name].is_there for name in NEEDED):
        return Reading(ignored="Nothing of an alert is where the field map looks.")
    said = places["state"].text()
    meant = _meaning(said, field_map.get(MEANINGS))
    if meant is None:
        return Reading(event_id=places["event_id"].key(), ignored=f"The field map gives no meaning to {said!a}.")
    translated = {name: place.value for name, place in places.items()} | {"state": meant}
    try:
        reading = read(Node(translated))
    except Malformed as error:
        raise _where(error, places) from None
    return Reading(reading.alerts, places["event_id"].key(), reading.ignored)


def _place(body: Node, pointers: object) -> Node:
    listed = pointers if isinstance(pointers, list) else [pointers]
    nodes = [body.at(*_parts(pointer)) for pointer in listed if isinstance(pointer, str) and pointer.startswith("/")]
    return next((node for node in nodes if node.is_there), nodes[0] if nodes else Node(None))


def _parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def _meaning(said: str, meanings: object) -> str | None:
    """What the map says of a state; a word of ours means itself."""
    known = meanings if isinstance(meanings, Mapping) else {}
    own = {str(word).casefold(): str(meant) for word, meant in known.items()}
    meant = own.get(said.casefold(), said.casefold() or State.FIRING.value)
    return meant if meant in STATES else None


def _where(error: Malformed, places: Mapping[str, Node]) -> Malformed:
    """The refusal in the sender's words: our field stands for the place that the map names."""
    ours, _, rest = error.pointer.lstrip("/").partition("/")
    place = places.get(ours)
    if place is None or not place.path:
        return Malformed(f"{error.message} The field map does not say where to find it.", (ours,))
    return Malformed(error.message, (*place.path, *([rest] if rest else [])))


def wrong_map(field_map: object) -> str:
    """Why a field map cannot be used, for the person who wrote it; empty where it can."""
    if not isinstance(field_map, dict):
        return "A field map is a JSON object."
    if strangers := sorted(set(map(str, field_map)) - {*FIELDS, MEANINGS}):
        return f"{strangers[0][:60]!a} is no field of an alert. Allowed: {', '.join((*FIELDS, MEANINGS))}."
    for name in FIELDS:
        pointers = field_map.get(name, "/")
        listed = pointers if isinstance(pointers, list) else [pointers]
        if not listed or not all(isinstance(each, str) and each.startswith("/") for each in listed):
            return f"{name} must be a JSON pointer such as /alert/id, or a list of them."
    if missing := [name for name in ("dedup_key", "title") if name not in field_map]:
        return f"{missing[0]} must be mapped."
    meanings = field_map.get(MEANINGS, {})
    if not isinstance(meanings, dict) or not set(map(str, meanings.values())) <= set(STATES):
        return f"states maps each of the sender's words to one of {', '.join(STATES)}."
    return ""
