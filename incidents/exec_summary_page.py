"""`/incidents/<id>/summary`: the executive summary is drafted, changed and accepted here, by people who command.

Nothing here publishes by itself: executives read a wording from the moment a person accepts it.
"""

from __future__ import annotations

from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.roles import Can
from incidents import actions, drafter
from incidents.actions import Stamp
from incidents.badges import severity_badge
from incidents.executive import facts_of, summary_of
from incidents.forms.facts import SummaryForm
from incidents.models import ExecSummary, Incident, Origin, Source
from incidents.pages import asked_incident, page, person
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible


@page(Can.COMMAND)
@require_http_methods(["GET", "POST"])
def summary(request: HttpRequest, incident_id: str) -> HttpResponse:
    """The newest draft, to be changed and accepted; the rules make one where there is none."""
    now, incident = timezone.now(), asked_incident(request, incident_id)
    if request.method == "GET":
        return _shown(request, incident, now)
    stamp = Stamp(by=person(request), at=now, now=now, source=Source.WEB)
    form = SummaryForm(request.POST, now=now, key="summary")
    if not form.is_valid():
        return _shown(request, incident, now, form=form, status=422)
    try:
        told = _done(request, incident, form, stamp)
    except DomainError as error:
        form.refuse(error)
        return _shown(request, incident, now, form=form, status=error.status)
    messages.success(request, told)
    return redirect("incidents:detail" if form.cleaned_data["do"] == "accept" else "incidents:summary", incident.pk)


def _done(request: HttpRequest, incident: Incident, form: SummaryForm, stamp: Stamp) -> str:
    said = form.cleaned_data
    match said["do"]:
        case "accept":
            actions.accept_summary(incident, said["body"], stamp=stamp, expected_version=said["version"])
            return "Accepted. Executives read this summary now."
        case "save":
            actions.draft_summary(incident, said["body"], origin=Origin.PERSON, stamp=stamp)
            return "The draft is kept. Executives do not see it."
    facts = facts_of(incident, person(request), stamp.now)
    # Asked before anything is locked: nobody waits for it but who pressed the button.
    made = (
        drafter.by_model(facts, is_restricted=incident.restricted) if said["do"] == "ask" else drafter.by_rules(facts)
    )
    actions.draft_summary(incident, made.body, origin=made.origin, stamp=stamp)
    return made.note or f"{made.origin.label}. Read it, change it, then accept it."


def _shown(
    request: HttpRequest, incident: Incident, now: datetime, *, form: SummaryForm | None = None, status: int = 200
) -> HttpResponse:
    user = person(request)
    newest = visible(ExecSummary.objects.filter(incident=incident), user).order_by("recorded_at", "id").last()
    draft = newest if newest and not newest.is_accepted else None
    proposed = drafter.by_rules(facts_of(incident, user, now)).body
    begin = {"body": draft.body if draft else incident.exec_summary or proposed, "version": incident.version}
    context = {
        "incident": incident,
        "severity": severity_badge(incident.severity),
        "form": form or SummaryForm(initial=begin, now=now, key="summary"),
        "draft": draft,
        "is_proposed": draft is None and not incident.exec_summary,
        "accepted": summary_of(incident, user),
        "offers_model": drafter.is_offered() and not incident.restricted,
        "now": now,
    }
    return render(request, "incidents/summary.html", context, status=status)
