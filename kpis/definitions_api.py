"""Trying, publishing and computing a KPI definition over HTTP. For administrators."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.idempotency import effect
from accounts.permissions import allowed_to, principal_of
from accounts.roles import Can
from kpis import actions, backfills
from kpis.actions import running_of
from kpis.api import answer, editor_of
from kpis.compute import last_midnight
from kpis.definition_bodies import DefinitionEdit, edit_of
from kpis.models import KpiDefinition, KpiRun
from kpis.preview import Compared, Preview, Side, preview
from kpis.serializers import DefinitionShown, Documented
from majorops.lib.conditional import Tagged
from majorops.lib.errors import Invalid
from majorops.lib.fields import Body, Shown, Text, Time
from majorops.lib.paging import NewestFirst, StrictFilters
from majorops.lib.problems import camel
from majorops.lib.times import iso
from majorops.lib.visibility import visible

ADMINISTERS = allowed_to(Can.ADMINISTER)


class ForAdministrators(Tagged):
    permission_classes = [ADMINISTERS]

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


class PreviewShown(Documented):
    """Each figure as it is and as it would be. Nothing was written."""

    as_of = Time()
    rows_read = serializers.IntegerField()
    totals = ComparedShown(many=True)
    subjects = ComparedShown(many=True, help_text="The last incidents or dispatches.")


class TryBody(DefinitionEdit):
    """What to try; what is not said is as it stands, in the draft if there is one."""

    reason = Text(required=False, help_text="Not kept: nothing is written.")


class Tried(ForAdministrators):
    @extend_schema(request=TryBody, responses=PreviewShown)
    def post(self, request: Request, slug: str) -> Response:
        """What this formula and these targets would say of the rows there are. Nothing is written."""
        definition, said = self.definition(), TryBody.read(request)
        said.pop("reason", None)
        edit = edit_of(said, definition)
        running = edit.running or running_of(actions.draft_of(definition) or definition)
        targets = edit.targets if edit.targets is not None else list(definition.targets.all())
        for name, value in edit.described.items():
            setattr(definition, name, value)
        found = preview(definition, running, targets, viewer=principal_of(request), now=timezone.now())
        return Response(_preview(found))


def _preview(found: Preview) -> dict[str, Any]:
    return {
        "asOf": iso(found.as_of),
        "rowsRead": found.rows_read,
        "totals": [_compared(each) for each in found.totals],
        "subjects": [_compared(each) for each in found.subjects],
    }


def _compared(each: Compared) -> dict[str, Any]:
    told = {"label": each.label, "at": iso(each.at), "window": each.window, "dims": dict(each.dims)}
    return {**told, "now": _side(each.now), "draft": _side(each.draft), "delta": each.delta}


def _side(side: Side) -> dict[str, Any]:
    state = str(side.state) if side.state is not None else None
    return {"value": side.value, "rows": side.rows, "reason": side.reason or None, "targetState": state}


# --- Publishing it ---


class ReasonBody(Body):
    reason = Text(max_length=300, help_text="The version history keeps it.")


class Publish(ForAdministrators):
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


class Counted(Documented):
    new = serializers.IntegerField()
    changed = serializers.IntegerField()
    same = serializers.IntegerField()
    retired = serializers.IntegerField()
    kept = serializers.IntegerField(help_text="Stated values that are left alone.")
    shadowed = serializers.IntegerField(help_text="Stated values beside which another is kept now.")
    without_value = serializers.DictField(child=serializers.IntegerField(), help_text="Rows that give none, by reason.")


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


class Backfill(ForAdministrators, ListAPIView[KpiRun]):
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
        start, end = said.get("start"), said.get("end", midnight)
        if end > midnight:
            raise Invalid(f"Values are computed up to the last midnight, {iso(midnight)}.", field="end")
        if start is not None and start >= end:
            raise Invalid("start must be before end.", field="start")
        if said.get("dry_run"):
            return Response({camel(name): n for name, n in backfills.counted(definition, start, end).items()})
        with effect(definition):
            job = backfills.queue(definition, start, end)
        told = {"kpi": definition.slug, "job": job, "start": iso(start), "end": iso(end)}
        return Response(told, status=202, headers={"Location": request.path})


urlpatterns = [
    path("kpis/<slug:slug>/preview", Tried.as_view(), name="kpi-preview"),
    path("kpis/<slug:slug>/publish", Publish.as_view(), name="kpi-publish"),
    path("kpis/<slug:slug>/backfill", Backfill.as_view(), name="kpi-backfill"),
]
