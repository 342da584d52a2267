"""What a person has to remember, as a calendar (RFC 5545): reviews, follow-ups, and promised updates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db.models import Count
from icalendar import Calendar, Event

from accounts.models import User
from accounts.roles import Can
from incidents.models import FollowUp, Incident, LearningReview, Milestone, PromiseMove
from majorops.lib.visibility import visible

#: Of each kind.
MOST = 200
#: How long an appointment lasts on the page of a calendar.
SHOWN_FOR = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Reminder:
    """One entry. The uid stays while the sequence grows with every change, so that calendars move it."""

    uid: str
    sequence: int
    at: datetime | date
    title: str
    path: str
    text: str = ""


#: What apps above this one have to remember: reader -> reminders.
sources: list[Callable[[User], Iterable[Reminder]]] = []


def reminders(user: User) -> list[Reminder]:
    """Everything this person has to remember and may read. Five queries, and those of the apps above."""
    own = [*_reviews(user), *_tasks(user), *_updates(user)]
    return own + [each for source in sources for each in source(user)]


def _reviews(user: User) -> Iterable[Reminder]:
    """All that are owed for those who command; else those that are one's own."""
    rows = visible(LearningReview.objects.unpublished().select_related("incident"), user)
    for row in (rows if user.can(Can.COMMAND) else rows.filter(owner=user))[:MOST]:
        title = f"Learning review due: {row.incident.title}"
        yield Reminder(f"review-{row.pk}", row.version, row.due_at, title, f"/incidents/{row.incident_id}/review")


def _tasks(user: User) -> Iterable[Reminder]:
    rows = visible(FollowUp.objects.unfinished().select_related("review"), user)
    for row in rows.filter(owner=user).exclude(due_on=None)[:MOST]:
        path = f"/incidents/{row.review.incident_id}/review"
        yield Reminder(
            f"follow-up-{row.pk}", row.version, row.due_on or date.min, f"Due: {row.title}", path, row.details
        )


def _updates(user: User) -> Iterable[Reminder]:
    """The next promised update of each open incident. Its milestones make one and its moves another time for it, and
    everybody reads both."""
    rows = list(visible(Incident.objects.active().exclude(next_update_eta=None), user)[:MOST])
    said: Counter[str] = Counter()
    for model in (Milestone, PromiseMove):
        told = visible(model._default_manager.filter(incident__in=[row.pk for row in rows]), user).order_by()
        said.update(dict(told.values_list("incident").annotate(Count("pk"))))
    for row in rows:
        if row.next_update_eta is not None:
            title = f"Next update: {row.title}"
            yield Reminder(f"update-{row.pk}", said[row.pk], row.next_update_eta, title, f"/incidents/{row.pk}/")


def as_ical(reminders: Iterable[Reminder], now: datetime) -> bytes:
    """The calendar as a file."""
    calendar = Calendar()
    calendar.add("prodid", "-//MajorOps//after the incident//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", "MajorOps")
    for each in reminders:
        calendar.add_component(_event(each, now))
    written: bytes = calendar.to_ical()
    return written


def _event(reminder: Reminder, now: datetime) -> Event:
    event = Event()
    event.add("uid", f"{reminder.uid}@majorops")
    event.add("sequence", reminder.sequence)
    event.add("dtstamp", now.astimezone(UTC))
    event.add("summary", reminder.title)
    if isinstance(reminder.at, datetime):
        event.add("dtstart", reminder.at.astimezone(UTC))
        event.add("dtend", reminder.at.astimezone(UTC) + SHOWN_FOR)
    else:
        event.add("dtstart", reminder.at)
    if reminder.text:
        event.add("description", reminder.text)
    if settings.MAJOROPS_PUBLIC_URL:
        event.add("url", settings.MAJOROPS_PUBLIC_URL.rstrip("/") + reminder.path)
    return event
