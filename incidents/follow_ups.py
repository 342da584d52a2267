"""RULES: what a review leads to: kinds, urgency, and when a follow-up is overdue. Pure."""

from __future__ import annotations

from datetime import date

from django.db.models import TextChoices

from incidents.errors import FollowUpIsOver, ReasonMissing


class FollowUpType(TextChoices):
    DETECTIVE = "detective", "Detective: notice it sooner"
    PREVENTIVE = "preventive", "Preventive: keep it from happening"
    CORRECTIVE = "corrective", "Corrective: repair what it left"


class Priority(TextChoices):
    HIGH = "high", "High"
    MEDIUM = "medium", "Medium"
    LOW = "low", "Low"


class FollowUpState(TextChoices):
    OPEN = "open", "Open"
    IN_PROGRESS = "in_progress", "In progress"
    DONE = "done", "Done"
    #: Will not be done, and why.
    DROPPED = "dropped", "Dropped"


OVER = (FollowUpState.DONE, FollowUpState.DROPPED)


def is_overdue(due_on: date | None, state: str, today: date) -> bool:
    """Late from the day after it was due. Without a date nothing is late."""
    return due_on is not None and state not in OVER and today > due_on


def check_change(before: FollowUpState, after: FollowUpState, *, reason: str, changes_words: bool) -> None:
    """What is over is opened again before its words change; dropping one needs a reason."""
    if before in OVER and after in OVER and changes_words:
        raise FollowUpIsOver
    if after == FollowUpState.DROPPED and before != FollowUpState.DROPPED and not reason.strip():
        raise ReasonMissing("Say why it will not be done.", field="reason")
