"""Deployments and incidents from lists and reports: what is not said stays unknown, with its reason."""

from __future__ import annotations

import io
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kpis.actions import Editor
from kpis.compute import backfill
from kpis.facts.deliveries import Merge, deliveries_from, judged
from kpis.facts.files import FileNotRead, mapping_from, table
from kpis.facts.registry import fresh
from kpis.facts.timelines import incident, timelines_from
from kpis.models import Fact, KpiDefinition, KpiObservation
from kpis.packs import files
from kpis.packs.install import install
from majorops.cli import app
from tests.factories import at

MERGES = """
repo = "shop"
id = "sha"
at = "merged"
title = "subject"
change = "number"
"""
REPORTS = """
service = "shop"
repo = "acme/shop"
detected = ["noticed", "alert"]
resolved = ["back to normal", "resolved"]
by_itself = ["healed itself"]
caused = ["broke"]

[zones]
CET = "Europe/Berlin"
"""
HEADER = "sha,merged,number,subject\n"
ROWS = (
    "a5,2026-03-09T10:00:00+01:00,15,Merge pull request #15 from acme/revert-11-colours\n"
    "a4,2026-03-02T14:00:00+01:00,14,reverting something\n"
    'a3,2026-03-02T13:00:00+01:00,13,"Revert ""New prices"" (#13)"\n'
    "a2,2026-03-02T12:00:00+01:00,12,New prices (#12)\n"
    "a1,2026-03-01T10:00:00+01:00,11,Merge pull request #11 from acme/colours\n"
)


def merge(number: int, title: str, hour: int, change: str = "") -> Merge:
    return Merge(number, f"m{number}", at("2026-03-02T00:00") + timedelta(hours=hour), title, change)


@pytest.fixture
def impact(db: None) -> None:
    install(files.pack("engineering-impact"), Editor(None, at("2026-03-01T00:00")), start=at("2026-03-01T00:00").date())


def imported(tmp_path: Path, form: str, content: str, mapping: str) -> Any:
    (tmp_path / "data").write_text(content)
    (tmp_path / "mapping.toml").write_text(mapping)
    command = ["fact", "import", str(tmp_path / "data"), "--format", form, "--mapping", str(tmp_path / "mapping.toml")]
    return CliRunner().invoke(app, command)


def outcomes() -> dict[str, str]:
    rows = Fact.objects.standing().filter(kind="deploy.finished")
    return {payload["deploy_id"]: payload["outcome"] for payload in rows.values_list("payload", flat=True)}


def figure(slug: str, day: str) -> KpiObservation:
    backfill(KpiDefinition.objects.get(pk=slug), as_of=at(day))
    return KpiObservation.objects.current().rollups().filter(kpi=slug, window="all", dims_key="").latest("timestamp")


# --- Deliveries ---


def test_a_merge_names_what_it_takes_back_by_branch_or_title() -> None:
    read = judged(
        [
            merge(1, "Merge pull request #7 from acme/colours", 0, "7"),
            merge(2, "New prices (#8)", 1, "8"),
            merge(3, "Merge pull request #9 from acme/revert-7-colours", 2, "9"),
            merge(4, 'Revert "New prices" (#10)', 3, "10"),
        ],
        timedelta(days=7),
    )
    assert {taken: by.number for taken, by in read.taken_back.items()} == {"m1": 3, "m2": 4}


def test_what_is_taken_back_late_was_no_failure_and_what_is_not_named_takes_nothing_back() -> None:
    late = merge(3, "Merge pull request #9 from acme/revert-7-colours", 170, "9")
    vague = merge(4, "reverting an accident", 171)
    read = judged([merge(1, "Colours", 0, "7"), late, vague], timedelta(days=7))
    assert (read.taken_back, read.late, read.unclear) == ({}, [late], [vague])


