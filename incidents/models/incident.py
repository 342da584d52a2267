"""The current state of an incident."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from incidents.lifecycle import (
    CommandRole,
    ExternalImpact,
    Kind,
    Phase,
    RiskLevel,
    Severity,
    Status,
)
from incidents.models.shared import new_public_id, one_of
from incidents.past import GONE_AT
from majorops.lib.ulid import ULIDField, new_ulid

if TYPE_CHECKING:
    from datetime import datetime


class IncidentQuerySet(models.QuerySet["Incident"]):
    def active(self) -> Self:
        """Not resolved: Active and Monitoring, newest detection first."""
        return self.exclude(status=Status.RESOLVED).order_by("-detected_at", "-id")

    def newest_first(self) -> Self:
        return self.order_by("-detected_at", "-id")

    def with_command(self) -> Self:
        """With the people who hold its roles, for lists and details without further queries."""
        return self.select_related("mim", "leader", "service_manager", "customer_ops", "opened_by")

    def overdue(self, now: datetime) -> Self:
        """Open incidents whose promised update has not come in time."""
        return self.active().filter(next_update_eta__lt=now)


class Incident(models.Model):
    """The current state. What happened is in the ledgers below."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    kind = models.CharField(
        max_length=12,
        choices=Kind.choices,
        default=Kind.REAL,
        help_text="Drills and tests are left out of KPIs.",
    )
    title = models.CharField(max_length=200, help_text="Short label, e.g. prod-west-db-01 unreachable.")
    description = models.TextField(blank=True, help_text="The current problem in a few sentences. MIMs see it.")
    severity = models.CharField(max_length=8, choices=Severity.choices, help_text="Sets targets and alarm level.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    phase = models.PositiveSmallIntegerField(choices=Phase.choices, default=Phase.ALERT)
    phase_entered_at = models.DateTimeField(help_text="When the current phase began.")
    detected_at = models.DateTimeField(help_text="When we knew. The total clock starts here.")
    resolved_at = models.DateTimeField(null=True, blank=True, help_text="When it was over. Empty while open.")
    affected_systems = models.JSONField(default=list, blank=True, help_text="Names of systems or services.")
    bridge_url = models.CharField(max_length=500, null=True, blank=True, help_text="Conference link, https only.")

    alert_source = models.CharField(max_length=40, blank=True, help_text="Where the alert came from, e.g. pagerduty.")
    alert_id = models.CharField(max_length=200, null=True, blank=True, help_text="The alert's id at its source.")
    dedup_key = models.CharField(
        max_length=200,
        null=True,
        blank=True,
        help_text="Alerts with this key belong to this incident while it is open.",
    )
    customer_count = models.PositiveIntegerField(
        null=True, blank=True, help_text="Customers confirmed as affected. Empty means unknown, not none."
    )
    issue_time = models.DateTimeField(
        null=True, blank=True, help_text="When the alert fired. The impact clock starts here."
    )
    resolve_time = models.DateTimeField(null=True, blank=True, help_text="When the alert cleared at its source.")
    external_impact = models.CharField(
        max_length=8, choices=ExternalImpact.choices, default=ExternalImpact.UNKNOWN, help_text="Do customers feel it?"
    )

    # The holders of the moment. RoleAssignment keeps who held a role and when.
    sre = models.CharField("SRE lead", max_length=120, blank=True, help_text="Free text: no account needed.")
    mim = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="MIM")
    leader = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    service_manager = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    customer_ops = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")

    business_impact = models.TextField(blank=True, help_text="What the business risks. Executives see it.")
    customer_impact_summary = models.TextField(blank=True, help_text="What customers notice. Stakeholders see it.")
    risk_level = models.CharField(
        max_length=6, choices=RiskLevel.choices, default=RiskLevel.MEDIUM, help_text="The flag executives see."
    )
    exec_summary = models.TextField(blank=True, help_text="One paragraph for executives.")
    decision_asked = models.TextField(blank=True, help_text="What executives have to decide. Empty: nothing.")
    audience_notes = models.TextField(blank=True, help_text="Guidance for stakeholders and executives.")
    next_update_eta = models.DateTimeField(null=True, blank=True, help_text="When the next milestone is promised.")
    last_communicated_at = models.DateTimeField(null=True, blank=True, help_text="The last public update or milestone.")

    opened_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    external_source = models.CharField(max_length=80, blank=True, help_text="The history it was imported from.")
    external_id = models.CharField(max_length=200, null=True, blank=True, help_text="Its id there.")
    metadata = models.JSONField(null=True, blank=True, help_text="What the source said besides.")
    restricted = models.BooleanField(
        default=False,
        help_text="Security or HR: only incident managers, administrators and named participants know of it.",
    )
    publish_status = models.BooleanField(default=False, help_text="Show it on the anonymous status page.")
    public_title = models.CharField(max_length=200, blank=True, help_text="Its title there. Empty: only its public id.")
    public_id = models.CharField(
        max_length=32, default=new_public_id, editable=False, help_text="Random, so that it tells nothing."
    )
    version = models.PositiveIntegerField(default=1, editable=False, help_text="Grows with every change of this row.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        db_table = "incidents"
        ordering = ["-detected_at", "-id"]
        indexes = [
            models.Index(fields=["status"], name="incidents_status"),
            models.Index(fields=["severity"], name="incidents_severity"),
            models.Index(fields=["-detected_at", "-id"], name="incidents_detected_at"),
        ]
        constraints = [
            one_of("severity", Severity, "incidents_severity_known"),
            one_of("status", Status, "incidents_status_known"),
            one_of("external_impact", ExternalImpact, "incidents_external_impact_known"),
            one_of("risk_level", RiskLevel, "incidents_risk_level_known"),
            one_of("kind", Kind, "incidents_kind_known"),
            models.CheckConstraint(condition=Q(phase__gte=1, phase__lte=8), name="incidents_phase_known"),
            models.CheckConstraint(
                condition=Q(status=Status.RESOLVED, phase=Phase.RESOLUTION, resolved_at__isnull=False)
                | (~Q(status=Status.RESOLVED) & ~Q(phase=Phase.RESOLUTION) & Q(resolved_at__isnull=True)),
                name="incidents_resolved_means_closed",
            ),
            models.UniqueConstraint(fields=["public_id"], name="incidents_public_id_unique"),
            models.UniqueConstraint(
                fields=["alert_source", "dedup_key"],
                condition=~Q(status=Status.RESOLVED) & Q(dedup_key__isnull=False),
                name="incidents_one_open_per_alert",
            ),
            models.UniqueConstraint(
                fields=["external_source", "external_id"],
                condition=Q(external_id__isnull=False),
                name="incidents_imported_once",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_open(self) -> bool:
        return self.status != Status.RESOLVED

    @property
    def has_ended_unseen(self) -> bool:
        """It is over, and `resolved_at` is only since when that is sure."""
        return GONE_AT in (self.metadata or {})

    def holder(self, role: CommandRole) -> User | str | None:
        """Who holds a command role now: a person, the SRE lead's name, or None."""
        return getattr(self, role.value) or None
