"""Which packs are installed."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import majorops.lib.ulid


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("kpis", "0006_facts"),
    ]

    operations = [
        migrations.CreateModel(
            name="PackInstall",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("pack", models.CharField(max_length=60)),
                ("started_on", models.DateField(help_text="The first day of the programme.")),
                ("installed_at", models.DateTimeField()),
                ("retired_at", models.DateTimeField(null=True)),
                (
                    "installed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "installed pack",
                "db_table": "pack_installs",
                "ordering": ["pack", "-id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("retired_at", None)),
                        fields=("pack",),
                        name="pack_installs_one_in_force",
                    )
                ],
            },
        ),
    ]
