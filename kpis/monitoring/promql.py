"""RULES: how figures are named for Prometheus. The one place that /metrics, the rules and the dashboard take it from.

A label never names a person or an incident: a scope is a group of a rollup, e.g. `severity=critical`.
"""

from __future__ import annotations

import re

VALUE, SAMPLES, TARGET = "majorops_kpi_value", "majorops_kpi_samples", "majorops_kpi_target"
AS_OF = "majorops_kpi_as_of_timestamp_seconds"
OVERALL = "overall"
#: The fields of a figure that are series, and what the label `stat` calls them.
STATISTICS = {"value": "value", "median": "median", "p90": "p90"}
SIGNS = {"lte": "<=", "gte": ">=", "lt": "<", "gt": ">", "eq": "=="}
_DAY, _HOUR = 24 * 60, 60


def scope_of(dims_key: str) -> str:
    return dims_key or OVERALL


def selector(metric: str, **labels: str) -> str:
    """`majorops_kpi_value{slug="mttr"}`, with what is inside the quotes escaped."""
    told = ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())
    return f"{metric}{{{told}}}"


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def figure(slug: str, window: str, dims_key: str = "", stat: str = "value") -> str:
    return selector(VALUE, slug=slug, scope=scope_of(dims_key), window=window, stat=stat)


def duration(minutes: int) -> str:
    """`7d`, `4h`, `90m`."""
    if minutes and minutes % _DAY == 0:
        return f"{minutes // _DAY}d"
    if minutes and minutes % _HOUR == 0:
        return f"{minutes // _HOUR}h"
    return f"{minutes}m"


def record_name(slug: str) -> str:
    """`majorops:kpi:deploy_success_rate`."""
    return f"majorops:kpi:{re.sub(r'[^a-z0-9]', '_', slug)}"


def alert_name(slug: str) -> str:
    """`TeamVelocityLow`."""
    return "".join(part.title() for part in re.split(r"[^A-Za-z0-9]+", slug))
