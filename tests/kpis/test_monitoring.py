"""What Prometheus, Grafana and SQL clients read."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries
from typer.testing import CliRunner

from accounts import tokens
from accounts.models import Integration, User
from kpis.models import AlertRule, KpiDefinition
from kpis.monitoring import grafana, sql_views
from kpis.monitoring.formats import FORMATS
from majorops import metrics
from majorops.cli import app
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory
from tests.kpis.figures import figure

pytestmark = pytest.mark.django_db
needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is missing: apt-get install prometheus"
)


def series(name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Labels -> value of one metric, as Prometheus' own parser reads it."""
    text = metrics.text(NOON).decode()
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def labelled(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def test_a_figure_is_a_series_and_a_missing_value_is_none() -> None:
    figure("mttr", NOON, 96.5, n=7, median=90.0)
    figure("mttr", NOON, 30.0, dims={"severity": "critical"})
    figure("mtta", NOON, None)
    values = series("majorops_kpi_value")
    common = {"slug": "mttr", "window": "P30D"}
    assert values[labelled(**common, scope="overall", stat="value")] == 96.5
    assert values[labelled(**common, scope="overall", stat="median")] == 90
    assert values[labelled(**common, scope="severity=critical", stat="value")] == 30
    assert not [labels for labels in values if ("slug", "mtta") in labels]
    assert series("majorops_kpi_samples")[labelled(**common, scope="overall")] == 7


def test_open_incidents_are_counted_by_severity_and_zero_is_known() -> None:
    IncidentFactory(severity="critical", next_update_eta=NOON - timedelta(minutes=5))
    IncidentFactory(severity="critical", restricted=True)
    IncidentFactory(severity="high", kind="drill")
    found = series("majorops_incidents_open")
    assert (found[labelled(severity="critical")], found[labelled(severity="high")]) == (1, 0)
    assert series("majorops_update_overdue") == {(): 1}


def test_targets_are_those_in_force() -> None:
    found = series("majorops_kpi_target")
    assert found[labelled(slug="mttr", scope="severity=critical", operator="lte", stat="value")] == 120


def test_no_label_names_a_person_or_an_incident(mim: User) -> None:
    incident = IncidentFactory(title="Secret", severity="critical")
    KpiDefinition.objects.filter(pk="mtta").update(is_personal=True)
    figure("mtta", NOON, 4.0)
    figure("mttr", NOON, 5.0, dims={"user": mim.pk})
    text = metrics.text(NOON).decode()
    assert not [word for word in (mim.email, mim.pk, incident.pk, "Secret", 'slug="mtta"') if word in text]


def test_a_job_that_never_ended_well_has_no_series() -> None:
    assert series("majorops_job_last_success_timestamp_seconds") == {}


def test_the_door_takes_a_scope_a_network_or_an_administrator(
    admin_user: User, mim: User, client_as: Knock, settings: object
) -> None:
    assert Client().get("/metrics").status_code == 401
    assert client_as(mim).get("/metrics").status_code == 403
    assert client_as(admin_user).get("/metrics")["Content-Type"].startswith("text/plain; version=0.0.4")
    settings.MAJOROPS_METRICS_NETWORKS = ["10.1.0.0/16"]  # type: ignore[attr-defined]
    assert Client().get("/metrics", REMOTE_ADDR="10.1.2.3").status_code == 200
    assert Client().get("/metrics", REMOTE_ADDR="10.2.2.3").status_code == 401
    forwarded = {"REMOTE_ADDR": "10.1.2.3", "HTTP_X_FORWARDED_FOR": "8.8.8.8"}
    assert Client().get("/metrics", **forwarded).status_code == 401


@pytest.mark.parametrize(("scope", "status"), [("metrics:read", 200), ("kpis:read", 403)])
def test_a_program_needs_the_scope_of_metrics(scope: str, status: int) -> None:
    program = Integration.objects.create(name="Prometheus", scopes=[scope])
    now = timezone.now()
    _, token = tokens.mint(program, by=None, expires_at=now + timedelta(days=9), now=now)
    assert Client().get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == status


def test_a_scrape_asks_the_same_few_queries_however_many_figures(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for place in range(30):
        figure("mttr", NOON, 5.0, dims={"severity": f"s{place}"})
    with django_assert_max_num_queries(14):
        metrics.text(NOON)


# --- Files ---


def exported(form: str) -> str:
    AlertRule.objects.get_or_create(
        slug="cadence-low", name='Cadence is "low" {{ now }}', kpi_slug="cadence-adherence", operator="lt", value=80,
        severity="critical", hold_minutes=7 * 24 * 60, respond_minutes=15, no_data="fire",
    )  # fmt: skip
    told = CliRunner().invoke(app, ["kpi", "export", "--format", form])
    assert told.exit_code == 0, told.output
    return told.stdout


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)  # noqa: S607


@needs_promtool
def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(exported("prometheus-rules"))
    checked = promtool("check", "rules", str(file))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "SUCCESS" in checked.stdout


@needs_promtool
def test_promtool_accepts_what_is_scraped() -> None:
    figure("mttr", NOON, 96.5)
    command = ["promtool", "check", "metrics"]
    checked = subprocess.run(command, input=metrics.text(NOON), capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr.decode()


@needs_promtool
def test_the_alert_rule_fires_where_ours_does(tmp_path: Path) -> None:
    """The exported rule, run by Prometheus' own engine: pending for a week, then firing; and on absence."""
    (tmp_path / "rules.yml").write_text(exported("prometheus-rules"))
    test = """
rule_files: [rules.yml]
evaluation_interval: 1h
tests:
  - interval: 1h
    input_series:
      - series: 'majorops_kpi_value{slug="cadence-adherence",scope="overall",window="P30D",stat="value"}'
        values: '79x240'
    alert_rule_test:
      - {eval_time: 6d, alertname: CadenceLow, exp_alerts: []}
    promql_expr_test:
      - expr: count(ALERTS{alertname="CadenceLow",alertstate="firing"})
        eval_time: 8d
        exp_samples: [{labels: '{}', value: 1}]
"""
    (tmp_path / "test.yml").write_text(test)
    checked = promtool("test", "rules", str(tmp_path / "test.yml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
def test_every_query_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    document = json.loads(exported("grafana"))
    queries = grafana.expressions(document)
    rules = [{"record": f"check_{place}", "expr": query} for place, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    checked = promtool("check", "rules", str(file))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert len(queries) == len(document["panels"])


def test_the_dashboard_has_a_panel_for_each_kpi_and_none_overlaps() -> None:
    document = json.loads(exported("grafana"))
    panels = document["panels"]
    spots = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(spots) == len(panels) == len({panel["id"] for panel in panels})
    names = set(KpiDefinition.objects.computable().filter(is_personal=False).values_list("name", flat=True))
    assert names <= {panel["title"] for panel in panels}
    assert "engineer-response-time" not in exported("grafana")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_written_to_a_file_too(form: str, tmp_path: Path) -> None:
    file = tmp_path / "out"
    assert CliRunner().invoke(app, ["kpi", "export", "--format", form, str(file)]).exit_code == 0
    assert file.read_text() == FORMATS[form](list(KpiDefinition.objects.values_list("pk", flat=True)))


def test_an_unknown_format_names_those_there_are() -> None:
    told = CliRunner().invoke(app, ["kpi", "export", "--format", "xml"])
    assert (told.exit_code, "prometheus-rules" in told.stderr) == (5, True)


def test_the_views_are_made_and_hold_no_restricted_incident_and_no_personal_kpi() -> None:
    IncidentFactory(severity="critical")
    IncidentFactory(severity="critical", restricted=True)
    figure("mttr", NOON, 96.5)
    figure("mtta", NOON, 4.0)
    KpiDefinition.objects.filter(pk="mtta").update(is_personal=True)
    with connection.cursor() as cursor:
        for statement in filter(str.strip, sql_views.script().split(";")):
            cursor.execute(statement)
        counts = {name: _count(cursor, name) for name in sql_views.VIEWS}
        for statement in filter(str.strip, sql_views.drop_script().split(";")):
            cursor.execute(statement)
    assert (counts["bi_incidents"], counts["bi_kpi_figures"]) == (1, 1)


def _count(cursor: object, name: str) -> int:
    cursor.execute(f"SELECT count(*) FROM {name}")  # type: ignore[attr-defined]
    return int(cursor.fetchone()[0])  # type: ignore[attr-defined]
