"""What lists of incidents can be narrowed by: only columns that every reader of incidents reads."""

from __future__ import annotations

import django_filters

from incidents.lifecycle import EventType, Kind, Severity, Status, Visibility
from incidents.models import Incident, TimelineEvent
from majorops.lib.paging import AnyOf, FilterSet, between


class IncidentFilter(FilterSet):
    status = AnyOf("status", Status.values)
    severity = AnyOf("severity", Severity.values)
    kind = AnyOf("kind", Kind.values)
    phase = AnyOf("phase", [str(number) for number in range(1, 9)])
    q = django_filters.CharFilter(
        field_name="title", lookup_expr="icontains", max_length=200, help_text="Part of the title."
    )

    class Meta:
        model = Incident
        fields: list[str] = []

    @classmethod
    def get_filters(cls) -> dict[str, django_filters.Filter]:
        return {**super().get_filters(), **between("detected_at")}


class EntryFilter(FilterSet):
    type = AnyOf("type", EventType.values)
    visibility = AnyOf("visibility", Visibility.values)
    actor = django_filters.CharFilter(
        field_name="actor", lookup_expr="iexact", max_length=200, help_text="The whole name, in any letter case."
    )

    class Meta:
        model = TimelineEvent
        fields: list[str] = []

    @classmethod
    def get_filters(cls) -> dict[str, django_filters.Filter]:
        return {**super().get_filters(), **between("occurred_at")}
