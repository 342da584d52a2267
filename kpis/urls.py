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
from kpis import api, team_pages, views

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
        negotiated(views.observation, api.ObservationRows.as_view()),
        name="observation",
    ),
    path("teams/", team_pages.teams, name="teams"),
    path("teams/<slug:slug>/", team_pages.team, name="team"),
    path("scorecards", views.scorecard, name="scorecards"),
    path("scorecards/<slug:name>", negotiated(views.scorecard, api.ScorecardData.as_view()), name="scorecard"),
    path("scorecards/<slug:name>/charts/<slug:key>", views.chart, name="chart"),
    path(
        "incidents/<ulid:incident_id>/kpis",
        negotiated(views.incident_kpis, api.Observations.as_view()),
        name="incident",
    ),
]
