"""How long teams took, in the shape in which all teams can be compared at once. Derived: it can always be rebuilt."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from incidents.models import TeamPage
from teams.alarm import AlarmLevel
from teams.models import Team


class DispatchTime(models.Model):
    """Minutes from page to arrival of one dispatch that counts: what rolling means and percentiles are made of."""

    page = models.OneToOneField(TeamPage, models.CASCADE, primary_key=True, related_name="+")
    team = models.ForeignKey(Team, models.PROTECT, related_name="+", db_index=False)
    level = models.CharField(max_length=8)
    at = models.DateTimeField(help_text="When the team was paged.")
    minutes = models.FloatField()

    class Meta:
        db_table = "dispatch_times"
        verbose_name = "time to the bridge"
        verbose_name_plural = "times to the bridge"
        # It covers the whole question, in the order of its groups: PostgreSQL reads nothing but this index.
        indexes = [models.Index(fields=["team", "level", "at"], include=["minutes"], name="dispatch_times_covering")]
        constraints = [
            models.CheckConstraint(condition=Q(minutes__gte=0), name="dispatch_times_not_negative"),
            models.CheckConstraint(condition=Q(level__in=AlarmLevel.values), name="dispatch_times_level_known"),
        ]

    def __str__(self) -> str:
        return f"{self.minutes:.1f} min"


class DispatchHistogram(models.Model):
    """All arrivals of one team at one level up to the end of one day, counted in buckets. Any span of days is the
    difference of two rows. Days without an arrival repeat what stood."""

    team = models.ForeignKey(Team, models.PROTECT, related_name="+", db_index=False)
    level = models.CharField(max_length=8)
    day = models.DateField(help_text="In the reporting zone.")
    n = models.PositiveIntegerField()
    total = models.FloatField(help_text="The sum of all minutes so far: means stay exact.")
    counts = models.BinaryField(help_text="How many took at most as long as each bucket reaches (kpis/histograms.py).")

    class Meta:
        db_table = "dispatch_histograms"
        verbose_name = "histogram of arrivals"
        verbose_name_plural = "histograms of arrivals"
        indexes = [models.Index(fields=["day"], name="dispatch_histograms_day")]
        constraints = [models.UniqueConstraint(fields=["team", "level", "day"], name="dispatch_histograms_one_a_day")]

    def __str__(self) -> str:
        return f"{self.level} up to {self.day}"
