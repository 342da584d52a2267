"""What the past incidents of the demo left behind: reviews, follow-ups, answers to the survey, and links."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from accounts.models import User
from incidents import actions
from incidents.actions import Stamp
from incidents.follow_ups import FollowUpState, FollowUpType, Priority
from incidents.links import LinkKind
from incidents.models import ContributingFactor, Incident, Source, SurveyInvitation
from incidents.review import ReviewState
from majorops.lib.times import to_millisecond

#: Who reads the briefs, and is asked afterwards how well they were informed.
READERS = ("stakeholder", "executive", "engineer")
#: Hours from the end of an incident to the published review, one after the other: now and then it takes too long.
PUBLISHED_AFTER = (40, 66, 52, 90, 30, 61, 70, 44, 58, 120, 36, 64, 49, 71, 55)


@dataclass(frozen=True, slots=True)
class Lesson:
    """Why it came about, what coded factors it had, and what is to be done."""

    causes: str
    went_well: str
    factors: tuple[str, ...]
    follow_up: str
    type: str


LESSONS = (
    Lesson(
        "The nightly job and the migration shared one pool of connections, and nothing said how full it was.",
        "The first team called was the right one.",
        ("capacity", "monitoring-gap"),
        "Alert when a connection pool is 80 % full",
        FollowUpType.DETECTIVE,
    ),
    Lesson(
        "The release changed a default that two other services relied on. Its test ran against the old default.",
        "The roll-back took four minutes.",
        ("change",),
        "Run the contract tests of both services before each release",
        FollowUpType.PREVENTIVE,
    ),
    Lesson(
        "The expiry of the certificate was in one person's calendar. The runbook named a team that no longer exists.",
        "Customers were told before they asked.",
        ("unclear-ownership", "missing-documentation"),
        "Name an owner for each certificate, and check every month",
        FollowUpType.CORRECTIVE,
    ),
    Lesson(
        "The supplier's change reached us unannounced, and our retries made its queue longer.",
        "The second region took the load without anybody's help.",
        ("dependency", "known-risk"),
        "Back off after the second failed call to the supplier",
        FollowUpType.PREVENTIVE,
    ),
)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What follows one past incident after another, oldest first."""

    cast: Mapping[str, User]
    dice: random.Random

    def readers(self, incident: Incident, stamp: Stamp) -> None:
        """They look at the brief while it goes on, so they are asked afterwards."""
        for name in READERS:
            actions.bookmark(incident, self.cast[name], now=stamp.at)

    def follow(self, incident: Incident, place: int, *, is_recent: bool) -> None:
        """The survey and the review; the newest reviews are still being written."""
        self._answers(incident)
        lesson = LESSONS[place % len(LESSONS)]
        self._task(incident, lesson, is_done=place % 3 == 0)
        if not is_recent:
            self._publish(incident, lesson, PUBLISHED_AFTER[place % len(PUBLISHED_AFTER)])

    def duplicate(self, incident: Incident, of: Incident, reason: str) -> None:
        stamp = self._after(incident, 20)
        actions.link_incidents(incident, of, kind=LinkKind.RELATED, reason=reason, stamp=stamp)

    def _answers(self, incident: Incident) -> None:
        for invitation in SurveyInvitation.objects.filter(incident=incident).order_by("user__email"):
            if self.dice.random() < 0.85:
                score = self.dice.choices((2, 3, 4, 5), weights=(1, 3, 6, 5))[0]
                stamp = self._after(incident, self.dice.uniform(1, 30), invitation.user)
                actions.answer_survey(incident, invitation, score, stamp=stamp)

    def _task(self, incident: Incident, lesson: Lesson, *, is_done: bool) -> None:
        stamp = self._after(incident, 22)
        owner = self.cast[self.dice.choice(("mim", "deputy", "engineer"))]
        task = actions.add_follow_up(
            incident,
            title=lesson.follow_up,
            type=lesson.type,
            priority=self.dice.choice(Priority.values),
            owner=owner,
            due_on=(stamp.at + timedelta(days=self.dice.choice((14, 30, 60)))).date(),
            stamp=stamp,
        )
        if is_done:
            done = self._after(incident, 200)
            actions.change_follow_up(incident, task, {"state": FollowUpState.DONE}, stamp=done)

    def _publish(self, incident: Incident, lesson: Lesson, hours: float) -> None:
        factors = list(ContributingFactor.objects.filter(slug__in=lesson.factors))
        said = {"causes": lesson.causes, "went_well": lesson.went_well}
        changes: dict[str, object] = {"sections": said, "factors": factors, "owner": incident.mim}
        actions.edit_review(incident, changes, stamp=self._after(incident, hours - 8))
        actions.move_review(incident, ReviewState.IN_REVIEW, stamp=self._after(incident, hours - 6))
        actions.move_review(incident, ReviewState.PUBLISHED, stamp=self._after(incident, hours))

    def _after(self, incident: Incident, hours: float, by: User | None = None) -> Stamp:
        over = incident.resolved_at or incident.detected_at
        at = to_millisecond(over + timedelta(hours=hours))
        return Stamp(by=by or incident.mim, at=at, now=at, source=Source.WEB)
