"""Recording and alert rules for Prometheus, made of the definitions and of the alert rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from kpis.models import AlertRule, KpiDefinition
from kpis.monitoring import promql
from kpis.viewing import NO_WINDOW

#: A promise of the next update that nobody kept for so long.
OVERDUE_FOR = "5m"


def rules_file(definitions: Iterable[KpiDefinition], rules: Iterable[AlertRule]) -> str:
    """The text of a rules file; `promtool check rules` accepts it. Rules of KPIs that are not given are left out."""
    known = {each.slug: each for each in definitions}
    alerts = [_alert(each, known[each.kpi_slug]) for each in rules if each.kpi_slug in known]
    groups = [
        {"name": "majorops-kpis", "rules": [_recorded(each) for each in known.values()]},
        {"name": "majorops-alerts", "rules": [*alerts, _overdue()]},
    ]
    return yaml.safe_dump({"groups": [each for each in groups if each["rules"]]}, sort_keys=False, allow_unicode=True)


def headline(definition: KpiDefinition) -> str:
    """The window that stands first."""
    windows = (definition.spec or {}).get("windows") or [NO_WINDOW]
    return str(windows[0])


def _recorded(definition: KpiDefinition) -> dict[str, Any]:
    labels = {"unit": definition.units, "visibility": definition.visibility}
    expression = promql.figure(definition.slug, headline(definition))
    return {"record": promql.record_name(definition.slug), "expr": expression, "labels": labels}


def expression_of(rule: AlertRule, definition: KpiDefinition) -> str:
    """When it is beyond its limit; with what the rule says of a missing value."""
    series = promql.figure(rule.kpi_slug, rule.window or headline(definition), rule.dims_key, rule.statistic or "value")
    beyond = f"{series} {promql.SIGNS[rule.operator]} {rule.value:g}"
    return f"{beyond} or absent({series})" if rule.no_data == "fire" else beyond


def _alert(rule: AlertRule, definition: KpiDefinition) -> dict[str, Any]:
    annotations = {"summary": _literal(rule.name), "description": _literal(rule.description or definition.description)}
    if rule.respond_minutes:
        annotations["respond_within"] = promql.duration(rule.respond_minutes)
    return {
        "alert": promql.alert_name(rule.slug),
        "expr": expression_of(rule, definition),
        **({"for": promql.duration(rule.hold_minutes)} if rule.hold_minutes else {}),
        "labels": {"severity": rule.severity, "kpi": rule.kpi_slug},
        "annotations": annotations,
    }


def _literal(text: str) -> str:
    """Annotations are templates of Go: braces in a text would be run."""
    return text.replace("{{", '{{ "{{" }}')


def _overdue() -> dict[str, Any]:
    return {
        "alert": "MajorOpsUpdateOverdue",
        "expr": "majorops_update_overdue > 0",
        "for": OVERDUE_FOR,
        "labels": {"severity": "warning"},
        "annotations": {"summary": "The promised next update of an incident is overdue"},
    }
