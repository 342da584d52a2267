"""The team directory. A team is switched off, not deleted: past pages keep it."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from accounts.models import User
from accounts.visibility import viewer_of
from majorops.lib.visibility import visible
from teams.models import Membership, Team, TeamAlias


class AliasForm(forms.ModelForm):
    def clean_alias(self) -> str:
        """Folded here, so that two spellings of one alias in the same form are seen as one."""
        alias: str = self.cleaned_data["alias"]
        return alias.strip().casefold()


class AliasInline(admin.TabularInline):
    model = TeamAlias
    form = AliasForm
    extra = 1


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 1
    autocomplete_fields = ("user",)
    readonly_fields = ("since",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("user", "team").order_by("user__email")

    def has_change_permission(self, request: HttpRequest, obj: Team | None = None) -> bool:
        """A membership begins and ends; it does not become another person's. So no picker in each row either."""
        return False


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    list_display = ("name", "slug", "rated_box", "members_count", "is_active", "on_call_contact")
    list_filter = ("is_active", "rated_box")
    search_fields = ("name", "slug", "aliases__alias")
    fields = ("name", "slug", "rated_box", "on_call_contact", "is_active", "created_at")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (AliasInline, MembershipInline)
    actions = ("deactivate", "activate")
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        teams = visible(super().get_queryset(request), viewer_of(request))
        return teams.annotate(members_counted=Count("memberships", distinct=True))

    @admin.display(description="members", ordering="members_counted")
    def members_count(self, team: Any) -> int:
        return team.members_counted

    def get_readonly_fields(self, request: HttpRequest, obj: Team | None = None) -> tuple[str, ...]:
        """URLs, KPI groups and scripts hold on to the slug."""
        return ("created_at", *(["slug"] if obj else []))

    def get_prepopulated_fields(self, request: HttpRequest, obj: Team | None = None) -> dict[str, Any]:
        return {} if obj else dict(self.prepopulated_fields)

    @admin.action(description="Deactivate: cannot be paged any more", permissions=["change"])
    def deactivate(self, request: HttpRequest, teams: QuerySet[Team]) -> None:
        self._switch(request, teams, is_active=False)

    @admin.action(description="Activate: can be paged", permissions=["change"])
    def activate(self, request: HttpRequest, teams: QuerySet[Team]) -> None:
        self._switch(request, teams, is_active=True)

    def _switch(self, request: HttpRequest, teams: QuerySet[Team], *, is_active: bool) -> None:
        changing = list(teams.exclude(is_active=is_active))
        Team.objects.filter(pk__in=[team.pk for team in changing]).update(is_active=is_active)
        word = "Activated" if is_active else "Deactivated"
        LogEntry.objects.log_actions(cast(User, request.user).pk, changing, CHANGE, change_message=word)
        names = ", ".join(team.name for team in changing)
        self.message_user(request, f"{word}: {names}." if names else "Nothing to change.", messages.SUCCESS)
