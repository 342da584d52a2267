import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import majorops.lib.ulid


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "__first__"),
        ("incidents", "0005_promises"),
    ]

    operations = [
        migrations.CreateModel(
            name="BriefVisit",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "since",
                    models.DateTimeField(blank=True, help_text="When the visit before this one ended.", null=True),
                ),
                ("last_seen_at", models.DateTimeField()),
            ],
            options={
                "db_table": "brief_visits",
            },
        ),
        migrations.CreateModel(
            name="ExecSummary",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("body", models.TextField()),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("rules", "Drafted by rules"),
                            ("model", "Drafted by a language model"),
                            ("person", "Written by a person"),
                        ],
                        max_length=6,
                    ),
                ),
                (
                    "is_accepted",
                    models.BooleanField(help_text="A person stands for it; a draft is for those who command."),
                ),
                (
                    "by_role",
                    models.CharField(
                        help_text="What they were at the time: executives read roles, no names.", max_length=60
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("recorded_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("web", "Web"),
                            ("api", "API"),
                            ("cli", "CLI"),
                            ("intake", "Alert intake"),
                            ("import", "Import"),
                        ],
                        default="web",
                        max_length=8,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "executive summaries",
                "db_table": "exec_summaries",
                "ordering": ["recorded_at", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("origin__in", ["rules", "model", "person"])),
                        name="exec_summaries_origin_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("source__in", ["web", "api", "cli", "intake", "import"])),
                        name="exec_summaries_source_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("body", ""), _negated=True),
                            models.Q(("is_accepted", True), ("origin", "person")),
                            _connector="OR",
                        ),
                        name="exec_summaries_body_present",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReadReceipt",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("read_at", models.DateTimeField()),
                ("recorded_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "db_table": "read_receipts",
                "ordering": ["read_at", "id"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="timelineevent",
            name="timeline_verb_known",
        ),
        migrations.AddField(
            model_name="incident",
            name="decision_asked",
            field=models.TextField(blank=True, help_text="What executives have to decide. Empty: nothing."),
        ),
        migrations.AlterField(
            model_name="timelineevent",
            name="verb",
            field=models.CharField(
                blank=True,
                choices=[
                    ("opened", "Opened"),
                    ("advanced", "Advanced"),
                    ("status", "Status changed"),
                    ("edited", "Edited"),
                    ("role", "Role handed over"),
                    ("entry", "Written"),
                    ("corrected", "Corrected"),
                    ("published", "Published"),
                    ("paged", "Team paged"),
                    ("called", "Team called again"),
                    ("acked", "Page acknowledged"),
                    ("arrived", "Team arrived"),
                    ("here", "Reported here"),
                    ("stood", "Team stood down"),
                    ("invited", "Person invited"),
                    ("resolved", "Resolved"),
                    ("reopened", "Reopened"),
                    ("undone", "Undone"),
                    ("risk", "Risk changed"),
                    ("decision", "Decision asked"),
                    ("summary", "Executive summary accepted"),
                    ("asked", "Asked by a reader"),
                ],
                help_text="What was done, for programs.",
                max_length=12,
            ),
        ),
        migrations.AddConstraint(
            model_name="timelineevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("verb", ""),
                    (
                        "verb__in",
                        [
                            "opened",
                            "advanced",
                            "status",
                            "edited",
                            "role",
                            "entry",
                            "corrected",
                            "published",
                            "paged",
                            "called",
                            "acked",
                            "arrived",
                            "here",
                            "stood",
                            "invited",
                            "resolved",
                            "reopened",
                            "undone",
                            "risk",
                            "decision",
                            "summary",
                            "asked",
                        ],
                    ),
                    _connector="OR",
                ),
                name="timeline_verb_known",
            ),
        ),
        migrations.AddField(
            model_name="briefvisit",
            name="incident",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="incidents.incident"
            ),
        ),
        migrations.AddField(
            model_name="briefvisit",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="person",
            ),
        ),
        migrations.AddField(
            model_name="execsummary",
            name="by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="execsummary",
            name="incident",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="exec_summaries", to="incidents.incident"
            ),
        ),
        migrations.AddField(
            model_name="readreceipt",
            name="incident",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="read_receipts", to="incidents.incident"
            ),
        ),
        migrations.AddField(
            model_name="readreceipt",
            name="milestone",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="read_receipts", to="incidents.milestone"
            ),
        ),
        migrations.AddField(
            model_name="readreceipt",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="person",
            ),
        ),
        migrations.AddConstraint(
            model_name="briefvisit",
            constraint=models.UniqueConstraint(fields=("incident", "user"), name="brief_visits_once"),
        ),
        migrations.AddIndex(
            model_name="execsummary",
            index=models.Index(fields=["incident", "recorded_at"], name="exec_summaries_incident"),
        ),
        migrations.AddConstraint(
            model_name="readreceipt",
            constraint=models.UniqueConstraint(fields=("milestone", "user"), name="read_receipts_once"),
        ),
    ]
