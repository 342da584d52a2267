"""Teams that were called, and when they came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from incidents.lifecycle import bridge_limit
from incidents.models.incident import Incident
from incidents.models.shared import one_of
from incidents.models.timeline import TimelineEvent
from majorops.lib.ledger import Ledger
from majorops.lib.ulid import ULIDField, new_ulid
from teams.alarm import AlarmLevel
from teams.models import Team

if TYPE_CHECKING:
    from datetime import timedelta


class ArrivalSource(models.TextChoices):
    OBSERVED = "observed", "Observed by the MIM"
    SELF = "self", "Self-reported"


class TeamPageQuerySet(models.QuerySet["TeamPage"]):
    def waiting(self) -> Self:
        """Pages whose team is neither on the bridge nor stood down."""
        return self.filter(arrived_at=None, cancelled_at=None)


class TeamPages(models.Manager.from_queryset(TeamPageQuerySet)):  # type: ignore[misc]
    """The dispatches that count. A void one was undone, or replaced by another row of the same dispatch."""

    def get_queryset(self) -> TeamPageQuerySet:
        return TeamPageQuerySet(self.model, using=self._db).filter(voided_at=None)


class TeamPage(models.Model):
    """One dispatch of one team to one incident. Answers are set once: to take one back, the row is voided and the
    dispatch goes on in another, which `replaces` it."""

    ledger = Ledger(
        mutable=("page_count",),
        set_once=(
            "user",
            "acknowledged_at",
            "arrived_at",
            "arrival_source",
            "arrival_recorded_at",
            "cancelled_at",
            "voided_at",
            "voided_by_event",
        ),
    )

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="team_pages")
    team = models.ForeignKey(Team, models.PROTECT, related_name="pages")
    alarm_level = models.CharField(
        max_length=4,
        null=True,
        blank=True,
        choices=AlarmLevel.choices,
        help_text="Copied from the severity when the page was sent; empty for low severity.",
    )
    contact_name = models.CharField(max_length=200, blank=True, help_text="e.g. Alex Kim (on-call).")
    user = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="engineer")
    paged_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    arrived_at = models.DateTimeField(null=True, blank=True)
    arrival_source = models.CharField(max_length=8, null=True, blank=True, choices=ArrivalSource.choices)
    arrival_recorded_at = models.DateTimeField(null=True, blank=True, help_text="When the arrival was written down.")
    cancelled_at = models.DateTimeField(null=True, blank=True)
    page_count = models.PositiveSmallIntegerField(default=1, help_text="How often the team was called for this.")
    paged_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    recorded_at = models.DateTimeField(default=timezone.now, editable=False)
    replaces = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="replaced_by")
    voided_at = models.DateTimeField(null=True, blank=True, editable=False)
    voided_by_event = models.ForeignKey(
        TimelineEvent, models.PROTECT, null=True, blank=True, related_name="+", editable=False
    )

    objects = TeamPages()
    with_voided = TeamPageQuerySet.as_manager()

    class Meta:
        db_table = "team_pages"
        ordering = ["paged_at", "id"]
        indexes = [models.Index(fields=["team", "paged_at"], name="team_pages_team_paged")]
        constraints = [
            one_of("alarm_level", AlarmLevel, "team_pages_alarm_level_known", null=True),
            one_of("arrival_source", ArrivalSource, "team_pages_arrival_source_known", null=True),
            models.CheckConstraint(
                condition=Q(acknowledged_at=None) | Q(acknowledged_at__gte=F("paged_at")),
                name="team_pages_acknowledged_after_paged",
            ),
            models.CheckConstraint(
                condition=Q(arrived_at=None) | Q(arrived_at__gte=F("paged_at")),
                name="team_pages_arrived_after_paged",
            ),
            models.CheckConstraint(
                condition=Q(cancelled_at=None) | Q(cancelled_at__gte=F("paged_at")),
                name="team_pages_cancelled_after_paged",
            ),
            models.CheckConstraint(
                condition=Q(arrived_at=None, arrival_source=None)
                | Q(arrived_at__isnull=False, arrival_source__isnull=False),
                name="team_pages_arrival_has_source",
            ),
            models.UniqueConstraint(
                fields=["incident", "team"],
                condition=Q(arrived_at__isnull=True, cancelled_at__isnull=True, voided_at__isnull=True),
                name="team_pages_one_open_per_team",
            ),
            models.CheckConstraint(
                condition=Q(voided_at=None, voided_by_event=None)
                | Q(voided_at__isnull=False, voided_by_event__isnull=False),
                name="team_pages_void_says_by_what",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.team} paged {self.paged_at:%d %b %H:%M}"

    @property
    def bridge_minutes(self) -> int | None:
        """The limit this dispatch is judged by, in minutes."""
        return bridge_limit(self.alarm_level)

    @property
    def has_client_time(self) -> bool:
        """Self-reported later than it happened: by the clock of the engineer's device."""
        return self.arrival_source == ArrivalSource.SELF and self.arrival_recorded_at not in (None, self.arrived_at)

    @property
    def time_to_bridge(self) -> timedelta | None:
        return self.arrived_at - self.paged_at if self.arrived_at else None

    @property
    def time_to_acknowledge(self) -> timedelta | None:
        return self.acknowledged_at - self.paged_at if self.acknowledged_at else None
