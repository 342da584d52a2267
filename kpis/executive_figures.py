"""The KPIs of the executive brief: those executives read, for the severity of the incident, against their targets."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from accounts.models import User
from incidents import executive
from incidents.executive import KpiLine
from incidents.models import Incident
from kpis.evidence import Evidence
from kpis.models import DefinitionStatus, KpiDefinition, KpiObservation, KpiVisibility
from kpis.reading import is_average, shown, window_in_words
from kpis.standing import Standings
from kpis.viewing import renewed
from majorops.lib.visibility import visible

#: One page has room for so many; those with a target come first.
LINES = 6


def register() -> None:
    if lines not in executive.kpi_lines:
        executive.kpi_lines.append(lines)


def lines(viewer: User, incident: Incident, now: datetime) -> list[KpiLine]:
    """Four queries, however many KPIs there are."""
    rows = visible(KpiDefinition.objects.order_by("slug").prefetch_related("targets"), viewer)
    rows = rows.filter(status=DefinitionStatus.ACTIVE, is_personal=False, visibility=KpiVisibility.EXEC)
    definitions, group = list(rows), f"severity={incident.severity}"
    newest = _newest(definitions, viewer, group, now)
    found = [_line(each, newest, group) for each in definitions]
    return sorted(found, key=lambda line: (not line.state, not line.target, bool(line.why)))[:LINES]


Newest = dict[tuple[str, str, str], KpiObservation]


def _newest(definitions: list[KpiDefinition], viewer: User, group: str, now: datetime) -> Newest:
    """(slug, window, group) -> the newest figure, overall and of this group; with the evidence as it holds now."""
    age = Window(
        RowNumber(), partition_by=["kpi", "window", "dims_key"], order_by=[F("timestamp").desc(), F("id").desc()]
    )
    rows = visible(KpiObservation.objects.current().rollups().filter(dims_key__in=["", group]), viewer)
    rows = rows.filter(kpi__in=[each.slug for each in definitions]).annotate(age=age).filter(age=1).defer("inputs")
    standings = Standings(definitions, now)
    return {(row.kpi_id, row.window, row.dims_key): renewed(row, standings) for row in rows}


def _line(kpi: KpiDefinition, newest: Newest, group: str) -> KpiLine:
    window = next(iter((kpi.spec or {}).get("windows") or [""]))
    targets, average = list(kpi.targets.all()), is_average(kpi)
    overall, own = newest.get((kpi.slug, window, "")), newest.get((kpi.slug, window, group))
    shown_own = shown(own, targets, is_average=average) if own else None
    # Of incidents as grave as this one where that has a target; else the overall figure.
    shown_all = shown(overall, targets, is_average=average) if overall else None
    figure = shown_own if shown_own and shown_own.target else shown_all
    if figure is None:
        told = window_in_words(window) if window else ""
        return KpiLine(kpi.name, "", told, "", "", 0, Evidence.UNVERIFIED.value, "not computed yet")
    return KpiLine(
        name=kpi.name,
        value=figure.value,
        window=f"{figure.group}, {figure.window}" if figure is shown_own else figure.window,
        target=figure.target,
        state=figure.state,
        n=figure.n,
        evidence=figure.evidence,
        why="" if figure.has_value else figure.why or "not known",
    )
