"""The KPI paths at the root: one address, a page for browsers and JSON for programs."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

from accounts.middleware import open_to_programs
from accounts.refusals import wants_page
from kpis import api, views

app_name = "kpis"
View = Callable[..., HttpResponse]


def negotiated(page: View, data: View) -> View:
    """`page` where a browser asks for it, else `data`. Writing is always the API's, which checks CSRF itself."""

    def view(request: HttpRequest, **parts: str) -> HttpResponse:
        is_page = request.method in ("GET", "HEAD") and wants_page(request)
        response = (page if is_page else data)(request, **parts)
        patch_vary_headers(response, ["Accept"])
        return response

    return open_to_programs(csrf_exempt(view))


urlpatterns = [
    path("kpis", negotiated(views.catalogue, api.Definitions.as_view()), name="catalogue"),
    path("kpis/<slug:slug>", negotiated(views.definition, api.Definition.as_view()), name="definition"),
    path(
        "incidents/<ulid:incident_id>/kpis",
        negotiated(views.incident_kpis, api.Observations.as_view()),
        name="incident",
    ),
]
