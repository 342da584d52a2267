"""What happened: the log and the phases."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts.models import User
from incidents.lifecycle import (
    EventType,
    Phase,
    Verb,
    Visibility,
)
from incidents.models.incident import Incident
from incidents.models.shared import Source, one_of
from majorops.lib.appendonly import AppendOnly, AppendOnlyQuerySet
from majorops.lib.ulid import ULIDField, new_ulid


class EntryQuerySet(AppendOnlyQuerySet["TimelineEvent"]):
    def for_audience(self, *, internal: bool) -> Self:
        """What the audience reads: everything, or public entries and those for both (null)."""
        return self if internal else self.filter(Q(visibility=Visibility.PUBLIC) | Q(visibility=None))

    def newest_first(self) -> Self:
        return self.order_by("-occurred_at", "-id")


class TimelineEvent(AppendOnly):
    """The log. Written by people and by every action; never edited, corrected by a new entry."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="timeline")
    type = models.CharField(max_length=8, choices=EventType.choices)
    title = models.CharField(max_length=300)
    description = models.TextField(blank=True)
    actor = models.CharField(max_length=160, help_text="The name shown; kept as it was at the time.")
    actor_user = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    occurred_at = models.DateTimeField(help_text="When it happened.")
    recorded_at = models.DateTimeField(default=timezone.now, help_text="When it was written down.")
    visibility = models.CharField(
        max_length=8, null=True, blank=True, choices=Visibility.choices, help_text="Empty means both audiences."
    )
    phase_number = models.PositiveSmallIntegerField(null=True, blank=True, choices=Phase.choices)
    corrects = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="corrections")
    undoes = models.OneToOneField(
        "self", models.PROTECT, null=True, blank=True, related_name="undone_by", help_text="The entry this takes back."
    )
    verb = models.CharField(max_length=12, choices=Verb.choices, blank=True, help_text="What was done, for programs.")
    page = models.ForeignKey(
        "TeamPage", models.PROTECT, null=True, blank=True, related_name="+", help_text="The dispatch it is about."
    )
    incident_version = models.PositiveIntegerField(
        null=True, blank=True, help_text="The version of the incident's row that this made; empty if it changed none."
    )
    changes = models.JSONField(null=True, blank=True, help_text="Field: [old, new], for entries that changed a field.")
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.WEB)
    external_id = models.CharField(max_length=200, null=True, blank=True)

    objects = EntryQuerySet.as_manager()

    class Meta:
        db_table = "timeline_events"
        ordering = ["occurred_at", "id"]
        indexes = [
            models.Index(fields=["incident", "occurred_at"], name="timeline_incident_occurred"),
            models.Index(fields=["recorded_at"], name="timeline_recorded_at"),
        ]
        constraints = [
            one_of("type", EventType, "timeline_type_known"),
            one_of("visibility", Visibility, "timeline_visibility_known", null=True),
            one_of("source", Source, "timeline_source_known"),
            models.CheckConstraint(
                condition=Q(phase_number=None) | Q(phase_number__gte=1, phase_number__lte=8),
                name="timeline_phase_known",
            ),
            models.CheckConstraint(condition=~Q(title=""), name="timeline_title_present"),
            models.CheckConstraint(condition=Q(verb="") | Q(verb__in=Verb.values), name="timeline_verb_known"),
            models.UniqueConstraint(
                fields=["incident", "external_id"],
                condition=Q(external_id__isnull=False),
                name="timeline_imported_once",
            ),
        ]

    def __str__(self) -> str:
        return self.title


class PhaseEntries(models.Manager["PhaseEntry"]):
    """The entries that count: those that nobody has undone."""

    def get_queryset(self) -> AppendOnlyQuerySet[PhaseEntry]:
        undone = TimelineEvent.objects.filter(undoes=OuterRef("event"))
        rows: AppendOnlyQuerySet[PhaseEntry] = AppendOnlyQuerySet(self.model, using=self._db)
        return rows.filter(~Exists(undone))


class PhaseEntry(AppendOnly):
    """One entry into a phase. The first entry into Gather is the acknowledgement."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="phase_entries")
    phase_number = models.PositiveSmallIntegerField(choices=Phase.choices)
    entered_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)
    entered_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=500, blank=True)
    event = models.OneToOneField(TimelineEvent, models.PROTECT, related_name="phase_entry")

    objects = PhaseEntries()
    with_undone = models.Manager.from_queryset(AppendOnlyQuerySet["PhaseEntry"])()

    class Meta:
        db_table = "phase_entries"
        verbose_name_plural = "phase entries"
        ordering = ["entered_at", "id"]
        indexes = [models.Index(fields=["incident", "entered_at"], name="phase_entries_incident")]
        constraints = [
            models.CheckConstraint(
                condition=Q(phase_number__gte=1, phase_number__lte=8), name="phase_entries_phase_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.phase_number} {self.get_phase_number_display()}"
