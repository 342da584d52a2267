"""The formats that `mim kpi export` writes for other tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kpis.models import AlertRule, DefinitionStatus, KpiDefinition
from kpis.monitoring import grafana, openslo, prometheus_rules, sql_views


def _chosen(slugs: Sequence[str]) -> list[KpiDefinition]:
    """Those that figures come of. One of single people is in no file: others would read it."""
    rows = KpiDefinition.objects.filter(slug__in=slugs, status=DefinitionStatus.ACTIVE, is_personal=False)
    return list(rows.exclude(spec=None).order_by("slug").prefetch_related("targets"))


def _rules(slugs: Sequence[str]) -> str:
    return prometheus_rules.rules_file(_chosen(slugs), AlertRule.objects.filter(is_enabled=True))


FORMATS: dict[str, Callable[[Sequence[str]], str]] = {
    "prometheus-rules": _rules,
    "grafana": lambda slugs: grafana.dashboard(_chosen(slugs)),
    "openslo": lambda slugs: openslo.documents(_chosen(slugs)),
    "sql-views": lambda slugs: sql_views.script(),
}
