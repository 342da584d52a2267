"""Scorecards: per audience the KPIs it may read, against their targets, with how they moved and how far to trust them.

A page costs the same few queries however many KPIs, incidents or weeks there are. Samples of restricted incidents are
left out for every reader, as in the rollups: two readers of one scorecard must see one number.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber

from accounts.permissions import required
from accounts.roles import Can
from accounts.visibility import Viewer, may
from incidents import words
from kpis import charts, trends
from kpis.definitions import kpi_shapes
from kpis.evidence import EvidenceInputs, derive, min_sample
from kpis.formulas import Formula, FormulaError, parse, references_in
from kpis.formulas.kinds import Builtin
from kpis.formulas.language import SHARES
from kpis.models import DefinitionStatus, KpiDefinition, KpiObservation, KpiTarget, KpiVisibility
from kpis.reading import KEPT, Shown, group_in_words, is_average, shown, target_in_words, with_unit
from kpis.sources import SHAPES
from kpis.standing import Standings
from kpis.targets import State, Statistic, holds_on, judge, standing
from kpis.viewing import renewed
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.times import iso
from majorops.lib.visibility import visible

#: The windows a scorecard can be switched to, in days.
SPANS = (30, 60, 90)
#: Below so many judged dispatches a class is not shown: the record is still being built.
RECORD = 5
UNKNOWN, NO_TARGET = "unknown", "no_target"
_TEAM_SOURCE = "team_pages"


class Name(StrEnum):
    """Whose scorecard it is."""

    EXEC = "exec"
    STAKEHOLDER = "stakeholder"
    READINESS = "readiness"


TITLES = {Name.EXEC: "Executive", Name.STAKEHOLDER: "Stakeholders", Name.READINESS: "Readiness"}
OPEN_TO = {
    Name.EXEC: Can.READ_EXEC_KPIS,
    Name.STAKEHOLDER: Can.READ_INCIDENTS,
    Name.READINESS: Can.READ_EXEC_KPIS,
}
PERSONAS = {Name.EXEC: "exec", Name.STAKEHOLDER: "stakeholder", Name.READINESS: "mim"}


class NoSuchScorecard(DomainError):
    """There is no such scorecard. There are exec, stakeholder and readiness."""

    code = "not_found"
    status = 404


@dataclass(frozen=True, slots=True)
class Change:
    """How the figure stands to the span before. `arrow` is empty unless both have enough values."""

    arrow: str
    words: str
    #: better | worse | same | "" where nothing can be said
    sense: str
    before: float | None
    before_n: int


@dataclass(frozen=True, slots=True)
class WeekShown:
    """One row of the table beside a chart."""

    monday: str
    value: str
    n: int
    median: str
    p90: str
    raw: float | None


@dataclass(frozen=True, slots=True)
class Card:
    """One KPI, or one group or statistic of it that has a target of its own."""

    kpi: KpiDefinition
    group: str
    dims: Mapping[str, str | None]
    figure: Shown
    value: float | None
    target: KpiTarget | None
    #: met | at_risk | missed | unknown | no_target
    state: str
    change: Change
    spark: charts.Chart
    chart: charts.Chart
    weeks: tuple[WeekShown, ...]
    limits: str
    #: Of what the target is: "" the KPI's own value, or median, p90...
    statistic: str = ""
    #: Where a figure that no run has stored comes from: the query of the definition's page that lists its samples.
    samples: str = ""

    @property
    def key(self) -> str:
        """For anchors and addresses: `mttr`, `mttr-critical`, `mttr-critical-p90`."""
        of = [self.statistic] if self.statistic else []
        return "-".join([self.kpi.slug, *(str(value) for _, value in sorted(self.dims.items())), *of])


@dataclass(frozen=True, slots=True)
class Team:
    """One team at one alarm level, over the three spans."""

    name: str
    level: str
    figures: tuple[Shown | None, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """All teams of one KPI."""

    kpi: KpiDefinition
    teams: tuple[Team, ...]


@dataclass(frozen=True, slots=True)
class Scorecard:
    name: Name
    days: int
    cards: tuple[Card, ...]
    boards: tuple[Board, ...]

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(card.state for card in self.cards)
        return {str(state): found[state] for state in (*State, UNKNOWN, NO_TARGET)}

    @property
    def total(self) -> int:
        """Cards with a target: what the counts are of."""
        return sum(card.state != NO_TARGET for card in self.cards)

    @property
    def summary(self) -> str:
        """`met 4, at risk 1, missed 2, unknown 9 of 16`."""
        told = ", ".join(f"{state.replace('_', ' ')} {self.counts[state]}" for state in (*State, UNKNOWN))
        return f"{told} of {self.total}"


def may_open(viewer: Viewer, name: Name) -> bool:
    return may(viewer, OPEN_TO[name])


def showing(definition: KpiDefinition, viewer: Viewer) -> list[Name]:
    """The scorecards this KPI stands on, of those that the viewer may open. Asks for no row."""
    if definition.status != DefinitionStatus.ACTIVE or definition.is_personal:
        return []
    ((_, formula),) = _formulas([definition])
    kpi = _Kpi(definition, formula, ())
    is_exec = definition.visibility == KpiVisibility.EXEC and not kpi.is_of_teams
    stands = {
        Name.EXEC: is_exec,
        Name.STAKEHOLDER: is_exec and definition.stakeholder_visible,
        Name.READINESS: kpi.is_of_teams and (_is_class(kpi) or may(viewer, Can.READ_INTERNAL_KPIS)),
    }
    return [name for name in Name if stands[name] and may_open(viewer, name)]


def days_of(text: str | None) -> int:
    """The span that the address asks for; 30 days unless it says so. Raises Invalid."""
    if text is None:
        return SPANS[0]
    if text not in map(str, SPANS):
        raise Invalid("window is 30, 60 or 90 (days).", field="window")
    return int(text)


def opened(name: str, viewer: Viewer, window: str | None, now: datetime) -> Scorecard:
    """The scorecard of that name. Raises NoSuchScorecard, Invalid, and what names the role it takes."""
    try:
        known = Name(name)
    except ValueError:
        raise NoSuchScorecard from None
    if not may_open(viewer, known):
        raise required(viewer or AnonymousUser(), OPEN_TO[known])
    return scorecard(known, viewer, days_of(window), now)


def scorecard(name: Name, viewer: Viewer, days: int, now: datetime) -> Scorecard:
    """The scorecard as this viewer may read it."""
    kpis = _kpis(name, viewer)
    stock = _Stock.of(kpis, viewer, now)
    cards = [card for kpi in kpis for card in _cards(kpi, stock, days, PERSONAS[name])]
    boards = tuple(_boards(kpis, stock)) if name is Name.READINESS else ()
    return Scorecard(name, days, tuple(cards), boards)


# --- Which KPIs ---


@dataclass(frozen=True, slots=True)
class _Kpi:
    """A definition with its formula, None while nothing can run, and its targets."""

    definition: KpiDefinition
    formula: Formula | None
    targets: tuple[KpiTarget, ...]

    @property
    def slug(self) -> str:
        return self.definition.slug

    @property
    def is_of_teams(self) -> bool:
        base = self.formula.base if self.formula else None
        return base is not None and base.source == _TEAM_SOURCE


def _kpis(name: Name, viewer: Viewer) -> list[_Kpi]:
    rows = visible(KpiDefinition.objects.order_by("slug").prefetch_related("targets"), viewer)
    rows = rows.filter(status=DefinitionStatus.ACTIVE, is_personal=False)
    if name is not Name.READINESS:
        rows = rows.filter(visibility=KpiVisibility.EXEC)
    if name is Name.STAKEHOLDER:
        rows = rows.filter(stakeholder_visible=True)
    found = [_Kpi(row, formula, tuple(row.targets.all())) for row, formula in _formulas(list(rows))]
    if name is not Name.READINESS:
        return [kpi for kpi in found if not kpi.is_of_teams]
    return [kpi for kpi in found if kpi.is_of_teams and (_is_class(kpi) or may(viewer, Can.READ_INTERNAL_KPIS))]


def _formulas(definitions: list[KpiDefinition]) -> Iterable[tuple[KpiDefinition, Formula | None]]:
    """Each with its formula; those made of other KPIs share one look at them."""
    shapes = kpi_shapes() if any(references_in(each.spec) for each in definitions) else {}
    for each in definitions:
        try:
            formula = parse(each.spec, sources=SHAPES, kpis=shapes, slug=each.slug) if each.spec else None
        except FormulaError:
            formula = None
        yield each, formula


def _is_class(kpi: _Kpi) -> bool:
    return kpi.formula is not None and isinstance(kpi.formula.calc, Builtin)


# --- What is stored, in three queries ---


@dataclass(frozen=True, slots=True)
class _Stock:
    """The newest rollups, the samples and the weekly history of rollups of all KPIs of a page."""

    now: datetime
    #: (slug, window, dims_key) -> the newest rollup.
    newest: Mapping[tuple[str, str, str], KpiObservation]
    samples: Mapping[str, list[tuple[trends.Sampled, Mapping[str, str | None]]]]
    #: (slug, dims_key) -> the headline rollups by time.
    past: Mapping[tuple[str, str], list[trends.Sampled]]
    standings: Standings

    @classmethod
    def of(cls, kpis: Sequence[_Kpi], viewer: Viewer, now: datetime) -> _Stock:
        slugs = [kpi.slug for kpi in kpis]
        rebuilt = [kpi.slug for kpi in kpis if kpi.formula and trends.can_rebuild(kpi.formula)]
        since = now - max(trends.WEEKS * trends.WEEK, 2 * timedelta(days=SPANS[-1])) - trends.WEEK
        return cls(
            now,
            _newest(slugs, viewer),
            _samples(rebuilt, viewer, since),
            _past([kpi for kpi in kpis if kpi.slug not in rebuilt], viewer, since),
            Standings([kpi.definition for kpi in kpis], now),
        )

    def renewed(self, figure: KpiObservation) -> KpiObservation:
        """With the evidence that holds now: a stored label does not grow old by itself."""
        return renewed(figure, self.standings)

    def is_computed(self, slug: str) -> bool:
        return any(kpi == slug for kpi, _, _ in self.newest)

    def as_of(self, slug: str) -> datetime:
        """Up to when the figures of a KPI reach: its newest rollup, so that all its numbers are of one moment."""
        times = [row.timestamp for (kpi, _, _), row in self.newest.items() if kpi == slug]
        return max(times, default=self.now)

    def of_group(self, slug: str, dims: Mapping[str, str | None]) -> list[trends.Sampled]:
        rows = self.samples.get(slug, ())
        return [sample for sample, of in rows if all(of.get(name) == value for name, value in dims.items())]


def _newest(slugs: list[str], viewer: Viewer) -> dict[tuple[str, str, str], KpiObservation]:
    age = Window(
        RowNumber(), partition_by=["kpi", "window", "dims_key"], order_by=[F("timestamp").desc(), F("id").desc()]
    )
    rows = visible(KpiObservation.objects.current().rollups(), viewer).filter(kpi__in=slugs)
    found = rows.annotate(age=age).filter(age=1).defer("inputs", "metadata")
    return {(row.kpi_id, row.window, row.dims_key): row for row in found}


def _samples(
    slugs: list[str], viewer: Viewer, since: datetime
) -> dict[str, list[tuple[trends.Sampled, Mapping[str, str | None]]]]:
    rows = visible(KpiObservation.objects.current().samples(), viewer)
    rows = rows.filter(Q(incident=None) | Q(incident__restricted=False), kpi__in=slugs, timestamp__gte=since)
    columns = ("kpi_id", "dims", "timestamp", "value", "n", "numerator", "denominator")
    found: dict[str, list[tuple[trends.Sampled, Mapping[str, str | None]]]] = defaultdict(list)
    for slug, dims, *figures in rows.exclude(value=None).order_by("timestamp", "pk").values_list(*columns):
        found[slug].append((trends.Sampled(*figures), dims))
    return found


def _past(kpis: Sequence[_Kpi], viewer: Viewer, since: datetime) -> dict[tuple[str, str], list[trends.Sampled]]:
    """Of KPIs that samples cannot rebuild: the headline figure as it stood each time it was computed."""
    asked = Q(pk__in=())
    for kpi in kpis:
        if kpi.formula is not None:
            asked |= Q(kpi=kpi.slug, window=kpi.formula.windows[0])
    rows = visible(KpiObservation.objects.current().rollups(), viewer).filter(asked, dims_key="", timestamp__gte=since)
    found: dict[tuple[str, str], list[trends.Sampled]] = defaultdict(list)
    columns = ("kpi_id", "dims_key", "timestamp", "value", "n")
    for slug, group, *figures in rows.exclude(value=None).order_by("timestamp", "pk").values_list(*columns):
        found[slug, group].append(trends.Sampled(*figures))
    return found


# --- Cards ---


def _cards(kpi: _Kpi, stock: _Stock, days: int, persona: str) -> Iterable[Card]:
    """One for each group and statistic that a target names; the whole where none is for the KPI's own value."""
    at = stock.as_of(kpi.slug)
    named = {(_group(target), target.statistic) for target in kpi.targets if holds_on(target, at.date())}
    own = () if any(not statistic for _, statistic in named) else (((), ""),)
    for group, statistic in sorted({*named, *own}):
        yield _card(kpi, stock, days, dict(group), persona, statistic)


