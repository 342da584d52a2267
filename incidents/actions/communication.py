"""What is published: updates and milestones."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Max

from incidents.actions._core import Stamp, action, locked, log, visibility_of, write
from incidents.clock import check_happened, check_promise
from incidents.lifecycle import EventType, Status, Verb, Visibility, check_open
from incidents.models import Incident, Milestone, StatusUpdate
from majorops.lib.text import clean_text


@action
def post_update(incident: Incident, content: str, *, visibility: str, stamp: Stamp) -> StatusUpdate:
    """Publishes a note to stakeholders (public) or to the responders (internal)."""
    current = locked(incident)
    check_open(Status(current.status))
    text = clean_text(content, field="content", required=True)
    audience = visibility_of(visibility)
    update = StatusUpdate.objects.create(
        incident=current,
        content=text,
        visibility=audience,
        author=stamp.by,
        author_name=stamp.actor,
        created_at=stamp.at,
        recorded_at=stamp.now,
        source=stamp.source,
    )
    if audience == Visibility.PUBLIC:
        write(current, last_communicated_at=stamp.at)
    log(
        current,
        stamp,
        verb=Verb.PUBLISHED,
        type=EventType.UPDATE,
        title="Update posted",
        description=text,
        visibility=audience,
    )
    return update


@action
def cut_milestone(
    incident: Incident, *, title: str, body: str, stamp: Stamp, next_update_eta: datetime | None = None
) -> Milestone:
    """Publishes a summary to stakeholders and executives, and promises the next one."""
    current = locked(incident)
    check_open(Status(current.status))
    return cut(current, title, body, stamp, next_update_eta=next_update_eta)


def cut(
    incident: Incident, title: str, body: str, stamp: Stamp, *, next_update_eta: datetime | None = None, **flags: bool
) -> Milestone:
    """Call with the incident's row locked: the lock keeps the sequence free of gaps and doubles."""
    check_happened(stamp.at, stamp.now)
    check_promise(next_update_eta, stamp.at)
    last = incident.milestones.aggregate(last=Max("sequence"))["last"] or 0
    milestone = Milestone.objects.create(
        incident=incident,
        sequence=last + 1,
        title=clean_text(title, field="title", max_length=200, required=True),
        body=clean_text(body, field="body", required=True),
        status_at_cut=incident.status,
        next_update_eta=next_update_eta,
        cut_by=stamp.by,
        cut_by_name=stamp.actor,
        created_at=stamp.at,
        recorded_at=stamp.now,
        source=stamp.source,
        **flags,
    )
    write(incident, next_update_eta=next_update_eta, last_communicated_at=stamp.at)
    headline = f"Milestone {milestone.sequence}: {milestone.title}"
    log(
        incident,
        stamp,
        verb=Verb.PUBLISHED,
        type=EventType.UPDATE,
        title=headline,
        description=milestone.body,
        visibility=Visibility.PUBLIC,
    )
    return milestone
