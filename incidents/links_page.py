"""Incidents that belong together, and one that nobody declared while it went on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.roles import Can
from incidents import actions
from incidents.badges import severity_badge
from incidents.forms.core import Form
from incidents.forms.links import LinkForm, PastForm, UnlinkForm
from incidents.lifecycle import Severity
from incidents.links import SEEN_FROM_THERE, LinkKind
from incidents.models import Incident, IncidentLink
from incidents.pages import asked_incident, page, person, stamp
from incidents.past import PastIncident
from incidents.viewing import incidents_for
from majorops.lib.errors import DomainError
from majorops.lib.ulid import new_ulid
from majorops.lib.visibility import readable, visible


@dataclass(frozen=True, slots=True)
class Tie:
    """A link as it reads from one of its ends."""

    id: str
    words: str
    other: Incident
    reason: str
    at: datetime


def ties(incident: Incident, user: User) -> list[Tie]:
    """The standing links of an incident, both ways, as far as this person knows both ends. One query."""
    rows = visible(IncidentLink.objects.standing().select_related("incident", "other"), user)
    mine = rows.filter(incident=incident) | rows.filter(other=incident)
    reads_why = "reason" in readable(IncidentLink, user)
    return [_tie(row, incident, reads_why=reads_why) for row in mine.order_by("linked_at", "pk")]


def _tie(row: IncidentLink, seen_from: Incident, *, reads_why: bool) -> Tie:
    is_from = row.incident_id == seen_from.pk
    said = LinkKind(row.kind).label if is_from else SEEN_FROM_THERE[LinkKind(row.kind)]
    return Tie(row.pk, said, row.other if is_from else row.incident, row.reason if reads_why else "", row.linked_at)


@page(Can.COMMAND)
@require_http_methods(["GET", "POST"])
def link(request: HttpRequest, incident_id: str) -> HttpResponse:
    incident, now = asked_incident(request, incident_id), timezone.now()
    form = LinkForm(
        request.POST if request.method == "POST" else None, now=now, initial={"other": request.GET.get("other", "")}
    )
    if not form.is_valid():
        return _link_page(request, incident, form, 422 if form.is_bound else 200)
    said = form.cleaned_data
    other = incidents_for(person(request)).filter(pk=said["other"]).first()
    if other is None:
        form.add_error("other", "No incident has this id.")
        return _link_page(request, incident, form, 422)
    try:
        actions.link_incidents(incident, other, kind=said["kind"], reason=said["reason"], stamp=stamp(request, form))
    except DomainError as error:
        form.refuse(error)
        return _link_page(request, incident, form, error.status)
    messages.success(request, "Linked. Both logs say so.")
    return redirect("incidents:link", incident.pk)


def _link_page(request: HttpRequest, incident: Incident, form: Form, status: int) -> HttpResponse:
    context = {
        "incident": incident,
        "severity": severity_badge(incident.severity),
        "form": form,
        "ties": ties(incident, person(request)),
        "now": form.now,
    }
    return render(request, "incidents/link.html", context, status=status)


@page(Can.COMMAND)
@require_http_methods(["GET", "POST"])
def unlink(request: HttpRequest, incident_id: str, link_id: str) -> HttpResponse:
    """Asks why, then takes the link back. It stays in the record."""
    incident, user = asked_incident(request, incident_id), person(request)
    rows = visible(IncidentLink.objects.standing().select_related("incident", "other"), user)
    row = get_object_or_404(rows.filter(incident=incident) | rows.filter(other=incident), pk=link_id)
    form = UnlinkForm(request.POST if request.method == "POST" else None, now=timezone.now())
    status = 422 if form.is_bound else 200
    if form.is_valid():
        try:
            actions.unlink_incidents(incident, row, reason=form.cleaned_data["reason"], stamp=stamp(request, form))
        except DomainError as error:
            form.refuse(error)
            status = error.status
        else:
            messages.success(request, "Taken back. Both logs say so.")
            return redirect("incidents:link", incident.pk)
    context = {"incident": incident, "severity": severity_badge(incident.severity), "form": form}
    return render(
        request, "incidents/unlink.html", context | {"tie": _tie(row, incident, reads_why=True)}, status=status
    )


@page(Can.COMMAND)
@require_http_methods(["GET", "POST"])
def past(request: HttpRequest) -> HttpResponse:
    """Enters an incident after the fact, with its own times."""
    form = PastForm(request.POST if request.method == "POST" else None, now=timezone.now())
    if not form.is_valid():
        return render(request, "incidents/past.html", {"form": form}, status=422 if form.is_bound else 200)
    try:
        incident = actions.enter_past_incident(_past(form, person(request)), stamp=stamp(request, form))
    except DomainError as error:
        form.refuse(error)
        return render(request, "incidents/past.html", {"form": form}, status=error.status)
    messages.success(request, "Entered. The KPIs count it, and trust it less than one that was measured.")
    return redirect("incidents:detail", incident.pk)


#: Where incidents come from that people enter from memory.
BY_HAND = "entered by hand"


def _past(form: PastForm, user: User) -> PastIncident:
    said = form.cleaned_data
    return PastIncident(
        external_source=BY_HAND,
        external_id=new_ulid(),
        title=said["title"],
        severity=Severity(said["severity"]),
        detected_at=said["detected_at"],
        resolved_at=said["resolved_at"],
        issue_time=said["issue_time"],
        affected_systems=tuple(said["affected_systems"]),
        metadata={"note": said["note"], "entered_by": user.name},
    )
