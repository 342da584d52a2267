"""Integrations in admin: what a program may do, and its tokens. A secret is shown once, where it is made."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, Max, Q, QuerySet
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone

from accounts import audit, tokens
from accounts.models import Integration, ServiceToken, User
from accounts.scopes import Scope
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.text import clean_text

IN_WORDS: dict[Scope, str] = {
    Scope.INCIDENTS_READ: "read incidents as stakeholders do",
    Scope.INCIDENTS_READ_INTERNAL: "read internal entries and fields too",
    Scope.INCIDENTS_WRITE: "open incidents and command them",
    Scope.TIMELINE_WRITE: "write in the log of incidents",
    Scope.ALERTS_WRITE: "send alerts",
    Scope.FACTS_WRITE: "send facts for evidence",
    Scope.KPIS_READ: "read KPIs, internal ones too",
    Scope.KPIS_WRITE: "state KPI values, make reports",
    Scope.KPIS_DEFINE: "change KPI definitions, compute all figures anew",
    Scope.TEAMS_READ: "read teams and how they respond",
    Scope.EXPORT_READ: "export data",
    Scope.METRICS_READ: "read the health of MajorOps",
    Scope.PUBLISH: "publish to stakeholders; without it everything it writes in a log is internal",
}


class IntegrationForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, f"{scope.value}: {words}") for scope, words in IN_WORDS.items()],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="What it may do; nothing else.",
    )

    def clean_name(self) -> str:
        try:
            return clean_text(self.cleaned_data["name"], field="name", max_length=80, required=True)
        except Invalid as error:
            raise ValidationError(error.message) from None


class TokenForm(forms.Form):
    days = forms.IntegerField(
        label="Days it lives", min_value=1, max_value=tokens.MAX_LIFETIME.days, initial=90, help_text="At most a year."
    )


@admin.register(Integration)
class IntegrationAdmin(admin.ModelAdmin):
    form = IntegrationForm
    list_display = ("name", "may", "owner", "is_active", "live_tokens", "last_used")
    list_filter = ("is_active",)
    list_select_related = ("owner",)
    search_fields = ("name", "access_client_id")
    fields = ("name", "scopes", "access_client_id", "owner", "is_active", "created_at")
    readonly_fields = ("created_at",)
    autocomplete_fields = ("owner",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Integration]:
        live = Q(tokens__revoked_at=None, tokens__expires_at__gt=timezone.now())
        counted = super().get_queryset(request).annotate(live_tokens=Count("tokens", filter=live))
        return counted.annotate(last_used=Max("tokens__last_used_at"))

    @admin.display(description="may")
    def may(self, integration: Integration) -> str:
        return ", ".join(integration.scopes) or "nothing"

    @admin.display(description="live tokens", ordering="live_tokens")
    def live_tokens(self, integration: Any) -> int:
        return int(integration.live_tokens)

    @admin.display(description="last used", ordering="last_used", empty_value="never")
    def last_used(self, integration: Any) -> datetime | None:
        used: datetime | None = integration.last_used
        return used

    def save_model(self, request: HttpRequest, obj: Integration, form: Any, change: bool) -> None:
        before = tokens.described(Integration.objects.select_related("owner").get(pk=obj.pk)) if change else None
        super().save_model(request, obj, form, change)
        if before != (after := tokens.described(obj)):
            audit.record(audit.Action.INTEGRATION_CHANGE, request=request, obj=obj, before=before, after=after)

    # --- Its tokens ---

    def get_urls(self) -> list[Any]:
        ours = path("<path:object_id>/tokens/", self.admin_site.admin_view(self.tokens_view), name="integration_tokens")
        return [ours, *super().get_urls()]

    def tokens_view(self, request: HttpRequest, object_id: str) -> TemplateResponse:
        """GET lists the tokens. POST creates, rotates or revokes one, and shows a new secret this once."""
        integration = self.get_object(request, object_id)
        if integration is None:
            raise Http404
        if not self.has_change_permission(request, integration):
            raise PermissionDenied
        form = TokenForm(request.POST if "days" in request.POST else None)
        shown: dict[str, object] = {"form": form}
        status = 200
        if request.method == "POST":
            try:
                shown |= self._change_tokens(request, integration, form)
            except DomainError as error:
                shown, status = {"form": form, "refused": error.message}, error.status
        return self._tokens_page(request, integration, shown, status)

    def _change_tokens(self, request: HttpRequest, integration: Integration, form: TokenForm) -> dict[str, object]:
        """What the page says of it. Raises TooManyTokens and what else tokens.py refuses."""
        now, person = timezone.now(), request.user
        by = person if isinstance(person, User) else None
        asked = request.POST.get("revoke", "").replace("\0", "")
        if token := integration.tokens.filter(pk=asked).first():
            is_new = tokens.revoke(token, by=by, now=now, request=request)
            return {"said": f"{token} is revoked." if is_new else f"{token} was revoked before; nothing changed."}
        if not form.is_valid():
            return {}
        make = tokens.rotate if "rotate" in request.POST else tokens.mint
        expires_at = now + timedelta(days=form.cleaned_data["days"])
        made, secret = make(integration, by=by, expires_at=expires_at, now=now, request=request)
        return {"secret": secret, "made": made}

    def _tokens_page(
        self, request: HttpRequest, integration: Integration, shown: dict[str, object], status: int
    ) -> TemplateResponse:
        now = timezone.now()
        rows = [(token, tokens.state(token, now)) for token in integration.tokens.all()]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Tokens of {integration.name}",
            "opts": self.opts,
            "original": integration,
            "rows": rows,
            **shown,
        }
        # admin_view marks it as not to be stored anywhere.
        return TemplateResponse(request, "admin/accounts/integration/tokens.html", context, status=status)


class State(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(word, word) for word in ("live", "expired", "revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ServiceToken]) -> QuerySet[ServiceToken]:
        now = timezone.now()
        chosen = {
            "live": Q(revoked_at=None, expires_at__gt=now),
            "expired": Q(revoked_at=None, expires_at__lte=now),
            "revoked": Q(revoked_at__isnull=False),
        }
        return queryset.filter(chosen.get(self.value() or "", Q()))


@admin.register(ServiceToken)
class ServiceTokenAdmin(admin.ModelAdmin):
    """To look at; an integration's page makes and revokes them."""

    list_display = ("__str__", "integration", "state", "created_at", "created_by", "expires_at", "last_used_at")
    list_filter = (State, "integration")
    list_select_related = ("integration", "created_by")
    search_fields = ("id", "integration__name")
    fields = ("id", "integration", "state", "created_at", "created_by", "expires_at", "revoked_at", "last_used_at")
    readonly_fields = fields

    @admin.display(description="state")
    def state(self, token: ServiceToken) -> str:
        return tokens.state(token, timezone.now())

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Admin filters by any column of the address line; not by this one, not even its hash."""
        return not lookup.startswith("secret") and super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ServiceToken | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ServiceToken | None = None) -> bool:
        return False
