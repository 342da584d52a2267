"""Fact kinds and subjects in admin, with their rules; facts, decisions and what is parked, to look at."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin import LookedAt
from incidents.admin import FindsULID
from kpis.admin_forms import SpecField
from kpis.admin_steps import editor_of
from kpis.facts import kinds, parked, subjects
from kpis.facts.schema import parse_schema
from kpis.models import Decision, Fact, FactKind, FactKindVersion, OnFirstSight, ParkedFact, Subject, SubjectType
from majorops.lib.errors import Invalid


class ReadOnly(FindsULID, LookedAt):
    """A ledger: rows are looked at, and written elsewhere."""


class Kept(FindsULID):
    """What facts may point to is switched off or retired, never deleted."""

    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


_COLUMNS = (
    "description",
    "owner",
    "status",
    "subject_type",
    "subject_field",
    "time_field",
    "expected_every",
    "freshness",
)


class KindForm(forms.ModelForm[FactKind]):
    """Checks by the rules of kpis/facts/kinds.py, which writes as well."""

    # The column is called so; the table of the form's fields is set on each form.
    fields = SpecField(help_text=FactKind._meta.get_field("fields").help_text)  # type: ignore[assignment]
    reason = forms.CharField(max_length=200, help_text="Why it is changed, e.g. The pipeline tells the branch now.")

    class Meta:
        model = FactKind
        fields = ("key", *_COLUMNS, "fields")

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if self.errors:
            return said
        try:
            self.kind = kinds.Kind(
                key=self.instance.pk or said["key"],
                fields=said["fields"],
                **{name: said[name] for name in _COLUMNS},
            )
            kinds.check_change(self.kind)
        except Invalid as error:
            known: Any = self.fields
            self.add_error(error.field if error.field in known else None, ValidationError(error.message))
        return said


@admin.register(FactKind)
class FactKindAdmin(Kept):
    form = KindForm
    list_display = ("key", "version", "status", "subject_type", "expected_every", "owner")
    list_filter = ("status", "subject_type")
    search_fields = ("key", "description", "owner")
    ordering = ("key",)
    fieldsets = (
        (None, {"fields": ("key", "description", "owner", "status")}),
        ("What it holds", {"fields": ("fields", "subject_type", "subject_field", "time_field")}),
        ("How often it comes", {"fields": (("expected_every", "freshness"),)}),
        ("Why", {"fields": ("reason",)}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("key",) if obj else ()

    def save_model(self, request: HttpRequest, obj: FactKind, form: ModelForm[Any], change: bool) -> None:
        who, wanted = editor_of(request), form.kind  # type: ignore[attr-defined]
        kinds.define(wanted, by=who.person, reason=form.cleaned_data["reason"], now=who.now)


@admin.register(FactKindVersion)
class FactKindVersionAdmin(ReadOnly):
    list_display = ("kind", "version", "changed_at", "changed_by", "reason")
    list_select_related = ("kind", "changed_by")
    search_fields = ("kind__key", "reason")


class SortForm(forms.ModelForm[SubjectType]):
    attributes = SpecField(required=False, help_text=SubjectType._meta.get_field("attributes").help_text)

    class Meta:
        model = SubjectType
        fields = ("key", "description", "on_first_sight", "attributes")

    def clean_attributes(self) -> dict[str, Any]:
        try:
            return dict(parse_schema(self.cleaned_data["attributes"] or {}, reserved=frozenset()).as_json())
        except Invalid as error:
            raise ValidationError(error.message) from None

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        try:
            if not self.errors:
                subjects.check_sort(self.instance.pk or said["key"], said["attributes"])
        except Invalid as error:
            raise ValidationError(error.message) from None
        return said


@admin.register(SubjectType)
class SubjectTypeAdmin(Kept):
    form = SortForm
    list_display = ("key", "description", "on_first_sight")
    search_fields = ("key", "description")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("key",) if obj else ()

    def save_model(self, request: HttpRequest, obj: SubjectType, form: ModelForm[Any], change: bool) -> None:
        subjects.declare(
            obj.key,
            description=obj.description,
            attributes=obj.attributes,
            on_first_sight=OnFirstSight(obj.on_first_sight),
        )


class SubjectForm(forms.ModelForm[Subject]):
    attributes = SpecField(required=False, help_text='e.g. {"policy_days": 90}, as its sort declares them.')

    class Meta:
        model = Subject
        fields = ("type", "key", "name", "is_active", "attributes")

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        sort: Any = said.get("type") or (self.instance.type if self.instance.type_id else None)
        key = said.get("key") or self.instance.key
        try:
            if not self.errors:
                subjects.check_key(key)
                said["attributes"] = subjects.clean_attributes(sort, said["attributes"] or {})
        except Invalid as error:
            self.add_error(error.field if error.field in self.fields else None, ValidationError(error.message))
        return said


@admin.register(Subject)
class SubjectAdmin(Kept):
    form = SubjectForm
    list_display = ("key", "type", "name", "is_active", "first_seen_at")
    list_filter = ("type", "is_active")
    list_select_related = ("type",)
    search_fields = ("key", "name")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("type", "key") if obj else ()

    def save_model(self, request: HttpRequest, obj: Subject, form: ModelForm[Any], change: bool) -> None:
        row = subjects.register(
            obj.type_id, obj.key, attributes=obj.attributes, name=obj.name, is_active=obj.is_active, now=timezone.now()
        )
        obj.pk = row.pk


@admin.register(Fact)
class FactAdmin(ReadOnly):
    list_display = ("kind", "occurred_at", "subject_type", "subject_id", "actor", "source", "received_at")
    list_filter = ("kind",)
    list_select_related = ("kind",)
    search_fields = ("subject_id", "dedupe_key")
    search_help_text = "Subject, key, or the whole id of a fact."


@admin.register(Decision)
class DecisionAdmin(ReadOnly):
    list_display = ("action", "scope", "decided_at", "subject_type", "subject_id", "actor", "source")
    list_filter = ("scope",)
    search_fields = ("action", "subject_id")


@admin.register(ParkedFact)
class ParkedFactAdmin(ReadOnly):
    list_display = ("kind_key", "received_at", "source", "outcome", "why")
    list_filter = ("outcome", "kind_key")
    search_fields = ("kind_key",)
    actions = ("release",)

    @admin.action(description="Release all that have a kind by now", permissions=["release"])
    def release(self, request: HttpRequest, chosen: QuerySet[ParkedFact]) -> None:
        told = parked.release(now=timezone.now())
        self.message_user(request, f"{told.released} released, {told.refused} refused.", messages.SUCCESS)

    def has_release_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("kpis.change_factkind"))
