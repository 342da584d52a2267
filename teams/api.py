"""The directory of teams over HTTP. Those who read team response read it, administrators write it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.idempotency import effect
from accounts.permissions import by_method, principal_of
from accounts.roles import Can
from accounts.serializers import Person
from majorops.lib.conditional import IF_MATCH, Tagged, check_match, digest
from majorops.lib.fields import Body, OneOf, Text, by_value
from majorops.lib.paging import NewestFirst, StrictFilters
from majorops.lib.visibility import visible
from teams import actions
from teams.alarm import AlarmLevel
from teams.filters import TeamFilter
from teams.models import Team
from teams.serializers import TeamShown

READS_OR_KEEPS = by_method(GET=Can.READ_TEAMS, POST=Can.ADMINISTER, PATCH=Can.ADMINISTER)


class TeamEdit(Body):
    """What is named is set; aliases and members are added to those there are."""

    rated_box = OneOf(AlarmLevel, shown=by_value, allow_null=True, required=False)
    on_call_contact = Text(max_length=200, allow_blank=True, required=False)
    is_active = serializers.BooleanField(required=False, help_text="Whether it can be paged.")
    aliases = serializers.ListField(child=Text(max_length=80), max_length=50, required=False)
    members = serializers.ListField(child=Person(), max_length=200, required=False, help_text="E-mail addresses.")


class TeamBody(TeamEdit):
    name = Text(max_length=80)
    slug = serializers.SlugField(max_length=64, required=False, help_text="Default: made of the name.")


class BySlug(NewestFirst):
    ordering = ("slug",)


class Teams(Tagged, ListAPIView[Team]):
    """All teams by slug, those that are switched off too."""

    permission_classes = [READS_OR_KEEPS]
    serializer_class = TeamShown
    queryset = Team.objects.none()  # for the schema; get_queryset finds the reader's
    pagination_class = BySlug
    filter_backends = [StrictFilters]
    filterset_class = TeamFilter

    def get_queryset(self) -> QuerySet[Team]:
        return visible(Team.objects.prefetch_related("aliases", "members"), principal_of(self.request))

    @extend_schema(request=TeamBody, responses={201: TeamShown})
    def post(self, request: Request) -> Response:
        """Add a team. 409 if another is called so."""
        said = TeamBody.read(request)
        with effect():
            team = actions.add_team(said.pop("name"), slug=said.pop("slug", ""), **said)
        shown = TeamShown(self.get_queryset().get(pk=team.pk)).data
        return Response(shown, status=201, headers={"Location": f"{request.path}/{team.slug}"})


class OneTeam(Tagged, RetrieveAPIView[Team]):
    """One team."""

    permission_classes = [READS_OR_KEEPS]
    serializer_class = TeamShown
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[Team]:
        return visible(Team.objects.prefetch_related("aliases", "members"), principal_of(self.request))

    @extend_schema(request=TeamEdit, responses=TeamShown, parameters=[IF_MATCH])
    def patch(self, request: Request, slug: str) -> Response:
        """Change a team. Needs If-Match."""
        team: Team = self.get_object()
        check_match(request, digest(TeamShown(team).data))
        said: dict[str, Any] = TeamEdit.read(request)
        actions.change_team(team, **said)
        shown = TeamShown(get_object_or_404(self.get_queryset(), pk=team.pk)).data
        return Response(shown, headers={"ETag": f'"{digest(shown)}"'})


urlpatterns = [
    path("teams", Teams.as_view(), name="teams"),
    path("teams/<slug:slug>", OneTeam.as_view(), name="team"),
]
