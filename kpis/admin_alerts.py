"""Alert rules in admin: terms, the ladder, and how often the rule would have fired. What happened is looked at only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Model
from django.forms import ModelForm, Textarea
from django.http import HttpRequest
from django.utils import timezone

from incidents.admin import FindsULID
from kpis.admin_steps import editor_of
from kpis.alerts import actions
from kpis.alerts.reading import condition_of, in_words, misfits, preview
from kpis.models import AlertEvent, AlertRule, AlertStep, Report


class StepForm(ModelForm[AlertStep]):
    class Meta:
        model = AlertStep
        fields = ("after_minutes", "contact", "emails")
        widgets = {"emails": Textarea(attrs={"rows": 2, "cols": 32})}

    def clean_emails(self) -> str:
        found = actions.addresses(self.cleaned_data["emails"])
        for address in found:
            try:
                validate_email(address)
            except ValidationError:
                raise ValidationError(f"{address} is no e-mail address. Write one a line.") from None
        return "\n".join(found)


#: Ten years. A time to hold beyond the calendar would break every check.
LONGEST_HOLD = 10 * 365 * 24 * 60


class RuleForm(ModelForm[AlertRule]):
    """Refuses what would never fire: a mistyped window is silent for ever."""

    def clean(self) -> dict[str, Any] | None:
        found = super().clean() or {}
        rule = AlertRule(**{name: found.get(name, "") for name in ("kpi_slug", "window", "dims_key")})
        for field, why in misfits(rule).items():
            self.add_error(field, why)
        if (found.get("hold_minutes") or 0) > LONGEST_HOLD:
            self.add_error("hold_minutes", "Ten years at most.")
        return found


class StepInline(admin.TabularInline):
    model = AlertStep
    form = StepForm
    extra = 0


@admin.register(AlertRule)
class AlertRuleAdmin(admin.ModelAdmin):
    form = RuleForm
    list_display = ("name", "kpi_slug", "fires", "severity", "respond_within", "is_enabled")
    list_filter = ("severity", "is_enabled")
    search_fields = ("slug", "name", "kpi_slug")
    show_full_result_count = False
    inlines = (StepInline,)
    readonly_fields = ("would_have_fired", "version", "watches_from")

    @admin.display(description="Fires", ordering="value")
    def fires(self, rule: AlertRule) -> str:
        return condition_of(rule, None)

    @admin.display(description="Respond within", ordering="respond_minutes", empty_value="—")
    def respond_within(self, rule: AlertRule) -> str | None:
        return in_words(rule.respond_minutes) if rule.respond_minutes else None

    @admin.display(description="Rehearsal")
    def would_have_fired(self, rule: AlertRule) -> str:
        return preview(rule, timezone.now()) if rule.pk else "Save the rule to see how often it would have fired."

    def save_model(self, request: HttpRequest, obj: AlertRule, form: ModelForm[Any], change: bool) -> None:
        actions.save(obj, editor_of(request))
        self.message_user(request, preview(obj, timezone.now()))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, *(("slug",) if obj else ()))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """What happened names its rule. Switch it off instead."""
        return False


@admin.register(AlertEvent)
class AlertEventAdmin(FindsULID):
    list_display = ("rule", "kind", "at", "recorded_at", "condition", "value", "by", "note")
    list_filter = ("kind", "rule")
    list_select_related = ("rule", "by")
    search_fields = ("rule__slug", "note")
    show_full_result_count = False


@admin.register(Report)
class ReportAdmin(FindsULID):
    list_display = ("kind", "audience", "begins_at", "ends_at", "made_at", "made_by")
    list_filter = ("kind", "audience")
    list_select_related = ("made_by",)
    search_fields = ("kind",)
    show_full_result_count = False
