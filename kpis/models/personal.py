"""Who may look at the response times of other people."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from accounts.models import User
from majorops.lib.ledger import Ledger
from majorops.lib.ulid import ULIDField, new_ulid


class PersonalGrant(models.Model):
    """One person may look at the response times of others, until the grant is ended. No role implies it."""

    ledger = Ledger(set_once=("ended_at", "ended_by"))

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    person = models.ForeignKey(User, models.PROTECT, related_name="+", help_text="Who may look.")
    reason = models.CharField(max_length=300, help_text="What they need it for. Whoever is looked at can read it.")
    granted_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", editable=False)
    granted_at = models.DateTimeField(editable=False)
    ended_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        db_table = "personal_grants"
        verbose_name = "grant to see response times"
        verbose_name_plural = "grants to see response times"
        ordering = ["-granted_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["person"], condition=Q(ended_at=None), name="personal_grants_one_in_force"),
            models.CheckConstraint(
                condition=Q(granted_by=None) | ~Q(granted_by=F("person")), name="personal_grants_not_to_oneself"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person} since {self.granted_at:%Y-%m-%d}"
