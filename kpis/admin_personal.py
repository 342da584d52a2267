"""Who may look at response times, in admin: a grant is made with a reason and ended, never edited or deleted."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from incidents.admin import FindsULID
from kpis import personal
from kpis.admin_steps import editor_of
from kpis.models import PersonalGrant
from majorops.lib.errors import DomainError


@admin.register(PersonalGrant)
class PersonalGrantAdmin(FindsULID):
    list_display = ("person", "reason", "granted_at", "granted_by", "ended_at", "ended_by")
    list_select_related = ("person", "granted_by", "ended_by")
    search_fields = ("person__email", "reason")
    autocomplete_fields = ("person",)
    show_full_result_count = False
    fields = ("person", "reason")
    actions = ("end",)

    @admin.action(description="End the grant", permissions=["add"])
    def end(self, request: HttpRequest, rows: QuerySet[PersonalGrant]) -> None:
        ended = sum(personal.end(row, editor_of(request)) for row in rows.select_related("person"))
        self.message_user(request, f"Ended: {ended}.", messages.SUCCESS)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        try:
            return super().add_view(request, form_url, extra_context)
        except DomainError as error:
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: PersonalGrant, form: ModelForm[Any], change: bool) -> None:
        personal.grant(obj, editor_of(request))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("person", "reason", "granted_at", "granted_by", "ended_at", "ended_by") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return self.get_readonly_fields(request, obj) or ("person", "reason")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
