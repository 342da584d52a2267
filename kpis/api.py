"""KPI definitions over HTTP: reading them, and for administrators changing them. Their history, and scorecards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.idempotency import effect
from accounts.models import User
from accounts.permissions import allowed_to, by_method, principal_of
from accounts.principals import Principal
from accounts.roles import Can
from kpis import actions, exports, scorecards
from kpis.actions import Editor
from kpis.definition_bodies import DefinitionBody, DefinitionEdit, edit_of
from kpis.errors import EditedMeanwhile
from kpis.filters import DefinitionFilter
from kpis.models import KpiDefinition, KpiDefinitionVersion
from kpis.serializers import DefinitionShown, RevisionShown, ScorecardShown
from kpis.standing import Standings
from kpis.viewing import figures_of
from majorops.lib.conditional import IF_MATCH, ChangedMeanwhile, Tagged, check_match, digest
from majorops.lib.paging import NewestFirst, StrictFilters
from majorops.lib.visibility import visible

READS_OR_DEFINES = by_method(GET=Can.READ_INCIDENTS, POST=Can.DEFINE_KPIS, PATCH=Can.DEFINE_KPIS)


def state_of(definition: KpiDefinition) -> str:
    """What stands, the draft included, as the first part of an ETag."""
    return digest(actions.state_of(definition))[:12]


def answer(definition: KpiDefinition, reader: Principal, status: int = 200) -> Response:
    """The definition as its reader sees it. The tag of who may change it begins with what they would change."""
    figures = figures_of([definition], reader, Standings([definition], timezone.now()))
    shown = DefinitionShown(definition, context={"figures": figures}).data
    state = f"{state_of(definition)}-" if reader.can(Can.DEFINE_KPIS) else ""
    return Response(shown, status=status, headers={"ETag": f'"{state}{digest(shown)}"'})


def editor_of(request: Request) -> Editor:
    """A person; behind a program stands no account, and the audit trail names it."""
    sender = principal_of(request)
    return Editor(sender if isinstance(sender, User) else None, timezone.now(), request._request)


class BySlug(NewestFirst):
    ordering = ("slug",)


class Definitions(Tagged, ListAPIView[KpiDefinition]):
    """The KPI definitions whose numbers you may read, each with its newest figures."""

    permission_classes = [READS_OR_DEFINES]
    serializer_class = DefinitionShown
    queryset = KpiDefinition.objects.none()  # for the schema; get_queryset finds the reader's
    pagination_class = BySlug
    filter_backends = [StrictFilters]
    filterset_class = DefinitionFilter

    def get_queryset(self) -> QuerySet[KpiDefinition]:
        return visible(KpiDefinition.objects.prefetch_related("targets"), principal_of(self.request))

    @extend_schema(request=DefinitionBody, responses={201: DefinitionShown})
    def post(self, request: Request) -> Response:
        """Define a KPI. It is a draft that only administrators see, until `POST /kpis/{slug}/publish`."""
        said, editor = DefinitionBody.read(request), editor_of(request)
        slug, reason = said.pop("slug"), said.pop("reason")
        with effect():
            actions.create(slug, edit_of(said), editor, reason=reason)
        made = self.get_queryset().get(slug=slug)
        response = answer(made, principal_of(request), 201)
        response["Location"] = f"{request.path}/{slug}"
        return response

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page: Sequence[KpiDefinition] = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or ()
        figures = figures_of(page, principal_of(request), Standings(page, timezone.now()))
        shown = DefinitionShown(page, many=True, context={"figures": figures})
        return self.get_paginated_response(shown.data)


class Definition(Tagged, RetrieveAPIView[KpiDefinition]):
    """One KPI definition."""

    permission_classes = [READS_OR_DEFINES]
    serializer_class = DefinitionShown
    queryset = KpiDefinition.objects.none()
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[KpiDefinition]:
        return visible(KpiDefinition.objects.prefetch_related("targets"), principal_of(self.request))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return answer(self.get_object(), principal_of(request))

    @extend_schema(request=DefinitionEdit, responses=DefinitionShown, parameters=[IF_MATCH])
    def patch(self, request: Request, slug: str) -> Response:
        """Change it. Formula, spec and units become a draft, which runs once it is published; the rest holds at once.
        Needs If-Match; the version history keeps why."""
        definition, editor = self.get_object(), editor_of(request)
        check_match(request, state_of(definition))
        said = DefinitionEdit.read(request)
        reason = said.pop("reason")
        seen = actions.state_of(definition)
        try:
            actions.save(definition, edit_of(said, definition), editor, reason=reason, seen=seen)
        except EditedMeanwhile:
            raise ChangedMeanwhile from None
        return answer(self.get_object(), principal_of(request))


class ScorecardData(Tagged):
    """A scorecard: per KPI the value, its target, how it moved, its weeks, and how far to trust it."""

    parameters = frozenset({"window"})
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


class ByAge(NewestFirst):
    ordering = ("-changed_at", "-id")


class Revisions(Tagged, ListAPIView[KpiDefinitionVersion]):
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
    path("kpis/<slug:slug>/revisions", Revisions.as_view(), name="kpi-revisions"),
]
