"""The briefs over HTTP, and what readers and commanders say about them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import PeopleOnly, required
from accounts.principals import Service
from accounts.roles import Can
from accounts.visibility import may
from incidents import actions, clock, drafter
from incidents.brief import Told, brief
from incidents.door import COMMANDS, IF_MATCH, ONE, READS, Command, Door
from incidents.executive import as_json, exec_brief, facts_of
from incidents.lifecycle import Severity
from incidents.models import Origin
from incidents.serializers import IncidentDetail, Stamped
from majorops.lib.errors import Invalid
from majorops.lib.fields import Body, Shown, Text, Time
from majorops.lib.times import iso, to_millisecond

AUDIENCES = ("stakeholder", "executive")


class OneBrief(Door):
    """The page of an audience, as data."""

    parameters = frozenset({"audience"})
    permission_classes = [READS]

    @extend_schema(
        parameters=[OpenApiParameter("audience", str, enum=AUDIENCES, description="Default: stakeholder.")],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, incident_id: str) -> Response:
        """What this audience reads of the incident now. `executive` is for those who read the executive brief."""
        wanted = request.query_params.get("audience", "stakeholder")
        if wanted not in AUDIENCES:
            raise Invalid(f"audience must be one of {', '.join(AUDIENCES)}.", field="audience", allowed=AUDIENCES)
        now = to_millisecond(timezone.now())
        if wanted == "stakeholder":
            return Response(self._for_stakeholders(now), headers={"ETag": self.tag_of(self.incident)})
        if not may(self.sender, Can.READ_EXECUTIVE):
            raise required(self.sender, Can.READ_EXECUTIVE)
        if isinstance(self.sender, Service):
            raise PeopleOnly
        return Response(as_json(exec_brief(self.incident, self.sender, now)))

    def _for_stakeholders(self, now: Any) -> dict[str, Any]:
        incident = self.incident
        shown = brief(incident, self.sender, now)
        return {
            "audience": "stakeholder",
            "id": incident.pk,
            "title": incident.title,
            "severity": Severity(incident.severity).label,
            "status": incident.get_status_display(),
            "phase": incident.phase,
            "phaseLabel": shown.phase.label,
            "detectedAt": iso(incident.detected_at),
            "resolvedAt": iso(incident.resolved_at) if incident.resolved_at else None,
            "elapsedMs": shown.elapsed // timedelta(milliseconds=1),
            "nextUpdateEta": iso(incident.next_update_eta) if incident.next_update_eta else None,
            "nextUpdateState": clock.next_update(incident.next_update_eta, now).state,
            "promises": {"kept": shown.kept, "judged": shown.judged},
            "customerImpactSummary": incident.customer_impact_summary,
            "audienceNotes": incident.audience_notes,
            "affectedSystems": incident.affected_systems,
            "milestones": [{"sequence": row.number, "title": row.title, **_told(row)} for row in shown.told],
            "updates": [_told(row) for row in shown.updates],
        }


def _told(row: Told) -> dict[str, Any]:
    return {"at": iso(row.at), "body": row.body, "by": row.by}


class QuestionBody(Body):
    question = Text(max_length=1000)


class QuestionShown(Shown):
    asked_at = Time()


class Questions(Door):
    permission_classes = [READS]

    @extend_schema(request=QuestionBody, responses={201: QuestionShown})
    def post(self, request: Request, incident_id: str) -> Response:
        """Ask the incident manager, as a person. One question in five minutes (429); the answer comes as an update."""
        if isinstance(self.sender, Service):
            raise PeopleOnly
        body = self.read(QuestionBody)
        entry = actions.ask(self.incident, body["question"], stamp=body["stamp"])
        return Response(QuestionShown({"asked_at": entry.recorded_at}).data, status=201)


class ReceiptShown(Shown):
    sequence = serializers.IntegerField(help_text="The milestone that was read.")
    read_at = Time()


class Read(Door):
    permission_classes = [READS]

    @extend_schema(request=None, responses=ReceiptShown)
    def post(self, request: Request, incident_id: str) -> Response:
        """You have read up to the newest milestone. The second time changes nothing."""
        receipt = actions.confirm_read(self.incident, stamp=self.read(Stamped)["stamp"])
        return Response(ReceiptShown({"sequence": receipt.milestone.sequence, "read_at": receipt.read_at}).data)


class SummaryBody(Stamped):
    body = Text(max_length=1200, help_text="One paragraph.")


class DraftBody(Body):
    body = Text(max_length=1200, required=False, help_text="Your words. Without them the rules draft.")


class DraftShown(Shown):
    body = serializers.CharField()
    origin = serializers.ChoiceField(choices=Origin.values)


class SummaryDraft(Door):
    permission_classes = [COMMANDS]

    @extend_schema(request=DraftBody, responses={201: DraftShown})
    def post(self, request: Request, incident_id: str) -> Response:
        """Keep a draft of the executive summary. Executives read it only once a person has accepted it."""
        said = self.read(DraftBody)
        stamp, words = said["stamp"], said.get("body", "")
        if words:
            made = drafter.Draft(words, Origin.PERSON)
        else:
            made = drafter.by_rules(facts_of(self.incident, self.sender, stamp.now))
        kept = actions.draft_summary(self.incident, made.body, origin=made.origin, stamp=stamp)
        return Response(DraftShown(kept).data, status=201)


class SummaryAccepted(Command):
    @extend_schema(request=SummaryBody, responses=IncidentDetail, parameters=[IF_MATCH])
    def post(self, request: Request, incident_id: str) -> Response:
        """Stand for this wording of the executive summary. For people only."""
        said = self.read(SummaryBody)
        version = self.expected_version()
        actions.accept_summary(self.incident, said["body"], stamp=said["stamp"], expected_version=version)
        return self.written(self.incident)


urlpatterns = [
    path(f"{ONE}/brief", OneBrief.as_view(), name="brief"),
    path(f"{ONE}/questions", Questions.as_view(), name="questions"),
    path(f"{ONE}/read", Read.as_view(), name="read"),
    path(f"{ONE}/exec-summary/draft", SummaryDraft.as_view(), name="exec-summary-draft"),
    path(f"{ONE}/exec-summary/accept", SummaryAccepted.as_view(), name="exec-summary-accept"),
]
