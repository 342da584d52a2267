"""KPI definitions with their versions and targets, and the observations made of them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import User
from accounts.visibility import Viewer
from incidents.lifecycle import Severity
from incidents.models import Incident
from kpis.evidence import Evidence
from kpis.targets import Operator, Persona, Statistic, in_short
from majorops.lib.appendonly import AppendOnly
from majorops.lib.ledger import Ledger
from majorops.lib.ulid import ULIDField, new_ulid
from majorops.lib.visibility import visible
from teams.alarm import AlarmLevel

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
    version = models.PositiveIntegerField(help_text="Counts what changes the numbers: formula, spec or units.")
    minor = models.PositiveIntegerField(default=0, help_text="Counts what leaves them: description, owner, targets...")
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
        ordering = ["-version", "-minor"]
        constraints = [
            models.UniqueConstraint(fields=["definition", "version", "minor"], name="kpi_versions_once"),
            models.CheckConstraint(condition=Q(version__gte=1), name="kpi_versions_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.definition_id} v{self.number}"

    @property
    def number(self) -> str:
        """`4`, or `4.2` for the second change since that left the numbers alone."""
        return f"{self.version}.{self.minor}" if self.minor else f"{self.version}"


class KpiDraft(models.Model):
    """A formula in the making. What runs stands in the definition until the draft is published; one per definition."""

    definition = models.OneToOneField(KpiDefinition, models.CASCADE, primary_key=True, related_name="draft")
    formula = models.TextField()
    spec = models.JSONField(null=True, blank=True)
    units = models.CharField(max_length=24)
    saved_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    saved_at = models.DateTimeField()
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "kpi_drafts"
        verbose_name = "KPI draft"

    def __str__(self) -> str:
        return f"Draft of {self.definition_id}"


class KpiReview(AppendOnly):
    """Somebody looked at a definition and says it still holds. Editing is not reviewing."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    definition = models.ForeignKey(KpiDefinition, models.PROTECT, related_name="reviews")
    reviewed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    reviewed_at = models.DateTimeField()
    note = models.CharField(max_length=300)

    class Meta:
        db_table = "kpi_reviews"
        verbose_name = "KPI review"
        ordering = ["-reviewed_at", "-id"]

    def __str__(self) -> str:
        return f"{self.definition_id} reviewed {self.reviewed_at:%Y-%m-%d}"


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


def _points(help_text: str) -> models.FloatField[float, float]:
    return models.FloatField(validators=[MinValueValidator(0), MaxValueValidator(100)], help_text=help_text)


def _minutes(name: str, help_text: str, *, is_optional: bool = False) -> models.FloatField[float, float]:
    return models.FloatField(
        name, null=is_optional, blank=is_optional, validators=[MinValueValidator(0.1)], help_text=help_text
    )


def _weight(name: str) -> models.FloatField[float, float]:
    return models.FloatField(
        name, validators=[MinValueValidator(0.01), MaxValueValidator(1)], help_text="In a team's overall class."
    )


class CreditSetting(AppendOnly):
    """Weights and limits of dispatch credit, from the moment they were made on. Version 1 is built in."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    version = models.PositiveIntegerField(editable=False)
    arrival_points = _points("For the share that arrives within the limit.")
    ack_points = _points("For the share that acknowledges within the limit.")
    tail_points = _points("For the slowest tenth.")
    z = models.FloatField(
        validators=[MinValueValidator(0), MaxValueValidator(4)],
        help_text="How cautious the lower bound of a share is: 1.2816 is one-sided 90 %, 1.645 is 95 %.",
    )
    patience = models.FloatField(
        validators=[MinValueValidator(1)], help_text="After so many times the limit, who has not come is a no-show."
    )
    min_provisional = models.PositiveIntegerField(
        validators=[MinValueValidator(1)], help_text="Fewer judged dispatches give no class."
    )
    min_rated = models.PositiveIntegerField(
        validators=[MinValueValidator(1)], help_text="From so many on the class is rated, no longer provisional."
    )
    min_acks = models.PositiveIntegerField(help_text="With fewer acknowledgements they are not scored.")
    min_ack_coverage = models.FloatField(
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="Nor with a smaller share of dispatches that have one, e.g. 0.5.",
    )
    box3_arrival = _minutes("Box 3 arrival", "Minutes from page to bridge.")
    box3_ack = _minutes("Box 3 acknowledgement", "Minutes; empty: not scored.", is_optional=True)
    box3_weight = _weight("Box 3 weight")
    box2_arrival = _minutes("Box 2 arrival", "Minutes from page to bridge.")
    box2_ack = _minutes("Box 2 acknowledgement", "Minutes; empty: not scored.", is_optional=True)
    box2_weight = _weight("Box 2 weight")
    box1_arrival = _minutes("Box 1 arrival", "Minutes from page to bridge.")
    box1_ack = _minutes("Box 1 acknowledgement", "Minutes; empty: not scored.", is_optional=True)
    box1_weight = _weight("Box 1 weight")
    reason = models.CharField(max_length=300, help_text="Why it changes. Everybody who sees a class can read it.")
    made_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", editable=False)
    made_at = models.DateTimeField(editable=False, help_text="Figures as of this moment and later follow it.")

    class Meta:
        db_table = "credit_settings"
        verbose_name = "dispatch credit setting"
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["version"], name="credit_settings_version_once"),
            models.CheckConstraint(condition=Q(version__gte=2), name="credit_settings_after_the_built_in"),
            models.CheckConstraint(
                condition=Q(arrival_points__gt=0, ack_points__gte=0, tail_points__gte=0),
                name="credit_settings_points_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(min_provisional__gte=1, min_rated__gte=F("min_provisional")),
                name="credit_settings_rated_from_provisional",
            ),
        ]

    def __str__(self) -> str:
        return f"Dispatch credit v{self.version}"

    def clean(self) -> None:
        if self.min_rated is not None and self.min_provisional is not None and self.min_rated < self.min_provisional:
            raise ValidationError({"min_rated": "Take at least as many as for a provisional class."})
        if self.arrival_points == 0:
            raise ValidationError({"arrival_points": "Arrival must count for something."})
