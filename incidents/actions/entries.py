"""Lines in the log."""

from __future__ import annotations

from datetime import datetime

from incidents.actions._core import Stamp, action, log, visibility_of
from incidents.clock import check_happened
from incidents.errors import TextMissing, WrongIncident
from incidents.lifecycle import EventType, Verb, Visibility
from incidents.models import Incident, TimelineEvent
from majorops.lib.errors import Invalid
from majorops.lib.text import clean_text


@action
def post_entry(
    incident: Incident,
    title: str,
    *,
    stamp: Stamp,
    description: str = "",
    type: str = EventType.ACTION,
    visibility: str | None = Visibility.INTERNAL,
) -> TimelineEvent:
    """A line in the log. Allowed after resolution too: a late note is better than none."""
    if not clean_text(title, field="title"):
        raise TextMissing(field="title")
    if type not in (EventType.ACTION, EventType.ALERT, EventType.COMMAND):
        raise Invalid(
            "type must be action, alert or command; phases and updates have actions of their own.", field="type"
        )
    return log(
        incident,
        stamp,
        verb=Verb.ENTRY,
        type=type,
        title=clean_text(title, field="title", max_length=300),
        description=clean_text(description, field="description"),
        visibility=None if visibility is None else visibility_of(visibility),
    )


@action
def correct_entry(
    incident: Incident,
    entry: TimelineEvent,
    *,
    stamp: Stamp,
    title: str,
    description: str = "",
    occurred_at: datetime | None = None,
) -> TimelineEvent:
    """Appends a corrected copy; the original stays, struck through. `occurred_at` corrects a wrong time."""
    if entry.incident_id != incident.pk:
        raise WrongIncident
    if entry.corrects_id:
        raise Invalid("Correct the original entry; its latest correction counts.", field="corrects")
    happened = occurred_at or entry.occurred_at
    check_happened(happened, stamp.now, field="occurred_at")
    check_happened(stamp.at, stamp.now)
    return TimelineEvent.objects.create(
        incident=incident,
        verb=Verb.CORRECTED,
        type=entry.type,
        title=clean_text(title, field="title", max_length=300, required=True),
        description=clean_text(description, field="description"),
        actor=stamp.actor,
        actor_user=stamp.by,
        occurred_at=happened,
        recorded_at=stamp.now,
        source=stamp.source,
        visibility=entry.visibility,
        phase_number=entry.phase_number,
        corrects=entry,
    )
