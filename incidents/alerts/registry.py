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
    """What a payload says. Raises Malformed, and nothing else, whatever the payload is."""
    body = Node(payload)
    if kind == SourceKind.MAPPED:
        return generic.read_mapped(body, field_map)
    return VENDORS[SourceKind(kind)].read(body)


__all__ = ["VENDORS", "Malformed", "Vendor", "read_payload"]
