"""One statistic of a KPI over time, over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import allowed_to, principal_of
from accounts.roles import Can
from kpis.aggregates import Aggregate, Asked, Group, Stat, aggregate
from kpis.models import KpiDefinition
from kpis.serializers import Documented, EvidenceReason
from majorops.lib.conditional import Tagged
from majorops.lib.fields import Time
from majorops.lib.times import iso, to_millisecond
from majorops.lib.visibility import visible


class GroupShown(Documented):
    group = serializers.CharField(allow_null=True, help_text="Null: all together, or those without such a group.")
    value = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()
    left_out = serializers.DictField(child=serializers.IntegerField(), help_text="Values that are none, by reason.")
    reason = serializers.CharField(allow_null=True, help_text="Why there is no value.")
    evidence = serializers.CharField()
    evidence_reasons = EvidenceReason(many=True)


class AggregateShown(Documented):
    """One statistic of a KPI, for each group. It is worked out when you ask, from the values you may read."""

    kpi = serializers.CharField()
    units = serializers.CharField()
    stat = serializers.ChoiceField(choices=list(Stat))
    window = serializers.CharField()
    start = Time(help_text="From this moment on.")
    end = Time(help_text="Before this moment.")
    groups = GroupShown(many=True)


def shown(definition: KpiDefinition, found: Aggregate) -> dict[str, Any]:
    return {
        "kpi": definition.slug,
        "units": definition.units,
        "stat": str(found.asked.stat),
        "window": f"{found.asked.days}d",
        "start": iso(found.start),
        "end": iso(found.end),
        "groups": [
            {
                "group": each.group,
                "value": each.value,
                "n": each.n,
                "leftOut": dict(each.left_out),
                "reason": each.reason,
                "evidence": str(each.verdict.label),
                "evidenceReasons": [asdict(reason) for reason in each.verdict.reasons],
            }
            for each in found.figures
        ],
    }


_PARAMETERS = [
    OpenApiParameter("window", {"type": "string", "pattern": "^[1-9][0-9]{0,2}d$"}, description="Default: 30d."),
    OpenApiParameter("stat", str, enum=list(Stat), description="Default: mean."),
    OpenApiParameter("group", str, enum=list(Group), description="Default: everything together."),
]


class Aggregated(Tagged):
    """A KPI as one number for each group: with how many values, what was left out and why, and how far to trust it."""

    permission_classes = [allowed_to(Can.READ_INCIDENTS)]
    parameters = frozenset({"window", "stat", "group"})

    @extend_schema(parameters=_PARAMETERS, responses=AggregateShown)
    def get(self, request: Request, slug: str) -> Response:
        """Mean, median, 95th percentile or rate of the last days; by team for readers of team response."""
        reader, asked_for = principal_of(request), request.query_params
        definition = get_object_or_404(visible(KpiDefinition.objects.all(), reader), slug=slug)
        asked = Asked.of(asked_for.get("window", "30d"), asked_for.get("stat", Stat.MEAN), asked_for.get("group", ""))
        return Response(shown(definition, aggregate(definition, reader, asked, to_millisecond(timezone.now()))))


urlpatterns = [path("kpis/<slug:slug>/aggregate", Aggregated.as_view(), name="kpi-aggregate")]
