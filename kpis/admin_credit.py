"""The settings of dispatch credit in admin: every version to look at, and a form that appends the next."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from incidents.admin import FindsULID
from kpis.admin_steps import editor_of
from kpis.credit_settings import DECIDED, LEVELS, change, in_force, values_in
from kpis.models import CreditSetting
from majorops.lib.errors import DomainError


@admin.register(CreditSetting)
class CreditSettingAdmin(FindsULID):
    list_display = ("__str__", "made_at", "made_by", "reason", "arrival_points", "ack_points", "tail_points", "z")
    list_select_related = ("made_by",)
    search_fields = ("reason",)
    show_full_result_count = False
    fieldsets = (
        ("Why", {"fields": ("reason",)}),
        ("Points of a hundred", {"fields": (("arrival_points", "ack_points", "tail_points"), "z")}),
        ("Limits", {"fields": [tuple(f"{level}_{name}" for name in ("arrival", "ack", "weight")) for level in LEVELS]}),
        (
            "From how many on",
            {"fields": (("min_provisional", "min_rated"), ("min_acks", "min_ack_coverage"), "patience")},
        ),
    )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """What holds now: the form shows it, and one changes what should differ."""
        return dict(values_in(in_force(timezone.now()).settings))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        try:
            return super().add_view(request, form_url, extra_context)
        except DomainError as error:
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: CreditSetting, form: ModelForm[Any], change: bool) -> None:
        _append(obj, request)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("reason", *DECIDED) if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Versions are history: what was counted by one must stay readable."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def _append(row: CreditSetting, request: HttpRequest) -> None:
    change(row, editor_of(request))
