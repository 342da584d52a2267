"""KPI definitions with their versions and targets, and the observations made of them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import ClassVar, Self

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import User
from accounts.visibility import Viewer
from incidents.models import Incident
from kpis.evidence import Evidence
from majorops.lib.appendonly import AppendOnly
from majorops.lib.ledger import Ledger
from majorops.lib.ulid import ULIDField, new_ulid
from majorops.lib.visibility import visible

SLUG = RegexValidator(
    r"\A[a-z0-9]+(-[a-z0-9]+)*\Z", "Use lower-case letters, digits and single hyphens, e.g. cadence-adherence."
)


class KpiVisibility(models.TextChoices):
    INTERNAL = "internal", "Internal"
    EXEC = "exec", "Executive"


class ReviewCadence(models.TextChoices):
    MONTHLY = "monthly", "Monthly"
    QUARTERLY = "quarterly", "Quarterly"
    HALF_YEARLY = "half-yearly", "Half-yearly"
    YEARLY = "yearly", "Yearly"


CADENCE_DAYS = {
    ReviewCadence.MONTHLY: 31,
    ReviewCadence.QUARTERLY: 92,
    ReviewCadence.HALF_YEARLY: 183,
    ReviewCadence.YEARLY: 366,
}


class DefinitionStatus(models.TextChoices):
    DRAFT = "draft", "Draft"
    ACTIVE = "active", "Active"
    RETIRED = "retired", "Retired"


class DefinitionQuerySet(models.QuerySet["KpiDefinition"]):
    def visible_to(self, viewer: Viewer) -> Self:
        """The definitions whose numbers the viewer may read, by slug."""
        return visible(self.order_by("slug"), viewer)

    def computable(self) -> Self:
        """Active definitions with a formula, by slug."""
        return self.filter(status=DefinitionStatus.ACTIVE, spec__isnull=False).order_by("slug")


class KpiDefinition(models.Model):
    """The single definition of a KPI. Every consumer reads it here."""

    slug = models.CharField(
        primary_key=True,
        max_length=64,
        validators=[SLUG],
        help_text="Lower-case name used in the API, e.g. mttr. It cannot change later.",
    )
    name = models.CharField(max_length=120, help_text="Friendly name, e.g. Mean Time to Resolve.")
    description = models.TextField(
        help_text="What it measures and why it matters. Everyone who sees the KPI reads this."
    )
    formula = models.TextField(
        help_text="The calculation in words, for people, e.g. avg(resolved_at - detected_at). What runs is the spec."
    )
    spec = models.JSONField(
        null=True,
        blank=True,
        help_text="The formula that runs, in the majorops.kpi/1 language. Empty: the KPI is proposed, not measured.",
    )
    units = models.CharField(max_length=24, help_text="e.g. minutes, percent, score, count.")
    visibility = models.CharField(
        max_length=8,
        choices=KpiVisibility.choices,
        default=KpiVisibility.INTERNAL,
        help_text="Internal: incident managers and administrators. Executive: executives as well. Nothing is public.",
    )
    stakeholder_visible = models.BooleanField(default=False, help_text="Show an executive KPI to stakeholders too.")
    is_personal = models.BooleanField(
        default=False,
        help_text="Measures single people. Never shown on a scorecard, never ranked.",
    )
    owner = models.CharField(max_length=120, help_text="Role or person accountable for accuracy, e.g. MIM Lead.")
    review_cadence = models.CharField(
        max_length=12,
        choices=ReviewCadence.choices,
        default=ReviewCadence.QUARTERLY,
        help_text="How often the definition is looked at again.",
    )
    last_reviewed_at = models.DateTimeField(null=True, blank=True, help_text="Editing is not reviewing.")
    proxy_for = models.CharField(
        max_length=200, blank=True, help_text="If this measures something else than it is named for, say what."
    )
    status = models.CharField(max_length=8, choices=DefinitionStatus.choices, default=DefinitionStatus.ACTIVE)
    current_version = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = DefinitionQuerySet.as_manager()

    class Meta:
        db_table = "kpi_definitions"
        verbose_name = "KPI definition"
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(condition=Q(visibility__in=KpiVisibility.values), name="kpi_visibility_known"),
            models.CheckConstraint(condition=Q(status__in=DefinitionStatus.values), name="kpi_status_known"),
            models.CheckConstraint(condition=Q(review_cadence__in=ReviewCadence.values), name="kpi_cadence_known"),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def review_due_at(self) -> datetime | None:
        """When the next review is due; None if it was never reviewed."""
        if self.last_reviewed_at is None:
            return None
        return self.last_reviewed_at + timedelta(days=CADENCE_DAYS[ReviewCadence(self.review_cadence)])


class KpiDefinitionVersion(AppendOnly):
    """A definition as it stood. Never changed or deleted: numbers point at it."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    definition = models.ForeignKey(KpiDefinition, models.PROTECT, related_name="versions")
    version = models.PositiveIntegerField()
    formula = models.TextField()
    spec = models.JSONField(null=True)
    spec_sha256 = models.CharField(max_length=64)
    units = models.CharField(max_length=24)
    #: Everything else of the definition and its targets, for the history to show.
    snapshot = models.JSONField()
    changed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    changed_at = models.DateTimeField()
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "kpi_definition_versions"
        verbose_name = "KPI definition version"
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["definition", "version"], name="kpi_versions_once"),
            models.CheckConstraint(condition=Q(version__gte=1), name="kpi_versions_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.definition_id} v{self.version}"


class Operator(models.TextChoices):
    LTE = "lte", "≤"
    GTE = "gte", "≥"
    LT = "lt", "<"
    GT = "gt", ">"
    EQ = "eq", "="


class KpiTarget(models.Model):
    """A threshold: for everyone, or for one severity, alarm level or persona."""

    MATCHES: ClassVar[tuple[str, ...]] = ("severity", "alarm_level", "persona")

    definition = models.ForeignKey(KpiDefinition, models.CASCADE, related_name="targets")
    match_by = models.CharField(
        "for",
        max_length=12,
        blank=True,
        choices=[("severity", "Severity"), ("alarm_level", "Alarm level"), ("persona", "Persona")],
        help_text="Empty: the target holds for all.",
    )
    match_value = models.CharField(
        "value", max_length=24, blank=True, help_text="e.g. critical, box3, exec. Empty if it holds for all."
    )
    operator = models.CharField(max_length=4, choices=Operator.choices, default=Operator.LTE)
    value = models.FloatField("target", help_text="In the KPI's units. Exactly on target is met for ≤ and ≥.")
    effective_from = models.DateField(null=True, blank=True)
    effective_to = models.DateField(null=True, blank=True, help_text="First day it no longer holds.")
    due_on = models.DateField(null=True, blank=True, help_text="The day it should be reached, for a ladder of goals.")

    class Meta:
        db_table = "kpi_targets"
        verbose_name = "target"
        ordering = ["definition", "match_by", "match_value", "due_on", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(operator__in=Operator.values), name="kpi_targets_operator_known"),
            models.CheckConstraint(
                condition=Q(match_by="", match_value="") | (~Q(match_by="") & ~Q(match_value="")),
                name="kpi_targets_match_complete",
            ),
            models.CheckConstraint(
                condition=Q(effective_to=None) | Q(effective_from=None) | Q(effective_to__gt=F("effective_from")),
                name="kpi_targets_validity_in_order",
            ),
            models.CheckConstraint(condition=Q(value__gt=-1e15, value__lt=1e15), name="kpi_targets_value_finite"),
            # Two targets that hold for the same rows on the same day would be a tie.
            models.UniqueConstraint(
                "definition",
                "match_by",
                "match_value",
                Coalesce("effective_from", Value(date.min)),
                Coalesce("due_on", Value(date.min)),
                name="kpi_targets_no_tie",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_operator_display()} {self.value:g}" + (f" for {self.match_value}" if self.match_by else "")

    def clean(self) -> None:
        if bool(self.match_by) != bool(self.match_value):
            raise ValidationError("Give both what the target is for and its value, or neither.")


class ObservationSource(models.TextChoices):
    WORKER = "worker", "Worker"
    UI = "ui", "UI"
    IMPORT = "import", "Import"
    CLI = "cli", "CLI"
    API = "api", "API"


class KpiRun(models.Model):
    """One computation: which definition version, up to when, over what, and what came of it."""

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

    class Meta:
        db_table = "kpi_runs"
        verbose_name = "KPI run"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.definition_id} as of {self.as_of:%Y-%m-%d %H:%M}"


class ObservationQuerySet(models.QuerySet["KpiObservation"]):
    """Observations are appended; only `is_current` and the retirement of a row move (kpis/compute.py)."""

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
    kpi = models.ForeignKey(KpiDefinition, models.PROTECT, related_name="observations")
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
    definition_version = models.ForeignKey(KpiDefinitionVersion, models.PROTECT, related_name="+")
    run = models.ForeignKey(KpiRun, models.PROTECT, null=True, related_name="observations")
    inputs = models.JSONField(default=list, help_text="The rows used, at most 200.")
    inputs_sha256 = models.CharField(max_length=64, blank=True)
    result_sha256 = models.CharField(max_length=64)
    metadata = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)
    retired_reason = models.CharField(max_length=40, blank=True)

    objects = ObservationQuerySet.as_manager()

    class Meta:
        db_table = "kpi_observations"
        verbose_name = "KPI observation"
        ordering = ["-timestamp", "-id"]
        indexes = [
            models.Index(fields=["incident"], name="observations_incident"),
            models.Index(fields=["kpi", "window", "timestamp"], name="observations_kpi_time"),
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
        ]

    def __str__(self) -> str:
        return f"{self.kpi_id} {self.value if self.value is not None else '—'} {self.units}"
