"""Programs that use the API: what they may do, and the secrets they prove themselves with."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models.people import User
from accounts.scopes import Scope
from majorops.lib.ulid import ULIDField, new_ulid


def validate_scopes(value: object) -> None:
    """A list of known scopes, each once."""
    known = [scope.value for scope in Scope]
    if not isinstance(value, list) or len(set(map(str, value))) != len(value) or set(map(str, value)) - set(known):
        raise ValidationError(f"Scopes are a list of: {', '.join(known)}.")


class Integration(models.Model):
    """A program with its own name and rights. It is nobody's account and never reaches pages or admin."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    name = models.CharField(max_length=80, help_text="Shown as the author of what it writes, e.g. Alertmanager prod.")
    scopes = models.JSONField(default=list, validators=[validate_scopes], help_text="What it may do; nothing else.")
    access_client_id = models.CharField(
        "Access client id",
        max_length=200,
        null=True,
        blank=True,
        help_text="The common name of its Access service token, if it comes through the access proxy.",
    )
    owner = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", help_text="Who answers for it."
    )
    is_active = models.BooleanField("active", default=True, help_text="Switch off to refuse all its tokens at once.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "integrations"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["name"], name="integrations_name_unique"),
            models.UniqueConstraint(
                fields=["access_client_id"],
                condition=Q(access_client_id__isnull=False),
                name="integrations_access_client_id_unique",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TokenQuerySet(models.QuerySet["ServiceToken"]):
    def live(self, now: datetime) -> Self:
        """Neither expired nor revoked, newest first."""
        return self.filter(revoked_at=None, expires_at__gt=now).order_by("-created_at", "-pk")


class ServiceToken(models.Model):
    """One secret of an integration: `mo_<id>_<secret>`. Two may live at once, so that they can be rotated."""

    id = models.CharField(primary_key=True, max_length=12, editable=False, help_text="The public part of the token.")
    integration = models.ForeignKey(Integration, models.PROTECT, related_name="tokens")
    #: SHA-256 of 256 random bits: a slow hash would protect nothing more.
    secret_sha256 = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", editable=False)
    expires_at = models.DateTimeField(help_text="At most a year ahead.")
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="To five minutes.")

    objects = TokenQuerySet.as_manager()

    class Meta:
        db_table = "service_tokens"
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="service_tokens_expire_later"),
        ]

    def __str__(self) -> str:
        return f"mo_{self.id}_…"


class ThrottleBucket(models.Model):
    """A token bucket in the database: a cache-based one can be overrun by requests at the same moment."""

    key = models.CharField(primary_key=True, max_length=80)
    tokens = models.FloatField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "throttle_buckets"

    def __str__(self) -> str:
        return self.key
