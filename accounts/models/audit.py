"""The audit trail: who was let in or refused, who changed whose rights, who looked at what is private."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from majorops.lib.appendonly import AppendOnly
from majorops.lib.ulid import ULIDField, new_ulid


class ActorKind(models.TextChoices):
    HUMAN = "human", "Person"
    SERVICE = "service", "Integration"
    SYSTEM = "system", "MajorOps"
    ANONYMOUS = "anonymous", "Nobody"


class AuditEvent(AppendOnly):
    """One thing worth knowing later. Never edited, and not deletable like Django's own log entries."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    at = models.DateTimeField(default=timezone.now)
    actor_kind = models.CharField(max_length=9, choices=ActorKind.choices, default=ActorKind.SYSTEM)
    actor_id = models.CharField(max_length=26, blank=True, help_text="The person's or integration's id.")
    actor_name = models.CharField(max_length=254, blank=True, help_text="As it was at the time.")
    # The set of actions grows with the product, so it is not in the schema: see accounts/audit.py.
    action = models.CharField(max_length=40)
    object_type = models.CharField(max_length=40, blank=True)
    object_id = models.CharField(max_length=80, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    peer = models.CharField(max_length=64, blank=True, help_text="The address the request came from, as seen.")
    forwarded = models.CharField(max_length=300, blank=True, help_text="What proxies said of its way here.")
    auth_mode = models.CharField(max_length=8, blank=True)
    token_fingerprint = models.CharField(max_length=12, blank=True, help_text="First 12 digits of its SHA-256.")
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "audit_events"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["action", "at"], name="audit_action_at"),
            models.Index(fields=["object_type", "object_id"], name="audit_object"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(actor_kind__in=ActorKind.values), name="audit_actor_kind_known"),
            models.CheckConstraint(condition=~models.Q(action=""), name="audit_action_present"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_id}".strip()


class RefusalCount(models.Model):
    """Refused sign-ins beyond ten a minute of one reason and address are counted here, not listed."""

    reason = models.CharField(max_length=40)
    peer = models.CharField(max_length=64)
    minute = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "refusal_counts"
        constraints = [
            models.UniqueConstraint(fields=["reason", "peer", "minute"], name="refusal_counts_once"),
        ]

    def __str__(self) -> str:
        return f"{self.reason} from {self.peer}: {self.count}"
