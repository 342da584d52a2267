"""What happens to a promise besides being kept: it is moved, kept without news, or so late that somebody must hear."""

from __future__ import annotations

from datetime import datetime

from accounts.models import User
from incidents import outbox, words
from incidents.actions._core import Stamp, action, locked, log, tell, write
from incidents.actions.communication import cut_milestone
from incidents.clock import check_promise
from incidents.errors import NothingPromised, ReasonMissing
from incidents.lifecycle import EventType, Status, Verb, Visibility, check_open
from incidents.models import Incident, Milestone, PromiseAlert, PromiseMove
from incidents.outbox_rules import Event
from incidents.promises import Promised, is_worth_an_alert, promises, standing, usual_interval
from majorops.lib.errors import Invalid
from majorops.lib.text import clean_text
from majorops.lib.times import to_millisecond


def ledger_of(incident: Incident, now: datetime) -> list[Promised[Milestone]]:
    """Every promise of an incident, as it stands at `now`. Two queries."""
    return list(promises(list(incident.milestones.order_by("sequence")), now, incident.promise_moves.all()))


@action
def move_promise(incident: Incident, due_at: datetime, *, reason: str, stamp: Stamp) -> PromiseMove:
    """Promises the next update for another time. Those who wait read it, and a promise that is due already is missed.

    Raises NothingPromised, ReasonMissing.
    """
    current = locked(incident)
    check_open(Status(current.status))
    last = standing(ledger_of(current, stamp.now))
    if last is None:
        raise NothingPromised
    check_promise(due_at, stamp.now)
    if due_at == last.due_at:
        raise Invalid("The next update is promised for that time already.", field="next_update_eta")
    move = PromiseMove.objects.create(
        incident=current,
        milestone=last.made_by,
        was_due_at=last.due_at,
        due_at=due_at,
        reason=_why(reason),
        moved_by=stamp.by,
        moved_by_name=stamp.actor,
        recorded_at=stamp.now,
        source=stamp.source,
    )
    write(current, next_update_eta=due_at)
    _tell(current, move, stamp)
    return move


def _why(reason: str) -> str:
    why = clean_text(reason, field="reason", max_length=500)
    if not why:
        raise ReasonMissing("Say why: those who wait read it.", field="reason")
    return why


def _tell(incident: Incident, move: PromiseMove, stamp: Stamp) -> None:
    was, due = (words.hour(at, stamp.now) for at in (move.was_due_at, move.due_at))
    missed = "" if stamp.now <= move.was_due_at else " It was overdue, and stays a missed promise."
    log(
        incident,
        Stamp(by=stamp.by, at=stamp.now, now=stamp.now, source=stamp.source, name=stamp.name),
        verb=Verb.PUBLISHED,
        type=EventType.UPDATE,
        title=f"Next update moved from {was} to {due}",
        description=f"{move.reason}{missed}",
        visibility=Visibility.PUBLIC,
    )


def publish_no_change(
    incident: Incident, *, stamp: Stamp, next_update_eta: datetime | None = None, reason: str = ""
) -> Milestone:
    """Nothing new, and when to hear more: the shortest milestone there is. It keeps the promise, and makes the next.

    Without a time, people are asked to wait as long as the last time.
    """
    ledger = ledger_of(incident, stamp.now)
    eta = next_update_eta or to_millisecond(stamp.now + usual_interval(ledger[-1] if ledger else None))
    since, due = incident.last_communicated_at, words.hour(eta, stamp.now)
    said = f"Nothing has changed since {words.hour(since, stamp.now)}." if since else "There is nothing new to say yet."
    why = clean_text(reason, field="reason", max_length=500) or "The teams go on working."
    return cut_milestone(
        incident,
        title=f"No change, next update {due}",
        body=f"{said} {why} Next update at {due}.",
        next_update_eta=eta,
        stamp=stamp,
    )


@action
def alert_promise(incident: Incident, *, stamp: Stamp) -> PromiseAlert | None:
    """Notes, once, that the promise that stands is long overdue. None if it was noted, or has been kept meanwhile."""
    current = locked(incident)
    last = standing(ledger_of(current, stamp.now))
    if not current.is_open or last is None or not is_worth_an_alert(last, stamp.now):
        return None
    if PromiseAlert.objects.filter(milestone=last.made_by, due_at=last.due_at).exists():
        return None
    due, late = words.hour(last.due_at, stamp.now), words.span(stamp.now - last.due_at)
    entry = log(
        current,
        stamp,
        verb=Verb.ENTRY,
        type=EventType.COMMAND,
        title=f"The update promised for {due} is {late} overdue",
        description=f"Alerted: {_named(current)}. Publish a milestone, or say that nothing has changed.",
    )
    outbox.queue_message(
        to=[person.email for person in _responsible(current)],
        title=entry.title,
        text=f"{current.title}\n\nPublish a milestone, or say that nothing has changed.",
        now=stamp.now,
        path=f"/incidents/{current.pk}/",
    )
    tell(current, Event.OVERDUE, stamp, "Update overdue", f"The update promised for {due} has not come yet.")
    return PromiseAlert.objects.create(
        incident=current, milestone=last.made_by, due_at=last.due_at, entry=entry, alerted_at=stamp.now
    )


def _responsible(incident: Incident) -> list[User]:
    """The incident leader and the incident manager, as far as there are any."""
    return list(dict.fromkeys(person for person in (incident.leader, incident.mim) if person))


def _named(incident: Incident) -> str:
    people = " and ".join(map(str, _responsible(incident)))
    return people or "nobody, for no leader and no incident manager is named"
