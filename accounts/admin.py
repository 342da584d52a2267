"""People in admin: who may do what, and the trail of it. Nobody is deleted, and an administrator always remains."""

from __future__ import annotations

import json
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode

from accounts import audit
from accounts.audit import Action
from accounts.models import AuditEvent, GroupRole, RefusalCount, User
from accounts.provisioning import (
    LastAdministrator,
    NotYourself,
    check_administrators_remain,
    clear_binding,
    save_rights,
)
from accounts.roles import Role

# Rights come from the role alone; Django's groups would promise more.
admin.site.unregister(Group)


class PersonForm(forms.ModelForm):
    #: Who is editing; set by PersonAdmin for each request.
    editor: User

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self._would_administer(cleaned) or not self.instance.is_staff:
            return cleaned
        field = "role" if cleaned.get("is_active") else "is_active"
        try:
            check_administrators_remain(self.instance, editor=self.editor)
        except (LastAdministrator, NotYourself) as error:
            raise ValidationError({field: error.message}) from None
        return cleaned

    def _would_administer(self, cleaned: dict[str, Any]) -> bool:
        return bool(cleaned.get("role") == Role.ADMIN and cleaned.get("is_active"))


@admin.register(User)
class PersonAdmin(admin.ModelAdmin):
    form = PersonForm
    list_display = (
        "email",
        "display_name",
        "role",
        "role_is_pinned",
        "is_bound",
        "last_seen_at",
        "is_active",
        "on_teams",
    )
    list_filter = ("role", "role_is_pinned", "is_active")
    search_fields = ("email", "display_name")
    fields = (
        "email",
        "display_name",
        "role",
        "role_is_pinned",
        "is_active",
        "binding",
        "last_seen_at",
        "created_at",
        "history",
    )
    actions = ("confirm_identity",)
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("teams")

    @admin.display(description="teams")
    def on_teams(self, person: User) -> str:
        return ", ".join(team.name for team in person.teams.all())

    @admin.display(description="bound", boolean=True)
    def is_bound(self, person: User) -> bool:
        return bool(person.subject)

    @admin.display(description="bound to")
    def binding(self, person: User) -> str:
        """The account of the identity provider. The action on the list of people clears it."""
        return f"{person.subject} at {person.issuer}" if person.subject else "Nothing yet: the next sign-in binds."

    @admin.display(description="audit trail")
    def history(self, person: User) -> str:
        if not person.pk:
            return ""
        address = reverse("admin:accounts_auditevent_changelist")
        return format_html('<a href="{}?{}">Everything about {}</a>', address, urlencode({"q": person.pk}), person.name)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """The address is the identity: another one is another person."""
        return ("binding", "history", "last_seen_at", "created_at", *(["email"] if obj else []))

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        form.editor = request.user  # type: ignore[attr-defined]
        return form

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if change:
            save_rights(obj, request=request)
        super().save_model(request, obj, form, change)
        if not change:
            audit.record(Action.PROVISIONED, request=request, obj=obj, after={"email": obj.email, "role": obj.role})

    @admin.action(description="Confirm identity: the next sign-in with this address binds anew", permissions=["change"])
    def confirm_identity(self, request: HttpRequest, people: QuerySet[User]) -> None:
        by = cast(User, request.user)
        cleared = [person.email for person in people if clear_binding(person, by=by, request=request)]
        told = f"The next sign-in binds anew: {', '.join(cleared)}." if cleared else "None of them was bound."
        self.message_user(request, told, messages.SUCCESS)


@admin.register(GroupRole)
class GroupRoleAdmin(admin.ModelAdmin):
    list_display = ("priority", "group", "role")
    list_display_links = ("group",)
    search_fields = ("group",)
    list_per_page = 50

    def save_model(self, request: HttpRequest, obj: GroupRole, form: Any, change: bool) -> None:
        before = _mapping(GroupRole.objects.get(pk=obj.pk)) if change else None
        super().save_model(request, obj, form, change)
        audit.record(Action.GROUP_ROLE_CHANGE, request=request, obj=obj, before=before, after=_mapping(obj))

    def delete_model(self, request: HttpRequest, obj: GroupRole) -> None:
        audit.record(Action.GROUP_ROLE_CHANGE, request=request, obj=obj, before=_mapping(obj))
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[GroupRole]) -> None:
        for row in queryset:
            self.delete_model(request, row)


def _mapping(row: GroupRole) -> dict[str, object]:
    return {"group": row.group, "role": row.role, "priority": row.priority}


# --- The trail: looked at, never edited ---


class LookedAt(admin.ModelAdmin):
    """What the product writes by itself. Not even a right could open it for editing."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ActionFilter(admin.SimpleListFilter):
    """From the list of actions: asking the table for the distinct ones would read all of it."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(action.value, action.value.replace("_", " ")) for action in Action]

    def queryset(self, request: HttpRequest, events: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        return events.filter(action=self.value()) if self.value() else events


@admin.register(AuditEvent)
class AuditEventAdmin(LookedAt):
    list_display = ("at", "action", "who", "object_type", "object_id", "difference", "reason", "peer")
    list_filter = (ActionFilter, "actor_kind", "at")
    search_fields = ("actor_name", "=actor_id", "object_id", "=request_id", "=peer", "=token_fingerprint")
    search_help_text = "A person's address or id, what it was done to, a request id, an address, a token fingerprint."

    @admin.display(description="who", ordering="actor_name")
    def who(self, event: AuditEvent) -> str:
        return event.actor_name or event.get_actor_kind_display()

    @admin.display(description="before → after")
    def difference(self, event: AuditEvent) -> str:
        told = [json.dumps(side, ensure_ascii=False) if side else "" for side in (event.before, event.after)]
        return " → ".join(told)[:200] if any(told) else ""


@admin.register(RefusalCount)
class RefusalCountAdmin(LookedAt):
    list_display = ("minute", "reason", "peer", "count")
    list_filter = ("minute",)
    search_fields = ("reason", "peer")
    ordering = ("-minute",)


# Integrations and their tokens, in a module of their own.
from accounts import admin_integrations  # noqa: E402, F401
