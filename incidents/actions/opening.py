"""An incident begins."""

from __future__ import annotations

from functools import partial

from django.db import IntegrityError, transaction

from accounts.idempotency import effect
from incidents.actions._core import Stamp, announce, enter, tell
from incidents.actions.facts import EDITABLE, REACH, clean
from incidents.clock import check_happened
from incidents.errors import AlreadyOpen
from incidents.lifecycle import Kind, Phase, Verb
from incidents.models import Incident
from incidents.outbox_rules import Event
from majorops.lib.errors import Invalid
from majorops.lib.text import clean_text


def open_incident(
    *,
    title: str,
    severity: str,
    stamp: Stamp,
    kind: str = Kind.REAL,
    alert_source: str = "",
    dedup_key: str | None = None,
    **fields: object,
) -> Incident:
    """Opens an incident detected at `stamp.at`, in phase 1. `fields` are those of EDITABLE and REACH.

    Raises AlreadyOpen (with the incident's id) if one with this alert source and key is open.
    """
    check_happened(stamp.at, stamp.now, field="detected_at")
    unknown = set(fields) - {*EDITABLE, *REACH}
    if unknown:
        raise Invalid(f"An incident cannot be opened with {', '.join(sorted(unknown))}.")
    incident = Incident(
        phase_entered_at=stamp.at,
        detected_at=stamp.at,
        opened_by=stamp.by,
        created_at=stamp.now,
        alert_source=clean_text(alert_source, field="alert_source", max_length=40),
        dedup_key=clean_text(dedup_key, field="dedup_key", max_length=200) or None,
    )
    for name, value in {"title": title, "severity": severity, **fields}.items():
        setattr(incident, name, clean(incident, name, value))
    incident.kind = _kind(kind)
    with effect(incident):
        _insert(incident)
        enter(incident, Phase.ALERT, stamp, verb=Verb.OPENED, title=f"Incident opened: {incident.title}")
        tell(incident, Event.DECLARED, stamp, "Incident declared")
        transaction.on_commit(partial(announce, incident.pk), robust=True)
    return incident


def _kind(kind: str) -> str:
    if kind not in Kind.values:
        raise Invalid(f"kind must be one of {', '.join(Kind.values)}.", field="kind", allowed=Kind.values)
    return kind


def _insert(incident: Incident) -> None:
    """Saves a new incident; the database decides which of two simultaneous openings is first.

    A program (nobody opened it) is not told which, if that incident is restricted.
    """
    try:
        with transaction.atomic():
            incident.save(force_insert=True)
    except IntegrityError:
        same_alert = {"alert_source": incident.alert_source, "dedup_key": incident.dedup_key}
        existing = Incident.objects.active().filter(**same_alert).first() if incident.dedup_key else None
        if existing is None:
            raise
        if existing.restricted and incident.opened_by_id is None:
            raise AlreadyOpen("An incident is open for this alert already.") from None
        raise AlreadyOpen(f'"{existing.title}" is open for this alert already.', incident_id=existing.pk) from None
