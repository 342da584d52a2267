"""KPI definitions, and the observations of one incident."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import allowed_to, by_method, principal_of
from accounts.principals import Principal, Service
from accounts.roles import Can
from incidents.models import Incident, TeamPage
from incidents.viewing import incidents_for
from kpis import exports, scorecards
from kpis.claims import Claim, record_claim
from kpis.errors import BadClaim, UnknownKpi
from kpis.explain import explain
from kpis.filters import DefinitionFilter, ObservationFilter
from kpis.models import KpiDefinition, KpiDefinitionVersion, KpiObservation
from kpis.reasons import documented
from kpis.serializers import (
    ClaimBody,
    DefinitionShown,
    ExplanationShown,
    FigureBody,
    ObservationShown,
    RevisionShown,
    ScorecardShown,
)
from kpis.standing import Standings
from kpis.viewing import figures_of, observations_for, renewed_all, stored_for
from majorops.lib.paging import NewestFirst, StrictFilters
from majorops.lib.times import to_millisecond
from majorops.lib.ulid import parse_ulid
from majorops.lib.visibility import visible


class BySlug(NewestFirst):
    ordering = ("slug",)


class Definitions(ListAPIView[KpiDefinition]):
    """The KPI definitions whose numbers you may read, each with its newest figures."""

    permission_classes = [allowed_to(Can.READ_INCIDENTS)]
    serializer_class = DefinitionShown
    queryset = KpiDefinition.objects.none()  # for the schema; get_queryset finds the reader's
    pagination_class = BySlug
    filter_backends = [StrictFilters]
    filterset_class = DefinitionFilter

    def get_queryset(self) -> QuerySet[KpiDefinition]:
        return visible(KpiDefinition.objects.prefetch_related("targets"), principal_of(self.request))

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page: Sequence[KpiDefinition] = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or ()
        figures = figures_of(page, principal_of(request), Standings(page, timezone.now()))
        shown = DefinitionShown(page, many=True, context={"figures": figures})
        return self.get_paginated_response(shown.data)


class Definition(RetrieveAPIView[KpiDefinition]):
    """One KPI definition."""

    permission_classes = [allowed_to(Can.READ_INCIDENTS)]
    serializer_class = DefinitionShown
    queryset = KpiDefinition.objects.none()
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[KpiDefinition]:
        return visible(KpiDefinition.objects.prefetch_related("targets"), principal_of(self.request))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        definition = self.get_object()
        figures = figures_of([definition], principal_of(request), Standings([definition], timezone.now()))
        return Response(DefinitionShown(definition, context={"figures": figures}).data)


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


class ScorecardData(APIView):
    """A scorecard: per KPI the value, its target, how it moved, its weeks, and how far to trust it."""

    permission_classes = [allowed_to(Can.READ_INCIDENTS)]

    @extend_schema(
        parameters=[OpenApiParameter("window", str, enum=[*map(str, scorecards.SPANS)], description="Days.")],
        responses=ScorecardShown,
    )
    def get(self, request: Request, name: str) -> Response:
        """The KPIs of one audience that you may read."""
        reader = principal_of(request)
        card = scorecards.opened(name, reader, request.query_params.get("window"), timezone.now())
        return Response(exports.scorecard(card))


#: What of a claim's metadata is ours to fill in.
STATED_BY = ("claimedBy", "integration")


def _stated_by(sender: Principal, metadata: dict[str, object]) -> dict[str, Any]:
    """Who stands behind a claim: a person, or in its metadata the integration. Raises BadClaim."""
    if forged := next((name for name in STATED_BY if name in metadata), None):
        raise BadClaim(f"metadata.{forged} is filled in here from who you are. Leave it out.", field="metadata")
    if isinstance(sender, Service):
        return {"by": None, "metadata": {**metadata, "integration": sender.name}}
    return {"by": sender, "metadata": metadata}


class ByTime(NewestFirst):
    ordering = ("-timestamp", "-id")


class Observations(ListAPIView[KpiObservation]):
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

    @extend_schema(request=ClaimBody, responses={200: ObservationShown, 201: ObservationShown})
    def post(self, request: Request, incident_id: str) -> Response:
        """State a value. The same again is 200 and the same row; another value is 201 and a new revision."""
        said = ClaimBody.read(request)
        definition = self._definition(said.pop("kpi"))
        dispatch = self._dispatch(said.pop("subject", None), said.pop("team", None))
        stated_by = _stated_by(principal_of(request), said.pop("metadata", {}))
        claim = Claim(**said, **stated_by, team_page_id=dispatch)
        now = to_millisecond(timezone.now())
        observation, outcome = record_claim(definition, self.incident, claim, now=now)
        renewed_all([observation], now)
        shown = self.get_serializer(observation).data
        return Response(shown, status=200 if outcome == "same" else 201)

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


class AllObservations(ListAPIView[KpiObservation]):
    """The current values of all incidents you may see, of the KPIs you may read, newest first."""

    permission_classes = [allowed_to(Can.READ_EXEC_KPIS)]
    serializer_class = ObservationShown
    queryset = KpiObservation.objects.none()
    pagination_class = ByTime
    filter_backends = [StrictFilters]
    filterset_class = ObservationFilter

    def get_queryset(self) -> QuerySet[KpiObservation]:
        found = visible(KpiObservation.objects.current().samples(), principal_of(self.request))
        return found.select_related("definition_version", "kpi").defer("inputs")

    @extend_schema(operation_id="observations_list")
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page: Sequence[KpiObservation] = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or ()
        return self.get_paginated_response(self.get_serializer(renewed_all(page, timezone.now()), many=True).data)


class ByAge(NewestFirst):
    ordering = ("-changed_at", "-id")


class Revisions(ListAPIView[KpiDefinitionVersion]):
    """A definition as it stood after each change, the newest first."""

    permission_classes = [allowed_to(Can.READ_INTERNAL_KPIS)]
    serializer_class = RevisionShown
    queryset = KpiDefinitionVersion.objects.none()
    pagination_class = ByAge
    filter_backends = [StrictFilters]

    def get_queryset(self) -> QuerySet[KpiDefinitionVersion]:
        reader = principal_of(self.request)
        definition = get_object_or_404(visible(KpiDefinition.objects.all(), reader), slug=self.kwargs["slug"])
        return visible(KpiDefinitionVersion.objects.filter(definition=definition), reader).select_related("changed_by")


urlpatterns = [
    path("kpis", Definitions.as_view(), name="kpis"),
    path("kpis/<slug:slug>", Definition.as_view(), name="kpi"),
    path("scorecards/<slug:name>", ScorecardData.as_view(), name="scorecard"),
    path("kpis/<slug:slug>/observations", Figures.as_view(), name="kpi-observations"),
    path(
        "kpis/<slug:slug>/observations/<ulid:observation_id>/rows",
        ObservationRows.as_view(),
        name="kpi-observation-rows",
    ),
    path("kpis/<slug:slug>/revisions", Revisions.as_view(), name="kpi-revisions"),
    path("observations", AllObservations.as_view(), name="observations"),
    path("incidents/<ulid:incident_id>/kpis", Observations.as_view(), name="incident-kpis"),
]
