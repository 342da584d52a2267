"""What people decide on candidates. Each is decided once."""

from __future__ import annotations

from accounts.idempotency import effect
from incidents.actions import Stamp
from incidents.alerts import linking
from incidents.alerts.kinds import Standing
from incidents.errors import ReasonMissing
from incidents.lifecycle import Status, check_open
from incidents.models import Incident, IntakeSource, SourceAlert
from majorops.lib.errors import DomainError
from majorops.lib.text import clean_text


class DecidedAlready(DomainError):
    """Somebody has decided on this candidate already. Look again."""

    code = "decided_already"


def accept(alert: SourceAlert, *, title: str, severity: str, stamp: Stamp) -> Incident:
    """Opens an incident of the candidate, detected when the alert came in. Raises DecidedAlready, AlreadyOpen."""
    with effect():
        row = _locked(alert)
        incident = linking.open_from(row, title=title, severity=severity, stamp=stamp)
        linking.link(row, incident, stamp=stamp, is_new=True)
        _decided(row, stamp)
    return incident


def attach(alert: SourceAlert, incident: Incident, *, stamp: Stamp) -> Incident:
    """The candidate belongs to an incident that is open. Raises DecidedAlready, IncidentIsClosed."""
    with effect(incident):
        row = _locked(alert)
        current = Incident.objects.select_for_update(no_key=True).get(pk=incident.pk)
        check_open(Status(current.status))
        linking.link(row, current, stamp=stamp)
        _decided(row, stamp)
    return incident


def dismiss(alert: SourceAlert, reason: str, *, stamp: Stamp) -> SourceAlert:
    """No incident. What its source says of it later is kept, and asks nobody again. Raises ReasonMissing."""
    reason = clean_text(reason, field="reason", max_length=500)
    if not reason:
        raise ReasonMissing("Say why this is no incident.", field="reason")
    with effect():
        row = _locked(alert)
        linking.dismiss(row, reason)
        _decided(row, stamp)
    return row


def _locked(alert: SourceAlert) -> SourceAlert:
    IntakeSource.objects.select_for_update(no_key=True).get(pk=alert.source_id)
    row = SourceAlert.objects.select_related("source").get(pk=alert.pk)
    if row.standing != Standing.WAITING or row.gathered_into_id:
        raise DecidedAlready
    return row


def _decided(row: SourceAlert, stamp: Stamp) -> None:
    row.decided_by, row.decided_at = stamp.by, stamp.now
    row.save(update_fields=["decided_by", "decided_at"])
