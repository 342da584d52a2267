import django.utils.timezone
from django.db import migrations, models

import majorops.lib.ulid


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0006_exec_summary"),
    ]

    operations = [
        migrations.CreateModel(
            name="StatusComponent",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "name",
                    models.CharField(help_text="As customers call it, e.g. Checkout.", max_length=120, unique=True),
                ),
                (
                    "group",
                    models.CharField(blank=True, help_text="The heading it stands under. Empty: none.", max_length=120),
                ),
                (
                    "description",
                    models.CharField(blank=True, help_text="One sentence for customers. May be empty.", max_length=300),
                ),
                (
                    "systems",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Names of affected systems that mean this component, e.g. "
                        '["prod-west-db-01"]. Nobody is shown them. Its own name counts too, and case does not '
                        "matter.",
                    ),
                ),
                (
                    "position",
                    models.PositiveSmallIntegerField(default=0, help_text="Lower stands higher on the page."),
                ),
                (
                    "is_shown",
                    models.BooleanField(
                        default=True, help_text="Off: kept, but not on the page.", verbose_name="shown"
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={"db_table": "status_components", "ordering": ["position", "name"]},
        ),
    ]
