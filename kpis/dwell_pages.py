"""Where the time of incidents goes, by phase and severity: a page, a file, and the same for programs."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_GET
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import allowed_to, principal_of
from accounts.refusals import refusal
from accounts.roles import Can
from incidents.lifecycle import Phase, Severity
from incidents.pages import page, person
from kpis import charts, dwell_cli, exports
from kpis.credit_words import UNKNOWN, minutes, percent
from kpis.dwell import DEFAULT, WINDOWS, Found, find
from kpis.dwell_rules import ALL, Dwell
from kpis.serializers import Documented
from majorops.lib.errors import DomainError

COLUMNS = dwell_cli.COLUMNS
LABELS = {"30d": "30 d", "90d": "90 d", "365d": "1 year", "all": "All"}


@page(Can.READ_INTERNAL_KPIS)
@require_GET
def dwell(request: HttpRequest) -> HttpResponse:
    """Each phase over all severities, then each severity by itself."""
    try:
        found = find(person(request), request.GET.get("window", "")[:10], timezone.now())
    except DomainError as error:
        return refusal(request, error)
    context = {
        "found": found,
        "whole": [_row(one) for one in found.rows if one.severity == ALL],
        "parts": [(Severity(one).label, one, rows) for one in Severity.values if (rows := _of(found, one))],
        "again": sum(one.again for one in found.rows if one.severity == ALL),
        "windows": [(LABELS[one], f"?window={one}", one == found.window) for one in WINDOWS],
    }
    return render(request, "kpis/dwell.html", context)


def _of(found: Found, severity: str) -> list[dict[str, object]]:
    return [_row(one) for one in found.rows if one.severity == severity]


def _row(one: Dwell) -> dict[str, object]:
    """A phase in words, with a bar as wide as its share."""
    return {
        "phase": Phase(one.phase).label,
        "number": one.phase,
        "share": percent(one.share),
        "bar": charts.Box(0, 0, round(100 * (one.share or 0), 1), 10),
        "mean": minutes(one.mean),
        "median": minutes(one.median),
        "p90": minutes(one.p90),
        "n": one.n,
        "incidents": one.incidents,
        "again": one.again or UNKNOWN,
        "going_on": one.going_on,
        "invalid": one.invalid,
    }


@page(Can.READ_INTERNAL_KPIS)
@require_GET
def dwell_csv(request: HttpRequest) -> HttpResponse:
    try:
        found = find(person(request), request.GET.get("window", "")[:10], timezone.now())
    except DomainError as error:
        return refusal(request, error)
    return exports.file(exports.table(COLUMNS, dwell_cli.rows_of(found)), "text/csv", f"phase-dwell-{found.window}.csv")


class DwellShown(Documented):
    severity = serializers.CharField(help_text="all for every severity.")
    phase = serializers.IntegerField()
    name = serializers.CharField()
    n = serializers.IntegerField(help_text="Stays that ended.")
    incidents = serializers.IntegerField()
    again = serializers.IntegerField(help_text="Stays that came back to the phase.")
    going_on = serializers.IntegerField(help_text="Stays that have not ended: in no figure.")
    invalid = serializers.IntegerField(help_text="A corrected time put their end before their beginning.")
    total_minutes = serializers.FloatField()
    share = serializers.FloatField(allow_null=True)
    mean_minutes = serializers.FloatField(allow_null=True)
    median_minutes = serializers.FloatField(allow_null=True)
    p90_minutes = serializers.FloatField(allow_null=True)


class DwellsShown(Documented):
    window = serializers.CharField()
    as_of = serializers.CharField()
    incidents = serializers.IntegerField()
    phases = DwellShown(many=True)


class DwellData(APIView):
    """How long incidents stay in each phase, by severity."""

    parameters = frozenset({"window"})
    permission_classes = [allowed_to(Can.READ_INTERNAL_KPIS)]

    @extend_schema(
        operation_id="phase_dwell",
        parameters=[OpenApiParameter("window", str, enum=[*WINDOWS], description=f"Default: {DEFAULT}.")],
        responses=DwellsShown,
    )
    def get(self, request: Request) -> Response:
        """Incidents by the time of their detection. Drills, tests and restricted incidents are left out."""
        found = find(principal_of(request), request.query_params.get("window", ""), timezone.now())
        return Response(dwell_cli.documented(found))


api_patterns = [path("phase-dwell", DwellData.as_view(), name="phase-dwell")]
