"""What remains after an incident: reviews and what follows, surveys, links, calendars."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import majorops.lib.ulid


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0007_status_page"),
    ]

    operations = [
        migrations.CreateModel(
            name="ContributingFactor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "slug",
                    models.SlugField(
                        help_text="Its name for programs, e.g. monitoring-gap.", max_length=40, unique=True
                    ),
                ),
                ("name", models.CharField(help_text="What people tick, e.g. Gap in monitoring.", max_length=80)),
                ("help_text", models.CharField(blank=True, help_text="When to tick it, in one line.", max_length=200)),
                (
                    "is_active",
                    models.BooleanField(
                        default=True, help_text="Off: no longer offered; reviews that name it keep it."
                    ),
                ),
            ],
            options={
                "db_table": "contributing_factors",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="LearningReview",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("draft", "Draft"), ("in_review", "In review"), ("published", "Published")],
                        default="draft",
                        max_length=10,
                    ),
                ),
                ("due_at", models.DateTimeField(help_text="When it should be published.")),
                (
                    "sections",
                    models.JSONField(default=list, help_text="[{key, title, help, required, text}] in their order."),
                ),
                ("published_at", models.DateTimeField(blank=True, help_text="When it was first published.", null=True)),
                (
                    "version",
                    models.PositiveIntegerField(default=1, editable=False, help_text="Grows with every change."),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "factors",
                    models.ManyToManyField(blank=True, related_name="reviews", to="incidents.contributingfactor"),
                ),
                (
                    "incident",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="review", to="incidents.incident"
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        help_text="Who sees it through.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "learning_reviews",
                "ordering": ["due_at", "id"],
                "indexes": [models.Index(fields=["state", "due_at"], name="reviews_state_due")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["draft", "in_review", "published"])),
                        name="reviews_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "published"), _negated=True),
                            ("published_at__isnull", False),
                            _connector="OR",
                        ),
                        name="reviews_published_says_when",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state", "draft"), ("owner__isnull", False), _connector="OR"),
                        name="reviews_owner_beyond_draft",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="FollowUp",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "title",
                    models.CharField(help_text="What will be different, e.g. Alert on replica lag.", max_length=200),
                ),
                (
                    "details",
                    models.TextField(blank=True, help_text="How one sees that it is done. Links to tickets go here."),
                ),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("detective", "Detective: notice it sooner"),
                            ("preventive", "Preventive: keep it from happening"),
                            ("corrective", "Corrective: repair what it left"),
                        ],
                        help_text="What it is for.",
                        max_length=10,
                    ),
                ),
                (
                    "priority",
                    models.CharField(
                        choices=[("high", "High"), ("medium", "Medium"), ("low", "Low")], default="medium", max_length=6
                    ),
                ),
                (
                    "due_on",
                    models.DateField(blank=True, help_text="The last day (UTC) on which it is in time.", null=True),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("in_progress", "In progress"),
                            ("done", "Done"),
                            ("dropped", "Dropped"),
                        ],
                        default="open",
                        max_length=11,
                    ),
                ),
                ("closed_at", models.DateTimeField(blank=True, help_text="When it was done or dropped.", null=True)),
                (
                    "version",
                    models.PositiveIntegerField(default=1, editable=False, help_text="Grows with every change."),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        help_text="Who does it.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "review",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="follow_ups",
                        to="incidents.learningreview",
                    ),
                ),
            ],
            options={
                "db_table": "follow_ups",
                "ordering": [models.OrderBy(models.F("due_on"), nulls_last=True), "id"],
                "indexes": [models.Index(fields=["state", "due_on"], name="follow_ups_state_due")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("type__in", ["detective", "preventive", "corrective"])),
                        name="follow_ups_type_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("priority__in", ["high", "medium", "low"])),
                        name="follow_ups_priority_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["open", "in_progress", "done", "dropped"])),
                        name="follow_ups_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("closed_at__isnull", False), ("state__in", ["done", "dropped"])),
                            models.Q(models.Q(("state__in", ["done", "dropped"]), _negated=True), ("closed_at", None)),
                            _connector="OR",
                        ),
                        name="follow_ups_over_says_when",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReviewRevision",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(help_text="The version that this change made.")),
                ("changes", models.JSONField(default=dict, help_text="Field: [old, new]; sections as section:KEY.")),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("actor", models.CharField(help_text="The name shown; kept as it was at the time.", max_length=160)),
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
                (
                    "actor_user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "follow_up",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: the review itself.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="revisions",
                        to="incidents.followup",
                    ),
                ),
                (
                    "review",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="revisions",
                        to="incidents.learningreview",
                    ),
                ),
            ],
            options={
                "db_table": "review_revisions",
                "ordering": ["recorded_at", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("source__in", ["web", "api", "cli", "intake", "import"])),
                        name="review_revisions_source_known",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("follow_up", None)),
                        fields=("review", "version"),
                        name="review_revisions_one_each",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("follow_up__isnull", False)),
                        fields=("follow_up", "version"),
                        name="follow_up_revisions_one_each",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReviewSection",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "slug",
                    models.SlugField(help_text="Its name for programs, e.g. went_well.", max_length=40, unique=True),
                ),
                ("title", models.CharField(help_text="The heading people read.", max_length=80)),
                (
                    "help_text",
                    models.TextField(blank=True, help_text="Shown below the heading while writing. Ask about causes."),
                ),
                (
                    "prefill",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "Nothing"),
                            ("summary", "What happened, in short"),
                            ("timeline", "Phases, and what was written in the log"),
                            ("communication", "Milestones, and promises kept"),
                        ],
                        help_text="What it begins with, from the record.",
                        max_length=16,
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(default=0, help_text="Small numbers come first.")),
                (
                    "is_required",
                    models.BooleanField(default=False, help_text="A review is not published while this is empty."),
                ),
                ("is_active", models.BooleanField(default=True, help_text="Off: new reviews begin without it.")),
            ],
            options={
                "db_table": "review_sections",
                "ordering": ["position", "slug"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("prefill__in", ["", "summary", "timeline", "communication"])),
                        name="review_sections_prefill_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SurveyInvitation",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "closes_at",
                    models.DateTimeField(
                        help_text="The last moment to answer; moved when the incident is resolved again."
                    ),
                ),
                (
                    "incident",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="survey_invitations",
                        to="incidents.incident",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="person",
                    ),
                ),
            ],
            options={
                "db_table": "survey_invitations",
                "ordering": ["created_at", "id"],
                "constraints": [
                    models.UniqueConstraint(fields=("incident", "user"), name="survey_one_invitation_each")
                ],
            },
        ),
        migrations.CreateModel(
            name="SurveyResponse",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("score", models.PositiveSmallIntegerField(help_text="1 poorly informed … 5 very well informed.")),
                (
                    "comment",
                    models.TextField(blank=True, help_text="Shown without a name, once three people have answered."),
                ),
                ("submitted_at", models.DateTimeField(help_text="When it was sent.")),
                (
                    "invitation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="responses",
                        to="incidents.surveyinvitation",
                    ),
                ),
            ],
            options={
                "db_table": "survey_responses",
                "ordering": ["submitted_at", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("score__gte", 1), ("score__lte", 5)), name="survey_score_1_to_5"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CalendarFeed",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="person",
                    ),
                ),
            ],
            options={
                "db_table": "calendar_feeds",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("revoked_at", None)), fields=("user",), name="calendar_feeds_one_each"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="IncidentLink",
            fields=[
                (
                    "id",
                    majorops.lib.ulid.ULIDField(
                        default=majorops.lib.ulid.new_ulid, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("duplicate", "Duplicate of"), ("follows", "Follows"), ("related", "Related to")],
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(max_length=500)),
                (
                    "linked_by_name",
                    models.CharField(help_text="The name shown; kept as it was at the time.", max_length=160),
                ),
                ("linked_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("removed_at", models.DateTimeField(blank=True, help_text="When the link was taken back.", null=True)),
                ("removed_because", models.CharField(blank=True, max_length=500)),
                (
                    "incident",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="links", to="incidents.incident"
                    ),
                ),
                (
                    "linked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "other",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="links_here", to="incidents.incident"
                    ),
                ),
                (
                    "removed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "incident_links",
                "ordering": ["linked_at", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["duplicate", "follows", "related"])),
                        name="incident_links_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("incident", models.F("other")), _negated=True),
                        name="incident_links_two_incidents",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="incident_links_say_why"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("removed_at", None)),
                        fields=("incident", "other", "kind"),
                        name="incident_links_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("kind", "duplicate"), ("removed_at", None)),
                        fields=("incident",),
                        name="incident_links_duplicate_of_one",
                    ),
                ],
            },
        ),
    ]
