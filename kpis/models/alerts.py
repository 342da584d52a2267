"""Rules that watch a KPI, whom they call, and everything that came of them."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from kpis.alerts.rules import Happening, NoData, Severity
from kpis.models.definitions import SLUG
from kpis.models.figures import KpiObservation
from kpis.targets import Operator, Statistic
from majorops.lib.appendonly import AppendOnly
from majorops.lib.ulid import ULIDField, new_ulid


class AlertRule(models.Model):
    """When somebody has to look at a KPI. It names the KPI by its slug: a pack may bring the KPI later."""

    slug = models.CharField(
        primary_key=True, max_length=64, validators=[SLUG], help_text="e.g. velocity-low. It cannot change later."
    )
    name = models.CharField(max_length=120, help_text="What the message says, e.g. Team velocity is low.")
    description = models.TextField(blank=True, help_text="What it means, and what to do about it.")
    kpi_slug = models.CharField("KPI", max_length=64, validators=[SLUG], help_text="The slug of the KPI, e.g. mttr.")
    window = models.CharField(max_length=20, blank=True, help_text="e.g. P30D. Empty: the first window of the KPI.")
    dims_key = models.CharField(
        "group", max_length=200, blank=True, help_text="e.g. severity=critical. Empty: the overall figure."
    )
    statistic = models.CharField(
        max_length=12,
        blank=True,
        choices=[(each.value, each.label) for each in (Statistic.MEDIAN, Statistic.P90)],
        help_text="Empty: the KPI's own value.",
    )
    operator = models.CharField(max_length=4, choices=Operator.choices, help_text="It fires while this holds.")
    value = models.FloatField("limit", help_text="In the KPI's units.")
    hold_minutes = models.PositiveIntegerField(
        "for (minutes)", default=0, help_text="So long it must hold before it fires. 0: at once; 10080 is a week."
    )
    severity = models.CharField(max_length=8, choices=[(each.value, each.name.title()) for each in Severity])
    respond_minutes = models.PositiveIntegerField(
        "respond within (minutes)", null=True, blank=True, validators=[MinValueValidator(1)]
    )
    no_data = models.CharField(
        max_length=4,
        default=NoData.KEEP.value,
        choices=[(each.value, each.label) for each in NoData],
        help_text="What a figure without a value means.",
    )
    is_enabled = models.BooleanField("enabled", default=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    watches_from = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "kpi_alert_rules"
        verbose_name = "alert rule"
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(condition=Q(operator__in=Operator.values), name="alert_rules_operator_known"),
            models.CheckConstraint(
                condition=Q(severity__in=[each.value for each in Severity]), name="alert_rules_severity_known"
            ),
            models.CheckConstraint(
                condition=Q(no_data__in=[each.value for each in NoData]), name="alert_rules_no_data_known"
            ),
            models.CheckConstraint(condition=Q(value__gt=-1e15, value__lt=1e15), name="alert_rules_value_finite"),
        ]

    def __str__(self) -> str:
        return self.slug


class AlertStep(models.Model):
    """One rung of the ladder: who is told, and how long after it fired, unless somebody has acknowledged it."""

    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="steps")
    after_minutes = models.PositiveIntegerField(default=0, help_text="0: as soon as it fires.")
    contact = models.CharField(max_length=120, help_text="A role, e.g. Tech Lead.")
    emails = models.TextField(
        blank=True, help_text="One address a line. They are told that it fires, never the figure itself."
    )

    class Meta:
        db_table = "kpi_alert_steps"
        verbose_name = "escalation step"
        ordering = ["rule", "after_minutes", "pk"]

    def __str__(self) -> str:
        return f"{self.contact} after {self.after_minutes} min"


class AlertEvent(AppendOnly):
    """Something that happened to a rule. `at` is when it came to be, `recorded_at` when it was noticed."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    rule = models.ForeignKey(AlertRule, models.PROTECT, related_name="events")
    rule_version = models.PositiveIntegerField()
    kind = models.CharField(max_length=12, choices=[(each.value, each.name.title()) for each in Happening])
    at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    condition = models.CharField(max_length=120, help_text="As the rule stood then, e.g. < 40.")
    value = models.FloatField(null=True)
    observation = models.ForeignKey(KpiObservation, models.PROTECT, null=True, db_index=False, related_name="+")
    by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    step = models.PositiveIntegerField(null=True, help_text="The minutes of the step that was told.")
    note = models.CharField(max_length=300, blank=True)
    withdraws = models.ForeignKey("self", models.PROTECT, null=True, related_name="withdrawn_by", db_index=False)

    class Meta:
        db_table = "kpi_alert_events"
        verbose_name = "alert event"
        ordering = ["-id"]
        indexes = [models.Index(fields=["rule", "at"], name="alert_events_rule_time")]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=[each.value for each in Happening]), name="alert_events_kind_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule_id} {self.kind} {self.at:%Y-%m-%d %H:%M}"
