"""The team directory. A team is switched off, not deleted: past pages keep it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from accounts.models import User
from accounts.visibility import viewer_of
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible
from teams import actions as teams_writer
from teams import exchange, insight
from teams.addresses import addresses, told_apart, unmasked
from teams.models import Membership, Team, TeamAlias


class MergeForm(forms.Form):
    into = forms.ModelChoiceField(
        Team.objects.none(), label="Merge into", help_text="The team that answers from now on."
    )


class FileForm(forms.Form):
    file = forms.FileField(label="CSV file", help_text="UTF-8. Export the teams for a file to begin with.")


class CommitForm(forms.Form):
    """Carries the file that was looked at, so that it is what is imported."""

    text = forms.CharField(widget=forms.HiddenInput, strip=False, max_length=exchange.MAX_CHARACTERS)


class TeamForm(forms.ModelForm):
    """Shows addresses without what is secret in them. A line that is left as it is keeps its address."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stored = self.instance.notification_urls
        self.initial["notification_urls"] = "\n".join(map(told_apart, addresses(self.stored)))
        if "notification_urls" in self.fields:
            self.fields["notification_urls"].validators = []  # a masked line is no address; the model checks them

    def clean_notification_urls(self) -> str:
        return unmasked(self.cleaned_data["notification_urls"], self.stored)


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


