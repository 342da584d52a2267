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
from kpis.credit_settings import LEVELS, InForce
from kpis.dispatch_credit import Credit, Level, Outcome, Settings, Status, Trend
from kpis.readiness import Board, Record, Sheet, answers_of
from kpis.readiness_rules import WINDOWS, Case, Figures, Moved, Outlook, Part, answers, outlook, weekly, within
from majorops.lib.errors import Invalid
from majorops.lib.times import iso
from teams.alarm import AlarmLevel

LABELS = {choice.value: choice.label for choice in AlarmLevel}
UNKNOWN = "—"
#: Weeks that a quarter touches.
WEEKS = 13
PAGE_SIZE = 50
TRENDS = {
    Trend.BETTER: ("↗", "better", "better"),
    Trend.WORSE: ("↘", "worse", "worse"),
    Trend.UNCLEAR: ("", "no clear change", ""),
    Trend.UNKNOWN: ("", "too few to tell", ""),
}
OUTCOMES = {
    Outcome.MET: ("in time", "good"),
    Outcome.MISSED: ("late", "bad"),
    Outcome.NO_SHOW: ("nobody came", "bad"),
}


def minutes(value: float | None) -> str:
    """`4.2 min`; a dash for none."""
    return UNKNOWN if value is None else f"{value:.1f} min"


def percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.0f} %"


@dataclass(frozen=True, slots=True)
class ClassShown:
    """`3` rated or provisional; without a class `building record (3/5)`, and never a number."""

    rating: int | None
    status: str
    points: str
    words: str


def class_shown(found: Credit, n: int, settings: Settings) -> ClassShown:
    points = UNKNOWN if found.points is None else f"{found.points:.2f}"
    if found.rating is None:
        return ClassShown(None, found.status, points, f"building record ({n}/{settings.min_provisional})")
    return ClassShown(found.rating, found.status, points, str(found.status))


def overall_shown(record: Record) -> ClassShown:
    if record.overall.rating is None:
        return ClassShown(None, Status.UNRATED, UNKNOWN, "no rated Box 3 or Box 2")
    return class_shown(record.overall, record.n, Settings())


WITHHELD = ClassShown(None, "withheld", UNKNOWN, "fewer than 3")


# --- All teams ---


@dataclass(frozen=True, slots=True)
class TrendShown:
    arrow: str
    words: str
    sense: str


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
        trend=TrendShown(*TRENDS[record.moved.trend]),
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


def trend_in_words(moved: Moved) -> str:
    """`Last 30 days 9 of 10 (72 to 97 %), the 60 before 12 of 20 (46 to 73 %): no clear change.`"""
    told = []
    spans = (
        ("Last 30 days", moved.recent, moved.recent_interval),
        ("the 60 before", moved.before, moved.before_interval),
    )
    for name, counts, interval in spans:
        reach = f" ({100 * interval[0]:.0f} to {100 * interval[1]:.0f} %)" if interval else ""
        told.append(f"{name} {counts.met} of {counts.n}{reach}")
    return f"{', '.join(told)}: {TRENDS[moved.trend][1]}."


def outlook_of(sheet: Sheet, level: str) -> list[str]:
    """What would move the class of one level, in sentences."""
    setting, days = sheet.setting.settings, sheet.asked.days
    cases = [case for case in within(sheet.cases, days) if case.level == level and case.is_judged]
    arrivals, acks = answers(cases)
    return outlook_in_words(outlook(arrivals, acks, setting.levels[level], setting), setting.levels[level])


def outlook_in_words(found: Outlook, level: Level) -> list[str]:
    ack = f" and acknowledge within {level.ack:g} min" if level.ack is not None else ""
    told = []
    if found.on_time is None:
        told.append("This is the best class. It lasts while the record does.")
    elif found.on_time.count is None:
        told.append(f"Class {found.goal} is farther away than a thousand dispatches in time.")
    else:
        many = "1 further dispatch" if found.on_time.count == 1 else f"{found.on_time.count} further dispatches"
        told.append(
            f"{many} that arrive within {level.arrival:g} min{ack}: class {found.on_time.rating} "
            f"({found.on_time.points:.2f} points)."
        )
    if found.acknowledged is not None:
        told.append(
            f"Had {found.acknowledged.count} more of these dispatches been acknowledged within {level.ack:g} min: "
            f"class {found.acknowledged.rating} ({found.acknowledged.points:.2f} points)."
            if found.acknowledged.count
            else "Acknowledging every one of these dispatches in time would not be enough on its own."
        )
    for name, step in (("One that comes late", found.late), ("One to which nobody comes", found.no_show)):
        leads = f"class {step.rating} ({step.points:.2f} points)" if step.rating else "still no class"
        told.append(f"{name}: {leads}.")
    return told


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


