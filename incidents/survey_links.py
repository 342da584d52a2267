"""The personal link of a survey invitation: its id with a signature. Nobody can make one up or read another's."""

from __future__ import annotations

from django.core.signing import BadSignature, Signer
from django.urls import reverse

from incidents.models import CalendarFeed, Incident, SurveyInvitation
from majorops.lib.visibility import visible

_SURVEYS = Signer(salt="majorops.survey", sep=".")
_CALENDARS = Signer(salt="majorops.calendar", sep=".")


def token_of(invitation: SurveyInvitation) -> str:
    return _SURVEYS.sign(invitation.pk)


def path_of(invitation: SurveyInvitation) -> str:
    return reverse("survey", args=[token_of(invitation)])


def invitation_of(token: str) -> SurveyInvitation | None:
    """The invitation that a link was signed for, while its person may sign in and the incident exists for them."""
    rows = SurveyInvitation.objects.select_related("incident", "user")
    found = rows.filter(pk=_signed(_SURVEYS, token), user__is_active=True).first()
    if found is None or not visible(Incident.objects.filter(pk=found.incident_id), found.user).exists():
        return None
    return found


def feed_token(feed: CalendarFeed) -> str:
    return _CALENDARS.sign(feed.pk)


def feed_of(token: str) -> CalendarFeed | None:
    """The calendar that an address was signed for, unless it was revoked or its person switched off."""
    feeds = CalendarFeed.objects.select_related("user")
    return feeds.filter(pk=_signed(_CALENDARS, token), revoked_at=None, user__is_active=True).first()


def _signed(signer: Signer, token: str) -> str:
    """What was signed; for anything else an id that no row has."""
    try:
        return signer.unsign(token)
    except BadSignature:
        return "00000000000000000000000000"
