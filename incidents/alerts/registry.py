"""RULES: which reader reads which kind of source, and how a source proves who it is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from incidents.alerts.alert import Malformed, Node, Reading
from incidents.alerts.kinds import SourceKind
from incidents.alerts.sources import alertmanager, datadog, generic, grafana, newrelic, opsgenie, pagerduty, statuspage


@dataclass(frozen=True, slots=True)
class Vendor:
    """What is known of one kind of source."""

    read: Callable[[Node], Reading]
    #: It signs bodies, so its secret is kept as it is. All others send a token, of which a hash is enough.
    signs: bool = False
    #: A token does not do in place of the signature.
    must_sign: bool = False


VENDORS: Mapping[SourceKind, Vendor] = {
    SourceKind.PAGERDUTY: Vendor(pagerduty.read, signs=True),
    SourceKind.PAGERDUTY_EVENTS: Vendor(pagerduty.read_event),
    SourceKind.OPSGENIE: Vendor(opsgenie.read),
    SourceKind.ALERTMANAGER: Vendor(alertmanager.read),
    SourceKind.GRAFANA: Vendor(grafana.read, signs=True),
    SourceKind.DATADOG: Vendor(datadog.read),
    SourceKind.STATUSPAGE: Vendor(statuspage.read),
    SourceKind.NEWRELIC: Vendor(newrelic.read),
    SourceKind.GENERIC: Vendor(generic.read, signs=True, must_sign=True),
    SourceKind.MAPPED: Vendor(generic.read),
}


def read_payload(kind: str, payload: object, field_map: Mapping[str, Any]) -> Reading:
    """What a payload says; of a list, what each of its bodies does. Raises Malformed, and nothing else."""
    body = Node(payload)
    if isinstance(payload, list):
        return _joined([_read(kind, each, field_map) for each in body.items()])
    return _read(kind, body, field_map)


def _read(kind: str, body: Node, field_map: Mapping[str, Any]) -> Reading:
    if kind == SourceKind.MAPPED:
        return generic.read_mapped(body, field_map)
    return VENDORS[SourceKind(kind)].read(body)


def _joined(readings: list[Reading]) -> Reading:
    """Several bodies in one delivery, which is known again by its bytes: their own ids may come in other company."""
    alerts = tuple(alert for reading in readings for alert in reading.alerts)
    told = readings[0].ignored if readings else "The list is empty."
    return Reading(alerts, ignored="" if alerts else told, truncated=sum(each.truncated for each in readings))


__all__ = ["VENDORS", "Malformed", "Vendor", "read_payload"]
