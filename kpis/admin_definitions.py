"""The definition tool: KPIs, their formulas and targets. A change of what runs waits as a draft until it is published.

Every write is one call of kpis/actions.py; pages of a single step are in admin_steps.py.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.db import models
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.visibility import viewer_of
from incidents.admin import Ledger
from kpis import exchange
from kpis.actions import Edit, create, save
from kpis.admin_forms import DefinitionForm, SpecField, TargetForm, TargetFormSet
from kpis.admin_steps import Steps, editor_of
from kpis.evidence import Evidence
from kpis.models import (
    CADENCE_DAYS,
    DefinitionStatus,
    KpiDefinition,
    KpiDefinitionVersion,
    KpiObservation,
    KpiReview,
    KpiRun,
    KpiTarget,
)
from kpis.viewing import sources_of
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible

#: A review that falls due within this time shows as due.
DUE_WITHIN = timedelta(days=14)


class Review(models.TextChoices):
    OK = "ok", "OK"
    DUE = "due", "Due within 14 days"
    OVERDUE = "overdue", "Overdue"
    NEVER = "never", "Never reviewed"


def review_state(definition: KpiDefinition, now: datetime) -> Review:
    due_at = definition.review_due_at
    if due_at is None:
        return Review.NEVER
    if due_at < now:
        return Review.OVERDUE
    return Review.DUE if due_at - now <= DUE_WITHIN else Review.OK


def reviewed_before(moment: datetime) -> Q:
    """Definitions whose review falls due before `moment`."""
    due = Q(pk__in=[])
    for cadence, days in CADENCE_DAYS.items():
        due |= Q(review_cadence=cadence, last_reviewed_at__lt=moment - timedelta(days=days))
    return due


class ReviewFilter(admin.SimpleListFilter):
    title = "review"
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(Review.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[KpiDefinition]) -> QuerySet[KpiDefinition]:
        now = timezone.now()
        match self.value():
            case Review.NEVER:
                return queryset.filter(last_reviewed_at=None)
            case Review.OVERDUE:
                return queryset.filter(reviewed_before(now))
            case Review.DUE:
                return queryset.filter(reviewed_before(now + DUE_WITHIN)).exclude(reviewed_before(now))
            case Review.OK:
                return queryset.exclude(last_reviewed_at=None).exclude(reviewed_before(now + DUE_WITHIN))
        return queryset


class EvidenceFilter(admin.SimpleListFilter):
    title = "evidence"
    parameter_name = "evidence"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((label.value, label.value) for label in Evidence), ("none", "no figure yet")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        if chosen == "none":
            return queryset.filter(latest_evidence=None)
        return queryset.filter(latest_evidence=chosen) if chosen else queryset


# --- What hangs on a definition ---


class Targets(admin.TabularInline):
    model = KpiTarget
    form = TargetForm
    formset = TargetFormSet
    extra = 1
    fields = (
        *("severity", "alarm_level", "persona", "statistic", "operator", "value", "warn_value"),
        *("effective_from", "effective_to", "due_on"),
    )


class Versions(Ledger):
    model = KpiDefinitionVersion
    fields = ("number", "changed_at", "changed_by", "reason", "formula")
    readonly_fields = ("number",)
    related = ("changed_by",)
    verbose_name_plural = "versions, the newest 20"

    @admin.display(description="version")
    def number(self, version: KpiDefinitionVersion) -> str:
        return f"v{version.number}"


class Reviews(Ledger):
    model = KpiReview
    fields = ("reviewed_at", "reviewed_by", "note")
    related = ("reviewed_by",)
    verbose_name_plural = "reviews, the newest 20"


# --- The tool ---


@admin.register(KpiDefinition)
class DefinitionAdmin(Steps, admin.ModelAdmin):
    form = DefinitionForm
    change_form_template = "admin/kpis/kpidefinition/change_form.html"
    change_list_template = "admin/kpis/kpidefinition/change_list.html"
    list_display = (
        *("slug", "name", "units", "targets_short", "visibility", "evidence", "owner", "review", "version"),
        *("last_run", "status"),
    )
    list_filter = ("visibility", EvidenceFilter, "units", ReviewFilter, "owner", "status")
    search_fields = ("slug", "name", "description")
    show_facets = admin.ShowFacets.NEVER
    actions = (
        *("mark_reviewed", "retire", "bring_back"),
        *("export_yaml", "export_json", "export_csv", "export_markdown"),
    )
    formfield_overrides = {models.JSONField: {"form_class": SpecField}}
    list_per_page = 50
    fieldsets = (
        ("Identity", {"fields": ("slug", "name", "status")}),
        (
            "Definition",
            {
                "fields": ("description", "formula", "spec", "units"),
                "description": "Formula, spec and units decide the numbers. A change of them is saved as a draft and "
                "runs once it is published; everything else takes effect when it is saved.",
            },
        ),
        ("Sources", {"fields": ("sources", "evidence", "proxy_for")}),
        (
            "Governance",
            {
                "fields": (
                    *("visibility", "stakeholder_visible", "is_personal", "owner", "review_cadence", "review"),
                    *("last_reviewed_at", "reason", "seen"),
                )
            },
        ),
        ("System", {"classes": ("collapse",), "fields": ("current_version", "created_at", "updated_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[KpiDefinition]:
        viewer = viewer_of(request)
        overall = visible(KpiObservation.objects.current().rollups(), viewer).filter(kpi=OuterRef("pk"), dims_key="")
        runs = visible(KpiRun.objects.all(), viewer).filter(definition=OuterRef("pk")).order_by("-id")
        seen = visible(super().get_queryset(request), viewer).annotate(
            latest_evidence=Subquery(overall.order_by("-timestamp", "-window").values("evidence")[:1]),
            last_run_at=Subquery(runs.values("started_at")[:1]),
            last_run_ended=Subquery(runs.values("ended_at")[:1]),
        )
        return seen.prefetch_related("targets")

    def get_readonly_fields(self, request: HttpRequest, obj: KpiDefinition | None = None) -> tuple[str, ...]:
        always = ("status", "sources", "evidence", "review", "last_reviewed_at", "current_version", "created_at")
        return (*always, "updated_at", *(["slug"] if obj else []))

    def get_fieldsets(self, request: HttpRequest, obj: KpiDefinition | None = None) -> Any:
        """What a definition has only once it is there is left out of the form that makes it."""
        if obj is not None:
            return self.fieldsets
        later = {"status", "sources", "evidence", "review", "last_reviewed_at"}
        return [
            (name, {**told, "fields": tuple(field for field in told["fields"] if field not in later)})
            for name, told in self.fieldsets
            if name != "System"
        ]

    def get_inlines(self, request: HttpRequest, obj: KpiDefinition | None) -> list[Any]:
        return [Targets, Reviews, Versions] if obj else [Targets]

    def has_delete_permission(self, request: HttpRequest, obj: KpiDefinition | None = None) -> bool:
        """Every definition has versions, and history stays. Retire it instead."""
        return False

    def view_on_site(self, obj: KpiDefinition) -> str:
        return reverse("kpis:definition", args=[obj.pk])

    # --- Columns ---

    @admin.display(description="targets")
    def targets_short(self, definition: KpiDefinition) -> str:
        return ", ".join(str(target) for target in definition.targets.all())

    @admin.display(description="evidence", ordering="latest_evidence")
    def evidence(self, definition: Any) -> str:
        """Derived from the newest figure. Nobody types it."""
        return definition.latest_evidence or ""

    @admin.display(description="review", ordering="last_reviewed_at")
    def review(self, definition: KpiDefinition) -> str:
        return review_state(definition, timezone.now()).label

    @admin.display(description="version", ordering="current_version")
    def version(self, definition: KpiDefinition) -> str:
        return f"v{definition.current_version}"

    @admin.display(description="last run", ordering="last_run_at", empty_value="never")
    def last_run(self, definition: Any) -> str | None:
        if definition.last_run_at is None:
            return None
        return f"{'✓ done' if definition.last_run_ended else '✕ broke off'} {definition.last_run_at:%Y-%m-%d %H:%M}"

    @admin.display(description="data sources")
    def sources(self, definition: KpiDefinition) -> str:
        return ", ".join(sources_of(definition)) or "none: the KPI is proposed, not measured"

    # --- Saving ---

    def save_model(self, request: HttpRequest, obj: KpiDefinition, form: Any, change: bool) -> None:
        """Nothing yet: the definition is saved with its targets, in `save_related`."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        targets = [target for formset in formsets if isinstance(formset, TargetFormSet) for target in formset.stated()]
        for formset in formsets:
            formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []
        self._save(request, form, form.edit(targets), change)

    def _save(self, request: HttpRequest, form: Any, edit: Edit, change: bool) -> None:
        editor, slug = editor_of(request), form.instance.pk
        if not change:
            create(slug, edit, editor)
            self.message_user(request, f"Saved {slug} as a draft. Publish it, and it runs.", messages.INFO)
            return
        definition = KpiDefinition(pk=slug)
        reason, seen = form.cleaned_data["reason"], form.cleaned_data["seen"]
        saved = save(definition, edit, editor, reason=reason, seen=seen)
        told = []
        if saved.version is not None:
            told.append(f"Saved v{saved.version.number} of {slug}; the numbers stay as they are.")
        if saved.is_new_draft:
            told.append("The formula is saved as a draft: what runs has not changed. Preview it, then publish it.")
        self.message_user(request, " ".join(told) or "Nothing differs from what was saved before.", messages.INFO)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What the domain refuses only when it saves is told on the form's page."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except DomainError as error:
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        definition = kwargs.get("obj")
        if definition is not None:
            context["draft"] = context["adminform"].form.draft
            context["is_draft"] = definition.status == DefinitionStatus.DRAFT
            context["is_retired"] = definition.status == DefinitionStatus.RETIRED
        return super().render_change_form(request, context, *args, **kwargs)

    def message_user(
        self, request: HttpRequest, message: Any, level: Any = messages.INFO, *args: Any, **kw: Any
    ) -> None:
        """One sentence for one save. Django's own, of level SUCCESS, says less than that of `_save`."""
        if level != messages.SUCCESS:
            super().message_user(request, message, level, *args, **kw)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        return form.instance

    # --- Exports ---

    @admin.action(description="Export as YAML (zip)", permissions=["view"])
    def export_yaml(self, request: HttpRequest, chosen: QuerySet[KpiDefinition]) -> HttpResponse:
        return _download(request, chosen, "zip", "application/zip", exchange.to_zip)

    @admin.action(description="Export as JSON", permissions=["view"])
    def export_json(self, request: HttpRequest, chosen: QuerySet[KpiDefinition]) -> HttpResponse:
        return _download(request, chosen, "json", "application/json", exchange.to_json)

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_csv(self, request: HttpRequest, chosen: QuerySet[KpiDefinition]) -> HttpResponse:
        return _download(request, chosen, "csv", "text/csv; charset=utf-8", exchange.to_csv)

    @admin.action(description="Export as Markdown", permissions=["view"])
    def export_markdown(self, request: HttpRequest, chosen: QuerySet[KpiDefinition]) -> HttpResponse:
        return _download(request, chosen, "md", "text/markdown; charset=utf-8", exchange.to_markdown)


def _download(
    request: HttpRequest, chosen: QuerySet[KpiDefinition], ending: str, content_type: str, render: Any
) -> HttpResponse:
    documents = exchange.documents_of(chosen.order_by("slug"))
    told = {"kpi_definitions": [each.slug for each in documents], "format": ending}
    audit.record(audit.Action.EXPORT, request=request, after=told)
    name = f"kpi-definitions.{ending}"
    return HttpResponse(
        render(documents), content_type=content_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
