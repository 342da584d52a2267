"""The definition tool: KPIs, their formulas and targets. Every change leaves a version. Numbers are only looked at."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.forms.fields import InvalidJSONInput
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from accounts.visibility import viewer_of
from incidents.admin import FindsULID, Ledger
from incidents.lifecycle import Severity
from kpis.definitions import audience_of, check_spec, save_version
from kpis.models import (
    CADENCE_DAYS,
    DefinitionStatus,
    KpiDefinition,
    KpiDefinitionVersion,
    KpiObservation,
    KpiRun,
    KpiTarget,
)
from majorops.lib.errors import Invalid
from majorops.lib.visibility import visible
from teams.alarm import AlarmLevel

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


# --- The form ---


class SpecField(forms.JSONField):
    """JSON laid out for reading. What Python cannot even parse is a mistake, not a crash."""

    widget = forms.Textarea(attrs={"rows": 24, "cols": 100, "spellcheck": "false"})

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except (RecursionError, ValueError):
            raise ValidationError("This JSON is nested too deeply, or has numbers too long.") from None

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            return super().bound_data(data, initial)
        except (RecursionError, ValueError):
            return InvalidJSONInput(data)

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, InvalidJSONInput):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)


class DefinitionForm(forms.ModelForm):
    reason = forms.CharField(
        max_length=300,
        help_text="Why it changes, e.g. Targets agreed with operations for 2027. The version history keeps it.",
    )
    #: The version the editor looked at. Two people who edit at once must not overwrite each other.
    seen_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = self._is_change
        self.fields["seen_version"].initial = self.instance.current_version

    @property
    def _is_change(self) -> bool:
        return not self.instance._state.adding

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name in {"description", "formula"} & cleaned.keys():
            # Browsers send CR LF, which would look like a change of every line.
            cleaned[name] = cleaned[name].replace("\r\n", "\n")
        if self._is_change:
            self._check_nobody_was_faster(cleaned.get("seen_version"))
        if cleaned.get("spec") is not None and cleaned.get("units"):
            self._check_spec(cleaned)
        return cleaned

    def _check_spec(self, cleaned: dict[str, Any]) -> None:
        told = {name: cleaned[name] for name in ("visibility", "stakeholder_visible", "is_personal") if name in cleaned}
        slug = self.instance.slug or cleaned.get("slug")
        try:
            check_spec(cleaned["spec"], cleaned["units"], slug=slug, audience=audience_of(KpiDefinition(**told)))
        except Invalid as error:
            self.add_error("spec", f"{error.field}: {error.message}" if error.field else error.message)

    def _check_nobody_was_faster(self, seen: int | None) -> None:
        row = KpiDefinition.objects.select_for_update(no_key=True).get(pk=self.instance.pk)
        if seen != row.current_version:
            raise ValidationError(
                f"Version {row.current_version} was saved while you were editing version {seen}. "
                "Open the definition again and repeat your change."
            )


class TargetForm(forms.ModelForm):
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self._check_match(cleaned.get("match_by"), cleaned.get("match_value"))
        value, begins, ends = (cleaned.get(name) for name in ("value", "effective_from", "effective_to"))
        if value is not None and abs(value) >= 1e15:
            self.add_error("value", "A target lies between -1e15 and 1e15.")
        if begins and ends and ends <= begins:
            self.add_error("effective_to", f"This must come after {begins}, the day it begins.")
        return cleaned

    def _check_match(self, match_by: str | None, match_value: str | None) -> None:
        allowed = {"severity": Severity.values, "alarm_level": AlarmLevel.values}.get(match_by or "")
        if match_value and not match_by:
            self.add_error("match_by", "Choose what the value names, or leave both empty.")
        if match_by and not match_value:
            self.add_error("match_value", "Say which one.")
        elif allowed and match_value not in allowed:
            self.add_error("match_value", f"Choose one of {', '.join(allowed)}.")


class TargetFormSet(BaseInlineFormSet):
    def clean(self) -> None:
        super().clean()
        keys = ("match_by", "match_value", "effective_from", "due_on")
        seen = set()
        for form in self.forms:
            cleaned = getattr(form, "cleaned_data", None)
            if not cleaned or form in self.deleted_forms:
                continue
            key = tuple(cleaned.get(name) or "" for name in keys)
            if key in seen:
                form.add_error(None, "Another target holds for the same rows from the same day. Keep one of them.")
            seen.add(key)

    def save_existing_objects(self, commit: bool = True) -> Any:
        """Changed rows leave first and come back: two targets that swap their places must not meet."""
        changed = [form.instance.pk for form in self.initial_forms if form.has_changed()]
        KpiTarget.objects.filter(pk__in=changed).delete()
        return super().save_existing_objects(commit)


class Targets(admin.TabularInline):
    model = KpiTarget
    form = TargetForm
    formset = TargetFormSet
    extra = 1


class Versions(Ledger):
    model = KpiDefinitionVersion
    fields = ("version", "changed_at", "changed_by", "reason", "formula")
    related = ("changed_by",)
    verbose_name_plural = "versions, the newest 20"
    show_change_link = True


# --- The tool ---


@admin.register(KpiDefinition)
class DefinitionAdmin(admin.ModelAdmin):
    form = DefinitionForm
    list_display = (
        "slug",
        "name",
        "units",
        "targets_short",
        "visibility",
        "evidence",
        "owner",
        "review",
        "version",
        "status",
    )
    list_filter = ("visibility", "status", ReviewFilter, "owner")
    search_fields = ("slug", "name", "description")
    actions = ("mark_reviewed", "retire")
    formfield_overrides = {models.JSONField: {"form_class": SpecField}}
    list_per_page = 50
    fieldsets = (
        ("Identity", {"fields": ("slug", "name", "status")}),
        ("Definition", {"fields": ("description", "formula", "spec", "units", "proxy_for")}),
        (
            "Governance",
            {
                "fields": (
                    "visibility",
                    "stakeholder_visible",
                    "is_personal",
                    "owner",
                    "review_cadence",
                    "last_reviewed_at",
                    "reason",
                    "seen_version",
                )
            },
        ),
        ("System", {"classes": ("collapse",), "fields": ("current_version", "created_at", "updated_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[KpiDefinition]:
        overall = visible(KpiObservation.objects.current(), viewer_of(request)).filter(
            kpi=OuterRef("pk"), window="all", dims_key=""
        )
        latest = Subquery(overall.order_by("-timestamp").values("evidence")[:1])
        seen = visible(super().get_queryset(request), viewer_of(request))
        return seen.annotate(latest_evidence=latest).prefetch_related("targets")

    def get_readonly_fields(self, request: HttpRequest, obj: KpiDefinition | None = None) -> tuple[str, ...]:
        always = ("last_reviewed_at", "current_version", "created_at", "updated_at")
        return (*always, "slug") if obj else always

    def get_inlines(self, request: HttpRequest, obj: KpiDefinition | None) -> list[Any]:
        return [Targets, Versions] if obj else [Targets]

    def view_on_site(self, obj: KpiDefinition) -> str:
        return reverse("kpis:definition", args=[obj.pk])

    @admin.display(description="targets")
    def targets_short(self, definition: KpiDefinition) -> str:
        return ", ".join(str(target) for target in definition.targets.all())

    @admin.display(description="evidence")
    def evidence(self, definition: Any) -> str:
        return definition.latest_evidence or ""

    @admin.display(description="review", ordering="last_reviewed_at")
    def review(self, definition: KpiDefinition) -> str:
        return review_state(definition, timezone.now()).label

    @admin.display(description="version", ordering="current_version")
    def version(self, definition: KpiDefinition) -> str:
        return f"v{definition.current_version}"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The version is taken once the targets are saved too."""
        super().save_related(request, form, formsets, change)
        definition = KpiDefinition.objects.get(pk=form.instance.pk)
        reason = form.cleaned_data.get("reason") or "Created"
        saved = save_version(definition, by=_editor(request), reason=reason, now=timezone.now())
        if saved:
            _record_version(request, saved)
            command = f"mim kpi backfill --kpi {definition.slug}"
            text = f"Version {saved.version} of {definition.slug} saved. To compute its numbers anew: {command}"
        else:
            text = "Nothing differs from the last version, so no new one was written."
        self.message_user(request, text, messages.INFO)

    @admin.action(description="Mark reviewed: looked at today, still right", permissions=["change"])
    def mark_reviewed(self, request: HttpRequest, definitions: QuerySet[KpiDefinition]) -> None:
        reviewed = list(definitions)
        KpiDefinition.objects.filter(pk__in=[row.pk for row in reviewed]).update(last_reviewed_at=timezone.now())
        LogEntry.objects.log_actions(_editor(request).pk, reviewed, CHANGE, change_message="Reviewed")
        self.message_user(request, f"Reviewed: {', '.join(map(str, reviewed))}.", messages.SUCCESS)

    @admin.action(description="Retire: takes no more observations", permissions=["change"])
    def retire(self, request: HttpRequest, definitions: QuerySet[KpiDefinition]) -> None:
        retiring = list(KpiDefinition.objects.filter(pk__in=definitions).exclude(status=DefinitionStatus.RETIRED))
        with transaction.atomic():
            for definition in retiring:
                definition.status = DefinitionStatus.RETIRED
                definition.save(update_fields=["status", "updated_at"])
                saved = save_version(definition, by=_editor(request), reason="Retired", now=timezone.now())
                _record_version(request, saved)
            LogEntry.objects.log_actions(_editor(request).pk, retiring, CHANGE, change_message="Retired")
        names = ", ".join(map(str, retiring))
        self.message_user(request, f"Retired: {names}." if names else "Nothing to retire.", messages.SUCCESS)


