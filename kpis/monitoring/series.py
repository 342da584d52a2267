"""The figures as Prometheus reads them. What has no value has no series, so an alert can tell absence from zero."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db.models import F, Window
from django.db.models.functions import RowNumber
from prometheus_client.core import GaugeMetricFamily

from accounts.principals import Service
from accounts.scopes import Scope
from kpis.alerts.reading import standings
from kpis.alerts.rules import OPEN
from kpis.models import DefinitionStatus, KpiDefinition, KpiObservation, KpiTarget
from kpis.monitoring.promql import AS_OF, SAMPLES, STATISTICS, TARGET, VALUE, scope_of
from kpis.targets import standing
from majorops.lib.visibility import visible

#: Whoever scrapes reads what a program with these scopes reads: rollups, none of them of single people.
SCRAPER = Service("metrics", "Prometheus", frozenset({Scope.KPIS_READ.value, Scope.TEAMS_READ.value}))
#: A group of these would name a person.
PERSONAL = frozenset({"user", "person", "actor", "operator", "author"})
_FIGURE = ("slug", "scope", "window")


def families(now: datetime) -> Iterator[GaugeMetricFamily]:
    """Every series that is about KPIs."""
    rows = newest_rollups()
    yield _values(rows)
    yield _gauge(SAMPLES, "How many rows the figure was made of.", rows, lambda row: row.n)
    yield _gauge(AS_OF, "The end of the window that the figure is about.", rows, lambda row: row.timestamp.timestamp())
    yield _targets(now)
    yield from _health(rows)
    yield _alerts(now)


def newest_rollups() -> list[KpiObservation]:
    """The newest current figure of each KPI, group and window, of active KPIs that are not about people."""
    age = Window(
        RowNumber(), partition_by=["kpi", "window", "dims_key"], order_by=[F("timestamp").desc(), F("id").desc()]
    )
    rows = visible(KpiObservation.objects.current().rollups(), SCRAPER)
    rows = rows.filter(kpi__status=DefinitionStatus.ACTIVE, kpi__is_personal=False)
    found = rows.annotate(age=age).filter(age=1).defer("inputs", "metadata").order_by("kpi_id", "window", "dims_key")
    return [row for row in found if not PERSONAL & row.dims.keys()]


def _values(rows: Iterable[KpiObservation]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        VALUE, "A KPI in its own units; absent where it has no value.", labels=[*_FIGURE, "stat"]
    )
    for row in rows:
        for name, stat in STATISTICS.items():
            value = getattr(row, name)
            if value is not None:
                family.add_metric([*_labels(row), stat], value)
    return family


def _gauge(name: str, text: str, rows: Iterable[KpiObservation], value: object) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=_FIGURE)
    for row in rows:
        if row.value is not None:
            family.add_metric(_labels(row), value(row))  # type: ignore[operator]
    return family


def _labels(row: KpiObservation) -> list[str]:
    return [row.kpi_id, scope_of(row.dims_key), row.window]


def _targets(now: datetime) -> GaugeMetricFamily:
    family = GaugeMetricFamily(TARGET, "What is aimed at today.", labels=["slug", "scope", "operator", "stat"])
    kpis = visible(KpiDefinition.objects.filter(status=DefinitionStatus.ACTIVE, is_personal=False), SCRAPER)
    for kpi in kpis.order_by("slug").prefetch_related("targets"):
        for scope, target in _in_force(list(kpi.targets.all()), now):
            family.add_metric([kpi.slug, scope, target.operator, target.statistic or "value"], target.value)
    return family


def _in_force(targets: list[KpiTarget], now: datetime) -> Iterator[tuple[str, KpiTarget]]:
    """Per group and statistic the one that holds today; those for one audience are left out."""
    for target in targets:
        dims = {name: value for name in ("alarm_level", "severity") if (value := getattr(target, name))}
        chosen = standing(targets, dims, at=now, statistic=target.statistic)
        if chosen is not None and chosen.pk == target.pk and not target.persona:
            yield scope_of(";".join(f"{name}={value}" for name, value in sorted(dims.items()))), target


def _health(rows: Iterable[KpiObservation]) -> Iterator[GaugeMetricFamily]:
    score = next((row for row in rows if row.kpi_id == "health-score" and not row.dims_key), None)
    if score is not None and score.value is not None:
        yield GaugeMetricFamily("majorops_health_score", "The weighted health score, 0 to 100.", value=score.value)


def _alerts(now: datetime) -> GaugeMetricFamily:
    name, text = "majorops_kpi_alert_firing", "1 while the rule fires or is acknowledged; absent while it cannot judge."
    family = GaugeMetricFamily(name, text, labels=["rule", "severity"])
    for each in standings(SCRAPER):
        if each.is_active:
            family.add_metric([each.rule.slug, each.rule.severity], float(each.state in OPEN))
    return family
