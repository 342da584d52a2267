"""The directory of teams. It is curated in admin; the API reads it."""

from __future__ import annotations

from django.db.models import QuerySet
from django.urls import path
from rest_framework.generics import ListAPIView, RetrieveAPIView

from accounts.permissions import allowed_to, principal_of
from accounts.roles import Can
from majorops.lib.paging import NewestFirst, StrictFilters
from majorops.lib.visibility import visible
from teams.filters import TeamFilter
from teams.models import Team
from teams.serializers import TeamShown


class BySlug(NewestFirst):
    ordering = ("slug",)


class Teams(ListAPIView[Team]):
    """All teams by slug, those that are switched off too."""

    permission_classes = [allowed_to(Can.READ_TEAMS)]
    serializer_class = TeamShown
    queryset = Team.objects.none()  # for the schema; get_queryset finds the reader's
    pagination_class = BySlug
    filter_backends = [StrictFilters]
    filterset_class = TeamFilter

    def get_queryset(self) -> QuerySet[Team]:
        return visible(Team.objects.prefetch_related("aliases", "members"), principal_of(self.request))


class OneTeam(RetrieveAPIView[Team]):
    """One team."""

    permission_classes = [allowed_to(Can.READ_TEAMS)]
    serializer_class = TeamShown
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[Team]:
        return visible(Team.objects.prefetch_related("aliases", "members"), principal_of(self.request))


urlpatterns = [
    path("teams", Teams.as_view(), name="teams"),
    path("teams/<slug:slug>", OneTeam.as_view(), name="team"),
]
