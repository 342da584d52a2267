"""What other systems tell: kinds of facts, the facts themselves, decisions, and the things they are about."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from majorops.lib.appendonly import AppendOnly, AppendOnlyQuerySet
from majorops.lib.ledger import Ledger
from majorops.lib.ulid import ULIDField, new_ulid

OCCURRED = "occurred_at"


class KindStatus(models.TextChoices):
    DRAFT = "draft", "Draft"
    ACTIVE = "active", "Active"
    RETIRED = "retired", "Retired"


class OnFirstSight(models.TextChoices):
    CREATE = "create", "Register it"
    REFUSE = "refuse", "Refuse the fact"


class FactKind(models.Model):
    """What one kind of fact holds. It is changed through kpis.facts.kinds, which keeps every version."""

    key = models.CharField(primary_key=True, max_length=72, help_text="e.g. deploy.finished; lower case, with dots.")
    version = models.PositiveIntegerField(default=1, editable=False)
    description = models.CharField(max_length=300, help_text="One sentence: what happened when such a fact comes.")
    fields = models.JSONField(
        default=dict,
        help_text='e.g. {"outcome": {"type": "enum", "enum": ["success", "failure"], "required": true}}.',
    )
    subject_type = models.CharField(
        max_length=24, blank=True, help_text="What it is about, e.g. service. May be empty."
    )
    subject_field = models.CharField(
        max_length=80, blank=True, help_text="The field that names the subject where the sender does not."
    )
    time_field = models.CharField(
        max_length=80, default=OCCURRED, help_text="occurred_at, or the time field that it is taken from."
    )
    expected_every = models.CharField(
        max_length=8, blank=True, help_text="How often one should come: PT1H, P1D, P1W. Empty: silence is no fault."
    )
    freshness = models.CharField(
        max_length=8, blank=True, help_text="How old the newest may be. Empty: twice the expected cadence."
    )
    owner = models.CharField(max_length=120)
    status = models.CharField(max_length=8, choices=KindStatus.choices, default=KindStatus.DRAFT)
    changed_at = models.DateTimeField(editable=False)

    class Meta:
        db_table = "fact_kinds"
        ordering = ["key"]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=KindStatus.values), name="fact_kinds_status_known"),
        ]

    def __str__(self) -> str:
        return self.key


class FactKindVersion(AppendOnly):
    """A kind as it stood from one moment on."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    kind = models.ForeignKey(FactKind, models.PROTECT, related_name="history")
    version = models.PositiveIntegerField()
    snapshot = models.JSONField()
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    changed_at = models.DateTimeField()
    reason = models.CharField(max_length=200)

    objects = AppendOnlyQuerySet["FactKindVersion"].as_manager()

    class Meta:
        db_table = "fact_kind_versions"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.kind_id} v{self.version}"


class SubjectType(models.Model):
    """A sort of things that are registered: shop, service, credential. Others are named by facts only."""

    key = models.CharField(primary_key=True, max_length=24, help_text="e.g. credential; lower case.")
    description = models.CharField(max_length=300)
    attributes = models.JSONField(
        default=dict, blank=True, help_text='e.g. {"policy_days": {"type": "int"}}. Types as in fact kinds.'
    )
    on_first_sight = models.CharField(
        max_length=8,
        choices=OnFirstSight.choices,
        default=OnFirstSight.CREATE,
        help_text="What happens when a fact names one that is not registered.",
    )

    class Meta:
        db_table = "subject_types"
        ordering = ["key"]
        constraints = [
            models.CheckConstraint(
                condition=Q(on_first_sight__in=OnFirstSight.values), name="subject_types_policy_known"
            ),
        ]

    def __str__(self) -> str:
        return self.key


