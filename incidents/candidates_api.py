"""Candidates over HTTP: alerts that somebody makes an incident of, attaches to one, or dismisses."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from incidents.alerts import deciding
from incidents.alerts.kinds import State
from incidents.door import COMMANDS, Door, example, ulid_in
from incidents.lifecycle import Severity
from incidents.models import Incident, SourceAlert
from incidents.serializers import IncidentDetail, Stamped
from incidents.viewing import incidents_for
from majorops.lib.errors import Invalid
from majorops.lib.fields import OneOf, Shown, Text, Time, by_value
from majorops.lib.paging import NewestFirst
from majorops.lib.visibility import visible


class CandidateShown(Shown):
    id = serializers.CharField()
    source = serializers.CharField(source="source.slug")  # type: ignore[assignment]  # a field of this name
    title = serializers.CharField()
    severity = OneOf(Severity, shown=by_value)
    state = OneOf(State, shown=by_value, help_text="As its source says: it may be over already.")
    issue_time = Time(allow_null=True)
    resolve_time = Time(allow_null=True)
    first_seen_at = Time()
    repeats = serializers.IntegerField(help_text="How often it was said again.")


class OldestFirst(NewestFirst):
    ordering = ("first_seen_at", "id")


class Candidates(Door, ListAPIView[SourceAlert]):
    """Alerts that wait for somebody to decide on them, the oldest first."""

    permission_classes = [COMMANDS]
    serializer_class = CandidateShown
    queryset = SourceAlert.objects.none()
    pagination_class = OldestFirst

    def get_queryset(self) -> QuerySet[SourceAlert]:
        return visible(SourceAlert.objects.waiting().select_related("source"), self.sender)


class AcceptBody(Stamped):
    title = Text(max_length=200, required=False, help_text="Default: that of the alert.")
    severity = OneOf(Severity, required=False, help_text="Default: that of the alert.")


class AttachBody(Stamped):
    incident = serializers.CharField(max_length=26, help_text="The id of an incident that is open.")


class DismissBody(Stamped):
    reason = Text(max_length=500, help_text="Why it is no incident.")


class Candidate(Door):
    """Base of what is decided on one of them, once: 409 afterwards."""

    permission_classes = [COMMANDS]
    serializer_class: type[Shown] = IncidentDetail

    @property
    def alert(self) -> SourceAlert:
        rows = visible(SourceAlert.objects.select_related("source"), self.sender)
        return get_object_or_404(rows, pk=self.kwargs["alert_id"])


class Accept(Candidate):
    @extend_schema(request=AcceptBody, responses={201: IncidentDetail})
    def post(self, request: Request, alert_id: str) -> Response:
        """Open an incident of it, detected when the alert came in."""
        alert, said = self.alert, self.read(AcceptBody)
        title, severity = said.get("title", alert.title), said.get("severity", alert.severity)
        return self.written(deciding.accept(alert, title=title, severity=severity, stamp=said["stamp"]), 201)


class Attach(Candidate):
    @extend_schema(request=AttachBody, examples=[example("An open one", incident="01JD8Q6Z6ZJ5C0M5RKVX9T3W4E")])
    def post(self, request: Request, alert_id: str) -> Response:
        """It belongs to an incident that is open."""
        alert, said = self.alert, self.read(AttachBody)
        return self.written(deciding.attach(alert, self._named(said["incident"]), stamp=said["stamp"]))

    def _named(self, text: str) -> Incident:
        found = incidents_for(self.sender).filter(pk=ulid_in(text, "incident")).first()
        if found is None:
            raise Invalid("No incident has this id.", field="incident")
        return found


class Dismiss(Candidate):
    serializer_class = CandidateShown

    @extend_schema(request=DismissBody)
    def post(self, request: Request, alert_id: str) -> Response:
        """It is no incident. What its source says of it later is kept, and asks nobody again."""
        alert, said = self.alert, self.read(DismissBody)
        return Response(CandidateShown(deciding.dismiss(alert, said["reason"], stamp=said["stamp"])).data)


urlpatterns = [
    path("alerts", Candidates.as_view(), name="candidates"),
    path("alerts/<ulid:alert_id>/accept", Accept.as_view(), name="candidate-accept"),
    path("alerts/<ulid:alert_id>/attach", Attach.as_view(), name="candidate-attach"),
    path("alerts/<ulid:alert_id>/dismiss", Dismiss.as_view(), name="candidate-dismiss"),
]
