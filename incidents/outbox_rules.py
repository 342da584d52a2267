"""RULES: what is told to whom, when it is tried again, and when it is given up."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import TextChoices


class Channel(TextChoices):
    """How a message leaves the house."""

    PAGE = "page", "Team page"
    EMAIL = "email", "E-mail"
    WEBHOOK = "webhook", "Webhook"
    SLACK = "slack", "Slack"
    TEAMS = "teams", "Microsoft Teams"


class Event(TextChoices):
    """What subscribers and endpoints are told of. The transition notifies; nobody ticks a box."""

    DECLARED = "incident.declared", "Incident declared"
    MILESTONE = "incident.milestone", "Milestone published"
    UPDATE = "incident.update", "Public update"
    STATUS = "incident.status_changed", "Status changed"
    SEVERITY = "incident.severity_changed", "Severity changed"
    OVERDUE = "incident.promise_overdue", "Promised update overdue"
    RESOLVED = "incident.resolved", "Resolved"
    REOPENED = "incident.reopened", "Reopened"
    #: Not about an incident.
    MESSAGE = "message", "Message"
    TEST = "test", "Test"


#: Whoever heard of the incident hears these: nobody is left believing what is no longer so.
LAST_WORDS = frozenset({Event.RESOLVED, Event.REOPENED})
#: What an endpoint can choose from.
CHOOSABLE = tuple(event for event in Event if event not in (Event.MESSAGE, Event.TEST))


class Wish(TextChoices):
    """What a person wants to hear of one incident, whatever their rule for all of them says."""

    UPDATES = "updates", "Every public update"
    LAST = "last", "Only when it is resolved or reopened"
    NOTHING = "nothing", "Nothing"


#: How long after each failure the next try comes. The last one repeats.
PAGE_BACKOFF = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5))
BACKOFF = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
)
#: Nothing leaves later than this: news of yesterday would only confuse.
GIVE_UP_AFTER = timedelta(hours=24)


def next_try(channel: str, failures: int, queued_at: datetime, now: datetime) -> datetime | None:
    """When to try again after so many failures; None: give up. A team is not called an hour late."""
    if channel == Channel.PAGE:
        return now + PAGE_BACKOFF[failures - 1] if failures <= len(PAGE_BACKOFF) else None
    again = now + BACKOFF[min(failures, len(BACKOFF)) - 1]
    return again if again < queued_at + GIVE_UP_AFTER else None


def is_too_late(queued_at: datetime, now: datetime) -> bool:
    return now >= queued_at + GIVE_UP_AFTER


def told_of_incident(wish: str | None, *, by_rule: bool, event: str, has_heard: bool) -> bool:
    """Whether somebody is told. `wish` is for this incident; `by_rule`: their rule for all incidents includes it;
    `has_heard`: something about it was sent to them."""
    if wish == Wish.NOTHING:
        return False
    if event in LAST_WORDS:
        return wish is not None or by_rule or has_heard
    return wish == Wish.UPDATES if wish else by_rule


#: From the gravest down.
SEVERITIES = ("critical", "high", "medium", "low")


def is_at_least(severity: str, least: str) -> bool:
    """`high` is at least `medium`."""
    return SEVERITIES.index(severity) <= SEVERITIES.index(least)
