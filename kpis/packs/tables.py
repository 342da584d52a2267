"""The tables of a pack as one reader may see them: KPIs side by side, by group, by rung and by day.

A cell without a number says what is missing for it. A day before the first fact of a source has none, whatever a night
stored: nobody had measured by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import F, Min, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from accounts.models import User
from accounts.roles import Can
from incidents import words
from kpis.formulas import references_in
from kpis.models import Fact, KpiDefinition, KpiObservation
from kpis.packs.files import Column, Table, TableRow, every
from kpis.packs.reading import Opened, Row, checklists, in_order
from kpis.reading import Shown, shown, target_in_words
from kpis.silence import FACT, sources_in
from kpis.standing import Standings
from kpis.viewing import renewed
from majorops.lib.visibility import visible

DAYS = 14
WEEKS = 4
_DAY = timedelta(days=1)
NOT_SHOWN = "Not shown to you, or retired."
NO_KPI = "No KPI measures it."
NO_GROUP = "Nothing told of it yet."
NO_DAY = "Nothing stored for that day."
NO_WEEK = "Nothing stored for that week."
BEFORE = "Nobody measured by then."

_Dims = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """A number, or the reason why there is none; or the targets that are set."""

    value: str = ""
    why: str = ""
    slug: str = ""
    #: met | at_risk | missed | ""
    state: str = ""
    n: int = 0
    targets: tuple[str, ...] = ()
    #: Of the stored figure, to ask why.
    figure: Shown | None = None


@dataclass(frozen=True, slots=True)
class Line:
    title: str
    cells: tuple[Cell, ...]
    weight: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table that is ready to be shown."""

    table: Table
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


def grids(told: Opened, viewer: User, now: datetime) -> list[Grid]:
    """Every table of the pack. The same few queries however many cells there are."""
    figures = _Figures.read(told, viewer, now)
    makers = {"cells": _cells, "ladder": _ladder, "days": _days, "weeks": _weeks}
    return [
        _steps(table, told, viewer) if table.kind == "steps" else makers[table.kind](table, figures)
        for table in told.pack.tables
    ]


# --- Figures ---


@dataclass(frozen=True, slots=True)
class _Figures:
    """The overall figures as the pack's page shows them; those of groups and of days beside."""

    rows: Mapping[str, Row]
    groups: Mapping[tuple[str, _Dims], KpiObservation]
    days: Mapping[tuple[str, _Dims, date], KpiObservation]
    #: Source -> the day of its first fact.
    first: Mapping[str, date]
    today: date

    @classmethod
    def read(cls, told: Opened, viewer: User, now: datetime) -> _Figures:
        rows = {row.kpi.slug: row for row in told.rows}
        wanted = {slug: _window(row.kpi) for slug, row in rows.items() if slug in _named(told.pack.tables)}
        standings = Standings([rows[slug].kpi for slug in wanted], now)
        stored = visible(KpiObservation.objects.current().rollups(), viewer).filter(kpi__in=list(wanted))
        newest = [renewed(each, standings) for each in _newest(stored, ["kpi", "window", "dims_key"])]
        zone = ZoneInfo(settings.MAJOROPS_REPORTING_ZONE)
        today = now.astimezone(zone).date()
        recent = stored.filter(_recent(told.pack.tables, datetime.combine(today, time(), zone)))
        recent = recent.order_by("timestamp", "id").defer("inputs", "metadata")
        return cls(
            rows,
            {(each.kpi_id, _key(each.dims)): each for each in newest if each.window == wanted[each.kpi_id]},
            {
                (each.kpi_id, _key(each.dims), _day_of(each, zone)): each
                for each in recent  # the newest of a day comes last
                if each.window == wanted[each.kpi_id]
            },
            _first_days(zone),
            today,
        )

    def cell(self, slug: str, dims: Mapping[str, str]) -> Cell:
        """The newest figure of a KPI, or of a group of it."""
        row = self.rows.get(slug)
        if row is None:
            return self._absent(slug)
        if row.missing or not dims:
            return _overall(row)
        figure = self.groups.get((slug, _key(dims)))
        return _shown(figure, row) if figure else Cell(words.UNKNOWN, NO_GROUP, slug)

    def on(self, day: date, slug: str, dims: Mapping[str, str]) -> Cell:
        """The figure that a night stored about a day."""
        return self._stored([day], slug, dims, NO_DAY)

    def in_week(self, monday: date, slug: str) -> Cell:
        """The last figure that a night stored about a day of that week."""
        return self._stored([monday + day * _DAY for day in range(6, -1, -1)], slug, {}, NO_WEEK)

    def _stored(self, days: Sequence[date], slug: str, dims: Mapping[str, str], nothing: str) -> Cell:
        """Of the first of the days that has a figure."""
        row = self.rows.get(slug)
        if row is None:
            return self._absent(slug)
        if row.missing:
            return Cell(words.UNKNOWN, _needs(row.missing), slug)
        told = next((day for day in days if (slug, _key(dims), day) in self.days), None)
        if told is None:
            return Cell(words.UNKNOWN, nothing, slug)
        is_early = any(self.first.get(name, date.max) > told for name in self._kinds(row.kpi))
        return Cell(words.UNKNOWN, BEFORE, slug) if is_early else _shown(self.days[slug, _key(dims), told], row)

    def targets(self, slugs: str) -> Cell:
        """The targets of a KPI; of several, each with its name."""
        found = [self.rows[slug] for slug in slugs.split() if slug in self.rows]
        if len(found) == 1:
            return Cell(targets=found[0].targets)
        named = tuple(f"{row.kpi.name} {target}" for row in found for target in row.targets)
        return Cell(targets=named) if named else self._absent(slugs)

    def _absent(self, slug: str) -> Cell:
        return Cell(words.UNKNOWN, NOT_SHOWN if slug in _known_slugs() else NO_KPI)

    def _kinds(self, kpi: KpiDefinition) -> Iterator[str]:
        """The kinds of facts that it is made of, through its parts."""
        yield from (name.removeprefix(FACT) for name in sources_in(kpi.spec) if name.startswith(FACT))
        for slug in references_in(kpi.spec):
            if slug in self.rows:
                yield from self._kinds(self.rows[slug].kpi)


