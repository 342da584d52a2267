"""Alerts on KPIs: what fires, who looks after it, what happened; and the same for programs."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.permissions import allowed_to, principal_of
from accounts.refusals import refusal
from accounts.roles import Can
from incidents.pages import page, person
from kpis.alerts import actions
from kpis.alerts.reading import Standing, history, in_words, standing_of, standings
from kpis.models import AlertRule
from kpis.serializers import Documented
from majorops.lib.conditional import Tagged
from majorops.lib.errors import DomainError
from majorops.lib.fields import Body, Text
from majorops.lib.paging import PAGE_PARAMETERS, NewestFirst, StrictFilters, check_query
from majorops.lib.times import iso
from majorops.lib.visibility import visible

TONES = {"firing": "bad", "acknowledged": "warn", "pending": "warn", "resolved": "good", "ok": "good"}


class PeopleOnly(DomainError):
    """A person acknowledges an alert, not a program: somebody must look after it."""

    code = "people_only"
    status = 403


@page(Can.READ_EXEC_KPIS)
@require_GET
def alerts(request: HttpRequest) -> HttpResponse:
    """What fires first, then what watches, then what waits for its KPI to be measured."""
    viewer = person(request)
    found = standings(viewer)
    context = {
        "open": [_shown(each) for each in found if each.is_open],
        "watching": [_shown(each) for each in found if each.is_active and not each.is_open],
        "others": [_shown(each) for each in found if not each.is_active],
        "events": history(viewer),
        "now": timezone.now(),
    }
    return render(request, "kpis/alerts.html", context)


def _shown(each: Standing) -> dict[str, object]:
    return {
        "standing": each,
        "rule": each.rule,
        "tone": TONES.get(each.word, ""),
        "within": in_words(each.rule.respond_minutes) if each.rule.respond_minutes else "",
        "ladder": [(step.contact, in_words(step.after_minutes) if step.after_minutes else "") for step in each.steps],
    }


@page(Can.COMMAND)
@require_POST
def acknowledge(request: HttpRequest, slug: str) -> HttpResponse:
    """Somebody looks after it."""
    viewer = person(request)
    rule = get_object_or_404(visible(AlertRule.objects.all(), viewer), pk=slug)
    try:
        actions.acknowledge(rule, viewer, now=timezone.now(), note=request.POST.get("note", "")[:300])
    except DomainError as error:
        return refusal(request, error)
    messages.success(request, f"You look after “{rule.name}”. Nobody else is told any more.")
    return redirect("kpis:alerts")


# --- For programs ---


class AlertStepShown(Documented):
    contact = serializers.CharField()
    after_minutes = serializers.IntegerField()


@extend_schema_serializer(component_name="KpiAlert")
class AlertShown(Documented):
    slug = serializers.CharField()
    name = serializers.CharField()
    kpi = serializers.CharField()
    condition = serializers.CharField()
    severity = serializers.CharField()
    respond_minutes = serializers.IntegerField(allow_null=True)
    state = serializers.CharField(help_text="ok, pending, firing, acknowledged, resolved, proposed or off.")
    since = serializers.CharField(allow_null=True)
    value = serializers.FloatField(allow_null=True, help_text="The figure that led to the state.")
    by = serializers.CharField(allow_null=True, help_text="Who acknowledged it.")
    steps = AlertStepShown(many=True)


class AcknowledgeBody(Body):
    note = Text(max_length=300, required=False)


def document(each: Standing) -> dict[str, object]:
    """A rule and how it stands, for programs."""
    rule, last = each.rule, each.last if each.is_active else None
    return {
        "slug": rule.slug,
        "name": rule.name,
        "kpi": rule.kpi_slug,
        "condition": each.condition,
        "severity": rule.severity,
        "respondMinutes": rule.respond_minutes,
        "state": each.word,
        "since": iso(last.at) if last else None,
        "value": last.value if last else None,
        "by": last.by.name if last and last.by else None,
        "steps": [{"contact": step.contact, "afterMinutes": step.after_minutes} for step in each.steps],
    }


class Alerts(Tagged, ListAPIView[AlertRule]):
    """Alert rules on KPIs and how they stand."""

    permission_classes = [allowed_to(Can.READ_EXEC_KPIS)]
    serializer_class = AlertShown
    queryset = AlertRule.objects.none()  # for the schema; `standings` finds the reader's
    filter_backends = [StrictFilters]

    @extend_schema(operation_id="kpi_alerts")
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What fires comes first. A rule of a KPI that nothing measures is `proposed`."""
        check_query(request, PAGE_PARAMETERS)
        rows = [document(each) for each in standings(principal_of(request))]
        return self.get_paginated_response(cast(NewestFirst, self.paginator).of_few(rows, "slug", request))


class Acknowledgement(APIView):
    """Somebody looks after an alert."""

    permission_classes = [allowed_to(Can.COMMAND)]

    @extend_schema(operation_id="kpi_alert_acknowledge", request=AcknowledgeBody, responses=AlertShown)
    def post(self, request: Request, slug: str) -> Response:
        """Acknowledge it: the next rung of the ladder is told nothing. Only what fires can be acknowledged."""
        viewer = principal_of(request)
        rule = get_object_or_404(visible(AlertRule.objects.all(), viewer), pk=slug)
        told = AcknowledgeBody.read(request)
        if not isinstance(viewer, User):
            raise PeopleOnly
        actions.acknowledge(rule, viewer, now=timezone.now(), note=told.get("note", ""))
        return Response(document(standing_of(rule, viewer)))


api_patterns = [
    path("kpi-alerts", Alerts.as_view(), name="kpi-alerts"),
    path("kpi-alerts/<slug:slug>/acknowledge", Acknowledgement.as_view(), name="kpi-alert-acknowledge"),
]