def _group(target: KpiTarget) -> tuple[tuple[str, str], ...]:
    keys = (("alarm_level", target.alarm_level), ("severity", target.severity))
    return tuple((name, value) for name, value in keys if value)


def _card(kpi: _Kpi, stock: _Stock, days: int, dims: dict[str, str | None], persona: str, statistic: str = "") -> Card:
    at, weeks = stock.as_of(kpi.slug), [_week_of(week, statistic) for week in _weeks(kpi, stock, dims)]
    figure = _of_statistic(stock.renewed(_figure(kpi, stock, days, dims, at)), statistic)
    target = standing(kpi.targets, dims, at=at, persona=persona, statistic=statistic)
    told = shown(figure, kpi.targets, is_average=is_average(kpi.definition) and not statistic)
    limit = target_in_words(target, kpi.definition.units).limit if target else ""
    state = NO_TARGET if target is None else UNKNOWN if figure.value is None else judge(figure.value, target)
    values = [week.total.value for week in weeks]
    most = float(SHARES.get(kpi.definition.units, math.inf))
    found = trends.limits([value for value in values if value is not None], most)
    return Card(
        kpi=kpi.definition,
        group=" · ".join(_about(dims, statistic)),
        dims=dims,
        figure=replace(told, target=limit, state=state if state in list(State) else "", spreads=()),
        value=figure.value,
        target=target,
        state=str(state),
        change=_change(kpi, stock, days, dims, at, target, statistic),
        spark=charts.sparkline(values),
        chart=charts.run_chart(replace(_plot(weeks, target, found), most=most)),
        weeks=tuple(_week(week, kpi.definition.units) for week in weeks),
        limits=_limits_in_words(found, sum(value is not None for value in values), kpi.definition.units),
        statistic=statistic,
        samples=_samples_query(figure, dims, days) if figure._state.adding and figure.value is not None else "",
    )


