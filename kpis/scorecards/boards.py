"""All teams of a KPI side by side, at each alarm level, over the three spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kpis.models import KpiDefinition, KpiObservation
from kpis.reading import Shown, group_in_words, is_average, shown
from kpis.scorecards.stock import SPANS, Kpi, Stock

#: Below so many judged dispatches a class is not shown: the record is still being built.
RECORD = 5


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


def boards(kpis: Sequence[Kpi], stock: Stock) -> Iterable[Board]:
    """Each team at each alarm level, as the rollups name them."""
    for kpi in kpis:
        rows = [row for (slug, _, _), row in stock.newest.items() if slug == kpi.slug and row.dims.get("team")]
        keys = sorted({(row.dims["team"], row.dims.get("alarm_level") or "", row.dims_key) for row in rows})
        teams = tuple(_team(kpi, stock, *key) for key in keys)
        if teams:
            yield Board(kpi.definition, teams)


def _team(kpi: Kpi, stock: Stock, team: str, level: str, group: str) -> Team:
    found = [stock.newest.get((kpi.slug, f"P{days}D", group)) for days in SPANS]
    return Team(
        name=group_in_words({"team": team}),
        level=group_in_words({"alarm_level": level}) if level else "",
        figures=tuple(_of_team(kpi, stock, row) if row is not None else None for row in found),
    )


def _of_team(kpi: Kpi, stock: Stock, row: KpiObservation) -> Shown:
    told = shown(stock.renewed(row), kpi.targets, is_average=is_average(kpi.definition))
    if kpi.is_class and row.value is None and row.n < RECORD:
        return replace(told, why=f"building record ({row.n}/{RECORD})")
    return told
