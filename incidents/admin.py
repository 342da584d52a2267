"""Incidents to look at. What happens to them happens on their own page; accounts.roles grants nothing more here."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.urls import reverse

from accounts.visibility import viewer_of
from incidents.canned import HOLES
from incidents.lifecycle import Visibility
from incidents.models import (
    CannedText,
    Incident,
    Milestone,
    PhaseEntry,
    RoleAssignment,
    StatusComponent,
    StatusUpdate,
    TeamPage,
    TimelineEvent,
)
from majorops.lib.ulid import parse_ulid
from majorops.lib.visibility import visible

#: The rows of a ledger that an incident's page shows; a long night has hundreds.
SHOWN = 20


class FindsULID(admin.ModelAdmin):
    """A search for a whole ULID finds its rows, any other text is searched for as text."""

    ulid_fields: ClassVar[tuple[str, ...]] = ("pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return visible(super().get_queryset(request), viewer_of(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, may_double = super().get_search_results(request, queryset, search_term)
        try:
            ulid = parse_ulid(search_term.strip())
        except ValueError:
            return found, may_double
        for field in self.ulid_fields:
            found |= queryset.filter(**{field: ulid})
        return found, may_double


class Newest(BaseInlineFormSet):
    """The first rows in the inline's order. Read-only: what is cut off cannot be saved away."""

    def get_queryset(self) -> Any:
        if not hasattr(self, "_shown"):
            self._shown = list(super().get_queryset()[:SHOWN])
        return self._shown


class Ledger(admin.TabularInline):
    """Rows of one incident's history, with what their cells name, in one query."""

    formset = Newest
    extra = 0
    can_delete = False
    related: ClassVar[tuple[str, ...]] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return visible(super().get_queryset(request), viewer_of(request)).select_related(*self.related)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class PhaseEntries(Ledger):
    model = PhaseEntry
    fields = ("phase_number", "entered_at", "entered_by", "reason", "recorded_at")
    related = ("entered_by",)


class Milestones(Ledger):
    model = Milestone
    fields = ("sequence", "title", "created_at", "next_update_eta", "cut_by_name")
    ordering = ("-sequence",)
    show_change_link = True


class StatusUpdates(Ledger):
    model = StatusUpdate
    fields = ("created_at", "content", "visibility", "author_name", "source")
    ordering = ("-created_at", "-id")
    verbose_name_plural = f"status updates, the newest {SHOWN}"
    show_change_link = True


class TeamPages(Ledger):
    model = TeamPage
    fields = ("team", "alarm_level", "paged_at", "acknowledged_at", "arrived_at", "contact_name", "user", "page_count")
    related = ("team", "user")


class RoleAssignments(Ledger):
    model = RoleAssignment
    fields = ("role", "name", "assumed_at", "renounced_at", "assigned_by")
    related = ("assigned_by",)


class LogEntries(Ledger):
    model = TimelineEvent
    fk_name = "incident"
    fields = ("occurred_at", "type", "title", "actor", "visibility", "source")
    ordering = ("-occurred_at", "-id")
    verbose_name_plural = f"log, the newest {SHOWN}"
    show_change_link = True


