"""What milestones are made of, and the promises they make: quoted entries, drafts, texts, moves, alerts."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from incidents.canned import check_holes
from incidents.lifecycle import Phase
from incidents.models.communication import Milestone
from incidents.models.incident import Incident
from incidents.models.shared import Source, one_of
from incidents.models.timeline import TimelineEvent
from majorops.lib.appendonly import AppendOnly
from majorops.lib.errors import Invalid
from majorops.lib.ulid import ULIDField, new_ulid


class MilestoneSource(AppendOnly):
    """An entry of the log that a milestone was made from."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    milestone = models.ForeignKey(Milestone, models.PROTECT, related_name="sources")
    entry = models.ForeignKey(TimelineEvent, models.PROTECT, related_name="quoted_in")
    position = models.PositiveSmallIntegerField(help_text="1, 2, 3... in the order they were quoted.")

    class Meta:
        db_table = "milestone_sources"
        ordering = ["milestone", "position"]
        constraints = [models.UniqueConstraint(fields=["milestone", "entry"], name="milestone_sources_once")]

    def __str__(self) -> str:
        return f"{self.milestone}: {self.entry}"


class PromiseMove(AppendOnly):
    """A promise was moved, which was said in public. What became of the old one follows from when that was."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="promise_moves")
    milestone = models.ForeignKey(Milestone, models.PROTECT, related_name="moves", help_text="It made the promise.")
    was_due_at = models.DateTimeField()
    due_at = models.DateTimeField()
    reason = models.CharField(max_length=500, help_text="Those who wait read it.")
    moved_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    moved_by_name = models.CharField(max_length=160, help_text="The name shown; kept as it was at the time.")
    recorded_at = models.DateTimeField(default=timezone.now, help_text="When it was said.")
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.WEB)

    class Meta:
        db_table = "promise_moves"
        ordering = ["recorded_at", "id"]
        indexes = [models.Index(fields=["incident", "recorded_at"], name="promise_moves_incident")]
        constraints = [
            one_of("source", Source, "promise_moves_source_known"),
            models.CheckConstraint(condition=~Q(reason=""), name="promise_moves_reason_present"),
            models.CheckConstraint(condition=Q(due_at__gt=F("recorded_at")), name="promise_moves_lies_ahead"),
            models.CheckConstraint(condition=~Q(due_at=F("was_due_at")), name="promise_moves_moves"),
        ]

    def __str__(self) -> str:
        return f"{self.was_due_at:%H:%M} → {self.due_at:%H:%M}"


class PromiseAlert(AppendOnly):
    """The leader and the incident manager were told, once, that a promise is long overdue."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="promise_alerts")
    milestone = models.ForeignKey(Milestone, models.PROTECT, related_name="alerts", help_text="It made the promise.")
    due_at = models.DateTimeField()
    entry = models.OneToOneField(TimelineEvent, models.PROTECT, related_name="promise_alert")
    alerted_at = models.DateTimeField()

    class Meta:
        db_table = "promise_alerts"
        ordering = ["alerted_at", "id"]
        constraints = [models.UniqueConstraint(fields=["milestone", "due_at"], name="promise_alerts_once")]

    def __str__(self) -> str:
        return f"{self.incident}: due {self.due_at:%H:%M}"


class MilestoneDraft(models.Model):
    """What one person is writing for one incident. Nobody else ever reads it, and it never publishes itself."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.CASCADE, related_name="milestone_drafts")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    #: What was typed, by the fields of the form, unchecked.
    typed = models.JSONField(default=dict)
    saved_at = models.DateTimeField()

    class Meta:
        db_table = "milestone_drafts"
        constraints = [models.UniqueConstraint(fields=["incident", "user"], name="milestone_drafts_one_each")]

    def __str__(self) -> str:
        return f"Draft of {self.user}"


class TextForm(models.TextChoices):
    """Where a text to begin with goes."""

    MILESTONE = "milestone", "Milestone"
    UPDATE = "update", "Update"


class CannedText(models.Model):
    """A text to begin with, for a phase. It may have holes such as {what}, {impact} and {next_update}."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    key = models.SlugField(max_length=60, unique=True, help_text="Names it in addresses, e.g. assess-extent.")
    phase = models.PositiveSmallIntegerField(choices=Phase.choices)
    form = models.CharField("goes into", max_length=9, choices=TextForm.choices)
    label = models.CharField(max_length=40, help_text="On the button.")
    text = models.TextField()
    position = models.PositiveSmallIntegerField(default=1, help_text="Smaller ones come first.")
    is_active = models.BooleanField("offered", default=True, help_text="Switch off what nobody shall begin with.")

    class Meta:
        db_table = "canned_texts"
        ordering = ["phase", "form", "position", "key"]
        constraints = [
            one_of("form", TextForm, "canned_texts_form_known"),
            models.CheckConstraint(condition=Q(phase__gte=1, phase__lte=8), name="canned_texts_phase_known"),
            models.CheckConstraint(condition=~Q(text=""), name="canned_texts_text_present"),
        ]

    def __str__(self) -> str:
        return f"{self.get_phase_display()}: {self.label}"

    def clean(self) -> None:
        """Refuses a hole that nothing fills."""
        try:
            check_holes(self.text)
        except Invalid as error:
            raise ValidationError({"text": error.message}) from None
