"""The KPI paths at the root: one address, a page for browsers and JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

from accounts.middleware import open_to_programs
from accounts.refusals import wants_page
from kpis import (
    alerts_pages,
    api,
    dwell_pages,
    histograms_pages,
    observations_api,
    packs_pages,
    personal_api,
    personal_pages,
    reports_pages,
    team_pages,
    views,
)

app_name = "kpis"
View = Callable[..., HttpResponseBase]
JSON = "application/json"
TYPES = {"csv": "text/csv", "md": "text/markdown"}


def negotiated(page: View, data: View, **files: View) -> View:
    """`page` where a browser asks for it, a file where one is named, else `data`.

    Programs name what they want in Accept; for people a link says it in `format`. Writing is always the API's, which
    checks CSRF itself.
    """

    def view(request: HttpRequest, **parts: str) -> HttpResponseBase:
        kind = kind_of(request, files) if request.method in ("GET", "HEAD") else "json"
        response = {"html": page, "json": data, **files}[kind](request, **parts)
        patch_vary_headers(response, ["Accept"])
        return response

    return open_to_programs(csrf_exempt(view))


def page_or_file(page: View, csv: View) -> View:
    """A page that also comes as a file; programs have an address of their own in the API."""

    def view(request: HttpRequest, **parts: str) -> HttpResponseBase:
        return (csv if request.GET.get("format") == "csv" else page)(request, **parts)

    return view


def kind_of(request: HttpRequest, files: Iterable[str]) -> str:
    """html, json, or the name of a file. `format` wins over Accept; one that is unknown is left for the view."""
    asked = request.GET.get("format", "")
    if asked in {"json", *files}:
        rest: QueryDict = request.GET.copy()
        rest.pop("format")
        request.GET = rest  # type: ignore[assignment]  # what views filter by must not hold it
        if asked == "json":
            request.META["HTTP_ACCEPT"] = JSON
            request.__dict__.pop("headers", None)  # it was read from META before
        return asked
    if wants_page(request):
        return "html"
    accept = request.headers.get("Accept", "")
    return next((name for name in files if TYPES[name] in accept and JSON not in accept), "json")


urlpatterns = [
    path(
        "kpis",
        negotiated(views.catalogue, api.Definitions.as_view(), csv=views.catalogue_csv, md=views.catalogue_markdown),
        name="catalogue",
    ),
    path(
        "kpis/<slug:slug>",
        negotiated(views.definition, api.Definition.as_view(), csv=views.definition_csv, md=views.definition_markdown),
        name="definition",
    ),
    path(
        "kpis/<slug:slug>/observations/<ulid:observation_id>",
        negotiated(views.observation, observations_api.ObservationRows.as_view()),
        name="observation",
    ),
    path(
        "me/response-times",
        negotiated(personal_pages.own, personal_api.Own.as_view(), csv=personal_pages.own_csv),
        name="own-times",
    ),
    path("people/response-times", personal_pages.others, name="looks"),
    path(
        "phase-dwell",
        negotiated(dwell_pages.dwell, dwell_pages.DwellData.as_view(), csv=dwell_pages.dwell_csv),
        name="dwell",
    ),
    path(
        "teams/arrivals",
        negotiated(histograms_pages.arrivals, histograms_pages.Arrivals.as_view(), csv=histograms_pages.arrivals_csv),
        name="arrivals",
    ),
    path("teams/", page_or_file(team_pages.teams, team_pages.teams_csv), name="teams"),
    path("teams/<slug:slug>/", page_or_file(team_pages.team, team_pages.team_csv), name="team"),
    path("packs/", packs_pages.packs, name="packs"),
    path("packs/<slug:pack>/", packs_pages.pack, name="pack"),
    path("packs/<slug:pack>/claims", packs_pages.claims, name="pack-claims"),
    path("packs/<slug:pack>/tables", packs_pages.tables, name="pack-tables"),
    path("packs/<slug:pack>/roadmap", packs_pages.roadmap, name="pack-roadmap"),
    path("packs/<slug:pack>/case-study", packs_pages.case_study, name="pack-case-study"),
    path("packs/<slug:pack>/checklists", packs_pages.checklists, name="pack-checklists"),
    path("anomalies/", packs_pages.anomalies, name="anomalies"),
    path("anomalies/<ulid:fact_id>", packs_pages.assign, name="assign"),
    path("pulse", packs_pages.pulse, name="pulse"),
    path("pulse/tile", packs_pages.pulse_tile, name="pulse-tile"),
    path("kpi-alerts/", alerts_pages.alerts, name="alerts"),
    path("kpi-alerts/<slug:slug>/acknowledge", alerts_pages.acknowledge, name="alert-acknowledge"),
    path("reports/", reports_pages.reports, name="reports"),
    path("reports/<ulid:report_id>", reports_pages.report, name="report"),
    path("scorecards", views.scorecard, name="scorecards"),
    path("scorecards/<slug:name>", negotiated(views.scorecard, api.ScorecardData.as_view()), name="scorecard"),
    path("scorecards/<slug:name>/charts/<slug:key>", views.chart, name="chart"),
    path(
        "incidents/<ulid:incident_id>/kpis",
        negotiated(views.incident_kpis, observations_api.Observations.as_view()),
        name="incident",
    ),
]
