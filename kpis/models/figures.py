"""What came out: runs and their observations."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q

from incidents.models import Incident
from kpis.evidence import Evidence
from kpis.models.definitions import KpiDefinition, KpiDefinitionVersion
from majorops.lib.ledger import Ledger
from majorops.lib.ulid import ULIDField, new_ulid


class ObservationSource(models.TextChoices):
    WORKER = "worker", "Worker"
    UI = "ui", "UI"
    IMPORT = "import", "Import"
    CLI = "cli", "CLI"
    API = "api", "API"


#: Values that people or other systems claim; a computed one never takes their place.
CLAIMS = (ObservationSource.UI, ObservationSource.IMPORT, ObservationSource.API)
#: The subject of every rollup: its groups are in `dims`.
EVERYONE = "org:org"


class RunOutcome(models.TextChoices):
    DONE = "done", "Done"
    SAME = "same", "The same again"
    DIFFERS = "differs", "Differs"


class KpiRun(models.Model):
    """One computation: which definition version, up to when, over what, and what came of it."""

    ledger = Ledger(mutable=("progress", "new", "changed", "same", "retired", "kept"), set_once=("ended_at", "outcome"))

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    definition = models.ForeignKey(KpiDefinition, models.PROTECT, related_name="runs")
    version = models.PositiveIntegerField()
    as_of = models.DateTimeField()
    scope = models.JSONField(default=dict)
    trigger = models.CharField(max_length=16)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    new = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    same = models.PositiveIntegerField(default=0)
    retired = models.PositiveIntegerField(default=0)
    kept = models.PositiveIntegerField(default=0, help_text="Stated values that were left alone.")
    progress = models.JSONField(default=dict, help_text="How far it came: what is stored outlives a broken run.")
    outcome = models.CharField(
        max_length=8, blank=True, choices=RunOutcome.choices, help_text="Empty while it runs, or where it broke off."
    )

    class Meta:
        db_table = "kpi_runs"
        verbose_name = "KPI run"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(outcome__in=["", *RunOutcome.values]), name="kpi_runs_outcome_known")
        ]

    def __str__(self) -> str:
        return f"{self.definition_id} as of {self.as_of:%Y-%m-%d %H:%M}"


class ObservationQuerySet(models.QuerySet["KpiObservation"]):
    """Observations are appended; only `is_current` and the retirement of a row move (kpis/compute/)."""

    def current(self) -> Self:
        """The one truth per key now; earlier revisions and retired rows are out."""
        return self.filter(is_current=True)

    def samples(self) -> Self:
        """One per subject, e.g. per incident or dispatch."""
        return self.filter(window="")

    def rollups(self) -> Self:
        """Figures over a window of time."""
        return self.exclude(window="")


class KpiObservation(models.Model):
    """One value of one KPI, with what it was made from. A new value is a new revision."""

    ledger = Ledger(mutable=("is_current",), set_once=("retired_at", "retired_reason"))

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    # No index of its own where an index below begins with it, or where only a deletion that is refused would ask.
    kpi = models.ForeignKey(KpiDefinition, models.PROTECT, related_name="observations", db_index=False)
    subject_type = models.CharField(max_length=24)
    subject_id = models.CharField(max_length=80)
    subject_key = models.CharField(max_length=105, help_text="type:id, e.g. incident:01JD...")
    window = models.CharField(max_length=20, blank=True, help_text="Empty for a sample; P30D, all... for a rollup.")
    dims_key = models.CharField(max_length=200, blank=True, help_text="The group of a rollup, e.g. severity=critical.")
    dims = models.JSONField(default=dict)
    timestamp = models.DateTimeField(help_text="Sample: when it happened. Rollup: the end of its window.")
    revision = models.PositiveIntegerField(default=1)
    is_current = models.BooleanField(default=True)
    incident = models.ForeignKey(Incident, models.PROTECT, null=True, blank=True, related_name="kpi_observations")
    value = models.FloatField(null=True, help_text="Empty with a reason where there is no number.")
    reason = models.CharField(max_length=200, blank=True)
    units = models.CharField(max_length=24)
    numerator = models.FloatField(null=True)
    denominator = models.FloatField(null=True)
    n = models.PositiveIntegerField(default=0)
    median = models.FloatField(null=True)
    p90 = models.FloatField(null=True)
    excluded = models.JSONField(default=dict, help_text="Rows left out: reason and count.")
    invalid = models.JSONField(default=dict, help_text="Rows that make no sense: reason and count.")
    coverage = models.FloatField(null=True)
    confidence = models.FloatField(null=True)
    evidence = models.CharField(max_length=12, blank=True)
    evidence_reasons = models.JSONField(default=list)
    source = models.CharField(max_length=8, choices=ObservationSource.choices)
    definition_version = models.ForeignKey(KpiDefinitionVersion, models.PROTECT, related_name="+", db_index=False)
    run = models.ForeignKey(KpiRun, models.PROTECT, null=True, related_name="observations")
    claim = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        db_index=False,
        related_name="shadows",
        help_text="The stated value that stands where this computed one would; this one is never current.",
    )
    last_fact_at = models.DateTimeField(null=True, help_text="The newest row its source had then. Empty for a sample.")
    inputs = models.JSONField(default=list, help_text="The rows used, at most 200.")
    inputs_sha256 = models.CharField(max_length=64, blank=True)
    result_sha256 = models.CharField(max_length=64)
    metadata = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)
    retired_reason = models.CharField(max_length=200, blank=True)

    objects = ObservationQuerySet.as_manager()

    class Meta:
        db_table = "kpi_observations"
        verbose_name = "KPI observation"
        ordering = ["-timestamp", "-id"]
        indexes = [
            models.Index(fields=["kpi", "window", "timestamp"], name="observations_kpi_time"),
            models.Index(fields=["claim"], condition=~Q(claim=None), name="observations_shadows"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["kpi", "subject_key", "dims_key", "window", "timestamp", "revision"],
                name="observations_history",
            ),
            models.UniqueConstraint(
                fields=["kpi", "subject_key", "dims_key", "window", "timestamp"],
                condition=Q(is_current=True),
                name="observations_one_current",
            ),
            models.CheckConstraint(
                condition=Q(value=None) | Q(value__gt=-1e15, value__lt=1e15), name="observations_value_finite"
            ),
            models.CheckConstraint(
                condition=Q(confidence=None) | Q(confidence__gte=0, confidence__lte=1),
                name="observations_confidence_in_range",
            ),
            models.CheckConstraint(condition=Q(source__in=ObservationSource.values), name="observations_source_known"),
            models.CheckConstraint(
                condition=Q(evidence__in=["", *[label.value for label in Evidence]]),
                name="observations_evidence_known",
            ),
            models.CheckConstraint(
                condition=Q(is_current=False) | Q(retired_at=None), name="observations_retired_is_not_current"
            ),
            models.CheckConstraint(
                condition=Q(is_current=False) | Q(claim=None), name="observations_shadow_is_not_current"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kpi_id} {self.value if self.value is not None else '—'} {self.units}"
