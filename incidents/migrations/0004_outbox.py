"""Everything that leaves the house goes through one outbox: notices, endpoints, subscriptions, deliveries of any kind."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models
from django.db.models import F

import majorops.lib.ulid


def own_message_ids(apps, schema_editor):
    """A column gets one default for all rows; each delivery is known by its own id."""
    apps.get_model("incidents", "Delivery").objects.update(message_id=F("id"))


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("incidents", "0003_deliveries"),
    ]

    operations = [
        migrations.CreateModel(
            name="Endpoint",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(help_text="What it is for, e.g. Status bot.", max_length=80)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("webhook", "Signed webhook (Standard Webhooks)"),
                            ("slack", "Slack"),
                            ("teams", "Microsoft Teams"),
                        ],
                        default="webhook",
                        max_length=8,
                    ),
                ),
                (
                    "url",
                    models.CharField(
                        help_text="An https address. It may be secret, so it is shown masked.", max_length=1000
                    ),
                ),
                (
                    "audience",
                    models.CharField(
                        choices=[
                            ("stakeholders", "What signed-in stakeholders read"),
                            ("public", "What the anonymous status page shows"),
                        ],
                        default="stakeholders",
                        help_text="What it gets to read.",
                        max_length=12,
                    ),
                ),
                ("event_types", models.JSONField(blank=True, default=list, help_text="Empty: all of them.")),
                (
                    "min_severity",
                    models.CharField(
                        choices=[("critical", "Critical"), ("high", "High"), ("medium", "Medium"), ("low", "Low")],
                        default="low",
                        help_text="Incidents from this severity upwards.",
                        max_length=8,
                    ),
                ),
                ("secret", models.CharField(blank=True, editable=False, max_length=80)),
                ("old_secret", models.CharField(blank=True, editable=False, max_length=80)),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("created_at", models.DateTimeField(editable=False)),
            ],
            options={"verbose_name": "webhook endpoint", "db_table": "webhook_endpoints", "ordering": ["name", "id"]},
        ),
        migrations.CreateModel(
            name="Notice",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "sequence",
                    models.PositiveIntegerField(blank=True, help_text="1, 2, 3... within the incident.", null=True),
                ),
                (
                    "event",
                    models.CharField(
                        choices=[
                            ("incident.declared", "Incident declared"),
                            ("incident.milestone", "Milestone published"),
                            ("incident.update", "Public update"),
                            ("incident.status_changed", "Status changed"),
                            ("incident.severity_changed", "Severity changed"),
                            ("incident.promise_overdue", "Promised update overdue"),
                            ("incident.resolved", "Resolved"),
                            ("incident.reopened", "Reopened"),
                            ("message", "Message"),
                            ("test", "Test"),
                        ],
                        max_length=40,
                    ),
                ),
                ("title", models.CharField(blank=True, help_text="The headline; public.", max_length=300)),
                ("text", models.TextField(blank=True, help_text="What was published; public.")),
                (
                    "path",
                    models.CharField(blank=True, help_text="Where to read more, within this site.", max_length=300),
                ),
                ("said", models.JSONField(blank=True, default=dict, help_text="Columns of the incident as they were.")),
                ("happened_at", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
            ],
            options={"db_table": "notices", "ordering": ["-id"]},
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "wish",
                    models.CharField(
                        choices=[
                            ("updates", "Every public update"),
                            ("last", "Only when it is resolved or reopened"),
                            ("nothing", "Nothing"),
                        ],
                        default="updates",
                        max_length=8,
                    ),
                ),
                (
                    "min_severity",
                    models.CharField(
                        blank=True,
                        choices=[("critical", "Critical"), ("high", "High"), ("medium", "Medium"), ("low", "Low")],
                        max_length=8,
                        null=True,
                    ),
                ),
                ("changed_at", models.DateTimeField()),
            ],
            options={"db_table": "subscriptions", "ordering": ["-id"]},
        ),
        migrations.AddField(
            model_name="delivery",
            name="channel",
            field=models.CharField(
                choices=[
                    ("page", "Team page"),
                    ("email", "E-mail"),
                    ("webhook", "Webhook"),
                    ("slack", "Slack"),
                    ("teams", "Microsoft Teams"),
                ],
                default="page",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="message_id",
            field=majorops.lib.ulid.ULIDField(
                default=majorops.lib.ulid.new_ulid,
                editable=False,
                help_text="Who receives it twice knows it by this. Redelivering keeps it.",
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="person",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="call",
            field=models.PositiveSmallIntegerField(
                blank=True, help_text="The first call of the team, or the second...", null=True
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="page",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="deliveries",
                to="incidents.teampage",
            ),
        ),
        migrations.AddField(
            model_name="endpoint",
            name="created_by",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="endpoint",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="deliveries",
                to="incidents.endpoint",
            ),
        ),
        migrations.AddField(
            model_name="notice",
            name="incident",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="notices",
                to="incidents.incident",
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="notice",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="deliveries",
                to="incidents.notice",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(("channel__in", ["page", "email", "webhook", "slack", "teams"])),
                name="deliveries_channel_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("call__isnull", False), ("channel", "page"), ("notice", None), ("page__isnull", False)),
                    models.Q(models.Q(("channel", "page"), _negated=True), ("notice__isnull", False), ("page", None)),
                    _connector="OR",
                ),
                name="deliveries_carry_a_page_or_a_notice",
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="incident",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="subscriptions",
                to="incidents.incident",
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="person",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="subscriptions", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddConstraint(
            model_name="endpoint",
            constraint=models.UniqueConstraint(fields=("name",), name="webhook_endpoints_name_once"),
        ),
        migrations.AddConstraint(
            model_name="endpoint",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["webhook", "slack", "teams"])), name="endpoints_kind_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="endpoint",
            constraint=models.CheckConstraint(
                condition=models.Q(("audience__in", ["stakeholders", "public"])), name="endpoints_audience_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="endpoint",
            constraint=models.CheckConstraint(
                condition=models.Q(("min_severity__in", ["critical", "high", "medium", "low"])),
                name="endpoints_severity_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "event__in",
                        [
                            "incident.declared",
                            "incident.milestone",
                            "incident.update",
                            "incident.status_changed",
                            "incident.severity_changed",
                            "incident.promise_overdue",
                            "incident.resolved",
                            "incident.reopened",
                            "message",
                            "test",
                        ],
                    )
                ),
                name="notices_event_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.UniqueConstraint(fields=("incident", "sequence"), name="notices_sequence_unique"),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("incident", None), ("sequence", None)),
                    models.Q(("incident__isnull", False), ("sequence__gte", 1)),
                    _connector="OR",
                ),
                name="notices_of_an_incident_are_counted",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.CheckConstraint(
                condition=models.Q(("wish__in", ["updates", "last", "nothing"])), name="subscriptions_wish_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("min_severity__in", ["critical", "high", "medium", "low"]), ("min_severity", None), _connector="OR"
                ),
                name="subscriptions_severity_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.UniqueConstraint(
                fields=("person", "incident"), name="subscriptions_one_wish_per_incident"
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.UniqueConstraint(
                condition=models.Q(("incident", None)), fields=("person",), name="subscriptions_one_rule_per_person"
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("incident", None), ("min_severity__isnull", False), ("wish", "updates")),
                    models.Q(("incident__isnull", False), ("min_severity", None)),
                    _connector="OR",
                ),
                name="subscriptions_one_incident_or_all",
            ),
        ),
        migrations.RunPython(own_message_ids, migrations.RunPython.noop),
    ]
