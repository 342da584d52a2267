"""Incidents that belong together, and calendars that people subscribe to."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from incidents.links import LinkKind
from incidents.models.incident import Incident
from incidents.models.shared import one_of
from majorops.lib.ledger import Ledger
from majorops.lib.ulid import ULIDField, new_ulid


class LinkQuerySet(models.QuerySet["IncidentLink"]):
    def standing(self) -> Self:
        """Those that nobody has taken back."""
        return self.filter(removed_at=None)

    def duplicates(self) -> Self:
        return self.standing().filter(kind=LinkKind.DUPLICATE)


class IncidentLink(models.Model):
    """`incident` is a duplicate of, follows, or is related to `other`. Nothing of either record changes by it."""

    ledger = Ledger(set_once=("removed_at", "removed_by", "removed_because"))

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="links")
    other = models.ForeignKey(Incident, models.PROTECT, related_name="links_here")
    kind = models.CharField(max_length=10, choices=LinkKind.choices)
    reason = models.CharField(max_length=500)
    linked_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    linked_by_name = models.CharField(max_length=160, help_text="The name shown; kept as it was at the time.")
    linked_at = models.DateTimeField(default=timezone.now)
    removed_at = models.DateTimeField(null=True, blank=True, help_text="When the link was taken back.")
    removed_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    removed_because = models.CharField(max_length=500, blank=True)

    objects = LinkQuerySet.as_manager()

    class Meta:
        db_table = "incident_links"
        ordering = ["linked_at", "id"]
        constraints = [
            one_of("kind", LinkKind, "incident_links_kind_known"),
            models.CheckConstraint(condition=~Q(incident=F("other")), name="incident_links_two_incidents"),
            models.CheckConstraint(condition=~Q(reason=""), name="incident_links_say_why"),
            models.UniqueConstraint(
                fields=["incident", "other", "kind"], condition=Q(removed_at=None), name="incident_links_once"
            ),
            models.UniqueConstraint(
                fields=["incident"],
                condition=Q(removed_at=None, kind=LinkKind.DUPLICATE),
                name="incident_links_duplicate_of_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.incident} {self.get_kind_display().lower()} {self.other}"


class CalendarFeed(models.Model):
    """A calendar address of one person. Whoever has the address reads what that person may read; it can be revoked."""

    ledger = Ledger(set_once=("revoked_at",))

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name="person")
    created_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "calendar_feeds"
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(revoked_at=None), name="calendar_feeds_one_each")
        ]

    def __str__(self) -> str:
        return f"Calendar of {self.user}"
