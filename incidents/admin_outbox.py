"""What leaves the house, in admin: endpoints with their secrets, and the log of deliveries."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone

from accounts.admin import LookedAt
from accounts.models import User
from accounts.visibility import viewer_of
from incidents import outbox, webhooks
from incidents.models import Delivery, DeliveryAttempt, Endpoint
from incidents.outbox_rules import CHOOSABLE
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible


class EndpointForm(forms.ModelForm):
    """The address is written, never shown: an empty one leaves it as it is."""

    url = forms.CharField(
        label="Address", required=False, widget=forms.TextInput(attrs={"autocomplete": "off", "size": 80})
    )
    event_types = forms.MultipleChoiceField(
        choices=[(event.value, event.label) for event in CHOOSABLE],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="None ticked: all. Whoever was told of an incident is also told that it is resolved or reopened.",
    )

    class Meta:
        model = Endpoint
        fields = ("name", "kind", "url", "audience", "event_types", "min_severity", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.url
        self.initial["url"] = ""
        shown = f"Now {webhooks.masked(stored)}. Empty leaves it as it is." if stored else "An https address."
        self.fields["url"].help_text = shown
        self.fields["url"].required = not stored

    def clean_url(self) -> str:
        if not self.cleaned_data["url"]:
            return cast(str, self.instance.url)
        try:
            return webhooks.check_url(self.cleaned_data["url"].strip())
        except DomainError as error:
            raise ValidationError(error.message) from None


@admin.register(Endpoint)
class EndpointAdmin(admin.ModelAdmin):
    form = EndpointForm
    list_display = ("name", "kind", "leads_to", "audience", "min_severity", "is_active")
    list_filter = ("kind", "audience", "is_active")
    search_fields = ("name",)
    fields = ("name", "kind", "url", "audience", "event_types", "min_severity", "is_active")
    actions = ("send_test",)
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        return visible(super().get_queryset(request), viewer_of(request))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Admin filters by any column of the address line; not by what nobody reads."""
        hidden = lookup.startswith(("secret", "old_secret", "url"))
        return not hidden and super().lookup_allowed(lookup, value, request)

    def get_readonly_fields(self, request: HttpRequest, obj: Endpoint | None = None) -> tuple[str, ...]:
        return ("kind",) if obj else ()

    @admin.display(description="address")
    def leads_to(self, endpoint: Endpoint) -> str:
        return webhooks.masked(endpoint.url)

    def save_model(self, request: HttpRequest, obj: Endpoint, form: Any, change: bool) -> None:
        by = cast(User, request.user)
        if change:
            webhooks.change(obj, {name: form.cleaned_data[name] for name in form.changed_data}, by=by, request=request)
            return
        made = webhooks.create(**form.cleaned_data, by=by, now=timezone.now(), request=request)
        obj.pk, obj.created_at = made.endpoint.pk, made.endpoint.created_at
        if made.secret:
            self.message_user(request, "Rotate its secret on the page Secret to see one; it is shown that once.")

    @admin.action(description="Send a test message", permissions=["change"])
    def send_test(self, request: HttpRequest, endpoints: QuerySet[Endpoint]) -> None:
        queued = [outbox.send_test(endpoint, now=timezone.now()) for endpoint in endpoints]
        self.message_user(request, f"{len(queued)} queued. What comes of it stands under Deliveries.", messages.SUCCESS)

    # --- Its secret ---

    def get_urls(self) -> list[Any]:
        ours = path("<path:object_id>/secret/", self.admin_site.admin_view(self.secret_view), name="endpoint_secret")
        return [ours, *super().get_urls()]

    def secret_view(self, request: HttpRequest, object_id: str) -> TemplateResponse:
        """POST makes a new secret and shows it this once, or ends the older of two."""
        endpoint = self.get_object(request, object_id)
        if endpoint is None:
            raise Http404
        if not self.has_change_permission(request, endpoint):
            raise PermissionDenied
        shown: dict[str, object] = {}
        try:
            if request.method == "POST":
                shown = self._change_secret(request, endpoint)
        except DomainError as error:
            shown = {"refused": error.message}
        endpoint = self.get_object(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Secret of {endpoint}",
            "opts": self.opts,
            "original": endpoint,
            "live": sum(1 for each in (endpoint.secret, endpoint.old_secret) if each) if endpoint else 0,
            **shown,
        }
        return TemplateResponse(request, "admin/incidents/endpoint/secret.html", context)

    def _change_secret(self, request: HttpRequest, endpoint: Endpoint) -> dict[str, object]:
        by = cast(User, request.user)
        if "finish" in request.POST:
            webhooks.finish_rotation(endpoint, by=by, request=request)
            return {"said": "From now on only the newest secret signs."}
        return {"secret": webhooks.rotate(endpoint, by=by, request=request).secret}

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class Tries(admin.TabularInline):
    model = DeliveryAttempt
    fields = ("number", "tried_at", "was_sent", "error")
    ordering = ("number",)
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return visible(super().get_queryset(request), viewer_of(request))

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Delivery)
class DeliveryAdmin(LookedAt):
    """The log: looked at, and sent again. Nothing in it is edited."""

    list_display = ("queued_at", "channel", "what", "address", "state", "attempts", "next_try_at")
    list_filter = ("state", "channel", "notice__event", "endpoint")
    list_display_links = ("what",)
    list_select_related = ("notice__incident", "page__team", "page__incident")
    search_fields = ("address", "notice__title", "notice__incident__title", "page__incident__title")
    fields = ("message_id", "channel", "what", "address", "state", "attempts", "queued_at", "next_try_at", "redelivers")
    readonly_fields: ClassVar = ("what", *(name for name in fields if name != "what"))
    inlines = (Tries,)
    actions = ("send_again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return visible(super().get_queryset(request), viewer_of(request))

    @admin.display(description="what")
    def what(self, delivery: Delivery) -> str:
        if delivery.page:
            return f"{delivery.page.team} called to {delivery.page.incident}"
        about = delivery.notice.incident if delivery.notice else None
        return f"{delivery.notice}: {about}" if about else str(delivery.notice)

    @admin.action(description="Send again, under the same message id")
    def send_again(self, request: HttpRequest, deliveries: QuerySet[Delivery]) -> None:
        queued = 0
        for delivery in deliveries:
            try:
                outbox.redeliver(delivery, now=timezone.now())
                queued += 1
            except DomainError as error:
                self.message_user(request, f"{delivery}: {error.message}", messages.WARNING)
        if queued:
            self.message_user(request, f"{queued} queued again.", messages.SUCCESS)
