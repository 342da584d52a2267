"""The KPI pages: the catalogue, one definition, the figures of one incident. Generated from the rows."""

from __future__ import annotations

import json
from datetime import datetime
from typing import cast

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils import timezone

from accounts.models import User
from accounts.refusals import refusal
from accounts.roles import Can
from incidents.badges import severity_badge
from incidents.pages import page
from incidents.viewing import audience_for, incidents_for
from kpis import exports, reading, reasons, scorecards
from kpis.definitions import formula_of
from kpis.evidence import Evidence
from kpis.explain import explain
from kpis.formulas import in_words
from kpis.models import KpiDefinition, KpiVisibility
from kpis.packs.files import Pack, every
from kpis.standing import Standings
from kpis.viewing import (
    figures_of,
    newest_figures,
    observations_for,
    renewed,
    renewed_all,
    sources_of,
    stored_for,
    used_by,
)
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.visibility import visible

SAMPLES_SHOWN = 20
#: Of the samples behind one figure, the newest so many are listed.
SAMPLES_LISTED = 200


@page(Can.READ_INCIDENTS)
def catalogue(request: HttpRequest) -> HttpResponse:
    """Every definition whose numbers this person may read."""
    now = timezone.now()
    known = _catalogued(cast(User, request.user), now)
    sought = _sought(request)
    found, of_packs = (
        [kpi for kpi in known if sought.finds(kpi)],
        {each.slug for pack in every() for each in pack.entries},
    )
    context = {
        "kpis": found,
        "own": [kpi for kpi in found if kpi.definition.slug not in of_packs],
        "packs": _by_pack(found),
        "known": len(known),
        "owners": sorted({kpi.definition.owner for kpi in known}),
        "evidence": list(Evidence),
        "visibilities": KpiVisibility.choices,
        "sought": sought,
        "query": request.GET.urlencode(),
        "now": now,
    }
    return render(request, "kpis/catalogue.html", context)


def _by_pack(found: list[reading.Catalogued]) -> list[tuple[Pack, list[reading.Catalogued], list[reading.Catalogued]]]:
    """Each pack with its KPIs in its own order: those that something measures, and those that wait for their facts."""
    known = {kpi.definition.slug: kpi for kpi in found}
    told = []
    for pack in every():
        rows = [known[entry.slug] for entry in pack.entries if entry.slug in known]
        waiting = [kpi for kpi in rows if kpi.headline.evidence == Evidence.PROPOSED]
        if rows:
            told.append((pack, [kpi for kpi in rows if kpi not in waiting], waiting))
    return told


def _catalogued(user: User, now: datetime) -> list[reading.Catalogued]:
    definitions = list(visible(KpiDefinition.objects.order_by("slug"), user).prefetch_related("targets"))
    return reading.catalogue(definitions, user, now)


def _sought(request: HttpRequest) -> reading.Sought:
    return reading.Sought(
        **{name: request.GET.get(name, "")[:200] for name in ("visibility", "owner", "evidence", "q")}
    )


@page(Can.READ_INCIDENTS)
def catalogue_csv(request: HttpRequest) -> HttpResponse:
    now, user, sought = timezone.now(), cast(User, request.user), _sought(request)
    found = [kpi for kpi in _catalogued(user, now) if sought.finds(kpi)]
    definitions = [kpi.definition for kpi in found]
    figures = figures_of(definitions, user, Standings(definitions, now))
    return exports.file(exports.catalogue_csv(found, figures), "text/csv", "kpis.csv")


@page(Can.READ_INCIDENTS)
def catalogue_markdown(request: HttpRequest) -> HttpResponse:
    sought = _sought(request)
    found = [kpi for kpi in _catalogued(cast(User, request.user), timezone.now()) if sought.finds(kpi)]
    return exports.file(exports.catalogue_markdown(found), "text/markdown", "kpis.md")


@page(Can.READ_INCIDENTS)
def definition_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """The newest figure of every group and window of one KPI."""
    user = cast(User, request.user)
    kpi = get_object_or_404(visible(KpiDefinition.objects.all(), user), slug=slug)
    return exports.file(exports.figures_csv(newest_figures(kpi, user, timezone.now())), "text/csv", f"{slug}.csv")


@page(Can.READ_INCIDENTS)
def definition_markdown(request: HttpRequest, slug: str) -> HttpResponse:
    user = cast(User, request.user)
    kpi = get_object_or_404(visible(KpiDefinition.objects.prefetch_related("targets"), user), slug=slug)
    (told,) = reading.catalogue([kpi], user, timezone.now())
    history = reading.history(list(visible(kpi.versions.select_related("changed_by"), user)))
    return exports.file(exports.definition_markdown(told, _in_words(kpi), history), "text/markdown", f"{slug}.md")


