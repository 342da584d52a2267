"""What is published of an incident, over HTTP: updates and milestones."""

from __future__ import annotations

from django.db.models import QuerySet
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from incidents import actions
from incidents.door import ONE, READS_OR_COMMANDS, ByCreation, Door, example, ulid_in
from incidents.models import Milestone, StatusUpdate
from incidents.serializers import MilestoneBody, MilestoneShown, UpdateBody, UpdateShown
from incidents.viewing import check_may_publish, with_entries
from majorops.lib.errors import Invalid
from majorops.lib.paging import NewestFirst
from majorops.lib.visibility import visible


class Updates(Door, ListAPIView[StatusUpdate]):
    """The published notes you may read, newest first."""

    permission_classes = [READS_OR_COMMANDS]
    serializer_class = UpdateShown
    queryset = StatusUpdate.objects.none()
    pagination_class = ByCreation

    def get_queryset(self) -> QuerySet[StatusUpdate]:
        return visible(self.incident.updates.all(), self.sender)

    @extend_schema(
        request=UpdateBody,
        responses={201: UpdateShown},
        examples=[example("For stakeholders", content="We are looking into it.", visibility="public")],
    )
    def post(self, request: Request, incident_id: str) -> Response:
        """Publish a note, to stakeholders (public) or to the responders (internal)."""
        body = self.read(UpdateBody)
        update = actions.post_update(self.incident, body.pop("content"), **body)
        return Response(UpdateShown(update).data, status=201)


class BySequence(NewestFirst):
    ordering = ("-sequence",)


class Milestones(Door, ListAPIView[Milestone]):
    """The milestones, newest first."""

    permission_classes = [READS_OR_COMMANDS]
    serializer_class = MilestoneShown
    queryset = Milestone.objects.none()
    pagination_class = BySequence

    def get_queryset(self) -> QuerySet[Milestone]:
        return with_entries(visible(self.incident.milestones.all(), self.sender), self.sender)

    @extend_schema(request=MilestoneBody, responses={201: MilestoneShown})
    def post(self, request: Request, incident_id: str) -> Response:
        """Cut a milestone for stakeholders and executives, and promise the next."""
        check_may_publish(self.sender)
        body = self.read(MilestoneBody)
        body["entries"] = self._entries(body.get("entries", []))
        milestone = actions.cut_milestone(self.incident, **body)
        return Response(MilestoneShown(milestone, context=self.get_serializer_context()).data, status=201)

    def _entries(self, wanted: list[str]) -> list[str]:
        """Ids of entries, in the order they were named. Raises Invalid for one that its sender cannot read."""
        ids = [ulid_in(text, "entries") for text in wanted]
        known = set(visible(self.incident.timeline.filter(pk__in=ids), self.sender).values_list("pk", flat=True))
        if strange := next((each for each in ids if each not in known), None):
            raise Invalid(f"The log of this incident has no entry {strange}.", field="entries")
        return ids


urlpatterns = [
    path(f"{ONE}/updates", Updates.as_view(), name="updates"),
    path(f"{ONE}/milestones", Milestones.as_view(), name="milestones"),
]
