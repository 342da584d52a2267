"""Where alerts come from, every delivery of them, and each alert from its beginning to its end."""

from __future__ import annotations

from typing import Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from incidents.alerts.kinds import Policy, SourceKind, Standing, State, Verdict
from incidents.alerts.sources.generic import wrong_map
from incidents.lifecycle import Severity
from incidents.models.incident import Incident
from incidents.models.shared import one_of
from majorops.lib.appendonly import AppendOnly
from majorops.lib.ulid import ULIDField, new_ulid


class IntakeSource(models.Model):
    """A program that sends alerts, its secrets, and what becomes of what it sends. Switched off, never deleted."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    slug = models.SlugField(max_length=40, unique=True, help_text="In its address: /api/v1/intake/<slug>/")
    name = models.CharField(max_length=80, help_text="As people call it, e.g. PagerDuty EU.")
    kind = models.CharField(max_length=12, choices=SourceKind.choices, help_text="How its messages are read.")
    policy = models.CharField(
        max_length=9, choices=Policy.choices, default=Policy.CANDIDATE, help_text="For alerts no open incident has."
    )
    severity_map = models.JSONField(
        default=dict,
        blank=True,
        help_text='Its words for severities, if they are its own: {"sev-0": "critical"}. Common words are known.',
    )
    field_map = models.JSONField(
        default=dict,
        blank=True,
        help_text='For "Any JSON": where each field is found, e.g. {"dedup_key": "/id", "title": "/name", '
        '"state": "/status", "states": {"Down": "firing", "Up": "resolved"}}.',
    )
    per_minute = models.PositiveSmallIntegerField(
        "new alerts a minute",
        default=30,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="What goes beyond is gathered into one candidate. Nothing is dropped.",
    )
    is_active = models.BooleanField("active", default=True, help_text="Off: its address refuses everything.")
    secret = models.CharField(max_length=200, blank=True, editable=False)
    old_secret = models.CharField(max_length=200, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+", editable=False)

    class Meta:
        db_table = "intake_sources"
        verbose_name = "alert source"
        ordering = ["name", "id"]
        constraints = [
            one_of("kind", SourceKind, "intake_sources_kind_known"),
            one_of("policy", Policy, "intake_sources_policy_known"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if not isinstance(self.severity_map, dict) or not set(self.severity_map.values()) <= set(Severity.values):
            allowed = ", ".join(Severity.values)
            raise ValidationError({"severity_map": f"Each of its words stands for one of {allowed}."})
        if self.kind == SourceKind.MAPPED and (wrong := wrong_map(self.field_map)):
            raise ValidationError({"field_map": wrong})


class IntakeEvent(AppendOnly):
    """One delivery as it came, and what became of it. A replay is a delivery of its own."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    source = models.ForeignKey(IntakeSource, models.PROTECT, related_name="events")
    received_at = models.DateTimeField()
    event_id = models.CharField(max_length=200, blank=True, help_text="The sender's id of this delivery.")
    body = models.TextField(help_text="As it came, without secrets.")
    body_sha256 = models.CharField(max_length=64)
    headers = models.JSONField(default=dict, help_text="Those that tell of the sender, none that is secret.")
    verdict = models.CharField(max_length=9, choices=Verdict.choices)
    reason = models.CharField(max_length=500, blank=True)
    outcomes = models.JSONField(default=list, help_text="Of each alert in it: key, state, verdict and reason.")
    truncated = models.PositiveIntegerField(default=0, help_text="Alerts that the sender left out.")
    incident = models.ForeignKey(Incident, models.PROTECT, null=True, blank=True, related_name="+")
    replays = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="replayed_by")

    class Meta:
        db_table = "intake_events"
        verbose_name = "alert delivery"
        verbose_name_plural = "alert deliveries"
        ordering = ["-id"]
        indexes = [models.Index(fields=["source", "body_sha256"], name="intake_events_body")]
        constraints = [
            one_of("verdict", Verdict, "intake_events_verdict_known"),
            models.UniqueConstraint(
                fields=["source", "event_id"],
                condition=~Q(event_id="") & Q(replays=None),
                name="intake_events_taken_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source_id} {self.received_at:%Y-%m-%d %H:%M:%S}"


class SourceAlertQuerySet(models.QuerySet["SourceAlert"]):
    def current(self) -> Self:
        """The latest episode of each alert."""
        return self.filter(is_current=True)

    def waiting(self) -> Self:
        """Candidates: what a person has to decide on, the oldest first. A storm stands for what it gathered."""
        return self.filter(standing=Standing.WAITING, gathered_into=None).order_by("first_seen_at", "id")

    def decided(self) -> Self:
        """Candidates that somebody decided on, the latest first."""
        return self.filter(decided_at__isnull=False, gathered_into=None).order_by("-decided_at", "-id")


class SourceAlert(models.Model):
    """One alert at its source from its beginning to its end. When it begins again after its end, that is another row.

    What intake learns of an alert is written here; of an incident it touches the columns of its alert alone.
    """

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    source = models.ForeignKey(IntakeSource, models.PROTECT, related_name="alerts")
    dedup_key = models.CharField(max_length=200)
    is_current = models.BooleanField(default=True)
    is_storm = models.BooleanField(default=False, help_text="It stands for alerts that came too fast.")
    gathered_into = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="gathered")
    alert_id = models.CharField(max_length=200, blank=True)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    severity = models.CharField(max_length=8, choices=Severity.choices)
    severity_said = models.CharField(max_length=200, blank=True)
    link = models.CharField(max_length=500, blank=True)
    bridge_url = models.CharField(max_length=500, blank=True)
    affected_systems = models.JSONField(default=list, blank=True)
    customer_count = models.PositiveIntegerField(null=True, blank=True)
    state = models.CharField(max_length=12, choices=State.choices)
    standing = models.CharField(max_length=9, choices=Standing.choices)
    issue_time = models.DateTimeField(null=True, blank=True)
    resolve_time = models.DateTimeField(null=True, blank=True)
    last_at = models.DateTimeField(help_text="When the latest of what we know was so, at the source.")
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    repeats = models.PositiveIntegerField(default=0, help_text="How often it was said again.")
    truncated = models.PositiveIntegerField(default=0, help_text="Others of its group that the sender left out.")
    last_body = models.CharField(max_length=64, help_text="SHA-256 of the last delivery that spoke of it.")
    incident = models.ForeignKey(Incident, models.PROTECT, null=True, blank=True, related_name="source_alerts")
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    objects = SourceAlertQuerySet.as_manager()

    class Meta:
        db_table = "source_alerts"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["source", "first_seen_at"], name="source_alerts_seen"),
            models.Index(fields=["standing", "first_seen_at"], name="source_alerts_standing"),
        ]
        constraints = [
            one_of("state", State, "source_alerts_state_known"),
            one_of("standing", Standing, "source_alerts_standing_known"),
            one_of("severity", Severity, "source_alerts_severity_known"),
            models.UniqueConstraint(
                fields=["source", "dedup_key"], condition=Q(is_current=True), name="source_alerts_one_current"
            ),
            models.CheckConstraint(
                condition=~Q(standing=Standing.LINKED) | Q(incident__isnull=False), name="source_alerts_linked_to_one"
            ),
        ]

    def __str__(self) -> str:
        return self.title
