"""Runs that resume, runs that verify, and what the rows say beside a stated value."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("kpis", "0002_targets_drafts_reviews"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="kpiobservation",
            name="observations_incident",
        ),
        migrations.AddField(
            model_name="kpiobservation",
            name="claim",
            field=models.ForeignKey(
                db_index=False,
                help_text="The stated value that stands where this computed one would; this one is never current.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="shadows",
                to="kpis.kpiobservation",
            ),
        ),
        migrations.AddField(
            model_name="kpiobservation",
            name="last_fact_at",
            field=models.DateTimeField(help_text="The newest row its source had then. Empty for a sample.", null=True),
        ),
        migrations.AddField(
            model_name="kpirun",
            name="kept",
            field=models.PositiveIntegerField(default=0, help_text="Stated values that were left alone."),
        ),
        migrations.AddField(
            model_name="kpirun",
            name="outcome",
            field=models.CharField(
                blank=True,
                choices=[("done", "Done"), ("same", "The same again"), ("differs", "Differs")],
                help_text="Empty while it runs, or where it broke off.",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="kpirun",
            name="progress",
            field=models.JSONField(default=dict, help_text="How far it came: what is stored outlives a broken run."),
        ),
        migrations.AlterField(
            model_name="kpiobservation",
            name="definition_version",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="kpis.kpidefinitionversion",
            ),
        ),
        migrations.AlterField(
            model_name="kpiobservation",
            name="kpi",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="observations",
                to="kpis.kpidefinition",
            ),
        ),
        migrations.AlterField(
            model_name="kpiobservation",
            name="retired_reason",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddIndex(
            model_name="kpiobservation",
            index=models.Index(
                condition=models.Q(("claim", None), _negated=True), fields=["claim"], name="observations_shadows"
            ),
        ),
        migrations.AddConstraint(
            model_name="kpiobservation",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_current", False), ("claim", None), _connector="OR"),
                name="observations_shadow_is_not_current",
            ),
        ),
        migrations.AddConstraint(
            model_name="kpirun",
            constraint=models.CheckConstraint(
                condition=models.Q(("outcome__in", ["", "done", "same", "differs"])), name="kpi_runs_outcome_known"
            ),
        ),
    ]
