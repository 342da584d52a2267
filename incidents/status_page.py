"""The anonymous status page: what goes on, the last two weeks, the history, and a page for each incident."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.conf import settings
from django.core.paginator import EmptyPage, PageNotAnInteger, Paginator
from django.http import HttpRequest, HttpResponse

from accounts.visibility import Viewer
from incidents.models import Incident, LearningReview
from incidents.status_door import page, status_door
from incidents.status_read import known_components, preview
from incidents.status_rules import Board, Component, Health, Impact, PublicIncident, days
from incidents.status_snapshot import Reading

#: Incidents on one page of the history.
PER_PAGE = 20

SENTENCES = {
    Impact.NONE: "All systems operational",
    Impact.MINOR: "Some things do not work as they should",
    Impact.MAJOR: "Partial outage",
    Impact.CRITICAL: "Major outage",
}
IMPACT_WORDS = {
    Impact.NONE: "No impact",
    Impact.MINOR: "Minor impact",
    Impact.MAJOR: "Major impact",
    Impact.CRITICAL: "Critical impact",
}
#: The classes of the severity badges: word, shape and fill.
IMPACT_LOOKS = {Impact.CRITICAL: "critical", Impact.MAJOR: "high", Impact.MINOR: "medium", Impact.NONE: "low"}
IMPACT_SHAPES = {Impact.CRITICAL: "▲", Impact.MAJOR: "◆", Impact.MINOR: "■", Impact.NONE: "●"}
HEALTH_WORDS = {
    Health.OPERATIONAL: ("✓", "Operational"),
    Health.DEGRADED: ("!", "Degraded performance"),
    Health.PARTIAL: ("!", "Partial outage"),
    Health.MAJOR: ("✕", "Major outage"),
}


@dataclass(frozen=True, slots=True)
class Card:
    """One incident as the templates show it."""

    incident: PublicIncident
    look: str
    shape: str
    impact: str
    state: str
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One component as the template shows it."""

    name: str
    description: str
    health: str
    shape: str
    word: str


def card(incident: PublicIncident, board: Board) -> Card:
    impact = incident.impact
    return Card(
        incident,
        IMPACT_LOOKS[impact],
        IMPACT_SHAPES[impact],
        IMPACT_WORDS[impact],
        incident.state.value.capitalize(),
        tuple(component.name for component in board.named(incident.components)),
    )


def cards(incidents: Iterable[PublicIncident], board: Board) -> list[Card]:
    return [card(incident, board) for incident in incidents]


def groups(board: Board) -> list[tuple[str, list[Line]]]:
    """The components under their headings, a heading where its first component stands."""
    order = {component.group: place for place, component in reversed(list(enumerate(board.components)))}
    ranked = sorted(board.components, key=lambda component: order[component.group])
    return [(name, [_line(each, board) for each in rows]) for name, rows in groupby(ranked, lambda row: row.group)]


def _line(component: Component, board: Board) -> Line:
    health = board.health(component)
    return Line(component.name, component.description, health.value, *HEALTH_WORDS[health])


def _frame(reading: Reading) -> dict[str, Any]:
    """What every page shows around its own: the sentence, and how old it is if it is."""
    return {
        "sentence": SENTENCES[reading.board.impact],
        "now": reading.now,
        # To the minute, so that the page stays the same for as long.
        "checked_at": reading.snapshot.checked_at.replace(second=0, microsecond=0),
        "is_stale": reading.is_stale,
    }


@status_door
def overview(request: HttpRequest, reading: Reading) -> HttpResponse:
    """What is going on, each component, and two weeks day by day."""
    board = reading.board
    past = [(day.day, cards(day.incidents, board)) for day in days(board, reading.now)]
    context = {"running": cards(board.open, board), "groups": groups(board), "past": past, **_frame(reading)}
    return page("status/overview.html", board, **context)


@status_door
def history(request: HttpRequest, reading: Reading) -> HttpResponse:
    """Every published incident, newest first, `?page=2` and so on."""
    board = reading.board
    try:
        shown = Paginator(board.incidents, PER_PAGE).page(request.GET.get("page", 1))
    except (EmptyPage, PageNotAnInteger):
        return _absent(reading)
    return page("status/history.html", board, shown=shown, cards=cards(shown.object_list, board), **_frame(reading))


@status_door
def incident(request: HttpRequest, reading: Reading, public_id: str) -> HttpResponse:
    """One incident and all that was said of it. `#` and the id of an update leads to that update."""
    found = reading.board.incident(public_id)
    if found is None:
        return _absent(reading)
    return page("status/incident.html", reading.board, card=card(found, reading.board), **_frame(reading))


def _absent(reading: Reading) -> HttpResponse:
    """The same for what was never there and what is not public."""
    return page("status/absent.html", reading.board, status=404, **_frame(reading))


def publish_preview(
    incident: Incident, changes: Mapping[str, object], viewer: Viewer, review: LearningReview | None = None
) -> dict[str, Any]:
    """For the question before publishing: the incident as the page will show it, with this review."""
    components = tuple(known_components())
    shown = preview(incident, changes, components, viewer, review)
    return {"card": card(shown, Board((shown,), components)), "site": settings.MAJOROPS_STATUS_NAME}
