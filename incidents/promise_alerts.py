"""Promises that nobody keeps: the incident leader and the incident manager hear of each, once."""

from __future__ import annotations

from datetime import datetime

from incidents import actions
from incidents.actions import Stamp
from incidents.models import Incident, PromiseAlert, Source
from majorops.lib.times import to_millisecond


def alert_overdue(now: datetime) -> list[PromiseAlert]:
    """Alerts where an update is overdue for longer than people were asked to wait. However often it is called, each
    promise is told once."""
    now = to_millisecond(now)
    stamp = Stamp(by=None, at=now, now=now, source=Source.API)
    told = [actions.alert_promise(incident, stamp=stamp) for incident in Incident.objects.overdue(now)]
    return [alert for alert in told if alert is not None]
