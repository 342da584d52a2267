"""The API: every app's routes under /api/v1, the schema, and a page to browse it that needs no network."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

import accounts.api
import incidents.api
import kpis.api
import kpis.readiness_api
import teams.api
from accounts.refusals import refusal
from majorops.views import NotFound

app_name = "api"


class IdentityScheme(OpenApiAuthenticationExtension):
    """How the schema tells who you are."""

    target_class = "accounts.authentication.IdentityAuthentication"
    name = ["accessProxy", "bearer"]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, str]]:
        return [
            {
                "type": "apiKey",
                "in": "header",
                "name": settings.PROXY_EMAIL_HEADER,
                "description": "Set by the access proxy. In development, send it yourself, e.g. mim@example.com.",
            },
            {"type": "http", "scheme": "bearer", "description": "A program's token, mo_<id>_<secret>."},
        ]


@csrf_exempt
def nothing_here(request: HttpRequest) -> HttpResponse:
    """Also in development, where Django would answer an unknown path with a page."""
    hint = " Paths have no slash at the end." if request.path.endswith("/") else ""
    return refusal(request, NotFound(f"There is nothing at {request.path[:200]!a}.{hint} See /api/v1/schema."))


version_1 = [
    *accounts.api.urlpatterns,
    *teams.api.urlpatterns,
    *incidents.api.urlpatterns,
    *kpis.api.urlpatterns,
    *kpis.readiness_api.urlpatterns,
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path(
        "docs",
        SpectacularSwaggerSplitView.as_view(url_name="api:schema", template_name="api_docs.html"),
        name="docs",
    ),
]

urlpatterns = [
    path("v1/", include(version_1)),
    re_path("", nothing_here),
]
