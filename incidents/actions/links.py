"""Incidents that belong together, and taking up again what seemed over."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from accounts.idempotency import effect
from incidents.actions._core import Stamp, action, announce, locked, log
from incidents.actions.opening import open_incident
from incidents.errors import LinkCannotBe
from incidents.lifecycle import EventType, Phase, Status, check_reopen
from incidents.links import LinkKind, check_link, is_same_incident
from incidents.models import CalendarFeed, Incident, IncidentLink
from majorops.lib.errors import Invalid
from majorops.lib.text import clean_text

#: The log names no other incident: its readers may not know of it. The link itself is shown to those who see both.
SAID = {
    LinkKind.DUPLICATE: (
        "Marked as a duplicate of another incident",
        "Another incident was marked as a duplicate of this",
    ),
    LinkKind.FOLLOWS: ("Linked to the incident before it", "It broke out again: a new incident was opened"),
    LinkKind.RELATED: ("Linked to a related incident", "Linked to a related incident"),
}


@action
def link_incidents(incident: Incident, other: Incident, *, kind: str, reason: str, stamp: Stamp) -> IncidentLink:
    """Says how two incidents belong together; both logs tell. Raises LinkCannotBe."""
    if kind not in LinkKind.values:
        raise Invalid(f"kind must be one of {', '.join(LinkKind.values)}.", field="kind", allowed=LinkKind.values)
    why = clean_text(reason, field="reason", max_length=500, required=True)
    first, second = _both(incident, other)
    pair = Q(incident__in=(first, second)) | Q(other__in=(first, second))
    standing = IncidentLink.objects.standing().filter(pair)
    duplicates = [(each.incident_id, each.other_id) for each in standing if each.kind == LinkKind.DUPLICATE]
    check_link(LinkKind(kind), first.pk, second.pk, duplicates=duplicates)
    if any((each.incident_id, each.other_id, each.kind) == (first.pk, second.pk, kind) for each in standing):
        raise LinkCannotBe("These two are linked that way already.", field="other")
    return link(first, second, LinkKind(kind), why, stamp)


def link(first: Incident, second: Incident, kind: LinkKind, reason: str, stamp: Stamp) -> IncidentLink:
    """Call with both rows locked."""
    row = IncidentLink.objects.create(
        incident=first,
        other=second,
        kind=kind,
        reason=reason,
        linked_by=stamp.by,
        linked_by_name=stamp.actor,
        linked_at=stamp.now,
    )
    for each, title in zip((first, second), SAID[kind], strict=True):
        _tell(each, title, reason, stamp)
    return row


@action
def unlink_incidents(incident: Incident, link: IncidentLink, *, reason: str, stamp: Stamp) -> IncidentLink:
    """Takes a link back. It stays in the record with the reason, and both logs tell."""
    why = clean_text(reason, field="reason", max_length=500, required=True)
    first, second = _both(link.incident, link.other)
    if incident.pk not in (first.pk, second.pk):
        raise LinkCannotBe("That link belongs to other incidents.", field="link")
    taken = IncidentLink.objects.standing().filter(pk=link.pk)
    if not taken.update(removed_at=stamp.now, removed_by=stamp.by, removed_because=why):
        raise LinkCannotBe("That link was taken back already.", field="link")
    for each, title in zip((first, second), SAID[LinkKind(link.kind)], strict=True):
        _tell(each, f"Taken back: {title[0].lower()}{title[1:]}", why, stamp)
    return IncidentLink.objects.get(pk=link.pk)


def _both(one: Incident, other: Incident) -> tuple[Incident, Incident]:
    """Both rows, locked in the order of their ids, so that two links at once do not wait for each other."""
    rows = {each.pk: locked(each) for each in sorted((one, other), key=lambda each: each.pk)}
    return rows[one.pk], rows[other.pk]


def _tell(incident: Incident, title: str, reason: str, stamp: Stamp) -> None:
    log(incident, stamp, verb="", type=EventType.COMMAND, title=title, description=reason)  # type: ignore[arg-type]
    _announce_later(incident.pk)


def _announce_later(incident_id: str) -> None:
    transaction.on_commit(partial(announce, incident_id), robust=True)


def reopens_same(incident: Incident, stamp: Stamp) -> bool:
    """Whether trouble now is this incident going on."""
    return incident.resolved_at is None or is_same_incident(incident.resolved_at, stamp.at, reopen_within())


def reopen_within() -> timedelta:
    """For how long after its resolution trouble is the same incident."""
    return timedelta(hours=settings.MAJOROPS_REOPEN_HOURS)


def follow_with_new(resolved: Incident, *, reason: str, stamp: Stamp) -> Incident:
    """A new incident of the same severity and systems, linked to the resolved one. Call with its row locked."""
    check_reopen(Status(resolved.status), Phase.ASSESS, reason=reason)
    opened = open_incident(
        title=resolved.title,
        severity=resolved.severity,
        kind=resolved.kind if resolved.kind in ("drill", "test") else "real",
        stamp=stamp,
        description=reason,
        affected_systems=resolved.affected_systems,
        restricted=resolved.restricted,
        bridge_url=resolved.bridge_url,
    )
    link(opened, resolved, LinkKind.FOLLOWS, reason, stamp)
    return opened


# --- Calendars ---


def open_calendar(stamp: Stamp) -> CalendarFeed:
    """The calendar address of a person; the one there is, if there is one."""
    with effect():
        feed, _ = CalendarFeed.objects.get_or_create(user=stamp.by, revoked_at=None, defaults={"created_at": stamp.now})
    return feed


def revoke_calendar(stamp: Stamp) -> bool:
    """Switches the address of a person off for good. False if there was none."""
    with effect():
        return bool(CalendarFeed.objects.filter(user=stamp.by, revoked_at=None).update(revoked_at=stamp.now))
