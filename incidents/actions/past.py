"""Incidents that another system recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import transaction

from accounts.idempotency import effect
from incidents.actions import past_dispatches
from incidents.actions._core import Stamp, action, announce, enter, write
from incidents.actions.facts import systems
from incidents.clock import check_happened, check_order
from incidents.lifecycle import EventType, Kind, Phase, Severity, Status, Verb, Visibility
from incidents.models import Incident, PhaseEntry, Source, StatusUpdate, TimelineEvent
from incidents.past import GONE_AT, PastEntry, PastIncident, PastUpdate
from majorops.lib.text import clean_text
from majorops.lib.times import iso

PHASE_VERBS = {Phase.ALERT: Verb.OPENED, Phase.RESOLUTION: Verb.RESOLVED}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an import wrote of one incident."""

    incident: Incident
    is_new: bool
    updates: int
    closed: bool = False
    #: How many phases it has moved on since it was written.
    phases: int = 0
    #: How many dispatches of teams were written, or answered since.
    dispatches: int = 0
    #: Lines of the source's own log.
    entries: int = 0

    @property
    def is_same(self) -> bool:
        return not (self.is_new or self.updates or self.closed or self.phases or self.dispatches or self.entries)


def recorded_already(pasts: Sequence[PastIncident]) -> dict[tuple[str, str], Recorded]:
    """Of those that are over here and bring no update and no entry, the ones with nothing new. Two queries for all of
    them: most of a history that is imported a second time."""
    quiet = {(past.external_source, past.external_id): past for past in pasts if not (past.updates or past.entries)}
    rows = Incident.objects.filter(
        external_source__in={source for source, _ in quiet}, external_id__in={key for _, key in quiet}
    )
    over = {
        key: row
        for row in rows
        if not row.is_open
        and not row.has_ended_unseen
        and (key := (row.external_source or "", row.external_id or "")) in quiet
    }
    same = past_dispatches.with_nothing_new([(row.pk, quiet[key]) for key, row in over.items()])
    return {key: Recorded(row, False, 0) for key, row in over.items() if row.pk in same}


def record_past_incident(past: PastIncident, *, now: datetime) -> Recorded:
    """Writes an incident that another system recorded, or what is new of one written before.

    Times are the source's, even where they make no sense: the KPIs count such a row as invalid and say
    so. What people wrote here since is never overwritten. Listeners are not told: run the backfill after.
    """
    with transaction.atomic():
        incident = Incident.objects.filter(external_source=past.external_source, external_id=past.external_id).first()
        if incident is None:
            return record_new_past_incidents([past], now=now)[0]
        updates = _append_past_updates(incident, past, now)
        entries = _append_past_entries(incident, past.entries, past.external_source, now)
        dispatches = past_dispatches.append(incident, past, now)
        phases = _move_past(incident, past, now)
        closed = _close_past(incident, past, now)
    return Recorded(incident, False, updates, closed, phases, dispatches, entries)


def record_new_past_incidents(pasts: Sequence[PastIncident], *, now: datetime) -> list[Recorded]:
    """Writes incidents that are not written yet, all or none, in as few statements as it takes.

    Raises IntegrityError if one of them is known, here or twice among them.
    """
    incidents = [_past_incident(past, now) for past in pasts]
    pairs = list(zip(incidents, pasts, strict=True))
    entered = [pair for incident, past in pairs for pair in _entered(incident, past, _phases(past), now)]
    with transaction.atomic():
        Incident.objects.bulk_create(incidents)
        TimelineEvent.objects.bulk_create(event for event, _ in entered)
        PhaseEntry.objects.bulk_create(entry for _, entry in entered)
        _write_updates([(incident, past, past.updates) for incident, past in pairs], now)
        for incident, past in pairs:
            _write_entries(incident, past.entries, past.external_source, now)
        past_dispatches.write([(incident, past, past.dispatches) for incident, past in pairs], now)
    return [
        Recorded(incident, True, len(past.updates), dispatches=len(past.dispatches), entries=len(past.entries))
        for incident, past in pairs
    ]


@action
def add_past_entries(incident: Incident, entries: Sequence[PastEntry], *, stamp: Stamp) -> int:
    """Writes what is new of a log that was kept elsewhere, all or nothing, and says how many lines that was."""
    return _append_past_entries(incident, entries, stamp.actor, stamp.now)


