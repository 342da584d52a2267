"""Who commands, and who takes part."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from incidents.lifecycle import CommandRole
from incidents.models.incident import Incident
from incidents.models.shared import one_of
from majorops.lib.ledger import Ledger
from majorops.lib.ulid import ULIDField, new_ulid


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
