"""`/r/<id>`: for the engineer who was called, on a phone. One button says "I'm here"; nobody else's numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.models import User
from accounts.refusals import refusal
from accounts.roles import Can
from incidents import actions, clock, words
from incidents.actions import Stamp
from incidents.badges import Badge, due_badge, severity_badge
from incidents.forms.entries import ResponderLogForm
from incidents.lifecycle import Verb
from incidents.logbook import Entry, Reader, entry_of, with_corrections
from incidents.models import Incident, Source, TeamPage
from incidents.pages import Page, asked_incident, page, person
from incidents.viewing import NotCalled, audience_for
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.times import parse_time
from majorops.lib.visibility import visible
from teams.models import Team

#: So many lines of the log are shown.
ENTRIES = 5
#: What is taken back here.
ANSWERS = (Verb.HERE, Verb.ARRIVED, Verb.ACKNOWLEDGED)
#: A tap that a phone kept longer than this is taken as made when it came.
OLDEST_TAP = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Duty:
    """What one responder needs to know of an incident."""

    incident: Incident
    severity: Badge
    due: Badge
    elapsed: timedelta
    #: The latest page of each of my teams, and of me.
    calls: list[TeamPage]
    joined_at: datetime | None
    entries: list[Entry]
    can_undo: list[actions.Undoable]

    @property
    def is_here(self) -> bool:
        return any(call.arrived_at for call in self.calls) or (not self.calls and self.joined_at is not None)


def duty(incident: Incident, user: User, now: datetime) -> Duty:
    taken_part = visible(incident.participants.filter(user=user), user).first()
    reader = Reader(user, audience_for(user, incident))
    newest = with_corrections(visible(incident.timeline.filter(corrects=None), user), user)[:ENTRIES]
    return Duty(
        incident=incident,
        severity=severity_badge(incident.severity),
        due=due_badge(incident.next_update_eta, now),
        elapsed=clock.elapsed(incident.detected_at, now, incident.resolved_at),
        calls=list({call.team_id: call for call in _own_pages(incident, user)}.values()),
        joined_at=taken_part.joined_at if taken_part else None,
        entries=[entry_of(event, reader) for event in newest],
        can_undo=[each for each in actions.undoable(incident, user, now) if each.event.verb in ANSWERS][:1],
    )


def _own_pages(incident: Incident, user: User) -> QuerySet[TeamPage]:
    mine = Q(user=user) | Q(team__in=visible(Team.objects.filter(memberships__user=user), user))
    pages = visible(incident.team_pages.filter(mine, cancelled_at=None), user)
    return pages.select_related("team").order_by("paged_at", "id")


def _called(view: Page) -> Page:
    """For those who may write to this incident: called to it, or in command."""

    @page(Can.READ_INCIDENTS)
    @wraps(view)
    def guarded(request: HttpRequest, incident_id: str, **route: str) -> HttpResponse:
        incident = asked_incident(request, incident_id)
        if not audience_for(person(request), incident).may_post:
            return refusal(request, NotCalled())
        return view(request, incident, timezone.now(), **route)

    return guarded


@_called
@require_GET
def responder(request: HttpRequest, incident: Incident, now: datetime) -> HttpResponse:
    shown = duty(incident, person(request), now)
    form = ResponderLogForm(now=now, key="post")
    return render(request, "incidents/responder.html", {"duty": shown, "incident": incident, "form": form, "now": now})


# --- Taps ---

Tap = Callable[..., str]


def _tap(act: Tap) -> Page:
    """An address that takes one tap. It always leads back to the page, which says what came of it.

    A phone that had no network sends the tap later, with the time it was made at.
    """

    @_called
    @require_POST
    @wraps(act)
    def view(request: HttpRequest, incident: Incident, now: datetime, **route: str) -> HttpResponse:
        tapped = _tapped_at(request, now)
        stamp = Stamp(by=person(request), at=tapped or now, now=now, source=Source.WEB)
        try:
            messages.success(request, act(request, incident, stamp, **route))
            if tapped:
                _tell_whose_clock(incident, stamp)
        except DomainError as error:
            messages.error(request, error.message)
        return redirect("responder:page", incident.pk)

    return view


def _tapped_at(request: HttpRequest, now: datetime) -> datetime | None:
    """What the phone's clock said. None where nothing was kept, or where that clock cannot be right."""
    try:
        at = parse_time(request.POST.get("tapped_at", ""), field="tapped_at")
    except Invalid:
        return None
    return at if now - OLDEST_TAP <= at <= now else None


def _tell_whose_clock(incident: Incident, stamp: Stamp) -> None:
    told = "Client time: the phone was offline, so its own clock says when this was."
    actions.post_entry(incident, f"{stamp.actor} was offline", description=told, stamp=stamp)


@_tap
def here(request: HttpRequest, incident: Incident, stamp: Stamp, page_id: str = "") -> str:
    """I'm here: for the team that was paged, or as a helper."""
    team = _page(request, incident, page_id).team if page_id else None
    reported = actions.report_here(incident, team=team, stamp=stamp)
    if reported.is_new:
        return f"You are here, since {words.hour(stamp.at, stamp.now)}."
    return "You had said so already."


@_tap
def coming(request: HttpRequest, incident: Incident, stamp: Stamp, page_id: str) -> str:
    call = _page(request, incident, page_id)
    actions.acknowledge_page(incident, call, stamp=stamp)
    return f"{call.team.name} is on the way."


@_tap
def post(request: HttpRequest, incident: Incident, stamp: Stamp) -> str:
    form = ResponderLogForm(request.POST, now=stamp.now, key="post")
    if not form.is_valid():
        raise Invalid(" ".join(form.sentences), field="text")
    title, description = form.cleaned_data["text"]
    actions.post_entry(incident, title, description=description, stamp=stamp)
    return "Posted to the log."


@_tap
def undo(request: HttpRequest, incident: Incident, stamp: Stamp, entry_id: str) -> str:
    event = get_object_or_404(visible(incident.timeline.all(), person(request)), pk=entry_id)
    return f"{actions.undo(incident, event, stamp=stamp).title}."


def _page(request: HttpRequest, incident: Incident, page_id: str) -> TeamPage:
    return get_object_or_404(_own_pages(incident, person(request)), pk=page_id)
