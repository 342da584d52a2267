"""Messages that leave the house, and each try to send them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from accounts.models import User
from incidents.models.dispatch import TeamPage
from incidents.models.outbox import Endpoint, Notice
from incidents.models.shared import one_of
from incidents.outbox_rules import Channel
from majorops.lib.appendonly import AppendOnly
from majorops.lib.ledger import Ledger
from majorops.lib.ulid import ULIDField, new_ulid


class DeliveryState(models.TextChoices):
    """What became of sending a message to one address."""

    WAITING = "waiting", "Being sent"
    SENT = "sent", "Sent"
    FAILED = "failed", "Not sent"
    DROPPED = "dropped", "Not needed any more"


class Delivery(models.Model):
    """One message to one address: a call of a team, or a notice. Sent at least once: perhaps twice, never not."""

    ledger = Ledger(mutable=("state", "attempts", "next_try_at"))

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    channel = models.CharField(max_length=8, choices=Channel.choices, default=Channel.PAGE)
    message_id = ULIDField(
        default=new_ulid, editable=False, help_text="Who receives it twice knows it by this. Redelivering keeps it."
    )
    page = models.ForeignKey(TeamPage, models.PROTECT, null=True, blank=True, related_name="deliveries")
    call = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="The first call of the team, or the second..."
    )
    notice = models.ForeignKey(Notice, models.PROTECT, null=True, blank=True, related_name="deliveries")
    person = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    endpoint = models.ForeignKey(Endpoint, models.PROTECT, null=True, blank=True, related_name="deliveries")
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
            one_of("channel", Channel, "deliveries_channel_known"),
            models.CheckConstraint(
                condition=Q(state=DeliveryState.WAITING, next_try_at__isnull=False)
                | (~Q(state=DeliveryState.WAITING) & Q(next_try_at=None)),
                name="deliveries_waiting_has_next_try",
            ),
            models.CheckConstraint(
                condition=Q(channel=Channel.PAGE, page__isnull=False, call__isnull=False, notice=None)
                | (~Q(channel=Channel.PAGE) & Q(page=None, notice__isnull=False)),
                name="deliveries_carry_a_page_or_a_notice",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.page or self.notice} to {self.address}"


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
