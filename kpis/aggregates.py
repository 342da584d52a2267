"""One statistic of a KPI over a span of time, for everything or for each group, from the values its reader may read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import fmean
from typing import TypeVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q

from accounts.permissions import required
from accounts.roles import Can
from accounts.visibility import Viewer, may
from kpis import stats, trends
from kpis.definitions import formula_of
from kpis.evidence import EvidenceInputs, Verdict, derive
from kpis.formulas.language import SHARES
from kpis.models import KpiDefinition, KpiObservation
from majorops.lib.paging import BadQuery
from majorops.lib.visibility import visible

MAX_DAYS = 366
#: How many values a statistic needs before it is more than an anecdote.
LEAST = {"mean": 5, "median": 5, "p95": 20, "rate": 1}


class Stat(StrEnum):
    MEAN = "mean"
    MEDIAN = "median"
    P95 = "p95"
    RATE = "rate"


class Group(StrEnum):
    TEAM = "team"
    SEVERITY = "severity"
    WEEK = "week"


@dataclass(frozen=True, slots=True)
class Asked:
    """Over which days up to now, of what, for whom together."""

    days: int
    stat: Stat
    group: Group | None = None

    @classmethod
    def of(cls, window: str, stat: str, group: str) -> Asked:
        """Raises BadQuery, naming the parameter."""
        days = window.removesuffix("d")
        if not (days.isascii() and days.isdecimal() and len(days) < 5 and 1 <= int(days) <= MAX_DAYS):
            raise BadQuery(f"window is a number of days from 1d to {MAX_DAYS}d, e.g. 30d.", parameter="window")
        return cls(int(days), _one_of(Stat, stat, "stat"), _one_of(Group, group, "group") if group else None)


Choice = TypeVar("Choice", bound=StrEnum)


def _one_of(choices: type[Choice], text: str, name: str) -> Choice:
    if text not in list(choices):
        raise BadQuery(f"{name} is one of {', '.join(choices)}.", parameter=name)
    return choices(text)


@dataclass(slots=True)
class Values:
    """The samples of one group, and why others have no value."""

    samples: list[trends.Sampled] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` is None where there is nothing to make it of, and `reason` says so."""

    group: str | None
    value: float | None
    n: int
    left_out: Mapping[str, int]
    reason: str | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Aggregate:
    asked: Asked
    start: datetime
    end: datetime
    figures: Sequence[Figure]


def aggregate(definition: KpiDefinition, viewer: Viewer, asked: Asked, now: datetime) -> Aggregate:
    """The figure of each group, by its name; of everything where no group is asked for. Raises BadQuery where the KPI
    has no such statistic, and what names the role it takes to compare teams."""
    if asked.group is Group.TEAM and not may(viewer, Can.READ_TEAMS):
        raise required(viewer or AnonymousUser(), Can.READ_TEAMS)
    formula = formula_of(definition)
    if asked.stat is Stat.RATE and definition.units not in SHARES:
        raise BadQuery(
            f"{definition.slug} is measured in {definition.units}; only a share has a rate.", parameter="stat"
        )
    start = now - timedelta(days=asked.days)
    groups = _values(definition, viewer, asked, start, now)
    if not asked.group:
        groups = {"": groups.get("", Values())}
    nothing = "no_formula" if formula is None else "no_samples"
    figures = [_figure(name or None, groups[name], asked.stat, definition.units, nothing) for name in sorted(groups)]
    return Aggregate(asked, start, now, figures)


def _values(
    definition: KpiDefinition, viewer: Viewer, asked: Asked, start: datetime, end: datetime
) -> dict[str, Values]:
    """By group. Restricted incidents are in no aggregate, whoever asks."""
    rows = visible(KpiObservation.objects.current().samples(), viewer)
    rows = rows.filter(Q(incident=None) | Q(incident__restricted=False), kpi=definition.slug)
    rows = rows.filter(timestamp__gte=start, timestamp__lt=end).order_by("timestamp", "pk")
    zone = ZoneInfo(settings.MAJOROPS_REPORTING_ZONE)
    found: dict[str, Values] = defaultdict(Values)
    columns = ("dims", "incident__severity", "reason", "timestamp", "value", "n", "numerator", "denominator")
    for dims, severity, reason, at, value, *counts in rows.values_list(*columns):
        values = found[_name(asked.group, dims or {}, severity, at, zone)]
        if value is None:
            values.left_out[reason or "unknown"] += 1
        else:
            values.samples.append(trends.Sampled(at, value, *counts))
    return found


def _name(
    group: Group | None, dims: Mapping[str, str | None], severity: str | None, at: datetime, zone: ZoneInfo
) -> str:
    match group:
        case Group.TEAM:
            return dims.get("team") or ""
        case Group.SEVERITY:
            return dims.get("severity") or severity or ""
        case Group.WEEK:
            return trends.monday_of(at, zone).isoformat()
    return ""


def _figure(group: str | None, values: Values, stat: Stat, units: str, nothing: str) -> Figure:
    value, n = _reduced(values.samples, stat, units), len(values.samples)
    reason = nothing if value is None else None
    problem = reason if reason == "no_formula" else None
    verdict = derive(EvidenceInputs(value=value, missing=reason, problem=problem, n=n, min_n=LEAST[stat]))
    return Figure(group, value, n, dict(sorted(values.left_out.items())), reason, verdict)


def _reduced(samples: Sequence[trends.Sampled], stat: Stat, units: str) -> float | None:
    values = [sample.value for sample in samples]
    if not values:
        return None
    match stat:
        case Stat.MEDIAN:
            return stats.median(values)
        case Stat.P95:
            return stats.percentile(values, 95)
        case Stat.RATE:
            whole = sum(sample.denominator or 0.0 for sample in samples)
            return SHARES[units] * sum(sample.numerator or 0.0 for sample in samples) / whole if whole else None
    return fmean(values)
