"""What is aimed at."""

from __future__ import annotations

from datetime import date

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce

from incidents.lifecycle import Severity
from kpis.models.definitions import KpiDefinition
from kpis.targets import Operator, Persona, Statistic, in_short
from teams.alarm import AlarmLevel


class KpiTarget(models.Model):
    """A threshold: for every value, or for those of one severity, alarm level, persona or statistic."""

    definition = models.ForeignKey(KpiDefinition, models.CASCADE, related_name="targets")
    severity = models.CharField(
        max_length=24, blank=True, choices=Severity.choices, help_text="e.g. Critical. Empty: any severity."
    )
    alarm_level = models.CharField(
        max_length=24, blank=True, choices=AlarmLevel.choices, help_text="e.g. Box 3. Empty: any alarm level."
    )
    persona = models.CharField(
        max_length=24, blank=True, choices=Persona.choices, help_text="Whose scorecard it is for. Empty: everybody's."
    )
    statistic = models.CharField(
        max_length=12,
        blank=True,
        choices=Statistic.choices,
        help_text="e.g. 95th percentile. Empty: the KPI's own value.",
    )
    operator = models.CharField(
        max_length=4, choices=Operator.choices, default=Operator.LTE, help_text="Exactly on target is met for ≤ and ≥."
    )
    value = models.FloatField("target", help_text="In the KPI's units, e.g. 120.")
    warn_value = models.FloatField(
        "warn at", null=True, blank=True, help_text="Met, but beyond this the value is shown as at risk, e.g. 100."
    )
    effective_from = models.DateField(
        "valid from", null=True, blank=True, help_text="First day it holds. Empty: it always did."
    )
    effective_to = models.DateField(
        "valid to", null=True, blank=True, help_text="First day it no longer holds. Empty: until further notice."
    )
    due_on = models.DateField(
        null=True,
        blank=True,
        help_text="It holds from this day on, as one rung of a ladder of goals: 80 in May, 90 in July.",
    )

    class Meta:
        db_table = "kpi_targets"
        verbose_name = "target"
        ordering = ["definition", "severity", "alarm_level", "persona", "statistic", "due_on", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(operator__in=Operator.values), name="kpi_targets_operator_known"),
            models.CheckConstraint(
                condition=Q(effective_to=None) | Q(effective_from=None) | Q(effective_to__gt=F("effective_from")),
                name="kpi_targets_validity_in_order",
            ),
            models.CheckConstraint(condition=Q(value__gt=-1e15, value__lt=1e15), name="kpi_targets_value_finite"),
            models.CheckConstraint(
                condition=Q(warn_value=None)
                | Q(operator__in=["lte", "lt"], warn_value__lt=F("value"))
                | Q(operator__in=["gte", "gt"], warn_value__gt=F("value")),
                name="kpi_targets_warn_inside",
            ),
            # The plainest tie. Those that only overlap are refused by kpis.targets.ties.
            models.UniqueConstraint(
                "definition",
                "severity",
                "alarm_level",
                "persona",
                "statistic",
                Coalesce("effective_from", Value(date.min)),
                Coalesce("due_on", Value(date.min)),
                name="kpi_targets_no_tie",
            ),
        ]

    def __str__(self) -> str:
        return in_short(self)
