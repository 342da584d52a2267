"""Observations over HTTP: reading values, stating them one by one or many at once, and why a number is what it is."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from drf_standardized_errors.formatter import flatten_errors
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import effect
from accounts.permissions import allowed_to, by_method, principal_of
from accounts.principals import Principal, Service
from accounts.roles import Can
from incidents.models import Incident, TeamPage
from incidents.viewing import incidents_for
from kpis.claims import Claim, record_claim
from kpis.errors import BadClaim, UnknownKpi
from kpis.explain import explain
from kpis.filters import AllObservationsFilter, ObservationFilter
from kpis.models import KpiDefinition, KpiObservation
from kpis.reasons import documented
from kpis.serializers import ClaimBody, Documented, ExplanationShown, FigureBody, ObservationShown
from kpis.viewing import observations_for, renewed_all, stored_for
from majorops.lib.conditional import Tagged
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.paging import NewestFirst, StrictFilters
from majorops.lib.problems import pointer
from majorops.lib.refusals import WrongField, json_pointer
from majorops.lib.times import to_millisecond
from majorops.lib.ulid import parse_ulid
from majorops.lib.visibility import visible

#: Claims in one request.
MOST = 500


class Figures(APIView):
    """Figures of a KPI about everyone, as people and other systems state them."""

    permission_classes = [allowed_to(Can.WRITE_KPIS)]

    @extend_schema(request=FigureBody, responses={200: ObservationShown, 201: ObservationShown})
    def post(self, request: Request, slug: str) -> Response:
        """State a figure. The same again is 200 and the same row; another value is 201 and a new revision."""
        sender = principal_of(request)
        definition = get_object_or_404(visible(KpiDefinition.objects.all(), sender), slug=slug)
        said = FigureBody.read(request)
        stated_by = _stated_by(sender, said.pop("metadata", {}))
        claim = Claim(**said, **stated_by)
        now = to_millisecond(timezone.now())
        observation, outcome = record_claim(definition, None, claim, now=now)
        renewed_all([observation], now)
        shown = ObservationShown(observation, context={"request": request}).data
        return Response(shown, status=200 if outcome == "same" else 201)


class ObservationRows(APIView):
    """Why this number: the rows behind an observation, what each adds, and what was left out and why."""

    permission_classes = [allowed_to(Can.READ_INCIDENTS)]

    @extend_schema(responses=ExplanationShown)
    def get(self, request: Request, slug: str, observation_id: str) -> Response:
        """The stored formula, run again on today's rows. Rows you may not read are counted, not named."""
        reader = principal_of(request)
        found = get_object_or_404(stored_for(reader), kpi=slug, pk=observation_id)
        renewed_all([found], timezone.now())
        return Response(documented(explain(found, reader)))


#: What of a claim's metadata is ours to fill in.
STATED_BY = ("claimedBy", "integration")


def _stated_by(sender: Principal, metadata: dict[str, object]) -> dict[str, Any]:
    """Who stands behind a claim: a person, or in its metadata the integration. Raises BadClaim."""
    if forged := next((name for name in STATED_BY if name in metadata), None):
        raise BadClaim(f"metadata.{forged} is filled in here from who you are. Leave it out.", field="metadata")
    if isinstance(sender, Service):
        return {"by": None, "metadata": {**metadata, "integration": sender.name}}
    return {"by": sender, "metadata": metadata}


#: What can become of a claim.
OUTCOMES = ("new", "changed", "same", "rejected")


class RowDone(Documented):
    row = serializers.IntegerField(help_text="Its place in the list, from 0.")
    outcome = serializers.ChoiceField(choices=list(OUTCOMES))
    id = serializers.CharField(allow_null=True, help_text="Of the observation that stands now.")
    errors = WrongField(many=True)  # type: ignore[assignment]


class ClaimsDone(Documented):
    """received = new + changed + same + rejected."""

    received = serializers.IntegerField()
    new = serializers.IntegerField()
    changed = serializers.IntegerField()
    same = serializers.IntegerField()
    rejected = serializers.IntegerField()
    results = RowDone(many=True)


CLAIMS = PolymorphicProxySerializer(
    component_name="ClaimOrClaims",
    serializers=[ClaimBody, ClaimBody(many=True)],
    resource_type_field_name=None,
    many=False,
)
STATED = PolymorphicProxySerializer(
    component_name="Stated", serializers=[ObservationShown, ClaimsDone], resource_type_field_name=None, many=False
)


class ByTime(NewestFirst):
    ordering = ("-timestamp", "-id")


