"""`/incidents/<id>/brief`: what stakeholders live from, and the two things they may say back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounts.models import User
from accounts.roles import Can
from incidents import actions, live
from incidents.actions import Stamp
from incidents.actions.audience import own_questions
from incidents.brief import Brief, brief
from incidents.forms.entries import QuestionForm
from incidents.models import Incident, Milestone, ReadReceipt, Source
from incidents.pages import Page, asked_incident, page, person
from incidents.viewing import audience_for
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible


@page(Can.READ_INCIDENTS)
@require_GET
def stakeholder_brief(request: HttpRequest, incident_id: str) -> HttpResponse:
    """The page. It moves the reader's bookmark, which is no history and theirs alone."""
    return _shown(request, incident_id, timezone.now())


def _shown(
    request: HttpRequest, incident_id: str, now: datetime, *, form: QuestionForm | None = None, status: int = 200
) -> HttpResponse:
    user = person(request)
    state = live.state_for(user, incident_id, now)
    if state is None:
        raise Http404
    since = actions.bookmark(state.incident, user, now=now)
    shown = brief(state.incident, user, now, since)
    context = {"incident": state.incident, "brief": shown, "now": now, "standing": state.standing, "since": since}
    own = _own(state.incident, user, shown, form or QuestionForm(now=now, key="question"))
    return render(request, "incidents/brief.html", context | own, status=status)


def _own(incident: Incident, user: User, shown: Brief, form: QuestionForm) -> dict[str, Any]:
    """What is this person's own on the page."""
    receipts = visible(ReadReceipt.objects.filter(incident=incident), user)
    read = list(receipts.values_list("milestone__sequence", "user", "read_at"))
    newest = shown.told[0].number if shown.told else 0
    audience = audience_for(user, incident)
    return {
        "form": form,
        "may_ask": incident.is_open and not audience.may_command,
        "asked": own_questions(incident, user).first(),
        "read_at": next((at for number, who, at in read if number == newest and who == user.pk), None),
        "readers": sum(number == newest for number, _, _ in read) if audience.may_command else None,
        "audience": audience,
    }


# --- What readers say back ---

Tell = Callable[..., str]


def _telling(act: Tell) -> Page:
    """An address that takes one form of the brief and leads back to it."""

    @page(Can.READ_INCIDENTS)
    @require_http_methods(["GET", "POST"])
    @wraps(act)
    def view(request: HttpRequest, incident_id: str) -> HttpResponse:
        incident = asked_incident(request, incident_id)
        if request.method == "GET":
            return redirect("incidents:brief", incident.pk)
        now = timezone.now()
        stamp = Stamp(by=person(request), at=now, now=now, source=Source.WEB)
        form = QuestionForm(request.POST, now=now, key="question")
        try:
            messages.success(request, act(incident, form, stamp))
        except DomainError as error:
            form.is_valid()
            form.refuse(error)
            return _shown(request, incident.pk, now, form=form, status=error.status)
        return redirect("incidents:brief", incident.pk)

    return view


@_telling
def ask(incident: Incident, form: QuestionForm, stamp: Stamp) -> str:
    actions.ask(incident, form.data.get("question", ""), stamp=stamp)
    return "Sent to the incident manager. The answer comes as an update."


@_telling
def confirm(incident: Incident, form: QuestionForm, stamp: Stamp) -> str:
    receipt = actions.confirm_read(incident, stamp=stamp)
    milestone: Milestone = receipt.milestone
    return f"Noted: you have read up to milestone {milestone.sequence}."
