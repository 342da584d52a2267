"""What every view of an incident over HTTP needs: who asks, the body, the incident as its reader sees it, its tag."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response

from accounts.permissions import allowed_to, by_method, principal_of
from accounts.principals import Principal, Service
from accounts.roles import Can
from incidents.actions import Stamp
from incidents.audience import Audience
from incidents.errors import IncidentChanged
from incidents.lifecycle import Visibility
from incidents.models import Incident, Source
from incidents.serializers import IncidentDetail, IncidentShown
from incidents.viewing import audience_for, check_may_publish, incidents_for, with_marks
from majorops.lib.conditional import Tagged, digest
from majorops.lib.errors import Invalid
from majorops.lib.fields import Body
from majorops.lib.paging import NewestFirst, StrictFilters
from majorops.lib.problems import camel
from majorops.lib.times import to_millisecond
from majorops.lib.ulid import parse_ulid
from majorops.lib.visibility import readable

ONE = "incidents/<ulid:incident_id>"
READS = allowed_to(Can.READ_INCIDENTS)
COMMANDS = allowed_to(Can.COMMAND)
READS_OR_COMMANDS = by_method(GET=Can.READ_INCIDENTS, POST=Can.COMMAND, PATCH=Can.COMMAND)
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The ETag of what was read.")


def example(name: str, **body: object) -> OpenApiExample:
    """A request that is accepted as it stands."""
    return OpenApiExample(name, value=body, request_only=True)


def stamp_of(sender: Principal, *, at: datetime, now: datetime) -> Stamp:
    """By a person; or in the name of a program, behind which no account stands."""
    if isinstance(sender, Service):
        return Stamp(by=None, at=at, now=now, source=Source.API, name=sender.name)
    return Stamp(by=sender, at=at, now=now, source=Source.API)


class Door(Tagged, GenericAPIView[Any]):
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


def _seen(value: object, columns: Collection[str]) -> object:
    """The part of a conflict's details that their reader reads."""
    if isinstance(value, dict):
        return {camel(name): one for name, one in value.items() if name in columns}
    if isinstance(value, list):
        return [{**one, "field": camel(one["field"])} for one in value if one["field"] in columns]
    return value


class Command(Door):
    """Base of the actions that change the incident itself. They answer with the incident."""

    permission_classes = [COMMANDS]
    serializer_class = IncidentDetail


class ByCreation(NewestFirst):
    ordering = ("-created_at", "-id")


def ulid_in(text: str, field: str) -> str:
    """The id that a field of a body names. Raises Invalid."""
    try:
        return parse_ulid(text)
    except ValueError as error:
        raise Invalid(str(error), field=field) from None
