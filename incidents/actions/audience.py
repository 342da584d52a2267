"""What readers do: ask, confirm that they have read, and leave a bookmark."""

from __future__ import annotations

from datetime import datetime

from accounts.idempotency import effect
from accounts.models import User
from incidents.actions._core import Stamp, action, locked, log
from incidents.brief_rules import check_may_ask, visited
from incidents.errors import NotAPerson, NothingToRead
from incidents.lifecycle import EventType, Status, Verb, check_open
from incidents.models import BriefVisit, EntryQuerySet, Incident, ReadReceipt, TimelineEvent
from majorops.lib.text import clean_text

QUESTION_LENGTH = 1000
#: So much of a question stands in the title of its entry.
_BEGINNING = 200


@action
def ask(incident: Incident, question: str, *, stamp: Stamp) -> TimelineEvent:
    """A question to the incident manager: an internal entry. Raises AskedAlready within five minutes of the last."""
    if stamp.by is None:
        raise NotAPerson
    text = clean_text(question, field="question", max_length=QUESTION_LENGTH, required=True)
    current = locked(incident)
    check_open(Status(current.status))
    last = own_questions(current, stamp.by).first()
    check_may_ask(last.recorded_at if last else None, stamp.now)
    beginning = " ".join(text.split())
    title = beginning if len(beginning) <= _BEGINNING else f"{beginning[:_BEGINNING]}…"
    description = "" if title == text else text
    return log(
        current,
        stamp,
        verb=Verb.ASKED,
        type=EventType.ACTION,
        title=f"Question ({stamp.by.get_role_display()}): {title}",
        description=description,
    )


def own_questions(incident: Incident, user: User) -> EntryQuerySet:
    """What this person asked, newest first. The entries are internal; one's own words are no secret from oneself."""
    return TimelineEvent.objects.filter(incident=incident, verb=Verb.ASKED, actor_user=user).order_by("-recorded_at")


def confirm_read(incident: Incident, *, stamp: Stamp) -> ReadReceipt:
    """The person has read up to the newest milestone. The second time changes nothing. Raises NothingToRead."""
    if stamp.by is None:
        raise NotAPerson
    with effect(incident):
        newest = locked(incident).milestones.order_by("sequence").last()
        if newest is None:
            raise NothingToRead
        receipt, _ = ReadReceipt.objects.get_or_create(
            milestone=newest,
            user=stamp.by,
            defaults={"incident": incident, "read_at": stamp.at, "recorded_at": stamp.now},
        )
    return receipt


def bookmark(incident: Incident, user: User, *, now: datetime) -> datetime | None:
    """Moves the person's bookmark, and tells since when things are new to them; None on their first visit."""
    row, is_first = BriefVisit.objects.get_or_create(incident=incident, user=user, defaults={"last_seen_at": now})
    if is_first:
        return None
    after = visited(row.since, row.last_seen_at, now)
    if after is not None:
        BriefVisit.objects.filter(pk=row.pk).update(since=after.since, last_seen_at=now)
    return after.since if after else row.since
