"""Trying, publishing and computing KPI definitions over HTTP, and having them as files. For those who define."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import audit
from accounts.idempotency import effect
from accounts.permissions import allowed_to, principal_of
from accounts.roles import Can
from incidents.door import ulid_in
from incidents.models import Incident
from kpis import actions, backfills
from kpis.actions import running_of
from kpis.api import answer, editor_of
from kpis.compute import last_midnight
from kpis.definition_bodies import DefinitionEdit, edit_of
from kpis.exchange import MAX_DEFINITIONS, State, commit, document_of, plan, planned_in_words
from kpis.models import KpiDefinition, KpiRun
from kpis.monitoring.formats import FORMATS
from kpis.preview import check_not_personal, preview, previewed
from kpis.serializers import DefinitionShown, Documented
from majorops.lib.conditional import Tagged
from majorops.lib.errors import Invalid
from majorops.lib.fields import Body, Shown, Text, Time
from majorops.lib.paging import NewestFirst, StrictFilters
from majorops.lib.problems import camel
from majorops.lib.times import iso
from majorops.lib.visibility import visible

DEFINES = allowed_to(Can.DEFINE_KPIS)


class ForDefiners(Tagged):
    permission_classes = [DEFINES]

    def definition(self) -> KpiDefinition:
        known = visible(KpiDefinition.objects.prefetch_related("targets"), principal_of(self.request))
        return get_object_or_404(known, slug=self.kwargs["slug"])


# --- Trying it ---


class SideShown(Documented):
    value = serializers.FloatField(allow_null=True)
    rows = serializers.IntegerField()
    reason = serializers.CharField(allow_null=True, help_text="Why there is no value.")
    target_state = serializers.CharField(allow_null=True)


class ComparedShown(Documented):
    label = serializers.CharField()  # type: ignore[assignment]  # a field of this name, not Field.label
    at = Time(allow_null=True)
    window = serializers.CharField()
    dims = serializers.DictField(child=serializers.CharField(allow_null=True))
    now = SideShown()
    draft = SideShown()
    delta = serializers.FloatField(allow_null=True)
    turns = serializers.BooleanField(help_text="Whether the verdict on the target would be another.")


class PreviewShown(Documented):
    """Each figure as it is and as it would be. Nothing was written."""

    as_of = Time()
    of = serializers.ChoiceField(choices=["body", "draft", "running"], help_text="What was tried.")
    rows_read = serializers.IntegerField()
    totals = ComparedShown(many=True)
    subjects = ComparedShown(many=True, help_text="The last incidents or dispatches.")


class TryBody(DefinitionEdit):
    """What to try; what is not said is as it stands, in the draft if there is one."""

    reason = Text(required=False, help_text="Not kept: nothing is written.")


class Tried(ForDefiners):
    @extend_schema(request=TryBody, responses=PreviewShown)
    def post(self, request: Request, slug: str) -> Response:
        """What this formula and these targets would say of the rows there are. Nothing is written."""
        said = TryBody.read(request)
        said.pop("reason", None)
        definition = self._tried(said)
        check_not_personal(definition, said)
        draft = actions.draft_of(definition)
        of = "body" if said else "draft" if draft else "running"
        edit = edit_of(said, definition)
        running = edit.running or running_of(draft or definition)
        targets = edit.targets if edit.targets is not None else list(definition.targets.all())
        for name, value in edit.described.items():
            setattr(definition, name, value)
        found = preview(definition, running, targets, viewer=principal_of(request), now=timezone.now())
        return Response(previewed(found, of))

    def _tried(self, said: dict[str, Any]) -> KpiDefinition:
        """One that is not there yet can be tried, too: by a body that says all that a new one needs."""
        known = visible(KpiDefinition.objects.prefetch_related("targets"), principal_of(self.request))
        found = known.filter(slug=self.kwargs["slug"]).first()
        if found is None and not {"name", "formula", "units"} <= said.keys():
            raise Http404
        return found or KpiDefinition(slug=self.kwargs["slug"])


# --- Publishing it ---


class ReasonBody(Body):
    reason = Text(max_length=300, help_text="The version history keeps it.")


class Publish(ForDefiners):
    @extend_schema(request=ReasonBody, responses=DefinitionShown)
    def post(self, request: Request, slug: str) -> Response:
        """The draft becomes what runs. What was computed before stays of its version until it is computed again."""
        definition, said = self.definition(), ReasonBody.read(request)
        with effect(definition):
            actions.publish(definition, editor_of(request), reason=said["reason"])
        return answer(definition, principal_of(request))


# --- Computing it ---


class BackfillBody(Body):
    start = Time(required=False, help_text="Values from this moment on. Default: all.")
    end = Time(required=False, help_text="Before this moment, not later than the last midnight, which is the default.")
    dry_run = serializers.BooleanField(required=False, help_text="Only count what would change: 200, no job.")
    incident = serializers.CharField(
        max_length=26, required=False, help_text="Only the values of this incident, as of now, at once: 200, no job."
    )


class Counted(Documented):
    new = serializers.IntegerField()
    changed = serializers.IntegerField()
    same = serializers.IntegerField()
    retired = serializers.IntegerField()
    kept = serializers.IntegerField(help_text="Stated values that are left alone.")
    shadowed = serializers.IntegerField(help_text="Stated values beside which another is kept now.")
    without_value = serializers.DictField(child=serializers.IntegerField(), help_text="Rows that give none, by reason.")
    examples = serializers.ListField(child=serializers.CharField(), help_text="Some of what would change.")


class Queued(Documented):
    kpi = serializers.CharField()
    job = serializers.CharField(help_text="Its id among the background tasks.")
    start = Time(allow_null=True)
    end = Time()


class RunShown(Shown):
    """One computation and how far it came."""

    id = serializers.CharField()
    version = serializers.IntegerField()
    trigger = serializers.CharField()
    as_of = Time()
    started_at = Time()
    ended_at = Time(allow_null=True)
    new = serializers.IntegerField()
    changed = serializers.IntegerField()
    same = serializers.IntegerField()
    retired = serializers.IntegerField()
    kept = serializers.IntegerField()
    progress = serializers.DictField()
    outcome = serializers.CharField(help_text="Empty while it runs, or where it broke off.")


class ByRun(NewestFirst):
    ordering = ("-id",)


class Backfill(ForDefiners, ListAPIView[KpiRun]):
    """The computations of a KPI, newest first."""

    serializer_class = RunShown
    queryset = KpiRun.objects.none()
    pagination_class = ByRun
    filter_backends = [StrictFilters]

    def get_queryset(self) -> QuerySet[KpiRun]:
        return visible(KpiRun.objects.filter(definition=self.definition()), principal_of(self.request))

    @extend_schema(request=BackfillBody, responses={200: Counted, 202: Queued})
    def post(self, request: Request, slug: str) -> Response:
        """Compute its values anew from the recorded rows, in the background. Doing it twice changes nothing."""
        definition, said, midnight = self.definition(), BackfillBody.read(request), last_midnight(timezone.now())
        if "incident" in said:
            return Response(self._of_one(definition, said))
        start, end = said.get("start"), said.get("end", midnight)
        if end > midnight:
            raise Invalid(f"Values are computed up to the last midnight, {iso(midnight)}.", field="end")
        if start is not None and start >= end:
            raise Invalid("start must be before end.", field="start")
        if said.get("dry_run"):
            return Response(_counted(backfills.counted(definition, start, end)))
        with effect(definition):
            job = backfills.queue(definition, start, end)
        told = {"kpi": definition.slug, "job": job, "start": iso(start), "end": iso(end)}
        return Response(told, status=202, headers={"Location": request.path})

    def _of_one(self, definition: KpiDefinition, said: dict[str, Any]) -> dict[str, Any]:
        if "start" in said or "end" in said:
            raise Invalid("incident goes with dryRun alone.", field="incident")
        sender, id = principal_of(self.request), ulid_in(said["incident"], "incident")
        if not visible(Incident.objects.filter(pk=id), sender).exists():
            raise Invalid("No incident has this id.", field="incident")
        with effect(definition):
            return _counted(backfills.of_incident(definition, id, timezone.now(), dry_run=said.get("dry_run", False)))


def _counted(told: dict[str, Any]) -> dict[str, Any]:
    return {camel(name): n for name, n in told.items()}


# --- As files ---


class FileShown(serializers.Serializer[Any]):
    """A definition as a file has it, with the names that files have: `mim kpi export` writes it."""

    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    formula = serializers.CharField()
    units = serializers.CharField()
    spec = serializers.DictField(allow_null=True)
    targets = serializers.ListField(child=serializers.DictField())
    visibility = serializers.CharField()
    stakeholder_visible = serializers.BooleanField()
    is_personal = serializers.BooleanField()
    owner = serializers.CharField()
    review_cadence = serializers.CharField()
    proxy_for = serializers.CharField()


class PlannedShown(Documented):
    kpi = serializers.CharField()
    state = serializers.ChoiceField(choices=[state.value for state in State])
    changes = serializers.ListField(child=serializers.CharField(), help_text="Names of the fields that would change.")
    error = serializers.CharField(allow_null=True)


class ImportedShown(Documented):
    planned = PlannedShown(many=True)
    saved = serializers.ListField(child=serializers.CharField(), help_text="What became of each. Empty for a dry run.")


class ImportBody(Body):
    definitions = serializers.ListField(
        child=serializers.DictField(), max_length=MAX_DEFINITIONS, help_text="As GET shows them."
    )
    dry_run = serializers.BooleanField(required=False, help_text="Only say what would change.")
    publish = serializers.BooleanField(required=False, help_text="Publish changed formulas; else they wait as drafts.")
    reason = Text(max_length=300, required=False, help_text="Why; the version history keeps it.")


class BySlug(NewestFirst):
    ordering = ("slug",)


class Files(ForDefiners, ListAPIView[KpiDefinition]):
    """Every definition as a file has it: as it runs; one that never ran, as its draft says."""

    serializer_class = FileShown
    queryset = KpiDefinition.objects.none()
    pagination_class = BySlug
    filter_backends = [StrictFilters]

    def get_queryset(self) -> QuerySet[KpiDefinition]:
        return visible(KpiDefinition.objects.prefetch_related("targets"), principal_of(self.request))

    @extend_schema(operation_id="kpi_definitions")
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page: Sequence[KpiDefinition] = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or ()
        _note_export(request, [each.slug for each in page], "json")
        return self.get_paginated_response([document_of(each).content() for each in page])

    @extend_schema(operation_id="import_kpi_definitions", request=ImportBody, responses=ImportedShown)
    def post(self, request: Request) -> Response:
        """Import definitions, all or nothing. What GET gave changes nothing."""
        said = ImportBody.read(request)
        planned = plan(said["definitions"])
        told: dict[str, Any] = {"planned": [planned_in_words(each) for each in planned], "saved": []}
        if not said.get("dry_run"):
            reason, publish = said.get("reason", "Imported over the API"), said.get("publish", False)
            with effect():
                told["saved"] = commit(planned, editor_of(request), reason=reason, publish_too=publish)
        return Response(told)


class ForAnother(ForDefiners):
    """What another tool reads: Prometheus rules, a Grafana dashboard, OpenSLO, SQL views."""

    parameters = frozenset({"kpi"})

    @extend_schema(
        operation_id="kpi_definitions_for",
        parameters=[OpenApiParameter("kpi", str, description="Slugs, by commas. Default: all.")],
        responses=inline_serializer("ForAnotherShown", {"text": serializers.CharField()}),
    )
    def get(self, request: Request, form: str) -> Response:
        """The definitions in the words of another tool."""
        known = visible(KpiDefinition.objects.order_by("slug"), principal_of(request)).values_list("slug", flat=True)
        wanted = [slug for slug in request.query_params.get("kpi", "").split(",") if slug] or list(known)
        if form not in FORMATS or {*wanted} - {*known}:
            raise Http404
        _note_export(request, wanted, form)
        return Response({"text": FORMATS[form](wanted)})


def _note_export(request: Request, slugs: list[str], form: str) -> None:
    audit.record(audit.Action.EXPORT, request=request._request, after={"kpi_definitions": slugs, "format": form})


urlpatterns = [
    path("kpis/<slug:slug>/preview", Tried.as_view(), name="kpi-preview"),
    path("kpis/<slug:slug>/publish", Publish.as_view(), name="kpi-publish"),
    path("kpis/<slug:slug>/backfill", Backfill.as_view(), name="kpi-backfill"),
    path("kpi-definitions", Files.as_view(), name="kpi-definitions"),
    path("kpi-definitions/for/<slug:form>", ForAnother.as_view(), name="kpi-definitions-for"),
]
