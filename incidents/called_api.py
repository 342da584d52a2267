"""Who is called to an incident and who came, over HTTP: paged teams, participants, "I'm here"."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import required
from accounts.roles import Can
from incidents import actions
from incidents.door import COMMANDS, ONE, READS, READS_OR_COMMANDS, ByCreation, Door, example
from incidents.models import Participant, TeamPage
from incidents.serializers import (
    ArrivalBody,
    EntryShown,
    HereBody,
    HereShown,
    InviteBody,
    ParticipantShown,
    Stamped,
    StandDownBody,
    TeamPageBody,
    TeamPageShown,
)
from incidents.viewing import arrival_source, check_may_answer, check_may_post
from majorops.lib.errors import Invalid
from majorops.lib.fields import Shown
from majorops.lib.paging import NewestFirst
from majorops.lib.visibility import visible
from teams.models import Team


class ByPage(NewestFirst):
    ordering = ("-paged_at", "-id")


class TeamPages(Door, ListAPIView[TeamPage]):
    """Which teams were paged and when they came, newest first."""

    permission_classes = [READS_OR_COMMANDS]
    serializer_class = TeamPageShown
    queryset = TeamPage.objects.none()
    pagination_class = ByPage

    def get_queryset(self) -> QuerySet[TeamPage]:
        if not self.viewer.reads_teams:
            raise required(self.sender, Can.READ_TEAMS)
        return visible(self.incident.team_pages.select_related("team", "user"), self.sender)

    @extend_schema(
        request=TeamPageBody,
        responses={200: TeamPageShown, 201: TeamPageShown},
        examples=[example("By name, alias or slug", team="database")],
    )
    def post(self, request: Request, incident_id: str) -> Response:
        """Page a team. One that has not come yet is called again: 200 and a higher `pageCount`."""
        page = actions.page_team(self.incident, **self.read(TeamPageBody))
        return Response(TeamPageShown(page).data, status=201 if page.page_count == 1 else 200)


class OnePage(Door):
    """Base of what a paged team, or the incident manager for it, says about the page."""

    permission_classes = [READS]
    serializer_class: type[Shown] = TeamPageShown

    def page(self) -> TeamPage:
        # Void rows too: a tap on a page that was open before an undo counts on what replaced the row.
        pages = visible(self.incident.team_pages(manager="with_voided").select_related("team"), self.sender)
        return get_object_or_404(pages, pk=self.kwargs["page_id"])


class Acknowledge(OnePage):
    @extend_schema(request=Stamped, responses=TeamPageShown)
    def post(self, request: Request, incident_id: str, page_id: str) -> Response:
        """The team is coming."""
        page = self.page()
        check_may_answer(self.sender, page)
        acknowledged = actions.acknowledge_page(self.incident, page, **self.read(Stamped))
        return Response(TeamPageShown(acknowledged).data)


class Arrive(OnePage):
    @extend_schema(request=ArrivalBody, responses=TeamPageShown)
    def post(self, request: Request, incident_id: str, page_id: str) -> Response:
        """The team is on the bridge: "I'm here", or seen by the incident manager."""
        page, body = self.page(), self.read(ArrivalBody)
        body["arrival_source"] = arrival_source(self.sender, page, body.get("arrival_source"))
        return Response(TeamPageShown(actions.record_arrival(self.incident, page, **body)).data)


class StandDown(OnePage):
    permission_classes = [COMMANDS]

    @extend_schema(request=StandDownBody, responses=TeamPageShown)
    def post(self, request: Request, incident_id: str, page_id: str) -> Response:
        """The team need not come any more."""
        return Response(TeamPageShown(actions.stand_down(self.incident, self.page(), **self.read(StandDownBody))).data)


class WrongTeam(OnePage):
    permission_classes = [COMMANDS]
    serializer_class = EntryShown

    @extend_schema(request=StandDownBody, responses={201: EntryShown})
    def post(self, request: Request, incident_id: str, page_id: str) -> Response:
        """The team should not have been called. The call is taken back and counts for nobody; the log keeps both."""
        entry = actions.wrong_team(self.incident, self.page(), **self.read(StandDownBody))
        return Response(EntryShown(entry, context={"audience": self.viewer}).data, status=201)


class Here(Door):
    permission_classes = [READS]
    serializer_class = HereShown

    @extend_schema(request=HereBody, responses=HereShown)
    def post(self, request: Request, incident_id: str) -> Response:
        """ "I'm here". You take part from now on, and your paged team has arrived. The second time changes nothing.

        A tap that waited for the network says when it was: `at`.
        """
        check_may_post(self.sender, self.incident)
        body = self.read(HereBody)
        if slug := body.pop("team", ""):
            body["team"] = self._team(slug)
        return Response(HereShown(actions.report_here(self.incident, **body)).data)

    def _team(self, slug: str) -> Team:
        pages = visible(self.incident.team_pages.select_related("team"), self.sender)
        page = pages.filter(team__slug=slug).first()
        if page is None:
            raise Invalid("That team was not paged for this incident.", field="team")
        return page.team


class Participants(Door, ListAPIView[Participant]):
    """Who takes part, newest first."""

    permission_classes = [READS_OR_COMMANDS]
    serializer_class = ParticipantShown
    queryset = Participant.objects.none()
    pagination_class = ByCreation

    def get_queryset(self) -> QuerySet[Participant]:
        return visible(self.incident.participants.select_related("user"), self.sender)

    @extend_schema(request=InviteBody, responses=ParticipantShown)
    def post(self, request: Request, incident_id: str) -> Response:
        """Invite a person. The second time changes nothing."""
        body = self.read(InviteBody)
        return Response(ParticipantShown(actions.invite(self.incident, body.pop("user"), **body)).data)


urlpatterns = [
    path(f"{ONE}/team-pages", TeamPages.as_view(), name="team-pages"),
    path(f"{ONE}/team-pages/<ulid:page_id>/acknowledge", Acknowledge.as_view(), name="acknowledge"),
    path(f"{ONE}/team-pages/<ulid:page_id>/arrive", Arrive.as_view(), name="arrive"),
    path(f"{ONE}/team-pages/<ulid:page_id>/stand-down", StandDown.as_view(), name="stand-down"),
    path(f"{ONE}/team-pages/<ulid:page_id>/wrong-team", WrongTeam.as_view(), name="wrong-team"),
    path(f"{ONE}/participants", Participants.as_view(), name="participants"),
    path(f"{ONE}/here", Here.as_view(), name="here"),
]