def _about(dims: Mapping[str, str | None], statistic: str) -> Iterable[str]:
    """`Critical`, `90th percentile`; nothing for the KPI's own value over everything."""
    if dims:
        yield group_in_words(dims)
    if statistic:
        yield str(Statistic(statistic).label)


def _of_statistic(figure: KpiObservation, statistic: str) -> KpiObservation:
    """The figure with that statistic in the place of its own value; for showing only."""
    if not statistic:
        return figure
    found, figure = getattr(figure, statistic) if statistic in KEPT else None, copy(figure)
    if found is None and figure.value is not None:
        figure.reason = "not_kept"
    figure.value, figure.median, figure.p90 = found, None, None
    return figure


def _total_of(total: trends.Total, statistic: str) -> trends.Total:
    if not statistic:
        return total
    return trends.Total(getattr(total, statistic) if statistic in KEPT else None, total.n)


def _week_of(week: trends.Week, statistic: str) -> trends.Week:
    return replace(week, total=_total_of(week.total, statistic))


def _samples_query(figure: KpiObservation, dims: Mapping[str, str | None], days: int) -> str:
    """`samples=60&until=2026-03-04T00:00:00.000Z&severity=critical`"""
    return urlencode({"samples": days, "until": iso(figure.timestamp), **dims})


