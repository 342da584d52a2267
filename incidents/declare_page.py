"""Declaring an incident: title and severity; the rest may come prefilled in the link of an alert."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.roles import Can
from incidents import actions
from incidents.alike import likeness
from incidents.board import Row, rows
from incidents.errors import AlreadyOpen
from incidents.forms.facts import DeclareForm
from incidents.models import Incident, IncidentQuerySet
from incidents.pages import page, person, stamp
from incidents.viewing import incidents_for
from majorops.lib.errors import DomainError

#: Where one goes on after declaring: browsers put the cursor into the field that an address names.
COMPOSER = "#post-text"
#: Fields that are not folded away.
ALWAYS_SHOWN = {"title", "severity", "bridge_url"}


@dataclass(frozen=True, slots=True)
class OpenRow:
    """An open incident, and why it may be the one that is about to be declared."""

    row: Row
    likeness: str


@page(Can.COMMAND)
@require_http_methods(["GET", "POST"])
def declare(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    if request.method == "GET":
        said = {name: request.GET[name] for name in DeclareForm.base_fields if name in request.GET}
        form = DeclareForm(now=now, initial=said)
        return _form_page(request, form, existing=_of_alert(person(request), said))
    form = DeclareForm(request.POST, now=now)
    if not form.is_valid():
        return _form_page(request, form, status=422)
    try:
        incident = actions.open_incident(stamp=stamp(request, form), **form.said)
    except DomainError as error:
        form.refuse(error)
        existing = error.details["incident_id"] if isinstance(error, AlreadyOpen) else None
        found = _open(person(request)).filter(pk=existing).first()
        return _form_page(request, form, existing=found, status=error.status)
    messages.success(request, "Declared. The clock is running.")
    return redirect(reverse("incidents:detail", args=[incident.pk]) + COMPOSER)


def _form_page(
    request: HttpRequest, form: DeclareForm, *, existing: Incident | None = None, status: int = 200
) -> HttpResponse:
    said: Mapping[str, str] = form.data if form.is_bound else form.initial
    systems = [name.strip() for name in said.get("affected_systems", "").replace("\n", ",").split(",") if name.strip()]
    found = _open_rows(person(request), said.get("title", ""), systems, form.now)
    context = {
        "form": form,
        "existing": existing,
        "alike": [row for row in found if row.likeness],
        "others": [row for row in found if not row.likeness],
        "is_unfolded": form.is_bound or bool(form.initial.keys() - ALWAYS_SHOWN),
    }
    return render(request, "incidents/new.html", context, status=status)


def _open(user: User) -> IncidentQuerySet:
    return incidents_for(user).active()


def _of_alert(user: User, said: Mapping[str, str]) -> Incident | None:
    """The open incident of the alert that the link names."""
    alert = said.get("alert_id")
    if not alert:
        return None
    found = _open(user).filter(Q(alert_id=alert) | Q(dedup_key=alert))
    return (found.filter(alert_source=said["alert_source"]) if said.get("alert_source") else found).first()


def _open_rows(user: User, title: str, systems: Collection[str], now: datetime) -> list[OpenRow]:
    return [
        OpenRow(row, likeness(title, systems, row.incident.title, row.incident.affected_systems))
        for row in rows(_open(user), now)
    ]