def test_a_merge_cannot_take_back_a_later_one() -> None:
    back = merge(1, "Merge pull request #9 from acme/revert-7-colours", 0, "9")
    assert judged([back, merge(2, "Colours", 1, "7")], timedelta(days=7)).unclear == [back]


def test_the_change_failure_rate_of_a_list(impact: None, tmp_path: Path) -> None:
    said = imported(tmp_path, "deliveries", HEADER + ROWS, MERGES)
    assert "10 new" in said.stdout
    assert "'reverting something' says that it takes something back, not what" in said.stderr
    assert outcomes() == {"a1": "success", "a2": "rolled_back", "a3": "success", "a4": "success", "a5": "success"}
    found = figure("change-failure-rate", "2026-04-01T00:00")
    assert (found.value, found.n) == (20.0, 5)
    assert "0 new, 10 there" in imported(tmp_path, "deliveries", HEADER + ROWS, MERGES).stdout


def test_a_change_that_is_taken_back_after_the_import_is_corrected(impact: None, tmp_path: Path) -> None:
    earlier = HEADER + "".join(ROWS.splitlines(keepends=True)[3:])
    imported(tmp_path, "deliveries", earlier, MERGES)
    assert outcomes()["a2"] == "success"
    for _ in range(2):
        imported(tmp_path, "deliveries", HEADER + ROWS, MERGES)
        assert outcomes()["a2"] == "rolled_back"
    assert Fact.objects.filter(kind="deploy.finished", payload__deploy_id="a2").count() == 2


def test_a_merge_without_a_time_is_refused_and_the_others_stay(impact: None, tmp_path: Path) -> None:
    said = imported(tmp_path, "deliveries", HEADER + "a9,soon,9,Soon\n" + ROWS, MERGES)
    assert said.exit_code == 7
    assert "'soon' is no time" in said.stderr
    assert len(outcomes()) == 5


def test_a_list_without_the_column_is_told() -> None:
    with pytest.raises(FileNotRead, match="taken_back_within"):
        deliveries_from(MERGES + 'taken_back_within = "a week"')


def test_releases_on_trial_are_left_out_by_a_pattern(db: None) -> None:
    mapping = mapping_from(
        'kind = "deployed"\noccurred_at = "on"\nwithout = {tag = "rc"}\n[fields]\ndeploy_id = "tag"\n'
    )
    rows = io.StringIO("tag,on\nv1.0,2026-03-02T10:00:00Z\nv1.1-rc.0,2026-03-03T10:00:00Z\n")
    assert [number for number, _ in table(rows, mapping, fresh().kinds)] == [1]
    with pytest.raises(FileNotRead, match="cannot be used"):
        mapping_from('kind = "deployed"\noccurred_at = "on"\nwithout = {tag = "("}\n')


# --- Reports ---


def report(*events: tuple[str, str], zone: str = "CET") -> dict[str, Any]:
    told = [{"heading": heading, "text": text} for heading, text in events]
    return {"file": "outage.md", "title": "Outage", "timezone_note": zone, "events": told}


NOTICED = ("2026-03-02 11:20", "An alert comes in.")


def test_a_report_tells_when_it_was_noticed_and_over() -> None:
    told = incident(
        report(("2026-03-02 10:00", "Deployed."), NOTICED, ("11:40", "Nearly resolved."), ("12:05", "Back to normal.")),
        timelines_from(REPORTS),
    )
    assert told.detected is not None
    assert told.resolved is not None
    assert (told.detected.at, told.resolved.at) == (at("2026-03-02T10:20"), at("2026-03-02T11:05"))
    assert told.caused_by is None
    assert told.unknown == ("no change, or not exactly one, is named as the cause before it was noticed",)


@pytest.mark.parametrize("heading", ["~11:20-11:40", "2026-03-02 ca. 11:20", "afternoon", "25:10"])
def test_a_time_that_is_not_exact_is_unknown(heading: str) -> None:
    told = incident(report(("2026-03-02 9:00", "Quiet."), (heading, "Noticed.")), timelines_from(REPORTS))
    assert told.detected is not None
    assert told.detected.at is None
    assert "is no exact time" in told.unknown[0]


