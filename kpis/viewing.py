"""What a viewer gets of the KPIs. Pages and API ask here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from accounts.visibility import Viewer
from incidents.models import Incident
from kpis.definitions import formula_of
from kpis.evidence import EvidenceInputs, derive
from kpis.formulas import data_sources
from kpis.models import KpiDefinition, KpiObservation
from majorops.lib.errors import Invalid
from majorops.lib.visibility import visible

#: The window of a KPI whose formula names none.
NO_WINDOW = "all"


def figures_of(definitions: Iterable[KpiDefinition], viewer: Viewer) -> dict[str, list[KpiObservation]]:
    """Per slug the newest overall figure of each window, the headline first, in one query.

    A window without one has an unsaved figure in its place: no value, and the reason. So has a personal
    KPI, whose figures are shown nowhere.
    """
    asked = list(definitions)
    stored: dict[str, dict[str, KpiObservation]] = defaultdict(dict)
    for figure in _newest([definition.slug for definition in asked], viewer):
        stored[figure.kpi_id][figure.window] = figure
    return {
        definition.slug: [
            stored[definition.slug].get(window) or _missing(definition, window) for window in _windows(definition)
        ]
        for definition in asked
    }


def _newest(slugs: list[str], viewer: Viewer) -> QuerySet[KpiObservation]:
    age = Window(RowNumber(), partition_by=["kpi", "window"], order_by=[F("timestamp").desc(), F("id").desc()])
    figures = visible(KpiObservation.objects.current().rollups(), viewer).filter(kpi__in=slugs, dims_key="")
    return figures.annotate(age=age).filter(age=1).defer("inputs")


def _windows(definition: KpiDefinition) -> list[str]:
    return list((definition.spec or {}).get("windows") or [NO_WINDOW])


def _missing(definition: KpiDefinition, window: str) -> KpiObservation:
    problem = "no_formula" if definition.spec is None else None
    reason = "personal" if definition.is_personal else problem or "not_computed"
    verdict = derive(EvidenceInputs(value=None, missing=reason, problem=problem))
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


def sources_of(definition: KpiDefinition) -> tuple[str, ...]:
    """The fields the formula reads, e.g. incidents.resolved_at; none while there is no formula that runs."""
    try:
        formula = formula_of(definition)
    except Invalid:
        return ()
    return data_sources(formula) if formula else ()
