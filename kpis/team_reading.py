"""Teams as their pages show them: classes, figures and dispatches in words, rows in the order that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings

from accounts.visibility import Viewer
from incidents.models import Incident
from kpis import charts, trends
from kpis.credit_settings import LEVELS
from kpis.credit_words import (
    LABELS,
    OUTCOMES,
    UNKNOWN,
    WITHHELD,
    ClassShown,
    TrendShown,
    class_shown,
    minutes,
    percent,
    trend_shown,
)
from kpis.dispatch_credit import Settings, Status, Trend
from kpis.readiness import Board, Record, Sheet, answers_of
from kpis.readiness_rules import WINDOWS, Case, Figures, Part, weekly
from majorops.lib.errors import Invalid

#: Weeks that a quarter touches.
WEEKS = 13
PAGE_SIZE = 50


def overall_shown(record: Record) -> ClassShown:
    if record.overall.rating is None:
        return ClassShown(None, Status.UNRATED, UNKNOWN, "no rated Box 3 or Box 2")
    return class_shown(record.overall, record.n, Settings())


# --- All teams ---


@dataclass(frozen=True, slots=True)
class RowShown:
    name: str
    slug: str
    is_active: bool
    headline: ClassShown
    levels: tuple[ClassShown, ...]
    n: int
    rate: str
    share: str
    median: str
    trend: TrendShown
    keys: Mapping[str, object]


#: What the list can be put in order by, each with the label of its column.
SORTS = {
    "team": "Team",
    "class": "Class",
    "points": "Points",
    "n": "n",
    "rate": "Within limit",
    "median": "Median",
    "trend": "30 days against the 60 before",
}
STATUSES = {"rated": "Rated", "provisional": "Provisional", "unrated": "Building record"}
_TREND_ORDER = (Trend.BETTER, Trend.UNCLEAR, Trend.WORSE)


def rows(board: Board, *, status: str, sort: str) -> list[RowShown]:
    """The teams that match, in order; what has no value comes last either way. Raises Invalid for an unknown order."""
    key = sort.removeprefix("-") or "team"
    if key not in SORTS:
        raise Invalid(f"sort is one of {', '.join(SORTS)}, or -class and so on.", field="sort")
    if status and status not in STATUSES:
        raise Invalid(f"status is one of {', '.join(STATUSES)}.", field="status")
    shown = [_row(one, board) for one in board.records]
    wanted = [row for row in shown if not status or row.headline.status == status]
    known = [row for row in wanted if row.keys[key] is not None]
    known.sort(key=lambda row: row.keys[key], reverse=sort.startswith("-"))  # type: ignore[arg-type,return-value]
    return known + [row for row in wanted if row.keys[key] is None]


def _row(record: Record, board: Board) -> RowShown:
    settings, level = board.setting.settings, board.asked.level
    headline = _at(record, level, settings) if level else overall_shown(record)
    credit = record.figures[level].credit if level in record.figures else record.overall if not level else None
    return RowShown(
        name=record.team.name,
        slug=record.team.slug,
        is_active=record.team.is_active,
        headline=headline,
        levels=() if level else tuple(_at(record, one, settings) for one in LEVELS),
        n=record.n,
        rate=percent(record.rate),
        share=f"{record.met} of {record.n}" if record.n else "",
        median=minutes(record.median),
        trend=trend_shown(record.moved),
        keys={
            "team": record.team.name.casefold(),
            "class": credit.rating if credit else None,
            "points": credit.points if credit else None,
            "n": record.n,
            "rate": record.rate,
            "median": record.median,
            "trend": _TREND_ORDER.index(record.moved.trend) if record.moved.trend in _TREND_ORDER else None,
        },
    )


def _at(record: Record, level: str, settings: Settings) -> ClassShown:
    found = record.figures.get(level)
    return class_shown(found.credit, found.n, settings) if found else WITHHELD


# --- One team ---


@dataclass(frozen=True, slots=True)
class LevelShown:
    """One alarm level in the window that is looked at."""

    level: str
    label: str
    limit: str
    credit: ClassShown
    n: int
    share: str
    outcomes: str
    mean: str
    median: str
    coverage: str
    ack_coverage: str
    confidence: str
    evidence: str
    reasons: tuple[str, ...]
    parts: tuple[tuple[Part, charts.Box], ...]


@dataclass(frozen=True, slots=True)
class Rolling:
    """One window of one level."""

    label: str
    days: int
    mean: str
    share: str
    median: str
    n: int
    credit: ClassShown


@dataclass(frozen=True, slots=True)
class TargetShown:
    target: str


@dataclass(frozen=True, slots=True)
class Named:
    name: str


@dataclass(frozen=True, slots=True)
class Run:
    """The weeks of one level, in the words of kpis/_chart.html."""

    key: str
    kpi: Named
    group: str
    figure: TargetShown
    limits: str
    weeks: tuple[tuple[str, str, str, int], ...]
    chart: charts.Chart


@dataclass(frozen=True, slots=True)
class Heat:
    """A cell of the week map: `4/5` in one of five shades; empty without a judged dispatch."""

    text: str
    words: str
    shade: str


@dataclass(frozen=True, slots=True)
class DispatchShown:
    at: datetime
    level: str
    incident: Incident | None
    outcome: str
    tone: str
    why: str
    arrival: str
    ack: str
    source: str


#: Wide enough for a label in each part of the bar.
BAR = charts.Box(0, 0, 600, 28)


def levels_of(sheet: Sheet) -> list[LevelShown]:
    found = sheet.record.figures
    return [_level(found[level], sheet.setting.settings) for level in LEVELS if level in found]


def _level(found: Figures, settings: Settings) -> LevelShown:
    level = settings.levels[found.level]
    ack = f", acknowledged within {level.ack:g} min" if level.ack is not None else ""
    counted = [f"{found.outcomes[one]} {OUTCOMES[one][0]}" for one in OUTCOMES if found.outcomes.get(one)]
    return LevelShown(
        level=found.level,
        label=LABELS[found.level],
        limit=f"within {level.arrival:g} min{ack}",
        credit=class_shown(found.credit, found.n, settings),
        n=found.n,
        share=f"{percent(found.rate)} · {found.counts.met} of {found.n}" if found.n else UNKNOWN,
        outcomes=", ".join(counted),
        mean=minutes(found.mean),
        median=minutes(found.median),
        coverage=percent(found.coverage),
        ack_coverage=percent(found.ack_coverage) if level.ack is not None else "",
        confidence=UNKNOWN if found.confidence is None else f"{found.confidence:.2f}",
        evidence=found.evidence.label,
        reasons=tuple(reason.words for reason in found.evidence.reasons),
        parts=_bar(found.parts),
    )


def _bar(parts: Sequence[Part]) -> tuple[tuple[Part, charts.Box], ...]:
    """Each part with its piece of a bar of 100 points."""
    at, drawn = 0.0, []
    for part in parts:
        width = BAR.width * part.points / 100
        drawn.append((part, charts.Box(round(at, 1), 0, round(width, 1), BAR.height)))
        at += width
    return tuple(drawn)


def rolling_of(sheet: Sheet, level: str) -> list[Rolling]:
    """Mean arrival beside the share within the limit, the shortest window first."""
    settings = sheet.setting.settings
    return [
        Rolling(
            f"{days} days",
            days,
            minutes(found.mean),
            f"{percent(found.rate)} · {found.counts.met} of {found.n}" if found.n else UNKNOWN,
            minutes(found.median),
            found.n,
            class_shown(found.credit, found.n, settings),
        )
        for days, record in zip(WINDOWS, sheet.windows, strict=True)
        if (found := record.figures.get(level))
    ]


def _zone() -> ZoneInfo:
    return ZoneInfo(django_settings.MAJOROPS_REPORTING_ZONE)


def _mondays(sheet: Sheet) -> list[date]:
    return trends.mondays(sheet.asked.as_of, _zone(), WEEKS)


def _weeks(sheet: Sheet, level: str) -> list[tuple[date, Case]]:
    zone = _zone()
    return [(trends.monday_of(case.paged_at, zone), case) for case in sheet.cases if case.level == level]


def run_of(sheet: Sheet, level: str) -> Run:
    """The median arrival of each week against the limit."""
    limit = sheet.setting.settings.levels[level]
    cells = weekly(_weeks(sheet, level), _mondays(sheet), limit)
    medians = [cell.median for cell in cells]
    plot = charts.Plot(
        labels=[f"{cell.monday.day} {cell.monday:%b}" for cell in cells],
        values=medians,
        target=limit.arrival,
        good="below",
        missed=[median is not None and median > limit.arrival for median in medians],
    )
    return Run(
        key="arrival",
        kpi=Named("Median minutes from page to bridge"),
        group=LABELS[level],
        figure=TargetShown(f"≤ {limit.arrival:g} min"),
        limits="Those who never came have no minutes: see the week map.",
        weeks=tuple(
            (f"{cell.monday.day} {cell.monday:%b %Y}", minutes(cell.median), percent(cell.share), cell.n)
            for cell in cells
        ),
        chart=charts.run_chart(plot),
    )


def heat_of(sheet: Sheet) -> tuple[list[str], list[tuple[str, list[Heat]]]]:
    """The weeks, and per alarm level a cell for each: how many of how many came within the limit."""
    mondays = _mondays(sheet)
    levels = sheet.setting.settings.levels
    lines = [
        (LABELS[level], [_heat(cell.n, cell.met) for cell in weekly(_weeks(sheet, level), mondays, levels[level])])
        for level in LEVELS
    ]
    return [f"{monday.day} {monday:%b}" for monday in mondays], lines


def _heat(n: int, met: int) -> Heat:
    if not n:
        return Heat("", "no dispatch", "none")
    return Heat(f"{met}/{n}", f"{met} of {n} within the limit", f"h{min(4, 5 * met // n)}")


def dispatch_rows(cases: Sequence[Case], viewer: Viewer) -> list[DispatchShown]:
    """One page of them, with the incidents that the viewer may open."""
    rows = answers_of(viewer, cases)
    shown = []
    for case in cases:
        row = rows.get(case.id)
        outcome, tone = OUTCOMES.get(case.outcome, ("not counted", "")) if case.outcome else ("not counted", "")
        shown.append(
            DispatchShown(
                at=case.paged_at,
                level=LABELS.get(case.level, UNKNOWN),
                incident=row.incident if row else None,
                outcome=outcome,
                tone=tone,
                why=case.why,
                arrival=minutes(case.arrival),
                ack=minutes(case.ack),
                source=row.get_arrival_source_display() or "" if row else "",
            )
        )
    return shown
