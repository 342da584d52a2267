"""What is published: updates and milestones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Max, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from incidents.actions._core import Stamp, action, locked, log, tell, visibility_of, write
from incidents.actions.drafts import forget_draft
from incidents.clock import check_happened, check_promise
from incidents.errors import WrongIncident
from incidents.lifecycle import EventType, Status, Verb, Visibility, check_open
from incidents.models import Incident, Milestone, MilestoneSource, StatusUpdate
from incidents.outbox_rules import Event
from incidents.promises import check_next_update
from majorops.lib.errors import Invalid
from majorops.lib.text import clean_text

#: More than anybody reads in one milestone.
MAX_QUOTED = 50


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
    if audience == Visibility.PUBLIC:
        tell(current, Event.UPDATE, stamp, "Update", text)
    return update


@action
def cut_milestone(
    incident: Incident,
    *,
    title: str,
    body: str,
    stamp: Stamp,
    next_update_eta: datetime | None = None,
    no_promise_reason: str = "",
    entries: Sequence[str] = (),
) -> Milestone:
    """Publishes a summary to stakeholders and executives, and promises the next one.

    Active incidents need a promise; in Monitoring a reason does instead. `entries`: the log entries it was made from.
    Raises NextUpdateMissing, ReasonMissing.
    """
    current = locked(incident)
    check_open(Status(current.status))
    reason = "" if next_update_eta else clean_text(no_promise_reason, field="no_promise_reason", max_length=500)
    check_next_update(Status(current.status), next_update_eta, reason=reason)
    milestone = cut(current, title, body, stamp, next_update_eta=next_update_eta, no_promise_reason=reason)
    quote(milestone, entries)
    forget_draft(current, stamp.by)
    tell(current, Event.MILESTONE, stamp, milestone.title, milestone.body)
    return milestone


def cut(
    incident: Incident,
    title: str,
    body: str,
    stamp: Stamp,
    *,
    next_update_eta: datetime | None = None,
    **fields: object,
) -> Milestone:
    """Call with the incident's row locked: the lock keeps the sequence free of gaps and doubles."""
    check_happened(stamp.at, stamp.now)
    check_promise(next_update_eta, stamp.at, stamp.now)
    milestone = Milestone.objects.create(
        incident=incident,
        sequence=_next_sequence(incident),
        title=clean_text(title, field="title", max_length=200, required=True),
        body=clean_text(body, field="body", required=True),
        status_at_cut=incident.status,
        next_update_eta=next_update_eta,
        cut_by=stamp.by,
        cut_by_name=stamp.actor,
        created_at=stamp.at,
        recorded_at=stamp.now,
        source=stamp.source,
        **fields,
    )
    milestone.refresh_from_db(fields=["sequence"])
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


def _next_sequence(incident: Incident) -> Combinable:
    """The number after the last, found by the INSERT itself."""
    numbers = Milestone.objects.filter(incident=incident).order_by().values("incident").annotate(last=Max("sequence"))
    return Coalesce(Subquery(numbers.values("last")), 0) + 1


def quote(milestone: Milestone, entries: Sequence[str]) -> None:
    """Keeps which entries of the log a milestone was made from. Raises WrongIncident."""
    wanted = list(dict.fromkeys(entries))
    if len(wanted) > MAX_QUOTED:
        raise Invalid(f"A milestone quotes at most {MAX_QUOTED} entries.", field="entries")
    known = set(milestone.incident.timeline.filter(pk__in=wanted).values_list("pk", flat=True))
    if not known >= set(wanted):
        raise WrongIncident("An entry of another incident cannot be quoted.", field="entries")
    MilestoneSource.objects.bulk_create(
        MilestoneSource(milestone=milestone, entry_id=entry, position=position)
        for position, entry in enumerate(wanted, start=1)
    )
