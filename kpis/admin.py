"""KPI numbers in admin, to look at: versions, reviews, observations and runs. Definitions: admin_definitions.py."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from incidents.admin import FindsULID
from kpis import admin_alerts, admin_credit, admin_definitions, admin_facts, admin_personal  # noqa: F401  # register their tools
from kpis.models import KpiDefinitionVersion, KpiObservation, KpiReview, KpiRun


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
        "source",
        "revision",
        "is_current",
    )
    list_filter = ("kpi", "source", "is_current", "window", "evidence")
    search_fields = ("subject_key", "dims_key")
    search_help_text = "Subject, group, or the whole id of an incident or observation."
    # By id: it grows with time, and its index is there.
    ordering = ("-id",)
    show_full_result_count = False
    list_per_page = 50

    @admin.display(description="KPI", ordering="kpi")
    def kpi_slug(self, observation: KpiObservation) -> str:
        return observation.kpi_id


@admin.register(KpiRun)
class RunAdmin(FindsULID):
    list_display = ("definition", "version", "as_of", "trigger", "started_at", "new", "changed", "same", "retired")
    list_filter = ("definition", "trigger")
    list_select_related = ("definition",)
    search_fields = ("definition__slug",)
    show_full_result_count = False
    list_per_page = 50
