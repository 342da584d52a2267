"""What the anonymous status page lists."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from majorops.lib.ulid import ULIDField, new_ulid


class StatusComponent(models.Model):
    """A part of what you offer, as customers call it. Its state follows from the published incidents that touch it."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    name = models.CharField(max_length=120, unique=True, help_text="As customers call it, e.g. Checkout.")
    group = models.CharField(max_length=120, blank=True, help_text="The heading it stands under. Empty: none.")
    description = models.CharField(max_length=300, blank=True, help_text="One sentence for customers. May be empty.")
    systems = models.JSONField(
        default=list,
        blank=True,
        help_text='Names of affected systems that mean this component, e.g. ["prod-west-db-01"]. Nobody is shown '
        "them. Its own name counts too, and case does not matter.",
    )
    position = models.PositiveSmallIntegerField(default=0, help_text="Lower stands higher on the page.")
    is_shown = models.BooleanField("shown", default=True, help_text="Off: kept, but not on the page.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "status_components"
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if not isinstance(self.systems, list) or not all(isinstance(name, str) for name in self.systems):
            raise ValidationError({"systems": 'This is a list of names, e.g. ["prod-west-db-01", "Orders"].'})
