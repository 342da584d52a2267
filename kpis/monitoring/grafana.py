"""A Grafana dashboard made of the definitions: per KPI its course with the target as a threshold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from kpis.models import KpiDefinition
from kpis.monitoring import promql
from kpis.monitoring.prometheus_rules import headline

#: Grafana counts 24 columns.
WIDTH, HEIGHT, COLUMNS = 8, 8, 3
SCHEMA = 38
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = {
    "minutes": "m",
    "hours": "h",
    "seconds": "s",
    "ms": "ms",
    "days": "d",
    "percent": "percent",
    "usd": "currencyUSD",
}
_GOOD, _BAD = "green", "red"


def dashboard(definitions: Iterable[KpiDefinition]) -> str:
    """The JSON to import. It asks for the Prometheus data source when it is opened."""
    panels = [*_incidents(), *(_kpi(place, each) for place, each in enumerate(definitions))]
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    told: dict[str, Any] = {
        "title": "MajorOps KPIs",
        "uid": "majorops-kpis",
        "tags": ["majorops"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "timezone": "utc",
        "time": {"from": "now-90d", "to": "now"},
        "refresh": "5m",
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "annotations": {"list": []},
        "panels": panels,
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def expressions(document: dict[str, Any]) -> list[str]:
    """Every query of a dashboard."""
    return [target["expr"] for panel in document["panels"] for target in panel.get("targets", ())]


def _incidents() -> Iterator[dict[str, Any]]:
    yield _panel("Open incidents", "majorops_incidents_open", "{{severity}}", "Without drills.", 0, 0, "stat")
    yield _panel("Overdue updates", "majorops_update_overdue", "overdue", "Promises that were not kept.", 8, 0, "stat")
    yield _panel("Alerts", "majorops_kpi_alert_firing", "{{rule}}", "1 while a rule fires.", 16, 0, "stat")


def _kpi(place: int, definition: KpiDefinition) -> dict[str, Any]:
    about = f"{definition.description}\n\n{definition.formula} (version {definition.current_version})"
    expression = promql.selector(promql.VALUE, slug=definition.slug, window=headline(definition), stat="value")
    column, row = place % COLUMNS, place // COLUMNS + 1
    panel = _panel(definition.name, expression, "{{scope}}", about, column * WIDTH, row * HEIGHT, "timeseries")
    defaults = panel["fieldConfig"]["defaults"]
    defaults["unit"] = UNITS.get(definition.units, "none")
    defaults["thresholds"] = _thresholds(definition)
    # A gap is a gap: no line is drawn where there was no value.
    defaults["custom"] = {"spanNulls": False, "thresholdsStyle": {"mode": "line"}}
    return panel


def _thresholds(definition: KpiDefinition) -> dict[str, Any]:
    """The target for everybody, where there is one: green on its good side."""
    general = [
        each
        for each in definition.targets.all()
        if not (each.severity or each.alarm_level or each.persona or each.statistic or each.due_on)
    ]
    if len(general) != 1:
        return {"mode": "absolute", "steps": [{"color": _GOOD, "value": None}]}
    low, high = (_GOOD, _BAD) if general[0].operator in ("lte", "lt") else (_BAD, _GOOD)
    return {"mode": "absolute", "steps": [{"color": low, "value": None}, {"color": high, "value": general[0].value}]}


def _panel(title: str, expression: str, legend: str, about: str, x: int, y: int, kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": x, "y": y},
        "fieldConfig": {"defaults": {}, "overrides": []},
        "options": {},
        "targets": [{"refId": "A", "datasource": SOURCE, "expr": expression, "legendFormat": legend}],
    }
