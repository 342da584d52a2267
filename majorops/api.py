"""The API: every app's routes under /api/v1, the schema, and a page to browse it that needs no network."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

import accounts.api
import incidents.api
import incidents.brief_api
import incidents.called_api
import incidents.candidates_api
import incidents.intake_api
import incidents.log_api
import incidents.promises_api
import incidents.published_api
import incidents.review_api
import incidents.webhooks_api
import kpis.aggregates_api
import kpis.alerts_pages
import kpis.api
import kpis.definitions_api
import kpis.dwell_pages
import kpis.facts_api
import kpis.histograms_pages
import kpis.observations_api
import kpis.personal_api
import kpis.readiness_api
import kpis.reports_pages
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

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[object]]]:
        """One of them is enough; both in one object would ask for both."""
        return [{name: []} for name in self.name]


class WebhookScheme(OpenApiAuthenticationExtension):
    """How the schema tells that a webhook proves itself."""

    target_class = "kpis.facts_api.WebhookProof"
    name = "webhook"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        told = "The webhook's secret as the password; or the HMAC-SHA256 of the body, as its system signs."
        return {"type": "http", "scheme": "basic", "description": told}


class TimeAsTold(OpenApiSerializerFieldExtension):
    """A time comes in as text or as Unix milliseconds, and goes out as text."""

    target_class = "majorops.lib.fields.Time"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        text = {"type": "string", "format": "date-time"}
        if direction == "response":
            return text
        milliseconds = {"type": "integer", "minimum": 946_684_800_000, "maximum": 4_102_444_799_999}
        return {"oneOf": [text, milliseconds]}


@csrf_exempt
def nothing_here(request: HttpRequest) -> HttpResponse:
    """Also in development, where Django would answer an unknown path with a page."""
    hint = " Paths have no slash at the end." if request.path.endswith("/") else ""
    return refusal(request, NotFound(f"There is nothing at {request.path[:200]!a}.{hint} See /api/v1/schema."))


version_1 = [
    *accounts.api.urlpatterns,
    *teams.api.urlpatterns,
    *incidents.api.urlpatterns,
    *incidents.log_api.urlpatterns,
    *incidents.published_api.urlpatterns,
    *incidents.called_api.urlpatterns,
    *incidents.brief_api.urlpatterns,
    *incidents.review_api.urlpatterns,
    *incidents.promises_api.urlpatterns,
    *incidents.webhooks_api.urlpatterns,
    *incidents.intake_api.urlpatterns,
    *incidents.candidates_api.urlpatterns,
    *kpis.api.urlpatterns,
    *kpis.observations_api.urlpatterns,
    *kpis.aggregates_api.urlpatterns,
    *kpis.definitions_api.urlpatterns,
    *kpis.facts_api.urlpatterns,
    *kpis.readiness_api.urlpatterns,
    *kpis.alerts_pages.api_patterns,
    *kpis.reports_pages.api_patterns,
    *kpis.personal_api.urlpatterns,
    *kpis.dwell_pages.api_patterns,
    *kpis.histograms_pages.api_patterns,
    path("schema", SpectacularAPIView.as_view(throttle_classes=[]), name="schema"),
    path(
        "docs",
        SpectacularSwaggerSplitView.as_view(url_name="api:schema", template_name="api_docs.html", throttle_classes=[]),
        name="docs",
    ),
]

urlpatterns = [
    path("v1/", include(version_1)),
    re_path("", nothing_here),
]
