"""What executives and stakeholders are told in their own pages, and how far they have read it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from incidents.models.communication import Milestone
from incidents.models.incident import Incident
from incidents.models.shared import Source, one_of
from majorops.lib.appendonly import AppendOnly
from majorops.lib.ulid import ULIDField, new_ulid


class Origin(models.TextChoices):
    """Who put the words of a summary together."""

    RULES = "rules", "Drafted by rules"
    MODEL = "model", "Drafted by a language model"
    PERSON = "person", "Written by a person"


class ExecSummary(AppendOnly):
    """One wording of the executive summary. Executives read it only if a person accepted it."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="exec_summaries")
    body = models.TextField()
    origin = models.CharField(max_length=6, choices=Origin.choices)
    is_accepted = models.BooleanField(help_text="A person stands for it; a draft is for those who command.")
    by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    by_role = models.CharField(max_length=60, help_text="What they were at the time: executives read roles, no names.")
    created_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.WEB)

    class Meta:
        db_table = "exec_summaries"
        verbose_name_plural = "executive summaries"
        ordering = ["recorded_at", "id"]
        indexes = [models.Index(fields=["incident", "recorded_at"], name="exec_summaries_incident")]
        constraints = [
            one_of("origin", Origin, "exec_summaries_origin_known"),
            one_of("source", Source, "exec_summaries_source_known"),
            models.CheckConstraint(
                condition=~Q(body="") | Q(is_accepted=True, origin=Origin.PERSON), name="exec_summaries_body_present"
            ),
        ]

    def __str__(self) -> str:
        return f"{'Accepted' if self.is_accepted else 'Draft'}: {self.body[:60]}"


class ReadReceipt(AppendOnly):
    """A person says that they have read a milestone. Nobody has to."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="read_receipts")
    milestone = models.ForeignKey(Milestone, models.PROTECT, related_name="read_receipts")
    user = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name="person")
    read_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "read_receipts"
        ordering = ["read_at", "id"]
        constraints = [models.UniqueConstraint(fields=["milestone", "user"], name="read_receipts_once")]

    def __str__(self) -> str:
        return f"{self.user} read {self.milestone}"


class BriefVisit(models.Model):
    """A bookmark: up to when a person knows the brief of an incident. Their own, and no history."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.CASCADE, related_name="+")
    user = models.ForeignKey(User, models.CASCADE, related_name="+", verbose_name="person")
    since = models.DateTimeField(null=True, blank=True, help_text="When the visit before this one ended.")
    last_seen_at = models.DateTimeField()

    class Meta:
        db_table = "brief_visits"
        constraints = [models.UniqueConstraint(fields=["incident", "user"], name="brief_visits_once")]

    def __str__(self) -> str:
        return f"{self.user} at {self.last_seen_at:%H:%M}"
