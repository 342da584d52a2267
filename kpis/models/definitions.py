"""What is measured: definitions, their versions, drafts and reviews."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from accounts.visibility import Viewer
from majorops.lib.appendonly import AppendOnly
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
