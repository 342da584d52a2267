"""`mim report metrics PACK`: each KPI in a line, with its evidence or what is missing for it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from typer.testing import CliRunner

from kpis.actions import Editor
from kpis.compute import backfill
from kpis.models import KpiDefinition
from kpis.packs import files
from kpis.packs.install import install
from majorops.cli import app
from tests.factories import at
from tests.kpis.facts import event, send

pytestmark = pytest.mark.django_db
NOW = at("2026-03-10T00:00")


@pytest.fixture
def impact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    install(files.pack("engineering-impact"), Editor(None, NOW), start=NOW.date())


def said(*more: str) -> str:
    told = CliRunner().invoke(app, ["report", "metrics", "engineering-impact", *more])
    assert told.exit_code == 0, told.stderr
    return told.stdout


def line(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(name))


def test_an_empty_pack_names_the_facts_that_nobody_sends(impact: None) -> None:
    text = said()
    assert "=== RELIABILITY ===" in text
    assert re.search(r"Uptime +— +n=0 +proposed +never received: health_check$", line(text, "Uptime "))
    kpis = [kpi for group in json.loads(said("--json"))["groups"] for kpi in group["kpis"]]
    assert len(kpis) == len(list(files.pack("engineering-impact").entries))
    assert {kpi["value"] for kpi in kpis} == {None}
    assert all(kpi["missing"] and kpi["why"] for kpi in kpis)


def test_a_measured_kpi_has_its_count_and_evidence(impact: None) -> None:
    about: dict[str, Any] = {"service": "api", "tier": "core"}
    send(*(event("health_check", f"2026-03-09T10:{minute:02}", ok=minute > 0, **about) for minute in range(0, 40, 5)))
    backfill(KpiDefinition.objects.get(pk="uptime-core"), as_of=NOW)
    [kpi] = [
        kpi for group in json.loads(said("--json"))["groups"] for kpi in group["kpis"] if kpi["kpi"] == "uptime-core"
    ]
    assert (kpi["value"], kpi["n"], kpi["missing"], kpi["why"], kpi["state"]) == (87.5, 8, [], "", "not_due")
    assert re.search(r"87\.5 %  n=8 +\w+ +target ≥ 99\.5 % by 8 Jun 2026$", line(said(), "Uptime of Core Services"))


def test_a_pack_that_is_not_there_says_what_to_do() -> None:
    told = CliRunner().invoke(app, ["report", "metrics", "engineering-impact"])
    assert (told.exit_code, "mim pack install engineering-impact" in told.stderr) == (4, True)
    assert "Known: engineering-impact" in CliRunner().invoke(app, ["report", "metrics", "nope"]).stderr
