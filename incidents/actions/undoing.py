"""Taking back what was just done. Nothing is deleted: the row returns to what it was, and the log says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F

from accounts.models import User
from incidents.actions._core import Stamp, action, locked, log, tell, write
from incidents.actions.dispatch import ARRIVAL, own_page, reissue, void
from incidents.actions.facts import column_of
from incidents.actions.roles import hand_over
from incidents.errors import PageIsOpen, UndoRefused, WrongIncident
from incidents.lifecycle import CommandRole, EventType, Verb
from incidents.models import (
    EntryQuerySet,
    Incident,
    Participant,
    PhaseEntry,
    RoleAssignment,
    TeamPage,
    TimelineEvent,
)
from incidents.outbox_rules import Event
from incidents.undo import HERE_WINDOW, Deed, check_undo, seconds_left
from majorops.lib.text import clean_text


@dataclass(frozen=True, slots=True)
class Undoable:
    """What a person may still take back, and for how long."""

    event: TimelineEvent
    seconds_left: int
    words: str


def undoable(incident: Incident, viewer: User, now: datetime) -> list[Undoable]:
    """What this person may take back now, newest first. Two queries at most."""
    since = list(_entries(incident).filter(recorded_at__gte=now - HERE_WINDOW))
    if not any(event.actor_user_id == viewer.pk for event in since):
        return []
    deeds = _deeds(incident, since)
    return [
        Undoable(event, seconds_left(deed, now), f"Undo: {event.title}")
        for event, deed in sorted(zip(since, deeds, strict=True), key=lambda pair: pair[1].order, reverse=True)
        if _may_undo(deed, deeds, viewer, now)
    ]


def _may_undo(deed: Deed, deeds: list[Deed], viewer: User, now: datetime) -> bool:
    try:
        check_undo(deed, deeds, by=viewer.pk, now=now)
    except UndoRefused:
        return False
    return True


@action
def undo(incident: Incident, event: TimelineEvent, *, stamp: Stamp) -> TimelineEvent:
    """Takes back what an entry says, and appends "Undone: ...". Raises UndoRefused saying why it is too late.

    An undone entry no longer counts: its phase entry neither, its page neither. It stays in the log.
    """
    if event.incident_id != incident.pk:
        raise WrongIncident
    current = locked(incident)
    is_undone = current.timeline.filter(undoes=event).exists()
    page = own_page(current, event.page) if event.page and not is_undone else None
    since = list(_entries(current).filter(recorded_at__gte=event.recorded_at))
    deeds = {deed.id: deed for deed in _deeds(current, since)}
    check_undo(deeds[event.pk], deeds.values(), by=stamp.by.pk if stamp.by else None, now=stamp.now)
    changes_row = event.verb in ROW
    entry = log(
        current,
        stamp,
        verb=Verb.UNDONE,
        type=event.type,
        title=f"Undone: {event.title}",
        visibility=event.visibility,
        undoes=event,
        page=page,
        changes=_turned(event.changes) if changes_row else None,
        incident_version=current.version + 1 if changes_row else None,
    )
    if changes_row:
        ROW[Verb(event.verb)](current, event, stamp)
        if event.verb == Verb.STATUS:
            tell(current, Event.STATUS, stamp, f"Status: {current.get_status_display()} after all")
    elif page:
        DISPATCHES[Verb(event.verb)](page, event, entry, stamp)
    if event.verb == Verb.HERE and stamp.by:
        _leave(current, stamp.by, event)
    return entry


@action
def wrong_team(incident: Incident, page: TeamPage, *, reason: str, stamp: Stamp) -> TimelineEvent:
    """Takes back a call that should not have been: it counts for nobody, and the log says why. Standing down would
    count a team that was never needed as one that did not come."""
    page = own_page(incident, page)
    why = clean_text(reason, field="reason", max_length=500, required=True)
    if page.arrived_at:
        raise PageIsOpen(f"{page.team} is on the bridge already.")
    first = _roots(incident)[page.pk]
    call = incident.timeline.filter(verb=Verb.PAGED, page=first, undone_by=None).first()
    entry = log(
        page.incident,
        stamp,
        verb=Verb.UNDONE,
        type=EventType.COMMAND,
        title=f"Wrong team: {page.team}",
        description=why,
        undoes=call,
        page=page,
    )
    void(page, entry, stamp)
    return entry


def _entries(incident: Incident) -> EntryQuerySet:
    return incident.timeline.select_related("undone_by", "page")


def _deeds(incident: Incident, events: list[TimelineEvent]) -> list[Deed]:
    roots = _roots(incident) if any(event.page_id for event in events) else {}
    return [
        Deed(
            id=event.pk,
            verb=event.verb,
            by=event.actor_user_id,
            recorded_at=event.recorded_at,
            visibility=event.visibility,
            changes=event.changes,
            page=roots.get(event.page_id, event.page_id),
            corrects=event.corrects_id,
            undoes=event.undoes_id,
            is_undone=hasattr(event, "undone_by"),
        )
        for event in events
    ]


def _roots(incident: Incident) -> dict[str | None, str]:
    """Of each row of a dispatch, the first: what was replaced and what replaced it are one dispatch."""
    roots: dict[str | None, str] = {}
    rows = TeamPage.with_voided.filter(incident=incident).order_by("recorded_at", "pk")
    for pk, replaces in rows.values_list("pk", "replaces_id"):
        roots[pk] = roots.get(replaces, replaces or pk)
    return roots


def _turned(changes: dict[str, list[object]] | None) -> dict[str, list[object]] | None:
    return {name: [new, old] for name, (old, new) in changes.items()} if changes else None


# --- The incident's row ---


def _phase_back(incident: Incident, event: TimelineEvent, stamp: Stamp) -> None:
    """To the phase entered before, with its own beginning; the undone entry does not count any more."""
    before = PhaseEntry.objects.filter(incident=incident).order_by("recorded_at", "pk").last()
    if before is None:
        raise UndoRefused("Nobody noted the phase before. Move on, or back into Gather or Assess.")
    write(incident, phase=before.phase_number, phase_entered_at=before.entered_at)


def _fields_back(incident: Incident, event: TimelineEvent, stamp: Stamp) -> None:
    """To the values the entry kept. They stood there before, so nothing checks them again."""
    write(incident, **{name: column_of(name).to_python(old) for name, (old, _) in (event.changes or {}).items()})


def _role_back(incident: Incident, event: TimelineEvent, stamp: Stamp) -> None:
    """A new holding of who held the role before: the few seconds between stay in the history."""
    (role, (before, _)) = next(iter((event.changes or {}).items()))
    ended = RoleAssignment.objects.filter(incident=incident, role=role).exclude(renounced_at=None)
    last = ended.order_by("renounced_at", "assumed_at", "pk").last() if before else None
    hand_over(incident, CommandRole(role), last.user if last else None, last.name if last else "", stamp)


ROW: dict[str, Callable[[Incident, TimelineEvent, Stamp], None]] = {
    Verb.ADVANCED: _phase_back,
    Verb.STATUS: _fields_back,
    Verb.EDITED: _fields_back,
    Verb.RISK: _fields_back,
    Verb.DECISION: _fields_back,
    Verb.ROLE: _role_back,
}


# --- Dispatches ---


def _page_back(page: TeamPage, event: TimelineEvent, entry: TimelineEvent, stamp: Stamp) -> None:
    void(page, entry, stamp)


def _call_back(page: TeamPage, event: TimelineEvent, entry: TimelineEvent, stamp: Stamp) -> None:
    TeamPage.objects.filter(pk=page.pk).update(page_count=F("page_count") - 1)


def _acknowledgement_back(page: TeamPage, event: TimelineEvent, entry: TimelineEvent, stamp: Stamp) -> None:
    reissue(page, entry, stamp, acknowledged_at=None)


def _arrival_back(page: TeamPage, event: TimelineEvent, entry: TimelineEvent, stamp: Stamp) -> None:
    """To what was known before: not there yet, or there as the incident manager saw it."""
    seen = page.replaces if page.replaces and page.replaces.voided_by_event_id == event.pk else None
    earlier = {name: getattr(seen, name) if seen else None for name in ARRIVAL}
    reissue(page, entry, stamp, user=seen.user if seen else page.user, **earlier)


def _stand_down_back(page: TeamPage, event: TimelineEvent, entry: TimelineEvent, stamp: Stamp) -> None:
    if page.incident.team_pages.waiting().filter(team=page.team).exists():
        raise UndoRefused(f"{page.team} has been paged again since.")
    reissue(page, entry, stamp, cancelled_at=None)


DISPATCHES: dict[str, Callable[[TeamPage, TimelineEvent, TimelineEvent, Stamp], None]] = {
    Verb.PAGED: _page_back,
    Verb.CALLED_AGAIN: _call_back,
    Verb.ACKNOWLEDGED: _acknowledgement_back,
    Verb.ARRIVED: _arrival_back,
    Verb.HERE: _arrival_back,
    Verb.STOOD_DOWN: _stand_down_back,
}


def _leave(incident: Incident, user: User, event: TimelineEvent) -> None:
    """The person is not here, if it was this that brought them; who was invited before stays invited."""
    joined = Participant.objects.filter(incident=incident, user=user, joined_at=event.occurred_at)
    joined.filter(created_at=event.recorded_at).delete()
    joined.update(joined_at=None)
