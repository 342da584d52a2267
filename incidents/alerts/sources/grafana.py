"""RULES: Grafana: unified alerting sends groups as Alertmanager does, legacy alerting one rule at a time. Pure."""

from __future__ import annotations

from incidents.alerts.alert import TEXT_LENGTH, Alert, Node, Reading, key_of, systems
from incidents.alerts.kinds import State
from incidents.alerts.sources import alertmanager

STATES = {"alerting": State.FIRING, "no_data": State.FIRING, "ok": State.RESOLVED}


def read(body: Node) -> Reading:
    """Either form. Raises Malformed."""
    body.object()
    if body.has("alerts"):
        return alertmanager.read(body)
    if not body.has("ruleId", "ruleName"):
        return Reading(ignored="This is no alert of Grafana: it has neither alerts nor a ruleId.")
    said = body.at("state").needed()
    if said not in STATES:
        return Reading(ignored=f"The state {said} neither fires nor ends.")
    rule = body.first("ruleId", "ruleName")
    rule.needed()
    return Reading(
        (
            Alert(
                dedup_key=key_of("rule", body.at("orgId").text(40), rule.key()),
                alert_id=rule.text(),
                title=body.first("ruleName", "title").needed(),
                state=STATES[said],
                description=body.at("message").text(TEXT_LENGTH),
                severity_said=body.at("tags", "severity").text(),
                link=body.at("ruleUrl").link(),
                affected_systems=systems(body.at("tags", "service").text(120)),
            ),
        )
    )
