"""What is learned from an incident: its review, what the review found, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from incidents.follow_ups import OVER, FollowUpState, FollowUpType, Priority
from incidents.models.incident import Incident
from incidents.models.shared import Source, one_of
from incidents.review import Prefill, ReviewState
from majorops.lib.appendonly import AppendOnly
from majorops.lib.ulid import ULIDField, new_ulid

if TYPE_CHECKING:
    from datetime import date, datetime


class ReviewSection(models.Model):
    """One section of the template that new reviews begin with. Reviews copy it: a change touches no review."""

    slug = models.SlugField(max_length=40, unique=True, help_text="Its name for programs, e.g. went_well.")
    title = models.CharField(max_length=80, help_text="The heading people read.")
    help_text = models.TextField(blank=True, help_text="Shown below the heading while writing. Ask about causes.")
    prefill = models.CharField(
        max_length=16, blank=True, choices=Prefill.choices, help_text="What it begins with, from the record."
    )
    position = models.PositiveSmallIntegerField(default=0, help_text="Small numbers come first.")
    is_required = models.BooleanField(default=False, help_text="A review is not published while this is empty.")
    is_active = models.BooleanField(default=True, help_text="Off: new reviews begin without it.")

    class Meta:
        db_table = "review_sections"
        ordering = ["position", "slug"]
        constraints = [one_of("prefill", Prefill, "review_sections_prefill_known")]

    def __str__(self) -> str:
        return self.title


class ContributingFactor(models.Model):
    """Something that helps incidents come about, named once so that it can be counted."""

    slug = models.SlugField(max_length=40, unique=True, help_text="Its name for programs, e.g. monitoring-gap.")
    name = models.CharField(max_length=80, help_text="What people tick, e.g. Gap in monitoring.")
    help_text = models.CharField(max_length=200, blank=True, help_text="When to tick it, in one line.")
    is_active = models.BooleanField(default=True, help_text="Off: no longer offered; reviews that name it keep it.")

    class Meta:
        db_table = "contributing_factors"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ReviewQuerySet(models.QuerySet["LearningReview"]):
    def unpublished(self) -> Self:
        """Those still owed, the most urgent first."""
        return self.exclude(state=ReviewState.PUBLISHED).order_by("due_at", "pk")

    def overdue(self, now: datetime) -> Self:
        return self.unpublished().filter(due_at__lt=now)


class LearningReview(models.Model):
    """What people learn from one incident, as it stands now. How it came to that is in ReviewRevision."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.OneToOneField(Incident, models.PROTECT, related_name="review")
    owner = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", help_text="Who sees it through."
    )
    state = models.CharField(max_length=10, choices=ReviewState.choices, default=ReviewState.DRAFT)
    due_at = models.DateTimeField(help_text="When it should be published.")
    sections = models.JSONField(default=list, help_text="[{key, title, help, required, text}] in their order.")
    public_text = models.TextField(
        blank=True,
        help_text="For the status page: anybody reads it once the review is published, if the incident is there.",
    )
    factors = models.ManyToManyField(ContributingFactor, blank=True, related_name="reviews")
    published_at = models.DateTimeField(null=True, blank=True, help_text="When it was first published.")
    version = models.PositiveIntegerField(default=1, editable=False, help_text="Grows with every change.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ReviewQuerySet.as_manager()

    class Meta:
        db_table = "learning_reviews"
        ordering = ["due_at", "id"]
        indexes = [models.Index(fields=["state", "due_at"], name="reviews_state_due")]
        constraints = [
            one_of("state", ReviewState, "reviews_state_known"),
            models.CheckConstraint(
                condition=~Q(state=ReviewState.PUBLISHED) | Q(published_at__isnull=False),
                name="reviews_published_says_when",
            ),
            models.CheckConstraint(
                condition=Q(state=ReviewState.DRAFT) | Q(owner__isnull=False), name="reviews_owner_beyond_draft"
            ),
        ]

    def __str__(self) -> str:
        return f"Learning review: {self.incident}"


class FollowUpQuerySet(models.QuerySet["FollowUp"]):
    def unfinished(self) -> Self:
        return self.exclude(state__in=OVER)

    def overdue(self, today: date) -> Self:
        return self.unfinished().filter(due_on__lt=today)


class FollowUp(models.Model):
    """Something to be done because of an incident. Its history is in ReviewRevision too."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    review = models.ForeignKey(LearningReview, models.PROTECT, related_name="follow_ups")
    title = models.CharField(max_length=200, help_text="What will be different, e.g. Alert on replica lag.")
    details = models.TextField(blank=True, help_text="How one sees that it is done. Links to tickets go here.")
    type = models.CharField(max_length=10, choices=FollowUpType.choices, help_text="What it is for.")
    priority = models.CharField(max_length=6, choices=Priority.choices, default=Priority.MEDIUM)
    owner = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+", help_text="Who does it.")
    due_on = models.DateField(null=True, blank=True, help_text="The last day (UTC) on which it is in time.")
    state = models.CharField(max_length=11, choices=FollowUpState.choices, default=FollowUpState.OPEN)
    closed_at = models.DateTimeField(null=True, blank=True, help_text="When it was done or dropped.")
    version = models.PositiveIntegerField(default=1, editable=False, help_text="Grows with every change.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = FollowUpQuerySet.as_manager()

    class Meta:
        db_table = "follow_ups"
        ordering = [models.F("due_on").asc(nulls_last=True), "id"]
        indexes = [models.Index(fields=["state", "due_on"], name="follow_ups_state_due")]
        constraints = [
            one_of("type", FollowUpType, "follow_ups_type_known"),
            one_of("priority", Priority, "follow_ups_priority_known"),
            one_of("state", FollowUpState, "follow_ups_state_known"),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in OVER], closed_at__isnull=False)
                | (~Q(state__in=[state.value for state in OVER]) & Q(closed_at=None)),
                name="follow_ups_over_says_when",
            ),
        ]

    def __str__(self) -> str:
        return self.title


class ReviewRevision(AppendOnly):
    """One change of a review or of one of its follow-ups: who, when, and each value before and after."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    review = models.ForeignKey(LearningReview, models.PROTECT, related_name="revisions")
    follow_up = models.ForeignKey(
        FollowUp, models.PROTECT, null=True, blank=True, related_name="revisions", help_text="Empty: the review itself."
    )
    version = models.PositiveIntegerField(help_text="The version that this change made.")
    changes = models.JSONField(default=dict, help_text="Field: [old, new]; sections as section:KEY.")
    reason = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=160, help_text="The name shown; kept as it was at the time.")
    actor_user = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    recorded_at = models.DateTimeField(default=timezone.now)
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.WEB)

    class Meta:
        db_table = "review_revisions"
        ordering = ["recorded_at", "id"]
        constraints = [
            one_of("source", Source, "review_revisions_source_known"),
            models.UniqueConstraint(
                fields=["review", "version"], condition=Q(follow_up=None), name="review_revisions_one_each"
            ),
            models.UniqueConstraint(
                fields=["follow_up", "version"],
                condition=Q(follow_up__isnull=False),
                name="follow_up_revisions_one_each",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor}: {', '.join(self.changes) or 'begun'}"