class TeamList(ChangeList):
    """The list, with what apps above know of the teams it shows: asked once for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        teams = list(self.result_list)
        for key, heading in insight.columns.items():
            words = heading.words(teams, viewer_of(request))
            for team in teams:
                vars(team)[key] = words.get(team.pk)
        self.result_list = teams


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    form = TeamForm
    list_display = ("name", "slug", "rated_box", "members_count", "is_active", "merged_into", "on_call_contact")
    list_filter = ("is_active", "rated_box")
    list_select_related = ("merged_into",)
    search_fields = ("name", "slug", "aliases__alias")
    fields = (
        "name",
        "slug",
        "rated_box",
        "on_call_contact",
        "notification_urls",
        "is_active",
        "merged_into",
        "created_at",
    )
    prepopulated_fields = {"slug": ("name",)}
    inlines = (AliasInline, MembershipInline)
    actions = ("deactivate", "activate")
    list_per_page = 50

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("export/", wrap(self.export_view), name="teams_team_export"),
            path("import/", wrap(self.import_view), name="teams_team_import"),
            path("<path:object_id>/merge/", wrap(self.merge_view), name="teams_team_merge"),
            *super().get_urls(),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return TeamList

    def get_list_display(self, request: HttpRequest) -> tuple[str | Callable[[Any], Any], ...]:
        told = (_column(key, heading.title) for key, heading in insight.columns.items())
        return (*self.list_display[:4], *told, *self.list_display[4:])

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        teams = visible(super().get_queryset(request), viewer_of(request))
        return teams.annotate(members_counted=Count("memberships", distinct=True))

    @admin.display(description="members", ordering="members_counted")
    def members_count(self, team: Any) -> int:
        return team.members_counted

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """All teams as CSV, without addresses for notifications."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        text = exchange.export(visible(Team.objects.order_by("slug"), viewer_of(request)))
        headers = {"Content-Disposition": 'attachment; filename="teams.csv"', "X-Content-Type-Options": "nosniff"}
        return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Shows what a file would change; imports what was shown."""
        if not (self.has_add_permission(request) and self.has_change_permission(request)):
            raise PermissionDenied
        sent = CommitForm(request.POST) if "text" in request.POST else None
        chosen = FileForm(request.POST, request.FILES) if request.FILES else None
        context: dict[str, Any] = {"form": FileForm()}
        try:
            if sent is not None and sent.is_valid():
                if self._imported(request, sent.cleaned_data["text"], context):
                    return HttpResponseRedirect(reverse("admin:teams_team_changelist"))
            elif chosen is not None and chosen.is_valid():
                text = chosen.cleaned_data["file"].read(4 * exchange.MAX_CHARACTERS).decode("utf-8-sig")
                context |= _shown(exchange.compare(text)) | {"commit_form": CommitForm({"text": text})}
            elif request.method == "POST":
                context["refused"] = "Choose a file."
        except UnicodeDecodeError:
            context["refused"] = "The file is not UTF-8 text. Save it as CSV in UTF-8."
        except DomainError as error:
            context["refused"] = error.message
        return self._page(request, "import.html", "Import teams", context)

    def _imported(self, request: HttpRequest, text: str, context: dict[str, Any]) -> bool:
        lines = exchange.commit(text)
        shown = _shown(lines)
        if not shown["is_ready"]:
            context |= shown | {"refused": "The teams have changed since. Nothing was imported."}
            return False
        slugs = [line.slug for line in lines if line.changes]
        self._log(
            request, list(visible(Team.objects.filter(slug__in=slugs), viewer_of(request))), "Imported from a file"
        )
        self.message_user(request, f"Imported: {_counted(lines)}.", messages.SUCCESS)
        return True

    def merge_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks into which team, shows what would move, merges."""
        team = self.get_object(request, object_id)
        if not self.has_change_permission(request, team):
            raise PermissionDenied
        if team is None:
            raise Http404
        form = MergeForm(request.POST or None)
        others = visible(Team.objects.exclude(pk=team.pk), viewer_of(request)).filter(merged_into=None)
        cast(forms.ModelChoiceField, form.fields["into"]).queryset = others.order_by("name")
        context: dict[str, Any] = {"form": form, "original": team}
        try:
            if form.is_valid():
                into = form.cleaned_data["into"]
                if request.POST.get("confirmed"):
                    return self._merged(request, teams_writer.merge(team, into))
                context["merge"] = teams_writer.preview_merge(team, into)
        except DomainError as error:
            context["refused"] = error.message
        return self._page(request, "merge.html", f"Merge {team.name}", context)

    def _merged(self, request: HttpRequest, done: teams_writer.Merge) -> HttpResponse:
        self._log(request, [done.team], f"Merged into {done.into.name}")
        self._log(request, [done.into], f"{done.team.name} merged into it")
        self.message_user(request, f"{done.team.name} answers as {done.into.name} now.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:teams_team_change", args=[done.into.pk]))

    def _page(self, request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> HttpResponse:
        everything = {**self.admin_site.each_context(request), "opts": self.opts, "title": title, **context}
        return TemplateResponse(request, f"admin/teams/team/{template}", everything)

    def get_readonly_fields(self, request: HttpRequest, obj: Team | None = None) -> tuple[str, ...]:
        """URLs, KPI groups and scripts hold on to the slug."""
        merged = ["is_active"] if obj and obj.merged_into_id else []
        return ("created_at", "merged_into", *(["slug"] if obj else []), *merged)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Team | None = None) -> dict[str, Any]:
        return {} if obj else dict(self.prepopulated_fields)

    @admin.action(description="Deactivate: cannot be paged any more", permissions=["change"])
    def deactivate(self, request: HttpRequest, teams: QuerySet[Team]) -> None:
        self._switch(request, teams, is_active=False)

    @admin.action(description="Activate: can be paged", permissions=["change"])
    def activate(self, request: HttpRequest, teams: QuerySet[Team]) -> None:
        self._switch(request, teams, is_active=True)

    def _switch(self, request: HttpRequest, teams: QuerySet[Team], *, is_active: bool) -> None:
        changed = teams_writer.switch(teams, is_active=is_active)
        word = "Activated" if is_active else "Deactivated"
        self._log(request, changed, word)
        names = ", ".join(team.name for team in changed)
        self.message_user(request, f"{word}: {names}." if names else "Nothing to change.", messages.SUCCESS)

    def _log(self, request: HttpRequest, teams: list[Team], told: str) -> None:
        LogEntry.objects.log_actions(cast(User, request.user).pk, teams, CHANGE, change_message=told)


def _column(key: str, title: str) -> Callable[[Any], Any]:
    @admin.display(description=title)
    def shown(team: Any) -> Any:
        return vars(team).get(key)

    shown.__name__ = key
    return shown


def _shown(lines: list[exchange.Line]) -> dict[str, Any]:
    is_ready = bool(lines) and not any(line.fate is exchange.Fate.ERROR for line in lines)
    counts = Counter(line.fate.value for line in lines)
    return {"lines": lines, "counts": list(counts.items()), "is_ready": is_ready}


def _counted(lines: list[exchange.Line]) -> str:
    return ", ".join(f"{count} {fate}" for fate, count in Counter(line.fate for line in lines).items())
