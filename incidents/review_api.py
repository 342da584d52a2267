"""Reviews, follow-ups and surveys over HTTP. Each write calls one function of actions."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.middleware import open_to_anyone
from accounts.permissions import by_method
from accounts.roles import Can
from accounts.serializers import Person
from incidents import actions
from incidents.actions import Stamp
from incidents.actions.reviews import PUBLIC_LENGTH
from incidents.door import ONE, READS, Door
from incidents.filters import ReviewFilter
from incidents.follow_ups import FollowUpState, FollowUpType, Priority
from incidents.models import FollowUp, LearningReview, Source
from incidents.pages import NothingHere
from incidents.review import ReviewState
from incidents.review_export import as_text
from incidents.status_read import review_needs_a_yes
from incidents.survey_answers import latest_of
from incidents.survey_links import invitation_of
from incidents.viewing import check_may_publish
from majorops.lib.conditional import IfMatchMissing
from majorops.lib.errors import Invalid
from majorops.lib.fields import Body, OneOf, Shown, Text, Time, Whole, by_value
from majorops.lib.paging import NewestFirst
from majorops.lib.visibility import visible


class SectionShown(Shown):
    key = serializers.CharField()
    title = serializers.CharField()
    text = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]  # a field of this name, not Field.required


class ReviewShown(Shown):
    id = serializers.CharField()
    incident = serializers.CharField(source="incident_id")
    state = OneOf(ReviewState, shown=by_value)
    owner = serializers.CharField(source="owner.email", default=None, allow_null=True)
    due_at = Time()
    published_at = Time(allow_null=True, help_text="When it was first published.")
    factors = serializers.SerializerMethodField(help_text="Slugs of the contributing factors.")
    sections = SectionShown(many=True)
    public_text = serializers.CharField(help_text="What the status page shows of it, once it is published.")
    version = serializers.IntegerField()

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_factors(self, review: LearningReview) -> list[str]:
        return [each.slug for each in review.factors.all()]


class FollowUpShown(Shown):
    id = serializers.CharField()
    incident = serializers.CharField(source="review.incident_id")
    title = serializers.CharField()
    details = serializers.CharField()
    type = OneOf(FollowUpType, shown=by_value)
    priority = OneOf(Priority, shown=by_value)
    state = OneOf(FollowUpState, shown=by_value)
    owner = serializers.CharField(source="owner.email", default=None, allow_null=True)
    due_on = serializers.DateField(allow_null=True)
    closed_at = Time(allow_null=True)
    version = serializers.IntegerField()


class ReviewText(Shown):
    incident = serializers.CharField()
    markdown = serializers.CharField(help_text="For a wiki or a mail: its texts, the figures and the follow-ups.")


class ReviewBody(Body):
    """What to change: what it says, or its state."""

    sections = serializers.DictField(child=Text(allow_blank=True), required=False, help_text="{key: text}")
    public_text = Text(
        max_length=PUBLIC_LENGTH, allow_blank=True, required=False, help_text="Needs the right to publish."
    )
    owner = Person(allow_null=True, required=False)
    state = OneOf(ReviewState, shown=by_value, required=False)
    reason = Text(max_length=500, allow_blank=True, required=False, help_text="Needed to go back.")


class ByDue(NewestFirst):
    ordering = ("due_at", "id")


class Reviews(Door, ListAPIView[LearningReview]):
    """The reviews you may read, the first due first."""

    permission_classes = [READS]
    serializer_class = ReviewShown
    queryset = LearningReview.objects.none()
    pagination_class = ByDue
    filterset_class = ReviewFilter

    def get_queryset(self) -> QuerySet[LearningReview]:
        return visible(LearningReview.objects.select_related("owner").prefetch_related("factors"), self.sender)


class FollowUps(Door, ListAPIView[FollowUp]):
    """The follow-ups you may read, the newest first."""

    permission_classes = [READS]
    serializer_class = FollowUpShown
    queryset = FollowUp.objects.none()

    def get_queryset(self) -> QuerySet[FollowUp]:
        return visible(FollowUp.objects.select_related("owner", "review"), self.sender)


class Review(Door):
    permission_classes = [by_method(GET=Can.READ_INCIDENTS, POST=Can.COMMAND, PATCH=Can.COMMAND)]
    serializer_class = ReviewShown

    def review(self) -> LearningReview:
        seen = visible(LearningReview.objects.select_related("owner").prefetch_related("factors"), self.sender)
        return get_object_or_404(seen, incident=self.incident)

    def answer(self, status: int = 200) -> Response:
        review = self.review()
        return Response(ReviewShown(review).data, status=status, headers={"ETag": f'"{review.version}"'})

    def get(self, request: Request, incident_id: str) -> Response:
        """The learning review of an incident. Executives read it once it is published."""
        return self.answer()

    @extend_schema(request=None, responses={201: ReviewShown})
    def post(self, request: Request, incident_id: str) -> Response:
        """Begin the review of an incident that was resolved without one."""
        actions.begin_review(self.incident, stamp=self.read(Body)["stamp"])
        return self.answer(201)

    @extend_schema(request=ReviewBody, parameters=[OpenApiParameter("If-Match", str, "header", required=True)])
    def patch(self, request: Request, incident_id: str) -> Response:
        """Change the texts and the owner, or move it to another state. Needs If-Match."""
        review = visible(LearningReview.objects.filter(incident=self.incident), self.sender).first()
        if review is None:
            raise Http404
        if "If-Match" not in request.headers:
            raise IfMatchMissing
        said = self.read(ReviewBody)
        stamp, state, reason = said.pop("stamp"), said.pop("state", None), said.pop("reason", "")
        tag = request.headers["If-Match"].strip().strip('"')
        version = None if tag == "*" else int(tag) if tag.isdecimal() else 0
        if state and said:
            raise Invalid("Send the state by itself, after the words.", field="state")
        if "public_text" in said or (state == ReviewState.PUBLISHED and review_needs_a_yes(self.incident, review)):
            check_may_publish(self.sender)
        if state:
            actions.move_review(self.incident, state, reason=reason, stamp=stamp, expected_version=version)
        else:
            actions.edit_review(self.incident, said, stamp=stamp, expected_version=version)
        return self.answer()


class ReviewAsText(Door):
    permission_classes = [READS]
    serializer_class = ReviewText

    def get(self, request: Request, incident_id: str) -> Response:
        """The learning review of an incident as one text, with its figures and follow-ups as far as you read them."""
        seen = visible(LearningReview.objects.select_related("incident", "owner"), self.sender)
        review = get_object_or_404(seen, incident=self.incident)
        return Response({"incident": self.incident.pk, "markdown": as_text(review, self.sender, timezone.now())})


# --- The survey: whoever has the link ---


class SurveyShown(Shown):
    incident = serializers.CharField(help_text="Its title.")
    closes_at = Time()
    score = serializers.IntegerField(allow_null=True, help_text="Your answer so far.")
    comment = serializers.CharField()


class SurveyBody(Body):
    score = Whole(min_value=1, max_value=5)
    comment = Text(max_length=2000, allow_blank=True, required=False)


class Survey(GenericAPIView[Any]):
    also_refuses = (410,)
    permission_classes = [AllowAny]
    authentication_classes = []
    serializer_class = SurveyShown

    def get(self, request: Request, token: str) -> Response:
        """What is asked, and your answer so far. Nothing is recorded."""
        return self._shown(token)

    @extend_schema(request=SurveyBody, responses=SurveyShown)
    def post(self, request: Request, token: str) -> Response:
        """Answer, or change the answer while the survey is open. 410 once it is closed."""
        invitation, said, now = self._invitation(token), SurveyBody.read(request), timezone.now()
        stamp = Stamp(by=invitation.user, at=now, now=now, source=Source.API)
        comment = said.get("comment", "")
        actions.answer_survey(invitation.incident, invitation, said["score"], comment=comment, stamp=stamp)
        return self._shown(token)

    def _invitation(self, token: str) -> Any:
        invitation = invitation_of(token)
        if invitation is None:
            raise NothingHere
        return invitation

    def _shown(self, token: str) -> Response:
        invitation = self._invitation(token)
        own = latest_of(invitation)
        told = {
            "incident": invitation.incident.title,
            "closes_at": invitation.closes_at,
            "score": own.score if own else None,
            "comment": own.comment if own else "",
        }
        return Response(SurveyShown(told).data, headers={"Cache-Control": "no-store"})


urlpatterns = [
    path("reviews", Reviews.as_view(), name="reviews"),
    path("follow-ups", FollowUps.as_view(), name="follow-ups"),
    path(f"{ONE}/review", Review.as_view(), name="review"),
    path(f"{ONE}/review/text", ReviewAsText.as_view(), name="review-text"),
    path("surveys/<str:token>", open_to_anyone(Survey.as_view()), name="survey"),
]
