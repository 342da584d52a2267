"""Arrivals in the shape in which all teams are compared, and who may look at single people."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import majorops.lib.ulid


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0003_deliveries"),
        ("kpis", "0004_credit_settings"),
        ("teams", "0002_merges_and_addresses"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="DispatchHistogram",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("level", models.CharField(max_length=8)),
                ("day", models.DateField(help_text="In the reporting zone.")),
                ("n", models.PositiveIntegerField()),
                ("total", models.FloatField(help_text="The sum of all minutes so far: means stay exact.")),
                (
                    "counts",
                    models.BinaryField(
                        help_text="How many took at most as long as each bucket reaches (kpis/histograms.py)."
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="teams.team"
                    ),
                ),
            ],
            options={
                "verbose_name": "histogram of arrivals",
                "verbose_name_plural": "histograms of arrivals",
                "db_table": "dispatch_histograms",
                "indexes": [models.Index(fields=["day"], name="dispatch_histograms_day")],
                "constraints": [
                    models.UniqueConstraint(fields=("team", "level", "day"), name="dispatch_histograms_one_a_day")
                ],
            },
        ),
        migrations.CreateModel(
            name="DispatchTime",
            fields=[
                (
                    "page",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="incidents.teampage",
                    ),
                ),
                ("level", models.CharField(max_length=8)),
                ("at", models.DateTimeField(help_text="When the team was paged.")),
                ("minutes", models.FloatField()),
                (
                    "team",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="teams.team"
                    ),
                ),
            ],
            options={
                "verbose_name": "time to the bridge",
                "verbose_name_plural": "times to the bridge",
                "db_table": "dispatch_times",
                "indexes": [
                    models.Index(fields=["team", "level", "at"], include=("minutes",), name="dispatch_times_covering")
                ],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("minutes__gte", 0)), name="dispatch_times_not_negative"),
                    models.CheckConstraint(
                        condition=models.Q(("level__in", ["box3", "box2", "box1"])), name="dispatch_times_level_known"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PersonalGrant",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        help_text="What they need it for. Whoever is looked at can read it.", max_length=300
                    ),
                ),
                ("granted_at", models.DateTimeField(editable=False)),
                ("ended_at", models.DateTimeField(editable=False, null=True)),
                (
                    "ended_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "granted_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        help_text="Who may look.",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "grant to see response times",
                "verbose_name_plural": "grants to see response times",
                "db_table": "personal_grants",
                "ordering": ["-granted_at", "-id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)), fields=("person",), name="personal_grants_one_in_force"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("granted_by", None),
                            models.Q(("granted_by", models.F("person")), _negated=True),
                            _connector="OR",
                        ),
                        name="personal_grants_not_to_oneself",
                    ),
                ],
            },
        ),
    ]
