"""What KPIs add to the pages after an incident: its figures beside the review, and definitions to look at again."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count
from django.utils import timezone

from accounts.models import User
from accounts.principals import Principal
from accounts.roles import Can
from incidents import calendar, review_export
from incidents.calendar import Reminder
from incidents.models import Incident
from incidents.review_export import ReviewFigure
from kpis import reading
from kpis.models import KpiDefinition
from kpis.viewing import observations_for
from majorops.lib.visibility import visible


def register() -> None:
    review_export.sources.append(figures)
    calendar.sources.append(reviews_due)


def figures(incident: Incident, reader: Principal) -> list[ReviewFigure]:
    """The incident's own current values: each with its team or level, if it has one."""
    rows = reading.of_incident(observations_for(reader, incident), timezone.now())
    return [ReviewFigure(_name(kpi, row), row.value) for kpi, row in rows if row.has_value]


def _name(kpi: KpiDefinition, row: reading.Shown) -> str:
    return kpi.name if row.group == "Overall" else f"{kpi.name} · {row.group}"


def reviews_due(user: User) -> Iterator[Reminder]:
    """When definitions are to be looked at again, for those who keep them."""
    if not user.can(Can.ADMINISTER):
        return
    counted = visible(KpiDefinition.objects.computable(), user).annotate(
        changes=Count("versions", distinct=True), looks=Count("reviews", distinct=True)
    )
    for row in counted:
        if row.review_due_at is not None:
            path, title = f"/kpis/{row.slug}", f"KPI review due: {row.name}"
            yield Reminder(f"kpi-{row.slug}", row.changes + row.looks, row.review_due_at, title, path)
