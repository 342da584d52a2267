"""A live incident and its history. Rows change only through actions; ledgers are written once."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from accounts.models import User
from incidents.lifecycle import (
    CommandRole,
    EventType,
    ExternalImpact,
    Kind,
    Phase,
    RiskLevel,
    Severity,
    Status,
    Verb,
    Visibility,
    bridge_limit,
)
from majorops.lib.appendonly import AppendOnly, AppendOnlyQuerySet
from majorops.lib.ledger import Ledger
from majorops.lib.ulid import ULIDField, new_ulid
from teams.alarm import AlarmLevel
from teams.models import Team

if TYPE_CHECKING:
    from datetime import datetime, timedelta


def new_public_id() -> str:
    """128 random bits: a ULID would tell when, and its neighbours."""
    return secrets.token_hex(16)


class Source(models.TextChoices):
    """The door a row came in by."""

    WEB = "web", "Web"
    API = "api", "API"
    CLI = "cli", "CLI"
    INTAKE = "intake", "Alert intake"
    IMPORT = "import", "Import"


def one_of(field: str, choices: type[models.TextChoices], name: str, *, null: bool = False) -> models.CheckConstraint:
    """A closed set, kept by the database too."""
    known = Q(**{f"{field}__in": choices.values})
    return models.CheckConstraint(condition=known | Q(**{field: None}) if null else known, name=name)


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

    def holder(self, role: CommandRole) -> User | str | None:
        """Who holds a command role now: a person, the SRE lead's name, or None."""
        return getattr(self, role.value) or None


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


class RoleAssignment(models.Model):
    """Who held a command role, and from when to when. An open row is the holder of the moment."""

    ledger = Ledger(set_once=("renounced_at",))

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="role_assignments")
    role = models.CharField(max_length=16, choices=CommandRole.choices)
    user = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    name = models.CharField(max_length=160, help_text="The name shown; kept as it was at the time.")
    assumed_at = models.DateTimeField()
    renounced_at = models.DateTimeField(null=True, blank=True)
    assigned_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        db_table = "role_assignments"
        ordering = ["assumed_at", "id"]
        constraints = [
            one_of("role", CommandRole, "role_assignments_role_known"),
            models.UniqueConstraint(
                fields=["incident", "role"],
                condition=Q(renounced_at__isnull=True),
                name="role_assignments_one_open_holder",
            ),
            models.CheckConstraint(
                condition=Q(renounced_at=None) | Q(renounced_at__gte=F("assumed_at")),
                name="role_assignments_end_after_start",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()}: {self.name}"


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


class Participant(models.Model):
    """A person who joined or was invited. Participants may post to the log."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="participants")
    user = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name="person")
    joined_at = models.DateTimeField(null=True, blank=True, help_text='When they pressed "I\'m here".')
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "incident_participants"
        constraints = [models.UniqueConstraint(fields=["incident", "user"], name="participants_once")]

    def __str__(self) -> str:
        return str(self.user)


class DeliveryState(models.TextChoices):
    """What became of sending a page to one address."""

    WAITING = "waiting", "Being sent"
    SENT = "sent", "Sent"
    FAILED = "failed", "Not sent"
    DROPPED = "dropped", "Not needed any more"


class Delivery(models.Model):
    """One call of a team, to be sent to one of its addresses. It is sent at least once: perhaps twice, never not."""

    ledger = Ledger(mutable=("state", "attempts", "next_try_at"))

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    page = models.ForeignKey(TeamPage, models.PROTECT, related_name="deliveries")
    call = models.PositiveSmallIntegerField(help_text="The first call of the team, or the second...")
    address = models.CharField(max_length=300, help_text="Its kind and host; the rest may be secret.")
    fingerprint = models.CharField(max_length=64, editable=False, help_text="Finds the address among the team's.")
    queued_at = models.DateTimeField()
    redelivers = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="redelivered")
    state = models.CharField(max_length=8, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True, help_text="Empty once nothing more is tried.")

    class Meta:
        db_table = "deliveries"
        verbose_name_plural = "deliveries"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["next_try_at"], name="deliveries_due", condition=Q(next_try_at__isnull=False)),
        ]
        constraints = [
            one_of("state", DeliveryState, "deliveries_state_known"),
            models.CheckConstraint(
                condition=Q(state=DeliveryState.WAITING, next_try_at__isnull=False)
                | (~Q(state=DeliveryState.WAITING) & Q(next_try_at=None)),
                name="deliveries_waiting_has_next_try",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.page} to {self.address}"


class DeliveryAttempt(AppendOnly):
    """One try to send a delivery, and what came of it."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    delivery = models.ForeignKey(Delivery, models.PROTECT, related_name="tries")
    number = models.PositiveSmallIntegerField()
    tried_at = models.DateTimeField()
    was_sent = models.BooleanField()
    error = models.CharField(max_length=300, blank=True, help_text="Why not, without what is secret.")

    class Meta:
        db_table = "delivery_attempts"
        ordering = ["delivery", "number"]
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="delivery_attempts_once"),
        ]

    def __str__(self) -> str:
        return f"try {self.number} of {self.delivery}"