def enter_past_incident(past: PastIncident, *, stamp: Stamp) -> Incident:
    """Writes an incident that a person remembers, with its own times. The KPIs follow at once, and trust it less.

    Raises TimeCannotBe where the times cannot be right: a person can look again, a source cannot.
    """
    check_happened(past.detected_at, stamp.now, field="detected_at")
    if past.resolved_at is not None:
        check_happened(past.resolved_at, stamp.now, field="resolved_at")
        sentence = "{later} is before it was detected ({earlier})."
        check_order(past.detected_at, past.resolved_at, sentence=sentence, field="resolved_at")
    with effect():
        incident = record_new_past_incidents([past], now=stamp.now)[0].incident
        write(incident, opened_by=stamp.by)
        transaction.on_commit(partial(announce, incident.pk), robust=True)
    return incident


def _phases(past: PastIncident) -> list[tuple[Phase, datetime]]:
    """All of its phases, Alert and Resolution among them."""
    end = [] if past.resolved_at is None else [(Phase.RESOLUTION, past.resolved_at)]
    return [(Phase.ALERT, past.detected_at), *past.phases, *end]


def _past_incident(past: PastIncident, now: datetime) -> Incident:
    open_status = Status.MONITORING if past.is_monitoring else Status.ACTIVE
    phase, phase_entered_at = _phases(past)[-1]
    return Incident(
        kind=Kind.BACKFILLED,
        title=clean_text(past.title, field="title", max_length=200, required=True),
        severity=Severity(past.severity),
        status=open_status if past.resolved_at is None else Status.RESOLVED,
        phase=phase,
        phase_entered_at=phase_entered_at,
        detected_at=past.detected_at,
        issue_time=past.issue_time,
        resolved_at=past.resolved_at,
        affected_systems=systems(past.affected_systems),
        last_communicated_at=max((update.at for update in past.updates), default=None),
        external_source=past.external_source,
        external_id=past.external_id,
        metadata=dict(past.metadata),
        created_at=now,
    )


def _entered(
    incident: Incident, past: PastIncident, phases: Iterable[tuple[Phase, datetime]], now: datetime
) -> Iterator[tuple[TimelineEvent, PhaseEntry]]:
    """The history of entering phases, as `enter` writes it, not saved yet."""
    for phase, at in phases:
        check_happened(at, now)
        event = TimelineEvent(
            incident=incident,
            verb=PHASE_VERBS.get(phase, Verb.ADVANCED),
            type=EventType.PHASE,
            title=f"{phase.label} (imported)",
            description=_besides(past, phase),
            actor=past.external_source,
            occurred_at=at,
            recorded_at=now,
            visibility=Visibility.INTERNAL,
            source=Source.IMPORT,
            phase_number=phase,
        )
        yield event, PhaseEntry(incident=incident, phase_number=phase, entered_at=at, recorded_at=now, event=event)


def _besides(past: PastIncident, phase: Phase) -> str:
    """Where the source tells of it, at its beginning; at its end, how sure that is."""
    if phase == Phase.ALERT:
        return past.link
    return past.unknown_end if phase == Phase.RESOLUTION and past.has_ended_unseen else ""


def _import_stamp(past: PastIncident, at: datetime, now: datetime) -> Stamp:
    return Stamp(by=None, at=at, now=now, source=Source.IMPORT, name=past.external_source)


def _append_past_updates(incident: Incident, past: PastIncident, now: datetime) -> int:
    known = set(incident.updates.exclude(external_id=None).values_list("external_id", flat=True))
    fresh = tuple(update for update in past.updates if update.external_id not in known)
    _write_updates([(incident, past, fresh)], now)
    latest = max((update.at for update in fresh), default=None)
    if latest and (incident.last_communicated_at is None or latest > incident.last_communicated_at):
        write(incident, last_communicated_at=latest)
    return len(fresh)


