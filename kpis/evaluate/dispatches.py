"""Dispatch credit from rows of `team_pages`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from kpis import dispatch_credit as rules
from kpis.evaluate.population import Entry, Fate, ordered
from kpis.evaluate.rows import Row, Tables, is_open, seen, time_of
from kpis.formulas.kinds import Builtin

#: Drills and tests earn nothing and cost nothing.
COUNTED = ("real", "backfilled")
_WHY_OUT = {rules.Outcome.PENDING: "not judged yet", rules.Outcome.CANCELLED: "stood down in time"}


def dispatch_entries(calc: Builtin, rows: Tables, as_of: datetime) -> Iterator[Entry]:
    """The value of a judged page is its dispatch."""
    for row in ordered(rows.get(calc.rows.source, ())):
        paged_at = time_of(row, calc.rows.at)
        if paged_at is None:
            yield Entry(row, Fate.OUT, None, "paged_at is empty")
        elif paged_at >= as_of:
            yield Entry(row, Fate.LATER, None, "paged_at is after as_of")
        elif row.get("incident_kind") not in COUNTED:
            yield Entry(row, Fate.OUT, paged_at, "a drill or a test")
        elif row.get("alarm_level") not in credit_of(row).settings.levels:
            yield Entry(row, Fate.OUT, paged_at, "no alarm level")
        else:
            yield _judged(row, paged_at, as_of)


def credit_of(row: Row) -> rules.InForce:
    """The setting that the row was loaded with: the one of its `as_of`."""
    found = row.get("credit")
    return found if isinstance(found, rules.InForce) else rules.AT_FIRST


def _level_of(row: Row) -> rules.Level:
    return credit_of(row).settings.levels[str(row["alarm_level"])]


def _judged(row: Row, paged_at: datetime, as_of: datetime) -> Entry:
    dispatch = rules.Dispatch(
        paged_at=paged_at,
        acknowledged_at=seen(row, "acknowledged_at", as_of),
        arrived_at=seen(row, "arrived_at", as_of),
        cancelled_at=seen(row, "cancelled_at", as_of),
        incident_is_over=not is_open(row, as_of),
    )
    outcome = rules.outcome_of(dispatch, _level_of(row), as_of=as_of, settings=credit_of(row).settings)
    if outcome is rules.Outcome.INVALID:
        return Entry(row, Fate.INVALID, paged_at, "negative_duration")
    if not outcome.is_judged:
        return Entry(row, Fate.OUT, paged_at, _WHY_OUT[outcome])
    return Entry(row, Fate.VALID, paged_at, value=dispatch, at=paged_at)


def came_in_time(entry: Entry) -> bool:
    """Whether a judged page met the limit of its level."""
    arrival = entry.value.arrival
    return arrival is not None and arrival <= _level_of(entry.row).arrival


@dataclass(frozen=True, slots=True)
class Standing:
    """The class, how many of all came in time, and the companions of the arrivals in minutes."""

    rating: int | None
    met: int
    n: int
    median: float | None
    p90: float | None


def standing(calc: Builtin, valid: Sequence[Entry]) -> Standing:
    """The class at one alarm level, or over all levels that the pages have."""
    settings = _settings(calc, valid)
    by_level: dict[str, list[rules.Dispatch]] = defaultdict(list)
    for entry in valid:
        by_level[str(entry.row["alarm_level"])].append(entry.value)
    counts = {name: rules.tally(pages, settings.levels[name]) for name, pages in by_level.items()}
    earned = {name: rules.credit(counts[name], settings.levels[name], settings) for name in counts}
    found = next(iter(earned.values())) if len(earned) == 1 else rules.overall(earned, settings)
    p90 = next(iter(counts.values())).p90 if len(counts) == 1 else math.inf
    return Standing(
        rating=found.rating,
        met=sum(one.met for one in counts.values()),
        n=sum(one.n for one in counts.values()),
        median=rules.arrivals_of([entry.value for entry in valid])[1],
        p90=p90 if math.isfinite(p90) else None,
    )


def _settings(calc: Builtin, valid: Sequence[Entry]) -> rules.Settings:
    """Those that the pages were judged by. The formula's own numbers hold until somebody has made a setting."""
    credit = credit_of(valid[0].row) if valid else rules.AT_FIRST
    if credit.version != rules.BUILT_IN:
        return credit.settings
    return replace(credit.settings, min_rated=calc.params.min_rated, min_provisional=calc.params.min_provisional)
