"""Goals read from the files of other tools."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from kpis.models import KpiDefinition, KpiObservation, KpiTarget
from kpis.monitoring import openslo
from kpis.monitoring.slo_files import BadFile, read
from majorops.cli import app
from tests.run import ROOT

FILES = ROOT / "tests" / "kpis" / "fixtures" / "slo"
SHARES = {
    "openslo_ratio-timeslices.yaml": [("main-page", 0.99, "OpenSLO v1")],
    "oslo_v1.yaml": [("web-availability", 0.995, "OpenSLO v1")],
    "oslo_v1alpha.yaml": [("ratio", 0.98, "OpenSLO v1alpha"), ("my-amazing-slo", 0.99, "OpenSLO v1alpha")],
    "slogen_slo_prom_metrics_availability_query_sli.yaml": [("prom-metrics-availability", 0.999, "slo-generator")],
    "slogen_slo_prom_metrics_latency_distribution_cut.yaml": [("prom-metrics-latency", 0.9999, "slo-generator")],
    "sloth_getting-started.yml": [("requests-availability", 0.999, "Sloth")],
    "sloth_k8s-getting-started.yml": [("requests-availability", 0.999, "Sloth")],
    "sloth_multifile.yml": [("requests-availability", 0.999, "Sloth"), ("requests-availability", 0.9999, "Sloth")],
    "sloth_no-alerts.yml": [("http-availability", 0.9999, "Sloth")],
    "sloth_openslo-getting-started.yml": [("sloth-slo-my-service", 0.999, "OpenSLO v1alpha")],
}


@pytest.mark.parametrize("name", SHARES)
def test_every_form_gives_its_goals_as_a_share_of_one(name: str) -> None:
    found = read((FILES / name).read_bytes())
    assert [(goal.name, goal.share, goal.form) for goal in found.goals] == SHARES[name]


@pytest.mark.parametrize("name", ["promrules_blackbox.yml", "promrules_host-and-hardware.yml"])
def test_rules_of_prometheus_are_read_as_rules(name: str) -> None:
    content = (FILES / name).read_bytes()
    found = read(content)
    assert not found.goals
    groups = yaml.safe_load(content)["groups"]
    expected = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
    assert [watch.name for watch in found.watches] == expected


def sloth(objective: object) -> str:
    return f"version: prometheus/v1\nservice: a\nslos:\n  - name: b\n    objective: {objective}\n    sli: {{}}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Line 1: the file is empty"),
        ("kind: Anything\n", "Line 1: this is none of the kinds"),
        (sloth(100), "Line 5: a goal lies between 0 and 100"),
        (sloth(0), "Line 5: a goal lies between 0 and 100"),
        (sloth("often"), "Line 5: the goal should be a number"),
        (sloth("true"), "Line 5: the goal should be a number"),
        (sloth(".nan"), "Line 5: a goal lies"),
        (sloth(99).replace("    sli: {}\n", ""), "Line 4: sli is missing"),
        (sloth(99).replace("service: a", "service: [a]"), "Line 2: here should be a text"),
        (f"{sloth(99)}slos: []\n", "Line 7: slos stands here twice"),
        (f"{sloth(99)}---\n{sloth(99)}", "Line 11: slo-a-b stands in line 4 already"),
        ("a: [1\nb: 2\n", "Line 2"),
        ("a: &x {}\nb: *x\n", "Line 2: write it out"),
        ("apiVersion: openslo/v1\nkind: SLO\nspec:\n  service: y\n", "Line 4: timeWindow is missing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(BadFile) as refused:
        read(text.encode())
    assert refused.value.message.startswith(told)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    with contextlib.suppress(BadFile):
        read(content)


# --- From and to the database ---


@pytest.mark.django_db
def test_an_import_makes_drafts_with_a_target_and_no_number_and_only_once(tmp_path: Path) -> None:
    files = [str(FILES / name) for name in ("sloth_multifile.yml", "oslo_v1.yaml", "promrules_blackbox.yml")]
    told = CliRunner().invoke(app, ["kpi", "import-slo", *files])
    assert told.exit_code == 0, told.output
    assert "3 new, 0 there already" in told.output
    assert "not imported" in told.output
    made = KpiDefinition.objects.get(pk="slo-myservice2-requests-availability")
    assert (made.status, made.spec, made.targets.get().value) == ("draft", None, 99.99)
    assert not KpiObservation.objects.exists()
    assert "0 new, 3 there already" in CliRunner().invoke(app, ["kpi", "import-slo", *files]).output


@pytest.mark.django_db
def test_one_bad_file_of_several_saves_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(sloth(101))
    told = CliRunner().invoke(app, ["kpi", "import-slo", str(FILES / "oslo_v1.yaml"), str(bad)])
    assert (told.exit_code, "bad.yaml, line 5" in told.stderr) == (5, True)
    assert not KpiDefinition.objects.filter(slug__startswith="slo-").exists()


@pytest.mark.django_db
def test_what_is_exported_is_read_back_with_the_same_goals() -> None:
    KpiTarget.objects.filter(definition="cadence-adherence").update(value=99.9)
    KpiTarget.objects.create(definition_id="after-action-in-72h", severity="critical", operator="lte", value=2)
    text = openslo.documents(KpiDefinition.objects.filter(is_personal=False).prefetch_related("targets"))
    goals = {goal.name: goal.share for goal in read(text.encode()).goals}
    assert goals == {"cadence-adherence": 0.999, "after-action-in-72h-critical": 0.98}
