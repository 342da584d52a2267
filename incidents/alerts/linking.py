"""Which incident an alert belongs to. An incident is written by incidents.actions alone, its alert here."""

from __future__ import annotations

from datetime import datetime

from incidents import actions
from incidents.actions import Stamp
from incidents.alerts import policy
from incidents.alerts.kinds import Standing, State
from incidents.models import Incident, SourceAlert
from incidents.models.intake import SourceAlertQuerySet


def open_incident_of(row: SourceAlert) -> Incident | None:
    """The open incident that names this alert: by what it was opened with, or what a person typed."""
    keys = {row.dedup_key, row.alert_id} - {""}
    return Incident.objects.active().filter(alert_source=row.source.slug, dedup_key__in=keys).first()


def open_from(row: SourceAlert, *, title: str, severity: str, stamp: Stamp) -> Incident:
    """Opens an incident detected when its alert came in. Raises AlreadyOpen, Invalid."""
    return actions.open_incident(
        title=title,
        severity=severity,
        stamp=Stamp(by=stamp.by, at=row.first_seen_at, now=stamp.now, source=stamp.source, name=stamp.name),
        alert_source=row.source.slug,
        dedup_key=row.dedup_key,
        alert_id=row.alert_id or None,
        description=row.description,
        affected_systems=row.affected_systems,
        customer_count=row.customer_count,
        bridge_url=row.bridge_url or None,
        issue_time=row.issue_time,
    )


def link(row: SourceAlert, incident: Incident, *, stamp: Stamp, is_new: bool = False) -> None:
    """From now on the alert belongs to this incident, whose log says so."""
    before = ends_of(incident)
    keep(row, standing=Standing.LINKED, incident=incident)
    gathered = row.gathered.all()
    gathered.update(standing=Standing.LINKED, incident=incident)
    fresh = Incident.objects.get(pk=incident.pk)
    changes = end_changes(incident, before)
    if fresh.issue_time is None and row.issue_time is not None:
        changes["issue_time"] = row.issue_time
    if not is_new and not fresh.alert_source and fresh.dedup_key is None and open_incident_of(row) is None:
        changes |= {"alert_source": row.source.slug, "dedup_key": row.dedup_key, "alert_id": row.alert_id or None}
    many = f" and {gathered.count()} more that came with it" if row.is_storm else ""
    over = ", which is over at its source" if row.state == State.RESOLVED else ""
    title = f"Alert from {row.source.name}: {row.title}{many}{over}"
    actions.record_alert(incident, title, stamp=stamp, changes=changes, description=row.link)


def dismiss(row: SourceAlert, reason: str) -> None:
    """Neither it nor what it stands for asks anybody again."""
    keep(row, standing=Standing.DISMISSED, reason=reason)
    row.gathered.update(standing=Standing.DISMISSED)


def keep(row: SourceAlert, **changes: object) -> None:
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(update_fields=list(changes))


# --- When the alerts of an incident ended ---


def ends_of(incident: Incident | None) -> datetime | None:
    if incident is None:
        return None
    return policy.cleared_at(list(alerts_of(incident).values_list("resolve_time", flat=True)))


def alerts_of(incident: Incident) -> SourceAlertQuerySet:
    """Its alerts; a storm is none itself."""
    return SourceAlert.objects.filter(incident=incident, is_storm=False)


def end_changes(incident: Incident, before: datetime | None) -> dict[str, object]:
    """What the end of the incident's alerts makes of its resolve time, unless a person wrote that."""
    fresh = Incident.objects.get(pk=incident.pk)
    after = ends_of(incident)
    return {"resolve_time": after} if fresh.resolve_time == before and after != before else {}
