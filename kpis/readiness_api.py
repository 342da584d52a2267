"""How reliably a team comes when it is called, for programs."""

from __future__ import annotations

from typing import Any, cast

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import Capable, principal_of
from accounts.roles import Can
from kpis.credit_settings import LEVELS
from kpis.readiness import asked, board, sheet
from kpis.readiness_exports import beside, documented
from kpis.readiness_rules import WINDOWS
from kpis.serializers import Documented
from majorops.lib.conditional import Tagged
from majorops.lib.fields import Time
from majorops.lib.paging import PAGE_PARAMETERS, NewestFirst, StrictFilters, check_query
from teams.models import Team


class CreditShown(Documented):
    """Null while too few dispatches are judged: a class that is not known is never 10."""

    points = serializers.FloatField(allow_null=True)
    status = serializers.ChoiceField(choices=["rated", "provisional", "unrated"])

    def get_fields(self) -> dict[str, serializers.Field]:
        return {"class": serializers.IntegerField(allow_null=True), **super().get_fields()}


class RollingShown(CreditShown):
    days = serializers.IntegerField()
    mean_minutes = serializers.FloatField(allow_null=True)
    within_limit = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()


class LevelShown(CreditShown):
    box = serializers.ChoiceField(choices=list(LEVELS))
    limit_minutes = serializers.FloatField()
    ack_limit_minutes = serializers.FloatField(allow_null=True, help_text="Null: acknowledging is not scored.")
    n = serializers.IntegerField(help_text="Judged: met, missed and no_show.")
    outcomes = serializers.DictField(child=serializers.IntegerField())
    within_limit = serializers.FloatField(allow_null=True)
    mean_minutes = serializers.FloatField(allow_null=True)
    median_minutes = serializers.FloatField(allow_null=True)
    p90_minutes = serializers.FloatField(allow_null=True, help_text="Null where nobody came.")
    acknowledged = serializers.DictField(child=serializers.IntegerField())
    parts = serializers.ListField(child=serializers.DictField())
    rolling = RollingShown(many=True)
    coverage = serializers.FloatField(allow_null=True)
    ack_coverage = serializers.FloatField(allow_null=True)
    confidence = serializers.FloatField(allow_null=True)
    evidence = serializers.CharField()
    reasons = serializers.ListField(child=serializers.CharField())
    outlook = serializers.DictField(allow_null=True, help_text="What would move the class.")


class DispatchShown(Documented):
    id = serializers.CharField()
    incident = serializers.CharField(allow_null=True, help_text="Null where you may not read it.")
    box = serializers.CharField(allow_null=True)
    paged_at = Time()
    outcome = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True, help_text="Why it does not count.")
    arrival_minutes = serializers.FloatField(allow_null=True)
    ack_minutes = serializers.FloatField(allow_null=True)
    confidence = serializers.FloatField()


class RuleShown(Documented):
    version = serializers.IntegerField()
    since = Time(allow_null=True)
    reason = serializers.CharField()


class ReadinessShown(Documented):
    """The dispatch credit of one team."""

    team = serializers.CharField()
    name = serializers.CharField()
    rated_box = serializers.CharField(allow_null=True)
    as_of = Time()
    window = serializers.CharField()
    rule = RuleShown()
    overall = CreditShown()
    trend = serializers.DictField()
    levels = LevelShown(many=True)
    withheld = serializers.ListField(child=serializers.CharField(), help_text="Levels with too few to show you.")
    dispatches = DispatchShown(
        many=True, allow_null=True, help_text="The newest 200; null where you see the class only."
    )
    dispatch_count = serializers.IntegerField(allow_null=True)


class BesideShown(Documented):
    """One team beside the others."""

    team = serializers.CharField()
    name = serializers.CharField()
    points = serializers.FloatField(allow_null=True)
    classes = serializers.DictField(child=serializers.IntegerField(allow_null=True), help_text="By alarm level.")
    n = serializers.IntegerField(help_text="Judged dispatches.")
    within_limit = serializers.FloatField(allow_null=True)
    median_minutes = serializers.FloatField(allow_null=True)
    trend = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "class": serializers.IntegerField(allow_null=True)}


class MaySeeSomeTeam(Capable):
    """People who read incidents may be on a team; programs need the scope for teams."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        may_be_on_one = getattr(request.user, "can", lambda capability: False)(Can.READ_INCIDENTS)
        return bool(may_be_on_one) or self.allows(request, Can.READ_TEAMS)


_PARAMETERS = [
    OpenApiParameter("window", str, enum=[f"{days}d" for days in WINDOWS], description="Default: 90d."),
    OpenApiParameter("box", str, enum=list(LEVELS), description="One alarm level. Default: all."),
    OpenApiParameter("as_of", str, description="A day or a time, e.g. 2026-03-02. Default: now."),
]


class Readiness(APIView):
    """The class of a team per alarm level, where it comes from, and what would move it."""

    permission_classes: list[type[BasePermission]] = [MaySeeSomeTeam]
    parameters = frozenset({"window", "box", "as_of"})

    @extend_schema(parameters=_PARAMETERS, responses=ReadinessShown)
    def get(self, request: Request, slug: str) -> Response:
        """Teams you see nothing of are not found."""
        reader = principal_of(request)
        said = {name: request.query_params.get(name, "") for name in ("window", "box", "as_of")}
        return Response(documented(sheet(reader, slug, asked(timezone.now(), **said)), reader))


class AllReadiness(Tagged, ListAPIView[Team]):
    """The class of every team, by name."""

    permission_classes: list[type[BasePermission]] = [MaySeeSomeTeam]
    serializer_class = BesideShown
    queryset = Team.objects.none()  # for the schema; `board` finds the reader's
    filter_backends = [StrictFilters]

    @extend_schema(operation_id="readiness", parameters=_PARAMETERS)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Teams you see nothing of are left out."""
        check_query(request, PAGE_PARAMETERS | {"window", "box", "as_of"})
        said = {name: request.query_params.get(name, "") for name in ("window", "box", "as_of")}
        rows = [beside(record) for record in board(principal_of(request), asked(timezone.now(), **said)).records]
        return self.get_paginated_response(cast(NewestFirst, self.paginator).of_few(rows, "team", request))


urlpatterns = [
    path("readiness", AllReadiness.as_view(), name="readiness"),
    path("teams/<slug:slug>/readiness", Readiness.as_view(), name="team-readiness"),
]