def _editor(request: HttpRequest) -> User:
    return cast(User, request.user)


def _record_version(request: HttpRequest, saved: KpiDefinitionVersion | None) -> None:
    """What changed, in the audit trail; who may see it once more by itself."""
    if saved is None:
        return
    last = saved.definition.versions.filter(version=saved.version - 1).first()
    now, then = _stands(saved), _stands(last) if last else {}
    after = {name: value for name, value in now.items() if then.get(name) != value}
    before = {name: then[name] for name in after if name in then} or None
    what = Action.KPI_DEFINITION_CHANGE
    audit.record(what, request=request, obj=saved.definition, before=before, after=after, reason=saved.reason)
    for name in ("visibility", "stakeholder_visible", "is_personal"):
        if before and name in before:
            old: dict[str, object] = {name: before[name]}
            new: dict[str, object] = {name: after[name]}
            audit.record(Action.VISIBILITY_CHANGE, request=request, obj=saved.definition, before=old, after=new)


def _stands(version: KpiDefinitionVersion) -> dict[str, object]:
    named = {"version": version.version, "formula": version.formula, "spec": version.spec, "units": version.units}
    return {**named, **version.snapshot}


# --- Numbers ---


@admin.register(KpiDefinitionVersion)
class VersionAdmin(FindsULID):
    list_display = ("definition", "version", "changed_at", "changed_by", "reason")
    list_filter = ("definition",)
    list_select_related = ("definition", "changed_by")
    search_fields = ("definition__slug", "reason")
    show_full_result_count = False


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