def _figure(kpi: _Kpi, stock: _Stock, days: int, dims: dict[str, str | None], at: datetime) -> KpiObservation:
    """The stored rollup of that span and group; else the same made of the samples; else none, with the reason."""
    window, group = f"P{days}D", ";".join(f"{name}={value}" for name, value in sorted(dims.items()))
    stored = stock.newest.get((kpi.slug, window, group))
    if stored is not None:
        return stored
    headline = stock.newest.get((kpi.slug, kpi.formula.windows[0] if kpi.formula else "", group))
    if kpi.formula is None or not trends.can_rebuild(kpi.formula):
        return headline or _unsaved(kpi, window, dims, at, _NOTHING)
    total = trends.together(kpi.formula, _in_span(stock.of_group(kpi.slug, dims), at, days))
    if total.value is None and headline is not None and headline.value is None:
        return headline  # it knows why better than an empty list of samples does
    return _unsaved(kpi, window, dims, at, total, is_computed=stock.is_computed(kpi.slug))


def _in_span(samples: list[trends.Sampled], end: datetime, days: int) -> list[trends.Sampled]:
    return trends.between(samples, end - timedelta(days=days), end)


def _unsaved(
    kpi: _Kpi,
    window: str,
    dims: dict[str, str | None],
    at: datetime,
    total: trends.Total,
    *,
    is_computed: bool = False,
) -> KpiObservation:
    """A figure that no run has stored: the evidence is that of its size alone."""
    problem = "no_formula" if kpi.formula is None else None
    nothing = problem or ("no_samples" if is_computed else "not_computed")
    reason = "" if total.value is not None else nothing
    least = min_sample(kpi.formula) if kpi.formula else 0
    verdict = derive(EvidenceInputs(value=total.value, missing=reason or None, problem=problem, n=total.n, min_n=least))
    return KpiObservation(
        kpi=kpi.definition,
        window=window,
        dims=dims,
        timestamp=at,
        value=total.value,
        reason=reason,
        units=kpi.definition.units,
        n=total.n,
        median=total.median,
        p90=total.p90,
        numerator=total.numerator,
        denominator=total.denominator,
        evidence=verdict.label,
        evidence_reasons=[{"code": each.code, "words": each.words} for each in verdict.reasons],
    )


