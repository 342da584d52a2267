"""How fast teams arrive, all of them beside each other: rolling means and percentiles as a page, a file and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_GET
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import allowed_to, principal_of
from accounts.roles import Can
from accounts.visibility import Viewer
from incidents.pages import page, person
from kpis import exports
from kpis.credit_words import LABELS, minutes
from kpis.histograms import LEVELS, Overview, overview, zone
from kpis.histograms_rules import NOTHING, WORST, Spread
from kpis.models import DispatchHistogram
from kpis.readiness_rules import WINDOWS
from kpis.serializers import Documented
from majorops.lib.conditional import Tagged
from majorops.lib.paging import PAGE_PARAMETERS, NewestFirst, StrictFilters, check_query
from majorops.lib.visibility import visible
from teams.models import Team

COLUMNS = (
    "team", "name", "box", "days", "n", "meanMinutes", "medianMinutes", "p90Minutes", "isApproximate", "until",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One team at one level, with a spread for each window."""

    team: Team
    level: str
    spreads: tuple[Spread, ...]


def _today() -> date:
    return timezone.now().astimezone(zone()).date()


def _read(viewer: Viewer) -> tuple[Overview, list[Line]]:
    """Teams that the viewer reads, by name; only those with an arrival."""
    found = overview(_today())
    teams = visible(Team.objects.order_by("name"), viewer)
    lines = [
        Line(team, level, spreads)
        for team in teams
        for level in LEVELS
        for spreads in [tuple(found.spreads.get((team.slug, level, days), NOTHING) for days in WINDOWS)]
        if any(one.n for one in spreads)
    ]
    return found, lines


@page(Can.READ_TEAMS)
@require_GET
def arrivals(request: HttpRequest) -> HttpResponse:
    found, lines = _read(person(request))
    context = {
        "lines": [
            (
                line.team,
                LABELS[line.level],
                [(one.n, minutes(one.mean), minutes(one.median), minutes(one.p90)) for one in line.spreads],
            )
            for line in lines
        ],
        "windows": WINDOWS,
        "until": found.end_day,
        "is_approximate": found.is_approximate,
        "worst": f"{100 * WORST:.1f} %",
    }
    return render(request, "kpis/arrivals.html", context)


@page(Can.READ_TEAMS)
@require_GET
def arrivals_csv(request: HttpRequest) -> HttpResponse:
    return exports.file(exports.table(COLUMNS, _rows(person(request))), "text/csv", "arrivals.csv")


def _rows(viewer: Viewer) -> list[dict[str, Any]]:
    found, lines = _read(viewer)
    return [
        {
            "team": line.team.slug,
            "name": line.team.name,
            "box": line.level,
            "days": days,
            "until": found.end_day.isoformat(),
            **_spread(one),
        }
        for line in lines
        for days, one in zip(WINDOWS, line.spreads, strict=True)
    ]


def _spread(one: Spread) -> dict[str, Any]:
    return {
        "n": one.n,
        "meanMinutes": one.mean,
        "medianMinutes": one.median,
        "p90Minutes": one.p90,
        "isApproximate": one.is_approximate,
    }


class ArrivalShown(Documented):
    team = serializers.CharField()
    name = serializers.CharField()
    box = serializers.CharField()
    days = serializers.IntegerField()
    until = serializers.DateField(help_text="The day that is not in it any more.")
    n = serializers.IntegerField()
    mean_minutes = serializers.FloatField(allow_null=True, help_text="Always exact.")
    median_minutes = serializers.FloatField(allow_null=True)
    p90_minutes = serializers.FloatField(allow_null=True)
    is_approximate = serializers.BooleanField(help_text="The percentiles come from buckets, off by 2.5 % at most.")


class Arrivals(Tagged, ListAPIView[DispatchHistogram]):
    """Rolling means and percentiles of the way from page to bridge, for every team and level."""

    permission_classes = [allowed_to(Can.READ_TEAMS)]
    serializer_class = ArrivalShown
    queryset = DispatchHistogram.objects.none()  # for the schema; `_rows` reads what the viewer may
    filter_backends = [StrictFilters]

    @extend_schema(operation_id="team_arrivals")
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Over 30, 60 and 90 whole days up to last midnight."""
        check_query(request, PAGE_PARAMETERS)
        rows = _rows(principal_of(request))
        return self.get_paginated_response(cast(NewestFirst, self.paginator).of_few(rows, "team,box,days", request))


api_patterns = [path("team-arrivals", Arrivals.as_view(), name="team-arrivals")]
