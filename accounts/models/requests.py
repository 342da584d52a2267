"""Requests that may be sent again: what each has done, and what it was answered."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from majorops.lib.ulid import ULIDField, new_ulid


class IdempotencyKey(models.Model):
    """A request that was carried out, by the key its sender gave it. Committed together with what it did."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    #: `user:` or `service:` and the id: people and programs have keys of their own.
    sender = models.CharField(max_length=40)
    key = models.CharField(max_length=255)
    #: Of the address and the body: another request must not pass under this key.
    request_sha256 = models.CharField(max_length=64)
    #: What the sender might read then. Whoever may less today is not shown the answer of that day.
    rights = models.TextField(blank=True)
    #: `app.model:id` of what was written, if it is one thing.
    about = models.CharField(max_length=120, blank=True)
    claimed_at = models.DateTimeField()
    #: None until the answer is there.
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    #: None where the answer is too long to keep.
    body = models.BinaryField(null=True)

    class Meta:
        db_table = "idempotency_keys"
        indexes = [models.Index(fields=["claimed_at"], name="idempotency_keys_age")]
        constraints = [
            models.UniqueConstraint(fields=["sender", "key"], name="idempotency_keys_once"),
            models.CheckConstraint(condition=~Q(sender="") & ~Q(key=""), name="idempotency_keys_named"),
        ]

    def __str__(self) -> str:
        return f"{self.sender} {self.key}"
