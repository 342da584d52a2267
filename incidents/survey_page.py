"""The survey: one page for whoever was asked, reached by a personal link, and one for those who asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts.middleware import open_to_anyone
from accounts.models import User
from accounts.permissions import RoleRequired
from accounts.refusals import refusal
from accounts.roles import Can
from incidents import actions
from incidents.actions import Stamp
from incidents.badges import severity_badge
from incidents.forms.reviews import AnswerSurveyForm, AskForm
from incidents.lifecycle import Status
from incidents.models import Incident, Source, SurveyInvitation, SurveyResponse
from incidents.pages import NothingHere, asked_incident, page, person, stamp
from incidents.survey import check_open
from incidents.survey_answers import counted, latest_of, result_of
from incidents.survey_links import invitation_of, path_of
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible

SUGGESTED = 100


# --- For whoever was asked ---


# Whoever has the link may answer, from any browser and without a session: the link is the proof, so a token against
# forged requests would only refuse people whose mail program drops cookies.
@csrf_exempt
@open_to_anyone
@never_cache
@require_http_methods(["GET", "POST"])
def answer(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows the scale, with `?score=` chosen and nothing recorded: mail scanners open links too."""
    invitation, now = invitation_of(token), timezone.now()
    if invitation is None:
        return refusal(request, NothingHere("This link is not complete. Copy it again from where you got it."))
    closed = _closed(invitation, now)
    if request.method == "GET":
        return _survey_page(request, invitation, now, closed=closed)
    if closed:
        return _survey_page(request, invitation, now, closed=closed, status=closed.status)
    form = AnswerSurveyForm(request.POST, now=now, key="survey")
    if not form.is_valid():
        return _survey_page(request, invitation, now, form=form, status=422)
    said = form.cleaned_data
    by = Stamp(by=invitation.user, at=now, now=now, source=Source.WEB)
    try:
        actions.answer_survey(invitation.incident, invitation, said["score"], comment=said["comment"], stamp=by)
    except DomainError as error:
        form.refuse(error)
        return _survey_page(request, invitation, now, form=form, status=error.status)
    return _survey_page(request, invitation, now, is_thanked=True)


def _closed(invitation: SurveyInvitation, now: datetime) -> DomainError | None:
    try:
        check_open(invitation.closes_at, is_resolved=invitation.incident.status == Status.RESOLVED, now=now)
    except DomainError as error:
        return error
    return None


def _survey_page(
    request: HttpRequest,
    invitation: SurveyInvitation,
    now: datetime,
    *,
    form: AnswerSurveyForm | None = None,
    closed: DomainError | None = None,
    is_thanked: bool = False,
    status: int = 200,
) -> HttpResponse:
    own = latest_of(invitation)
    initial = {"score": request.GET.get("score") or (own.score if own else None), "comment": own.comment if own else ""}
    context: dict[str, Any] = {
        "invitation": invitation,
        "incident": invitation.incident,
        "form": form or AnswerSurveyForm(now=now, key="survey", initial=initial),
        "own": own,
        "closed": closed,
        "is_thanked": is_thanked,
        "now": now,
    }
    return render(request, "incidents/survey_answer.html", context, status=status)


# --- For those who asked ---


@dataclass(frozen=True, slots=True)
class Asked:
    """One person who was asked. Whether they answered is not shown: with few answers it would tell their score."""

    name: str
    email: str
    address: str


@page(Can.READ_INTERNAL)
@require_http_methods(["GET", "POST"])
def survey(request: HttpRequest, incident_id: str) -> HttpResponse:
    """How it stands; those who command also see whom we asked, and may ask others."""
    incident, now = asked_incident(request, incident_id), timezone.now()
    if request.method == "GET":
        return _results(request, incident, AskForm(now=now, key="ask"))
    if not person(request).can(Can.COMMAND):
        return refusal(request, RoleRequired.to(Can.COMMAND))
    form = AskForm(request.POST, now=now, key="ask")
    if not form.is_valid():
        return _results(request, incident, form, 422)
    try:
        actions.ask_for_feedback(incident, form.cleaned_data["person"], stamp=stamp(request, form))
    except DomainError as error:
        form.refuse(error)
        return _results(request, incident, form, error.status)
    messages.success(request, f"{form.cleaned_data['person'].name} is asked.")
    return redirect("incidents:survey", incident.pk)


def _results(request: HttpRequest, incident: Incident, form: AskForm, status: int = 200) -> HttpResponse:
    user = person(request)
    asked = visible(SurveyInvitation.objects.filter(incident=incident).select_related("user"), user)
    shown = set(
        visible(SurveyResponse.objects.filter(invitation__incident=incident), user).values_list("pk", flat=True)
    )
    comments = sorted({row.comment for row in counted(incident) if row.comment and row.pk in shown})
    context = {
        "incident": incident,
        "severity": severity_badge(incident.severity),
        "result": result_of(incident),
        "comments": comments,
        "asked": [Asked(row.user.name, row.user.email, _address(row)) for row in asked],
        "closes_at": max((row.closes_at for row in asked), default=None),
        "form": form if incident.status == Status.RESOLVED and user.can(Can.COMMAND) else None,
        "people": visible(User.objects.all(), user)[:SUGGESTED],
        "now": form.now,
    }
    return render(request, "incidents/survey.html", context, status=status)


def _address(invitation: SurveyInvitation) -> str:
    return settings.MAJOROPS_PUBLIC_URL.rstrip("/") + path_of(invitation)
