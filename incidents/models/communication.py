"""What was said: status updates and milestones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from incidents.lifecycle import (
    Status,
    Visibility,
)
from incidents.models.incident import Incident
from incidents.models.shared import Source, one_of
from majorops.lib.appendonly import AppendOnly, AppendOnlyQuerySet
from majorops.lib.ulid import ULIDField, new_ulid

if TYPE_CHECKING:
    from datetime import datetime


class UpdateQuerySet(AppendOnlyQuerySet["StatusUpdate"]):
    def for_audience(self, *, internal: bool) -> Self:
        return self if internal else self.filter(visibility=Visibility.PUBLIC)


class StatusUpdate(AppendOnly):
    """A published note, public or internal."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="updates")
    content = models.TextField()
    visibility = models.CharField(max_length=8, choices=Visibility.choices)
    author = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    author_name = models.CharField(max_length=160, help_text="The name shown; kept as it was at the time.")
    created_at = models.DateTimeField(help_text="When it was posted.")
    recorded_at = models.DateTimeField(default=timezone.now)
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.WEB)
    external_id = models.CharField(max_length=200, null=True, blank=True)

    objects = UpdateQuerySet.as_manager()

    class Meta:
        db_table = "status_updates"
        ordering = ["created_at", "id"]
        indexes = [
            models.Index(fields=["incident", "created_at"], name="updates_incident_created"),
            models.Index(fields=["created_at"], name="updates_created_at"),
        ]
        constraints = [
            one_of("visibility", Visibility, "updates_visibility_known"),
            one_of("source", Source, "updates_source_known"),
            models.CheckConstraint(condition=~Q(content=""), name="updates_content_present"),
            models.UniqueConstraint(
                fields=["incident", "external_id"],
                condition=Q(external_id__isnull=False),
                name="updates_imported_once",
            ),
        ]

    def __str__(self) -> str:
        return self.content[:80]


class Milestone(AppendOnly):
    """What stakeholders and executives read, and the promise of the next one."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="milestones")
    sequence = models.PositiveIntegerField(help_text="1, 2, 3... within the incident, without gaps.")
    title = models.CharField(max_length=200)
    body = models.TextField()
    status_at_cut = models.CharField(max_length=10, choices=Status.choices)
    next_update_eta = models.DateTimeField(null=True, blank=True, help_text="The promise for the next milestone.")
    no_promise_reason = models.CharField(
        max_length=500, blank=True, help_text="Why no next update is promised, while it is watched in Monitoring."
    )
    cut_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    cut_by_name = models.CharField(max_length=160, help_text="The name shown; kept as it was at the time.")
    created_at = models.DateTimeField(help_text="When it was cut.")
    recorded_at = models.DateTimeField(default=timezone.now)
    is_resolution = models.BooleanField(default=False)
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.WEB)

    class Meta:
        db_table = "milestones"
        ordering = ["sequence"]
        indexes = [models.Index(fields=["created_at"], name="milestones_created_at")]
        constraints = [
            one_of("status_at_cut", Status, "milestones_status_known"),
            one_of("source", Source, "milestones_source_known"),
            models.UniqueConstraint(fields=["incident", "sequence"], name="milestones_sequence_unique"),
            models.CheckConstraint(condition=Q(sequence__gte=1), name="milestones_sequence_from_one"),
            models.CheckConstraint(
                condition=Q(next_update_eta=None) | Q(next_update_eta__gt=F("created_at")),
                name="milestones_promise_lies_ahead",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.sequence} {self.title}"

    @property
    def published_at(self) -> datetime:
        """When people could read it, which back-dating does not change. Of an imported one, what its source says."""
        return self.created_at if self.source == Source.IMPORT else self.recorded_at
