"""Targets by severity, alarm level, persona and statistic; drafts of formulas; reviews as rows."""

import datetime

import django.db.models.deletion
import django.db.models.functions.comparison
from django.conf import settings
from django.db import migrations, models

import majorops.lib.ulid


def spread(apps, schema_editor):
    """`match_by` names the column that takes `match_value`; a word that is none of them stays as a persona."""
    for target in apps.get_model("kpis", "KpiTarget").objects.exclude(match_by=""):
        column = target.match_by if target.match_by in ("severity", "alarm_level") else "persona"
        setattr(target, column, target.match_value)
        target.save(update_fields=[column])


def gather(apps, schema_editor):
    for target in apps.get_model("kpis", "KpiTarget").objects.all():
        for column in ("severity", "alarm_level", "persona"):
            if value := getattr(target, column):
                target.match_by, target.match_value = column, value
        target.save(update_fields=["match_by", "match_value"])


class Migration(migrations.Migration):
    dependencies = [
        ("kpis", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="KpiDraft",
            fields=[
                (
                    "definition",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="draft",
                        serialize=False,
                        to="kpis.kpidefinition",
                    ),
                ),
                ("formula", models.TextField()),
                ("spec", models.JSONField(blank=True, null=True)),
                ("units", models.CharField(max_length=24)),
                ("saved_at", models.DateTimeField()),
                ("note", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "verbose_name": "KPI draft",
                "db_table": "kpi_drafts",
            },
        ),
        migrations.CreateModel(
            name="KpiReview",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("reviewed_at", models.DateTimeField()),
                ("note", models.CharField(max_length=300)),
            ],
            options={
                "verbose_name": "KPI review",
                "db_table": "kpi_reviews",
                "ordering": ["-reviewed_at", "-id"],
            },
        ),
        migrations.AlterModelOptions(
            name="kpidefinitionversion",
            options={"ordering": ["-version", "-minor"], "verbose_name": "KPI definition version"},
        ),
        migrations.AlterModelOptions(
            name="kpitarget",
            options={
                "ordering": ["definition", "severity", "alarm_level", "persona", "statistic", "due_on", "pk"],
                "verbose_name": "target",
            },
        ),
        migrations.RemoveConstraint(
            model_name="kpidefinitionversion",
            name="kpi_versions_once",
        ),
        migrations.RemoveConstraint(
            model_name="kpitarget",
            name="kpi_targets_match_complete",
        ),
        migrations.RemoveConstraint(
            model_name="kpitarget",
            name="kpi_targets_no_tie",
        ),
        migrations.AddField(
            model_name="kpidefinitionversion",
            name="minor",
            field=models.PositiveIntegerField(
                default=0, help_text="Counts what leaves them: description, owner, targets..."
            ),
        ),
        migrations.AddField(
            model_name="kpitarget",
            name="alarm_level",
            field=models.CharField(
                blank=True,
                choices=[("box3", "Box 3"), ("box2", "Box 2"), ("box1", "Box 1")],
                help_text="e.g. Box 3. Empty: any alarm level.",
                max_length=24,
            ),
        ),
        migrations.AddField(
            model_name="kpitarget",
            name="persona",
            field=models.CharField(
                blank=True,
                choices=[
                    ("exec", "Executives"),
                    ("stakeholder", "Stakeholders"),
                    ("mim", "Incident managers"),
                    ("responder", "Responders"),
                ],
                help_text="Whose scorecard it is for. Empty: everybody's.",
                max_length=24,
            ),
        ),
        migrations.AddField(
            model_name="kpitarget",
            name="severity",
            field=models.CharField(
                blank=True,
                choices=[("critical", "Critical"), ("high", "High"), ("medium", "Medium"), ("low", "Low")],
                help_text="e.g. Critical. Empty: any severity.",
                max_length=24,
            ),
        ),
        migrations.AddField(
            model_name="kpitarget",
            name="statistic",
            field=models.CharField(
                blank=True,
                choices=[
                    ("median", "Median"),
                    ("p90", "90th percentile"),
                    ("p95", "95th percentile"),
                    ("p99", "99th percentile"),
                ],
                help_text="e.g. 95th percentile. Empty: the KPI's own value.",
                max_length=12,
            ),
        ),
        migrations.AddField(
            model_name="kpitarget",
            name="warn_value",
            field=models.FloatField(
                blank=True,
                help_text="Met, but beyond this the value is shown as at risk, e.g. 100.",
                null=True,
                verbose_name="warn at",
            ),
        ),
        migrations.RunPython(spread, gather),
        migrations.RemoveField(
            model_name="kpitarget",
            name="match_by",
        ),
        migrations.RemoveField(
            model_name="kpitarget",
            name="match_value",
        ),
        migrations.AlterField(
            model_name="kpidefinitionversion",
            name="version",
            field=models.PositiveIntegerField(help_text="Counts what changes the numbers: formula, spec or units."),
        ),
        migrations.AlterField(
            model_name="kpitarget",
            name="due_on",
            field=models.DateField(
                blank=True,
                help_text="It holds from this day on, as one rung of a ladder of goals: 80 in May, 90 in July.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="kpitarget",
            name="effective_from",
            field=models.DateField(
                blank=True, help_text="First day it holds. Empty: it always did.", null=True, verbose_name="valid from"
            ),
        ),
        migrations.AlterField(
            model_name="kpitarget",
            name="effective_to",
            field=models.DateField(
                blank=True,
                help_text="First day it no longer holds. Empty: until further notice.",
                null=True,
                verbose_name="valid to",
            ),
        ),
        migrations.AlterField(
            model_name="kpitarget",
            name="operator",
            field=models.CharField(
                choices=[("lte", "≤"), ("gte", "≥"), ("lt", "<"), ("gt", ">"), ("eq", "=")],
                default="lte",
                help_text="Exactly on target is met for ≤ and ≥.",
                max_length=4,
            ),
        ),
        migrations.AlterField(
            model_name="kpitarget",
            name="value",
            field=models.FloatField(help_text="In the KPI's units, e.g. 120.", verbose_name="target"),
        ),
        migrations.AddConstraint(
            model_name="kpidefinitionversion",
            constraint=models.UniqueConstraint(fields=("definition", "version", "minor"), name="kpi_versions_once"),
        ),
        migrations.AddConstraint(
            model_name="kpitarget",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("warn_value", None),
                    models.Q(("operator__in", ["lte", "lt"]), ("warn_value__lt", models.F("value"))),
                    models.Q(("operator__in", ["gte", "gt"]), ("warn_value__gt", models.F("value"))),
                    _connector="OR",
                ),
                name="kpi_targets_warn_inside",
            ),
        ),
        migrations.AddConstraint(
            model_name="kpitarget",
            constraint=models.UniqueConstraint(
                models.F("definition"),
                models.F("severity"),
                models.F("alarm_level"),
                models.F("persona"),
                models.F("statistic"),
                django.db.models.functions.comparison.Coalesce("effective_from", models.Value(datetime.date(1, 1, 1))),
                django.db.models.functions.comparison.Coalesce("due_on", models.Value(datetime.date(1, 1, 1))),
                name="kpi_targets_no_tie",
            ),
        ),
        migrations.AddField(
            model_name="kpidraft",
            name="saved_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="kpireview",
            name="definition",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="reviews", to="kpis.kpidefinition"
            ),
        ),
        migrations.AddField(
            model_name="kpireview",
            name="reviewed_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
    ]
