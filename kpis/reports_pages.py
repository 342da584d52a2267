"""Reports: the list, one of them as a page or Markdown, and the same for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_GET
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import effect
from accounts.models import User
from accounts.permissions import allowed_to, by_method, principal_of, required
from accounts.roles import Can
from incidents.pages import page, person
from kpis import exports
from kpis.models import Report
from kpis.packs import files
from kpis.packs.reading import opened as opened_pack
from kpis.packs.summary import summarised
from kpis.reports import making
from kpis.reports.kinds import Kind
from kpis.reports.reading import Opened, opened, reports_for
from kpis.reports.rendering import markdown
from kpis.serializers import Documented
from majorops.lib.conditional import Tagged
from majorops.lib.fields import Body
from majorops.lib.paging import NewestFirst, StrictFilters
from majorops.lib.times import iso
from majorops.lib.visibility import visible

TONES = {"met": "good", "at_risk": "warn", "missed": "bad"}


@page(Can.READ_EXEC_KPIS)
@require_GET
def reports(request: HttpRequest) -> HttpResponse:
    """Those that the reader may open, the newest first."""
    return render(request, "kpis/reports.html", {"reports": reports_for(person(request)), "now": timezone.now()})


@page(Can.READ_EXEC_KPIS)
@require_GET
def report(request: HttpRequest, report_id: str) -> HttpResponse:
    """One report as it was made, with what is another number by now."""
    viewer = person(request)
    row = get_object_or_404(visible(Report.objects.select_related("made_by"), viewer), pk=report_id)
    found = opened(row, viewer)
    if request.GET.get("format") == "md":
        return exports.file(markdown(found.content), "text/markdown", f"{row.kind}-{row.ends_at:%Y-%m-%d}.md")
    figures = [
        {**figure, "tone": TONES.get(figure["state"], ""), "state": figure["state"].replace("_", " "), "restated": now}
        for figure, now in found.figures
    ]
    figures.sort(key=lambda figure: (figure["value"] is None, figure["name"].casefold(), figure["scope"]))
    context = {"found": found, "content": found.content, "figures": figures, "now": timezone.now()}
    return render(request, "kpis/report.html", context)


# --- For programs ---


class ReportLine(Documented):
    id = serializers.CharField()
    kind = serializers.CharField()
    audience = serializers.CharField()
    begins_at = serializers.CharField()
    ends_at = serializers.CharField()
    made_at = serializers.CharField()


class RestatedShown(Documented):
    kpi = serializers.CharField()
    scope = serializers.CharField()
    value = serializers.CharField()
    observation = serializers.CharField()


@extend_schema_serializer(component_name="KpiReport")
class ReportShown(ReportLine):
    content = serializers.DictField()
    sha256 = serializers.CharField()
    restated = RestatedShown(many=True)


def line(row: Report) -> dict[str, object]:
    times = {"beginsAt": iso(row.begins_at), "endsAt": iso(row.ends_at), "madeAt": iso(row.made_at)}
    return {"id": row.pk, "kind": row.kind, "audience": row.audience, **times}


def document(found: Opened) -> dict[str, object]:
    """A whole report, as this reader gets it."""
    restated = [
        {"kpi": kpi, "scope": scope, "value": each.said, "observation": each.observation}
        for (kpi, scope), each in found.restated.items()
    ]
    told = {"content": found.content, "sha256": found.report.content_sha256, "restated": restated}
    return {**line(found.report), **told}


@extend_schema_serializer(component_name="KpiReportMade")
class MadeShown(ReportShown):
    mailed = serializers.IntegerField(help_text="To how many people.")


class ReportBody(Body):
    kind = serializers.ChoiceField(choices=[(kind.value, kind.heading) for kind in Kind if kind is not Kind.METRICS])
    mail = serializers.BooleanField(required=False, help_text="Mail it to those whom the settings name, too.")


class Reports(Tagged, ListAPIView[Report]):
    """The reports that you may read, the newest first."""

    permission_classes = [by_method(GET=Can.READ_EXEC_KPIS, POST=Can.WRITE_KPIS)]
    serializer_class = ReportLine
    queryset = Report.objects.none()
    pagination_class = NewestFirst
    filter_backends = [StrictFilters]

    def get_queryset(self) -> QuerySet[Report]:
        return visible(Report.objects.defer("content"), principal_of(self.request))

    @extend_schema(operation_id="reports")
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page: Sequence[Report] = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or ()
        return self.get_paginated_response([line(row) for row in page])

    @extend_schema(operation_id="make_report", request=ReportBody, responses={201: MadeShown})
    def post(self, request: Request) -> Response:
        """Make a report of the last whole period now, and keep it."""
        said, sender, now = ReportBody.read(request), principal_of(request), timezone.now()
        kind = Kind(said["kind"])
        if not sender.can(making.READS[kind.audience]):
            raise required(sender, making.READS[kind.audience])
        with effect():
            report = making.make(kind, now=now, by=sender if isinstance(sender, User) else None)
            to = making.send(report, now=now) if said.get("mail") else []
        told = document(opened(report, sender)) | {"mailed": len(to)}
        return Response(told, status=201, headers={"Location": f"{request.path}/{report.pk}"})


class Metrics(APIView):
    """How every KPI stands, on one sheet."""

    also_refuses = (404,)
    permission_classes = [allowed_to(Can.READ_INTERNAL_KPIS)]
    parameters = frozenset({"pack"})

    @extend_schema(
        operation_id="metrics_now",
        parameters=[OpenApiParameter("pack", str, enum=list(files.slugs()), description="Only the KPIs of this pack.")],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request) -> Response:
        """Every KPI as it stands now, or those of one pack. Nothing is kept."""
        reader, now, pack = principal_of(request), timezone.now(), request.query_params.get("pack")
        if pack is None:
            return Response(making.standing(reader, now))
        return Response(summarised(opened_pack(files.pack(pack), reader, now)))


class OneReport(APIView):
    """One report."""

    permission_classes = [allowed_to(Can.READ_EXEC_KPIS)]

    @extend_schema(operation_id="report", responses=ReportShown)
    def get(self, request: Request, report_id: str) -> Response:
        """Its figures as they stood, and what is another number by now."""
        viewer = principal_of(request)
        row = get_object_or_404(visible(Report.objects.all(), viewer), pk=report_id)
        return Response(document(opened(row, viewer)))


api_patterns = [
    path("reports", Reports.as_view(), name="reports"),
    path("reports/metrics", Metrics.as_view(), name="metrics-now"),
    path("reports/<ulid:report_id>", OneReport.as_view(), name="report"),
]