def dispatches_of(sheet: Sheet, level: str) -> list[Case]:
    """What stands behind the figures of one level, and what was left out, newest first."""
    inside = [case for case in within(sheet.cases, sheet.asked.days) if case.level in (level, "")]
    return sorted(inside, key=lambda case: (case.paged_at, case.id), reverse=True)


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


# --- The rule ---


def rule_in_words(setting: InForce) -> list[str]:
    """What gives the class, with the numbers that hold."""
    rule = setting.settings
    ack = [f"{level.ack:g} min at {LABELS[name]}" for name, level in _levels(rule) if level.ack is not None]
    weights = ", ".join(f"{LABELS[name]} {level.weight:g}" for name, level in _levels(rule))
    return [
        f"{rule.arrival_points:g} points for the share that arrives within the limit: "
        + ", ".join(f"{level.arrival:g} min at {LABELS[name]}" for name, level in _levels(rule))
        + ".",
        f"{rule.ack_points:g} points for the share acknowledged within {', '.join(ack) or 'no limit'}. Scored from "
        f"{rule.min_acks} acknowledgements and {100 * rule.min_ack_coverage:.0f} % of the dispatches on; else the rest "
        "makes up the hundred.",
        f"{rule.tail_points:g} points for the slowest tenth: all where nine in ten arrive within the limit, none where "
        "one in ten is never answered.",
        f"A share counts as the lower end of what chance allows (Wilson, z = {rule.z:.4g}): three perfect dispatches "
        "are no better proof than they are.",
        f"Each ten points are a class: 90 and more is class 1, below 10 is class 10. Fewer than {rule.min_provisional} "
        f"judged dispatches give no class, fewer than {rule.min_rated} a provisional one.",
        f"Whoever has not come after {rule.patience:g} times the limit, or when the incident is over, is counted as "
        "not come. Stood down before the limit counts neither way.",
        f"The class of a team weighs its rated levels ({weights}). It needs a rated Box 3 or Box 2, and is never "
        "better than that of Box 3.",
        "Drills, void dispatches and those of restricted incidents are left out for every reader.",
    ]


def _levels(rule: Settings) -> list[tuple[str, Level]]:
    return [(name, rule.levels[name]) for name in LEVELS]


# --- Files ---

TEAM_COLUMNS = (
    "team", "name", "box", "class", "points", "status", "n", "met", "withinLimit", "meanMinutes", "medianMinutes",
    "coverage", "confidence", "evidence", "trend", "asOf", "days", "rule",
)  # fmt: skip
DISPATCH_COLUMNS = (
    "id", "incident", "box", "pagedAt", "outcome", "reason", "arrivalMinutes", "ackMinutes", "confidence",
)  # fmt: skip


def team_lines(board: Board) -> list[dict[str, object]]:
    """A line for each team and level that is shown."""
    return [
        {
            "team": record.team.slug,
            "name": record.team.name,
            "box": level,
            "class": found.credit.rating,
            "points": found.credit.points,
            "status": str(found.credit.status),
            "n": found.n,
            "met": found.counts.met,
            "withinLimit": found.rate,
            "meanMinutes": found.mean,
            "medianMinutes": found.median,
            "coverage": found.coverage,
            "confidence": found.confidence,
            "evidence": found.evidence.label.value,
            "trend": str(record.moved.trend),
            "asOf": iso(board.asked.as_of),
            "days": board.asked.days,
            "rule": board.setting.version,
        }
        for record in board.records
        for level, found in record.figures.items()
    ]


def dispatch_lines(sheet: Sheet, levels: Sequence[str], viewer: Viewer) -> list[dict[str, object]]:
    """Every dispatch in the window. Incidents only where the viewer may open them."""
    cases = {case.id: case for level in levels for case in dispatches_of(sheet, level)}
    ordered = sorted(cases.values(), key=lambda case: (case.paged_at, case.id), reverse=True)
    rows = answers_of(viewer, ordered)
    return [
        {
            "id": case.id,
            "incident": rows[case.id].incident_id if case.id in rows else None,
            "box": case.level or None,
            "pagedAt": iso(case.paged_at),
            "outcome": str(case.outcome) if case.outcome else None,
            "reason": case.why or None,
            "arrivalMinutes": case.arrival,
            "ackMinutes": case.ack,
            "confidence": case.confidence,
        }
        for case in ordered
    ]
