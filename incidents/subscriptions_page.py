"""What a person hears of by e-mail: of one incident, of all, and the link in a message that ends it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts.middleware import open_to_anyone
from accounts.refusals import refusal
from accounts.roles import Can
from incidents import subscriptions
from incidents.badges import severity_badge
from incidents.forms.core import Form
from incidents.lifecycle import Severity
from incidents.models import Subscription
from incidents.outbox_rules import Wish
from incidents.pages import asked_incident, page, person
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible

RULES = [("", "None: only incidents I follow"), *((each.value, f"{each.label} and graver") for each in Severity)]


class FollowForm(Form):
    wish = forms.ChoiceField(
        label="What do you want to hear by e-mail?", choices=Wish.choices, widget=forms.RadioSelect
    )


class RuleForm(Form):
    min_severity = forms.ChoiceField(
        label="All incidents",
        choices=[RULES[0], (Severity.CRITICAL.value, "Critical only"), *RULES[2:]],
        required=False,
        help_text="You get every public update of these. What you choose for one incident goes before this.",
    )


class StopForm(Form):
    wish = forms.ChoiceField(
        label="What should still reach you?",
        choices=[
            (Wish.LAST.value, "One last message, when it is resolved or reopened"),
            (Wish.NOTHING.value, "Nothing"),
        ],
        widget=forms.RadioSelect,
        initial=Wish.LAST.value,
    )


@page(Can.READ_INCIDENTS)
@require_http_methods(["GET", "POST"])
def follow(request: HttpRequest, incident_id: str) -> HttpResponse:
    """Of one incident: every public update, only its end, or nothing."""
    incident, now = asked_incident(request, incident_id), timezone.now()
    sent = request.POST if request.method == "POST" else None
    wish = subscriptions.wish_of(incident, person(request)) or Wish.UPDATES
    form = FollowForm(sent, now=now, initial={"wish": wish})
    if sent is not None and form.is_valid():
        row = subscriptions.follow(incident, person(request), form.cleaned_data["wish"], now=now)
        messages.success(request, f"E-mail about this incident: {row.get_wish_display().lower()}.")
        return redirect("incidents:detail", incident.pk)
    shown: dict[str, Any] = {"incident": incident, "severity": severity_badge(incident.severity), "form": form}
    shown["is_mail_sent"] = settings.MAJOROPS_SEND_MAIL
    return render(request, "incidents/follow.html", shown, status=422 if sent is not None else 200)


@page(Can.READ_INCIDENTS)
@require_http_methods(["GET", "POST"])
def notifications(request: HttpRequest) -> HttpResponse:
    """The person's rule for all incidents, and what they chose for single ones."""
    now, user = timezone.now(), person(request)
    if "forget" in request.POST:
        return _forget(request)
    mine = visible(Subscription.objects.select_related("incident"), user)
    rule = mine.filter(incident=None).first()
    sent = request.POST if request.method == "POST" else None
    form = RuleForm(sent, now=now, initial={"min_severity": rule.min_severity if rule else ""})
    if sent is not None and form.is_valid():
        subscriptions.follow_all(user, form.cleaned_data["min_severity"], now=now)
        messages.success(request, "Saved.")
        return redirect("notifications")
    single = mine.exclude(incident=None)[:200]
    shown: dict[str, Any] = {"form": form, "single": single, "is_mail_sent": settings.MAJOROPS_SEND_MAIL, "user": user}
    return render(request, "incidents/notifications.html", shown, status=422 if sent is not None else 200)


def _forget(request: HttpRequest) -> HttpResponse:
    asked = request.POST.get("forget", "").replace("\0", "")
    row = visible(Subscription.objects.exclude(incident=None), person(request)).filter(pk__in=[asked]).first()
    if row:
        subscriptions.end(row)
        messages.success(request, "Forgotten. Your setting for all incidents counts for this one too.")
    return redirect("notifications")


@open_to_anyone
@csrf_exempt
@require_http_methods(["GET", "POST"])
def stop(request: HttpRequest, token: str) -> HttpResponse:
    """The link in a message. Looking changes nothing; mail programs post `List-Unsubscribe=One-Click` (RFC 8058).

    The signed token stands for the person; it can end messages and nothing else, so no CSRF token is asked for.
    """
    now = timezone.now()
    try:
        asked = subscriptions.read_stop_token(token)
        if request.method == "GET":
            return render(request, "incidents/stop.html", {"form": StopForm(now=now), "asked": asked})
        is_one_click = request.POST.get("List-Unsubscribe") == "One-Click"
        subscriptions.stop(asked, Wish.NOTHING if is_one_click else request.POST.get("wish", ""), now=now)
    except DomainError as error:
        return refusal(request, error)
    return render(request, "incidents/stop.html", {"is_done": True, "asked": asked})
