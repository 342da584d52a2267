"""The pages of teams: how reliably each comes when it is called, why, and what would change it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.refusals import refusal
from accounts.roles import Can
from incidents.pages import page, person
from kpis import exports, readiness_exports
from kpis import team_reading as reading
from kpis.credit_settings import LEVELS
from kpis.credit_words import LABELS, outlook_in_words, rule_in_words, trend_in_words
from kpis.readiness import Asked, Sheet, asked, board, sheet
from kpis.readiness_rules import WINDOWS
from majorops.lib.errors import DomainError

#: What an address can say; the links of a page keep the rest of it.
_KEPT = ("window", "box", "status", "as_of", "sort")


@page(Can.READ_INCIDENTS)
@require_GET
def teams(request: HttpRequest) -> HttpResponse:
    """All teams that this person sees something of."""
    sort, status = _said(request, "sort") or "team", _said(request, "status")
    try:
        found = board(person(request), _asked(request))
        rows = reading.rows(found, status=status, sort=sort)
    except DomainError as error:
        return refusal(request, error)
    context = {
        "rows": rows,
        "known": len(found.records),
        "asked": found.asked,
        "setting": found.setting,
        "newest": found.newest,
        "level": LABELS.get(found.asked.level, ""),
        "labels": [LABELS[level] for level in LEVELS],
        "windows": [(f"{days} d", _link(request, window=f"{days}d"), days == found.asked.days) for days in WINDOWS],
        "boxes": _choices(request, "box", {"": "All levels", **LABELS}, found.asked.level),
        "statuses": _choices(request, "status", {"": "All", **reading.STATUSES}, status),
        "columns": [_column(request, key, sort) for key in reading.SORTS],
        "then": _then(request, found.newest),
        "kept": _link(request, status="", sort=""),
        "file": f"{_link(request, status='', sort='')}&format=csv".replace("?&", "?"),
    }
    return render(request, "kpis/teams.html", context)


@page(Can.READ_INCIDENTS)
@require_GET
def teams_csv(request: HttpRequest) -> HttpResponse:
    """The same figures of all teams as a file."""
    try:
        found = board(person(request), _asked(request))
    except DomainError as error:
        return refusal(request, error)
    lines, name = readiness_exports.team_lines(found), f"teams-{found.asked.days}d.csv"
    return exports.file(exports.table(readiness_exports.TEAM_COLUMNS, lines), "text/csv", name)


@page(Can.READ_INCIDENTS)
@require_GET
def team_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """The dispatches of one team, those left out too; newest first."""
    viewer = person(request)
    try:
        found = sheet(viewer, slug, _asked(request))
    except DomainError as error:
        return refusal(request, error)
    lines = readiness_exports.dispatch_lines(found, viewer)
    name = f"{found.record.team.slug}-{found.asked.days}d.csv"
    return exports.file(exports.table(readiness_exports.DISPATCH_COLUMNS, lines), "text/csv", name)


@page(Can.READ_INCIDENTS)
@require_GET
def team(request: HttpRequest, slug: str) -> HttpResponse:
    """One team in depth, as far as this person sees it. A team that was merged leads to the one it was merged into."""
    viewer = person(request)
    try:
        found = sheet(viewer, slug, _asked(request))
    except DomainError as error:
        return refusal(request, error)
    if found.record.team.slug != slug:
        return redirect(f"{reverse('kpis:team', args=[found.record.team.slug])}{_link(request)}")
    level = found.asked.level or _telling(found)
    context = {
        "team": found.record.team,
        "is_full": found.is_full,
        "asked": found.asked,
        "setting": found.setting,
        "newest": found.newest,
        "overall": reading.overall_shown(found.record),
        "levels": reading.levels_of(found),
        "level": level,
        "label": LABELS[level],
        "chosen": next((one for one in reading.levels_of(found) if one.level == level), None),
        "rolling": reading.rolling_of(found, level),
        "trend_words": trend_in_words(found.record.moved),
        "rule": rule_in_words(found.setting),
        "windows": [(f"{days} d", _link(request, window=f"{days}d"), days == found.asked.days) for days in WINDOWS],
        "boxes": _choices(request, "box", LABELS, level),
        "then": _then(request, found.newest),
        "file": f"{_link(request)}&format=csv".replace("?&", "?"),
        **(_in_depth(request, found, level) if found.is_full else {}),
    }
    return render(request, "kpis/team.html", context)


def _in_depth(request: HttpRequest, found: Sheet, level: str) -> dict[str, object]:
    """What only those see who may know of single dispatches."""
    listed = Paginator(found.dispatches(level), reading.PAGE_SIZE).get_page(request.GET.get("page"))
    weeks, heat = reading.heat_of(found)
    return {
        "outlook": outlook_in_words(found.outlook(level), found.setting.settings.levels[level]),
        "run": reading.run_of(found, level),
        "weeks": weeks,
        "heat": heat,
        "page": listed,
        "dispatches": reading.dispatch_rows(list(listed.object_list), person(request)),
    }


def _telling(found: Sheet) -> str:
    """The level to begin with: the hardest with a dispatch, else the one that the team is rated for."""
    known = [level for level in LEVELS if level in found.record.figures and found.record.figures[level].n]
    return known[0] if known else found.record.team.rated_box or LEVELS[0]


def _said(request: HttpRequest, name: str) -> str:
    return request.GET.get(name, "")[:40]


def _asked(request: HttpRequest) -> Asked:
    said = {name: _said(request, name) for name in ("window", "box", "as_of")}
    return asked(timezone.now(), **said)


def _link(request: HttpRequest, **changes: str) -> str:
    """The address of this page with some of its parameters changed; the number of the page is left out."""
    query = request.GET.copy()
    for name in list(query):
        if name not in _KEPT:
            del query[name]
    for name, value in changes.items():
        query.pop(name, None)
        if value:
            query[name] = value
    return f"?{query.urlencode()}"


def _then(request: HttpRequest, newest: datetime | None) -> str:
    """The same page as of the day after the newest dispatch."""
    return _link(request, as_of=f"{newest + timedelta(days=1):%Y-%m-%d}") if newest else ""


def _choices(request: HttpRequest, name: str, known: dict[str, str], chosen: str) -> list[tuple[str, str, bool]]:
    """(label, link, whether it is chosen) of each value of one parameter."""
    return [(label, _link(request, **{name: value}), value == chosen) for value, label in known.items()]


def _column(request: HttpRequest, key: str, sort: str) -> tuple[str, str, str, str]:
    """(key, label, link, aria-sort): a second click turns the order round."""
    state = {key: "ascending", f"-{key}": "descending"}.get(sort, "")
    turned = f"-{key}" if sort == key else key
    return key, reading.SORTS[key], _link(request, sort=turned), state