def _known_slugs() -> frozenset[str]:
    return frozenset(entry.slug for pack in every() for entry in pack.entries)


def _named(tables: Iterable[Table]) -> set[str]:
    """Every KPI that stands in a table."""
    found: set[str] = set()
    for table in tables:
        rows = table.rows or (TableRow(""),)
        found |= {row.kpi for row in rows} | {
            slug for row in rows for told in row.only.values() for slug in told.split()
        }
        found |= {column.kpi.format(key=row.key) for column in table.columns for row in rows}
    return found


def _newest(rows: QuerySet[KpiObservation], by: list[str]) -> list[KpiObservation]:
    age = Window(RowNumber(), partition_by=by, order_by=[F("timestamp").desc(), F("id").desc()])
    return list(rows.annotate(age=age).filter(age=1).defer("inputs", "metadata"))


def _window(kpi: KpiDefinition) -> str:
    return str(((kpi.spec or {}).get("windows") or ["all"])[0])


def _key(dims: Mapping[str, str | None]) -> _Dims:
    return tuple(sorted((name, value or "") for name, value in dims.items()))


def _recent(tables: Iterable[Table], midnight: datetime) -> Q:
    """The figures of the last days; of what stands in tables by week, of the last weeks."""
    weekly = _named([table for table in tables if table.kind == "weeks"])
    days, weeks = midnight - DAYS * _DAY, midnight - 7 * WEEKS * _DAY
    return Q(timestamp__gt=days) | Q(kpi__in=sorted(weekly), timestamp__gt=weeks)


def _day_of(figure: KpiObservation, zone: ZoneInfo) -> date:
    """A figure of midnight is about the day that then ended."""
    return (figure.timestamp - timedelta(microseconds=1)).astimezone(zone).date()


def _first_days(zone: ZoneInfo) -> dict[str, date]:
    rows = Fact.objects.order_by().values_list("kind_id").annotate(Min("occurred_at"))
    return {kind: first.astimezone(zone).date() for kind, first in rows}


def _overall(row: Row) -> Cell:
    why = "" if row.figure.has_value else _needs(row.missing) if row.missing else row.figure.why
    state = row.state if row.state in ("met", "at_risk", "missed") else ""
    return Cell(row.figure.value, why, row.kpi.slug, state, row.figure.n, figure=row.figure)


def _shown(figure: KpiObservation, row: Row) -> Cell:
    told = shown(figure, list(row.kpi.targets.all()))
    return Cell(told.value, told.why, row.kpi.slug, told.state, told.n, figure=told)