def test_a_zone_that_nobody_declared_leaves_times_unknown() -> None:
    told = incident(report(NOTICED, zone="PST"), timelines_from(REPORTS))
    assert told.detected is not None
    assert told.detected.at is None


def test_the_one_change_that_is_blamed_before_is_the_cause() -> None:
    blamed = ("2026-03-02 10:00", "https://example.com/acme/shop/pull/12 broke it.")
    also = ("10:10", "https://example.com/acme/shop/pull/13 broke it too.")
    other = ("10:10", "https://example.com/acme/tools/pull/99 broke it too.")
    rules = timelines_from(REPORTS)
    assert incident(report(blamed, other, NOTICED), rules).caused_by == "shop#12"
    assert incident(report(blamed, also, NOTICED), rules).caused_by is None
    assert incident(report(NOTICED, blamed), rules).caused_by is None


def test_time_to_restore_and_the_change_that_failed(impact: None, tmp_path: Path) -> None:
    blamed = ("2026-03-01 10:05", "https://example.com/acme/shop/pull/11 broke it.")
    over = ("2026-03-02 12:05", "Back to normal.")
    vague = {**report(("2026-03-03 ca. 9:00", "Noticed."), over), "file": "vague.md"}
    said = imported(tmp_path, "timelines", json.dumps([report(blamed, NOTICED, over), vague]), REPORTS)
    assert (said.exit_code, "vague.md: unknown is when it was noticed" in said.stderr) == (7, True)
    imported(tmp_path, "deliveries", HEADER + ROWS, MERGES)
    assert outcomes()["a1"] == "failure"
    found = figure("mttr-manual", "2026-04-01T00:00")
    assert (found.value, found.n) == (45.0, 1)


def test_an_end_before_the_beginning_is_no_time_to_restore(impact: None, tmp_path: Path) -> None:
    backwards = report(NOTICED, ("2026-03-02 10:05", "Resolved."))
    said = imported(tmp_path, "timelines", json.dumps([backwards]), REPORTS)
    assert "not later than" in said.stderr
    assert not Fact.objects.filter(kind="incident_resolved").exists()


@pytest.mark.parametrize("content", ["{", "{}", "[1]", '[{"title": "x"}]'])
def test_what_is_no_list_of_reports_is_refused(impact: None, tmp_path: Path, content: str) -> None:
    assert imported(tmp_path, "timelines", content, REPORTS).exit_code in (5, 7)


# --- Data that nobody here wrote ---

REAL = os.environ.get("MAJOROPS_REAL_DATA", "")


@pytest.mark.skipif(not REAL, reason="MAJOROPS_REAL_DATA names no folder")
def test_the_figures_of_a_real_history(impact: None, tmp_path: Path) -> None:
    """The words and columns are those of docs/howto/facts.md, the figures too."""
    howto = (Path(__file__).parents[2] / "docs" / "howto" / "facts.md").read_text()
    merges, reports = (howto.split(f"# {name}\n")[1].split("```")[0] for name in ("merges.toml", "reports.toml"))
    folder = Path(REAL)
    told = (folder / "incident_reports" / "mybinder_timelines.json").read_text()
    imported(tmp_path, "timelines", told, reports)
    imported(tmp_path, "deliveries", (folder / "dora_mybinder_main_merges_to_2019.csv").read_text(), merges)
    found = {slug: figure(slug, "2022-07-02T00:00") for slug in ("change-failure-rate", "mttr-manual", "mttr-auto")}
    assert {slug: (round(each.value or 0, 3), each.n) for slug, each in found.items()} == {
        "change-failure-rate": (5.069, 947), "mttr-manual": (274.125, 8), "mttr-auto": (21.0, 1),
    }  # fmt: skip
    assert found["mttr-manual"].median == 154.5
