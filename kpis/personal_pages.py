"""The pages of response times: one's own, and the look at somebody else's."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from accounts.refusals import refusal
from accounts.roles import Can
from incidents.forms.core import Form
from incidents.pages import page, person
from kpis import exports, personal
from kpis.actions import Editor
from kpis.credit_words import minutes
from majorops.lib.errors import DomainError


class LookForm(Form):
    email = forms.EmailField(label="E-mail address", max_length=254)
    reason = forms.CharField(
        label="What you need it for", max_length=300, help_text="The person can read it, with your name."
    )
    aliases = {"person": "email"}


@page(Can.READ_INCIDENTS)
@require_GET
@never_cache
def own(request: HttpRequest) -> HttpResponse:
    """One's own answers, and what they amount to."""
    viewer, now = person(request), timezone.now()
    try:
        found = personal.own(viewer, now)
    except DomainError as error:
        return refusal(request, error)
    context = {
        "found": found,
        "figures": [_told(figure) for figure in found.figures],
        "answers": [(answer, minutes(answer.minutes)) for answer in found.answers],
        "may_look": personal.may_look(viewer, now),
        "smallest": personal.SMALLEST,
    }
    return render(request, "kpis/own_times.html", context)


def _told(figure: personal.Figure) -> dict[str, object]:
    return {
        "label": figure.label,
        "is_shown": figure.is_shown,
        "n": figure.n,
        "mean": minutes(figure.mean),
        "median": minutes(figure.median),
        "p90": minutes(figure.p90),
    }


@page(Can.READ_INCIDENTS)
@require_GET
@never_cache
def own_csv(request: HttpRequest) -> HttpResponse:
    """One's own answers as a file, older than the retention too."""
    try:
        found = personal.export(person(request), timezone.now())
    except DomainError as error:
        return refusal(request, error)
    return exports.file(exports.table(personal.EXPORTED, found["answers"]), "text/csv", "my-response-times.csv")


@page(Can.READ_INCIDENTS)
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def others(request: HttpRequest) -> HttpResponse:
    """Asks whose figure is needed and what for; the answer is that one figure."""
    viewer, now = person(request), timezone.now()
    if not personal.may_look(viewer, now):
        return refusal(request, personal.NotGranted())
    form = LookForm(request.POST if request.method == "POST" else None, now=now)
    context: dict[str, object] = {"form": form, "smallest": personal.SMALLEST}
    if form.is_valid():
        try:
            whom, figure = personal.look(Editor(viewer, now, request), **form.cleaned_data)
            context |= {"whom": whom, "figure": _told(figure)}
        except DomainError as error:
            form.refuse(error)
    status = 200 if not form.errors else 422
    return render(request, "kpis/others_times.html", context, status=status)
