"""KPI numbers as the pages show them: with their unit, their target, how far to trust them, and why there is none."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from accounts.visibility import Viewer
from incidents import words
from incidents.lifecycle import Severity
from kpis.formulas.language import SHARES
from kpis.models import KpiDefinition, KpiDefinitionVersion, KpiObservation, KpiTarget
from kpis.standing import Standings
from kpis.targets import KEYS, Persona, State, Statistic, judge, standing, upcoming
from kpis.viewing import figures_of, renewed, renewed_all, sources_of
from majorops.lib.errors import Invalid
from majorops.lib.times import parse_time
from majorops.lib.visibility import visible
from teams.alarm import AlarmLevel

UNITS = {
    "minutes": "min",
    "hours": "h",
    "seconds": "s",
    "days": "d",
    "percent": "%",
    "score": "",
    "count": "",
    "usd": "USD",
    "ratio": "",
}
_LABELS = {
    **{choice.value: choice.label for choice in Severity},
    **{choice.value: choice.label for choice in AlarmLevel},
    **{choice.value: choice.label for choice in (*Persona, *Statistic)},
}
_WINDOWS = {"all": "all time", "calendar-day": "today", "calendar-week": "this week", "calendar-month": "this month"}
_SPANS = {"D": "days", "W": "weeks", "H": "hours"}


def with_unit(value: float | None, units: str) -> str:
    """`96 min`, `84 %`, `4.6`; a dash for no value."""
    if value is None:
        return words.UNKNOWN
    return f"{words.number(value)} {UNITS.get(units, units.replace('_', ' '))}".strip()


def window_in_words(window: str) -> str:
    """`last 30 days`, `all time`."""
    if match := re.fullmatch(r"PT?(\d+)([DWH])", window):
        return f"last {match[1]} {_SPANS[match[2]]}"
    return _WINDOWS.get(window, window)


def group_in_words(dims: Mapping[str, str | None]) -> str:
    """`Database · Box 3`; "Overall" for no group."""
    said = [_label(value or "unknown") for _, value in sorted(dims.items(), reverse=True)]
    return " · ".join(said) or "Overall"


def _label(value: str) -> str:
    """`Box 3`, `Database west`."""
    return _LABELS.get(value) or value.replace("-", " ").capitalize()


# --- Targets ---


@dataclass(frozen=True, slots=True)
class Target:
    """`Critical ≤ 120 min`."""

    who: str
    limit: str
    when: str

    def __str__(self) -> str:
        return " ".join(part for part in (self.who, self.limit, self.when) if part)


def target_in_words(target: KpiTarget, units: str) -> Target:
    days = [("from", target.effective_from), ("until", target.effective_to), ("by", target.due_on)]
    return Target(
        who=" · ".join(_label(getattr(target, key)) for key in (*KEYS, "statistic") if getattr(target, key)),
        limit=f"{target.get_operator_display()} {with_unit(target.value, units)}",
        when=", ".join(f"{word} {day.day} {day:%b %Y}" for word, day in days if day),
    )


# --- Figures ---


@dataclass(frozen=True, slots=True)
class Spread:
    """A median or percentile of a figure that has a target of its own."""

    name: str
    value: str
    target: str
    #: met | at_risk | missed | "" where it is not known
    state: str


#: The statistics that are kept with a figure. A target for another one cannot be judged.
KEPT = (Statistic.MEDIAN, Statistic.P90)


@dataclass(frozen=True, slots=True)
class Shown:
    """One figure and everything needed to believe it, or to know why there is none."""

    value: str
    window: str
    group: str
    n: int
    #: The reason there is no value.
    why: str
    median: str
    p90: str
    share: str
    #: (count, reason)
    excluded: tuple[tuple[int, str], ...]
    invalid: tuple[tuple[int, str], ...]
    evidence: str
    reasons: tuple[str, ...]
    at: datetime | None
    target: str
    #: met | at_risk | missed | "" where nothing is judged
    state: str
    is_average: bool = False
    #: Of the stored observation, to ask why; empty where nothing is stored.
    id: str = ""
    slug: str = ""
    spreads: tuple[Spread, ...] = ()
    #: It still runs: nothing of it is stored.
    is_so_far: bool = False
    #: Where no target holds yet: the next goal with its day, and whether the value would meet it already.
    goal: str = ""
    is_reached: bool = False

    @property
    def has_value(self) -> bool:
        return self.value != words.UNKNOWN


def shown(figure: KpiObservation, targets: Sequence[KpiTarget], *, is_average: bool = False) -> Shown:
    units, target, goal = figure.units, None, None
    if figure.timestamp is not None:
        target = standing(targets, figure.dims, at=figure.timestamp)
        goal = upcoming(targets, figure.dims, at=figure.timestamp) if target is None else None
    reasons = tuple(_reason(reason) for reason in figure.evidence_reasons)
    state = ""
    if target is not None and figure.value is not None:
        state = judge(figure.value, target)
    return Shown(
        value=with_unit(figure.value, units),
        window=window_in_words(figure.window),
        group=group_in_words(figure.dims),
        n=figure.n,
        why="" if figure.value is not None else _why(figure, reasons),
        median=with_unit(figure.median, units) if figure.median is not None else "",
        p90=with_unit(figure.p90, units) if figure.p90 is not None else "",
        share=_share(figure),
        excluded=_counted(figure.excluded),
        invalid=_counted(figure.invalid),
        evidence=figure.evidence,
        reasons=reasons,
        at=figure.timestamp,
        target=target_in_words(target, units).limit if target else "",
        state=state,
        is_average=is_average and figure.median is not None,
        id="" if figure._state.adding else figure.pk,
        slug=figure.kpi_id,
        spreads=_spreads(figure, targets),
        goal=str(target_in_words(goal, units)) if goal else "",
        is_reached=goal is not None and figure.value is not None and judge(figure.value, goal) is not State.MISSED,
    )


def _spreads(figure: KpiObservation, targets: Sequence[KpiTarget]) -> tuple[Spread, ...]:
    """Each statistic that a target is set for, of a figure over time: one value alone has no spread."""
    if figure.timestamp is None or not figure.window:
        return ()
    found = ((name, standing(targets, figure.dims, at=figure.timestamp, statistic=name)) for name in Statistic)
    return tuple(_spread(figure, name, target) for name, target in found if target is not None)


def _spread(figure: KpiObservation, name: Statistic, target: KpiTarget) -> Spread:
    value = getattr(figure, name) if name in KEPT else None
    return Spread(
        name=name.label,
        value=with_unit(value, figure.units) if name in KEPT else "not kept",
        target=target_in_words(target, figure.units).limit,
        state=judge(value, target) if value is not None else "",
    )


_WHY = {
    "own_team": "You read the figures of your own team here, not the overall one.",
    "personal": "Figures of single people are not shown.",
    "not_computed": "Not computed yet.",
    "no_formula": "There is no formula that can run.",
    "not_kept": "Of a figure the median and the 90th percentile are kept; this statistic cannot be judged.",
}


def _why(figure: KpiObservation, reasons: Sequence[str]) -> str:
    return _WHY.get(figure.reason) or (reasons[0] if reasons else figure.reason.replace("_", " "))


def _reason(reason: Any) -> str:
    """A reason is stored with its words; older rows may hold a bare code."""
    return str(reason.get("words", "")) if isinstance(reason, dict) else str(reason).replace("_", " ")


def _share(figure: KpiObservation) -> str:
    """`4 of 5`; of a weighted score nothing, for its numerator is no count."""
    if figure.units not in SHARES or figure.numerator is None or figure.denominator is None:
        return ""
    return f"{words.number(figure.numerator)} of {words.number(figure.denominator)}"


def _counted(reasons: Mapping[str, int]) -> tuple[tuple[int, str], ...]:
    """(2, "negative duration"), the most frequent first."""
    ordered = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple((count, reason.replace("_", " ")) for reason, count in ordered)


# --- The catalogue ---


@dataclass(frozen=True, slots=True)
class Catalogued:
    """One definition with its documented fields and its newest figures."""

    definition: KpiDefinition
    targets: list[Target]
    sources: tuple[str, ...]
    headline: Shown
    all_time: Shown | None
    #: Groups that a target is set for.
    judged: list[Shown]
    review: str
    review_is_due: bool


@dataclass(frozen=True, slots=True)
class Sought:
    """What the catalogue is narrowed to; empty is all."""

    visibility: str = ""
    owner: str = ""
    evidence: str = ""
    q: str = ""

    def finds(self, kpi: Catalogued) -> bool:
        own, text = kpi.definition, self.q.casefold().strip()
        return (
            self.visibility in ("", own.visibility)
            and self.owner in ("", own.owner)
            and self.evidence in ("", kpi.headline.evidence)
            and text in f"{own.slug} {own.name} {own.description}".casefold()
        )


def catalogue(definitions: Collection[KpiDefinition], viewer: Viewer, now: datetime) -> list[Catalogued]:
    """Every definition (targets prefetched) with its figures, in two queries however many there are."""
    standings = Standings(definitions, now)
    overall = figures_of(definitions, viewer, standings)
    groups = _groups(definitions, viewer, standings)
    return [
        _catalogued(definition, overall[definition.slug], groups[definition.slug], now) for definition in definitions
    ]


def _groups(
    definitions: Collection[KpiDefinition], viewer: Viewer, standings: Standings
) -> dict[str, list[KpiObservation]]:
    """The newest figure of each group and window that the viewer may read."""
    age = Window(
        RowNumber(), partition_by=["kpi", "window", "dims_key"], order_by=[F("timestamp").desc(), F("id").desc()]
    )
    rows = visible(KpiObservation.objects.current().rollups().exclude(dims_key=""), viewer)
    rows = rows.filter(kpi__in=[each.slug for each in definitions])
    found: dict[str, list[KpiObservation]] = defaultdict(list)
    for row in rows.annotate(age=age).filter(age=1).defer("inputs").order_by("dims_key"):
        found[row.kpi_id].append(renewed(row, standings))
    return found


def _catalogued(
    definition: KpiDefinition, overall: list[KpiObservation], groups: list[KpiObservation], now: datetime
) -> Catalogued:
    targets, average = list(definition.targets.all()), is_average(definition)
    figures = [shown(figure, targets, is_average=average) for figure in overall]
    headline, named = overall[0].window, {(key, getattr(target, key)) for target in targets for key in KEYS}
    judged = [
        shown(row, targets, is_average=average)
        for row in groups
        if row.window == headline and len(row.dims) == 1 and set(row.dims.items()) <= named
    ]
    all_time = next((figure for figure in figures[1:] if figure.window == _WINDOWS["all"]), None)
    review, is_due = review_in_words(definition, now)
    return Catalogued(
        definition=definition,
        targets=[target_in_words(target, definition.units) for target in targets],
        sources=sources_of(definition),
        headline=figures[0],
        all_time=all_time,
        judged=judged,
        review=review,
        review_is_due=is_due,
    )


def is_average(definition: KpiDefinition) -> bool:
    calc = (definition.spec or {}).get("calc", {})
    return isinstance(calc, dict) and calc.get("agg") == "avg"


def review_is_due(definition: KpiDefinition, now: datetime) -> bool:
    return review_in_words(definition, now)[1]


def review_in_words(definition: KpiDefinition, now: datetime) -> tuple[str, bool]:
    """`never reviewed`, `due in 12 days`, `overdue by 3 days`; and whether it is overdue."""
    due_at = definition.review_due_at
    if due_at is None:
        return "never reviewed", False
    return (
        (f"overdue by {words.span(now - due_at)}", True) if due_at < now else (f"due {words.ago(due_at, now)}", False)
    )


# --- One definition ---


@dataclass(frozen=True, slots=True)
class Change:
    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class VersionShown:
    version: str
    at: datetime
    by: str
    reason: str
    changes: tuple[Change, ...]


def history(versions: Sequence[KpiDefinitionVersion]) -> list[VersionShown]:
    """What each version changed; `versions` come newest first."""
    older: list[KpiDefinitionVersion | None] = [*versions[1:], None]
    return [
        VersionShown(
            version=version.number,
            at=version.changed_at,
            by=version.changed_by.name if version.changed_by else "MajorOps",
            reason=version.reason,
            changes=_changes(before, version) if before else (),
        )
        for version, before in zip(versions, older, strict=False)
    ]


def _changes(before: KpiDefinitionVersion, after: KpiDefinitionVersion) -> tuple[Change, ...]:
    old, new = _contents(before), _contents(after)
    names = sorted({*old, *new}, key=lambda name: list(new).index(name) if name in new else len(new))
    return tuple(
        Change(name, _plain(old.get(name)), _plain(new.get(name))) for name in names if old.get(name) != new.get(name)
    )


def _contents(version: KpiDefinitionVersion) -> dict[str, Any]:
    return {"formula": version.formula, "spec": version.spec, "units": version.units, **version.snapshot}


def _plain(value: Any) -> str:
    if value is None or value == "" or value == []:
        return words.UNKNOWN
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else str(value)


@dataclass(frozen=True, slots=True)
class Sheet:
    """All figures of one definition: a row per group, a column per window."""

    windows: list[str]
    rows: list[tuple[str, list[Shown | None]]]


def sheet(definition: KpiDefinition, viewer: Viewer, standings: Standings) -> Sheet:
    """Overall first, then every group the person may read. One row per group, one figure per window."""
    targets, average = list(definition.targets.all()), is_average(definition)
    overall = figures_of([definition], viewer, standings)[definition.slug]
    groups = _groups([definition], viewer, standings)[definition.slug]
    windows = [figure.window for figure in overall]
    cells: dict[str, dict[str, Shown]] = defaultdict(dict)
    for figure in (*overall, *groups):
        cells[group_in_words(figure.dims)][figure.window] = shown(figure, targets, is_average=average)
    rows = [(group, [found.get(window) for window in windows]) for group, found in cells.items()]
    return Sheet([window_in_words(window) for window in windows], rows)


@dataclass(frozen=True, slots=True)
class SpanAsked:
    """The samples of one group over some days: the columns they have, and a heading."""

    where: dict[str, object]
    title: str


def span_asked(asked: Mapping[str, str], definition: KpiDefinition) -> SpanAsked | None:
    """What `samples=60&until=...&severity=critical` asks for; None for anything else."""
    days, until = asked.get("samples", ""), asked.get("until", "")
    if not re.fullmatch(r"[1-9][0-9]{0,2}", days):
        return None
    try:
        end = parse_time(until, field="until")
    except Invalid:
        return None
    groups = (definition.spec or {}).get("group_by") or []
    dims: dict[str, str | None] = {name: asked[name][:80] for name in groups if asked.get(name)}
    where: dict[str, object] = {f"dims__{name}": value for name, value in dims.items()}
    where |= {"timestamp__gte": end - timedelta(days=int(days)), "timestamp__lt": end}
    return SpanAsked(where, f"Samples of {days} days up to {end:%Y-%m-%d}: {group_in_words(dims)}")


# --- One incident ---


def of_incident(
    observations: QuerySet[KpiObservation], now: datetime, *, running: Iterable[KpiObservation] = ()
) -> list[tuple[KpiDefinition, Shown]]:
    """Each figure beside its definition, by slug and time, trusted as far as holds now; then those that still run."""
    rows = observations.order_by("kpi_id", "timestamp", "id").prefetch_related("kpi__targets")
    stored = [(row.kpi, shown(row, list(row.kpi.targets.all()))) for row in renewed_all(rows, now)]
    known = {kpi.slug for kpi, _ in stored}
    return stored + [(row.kpi, _so_far(row)) for row in running if row.kpi_id not in known]


def _so_far(row: KpiObservation) -> Shown:
    """What still runs can be missed already, but not met."""
    figure = shown(row, list(row.kpi.targets.all()))
    return replace(figure, is_so_far=True, state="" if figure.state == "met" else figure.state)
