"""Dispatch credit: its weights and limits, one version after the other."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import majorops.lib.ulid


class Migration(migrations.Migration):
    dependencies = [
        ("kpis", "0003_runs_resume_and_shadows"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CreditSetting",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(editable=False)),
                (
                    "arrival_points",
                    models.FloatField(
                        help_text="For the share that arrives within the limit.",
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "ack_points",
                    models.FloatField(
                        help_text="For the share that acknowledges within the limit.",
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "tail_points",
                    models.FloatField(
                        help_text="For the slowest tenth.",
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "z",
                    models.FloatField(
                        help_text="How cautious the lower bound of a share is: 1.2816 is one-sided 90 %, 1.645 is 95 %.",
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(4),
                        ],
                    ),
                ),
                (
                    "patience",
                    models.FloatField(
                        help_text="After so many times the limit, who has not come is a no-show.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "min_provisional",
                    models.PositiveIntegerField(
                        help_text="Fewer judged dispatches give no class.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "min_rated",
                    models.PositiveIntegerField(
                        help_text="From so many on the class is rated, no longer provisional.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                ("min_acks", models.PositiveIntegerField(help_text="With fewer acknowledgements they are not scored.")),
                (
                    "min_ack_coverage",
                    models.FloatField(
                        help_text="Nor with a smaller share of dispatches that have one, e.g. 0.5.",
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(1),
                        ],
                    ),
                ),
                (
                    "box3_arrival",
                    models.FloatField(
                        help_text="Minutes from page to bridge.",
                        validators=[django.core.validators.MinValueValidator(0.1)],
                        verbose_name="Box 3 arrival",
                    ),
                ),
                (
                    "box3_ack",
                    models.FloatField(
                        blank=True,
                        help_text="Minutes; empty: not scored.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0.1)],
                        verbose_name="Box 3 acknowledgement",
                    ),
                ),
                (
                    "box3_weight",
                    models.FloatField(
                        help_text="In a team's overall class.",
                        validators=[
                            django.core.validators.MinValueValidator(0.01),
                            django.core.validators.MaxValueValidator(1),
                        ],
                        verbose_name="Box 3 weight",
                    ),
                ),
                (
                    "box2_arrival",
                    models.FloatField(
                        help_text="Minutes from page to bridge.",
                        validators=[django.core.validators.MinValueValidator(0.1)],
                        verbose_name="Box 2 arrival",
                    ),
                ),
                (
                    "box2_ack",
                    models.FloatField(
                        blank=True,
                        help_text="Minutes; empty: not scored.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0.1)],
                        verbose_name="Box 2 acknowledgement",
                    ),
                ),
                (
                    "box2_weight",
                    models.FloatField(
                        help_text="In a team's overall class.",
                        validators=[
                            django.core.validators.MinValueValidator(0.01),
                            django.core.validators.MaxValueValidator(1),
                        ],
                        verbose_name="Box 2 weight",
                    ),
                ),
                (
                    "box1_arrival",
                    models.FloatField(
                        help_text="Minutes from page to bridge.",
                        validators=[django.core.validators.MinValueValidator(0.1)],
                        verbose_name="Box 1 arrival",
                    ),
                ),
                (
                    "box1_ack",
                    models.FloatField(
                        blank=True,
                        help_text="Minutes; empty: not scored.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0.1)],
                        verbose_name="Box 1 acknowledgement",
                    ),
                ),
                (
                    "box1_weight",
                    models.FloatField(
                        help_text="In a team's overall class.",
                        validators=[
                            django.core.validators.MinValueValidator(0.01),
                            django.core.validators.MaxValueValidator(1),
                        ],
                        verbose_name="Box 1 weight",
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        help_text="Why it changes. Everybody who sees a class can read it.", max_length=300
                    ),
                ),
                (
                    "made_at",
                    models.DateTimeField(editable=False, help_text="Figures as of this moment and later follow it."),
                ),
                (
                    "made_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "dispatch credit setting",
                "db_table": "credit_settings",
                "ordering": ["-version"],
                "constraints": [
                    models.UniqueConstraint(fields=("version",), name="credit_settings_version_once"),
                    models.CheckConstraint(
                        condition=models.Q(("version__gte", 2)), name="credit_settings_after_the_built_in"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("ack_points__gte", 0), ("arrival_points__gt", 0), ("tail_points__gte", 0)),
                        name="credit_settings_points_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("min_provisional__gte", 1), ("min_rated__gte", models.F("min_provisional"))
                        ),
                        name="credit_settings_rated_from_provisional",
                    ),
                ],
            },
        ),
    ]
