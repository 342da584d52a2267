"""What is told to people outside the command page, and who wants to hear it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import User
from incidents.lifecycle import Severity
from incidents.models.incident import Incident
from incidents.models.shared import one_of
from incidents.outbox_rules import Channel, Event, Wish
from majorops.lib.appendonly import AppendOnly
from majorops.lib.ulid import ULIDField, new_ulid


class Notice(AppendOnly):
    """Something that happened and is told to those who want to hear it: said once, delivered to many.

    `said` keeps what the columns of the incident were then. Each audience gets the part that it may read.
    """

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, null=True, blank=True, related_name="notices")
    sequence = models.PositiveIntegerField(null=True, blank=True, help_text="1, 2, 3... within the incident.")
    event = models.CharField(max_length=40, choices=Event.choices)
    title = models.CharField(max_length=300, blank=True, help_text="The headline; public.")
    text = models.TextField(blank=True, help_text="What was published; public.")
    path = models.CharField(max_length=300, blank=True, help_text="Where to read more, within this site.")
    said = models.JSONField(default=dict, blank=True, help_text="Columns of the incident as they were.")
    happened_at = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "notices"
        ordering = ["-id"]
        constraints = [
            one_of("event", Event, "notices_event_known"),
            models.UniqueConstraint(fields=["incident", "sequence"], name="notices_sequence_unique"),
            models.CheckConstraint(
                condition=Q(incident=None, sequence=None) | Q(incident__isnull=False, sequence__gte=1),
                name="notices_of_an_incident_are_counted",
            ),
        ]

    def __str__(self) -> str:
        return self.title or self.get_event_display()


class Audience(models.TextChoices):
    """What an endpoint gets to read."""

    STAKEHOLDERS = "stakeholders", "What signed-in stakeholders read"
    PUBLIC = "public", "What the anonymous status page shows"


class Endpoint(models.Model):
    """An address of a program or a chat that is told. Switched off, never deleted: its log refers to it."""

    KINDS: ClassVar = [
        (Channel.WEBHOOK.value, "Signed webhook (Standard Webhooks)"),
        (Channel.SLACK.value, Channel.SLACK.label),
        (Channel.TEAMS.value, Channel.TEAMS.label),
    ]

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    name = models.CharField(max_length=80, help_text="What it is for, e.g. Status bot.")
    kind = models.CharField(max_length=8, choices=KINDS, default=Channel.WEBHOOK)
    url = models.CharField(max_length=1000, help_text="An https address. It may be secret, so it is shown masked.")
    audience = models.CharField(
        max_length=12, choices=Audience.choices, default=Audience.STAKEHOLDERS, help_text="What it gets to read."
    )
    event_types = models.JSONField(default=list, blank=True, help_text="Empty: all of them.")
    min_severity = models.CharField(
        max_length=8, choices=Severity.choices, default=Severity.LOW, help_text="Incidents from this severity upwards."
    )
    secret = models.CharField(max_length=80, blank=True, editable=False)
    old_secret = models.CharField(max_length=80, blank=True, editable=False)
    is_active = models.BooleanField("active", default=True)
    created_at = models.DateTimeField(editable=False)
    created_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+", editable=False)

    class Meta:
        db_table = "webhook_endpoints"
        verbose_name = "webhook endpoint"
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["name"], name="webhook_endpoints_name_once"),
            models.CheckConstraint(condition=Q(kind__in=["webhook", "slack", "teams"]), name="endpoints_kind_known"),
            one_of("audience", Audience, "endpoints_audience_known"),
            one_of("min_severity", Severity, "endpoints_severity_known"),
        ]

    def __str__(self) -> str:
        return self.name


class Subscription(models.Model):
    """What a person wants to hear by e-mail: of one incident (a wish), or of all from a severity upwards (a rule)."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    person = models.ForeignKey(User, models.PROTECT, related_name="subscriptions")
    incident = models.ForeignKey(Incident, models.PROTECT, null=True, blank=True, related_name="subscriptions")
    wish = models.CharField(max_length=8, choices=Wish.choices, default=Wish.UPDATES)
    min_severity = models.CharField(max_length=8, choices=Severity.choices, null=True, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions"
        ordering = ["-id"]
        constraints = [
            one_of("wish", Wish, "subscriptions_wish_known"),
            one_of("min_severity", Severity, "subscriptions_severity_known", null=True),
            models.UniqueConstraint(fields=["person", "incident"], name="subscriptions_one_wish_per_incident"),
            models.UniqueConstraint(
                fields=["person"], condition=Q(incident=None), name="subscriptions_one_rule_per_person"
            ),
            models.CheckConstraint(
                condition=Q(incident=None, min_severity__isnull=False, wish=Wish.UPDATES)
                | Q(incident__isnull=False, min_severity=None),
                name="subscriptions_one_incident_or_all",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person}: {self.incident or f'all from {self.min_severity}'}"
