"""Candidates: alerts that a person makes an incident of, attaches to one, or dismisses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.roles import Can
from incidents.actions import Stamp
from incidents.alerts import deciding
from incidents.badges import SHAPES, Badge, severity_badge
from incidents.errors import AlreadyOpen
from incidents.forms.core import Form
from incidents.lifecycle import Severity
from incidents.models import Incident, SourceAlert
from incidents.pages import page, person, stamp
from incidents.viewing import incidents_for
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible

#: How many are shown at once, and how many decisions of the past.
CANDIDATES, DECISIONS, OPEN = 50, 20, 200


class AcceptForm(Form):
    title = forms.CharField(max_length=200, label="Title", error_messages={"required": "Give it a short title."})
    severity = forms.ChoiceField(
        choices=[(each.value, f"{SHAPES[each]} {each.label}") for each in Severity],
        error_messages={"required": "Choose a severity."},
    )


class AttachForm(Form):
    incident = forms.ChoiceField(
        label="Open incident", error_messages={"required": "Choose an incident.", "invalid_choice": "It is not open."}
    )

    def __init__(self, *args: object, incidents: list[Incident], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["incident"].choices = [("", "Choose…"), *((row.pk, row.title) for row in incidents)]  # type: ignore[attr-defined]


class DismissForm(Form):
    reason = forms.CharField(max_length=500, label="Why is this no incident?", error_messages={"required": "Say why."})


@dataclass(frozen=True, slots=True)
class Candidate:
    """An alert that waits, and what can be done with it."""

    alert: SourceAlert
    severity: Badge
    accept: Form
    attach: Form
    dismiss: Form
    #: Titles of some of what a storm stands for, and how many there are.
    gathered: list[str]
    count: int

    @property
    def is_refused(self) -> bool:
        return self.attach.is_bound or self.dismiss.is_bound


@page(Can.COMMAND)
@require_safe
def alerts(request: HttpRequest) -> HttpResponse:
    return _list(request)


def _list(request: HttpRequest, refused: Form | None = None, status: int = 200) -> HttpResponse:
    user = person(request)
    waiting = visible(SourceAlert.objects.waiting().select_related("source"), user)
    decided = visible(SourceAlert.objects.decided().select_related("source", "incident", "decided_by"), user)
    open_now = list(incidents_for(user).active()[:OPEN])
    context = {
        "candidates": [_candidate(row, user, open_now, refused) for row in waiting[:CANDIDATES]],
        "count": waiting.count(),
        "decided": decided[:DECISIONS],
        "refused": refused,
        "has_open": bool(open_now),
    }
    return render(request, "incidents/alerts.html", context, status=status)


def _candidate(row: SourceAlert, user: User, open_now: list[Incident], refused: Form | None) -> Candidate:
    now = timezone.now()
    own = {"title": row.title, "severity": row.severity}
    every: dict[str, Form] = {
        "accept": AcceptForm(now=now, key=f"accept-{row.pk}", initial=own),
        "attach": AttachForm(now=now, key=f"attach-{row.pk}", incidents=open_now),
        "dismiss": DismissForm(now=now, key=f"dismiss-{row.pk}"),
    }
    every = {name: refused if refused and refused.key == form.key else form for name, form in every.items()}
    gathered = visible(SourceAlert.objects.filter(gathered_into=row).order_by("id"), user) if row.is_storm else None
    return Candidate(
        alert=row,
        severity=severity_badge(row.severity),
        **every,
        gathered=list(gathered.values_list("title", flat=True)[:5]) if gathered is not None else [],
        count=gathered.count() if gathered is not None else 1,
    )


def _decide(request: HttpRequest, form: Form, act: Callable[[Form, Stamp], HttpResponse]) -> HttpResponse:
    """Does it, or shows the list with what was refused."""
    if not form.is_valid():
        return _list(request, form, 422)
    try:
        return act(form, stamp(request, form))
    except DomainError as error:
        form.refuse(error)
        existing = error.details.get("incident_id") if isinstance(error, AlreadyOpen) else None
        if existing:
            messages.warning(request, "An incident of this alert is open already.")
            return redirect("incidents:detail", existing)
        return _list(request, form, error.status)


def _asked(request: HttpRequest, alert_id: str) -> SourceAlert:
    return get_object_or_404(visible(SourceAlert.objects.select_related("source"), person(request)), pk=alert_id)


@page(Can.COMMAND)
@require_POST
def accept(request: HttpRequest, alert_id: str) -> HttpResponse:
    alert = _asked(request, alert_id)

    def act(form: Form, at: Stamp) -> HttpResponse:
        said = form.cleaned_data
        incident = deciding.accept(alert, title=said["title"], severity=said["severity"], stamp=at)
        messages.success(request, "Declared. The clock runs since the alert came in.")
        return redirect("incidents:detail", incident.pk)

    return _decide(request, AcceptForm(request.POST, now=timezone.now(), key=f"accept-{alert.pk}"), act)


@page(Can.COMMAND)
@require_POST
def attach(request: HttpRequest, alert_id: str) -> HttpResponse:
    alert, open_now = _asked(request, alert_id), incidents_for(person(request)).active()

    def act(form: Form, at: Stamp) -> HttpResponse:
        incident = get_object_or_404(open_now, pk=form.cleaned_data["incident"])
        deciding.attach(alert, incident, stamp=at)
        messages.success(request, "Attached. Its log says so.")
        return redirect("incidents:detail", incident.pk)

    key = f"attach-{alert.pk}"
    form = AttachForm(request.POST, now=timezone.now(), key=key, incidents=list(open_now[:OPEN]))
    return _decide(request, form, act)


@page(Can.COMMAND)
@require_POST
def dismiss(request: HttpRequest, alert_id: str) -> HttpResponse:
    alert = _asked(request, alert_id)

    def act(form: Form, at: Stamp) -> HttpResponse:
        deciding.dismiss(alert, form.cleaned_data["reason"], stamp=at)
        messages.success(request, "Dismissed. It is kept below.")
        return redirect("alerts")

    return _decide(request, DismissForm(request.POST, now=timezone.now(), key=f"dismiss-{alert.pk}"), act)
