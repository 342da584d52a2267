"""Incidents over HTTP. Reads are lists and one full contract; each write calls one function of actions."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any, cast

import orjson
from django.db.models import QuerySet
from django.http import Http404, HttpResponseNotModified
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import allowed_to, by_method, principal_of, required
from accounts.principals import Principal, Service
from accounts.roles import Can
from incidents import actions, reading
from incidents.actions import Stamp
from incidents.audience import Audience
from incidents.errors import IncidentChanged, UndoRefused
from incidents.filters import EntryFilter, IncidentFilter
from incidents.lifecycle import Visibility
from incidents.models import Incident, Milestone, Participant, Source, StatusUpdate, TeamPage, TimelineEvent
from incidents.serializers import (
    ArrivalBody,
    CommandBody,
    CorrectionBody,
    DeclareBody,
    EditBody,
    EntryBody,
    EntryShown,
    HereBody,
    HereShown,
    IncidentDetail,
    IncidentShown,
    InviteBody,
    MetricsShown,
    MilestoneBody,
    MilestoneShown,
    ParticipantShown,
    PhaseBody,
    ReopenBody,
    ResolveBody,
    Stamped,
    StandDownBody,
    StatusBody,
    TeamPageBody,
    TeamPageShown,
    UndoBody,
    UpdateBody,
    UpdateShown,
)
from incidents.viewing import (
    arrival_source,
    audience_for,
    check_may_answer,
    check_may_correct,
    check_may_edit,
    check_may_post,
    check_may_publish,
    incidents_for,
    with_entries,
    with_marks,
)
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.fields import Body, Shown, Text
from majorops.lib.paging import PAGE_PARAMETERS, NewestFirst, StrictFilters, check_query
from majorops.lib.problems import camel
from majorops.lib.times import to_millisecond
from majorops.lib.ulid import parse_ulid
from majorops.lib.visibility import readable, visible
from teams.models import Team

READS = allowed_to(Can.READ_INCIDENTS)
COMMANDS = allowed_to(Can.COMMAND)
READS_OR_COMMANDS = by_method(GET=Can.READ_INCIDENTS, POST=Can.COMMAND, PATCH=Can.COMMAND)
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The ETag of what was read.")


def example(name: str, **body: object) -> OpenApiExample:
    """A request that is accepted as it stands."""
    return OpenApiExample(name, value=body, request_only=True)


class IfMatchMissing(DomainError):
    """Send If-Match with the ETag of the incident as you read it, so that nobody's change is overwritten unseen."""

    code = "if_match_missing"
    status = 428


def stamp_of(sender: Principal, *, at: datetime, now: datetime) -> Stamp:
    """By a person; or in the name of a program, behind which no account stands."""
    if isinstance(sender, Service):
        return Stamp(by=None, at=at, now=now, source=Source.API, name=sender.name)
    return Stamp(by=sender, at=at, now=now, source=Source.API)


class Door(GenericAPIView[Any]):
    """What every view here needs: the body, the stamp, and the incident of the address as its reader sees it."""

    # Lists name their model by an empty queryset, for the schema; get_queryset finds the reader's rows.
    filter_backends = [StrictFilters]

    @property
    def sender(self) -> Principal:
        return principal_of(self.request)

    @cached_property
    def incident(self) -> Incident:
        return get_object_or_404(with_marks(incidents_for(self.sender), self.sender), pk=self.kwargs["incident_id"])

    @property
    def viewer(self) -> Audience:
        return audience_for(self.sender, self.incident)

    def read(self, body: type[Body]) -> dict[str, Any]:
        """The checked body, with `stamp` in place of `at`. Raises ScopeRequired for what its sender may not publish."""
        read = body.read(self.request)
        if read.get("visibility", Visibility.INTERNAL) != Visibility.INTERNAL:
            check_may_publish(self.sender)
        now = to_millisecond(timezone.now())
        read["stamp"] = stamp_of(self.sender, at=read.pop("at", now), now=now)
        return read

    def shown(self, incident: Incident, status: int = 200) -> Response:
        """The incident in full, as far as its reader reads it."""
        shown = IncidentDetail(incident, context=self.get_serializer_context()).data
        return Response(shown, status=status, headers={"ETag": self.tag_of(incident)})

    def written(self, incident: Incident, status: int = 200) -> Response:
        """The incident as it is after a write."""
        return self.shown(self.now_of(incident), status)

    def now_of(self, incident: Incident) -> Incident:
        """The incident as it is now, with what its tag is made of."""
        return with_marks(incidents_for(self.sender), self.sender).get(pk=incident.pk)

    def tag_of(self, incident: Incident) -> str:
        """The ETag, made of what this reader reads and nothing else. For those who read the version it begins with it:
        that part is what If-Match is held against, so that a line in the log is nobody's conflict."""
        shown = IncidentShown(incident, context=self.get_serializer_context()).data
        return tag(shown, [getattr(incident, name) for name in MARKS])

    def expected_version(self) -> int | None:
        """What If-Match names; None without one, and for `*`. What is no tag of ours matches none."""
        tags = parse_etags(self.request.headers.get("If-Match", "*"))
        if tags == ["*"]:
            return None
        if "version" not in readable(Incident, self.sender, self.incident):
            return self.incident.version if self.tag_of(self.incident) in tags else 0
        versions = (tag.strip('"').partition("-")[0] for tag in tags)
        return next((int(version) for version in versions if version.isdecimal()), 0)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """What was read has a tag; whoever has it already gets 304."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if request.method == "GET" and response.status_code == 200:
            kind = getattr(response, "accepted_media_type", "")
            if "ETag" not in response:
                response["ETag"] = f'"{digest([response.data, kind] if kind == "text/csv" else response.data)}"'
            response["Cache-Control"] = "private, no-cache"
            if is_known(request, response["ETag"]):
                return not_modified(response)
        return response

    def handle_exception(self, exc: Exception) -> Response:
        if not isinstance(exc, IncidentChanged):
            return super().handle_exception(exc)
        if "If-Match" in self.request.headers:
            exc.status = 412
        current = self.now_of(self.incident)
        seen = readable(Incident, self.sender, current)
        exc.details = {name: _seen(value, seen) for name, value in exc.details.items() if name != "version"} | (
            {"version": current.version} if "version" in seen else {}
        )
        response = super().handle_exception(exc)
        response["ETag"] = self.tag_of(current)
        return response


#: What a tag is made of beside what the list shows: the ledgers' lengths, and who the reader is to the incident.
MARKS = ("entries_read", "milestones_read", "was_called")


def tag(shown: Mapping[str, Any], marks: list[Any]) -> str:
    version = f"{shown['version']}-" if "version" in shown else ""
    return f'"{version}{digest([shown, marks])}"'


def digest(shown: object) -> str:
    """A short fingerprint of what is shown."""
    return hashlib.sha256(orjson.dumps(shown, default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()[:20]


def is_known(request: Request, tag: str) -> bool:
    """Whether If-None-Match names it. Compared weakly, as RFC 9110 says."""
    tags = {known.removeprefix("W/") for known in parse_etags(request.headers.get("If-None-Match", ""))}
    return bool(tags & {tag, "*"})


def not_modified(response: Any) -> HttpResponseNotModified:
    kept = {name: response[name] for name in ("ETag", "Cache-Control", "Vary") if name in response}
    return HttpResponseNotModified(headers=kept)


def _seen(value: object, columns: Collection[str]) -> object:
    """The part of a conflict's details that their reader reads."""
    if isinstance(value, dict):
        return {camel(name): one for name, one in value.items() if name in columns}
    if isinstance(value, list):
        return [{**one, "field": camel(one["field"])} for one in value if one["field"] in columns]
    return value


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

    def get(self, request: Request, incident_id: str) -> Response:
        """One incident in full, as far as you may read it. With If-None-Match: 304 while nothing of it changed."""
        row = reading.incident_row(self.sender, incident_id)
        if row is None:
            raise Http404("No Incident matches the given query.")
        known = tag(reading.listed(row, self.sender), [row[name] for name in MARKS])
        if is_known(request, known):
            return Response(status=304, headers={"ETag": known, "Cache-Control": "private, no-cache"})
        return Response(reading.in_full(row, self.sender), headers={"ETag": known})

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