# --- How it moved ---


def _change(
    kpi: _Kpi,
    stock: _Stock,
    days: int,
    dims: dict[str, str | None],
    at: datetime,
    target: KpiTarget | None,
    statistic: str,
) -> Change:
    if kpi.formula is None or not trends.can_rebuild(kpi.formula):
        return Change("", "", "", None, 0)
    samples = stock.of_group(kpi.slug, dims)
    spans = [_in_span(samples, end, days) for end in (at, at - timedelta(days=days))]
    now, before = (_total_of(trends.together(kpi.formula, span), statistic) for span in spans)
    least = max(min_sample(kpi.formula), 1)
    moved = trends.move(now, before, min_n=least)
    units = kpi.definition.units
    if moved.change is None:
        return Change("", _why_no_arrow(before, days, least), "", before.value, before.n)
    arrow = "→" if not moved.change else "↗" if moved.change > 0 else "↘"
    told = f"{_moved(moved.change, before.value or 0.0, units)} on the {days} days before "
    told += f"({with_unit(before.value, units)}, n = {before.n})"
    return Change(arrow, told, _sense(moved.change, target), before.value, before.n)


def _why_no_arrow(before: trends.Total, days: int, least: int) -> str:
    if before.value is None:
        return f"Nothing to compare with in the {days} days before."
    return f"Too few to compare with the {days} days before: n = {before.n} then, {least} are needed on both sides."


def _moved(change: float, before: float, units: str) -> str:
    """`−14 %`; shares move by points, and nothing is a percentage of 0."""
    sign = "−" if change < 0 else "+" if change > 0 else "±"
    if units == "percent":
        return f"{sign}{words.number(abs(change))} points"
    if not before:
        return f"{sign}{with_unit(abs(change), units)}"
    return f"{sign}{words.number(round(100 * abs(change / before), 1))} %"


