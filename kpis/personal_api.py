"""Response times of single people for programs of people: one's own, and the audited look at somebody else's."""

from __future__ import annotations

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.permissions import PeopleOnly, allowed_to, principal_of
from accounts.roles import Can
from kpis import personal
from kpis.actions import Editor
from kpis.serializers import Documented
from majorops.lib.fields import Body, Text, Time


class SpreadShown(Documented):
    window = serializers.CharField()
    n = serializers.IntegerField(allow_null=True, help_text="Null below five.")
    mean_minutes = serializers.FloatField(allow_null=True)
    median_minutes = serializers.FloatField(allow_null=True)
    p90_minutes = serializers.FloatField(allow_null=True)
    reason = serializers.CharField(allow_null=True, help_text="Why there is no figure.")


class AnswerShown(Documented):
    ref = serializers.CharField()
    paged_at = Time()
    minutes = serializers.FloatField()
    confidence = serializers.FloatField(allow_null=True)
    incident = serializers.CharField(allow_null=True, help_text="Null where you may not open it any more.")
    counts = serializers.BooleanField(help_text="False for a restricted incident: it is in no figure.")
    kept = serializers.BooleanField(help_text="False beyond the retention: it is in no figure and on no page.")


class LookShown(Documented):
    at = Time()
    by = serializers.CharField()
    reason = serializers.CharField()


class OwnShown(Documented):
    """Everything that is known of your own response times."""

    person = serializers.CharField()
    as_of = Time()
    kept_days = serializers.IntegerField()
    figures = SpreadShown(many=True)
    answers = AnswerShown(many=True)
    looks = LookShown(many=True, help_text="Who looked at your figure, and what for.")


class LookBody(Body):
    person = Text(max_length=254, help_text="E-mail address.")
    reason = Text(max_length=300, help_text="What you need it for. The person can read it.")


class LookedAtShown(Documented):
    person = serializers.CharField()
    figure = SpreadShown()


class Own(APIView):
    """Your own response times, all of them: also what is too old to be shown on the page."""

    permission_classes = [allowed_to(Can.READ_INCIDENTS)]

    @extend_schema(operation_id="own_response_times", responses=OwnShown)
    def get(self, request: Request) -> Response:
        """For people. A program has no response times."""
        return Response(personal.export(_person(request), timezone.now()))


class Looks(APIView):
    """One figure of one person, for whom an administrator has named. Every look is written down."""

    permission_classes = [allowed_to(Can.READ_INCIDENTS)]

    @extend_schema(operation_id="look_at_response_times", request=LookBody, responses=LookedAtShown)
    def post(self, request: Request) -> Response:
        """There is no list and no order of people."""
        editor = Editor(_person(request), timezone.now(), request._request)
        personal.check_may_look(editor.person, editor.now)
        said = LookBody.read(request)
        whom, figure = personal.look(editor, said["person"], reason=said["reason"])
        return Response({"person": whom.email, "figure": personal.documented(figure)})


def _person(request: Request) -> User:
    sender = principal_of(request)
    if not isinstance(sender, User):
        raise PeopleOnly
    return sender


urlpatterns = [
    path("users/me/response-times", Own.as_view(), name="own-response-times"),
    path("response-times/looks", Looks.as_view(), name="response-time-looks"),
]
