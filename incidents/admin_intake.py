"""Alert intake in admin: sources with their secrets and a way to try them, and the inbox of deliveries."""

from __future__ import annotations

import json
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone

from accounts.admin import LookedAt
from accounts.models import User
from accounts.visibility import viewer_of
from incidents.alerts import inbox, setup, trying
from incidents.alerts.kinds import SourceKind
from incidents.alerts.sources.generic import PRESETS, wrong_map
from incidents.models import IntakeEvent, IntakeSource
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.visibility import visible


class SourceForm(forms.ModelForm):
    """With the field maps of senders that people asked for, to copy."""

    class Meta:
        model = IntakeSource
        fields = ("name", "slug", "kind", "policy", "per_minute", "severity_map", "field_map", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = "; ".join(f"{name}: {json.dumps(preset)}" for name, preset in PRESETS.items())
        self.fields["field_map"].help_text += f" To copy: {known}"


@admin.register(IntakeSource)
class SourceAdmin(admin.ModelAdmin):
    form = SourceForm
    list_display = ("name", "slug", "kind", "policy", "per_minute", "is_active")
    list_filter = ("kind", "policy", "is_active")
    search_fields = ("name", "slug")
    fields = ("name", "slug", "kind", "policy", "per_minute", "severity_map", "field_map", "is_active")
    prepopulated_fields = {"slug": ("name",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[IntakeSource]:
        return visible(super().get_queryset(request), viewer_of(request))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Admin filters by any column of the address line; not by what nobody reads."""
        return not lookup.startswith(("secret", "old_secret")) and super().lookup_allowed(lookup, value, request)

    def get_readonly_fields(self, request: HttpRequest, obj: IntakeSource | None = None) -> tuple[str, ...]:
        return ("slug", "kind") if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: IntakeSource | None = None) -> dict[str, Any]:
        return {} if obj else dict(self.prepopulated_fields)

    def save_model(self, request: HttpRequest, obj: IntakeSource, form: Any, change: bool) -> None:
        by = cast(User, request.user)
        if change:
            changes = {name: form.cleaned_data[name] for name in form.changed_data}
            setup.change(obj, changes, by=by, request=request)
            return
        made = setup.create(**form.cleaned_data, by=by, now=timezone.now(), request=request)
        obj.pk, obj.created_at = made.source.pk, made.source.created_at
        self.message_user(request, "Make its secret on the page Secret; it is shown that once.")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    # --- Its secret, and trying it ---

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        ours = [
            path("<path:object_id>/secret/", view(self.secret_view), name="intakesource_secret"),
            path("<path:object_id>/test/", view(self.test_view), name="intakesource_test"),
        ]
        return [*ours, *super().get_urls()]

    def _asked(self, request: HttpRequest, object_id: str) -> IntakeSource:
        source = self.get_object(request, object_id)
        if source is None:
            raise Http404
        if not self.has_change_permission(request, source):
            raise PermissionDenied
        return source

    def _page(self, request: HttpRequest, source: IntakeSource, name: str, **shown: object) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"{name.title()}: {source}",
            "opts": self.opts,
            "original": source,
            **shown,
        }
        return TemplateResponse(request, f"admin/incidents/intakesource/{name}.html", context)

    def secret_view(self, request: HttpRequest, object_id: str) -> TemplateResponse:
        """POST takes a new secret and shows it this once, or ends the older of two."""
        source = self._asked(request, object_id)
        shown: dict[str, object] = {}
        try:
            if request.method == "POST":
                shown = self._change_secret(request, source)
        except DomainError as error:
            shown = {"refused": error.message}
        source.refresh_from_db()
        live = sum(1 for each in (source.secret, source.old_secret) if each)
        return self._page(request, source, "secret", live=live, **shown)

    def _change_secret(self, request: HttpRequest, source: IntakeSource) -> dict[str, object]:
        by = cast(User, request.user)
        if "finish" in request.POST:
            setup.finish_rotation(source, by=by, request=request)
            return {"said": "From now on only the newest secret is taken."}
        made = setup.rotate(source, by=by, given=request.POST.get("given", "").strip(), request=request)
        return {"secret": made.secret} if made.secret else {"said": "The sender's secret is taken from now on."}

    def test_view(self, request: HttpRequest, object_id: str) -> TemplateResponse:
        """POST shows what the source would make of a body. Nothing is written."""
        source = self._asked(request, object_id)
        shown: dict[str, object] = {"field_map": json.dumps(source.field_map, indent=2)}
        if request.method == "POST":
            shown = {"body": request.POST.get("body", ""), "field_map": request.POST.get("field_map", "")}
            try:
                shown["told"] = _tried(source, str(shown["body"]), str(shown["field_map"]))
            except DomainError as error:
                pointer = getattr(error, "pointer", "")
                shown["refused"] = f"{pointer}: {error.message}" if pointer else error.message
        return self._page(request, source, "test", **shown)


def _tried(source: IntakeSource, body: str, field_map: str) -> list[dict[str, object]]:
    """What came of it, laid out. With a map to try, that map is used and not kept."""
    if source.kind == SourceKind.MAPPED and field_map.strip():
        try:
            source.field_map = json.loads(field_map)
        except (ValueError, RecursionError):
            raise Invalid("The field map is not JSON.", field="field_map") from None
        if wrong := wrong_map(source.field_map):
            raise Invalid(wrong, field="field_map")
    told = trying.preview(source, body.encode(errors="surrogatepass"), now=timezone.now())
    return [
        {
            "title": each.get("title", "No alert"),
            "verdict": each["verdict"],
            "rows": [(name, value) for name, value in each.items() if value not in (None, "", [])],
        }
        for each in told
    ]


@admin.register(IntakeEvent)
class EventAdmin(LookedAt):
    """The inbox: looked at, and replayed. Nothing in it is edited."""

    list_display = ("received_at", "source", "verdict", "reason", "event_id", "truncated", "is_replay")
    list_filter = ("verdict", "source")
    list_select_related = ("source",)
    search_fields = ("event_id", "body")
    fields = (
        "source", "received_at", "verdict", "reason", "incident", "event_id", "truncated", "outcomes", "headers",
        "body", "body_sha256", "replays",
    )  # fmt: skip
    readonly_fields: ClassVar = fields
    actions = ("replay",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[IntakeEvent]:
        return visible(super().get_queryset(request), viewer_of(request))

    @admin.display(boolean=True, description="replay")
    def is_replay(self, event: IntakeEvent) -> bool:
        return event.replays_id is not None

    @admin.action(description="Replay: read these bodies again")
    def replay(self, request: HttpRequest, events: QuerySet[IntakeEvent]) -> None:
        for event in events.order_by("id"):
            again = inbox.replay(event, now=timezone.now()).event
            self.message_user(request, f"{event}: {again.verdict}. {again.reason}", messages.INFO)