def _needs(missing: Sequence[str]) -> str:
    return f"Never received: {', '.join(missing)}." if missing else "Stated by people only."


# --- The sorts of tables ---


def _cells(table: Table, figures: _Figures) -> Grid:
    lines = (Line(row.title, tuple(_cell(row, column, figures) for column in table.columns)) for row in table.rows)
    return Grid(table, tuple(column.title for column in table.columns), tuple(lines))


def _cell(row: TableRow, column: Column, figures: _Figures) -> Cell:
    own = row.only.get(column.title, "")
    slug = own or (column.kpi.format(key=row.key) if row.key else "")
    if not slug:
        return Cell()
    if column.show == "targets":
        return figures.targets(slug)
    return figures.cell(slug, {} if own else _dims(column, row))


def _dims(column: Column, row: TableRow) -> dict[str, str]:
    return {name: value.format(key=row.key) for name, value in column.dims.items()}


def _ladder(table: Table, figures: _Figures) -> Grid:
    """The figure now, then a column for each day that any of the KPIs has a rung on."""
    known = [figures.rows[row.kpi] for row in table.rows if row.kpi in figures.rows]
    days = sorted({target.due_on for row in known for target in row.kpi.targets.all() if target.due_on})
    whole = figures.rows.get(table.weights_of)
    weights = {weight.slug: f"{weight.percent} %" for weight in whole.weights} if whole else {}
    lines = tuple(
        Line(row.title, (figures.cell(row.kpi, {}), *_rungs(row.kpi, days, figures)), weights.get(row.kpi, ""))
        for row in table.rows
    )
    return Grid(table, ("Now", *(f"by {day.day} {day:%b %Y}" for day in days)), lines)


def _rungs(slug: str, days: Sequence[date], figures: _Figures) -> Iterator[Cell]:
    row = figures.rows.get(slug)
    targets = in_order(row.kpi.targets.all()) if row else []
    rungs = {each.due_on: target_in_words(each, row.kpi.units).limit for each in targets} if row else {}
    for day in days:
        yield Cell(targets=(rungs[day],)) if day in rungs else Cell()


def _steps(table: Table, told: Opened, viewer: User) -> Grid:
    """A row for each checklist of the type, a column for each step. Facts are read by who reads internal KPIs."""
    lists = [each for each in told.pack.checklists if each.type == table.type]
    columns = tuple(lists[0].items.values()) if lists else ()
    if told.install is None or not viewer.can(Can.READ_INTERNAL_KPIS):
        hidden = Cell(words.UNKNOWN, NOT_SHOWN)
        return Grid(table, columns, tuple(Line(each.title, (hidden,) * len(columns)) for each in lists))
    shown_lists = checklists(told.pack, told.install.started_on, viewer)
    return Grid(
        table,
        columns,
        tuple(
            Line(each.checklist.title, tuple(_step(item.done) for item in each.items))
            for each in shown_lists
            if each.checklist.type == table.type
        ),
    )


def _step(is_done: bool) -> Cell:
    return Cell("done", state="met") if is_done else Cell(words.UNKNOWN, "Nobody said so yet.")


def _days(table: Table, figures: _Figures) -> Grid:
    """The newest day first; with several rows, each day of each row."""
    days = [figures.today - timedelta(days=back) for back in range(1, DAYS + 1)]
    rows = table.rows or (TableRow(""),)
    lines = (
        Line(
            f"{day.day} {day:%b}{f' · {row.title}' if row.title else ''}",
            tuple(figures.on(day, column.kpi.format(key=row.key), _dims(column, row)) for column in table.columns),
        )
        for day in days
        for row in rows
    )
    return Grid(table, tuple(column.title for column in table.columns), tuple(lines))


def _weeks(table: Table, figures: _Figures) -> Grid:
    """A column for each of the last weeks, this one last, then the targets."""
    monday = figures.today - figures.today.weekday() * _DAY
    mondays = [monday - 7 * back * _DAY for back in range(WEEKS - 1, -1, -1)]
    titles = [*(f"Week of {each.day} {each:%b}" for each in mondays[:-1]), "This week", "Targets"]
    lines = (
        Line(row.title, (*(figures.in_week(each, row.kpi) for each in mondays), figures.targets(row.kpi)))
        for row in table.rows
    )
    return Grid(table, tuple(titles), tuple(lines))