def _sense(change: float, target: KpiTarget | None) -> str:
    if not change:
        return "same"
    good = _good_side(target)
    return "" if not good else "better" if (change < 0) == (good == "below") else "worse"


def _good_side(target: KpiTarget | None) -> str:
    """Where a value is good: at most the target, or at least."""
    return {"lte": "below", "lt": "below", "gte": "above", "gt": "above"}.get(target.operator if target else "", "")


# --- Charts ---


def _weeks(kpi: _Kpi, stock: _Stock, dims: dict[str, str | None]) -> list[trends.Week]:
    """The last weeks. Of a KPI without samples: its newest headline figure of each week."""
    at, zone = stock.as_of(kpi.slug), ZoneInfo(settings.MAJOROPS_REPORTING_ZONE)
    if kpi.formula is not None and trends.can_rebuild(kpi.formula):
        return trends.weekly(kpi.formula, stock.of_group(kpi.slug, dims), at, zone)
    stood = {trends.monday_of(one.at, zone): one for one in stock.past.get((kpi.slug, ""), ())} if not dims else {}
    return [
        trends.Week(monday, trends.Total(stood[monday].value, stood[monday].n) if monday in stood else _NOTHING)
        for monday in trends.mondays(at, zone)
    ]


_NOTHING = trends.Total(None, 0)


def _plot(weeks: Sequence[trends.Week], target: KpiTarget | None, found: trends.Limits | None) -> charts.Plot:
    values = [week.total.value for week in weeks]
    is_spread = any(week.total.p90 is not None and week.total.n > 1 for week in weeks)
    return charts.Plot(
        labels=[f"{week.monday.day} {week.monday:%b}" for week in weeks],
        values=values,
        medians=[week.total.median for week in weeks] if is_spread else (),
        p90s=[week.total.p90 for week in weeks] if is_spread else (),
        target=target.value if target else None,
        good=_good_side(target),
        limits=found,
        missed=[value is not None and target is not None and judge(value, target) is State.MISSED for value in values],
    )


def _week(week: trends.Week, units: str) -> WeekShown:
    total = week.total
    return WeekShown(
        monday=week.monday.isoformat(),
        value=with_unit(total.value, units),
        n=total.n,
        median=with_unit(total.median, units) if total.median is not None else "",
        p90=with_unit(total.p90, units) if total.p90 is not None else "",
        raw=total.value,
    )


def _limits_in_words(found: trends.Limits | None, count: int, units: str) -> str:
    if found is None:
        return f"No control limits: {count} weeks have a value, {trends.MIN_FOR_LIMITS} are needed."
    return (
        f"Control limits {with_unit(found.low, units)} to {with_unit(found.high, units)} around the mean of "
        f"{with_unit(found.mean, units)}: mean ± {trends.MOVING_RANGE_FACTOR} × the mean difference between neighbours."
    )


# --- Teams ---


def _boards(kpis: Sequence[_Kpi], stock: _Stock) -> Iterable[Board]:
    """Each team at each alarm level, as the rollups name them."""
    for kpi in kpis:
        rows = [row for (slug, _, _), row in stock.newest.items() if slug == kpi.slug and row.dims.get("team")]
        keys = sorted({(row.dims["team"], row.dims.get("alarm_level") or "", row.dims_key) for row in rows})
        teams = tuple(_team(kpi, stock, *key) for key in keys)
        if teams:
            yield Board(kpi.definition, teams)


def _team(kpi: _Kpi, stock: _Stock, team: str, level: str, group: str) -> Team:
    found = [stock.newest.get((kpi.slug, f"P{days}D", group)) for days in SPANS]
    return Team(
        name=group_in_words({"team": team}),
        level=group_in_words({"alarm_level": level}) if level else "",
        figures=tuple(_of_team(kpi, stock, row) if row is not None else None for row in found),
    )


def _of_team(kpi: _Kpi, stock: _Stock, row: KpiObservation) -> Shown:
    told = shown(stock.renewed(row), kpi.targets, is_average=is_average(kpi.definition))
    if _is_class(kpi) and row.value is None and row.n < RECORD:
        return replace(told, why=f"building record ({row.n}/{RECORD})")
    return told
