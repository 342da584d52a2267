"""Asking people how well they were informed, and taking their answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db.models import Q

from accounts.models import User
from accounts.roles import Can
from incidents import outbox, subscriptions
from incidents.actions._core import Stamp, action, locked
from incidents.lifecycle import Kind, Status
from incidents.models import BriefVisit, Incident, ReadReceipt, SurveyInvitation, SurveyResponse
from incidents.outbox_rules import Event
from incidents.survey import check_open, checked_score, closes_at
from incidents.survey_links import path_of
from majorops.lib.errors import Invalid
from majorops.lib.text import clean_text
from majorops.lib.visibility import visible

MAX_COMMENT = 2000


def ask_readers(incident: Incident, stamp: Stamp) -> list[SurveyInvitation]:
    """Invites whoever followed the incident. Call with its row locked and resolved; drills and tests ask nobody."""
    if incident.kind != Kind.REAL or not settings.MAJOROPS_SURVEY_DAYS:
        return []
    return invite_to_survey(incident, readers(incident), stamp)


def readers(incident: Incident) -> list[User]:
    """People who were informed: they subscribed, looked at the brief or said they had read it, and may see it now.
    Whoever commands incidents did the informing and is not asked."""
    looked = BriefVisit.objects.filter(incident=incident).values("user")
    read = ReadReceipt.objects.filter(incident=incident).order_by().values("user")
    known = set(User.objects.filter(Q(pk__in=looked) | Q(pk__in=read)))
    known |= set(subscriptions.hearers(incident, Event.RESOLVED))
    return sorted((each for each in known if _may_be_asked(each, incident)), key=lambda each: each.email)


def _may_be_asked(person: User, incident: Incident) -> bool:
    if person.can(Can.COMMAND) or not person.is_active:
        return False
    return visible(Incident.objects.filter(pk=incident.pk), person).exists()


def invite_to_survey(incident: Incident, people: Iterable[User], stamp: Stamp) -> list[SurveyInvitation]:
    """An invitation for each who has none, sent by e-mail where mail is sent. Open invitations get the new end."""
    end = closes_at(incident.resolved_at or stamp.at, timedelta(days=settings.MAJOROPS_SURVEY_DAYS))
    invited = SurveyInvitation.objects.filter(incident=incident)
    invited.exclude(closes_at=end).update(closes_at=end)
    there = set(invited.values_list("user_id", flat=True))
    fresh = [
        SurveyInvitation(incident=incident, user=person, created_at=stamp.now, closes_at=end)
        for person in people
        if person.pk not in there
    ]
    SurveyInvitation.objects.bulk_create(fresh)
    for invitation in fresh:
        _send(invitation, stamp)
    return fresh


def _send(invitation: SurveyInvitation, stamp: Stamp) -> None:
    outbox.queue_message(
        to=[invitation.user.email],
        title=f"How well were you kept informed? {invitation.incident.title}"[:300],
        text="The incident is resolved. One tap tells us how well you were kept informed, from 1 to 5. "
        f"You can answer until {invitation.closes_at:%d %b %Y %H:%M} UTC, and change your answer until then.",
        path=path_of(invitation),
        now=stamp.now,
    )


@action
def ask_for_feedback(incident: Incident, person: User, *, stamp: Stamp) -> SurveyInvitation:
    """Invites one more person. Raises Invalid for somebody who may not see the incident."""
    current = locked(incident)
    check_open(
        closes_at(current.resolved_at or stamp.now, timedelta(days=settings.MAJOROPS_SURVEY_DAYS)),
        is_resolved=current.status == Status.RESOLVED,
        now=stamp.now,
    )
    if not _may_be_asked(person, current):
        raise Invalid("Ask somebody who may see this incident and does not command incidents.", field="person")
    invite_to_survey(current, [person], stamp)
    return SurveyInvitation.objects.get(incident=current, user=person)


@action
def answer_survey(
    incident: Incident, invitation: SurveyInvitation, score: object, *, stamp: Stamp, comment: str = ""
) -> SurveyResponse:
    """Records an answer; a later one of the same person counts in its place. Raises SurveyIsClosed, ScoreUnknown."""
    current = locked(incident)
    asked = SurveyInvitation.objects.select_for_update(no_key=True).get(pk=invitation.pk, incident=current)
    check_open(asked.closes_at, is_resolved=current.status == Status.RESOLVED, now=stamp.now)
    return SurveyResponse.objects.create(
        invitation=asked,
        score=checked_score(score),
        comment=clean_text(comment, field="comment", max_length=MAX_COMMENT),
        submitted_at=stamp.now,
    )
