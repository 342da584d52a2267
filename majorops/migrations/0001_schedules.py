"""When jobs run, and every run there was."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import majorops.lib.ulid


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Schedule",
            fields=[
                ("job", models.CharField(editable=False, max_length=60, primary_key=True, serialize=False)),
                (
                    "rhythm",
                    models.CharField(
                        help_text="every 5 minutes, daily 02:15, or mon,thu 08:00. Times of day are those of the reporting zone.",
                        max_length=80,
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("settled_until", models.DateTimeField(editable=False, help_text="Slots up to here are done with.")),
            ],
            options={
                "db_table": "job_schedules",
                "ordering": ["job"],
            },
        ),
        migrations.CreateModel(
            name="JobRun",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("slot", models.DateTimeField(help_text="When it was due.")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waits for a worker"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("attempt", models.PositiveSmallIntegerField(default=1)),
                ("claimed_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("lease_until", models.DateTimeField(blank=True, editable=False, null=True)),
                ("worker", models.CharField(blank=True, help_text="Machine and process.", max_length=120)),
                ("outcome", models.CharField(blank=True, help_text="What it did, or why it failed.", max_length=500)),
                (
                    "asked_by",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: its schedule.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "schedule",
                    models.ForeignKey(
                        db_column="job",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="runs",
                        to="majorops.schedule",
                        verbose_name="job",
                    ),
                ),
            ],
            options={
                "db_table": "job_runs",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("lease_until__isnull", False)),
                        fields=["lease_until"],
                        name="job_runs_leased",
                    ),
                    models.Index(fields=["finished_at"], name="job_runs_finished"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("schedule", "slot"), name="job_runs_slot_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ("waiting", "running"))),
                        fields=("schedule",),
                        name="job_runs_one_at_a_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["waiting", "running", "done", "failed"])),
                        name="job_runs_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("finished_at", None),
                                ("lease_until__isnull", False),
                                ("state__in", ("waiting", "running")),
                            ),
                            models.Q(
                                ("finished_at__isnull", False), ("lease_until", None), ("state__in", ("done", "failed"))
                            ),
                            _connector="OR",
                        ),
                        name="job_runs_lease_while_unfinished",
                    ),
                ],
            },
        ),
    ]
