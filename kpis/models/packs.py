"""Which packs are installed, and when their programme began."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from accounts.models import User
from majorops.lib.ledger import Ledger
from majorops.lib.ulid import ULIDField, new_ulid


class PackInstall(models.Model):
    """A pack was installed; its due dates count from `started_on`. It is undone by retiring its KPIs."""

    ledger = Ledger(set_once=("retired_at",))

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    pack = models.CharField(max_length=60)
    started_on = models.DateField(help_text="The first day of the programme.")
    installed_at = models.DateTimeField()
    installed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    retired_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "pack_installs"
        verbose_name = "installed pack"
        ordering = ["pack", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["pack"], condition=Q(retired_at=None), name="pack_installs_one_in_force"),
        ]

    def __str__(self) -> str:
        return f"{self.pack} since {self.started_on}"