@admin.register(Incident)
class IncidentAdmin(FindsULID):
    list_display = ("severity", "status", "title", "phase", "mim", "detected_at", "kind")
    list_display_links = ("title",)
    list_filter = ("status", "severity", "kind", "phase", "external_impact")
    list_select_related = ("mim",)
    search_fields = ("title", "alert_id")
    search_help_text = "Title, alert id, or the whole incident id."
    date_hierarchy = "detected_at"
    show_full_result_count = False
    list_per_page = 50
    inlines = (PhaseEntries, Milestones, StatusUpdates, TeamPages, RoleAssignments, LogEntries)
    fieldsets = (
        (None, {"fields": ("id", "title", "description", "kind", "severity", "status", "affected_systems")}),
        ("Times", {"fields": ("detected_at", "phase", "phase_entered_at", "resolved_at", "next_update_eta")}),
        ("Command", {"fields": ("mim", "sre", "leader", "service_manager", "customer_ops", "bridge_url")}),
        ("Alert", {"fields": ("alert_source", "alert_id", "dedup_key", "issue_time", "resolve_time")}),
        (
            "Impact",
            {
                "fields": (
                    "external_impact",
                    "customer_count",
                    "customer_impact_summary",
                    "business_impact",
                    "risk_level",
                    "exec_summary",
                    "decision_asked",
                    "audience_notes",
                )
            },
        ),
        ("Who knows of it", {"fields": ("restricted", "publish_status", "public_title", "public_id")}),
        (
            "Origin",
            {
                "classes": ("collapse",),
                "fields": ("opened_by", "created_at", "external_source", "external_id", "metadata", "version"),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Incident]:
        return visible(Incident.objects.with_command(), viewer_of(request))

    def view_on_site(self, obj: Incident) -> str:
        """Where it can be acted on."""
        return reverse("incidents:detail", args=[obj.pk])


class AudienceFilter(admin.SimpleListFilter):
    """Empty means both audiences: worth a look, for it is rarely meant."""

    title = "audience"
    parameter_name = "audience"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*Visibility.choices, ("both", "Both (empty)")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "both":
            return queryset.filter(visibility=None)
        return queryset.filter(visibility=self.value()) if self.value() in Visibility.values else queryset


class LedgerAdmin(FindsULID):
    ulid_fields = ("pk", "incident")
    list_select_related: ClassVar[tuple[str, ...]] = ("incident",)
    show_full_result_count = False
    list_per_page = 50


@admin.register(TimelineEvent)
class TimelineEventAdmin(LedgerAdmin):
    list_display = ("occurred_at", "type", "title", "actor", "audience", "incident")
    list_filter = ("type", AudienceFilter, "source")
    search_fields = ("title", "description", "actor")
    list_display_links = ("title",)

    @admin.display(description="audience", ordering="visibility")
    def audience(self, entry: TimelineEvent) -> str:
        return entry.get_visibility_display() if entry.visibility else "Both (empty)"


@admin.register(StatusUpdate)
class StatusUpdateAdmin(LedgerAdmin):
    list_display = ("created_at", "beginning", "author_name", "visibility", "source", "incident")
    list_filter = (AudienceFilter, "source")
    search_fields = ("content", "author_name")
    list_display_links = ("beginning",)

    @admin.display(description="content")
    def beginning(self, update: StatusUpdate) -> str:
        return str(update)


@admin.register(Milestone)
class MilestoneAdmin(LedgerAdmin):
    list_display = ("created_at", "sequence", "title", "cut_by_name", "next_update_eta", "status_at_cut", "incident")
    list_filter = ("status_at_cut", "is_resolution", "source")
    search_fields = ("title", "body", "cut_by_name")
    list_display_links = ("title",)


@admin.register(StatusComponent)
class StatusComponentAdmin(admin.ModelAdmin):
    """What the anonymous status page lists, and by which names incidents mean it."""

    list_display = ("name", "group", "position", "is_shown", "systems")
    list_editable = ("position", "is_shown")
    list_filter = ("is_shown",)
    search_fields = ("name", "group")
    readonly_fields = ("created_at",)
    fieldsets = (
        ("On the page", {"fields": ("name", "group", "description", "position", "is_shown")}),
        ("Behind it", {"fields": ("systems", "created_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return visible(super().get_queryset(request), viewer_of(request))


# What leaves the house, in a module of its own.
from incidents import admin_dispatches, admin_intake, admin_outbox, admin_reviews  # noqa: E402, F401


@admin.register(CannedText)
class CannedTextAdmin(admin.ModelAdmin):
    """The texts to begin with. Switched off, not deleted: shipped ones would come back with the next migrate."""

    list_display = ("label", "phase", "form", "position", "is_active", "text")
    list_filter = ("phase", "form", "is_active")
    search_fields = ("label", "text")
    prepopulated_fields = {"key": ("label",)}
    fieldsets = (
        (
            None,
            {
                "fields": ("phase", "form", "label", "text", "key", "position", "is_active"),
                "description": "Holes: " + ", ".join(f"{{{name}}} is {what}" for name, what in HOLES.items()) + ".",
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return visible(super().get_queryset(request), viewer_of(request))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