def _write_updates(written: Iterable[tuple[Incident, PastIncident, tuple[PastUpdate, ...]]], now: datetime) -> None:
    notes = [
        (incident, past.external_source, update, clean_text(update.text, field="update", required=True))
        for incident, past, updates in written
        for update in updates
    ]
    StatusUpdate.objects.bulk_create(
        StatusUpdate(
            incident=incident,
            content=text,
            visibility=Visibility.PUBLIC,
            author_name=source,
            created_at=update.at,
            recorded_at=now,
            source=Source.IMPORT,
            external_id=update.external_id,
        )
        for incident, source, update, text in notes
    )
    TimelineEvent.objects.bulk_create(
        TimelineEvent(
            incident=incident,
            verb=Verb.PUBLISHED,
            type=EventType.UPDATE,
            title=f"Update posted ({update.status})"[:300],
            description=text,
            actor=source,
            occurred_at=update.at,
            recorded_at=now,
            visibility=Visibility.PUBLIC,
            source=Source.IMPORT,
            external_id=update.external_id,
        )
        for incident, source, update, text in notes
    )


def _append_past_entries(incident: Incident, entries: Sequence[PastEntry], actor: str, now: datetime) -> int:
    known = set(incident.timeline.exclude(external_id=None).values_list("external_id", flat=True))
    fresh = [entry for entry in entries if entry.external_id not in known]
    _write_entries(incident, fresh, actor, now)
    return len(fresh)


def _write_entries(incident: Incident, entries: Sequence[PastEntry], actor: str, now: datetime) -> None:
    for entry in entries:
        check_happened(entry.at, now)
    TimelineEvent.objects.bulk_create(
        TimelineEvent(
            incident=incident,
            verb=Verb.ENTRY,
            type=EventType.ACTION,
            title=clean_text(entry.title, field="entry", max_length=300, required=True),
            description=clean_text(entry.description, field="entry"),
            actor=actor,
            occurred_at=entry.at,
            recorded_at=now,
            visibility=Visibility.INTERNAL,
            source=Source.IMPORT,
            external_id=entry.external_id,
        )
        for entry in entries
    )


def _move_past(incident: Incident, past: PastIncident, now: datetime) -> int:
    """How many phases the source has moved on since, while it is open here. It never moves back."""
    ahead = [(phase, at) for phase, at in past.phases if phase > incident.phase] if incident.is_open else []
    for phase, at in ahead:
        write(incident, phase=phase, phase_entered_at=at)
        enter(incident, phase, _import_stamp(past, at, now), verb=Verb.ADVANCED, title=f"{phase.label} (imported)")
    return len(ahead)


def _close_past(incident: Incident, past: PastIncident, now: datetime) -> bool:
    """Whether the source has resolved since what is still open here, or knows the end that nobody saw."""
    if past.resolved_at is None:
        return False
    if not incident.is_open:
        return _learn_end(incident, past, past.resolved_at, now)
    at = past.resolved_at
    write(incident, status=Status.RESOLVED, phase=Phase.RESOLUTION, phase_entered_at=at, resolved_at=at)
    if past.has_ended_unseen:
        write(incident, metadata={**(incident.metadata or {}), GONE_AT: past.metadata[GONE_AT]})
    enter(
        incident,
        Phase.RESOLUTION,
        _import_stamp(past, at, now),
        verb=Verb.RESOLVED,
        title=f"{Phase.RESOLUTION.label} (imported)",
        reason=_besides(past, Phase.RESOLUTION),
    )
    return True


def _learn_end(incident: Incident, past: PastIncident, at: datetime, now: datetime) -> bool:
    """Puts the end right that nobody had seen, unless a person has taken the incident up again since."""
    gone_at = (incident.metadata or {}).get(GONE_AT)
    if past.has_ended_unseen or gone_at is None or gone_at != iso(incident.resolved_at):
        return False
    entered = incident.timeline.filter(type=EventType.PHASE, phase_number=Phase.RESOLUTION, corrects=None).latest("pk")
    TimelineEvent.objects.create(
        incident=incident,
        verb=Verb.CORRECTED,
        type=EventType.PHASE,
        title=f"{Phase.RESOLUTION.label} (imported)",
        description="A later file knows when it ended.",
        actor=past.external_source,
        occurred_at=at,
        recorded_at=now,
        visibility=Visibility.INTERNAL,
        source=Source.IMPORT,
        phase_number=Phase.RESOLUTION,
        corrects=entered,
    )
    known = {name: value for name, value in (incident.metadata or {}).items() if name != GONE_AT}
    write(incident, resolved_at=at, phase_entered_at=at, metadata=known)
    return True