class Command(Door):
    """Base of the actions that change the incident itself. They answer with the incident."""

    permission_classes = [COMMANDS]
    serializer_class = IncidentDetail


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


class ByCreation(NewestFirst):
    ordering = ("-created_at", "-id")


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


def _ulid(text: str, field: str) -> str:
    try:
        return parse_ulid(text)
    except ValueError as error:
        raise Invalid(str(error), field=field) from None


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
        ids = [_ulid(text, "entries") for text in wanted]
        known = set(visible(self.incident.timeline.filter(pk__in=ids), self.sender).values_list("pk", flat=True))
        if strange := next((each for each in ids if each not in known), None):
            raise Invalid(f"The log of this incident has no entry {strange}.", field="entries")
        return ids


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
            try:
                entry_id = parse_ulid(entry_id)
            except ValueError as error:
                raise Invalid(str(error), field="entry") from None
            return get_object_or_404(visible(self.incident.timeline.all(), self.sender), pk=entry_id)
        offered = actions.undoable(self.incident, stamp.by, stamp.now) if stamp.by else []
        if not offered:
            raise UndoRefused("There is nothing of yours to undo: it is too long ago, or something newer changed it.")
        return offered[0].event


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


ONE = "incidents/<ulid:incident_id>"

urlpatterns = [
    path("incidents", Incidents.as_view(), name="incidents"),
    path(ONE, OneIncident.as_view(), name="incident"),
    path(f"{ONE}/phase", Phase.as_view(), name="phase"),
    path(f"{ONE}/status", StatusOf.as_view(), name="status"),
    path(f"{ONE}/command", CommandTeam.as_view(), name="command"),
    path(f"{ONE}/timeline", Log.as_view(), name="timeline"),
    path(f"{ONE}/timeline/<ulid:entry_id>/correct", Correction.as_view(), name="correct"),
    path(f"{ONE}/updates", Updates.as_view(), name="updates"),
    path(f"{ONE}/milestones", Milestones.as_view(), name="milestones"),
    path(f"{ONE}/team-pages", TeamPages.as_view(), name="team-pages"),
    path(f"{ONE}/team-pages/<ulid:page_id>/acknowledge", Acknowledge.as_view(), name="acknowledge"),
    path(f"{ONE}/team-pages/<ulid:page_id>/arrive", Arrive.as_view(), name="arrive"),
    path(f"{ONE}/team-pages/<ulid:page_id>/stand-down", StandDown.as_view(), name="stand-down"),
    path(f"{ONE}/team-pages/<ulid:page_id>/wrong-team", WrongTeam.as_view(), name="wrong-team"),
    path(f"{ONE}/participants", Participants.as_view(), name="participants"),
    path(f"{ONE}/here", Here.as_view(), name="here"),
    path(f"{ONE}/undo", Undo.as_view(), name="undo"),
    path(f"{ONE}/metrics", Metrics.as_view(), name="metrics"),
    path(f"{ONE}/resolve", Resolve.as_view(), name="resolve"),
    path(f"{ONE}/reopen", Reopen.as_view(), name="reopen"),
]
