"""Reports as they were made."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from accounts.models import User
from kpis.reports.kinds import Audience, Kind, in_days
from majorops.lib.appendonly import AppendOnly
from majorops.lib.ulid import ULIDField, new_ulid


class Report(AppendOnly):
    """One report, frozen with every figure it shows. A later one over the same time is a new row."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    kind = models.CharField(max_length=20, choices=[(each.value, each.heading) for each in Kind])
    audience = models.CharField(max_length=8, choices=[(each.value, each.name.title()) for each in Audience])
    begins_at = models.DateTimeField(help_text="The time it is about, from here...")
    ends_at = models.DateTimeField(help_text="...until here, not included.")
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", help_text="Empty: its schedule.")
    content = models.JSONField(help_text="The figures with definition version, n and evidence, as they stood.")
    content_sha256 = models.CharField(max_length=64)

    class Meta:
        db_table = "kpi_reports"
        verbose_name = "report"
        ordering = ["-id"]
        indexes = [models.Index(fields=["kind", "ends_at"], name="reports_kind_time")]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=[each.value for each in Kind]), name="reports_kind_known"),
            models.CheckConstraint(
                condition=Q(audience__in=[each.value for each in Audience]), name="reports_audience_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} until {self.ends_at:%Y-%m-%d}"

    @property
    def period(self) -> str:
        """`9 Mar to 15 Mar 2026`."""
        return in_days(self.begins_at, self.ends_at)