@page(Can.READ_INCIDENTS)
def definition(request: HttpRequest, slug: str) -> HttpResponse:
    """Everything about one KPI: what it is, what runs, how it changed, what it gave."""
    now, user = timezone.now(), cast(User, request.user)
    kpi = get_object_or_404(visible(KpiDefinition.objects.prefetch_related("targets"), user), slug=slug)
    targets, standings = list(kpi.targets.all()), Standings([kpi], now)
    context = {
        "kpi": kpi,
        "now": now,
        "targets": [reading.target_in_words(target, kpi.units) for target in targets],
        "sources": sources_of(kpi),
        "words": _in_words(kpi),
        "spec": json.dumps(kpi.spec, indent=2, ensure_ascii=False) if kpi.spec else "",
        "sheet": reading.sheet(kpi, user, standings),
        **_samples(request, kpi, standings),
        "example": _example(user, kpi),
        "used_by": used_by(kpi, user),
        "scorecards": [(name, scorecards.TITLES[name]) for name in scorecards.showing(kpi, user)],
        "history": reading.history(list(visible(kpi.versions.select_related("changed_by"), user))),
    }
    return render(request, "kpis/definition.html", context)


def _example(user: User, kpi: KpiDefinition) -> tuple[object, reasons.Shown] | None:
    """The newest sample with its rows, as a worked example."""
    found = stored_for(user).filter(kpi=kpi, window="", is_current=True).select_related("incident")
    newest = found.exclude(value=None).order_by("-timestamp", "-pk").first()
    return (newest, reasons.shown(explain(newest, user))) if newest else None


def _in_words(kpi: KpiDefinition) -> str:
    """The executed formula as sentences; empty while nothing runs."""
    try:
        formula = formula_of(kpi)
    except Invalid:
        return ""
    return in_words(formula) if formula else ""


def _samples(request: HttpRequest, kpi: KpiDefinition, standings: Standings) -> dict[str, object]:
    """The newest samples with their incidents; or those that a figure of a scorecard was made of."""
    rows = visible(kpi.observations.current().samples(), cast(User, request.user)).order_by("-timestamp", "-id")
    asked = reading.span_asked(request.GET, kpi)
    if asked is not None:
        # A figure over several incidents leaves restricted ones out for every reader.
        rows = rows.filter(Q(incident=None) | Q(incident__restricted=False), **asked.where).exclude(value=None)
    rows = rows.select_related("incident").defer("inputs")[: SAMPLES_SHOWN if asked is None else SAMPLES_LISTED]
    targets = list(kpi.targets.all())
    return {
        "samples": [(row.incident, reading.shown(renewed(row, standings), targets)) for row in rows],
        "keeps_samples": isinstance(kpi.spec, dict) and kpi.spec.get("subject") is not None,
        "samples_title": "Last samples" if asked is None else asked.title,
    }


@page(Can.READ_INCIDENTS)
def observation(request: HttpRequest, slug: str, observation_id: str) -> HttpResponse:
    """Why this number: the rows behind one observation."""
    user, now = cast(User, request.user), timezone.now()
    found = get_object_or_404(stored_for(user).select_related("incident"), kpi=slug, pk=observation_id)
    renewed_all([found], now)
    explanation = explain(found, user)
    context = {
        "kpi": found.kpi,
        "figure": reading.shown(found, list(visible(found.kpi.targets.all(), user))),
        "observation": found,
        "explanation": explanation,
        "shown": reasons.shown(explanation),
        "now": now,
    }
    return render(request, "kpis/observation.html", context)


@page(Can.READ_INCIDENTS)
def incident_kpis(request: HttpRequest, incident_id: str) -> HttpResponse:
    """The observations of one incident, of the KPIs this person may read."""
    user, now = cast(User, request.user), timezone.now()
    incident = get_object_or_404(incidents_for(user), pk=incident_id)
    context = {
        "incident": incident,
        "severity": severity_badge(incident.severity),
        "rows": reading.of_incident(observations_for(user, incident), now),
        "reads_internal": audience_for(user, incident).reads_internal,
        "now": now,
    }
    return render(request, "kpis/incident.html", context)


@page(Can.READ_INCIDENTS)
def scorecard(request: HttpRequest, name: str = "") -> HttpResponse:
    """Are we getting better, and can that be trusted? Without a name: the first scorecard this person may read."""
    user = cast(User, request.user)
    tabs = [(one, scorecards.TITLES[one]) for one in scorecards.Name if scorecards.may_open(user, one)]
    if not name:
        return redirect("kpis:scorecard", tabs[0][0])
    now = timezone.now()
    try:
        card = scorecards.opened(name, user, request.GET.get("window"), now)
    except DomainError as error:
        return refusal(request, error)
    context = {
        "card": card,
        "sections": card.sections,
        "title": scorecards.TITLES[card.name],
        "tabs": tabs,
        "spans": scorecards.SPANS,
        "now": now,
    }
    return render(request, "kpis/scorecard.html", context)


@page(Can.READ_INCIDENTS)
def chart(request: HttpRequest, name: str, key: str) -> HttpResponse:
    """One chart of a scorecard as an SVG file, or its weeks as CSV."""
    try:
        card = scorecards.opened(name, cast(User, request.user), request.GET.get("window"), timezone.now())
    except DomainError as error:
        return refusal(request, error)
    found = next((one for one in card.cards if one.key == key), None)
    if found is None:
        raise Http404
    if request.GET.get("format") == "csv":
        return exports.file(exports.weeks_csv(found), "text/csv", f"{key}.csv")
    drawn = render_to_string("kpis/chart.svg", {"chart": found.chart, "card": found})
    return exports.file(drawn, "image/svg+xml", f"{key}.svg")
