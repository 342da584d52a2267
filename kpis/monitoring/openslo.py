"""OpenSLO v1 documents of the KPIs that are a share with a goal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from kpis.models import KpiDefinition, KpiTarget
from kpis.monitoring import promql
from kpis.monitoring.prometheus_rules import headline

SERVICE = "majorops"
#: What a percentage is divided by.
WHOLE = 100
_CALENDAR = {"calendar-day": "1d", "calendar-week": "1w", "calendar-month": "1M"}


def documents(definitions: Iterable[KpiDefinition]) -> str:
    """One YAML document per goal. A KPI that is no percentage, or has no goal, is none."""
    found: list[dict[str, Any]] = [{"apiVersion": "openslo/v1", "kind": "Service", "metadata": {"name": SERVICE}}]
    found[0]["spec"] = {"description": "Incidents and what follows from them."}
    found += [slo for each in definitions for slo in _slos(each)]
    return yaml.safe_dump_all(found, sort_keys=False, allow_unicode=True, explicit_start=True)


def _slos(definition: KpiDefinition) -> Iterator[dict[str, Any]]:
    if definition.units != "percent" or definition.is_personal:
        return
    for target in definition.targets.all():
        is_plain = not (target.persona or target.statistic or target.due_on or target.effective_to)
        if is_plain and target.operator != "eq" and 0 < target.value < WHOLE:
            yield _slo(definition, target)


def _slo(definition: KpiDefinition, target: KpiTarget) -> dict[str, Any]:
    """A share that must stay low counts failures, so that the goal is the share of what is good."""
    is_of_failures = target.operator in ("lte", "lt")
    goal = (WHOLE - target.value if is_of_failures else target.value) / WHOLE
    dims = {name: value for name in ("alarm_level", "severity") if (value := getattr(target, name))}
    scope = ";".join(f"{name}={value}" for name, value in sorted(dims.items()))
    query = f"{promql.figure(definition.slug, headline(definition), scope)} / {WHOLE}"
    raw = {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}
    name = "-".join([definition.slug, *dims.values()]).replace("_", "-")
    return {
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": {"name": name, "displayName": definition.name},
        "spec": {
            "description": definition.description,
            "service": SERVICE,
            "indicator": {
                "metadata": {"name": f"{name}-share"},
                "spec": {
                    "ratioMetric": {"counter": False, "rawType": "failure" if is_of_failures else "success", "raw": raw}
                },
            },
            "timeWindow": [_window(headline(definition))],
            "budgetingMethod": "Occurrences",
            "objectives": [{"displayName": "Goal", "target": round(goal, 9)}],
        },
    }


def _window(window: str) -> dict[str, Any]:
    if window in _CALENDAR:
        begin = {"startTime": "2024-01-01 00:00:00", "timeZone": "UTC"}
        return {"duration": _CALENDAR[window], "isRolling": False, "calendar": begin}
    match = re.fullmatch(r"PT?(\d+)([DWH])", window)
    return {"duration": f"{match[1]}{match[2].lower()}" if match else "1Y", "isRolling": True}
