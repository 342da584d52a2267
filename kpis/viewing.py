"""What a viewer gets of the KPIs. Pages and API ask here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta

from django.db.models import F, Max, OuterRef, QuerySet, Subquery, Window
from django.db.models.functions import Coalesce, RowNumber

from accounts.visibility import Viewer
from incidents.models import Incident
from kpis.definitions import formula_of
from kpis.evidence import EvidenceInputs, derive
from kpis.formulas import data_sources, references_in
from kpis.formulas.language import MICROSECONDS
from kpis.models import KpiDefinition, KpiObservation
from kpis.running import running_since
from kpis.sources import SHAPES
from kpis.standing import Standings
from kpis.visibility import sees_own_team_only
from majorops.lib.errors import Invalid
from majorops.lib.visibility import readable, visible

#: The window of a KPI whose formula names none.
NO_WINDOW = "all"


def figures_of(
    definitions: Iterable[KpiDefinition], viewer: Viewer, standings: Standings
) -> dict[str, list[KpiObservation]]:
    """Per slug the newest overall figure of each window, the headline first; with the evidence as it holds now.

    A window without one has an unsaved figure in its place: no value, and the reason. So has a personal
    KPI, whose figures are shown nowhere.
    """
    asked = list(definitions)
    stored: dict[str, dict[str, KpiObservation]] = defaultdict(dict)
    for figure in _newest([definition.slug for definition in asked], viewer):
        stored[figure.kpi_id][figure.window] = renewed(figure, standings)
    return {
        definition.slug: [
            stored[definition.slug].get(window) or _missing(definition, window, viewer, standings)
            for window in _windows(definition)
        ]
        for definition in asked
    }


def _newest(slugs: list[str], viewer: Viewer) -> QuerySet[KpiObservation]:
    age = Window(RowNumber(), partition_by=["kpi", "window"], order_by=[F("timestamp").desc(), F("id").desc()])
    figures = visible(KpiObservation.objects.current().rollups(), viewer).filter(kpi__in=slugs, dims_key="")
    return figures.annotate(age=age).filter(age=1).defer("inputs")


def _windows(definition: KpiDefinition) -> list[str]:
    return list((definition.spec or {}).get("windows") or [NO_WINDOW])


def _missing(definition: KpiDefinition, window: str, viewer: Viewer, standings: Standings) -> KpiObservation:
    hidden = "personal" if definition.is_personal else "own_team" if sees_own_team_only(viewer, definition) else ""
    if hidden and definition.spec is not None:
        reason, verdict = hidden, derive(EvidenceInputs(value=None, missing=hidden))
    else:
        reason, verdict = standings.nothing(definition, "not_computed")
    return KpiObservation(
        kpi=definition,
        window=window,
        reason=reason,
        units=definition.units,
        evidence=verdict.label,
        evidence_reasons=[asdict(reason) for reason in verdict.reasons],
    )


def observations_for(viewer: Viewer, incident: Incident) -> QuerySet[KpiObservation]:
    """The current values about this incident that the viewer may read; those of single people never."""
    found = visible(KpiObservation.objects.current().samples().filter(incident=incident), viewer)
    return found.select_related("definition_version", "kpi").defer("inputs")


def running_for(viewer: Viewer, incident: Incident, now: datetime) -> list[KpiObservation]:
    """Unsaved figures of the durations that still run on an open incident, of the KPIs the viewer may read."""
    if not incident.is_open:
        return []
    seen = readable(Incident, viewer, incident)
    row = {name: getattr(incident, name) for name in SHAPES["incidents"].fields if name in seen} | {"ref": "incident"}
    found = visible(KpiDefinition.objects.computable().filter(spec__subject="incident"), viewer)
    figures = []
    for definition in found.prefetch_related("targets"):
        formula = formula_of(definition)
        since = running_since(formula, row) if formula is not None else None
        if since is not None and since <= now:
            figures.append(_so_far(definition, incident, since, now))
    return figures


def _so_far(definition: KpiDefinition, incident: Incident, since: datetime, now: datetime) -> KpiObservation:
    """A formula that measures a duration has the unit of one."""
    value = (now - since) / timedelta(microseconds=MICROSECONDS[definition.units])
    dims = {"severity": incident.severity}
    return KpiObservation(kpi=definition, value=value, units=definition.units, dims=dims, timestamp=now, n=1)


def renewed(figure: KpiObservation, standings: Standings) -> KpiObservation:
    """The figure with the evidence that holds now, for showing only: what is stored stays as it was."""
    if not figure._state.adding:
        verdict = standings.verdict(figure)
        figure.evidence = verdict.label
        figure.evidence_reasons = [asdict(reason) for reason in verdict.reasons]
    return figure


def renewed_all(figures: Iterable[KpiObservation], now: datetime) -> list[KpiObservation]:
    """Figures of several KPIs, each with its kpi, renewed by the same few queries however many they are."""
    found = list(figures)
    standings = Standings({figure.kpi_id: figure.kpi for figure in found}.values(), now)
    return [renewed(figure, standings) for figure in found]


def stored_for(viewer: Viewer) -> QuerySet[KpiObservation]:
    """Every observation the viewer may read, superseded ones too, with what it takes to explain one."""
    return visible(KpiObservation.objects.select_related("kpi", "definition_version", "run"), viewer)


def newest_about(viewer: Viewer) -> Subquery:
    """Of an incident in an outer query: when a figure about it last came or went, of those the viewer may read."""
    rows = visible(KpiObservation.objects.samples().filter(incident=OuterRef("pk")), viewer).order_by()
    newest = rows.values("incident").annotate(newest=Max(Coalesce("retired_at", "created_at")))
    return Subquery(newest.values("newest"))


def sources_of(definition: KpiDefinition) -> tuple[str, ...]:
    """The fields the formula reads, e.g. incidents.resolved_at; none while there is no formula that runs."""
    try:
        formula = formula_of(definition)
    except Invalid:
        return ()
    return data_sources(formula) if formula else ()


def newest_figures(definition: KpiDefinition, viewer: Viewer, now: datetime) -> list[KpiObservation]:
    """The newest figure of every group and window of one KPI that the viewer may read, overall first."""
    age = Window(RowNumber(), partition_by=["window", "dims_key"], order_by=[F("timestamp").desc(), F("id").desc()])
    rows = visible(KpiObservation.objects.current().rollups(), viewer).filter(kpi=definition)
    standings = Standings([definition], now)
    found = rows.annotate(age=age).filter(age=1).defer("inputs", "metadata").order_by("dims_key", "window")
    return [renewed(figure, standings) for figure in found]


def used_by(definition: KpiDefinition, viewer: Viewer) -> list[KpiDefinition]:
    """The KPIs that are made of this one, as far as the viewer may read them."""
    known = visible(KpiDefinition.objects.order_by("slug"), viewer)
    return [each for each in known if definition.slug in references_in(each.spec)]
