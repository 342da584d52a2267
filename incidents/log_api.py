"""The log of an incident over HTTP: reading it, writing in it, correcting a line, taking back what one just did."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.principals import Service
from incidents import actions
from incidents.actions import Stamp
from incidents.door import ONE, READS, Door, example, ulid_in
from incidents.errors import UndoRefused
from incidents.filters import EntryFilter
from incidents.models import TimelineEvent
from incidents.serializers import CorrectionBody, EntryBody, EntryShown, UndoBody
from incidents.viewing import check_may_correct, check_may_post
from majorops.lib.fields import Text
from majorops.lib.paging import NewestFirst
from majorops.lib.visibility import visible


class ByOccurrence(NewestFirst):
    ordering = ("-occurred_at", "-id")


class ProgramEntryBody(EntryBody):
    """A program may add who told it. Nobody has proven that, so it stands in the description, not as the actor."""

    claimed_actor = Text(max_length=120, required=False, help_text="Programs only: who it heard this from.")


class Log(Door, ListAPIView[TimelineEvent]):
    """The log as you may read it, newest first."""

    permission_classes = [READS]
    serializer_class = EntryShown
    queryset = TimelineEvent.objects.none()
    pagination_class = ByOccurrence
    filterset_class = EntryFilter

    def get_queryset(self) -> QuerySet[TimelineEvent]:
        return visible(self.incident.timeline.all(), self.sender)

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "audience": self.viewer}

    @extend_schema(
        request=ProgramEntryBody,
        responses={201: EntryShown},
        examples=[example("For the responders", title="Failover started", visibility="internal")],
    )
    def post(self, request: Request, incident_id: str) -> Response:
        """Write a line in the log. For those who command, and those who were called to this incident."""
        check_may_post(self.sender, self.incident)
        body = self.read(ProgramEntryBody if isinstance(self.sender, Service) else EntryBody)
        if told_by := body.pop("claimed_actor", ""):
            body["description"] = f"{body.get('description', '')}\n\nReported by: {told_by}".strip()
        entry = actions.post_entry(self.incident, body.pop("title"), **body)
        return Response(self.get_serializer(entry).data, status=201)


class Correction(Door):
    permission_classes = [READS]
    serializer_class = EntryShown

    @extend_schema(request=CorrectionBody, responses={201: EntryShown})
    def post(self, request: Request, incident_id: str, entry_id: str) -> Response:
        """Correct an entry. A new entry is appended; the original stays."""
        check_may_post(self.sender, self.incident)
        entry = get_object_or_404(visible(self.incident.timeline.all(), self.sender), pk=entry_id)
        check_may_correct(self.sender, self.incident, entry)
        corrected = actions.correct_entry(self.incident, entry, **self.read(CorrectionBody))
        return Response(EntryShown(corrected, context={"audience": self.viewer}).data, status=201)


class Undo(Door):
    permission_classes = [READS]
    serializer_class = EntryShown

    @extend_schema(request=UndoBody, responses={201: EntryShown})
    def post(self, request: Request, incident_id: str) -> Response:
        """Take back what you just did: within 30 seconds, "I'm here" within 2 minutes. The log keeps both."""
        check_may_post(self.sender, self.incident)
        body = self.read(UndoBody)
        entry = self._entry(body.pop("entry", ""), body["stamp"])
        undone = actions.undo(self.incident, entry, **body)
        return Response(EntryShown(undone, context={"audience": self.viewer}).data, status=201)

    def _entry(self, entry_id: str, stamp: Stamp) -> TimelineEvent:
        if entry_id:
            entry_id = ulid_in(entry_id, "entry")
            return get_object_or_404(visible(self.incident.timeline.all(), self.sender), pk=entry_id)
        offered = actions.undoable(self.incident, stamp.by, stamp.now) if stamp.by else []
        if not offered:
            raise UndoRefused("There is nothing of yours to undo: it is too long ago, or something newer changed it.")
        return offered[0].event


urlpatterns = [
    path(f"{ONE}/timeline", Log.as_view(), name="timeline"),
    path(f"{ONE}/timeline/<ulid:entry_id>/correct", Correction.as_view(), name="correct"),
    path(f"{ONE}/undo", Undo.as_view(), name="undo"),
]
