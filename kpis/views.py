"""The KPI pages: the catalogue, one definition, the figures of one incident. Generated from the rows."""

from __future__ import annotations

import json
from typing import cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone

from accounts.models import User
from accounts.roles import Can
from incidents.board import severity_badge
from incidents.pages import page
from incidents.viewing import audience_for, incidents_for
from kpis import reading
from kpis.definitions import formula_of
from kpis.formulas import in_words
from kpis.models import KpiDefinition
from kpis.viewing import observations_for, sources_of
from majorops.lib.errors import Invalid
from majorops.lib.visibility import visible

SAMPLES_SHOWN = 20


@page(Can.READ_INCIDENTS)
def catalogue(request: HttpRequest) -> HttpResponse:
    """Every definition whose numbers this person may read."""
    now, user = timezone.now(), cast(User, request.user)
    definitions = list(visible(KpiDefinition.objects.order_by("slug"), user).prefetch_related("targets"))
    context = {"kpis": reading.catalogue(definitions, user, now), "now": now}
    return render(request, "kpis/catalogue.html", context)


@page(Can.READ_INCIDENTS)
def definition(request: HttpRequest, slug: str) -> HttpResponse:
    """Everything about one KPI: what it is, what runs, how it changed, what it gave."""
    now, user = timezone.now(), cast(User, request.user)
    kpi = get_object_or_404(visible(KpiDefinition.objects.prefetch_related("targets"), user), slug=slug)
    targets = list(kpi.targets.all())
    context = {
        "kpi": kpi,
        "now": now,
        "targets": [reading.target_in_words(target, kpi.units) for target in targets],
        "sources": sources_of(kpi),
        "words": _in_words(kpi),
        "spec": json.dumps(kpi.spec, indent=2, ensure_ascii=False) if kpi.spec else "",
        "sheet": reading.sheet(kpi, user),
        "samples": _samples(user, kpi),
        "history": reading.history(list(visible(kpi.versions.select_related("changed_by"), user))),
    }
    return render(request, "kpis/definition.html", context)


def _in_words(kpi: KpiDefinition) -> str:
    """The executed formula as sentences; empty while nothing runs."""
    try:
        formula = formula_of(kpi)
    except Invalid:
        return ""
    return in_words(formula) if formula else ""


def _samples(user: User, kpi: KpiDefinition) -> list[tuple[object, reading.Shown]]:
    """The newest samples with their incidents."""
    rows = visible(kpi.observations.current().samples(), user).order_by("-timestamp", "-id").select_related("incident")
    targets = list(kpi.targets.all())
    return [(row.incident, reading.shown(row, targets)) for row in rows.defer("inputs")[:SAMPLES_SHOWN]]


@page(Can.READ_INCIDENTS)
def incident_kpis(request: HttpRequest, incident_id: str) -> HttpResponse:
    """The observations of one incident, of the KPIs this person may read."""
    user = cast(User, request.user)
    incident = get_object_or_404(incidents_for(user), pk=incident_id)
    context = {
        "incident": incident,
        "severity": severity_badge(incident.severity),
        "rows": reading.of_incident(observations_for(user, incident)),
        "reads_internal": audience_for(user, incident).reads_internal,
        "now": timezone.now(),
    }
    return render(request, "kpis/incident.html", context)
