"""KPI numbers in admin, to look at: versions, reviews, observations and runs. Definitions: admin_definitions.py."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from accounts import audit
from incidents.admin import FindsULID
from kpis import admin_alerts, admin_credit, admin_definitions, admin_facts, admin_personal, exports  # noqa: F401  # register their tools
from kpis.models import KpiDefinitionVersion, KpiObservation, KpiReview, KpiRun
from majorops.lib.times import iso

EXPORTED = (
    "id", "kpi", "subject_key", "incident", "window", "dims_key", "timestamp", "value", "units", "reason", "n",
    "median", "p90", "coverage", "confidence", "evidence", "source", "definition_version__version", "revision",
    "is_current",
)  # fmt: skip


@admin.register(KpiDefinitionVersion)
class VersionAdmin(FindsULID):
    list_display = ("definition", "number", "changed_at", "changed_by", "reason")
    list_filter = ("definition",)
    list_select_related = ("definition", "changed_by")
    search_fields = ("definition__slug", "reason")
    show_full_result_count = False


@admin.register(KpiReview)
class ReviewAdmin(FindsULID):
    list_display = ("definition", "reviewed_at", "reviewed_by", "note")
    list_filter = ("definition",)
    list_select_related = ("definition", "reviewed_by")
    search_fields = ("definition__slug", "note")
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Reviews are written from the definition, where one looked."""
        return False


class ConfidenceFilter(admin.SimpleListFilter):
    """How far the value can be trusted: 1.0 is written by a machine or by who was there, 0.4 is claimed."""

    title = "confidence"
    parameter_name = "confidence"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("high", "0.8 and more"), ("middle", "0.4 to 0.8"), ("low", "Below 0.4"), ("none", "None")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[KpiObservation]) -> QuerySet[KpiObservation]:
        match self.value():
            case "high":
                return queryset.filter(confidence__gte=0.8)
            case "middle":
                return queryset.filter(confidence__gte=0.4, confidence__lt=0.8)
            case "low":
                return queryset.filter(confidence__lt=0.4)
            case "none":
                return queryset.filter(confidence=None)
        return queryset


@admin.register(KpiObservation)
class ObservationAdmin(FindsULID):
    ulid_fields = ("pk", "incident")
    list_display = (
        "kpi_slug",
        "subject_key",
        "window",
        "dims_key",
        "timestamp",
        "value",
        "units",
        "n",
        "evidence",
        "confidence",
        "source",
        "revision",
        "is_current",
    )
    list_filter = ("kpi", "source", "is_current", "window", "evidence", ConfidenceFilter)
    search_fields = ("subject_key", "dims_key")
    search_help_text = "Subject, group, or the whole id of an incident or observation."
    # By id: it grows with time, and its index is there.
    ordering = ("-id",)
    show_full_result_count = False
    list_per_page = 50
    actions = ("export_csv",)

    @admin.display(description="KPI", ordering="kpi")
    def kpi_slug(self, observation: KpiObservation) -> str:
        return observation.kpi_id

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_csv(self, request: HttpRequest, chosen: QuerySet[KpiObservation]) -> HttpResponse:
        """The chosen values. That they were taken is in the audit trail."""
        rows = list(chosen.values(*EXPORTED))
        audit.record(audit.Action.EXPORT, request=request, after={"kpi_observations": len(rows), "format": "csv"})
        told = ({**row, "timestamp": iso(row["timestamp"])} for row in rows)
        return exports.file(exports.table(EXPORTED, told), "text/csv", "kpi-observations.csv")


@admin.register(KpiRun)
class RunAdmin(FindsULID):
    list_display = ("definition", "version", "as_of", "trigger", "started_at", "new", "changed", "same", "retired")
    list_filter = ("definition", "trigger")
    list_select_related = ("definition",)
    search_fields = ("definition__slug",)
    show_full_result_count = False
    list_per_page = 50
