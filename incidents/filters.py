"""What lists of incidents can be narrowed by: only columns that every reader of incidents reads."""

from __future__ import annotations

import django_filters
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from incidents.lifecycle import EventType, Kind, Severity, Status, Visibility
from incidents.models import Incident, LearningReview, TeamPage, TimelineEvent
from incidents.review import ReviewState
from incidents.searches import whole_element
from majorops.lib.paging import AnyOf, BadQuery, FilterSet, between
from majorops.lib.ulid import parse_ulid


class OfSystem(django_filters.CharFilter):
    """Incidents that name this system among those affected, in any letter case."""

    def filter(self, qs: QuerySet[Incident], value: str) -> QuerySet[Incident]:
        return qs.filter(affected_systems__icontains=whole_element(value)) if value else qs


class OfTeam(django_filters.CharFilter):
    """Incidents that this team was paged for. Asked by readers of team response only (incidents/api.py)."""

    def filter(self, qs: QuerySet[Incident], value: str) -> QuerySet[Incident]:
        paged = TeamPage.objects.filter(team__slug=value, incident=OuterRef("pk"))
        return qs.filter(Exists(paged)) if value else qs


class Overdue(AnyOf):
    """By the promised next update. The database's clock: the query is compiled once, and asked at other times."""

    def filter(self, qs: QuerySet[Incident], value: list[str]) -> QuerySet[Incident]:
        late = Q(next_update_eta__lt=Now()) & ~Q(status=Status.RESOLVED)
        return qs.filter(late if value == ["yes"] else ~late | Q(next_update_eta=None)) if len(value) == 1 else qs


class IncidentFilter(FilterSet):
    status = AnyOf("status", Status.values)
    severity = AnyOf("severity", Severity.values)
    kind = AnyOf("kind", Kind.values)
    phase = AnyOf("phase", [str(number) for number in range(1, 9)])
    system = OfSystem(field_name="affected_systems", max_length=200, help_text="The whole name of an affected system.")
    team = OfTeam(field_name="id", max_length=80, help_text="Slug of a paged team. For readers of team response.")
    overdue = Overdue("next_update_eta", ["yes", "no"])
    q = django_filters.CharFilter(
        field_name="title", lookup_expr="icontains", max_length=200, help_text="Part of the title."
    )

    class Meta:
        model = Incident
        fields: list[str] = []

    @classmethod
    def get_filters(cls) -> dict[str, django_filters.Filter]:
        return {**super().get_filters(), **between("detected_at")}


class After(django_filters.CharFilter):
    """Entries written later than this one, wherever they stand in time: ids grow as they are written."""

    def filter(self, qs: QuerySet[TimelineEvent], value: str) -> QuerySet[TimelineEvent]:
        if not value:
            return qs
        try:
            return qs.filter(pk__gt=parse_ulid(value))
        except ValueError as error:
            raise BadQuery(f"after: {error}", parameter="after") from None


class EntryFilter(FilterSet):
    after = After(field_name="id", max_length=26, help_text="Id of an entry: only what was written after it.")
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


class ReviewFilter(FilterSet):
    state = AnyOf("state", ReviewState.values)
    overdue = AnyOf("due_at", ["yes", "no"], method="by_due")

    class Meta:
        model = LearningReview
        fields: list[str] = []

    def by_due(self, rows: QuerySet[LearningReview], name: str, answers: list[str]) -> QuerySet[LearningReview]:
        late = Q(due_at__lt=Now()) & ~Q(state=ReviewState.PUBLISHED)
        return rows.filter(late if answers == ["yes"] else ~late) if len(answers) == 1 else rows
