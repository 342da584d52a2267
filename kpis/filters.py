from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from django.db.models.fields.json import KT
from django.db.models.lookups import In
from django.utils import timezone

from accounts.permissions import principal_of
from incidents.lifecycle import Severity
from kpis.evidence import Evidence
from kpis.models import DefinitionStatus, KpiDefinition, KpiObservation, KpiVisibility, ObservationSource
from kpis.reading import review_is_due
from kpis.standing import Standings
from kpis.viewing import figures_of
from majorops.lib.paging import AnyOf, BadQuery, FilterSet, between
from majorops.lib.ulid import parse_ulid


class DefinitionFilter(FilterSet):
    evidence = AnyOf("slug", [label.value for label in Evidence], method="with_evidence")
    review = AnyOf("slug", ["due", "current"], method="with_review")
    visibility = AnyOf("visibility", KpiVisibility.values)
    status = AnyOf("status", DefinitionStatus.values)
    owner = django_filters.CharFilter(field_name="owner", lookup_expr="iexact", max_length=120)
    q = django_filters.CharFilter(
        field_name="name", lookup_expr="icontains", max_length=200, help_text="Part of the name."
    )

    class Meta:
        model = KpiDefinition
        fields: list[str] = []

    def with_evidence(self, rows: QuerySet[KpiDefinition], name: str, labels: list[str]) -> QuerySet[KpiDefinition]:
        """By the label of the headline figure, as it holds now for this reader."""
        asked = list(rows)
        figures = figures_of(asked, principal_of(self.request), Standings(asked, timezone.now()))
        return rows.filter(slug__in=[each.slug for each in asked if figures[each.slug][0].evidence in labels])

    def with_review(self, rows: QuerySet[KpiDefinition], name: str, states: list[str]) -> QuerySet[KpiDefinition]:
        now = timezone.now()
        found = [each.slug for each in rows if ("due" if review_is_due(each, now) else "current") in states]
        return rows.filter(slug__in=found)


class OfTeam(django_filters.CharFilter):
    """The group of a figure, or the team of a dispatch: its slug."""

    def filter(self, qs: QuerySet[KpiObservation], value: str) -> QuerySet[KpiObservation]:
        return qs.filter(In(KT("dims__team"), [value])) if value else qs


class OfSeverity(AnyOf):
    """The severity of the incident that a value is about."""

    def filter(self, qs: QuerySet[KpiObservation], value: list[str]) -> QuerySet[KpiObservation]:
        return qs.filter(incident__severity__in=value) if value else qs


class ObservationFilter(FilterSet):
    kpi = django_filters.CharFilter(field_name="kpi_id", max_length=64, help_text="Slug of one KPI.")

    class Meta:
        model = KpiObservation
        fields: list[str] = []

    @classmethod
    def get_filters(cls) -> dict[str, django_filters.Filter]:
        return {**super().get_filters(), **between("timestamp")}


class AllObservationsFilter(ObservationFilter):
    incident = django_filters.CharFilter(field_name="incident_id", max_length=26, help_text="Id of one incident.")
    team = OfTeam(field_name="dims", max_length=80, help_text="Slug of one team.")
    severity = OfSeverity("incident", Severity.values)
    source = AnyOf("source", ObservationSource.values)

    class Meta:
        model = KpiObservation
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet[KpiObservation]) -> QuerySet[KpiObservation]:
        if incident := self.form.cleaned_data.get("incident"):
            try:
                self.form.cleaned_data["incident"] = parse_ulid(incident)
            except ValueError as error:
                raise BadQuery(f"incident: {error}", parameter="incident") from None
        return super().filter_queryset(queryset)
