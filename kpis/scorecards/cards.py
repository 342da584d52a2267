"""One card of a scorecard: a figure against its target, how it moved, and its weeks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings

from incidents import words
from kpis import charts, trends
from kpis.evidence import EvidenceInputs, derive, min_sample
from kpis.formulas.language import SHARES
from kpis.models import KpiDefinition, KpiObservation, KpiTarget
from kpis.reading import KEPT, Shown, group_in_words, is_average, shown, target_in_words, with_unit
from kpis.scorecards.stock import Kpi, Stock
from kpis.targets import State, Statistic, holds_on, judge, standing
from majorops.lib.times import iso

UNKNOWN, NO_TARGET = "unknown", "no_target"


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


# --- One card


def cards(kpi: Kpi, stock: Stock, days: int, persona: str) -> Iterable[Card]:
    """One for each group and statistic that a target names; the whole where none is for the KPI's own value."""
    at = stock.as_of(kpi.slug)
    named = {(_group(target), target.statistic) for target in kpi.targets if holds_on(target, at.date())}
    own = () if any(not statistic for _, statistic in named) else (((), ""),)
    for group, statistic in sorted({*named, *own}):
        yield _card(kpi, stock, days, dict(group), persona, statistic)


def _group(target: KpiTarget) -> tuple[tuple[str, str], ...]:
    keys = (("alarm_level", target.alarm_level), ("severity", target.severity))
    return tuple((name, value) for name, value in keys if value)


def _card(kpi: Kpi, stock: Stock, days: int, dims: dict[str, str | None], persona: str, statistic: str = "") -> Card:
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


def _figure(kpi: Kpi, stock: Stock, days: int, dims: dict[str, str | None], at: datetime) -> KpiObservation:
    """The stored rollup of that span and group; else the same made of the samples; else none, with the reason."""
    window, group = f"P{days}D", ";".join(f"{name}={value}" for name, value in sorted(dims.items()))
    stored = stock.newest.get((kpi.slug, window, group))
    if stored is not None:
        return stored
    headline = stock.newest.get((kpi.slug, kpi.formula.windows[0] if kpi.formula else "", group))
    if kpi.formula is None or not trends.can_rebuild(kpi.formula):
        return headline or _unsaved(kpi, stock, window, dims, at, _NOTHING)
    total = trends.together(kpi.formula, _in_span(stock.of_group(kpi.slug, dims), at, days))
    if total.value is None and headline is not None and headline.value is None:
        return headline  # it knows why better than an empty list of samples does
    return _unsaved(kpi, stock, window, dims, at, total)


def _in_span(samples: list[trends.Sampled], end: datetime, days: int) -> list[trends.Sampled]:
    return trends.between(samples, end - timedelta(days=days), end)


def _unsaved(
    kpi: Kpi, stock: Stock, window: str, dims: dict[str, str | None], at: datetime, total: trends.Total
) -> KpiObservation:
    """A figure that no run has stored: the evidence is that of its size alone."""
    least = min_sample(kpi.formula) if kpi.formula else 0
    reason, verdict = "", derive(EvidenceInputs(value=total.value, n=total.n, min_n=least))
    if total.value is None:
        missing = "no_samples" if stock.is_computed(kpi.slug) else "not_computed"
        reason, verdict = stock.standings.nothing(kpi.definition, missing)
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


# --- How it moved


def _change(
    kpi: Kpi,
    stock: Stock,
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


# --- Charts


def _weeks(kpi: Kpi, stock: Stock, dims: dict[str, str | None]) -> list[trends.Week]:
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
