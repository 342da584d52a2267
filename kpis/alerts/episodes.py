"""Alerts as rows of a formula: each time that a rule fired, and when somebody acknowledged it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from kpis.alerts.rules import Happening
from kpis.models import AlertEvent

_KINDS = (Happening.FIRING.value, Happening.ACKNOWLEDGED.value, Happening.RESOLVED.value)


def load(as_of: datetime) -> Iterator[Mapping[str, object]]:
    """One row per alert that was known then. Its clock begins when it was noticed, not when it came to be."""
    events = AlertEvent.objects.filter(kind__in=_KINDS, recorded_at__lte=as_of, withdrawn_by=None)
    running: dict[str, dict[str, object]] = {}
    for event in events.select_related("rule").order_by("rule_id", "rule_version", "at", "id"):
        if event.kind == Happening.FIRING:
            yield from _ended(running, event.rule_id)
            running[event.rule_id] = _row(event)
        elif event.rule_id in running:
            name = "acknowledged_at" if event.kind == Happening.ACKNOWLEDGED else "resolved_at"
            running[event.rule_id][name] = event.recorded_at
    for slug in list(running):
        yield from _ended(running, slug)


def _ended(running: dict[str, dict[str, object]], slug: str) -> Iterator[Mapping[str, object]]:
    if slug in running:
        yield running.pop(slug)


def _row(event: AlertEvent) -> dict[str, object]:
    return {
        "id": event.pk,
        "rule": event.rule_id,
        "severity": event.rule.severity,
        "fired_at": event.recorded_at,
        "acknowledged_at": None,
        "resolved_at": None,
        "ref": f"kpi_alert:{event.pk}",
        "subject_key": f"kpi_alert:{event.pk}",
        "incident_id": None,
        "subject_open": False,
        "subject_closed_at": None,
        "confidence": 1.0,
    }
