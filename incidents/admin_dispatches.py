"""Calls of teams in admin, to look at and to take along. What happens to them happens on the incident's page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from accounts import audit
from incidents.admin import LedgerAdmin
from incidents.exports import csv_lines
from incidents.models import TeamPage
from incidents.serializers import TeamPageShown

#: An arrival so long after the call was rarely an answer to it.
LONG = timedelta(hours=24)


class ArrivalFilter(admin.SimpleListFilter):
    title = "arrival"
    parameter_name = "arrival"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("missing", "Missing"), ("stood_down", "Stood down"), ("long", "After more than 24 hours")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TeamPage]) -> QuerySet[TeamPage]:
        match self.value():
            case "missing":
                return queryset.filter(arrived_at=None, cancelled_at=None)
            case "stood_down":
                return queryset.filter(arrived_at=None).exclude(cancelled_at=None)
            case "long":
                return queryset.filter(arrived_at__gt=F("paged_at") + LONG)
        return queryset


@admin.register(TeamPage)
class TeamPageAdmin(LedgerAdmin):
    """Those that count: what was undone, or replaced by another row of the same call, is in the log."""

    list_display = ("paged_at", "team", "alarm_level", "acknowledged", "arrived", "arrival_source", "calls", "incident")
    list_filter = ("alarm_level", ArrivalFilter, "arrival_source")
    list_select_related = ("team", "incident")
    search_fields = ("team__name", "team__slug", "contact_name", "incident__title")
    search_help_text = "Team, contact, title of the incident, or a whole id."
    date_hierarchy = "paged_at"
    ordering = ("-paged_at", "-id")
    actions = ("export_csv",)

    @admin.display(description="acknowledged after", empty_value="—", ordering=F("acknowledged_at") - F("paged_at"))
    def acknowledged(self, page: TeamPage) -> str | None:
        return _minutes(page.time_to_acknowledge)

    @admin.display(description="arrived after", empty_value="—", ordering=F("arrived_at") - F("paged_at"))
    def arrived(self, page: TeamPage) -> str | None:
        return "stood down" if page.cancelled_at and not page.arrived_at else _minutes(page.time_to_bridge)

    @admin.display(description="calls", ordering="page_count")
    def calls(self, page: TeamPage) -> int:
        return page.page_count

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_csv(self, request: HttpRequest, chosen: QuerySet[TeamPage]) -> HttpResponse | StreamingHttpResponse:
        """The chosen calls, in the columns of the API. That they were taken is in the audit trail."""
        audit.record(audit.Action.EXPORT, request=request, after={"team_pages": chosen.count(), "format": "csv"})
        shown = TeamPageShown()
        names = ["incident", *shown.fields]
        pages = chosen.select_related("team", "user")
        rows = ([page.incident_id, *shown.to_representation(page).values()] for page in pages)
        answer = StreamingHttpResponse(csv_lines(names, rows), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="team-pages.csv"'
        return answer


def _minutes(span: timedelta | None) -> str | None:
    return None if span is None else f"{span / timedelta(minutes=1):.1f} min"
