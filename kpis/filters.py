from __future__ import annotations

import django_filters

from kpis.models import DefinitionStatus, KpiDefinition, KpiObservation, KpiVisibility
from majorops.lib.paging import AnyOf, FilterSet, between


class DefinitionFilter(FilterSet):
    visibility = AnyOf("visibility", KpiVisibility.values)
    status = AnyOf("status", DefinitionStatus.values)
    owner = django_filters.CharFilter(field_name="owner", lookup_expr="iexact", max_length=120)
    q = django_filters.CharFilter(
        field_name="name", lookup_expr="icontains", max_length=200, help_text="Part of the name."
    )

    class Meta:
        model = KpiDefinition
        fields: list[str] = []


class ObservationFilter(FilterSet):
    kpi = django_filters.CharFilter(field_name="kpi_id", max_length=64, help_text="Slug of one KPI.")

    class Meta:
        model = KpiObservation
        fields: list[str] = []

    @classmethod
    def get_filters(cls) -> dict[str, django_filters.Filter]:
        return {**super().get_filters(), **between("timestamp")}