class Subject(models.Model):
    """A thing that facts are about, with what people entered about it."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    type = models.ForeignKey(SubjectType, models.PROTECT, related_name="subjects", db_index=False)
    key = models.CharField("id", max_length=120, help_text="As facts name it, e.g. checkout-api.")
    name = models.CharField(max_length=120, blank=True)
    attributes = models.JSONField(default=dict, blank=True)
    is_active = models.BooleanField("active", default=True, help_text="Off: it is not counted any more.")
    first_seen_at = models.DateTimeField(editable=False)

    class Meta:
        db_table = "subjects"
        ordering = ["type", "key"]
        constraints = [models.UniqueConstraint(fields=["type", "key"], name="subjects_once")]

    def __str__(self) -> str:
        return f"{self.type_id}:{self.key}"


class FactQuerySet(AppendOnlyQuerySet["Fact"]):
    def standing(self) -> Self:
        """Those that no later fact corrects."""
        corrected = Fact.objects.exclude(supersedes=None).order_by().values("supersedes")
        return self.exclude(pk__in=corrected)


class Fact(AppendOnly):
    """Something that happened, as a program told it. Written by kpis.facts.ingest alone.

    Millions of rows: the keys to other tables are not checked by the database, for each check costs as much as the row;
    the writer checks them, and what they point to is never deleted.
    """

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    kind = models.ForeignKey(FactKind, models.PROTECT, related_name="facts", db_index=False, db_constraint=False)
    kind_version = models.PositiveIntegerField()
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    subject_type = models.CharField(max_length=24, blank=True)
    subject_id = models.CharField(max_length=120, blank=True)
    payload = models.JSONField(default=dict)
    actor = models.CharField(max_length=80, blank=True, help_text="An alias, never an e-mail address.")
    request_id = models.CharField(max_length=80, blank=True)
    source = models.CharField(max_length=80, help_text="Which program or person sent it.")
    confidence = models.FloatField(default=1.0)
    dedupe_key = models.CharField(max_length=200)
    supersedes = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, db_index=False, db_constraint=False, related_name="corrected_by"
    )

    objects = FactQuerySet.as_manager()

    class Meta:
        db_table = "facts"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["kind", "occurred_at"], name="facts_kind_time"),
            models.Index(fields=["supersedes"], condition=~Q(supersedes=None), name="facts_corrections"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["source", "dedupe_key"], name="facts_once"),
            models.CheckConstraint(condition=Q(confidence__gte=0, confidence__lte=1), name="facts_confidence_in_range"),
        ]

    def __str__(self) -> str:
        return f"{self.kind_id} {self.occurred_at:%Y-%m-%d %H:%M}"


class Decision(AppendOnly):
    """What somebody decided, and the evidence for it. Its fields are those of the fact kind `decision`."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    decided_at = models.DateTimeField()
    received_at = models.DateTimeField()
    scope = models.CharField(max_length=40, help_text="e.g. ops.")
    action = models.CharField(max_length=80, help_text="e.g. chatwoot.reply.sent.")
    subject_type = models.CharField(max_length=24, blank=True)
    subject_id = models.CharField(max_length=120, blank=True)
    payload = models.JSONField(default=dict)
    actor = models.CharField(max_length=80, blank=True, help_text="An alias, never an e-mail address.")
    evidence_url = models.URLField(max_length=500, blank=True)
    request_id = models.CharField(max_length=80, blank=True)
    source = models.CharField(max_length=80)
    dedupe_key = models.CharField(max_length=200)

    objects = AppendOnlyQuerySet["Decision"].as_manager()

    class Meta:
        db_table = "decisions"
        ordering = ["-id"]
        indexes = [models.Index(fields=["action", "decided_at"], name="decisions_action_time")]
        constraints = [models.UniqueConstraint(fields=["source", "dedupe_key"], name="decisions_once")]

    def __str__(self) -> str:
        return f"{self.action} {self.decided_at:%Y-%m-%d %H:%M}"


class ParkedOutcome(models.TextChoices):
    RELEASED = "released", "Released"
    REFUSED = "refused", "Refused"


class ParkedFact(models.Model):
    """An event of a kind that nobody defined yet, word for word. It waits, and counts nowhere."""

    ledger = Ledger(set_once=("settled_at", "outcome", "why"))

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    kind_key = models.CharField(max_length=80)
    text = models.TextField()
    digest = models.CharField(max_length=64)
    source = models.CharField(max_length=80)
    received_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=8, blank=True, choices=ParkedOutcome.choices)
    why = models.CharField(max_length=300, blank=True, help_text="Why it was refused in the end.")

    class Meta:
        db_table = "parked_facts"
        ordering = ["-id"]
        indexes = [models.Index(fields=["kind_key"], condition=Q(settled_at=None), name="parked_facts_waiting")]
        constraints = [models.UniqueConstraint(fields=["source", "digest"], name="parked_facts_once")]

    def __str__(self) -> str:
        return f"{self.kind_key} {self.received_at:%Y-%m-%d %H:%M}"