class Observations(Tagged, ListAPIView[KpiObservation]):
    """The current observations of one incident, of the KPIs you may read."""

    permission_classes = [by_method(GET=Can.READ_INCIDENTS, POST=Can.WRITE_KPIS)]
    serializer_class = ObservationShown
    queryset = KpiObservation.objects.none()
    pagination_class = ByTime
    filter_backends = [StrictFilters]
    filterset_class = ObservationFilter

    @cached_property
    def incident(self) -> Incident:
        return get_object_or_404(incidents_for(principal_of(self.request)), pk=self.kwargs["incident_id"])

    def get_queryset(self) -> QuerySet[KpiObservation]:
        return observations_for(principal_of(self.request), self.incident)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page: Sequence[KpiObservation] = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or ()
        return self.get_paginated_response(self.get_serializer(renewed_all(page, timezone.now()), many=True).data)

    @extend_schema(request=CLAIMS, responses={200: STATED, 201: ObservationShown})
    def post(self, request: Request, incident_id: str) -> Response:
        """State a value, or up to 500 in a list. The same again is 200 and the same row; another value is 201 and a new
        revision. A list is answered row by row with 200: what is refused keeps no other from being stored."""
        if isinstance(request.data, list):
            return Response(self._each(request.data))
        observation, outcome = self._stated(ClaimBody.read(request))
        shown = self.get_serializer(observation).data
        return Response(shown, status=200 if outcome == "same" else 201)

    def _stated(self, said: dict[str, Any]) -> tuple[KpiObservation, str]:
        definition = self._definition(said.pop("kpi"))
        dispatch = self._dispatch(said.pop("subject", None), said.pop("team", None))
        stated_by = _stated_by(principal_of(self.request), said.pop("metadata", {}))
        claim = Claim(**said, **stated_by, team_page_id=dispatch)
        now = to_millisecond(timezone.now())
        observation, outcome = record_claim(definition, self.incident, claim, now=now)
        renewed_all([observation], now)
        return observation, outcome

    def _each(self, claims: Sequence[Any]) -> dict[str, Any]:
        """What became of each claim of a list. They count as one request: sent again under its key, none is stored."""
        if not 1 <= len(claims) <= MOST:
            raise Invalid(f"Send 1 to {MOST} observations at once; these are {len(claims)}.")
        with effect(self.incident):
            results = [self._one_of_many(row, told) for row, told in enumerate(claims)]
        counts = Counter(each["outcome"] for each in results)
        return {"received": len(claims), **{name: counts[name] for name in OUTCOMES}, "results": results}

    def _one_of_many(self, row: int, told: object) -> dict[str, Any]:
        try:
            observation, outcome = self._stated(ClaimBody.checked(told))
        except serializers.ValidationError as error:
            errors = [
                {"pointer": f"/{row}{json_pointer(each.attr)}", "code": each.code, "message": each.detail}
                for each in flatten_errors(error.detail)
            ]
            return {"row": row, "outcome": "rejected", "id": None, "errors": errors}
        except DomainError as error:
            at = f"/{row}{pointer(error.field) if error.field else ''}"
            wrong = {"pointer": at, "code": error.code, "message": error.message}
            return {"row": row, "outcome": "rejected", "id": None, "errors": [wrong]}
        return {"row": row, "outcome": outcome, "id": observation.pk, "errors": []}

    def _definition(self, slug: str) -> KpiDefinition:
        known = visible(KpiDefinition.objects.all(), principal_of(self.request))
        found = known.filter(slug=slug).first()
        if found is None:
            near = difflib.get_close_matches(slug, known.values_list("slug", flat=True))
            meant = f" Did you mean {' or '.join(near)}?" if near else ""
            raise UnknownKpi(f"No KPI has the slug {slug!a}.{meant}", field="kpi", near=near)
        return found

    def _dispatch(self, subject: str | None, team: str | None) -> str | None:
        """The id of the dispatch the claim is about; None if it is about the incident itself."""
        if team is not None:
            return self._only_dispatch_of(team)
        if subject is None or subject == f"incident:{self.incident.pk}":
            return None
        kind, _, key = subject.partition(":")
        try:
            known = kind == "team_page" and self._pages().filter(pk=parse_ulid(key)).exists()
        except ValueError:
            known = False
        if not known:
            raise BadClaim("subject must be team_page:<id> of a page of this incident.", field="subject")
        return key.upper()

    def _pages(self) -> QuerySet[TeamPage]:
        return visible(self.incident.team_pages.all(), principal_of(self.request))

    def _only_dispatch_of(self, team: str) -> str:
        pages = self._pages().filter(team__slug=team).values_list("pk", flat=True)[:2]
        if len(pages) != 1:
            told = "more than once: name the dispatch in subject" if pages else "never"
            raise BadClaim(f"{team!a} was paged {told}.", field="team")
        return pages[0]


class AllObservations(Tagged, ListAPIView[KpiObservation]):
    """The current values of all incidents you may see, of the KPIs you may read, newest first."""

    permission_classes = [allowed_to(Can.READ_EXEC_KPIS)]
    serializer_class = ObservationShown
    queryset = KpiObservation.objects.none()
    pagination_class = ByTime
    filter_backends = [StrictFilters]
    filterset_class = AllObservationsFilter

    def get_queryset(self) -> QuerySet[KpiObservation]:
        found = visible(KpiObservation.objects.current().samples(), principal_of(self.request))
        return found.select_related("definition_version", "kpi").defer("inputs")

    @extend_schema(operation_id="observations_list")
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page: Sequence[KpiObservation] = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or ()
        return self.get_paginated_response(self.get_serializer(renewed_all(page, timezone.now()), many=True).data)


urlpatterns = [
    path("kpis/<slug:slug>/observations", Figures.as_view(), name="kpi-observations"),
    path(
        "kpis/<slug:slug>/observations/<ulid:observation_id>/rows",
        ObservationRows.as_view(),
        name="kpi-observation-rows",
    ),
    path("observations", AllObservations.as_view(), name="observations"),
    path("incidents/<ulid:incident_id>/kpis", Observations.as_view(), name="incident-kpis"),
]
