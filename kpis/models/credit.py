"""How dispatch credit is counted."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from accounts.models import User
from majorops.lib.appendonly import AppendOnly
from majorops.lib.ulid import ULIDField, new_ulid


def _points(help_text: str) -> models.FloatField[float, float]:
    return models.FloatField(validators=[MinValueValidator(0), MaxValueValidator(100)], help_text=help_text)


def _minutes(name: str, help_text: str, *, is_optional: bool = False) -> models.FloatField[float, float]:
    return models.FloatField(
        name, null=is_optional, blank=is_optional, validators=[MinValueValidator(0.1)], help_text=help_text
    )


def _weight(name: str) -> models.FloatField[float, float]:
    return models.FloatField(
        name, validators=[MinValueValidator(0.01), MaxValueValidator(1)], help_text="In a team's overall class."
    )


class CreditSetting(AppendOnly):
    """Weights and limits of dispatch credit, from the moment they were made on. Version 1 is built in."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    version = models.PositiveIntegerField(editable=False)
    arrival_points = _points("For the share that arrives within the limit.")
    ack_points = _points("For the share that acknowledges within the limit.")
    tail_points = _points("For the slowest tenth.")
    z = models.FloatField(
        validators=[MinValueValidator(0), MaxValueValidator(4)],
        help_text="How cautious the lower bound of a share is: 1.2816 is one-sided 90 %, 1.645 is 95 %.",
    )
    patience = models.FloatField(
        validators=[MinValueValidator(1)], help_text="After so many times the limit, who has not come is a no-show."
    )
    min_provisional = models.PositiveIntegerField(
        validators=[MinValueValidator(1)], help_text="Fewer judged dispatches give no class."
    )
    min_rated = models.PositiveIntegerField(
        validators=[MinValueValidator(1)], help_text="From so many on the class is rated, no longer provisional."
    )
    min_acks = models.PositiveIntegerField(help_text="With fewer acknowledgements they are not scored.")
    min_ack_coverage = models.FloatField(
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="Nor with a smaller share of dispatches that have one, e.g. 0.5.",
    )
    box3_arrival = _minutes("Box 3 arrival", "Minutes from page to bridge.")
    box3_ack = _minutes("Box 3 acknowledgement", "Minutes; empty: not scored.", is_optional=True)
    box3_weight = _weight("Box 3 weight")
    box2_arrival = _minutes("Box 2 arrival", "Minutes from page to bridge.")
    box2_ack = _minutes("Box 2 acknowledgement", "Minutes; empty: not scored.", is_optional=True)
    box2_weight = _weight("Box 2 weight")
    box1_arrival = _minutes("Box 1 arrival", "Minutes from page to bridge.")
    box1_ack = _minutes("Box 1 acknowledgement", "Minutes; empty: not scored.", is_optional=True)
    box1_weight = _weight("Box 1 weight")
    reason = models.CharField(max_length=300, help_text="Why it changes. Everybody who sees a class can read it.")
    made_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", editable=False)
    made_at = models.DateTimeField(editable=False, help_text="Figures as of this moment and later follow it.")

    class Meta:
        db_table = "credit_settings"
        verbose_name = "dispatch credit setting"
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["version"], name="credit_settings_version_once"),
            models.CheckConstraint(condition=Q(version__gte=2), name="credit_settings_after_the_built_in"),
            models.CheckConstraint(
                condition=Q(arrival_points__gt=0, ack_points__gte=0, tail_points__gte=0),
                name="credit_settings_points_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(min_provisional__gte=1, min_rated__gte=F("min_provisional")),
                name="credit_settings_rated_from_provisional",
            ),
        ]

    def __str__(self) -> str:
        return f"Dispatch credit v{self.version}"

    def clean(self) -> None:
        if self.min_rated is not None and self.min_provisional is not None and self.min_rated < self.min_provisional:
            raise ValidationError({"min_rated": "Take at least as many as for a provisional class."})
        if self.arrival_points == 0:
            raise ValidationError({"arrival_points": "Arrival must count for something."})
