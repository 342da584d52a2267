"""What stands around an incident: its learning, its survey, what belongs to it, what was like it.

The command page asks for it once it is shown, so that nobody waits for it: `/incidents/<id>/beside`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts.models import User
from accounts.roles import Can
from incidents.links_page import ties
from incidents.models import Incident, LearningReview
from incidents.pages import asked_incident, page, person
from incidents.similar import similar_to
from majorops.lib.visibility import visible
from teams.models import Team

#: How many people the browser suggests; any other can be typed.
SUGGESTED = 100


@dataclass(frozen=True, slots=True)
class Way:
    """Where one can go from the page of an incident."""

    text: str
    address: str


@page(Can.READ_INCIDENTS)
@require_GET
def beside(request: HttpRequest, incident_id: str) -> HttpResponse:
    """A page of its own; `?part` is its middle alone, for the script of the command page."""
    incident = asked_incident(request, incident_id)
    template = "incidents/_beside.html" if "part" in request.GET else "incidents/beside.html"
    return render(request, template, {"incident": incident} | afterwards(incident, person(request)))


def afterwards(incident: Incident, user: User) -> dict[str, Any]:
    """For the template: links to other incidents, ways on, what was seen before, and names to suggest."""
    commands = user.can(Can.COMMAND)
    return {
        "ties": ties(incident, user),
        "after": _ways(incident, user),
        "similar": similar_to(incident, user),
        "people": visible(User.objects.all(), user)[:SUGGESTED] if commands else [],
        "teams": visible(Team.objects.dispatchable(), user) if commands else [],
    }


def _ways(incident: Incident, user: User) -> list[Way]:
    commands, ways = user.can(Can.COMMAND), []
    if not incident.is_open:
        review = visible(LearningReview.objects.filter(incident=incident), user).first()
        address = reverse("incidents:review", args=[incident.pk])
        if review is not None:
            ways.append(Way(f"Learning review: {review.get_state_display().lower()}", address))
        elif commands:
            ways.append(Way("Begin a learning review", address))
        if user.can(Can.READ_INTERNAL):
            ways.append(Way("How well people were kept informed", reverse("incidents:survey", args=[incident.pk])))
    if commands:
        ways.append(Way("Link another incident", reverse("incidents:link", args=[incident.pk])))
    return ways
