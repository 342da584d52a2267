"""What the directory of teams shows of a team's figures: how fast it came in the last 30 days, against its limit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from incidents.lifecycle import bridge_limit
from kpis.models import KpiObservation
from majorops.lib.visibility import visible
from teams.alarm import AlarmLevel
from teams.insight import Heading
from teams.models import Team

KPI, WINDOW = "team-page-to-bridge", "P30D"


def register() -> None:
    from teams import insight

    insight.columns["response"] = Heading("Median to bridge, 30 d (limit, n)", responses)


def responses(teams: Sequence[Team], viewer: object) -> Mapping[str, str]:
    """Per team, a part for each alarm level that it was paged at: `Box 3: 4.2 min (limit 5, n 12)`."""
    figures = visible(KpiObservation.objects.current().rollups(), viewer).filter(kpi=KPI, window=WINDOW)
    newest = figures.order_by("-timestamp").values("timestamp")[:1]
    keys = {team.slug: team.pk for team in teams}
    parts: dict[str, list[str]] = defaultdict(list)
    for row in figures.filter(timestamp=newest).order_by("dims_key"):
        if row.n and row.dims.get("team") in keys:
            parts[keys[row.dims["team"]]].append(_words(row))
    return {key: "; ".join(words) for key, words in parts.items()}


def _words(row: KpiObservation) -> str:
    level = row.dims.get("alarm_level")
    limit = bridge_limit(level)
    name = f"{AlarmLevel(level).label}: " if level in AlarmLevel.values else ""
    median = "—" if row.median is None else f"{row.median:.1f} min"
    return f"{name}{median} ({'no limit' if limit is None else f'limit {limit}'}, n {row.n})"
