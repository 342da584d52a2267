"""Incidents over HTTP: the list, one in full, and the actions that change the incident itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from django.http import Http404, HttpResponse, HttpResponseNotModified
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import required
from accounts.roles import Can
from incidents import actions, answers, reading
from incidents.actions import Stamp
from incidents.door import IF_MATCH, ONE, READS, READS_OR_COMMANDS, Command, Door, example
from incidents.filters import IncidentFilter
from incidents.models import Incident
from incidents.serializers import (
    CommandBody,
    DeclareBody,
    EditBody,
    IncidentDetail,
    IncidentShown,
    MetricsShown,
    PhaseBody,
    ReopenBody,
    ResolveBody,
    StatusBody,
)
from incidents.viewing import check_may_edit, check_may_publish
from majorops.lib.conditional import IfMatchMissing, is_known
from majorops.lib.paging import PAGE_PARAMETERS, NewestFirst, check_query
from majorops.lib.times import to_millisecond


class ByDetection(NewestFirst):
    ordering = ("-detected_at", "-id")


class Incidents(Door, ListAPIView[Incident]):
    """Incidents, newest detection first, without log, updates and milestones."""

    permission_classes = [READS_OR_COMMANDS]
    serializer_class = IncidentShown
    queryset = Incident.objects.none()
    pagination_class = ByDetection
    filterset_class = IncidentFilter

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        check_query(request, PAGE_PARAMETERS.union(IncidentFilter.base_filters))
        if "team" in request.query_params and not self.sender.can(Can.READ_TEAMS):
            raise required(self.sender, Can.READ_TEAMS)
        pages = cast(ByDetection, self.paginator)
        window = pages.window(request, Incident)
        narrowed = {name: str(value) for name, value in request.query_params.items() if name not in PAGE_PARAMETERS}
        page = pages.page(reading.incident_rows(self.sender, narrowed, window))
        return self.get_paginated_response([reading.listed(row, self.sender) for row in page])

    @extend_schema(
        request=DeclareBody,
        responses={201: IncidentDetail},
        examples=[example("Declared by hand", title="Checkout is slow", severity="High", affectedSystems=["Checkout"])],
    )
    def post(self, request: Request) -> Response:
        """Declare an incident. The id is in the answer and in `Location`."""
        body = self.read(DeclareBody)
        stamp: Stamp = body.pop("stamp")
        check_may_edit(self.sender, body)
        detected_at = body.pop("detected_at", stamp.at)
        opened = actions.open_incident(stamp=replace(stamp, at=detected_at), **body)
        response = self.written(opened, 201)
        response["Location"] = f"{request.path}/{opened.pk}"
        return response


class OneIncident(Door):
    permission_classes = [READS_OR_COMMANDS]
    serializer_class = IncidentDetail

    def get(self, request: Request, incident_id: str) -> HttpResponse:
        """One incident in full, as far as you may read it. With If-None-Match: 304 while nothing of it changed."""
        answer = answers.answer_for(self.sender, incident_id)
        if answer is None:
            raise Http404("No Incident matches the given query.")
        headers = {"ETag": answer.tag, "Cache-Control": "private, no-cache"}
        if is_known(request, answer.tag):
            return HttpResponseNotModified(headers=headers)
        return HttpResponse(answers.body_of(answer, self.sender), content_type="application/json", headers=headers)

    @extend_schema(request=EditBody, parameters=[OpenApiParameter("If-Match", str, "header", required=True)])
    def patch(self, request: Request, incident_id: str) -> Response:
        """Change descriptive fields. Needs If-Match; the log keeps the old values."""
        if "If-Match" not in request.headers:
            raise IfMatchMissing
        changes = self.read(EditBody)
        stamp = changes.pop("stamp")
        check_may_edit(self.sender, changes)
        actions.edit_incident(self.incident, changes, stamp=stamp, expected_version=self.expected_version())
        return self.written(self.incident)


class Metrics(Door):
    permission_classes = [READS]
    serializer_class = MetricsShown

    def get(self, request: Request, incident_id: str) -> Response:
        """The five derived figures. The durations run on by themselves: 304 says that nothing else has changed."""
        now = to_millisecond(timezone.now())
        shown = MetricsShown(self.incident, context={**self.get_serializer_context(), "now": now}).data
        return Response(shown, headers={"ETag": self.tag_of(self.incident)})


class Phase(Command):
    @extend_schema(request=PhaseBody, responses=IncidentDetail, parameters=[IF_MATCH])
    def post(self, request: Request, incident_id: str) -> Response:
        """Move to a later phase, or back into 2 or 3 with a reason."""
        body = self.read(PhaseBody)
        actions.advance_phase(self.incident, body.pop("phase"), expected_version=self.expected_version(), **body)
        return self.written(self.incident)


class StatusOf(Command):
    @extend_schema(request=StatusBody, responses=IncidentDetail, parameters=[IF_MATCH])
    def post(self, request: Request, incident_id: str) -> Response:
        """Active or Monitoring."""
        body = self.read(StatusBody)
        actions.change_status(self.incident, body.pop("status"), expected_version=self.expected_version(), **body)
        return self.written(self.incident)


class CommandTeam(Command):
    @extend_schema(request=CommandBody, responses=IncidentDetail, parameters=[IF_MATCH])
    def post(self, request: Request, incident_id: str) -> Response:
        """Hand a command role to somebody, or leave it unclaimed."""
        body = self.read(CommandBody)
        actions.assign_role(self.incident, body.pop("role"), expected_version=self.expected_version(), **body)
        return self.written(self.incident)


class Resolve(Command):
    @extend_schema(request=ResolveBody, responses=IncidentDetail, parameters=[IF_MATCH])
    def post(self, request: Request, incident_id: str) -> Response:
        """Close the incident with a final milestone, which stakeholders read."""
        check_may_publish(self.sender)
        actions.resolve(self.incident, expected_version=self.expected_version(), **self.read(ResolveBody))
        return self.written(self.incident)


class Reopen(Command):
    @extend_schema(request=ReopenBody, responses={200: IncidentDetail, 201: IncidentDetail}, parameters=[IF_MATCH])
    def post(self, request: Request, incident_id: str) -> Response:
        """Take a resolved incident up again, with a reason. Too late to be the same, it opens a new one that is linked
        to it: 201, and `Location` says where."""
        body = self.read(ReopenBody)
        taken_up = actions.reopen(self.incident, expected_version=self.expected_version(), **body)
        if taken_up.pk == self.incident.pk:
            return self.written(self.incident)
        response = self.written(taken_up, 201)
        response["Location"] = request.path.replace(self.incident.pk, taken_up.pk).removesuffix("/reopen")
        return response


urlpatterns = [
    path("incidents", Incidents.as_view(), name="incidents"),
    path(ONE, OneIncident.as_view(), name="incident"),
    path(f"{ONE}/phase", Phase.as_view(), name="phase"),
    path(f"{ONE}/status", StatusOf.as_view(), name="status"),
    path(f"{ONE}/command", CommandTeam.as_view(), name="command"),
    path(f"{ONE}/metrics", Metrics.as_view(), name="metrics"),
    path(f"{ONE}/resolve", Resolve.as_view(), name="resolve"),
    path(f"{ONE}/reopen", Reopen.as_view(), name="reopen"),
]
