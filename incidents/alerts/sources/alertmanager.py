"""RULES: groups of alerts as Prometheus' Alertmanager sends them, version 4, and Grafana after it. Pure."""

from __future__ import annotations

from incidents.alerts.alert import TEXT_LENGTH, Alert, Node, Reading, short_hash, systems
from incidents.alerts.kinds import State

#: Labels that name what is hurt.
SYSTEMS = ("service", "job", "instance", "host")


def read(body: Node) -> Reading:
    """Every alert of the group, each in its own state: a group fires while some of its members are over."""
    body.object()
    if not body.has("alerts"):
        return Reading(ignored="This is no group of alerts: it has no list of them.")
    found = tuple(_alert(each.object(), body) for each in body.at("alerts").items())
    truncated = body.at("truncatedAlerts").count() or 0
    return Reading(found, ignored="" if found else "The group is empty.", truncated=truncated)


def _alert(alert: Node, group: Node) -> Alert:
    said = (alert if alert.at("status").is_there else group).at("status").one_of("firing", "resolved")
    state = State.RESOLVED if said == "resolved" else State.FIRING
    labels, notes = alert.at("labels"), alert.at("annotations")
    begun, ended = alert.at("startsAt").time(), alert.at("endsAt").time()
    return Alert(
        dedup_key=alert.at("fingerprint").key() or short_hash(labels.object().value),
        alert_id=alert.at("fingerprint").text(),
        title=notes.at("summary").text() or labels.at("alertname").needed(),
        state=state,
        description=notes.first("description", "message").text(TEXT_LENGTH),
        severity_said=labels.at("severity").text() or notes.at("severity").text(),
        # While an alert fires, `endsAt` is at best when it would time out.
        occurred_at=ended if state == State.RESOLVED else begun,
        issue_time=begun,
        resolve_time=ended if state == State.RESOLVED else None,
        link=alert.first("generatorURL", "panelURL").link() or group.at("externalURL").link(),
        affected_systems=systems(*(labels.at(name).text(120) for name in SYSTEMS)),
    )
