"""The tables of packs: KPIs side by side, and never a number that nobody measured."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from kpis.actions import Editor
from kpis.compute import backfill
from kpis.models import KpiDefinition
from kpis.packs import files, reading
from kpis.packs.files import Table
from kpis.packs.install import install
from kpis.packs.tables import Cell, Grid, grids
from tests.cast import Knock
from tests.factories import at
from tests.kpis.facts import event, send
from tests.pages import Page

pytestmark = pytest.mark.django_db
NOW = at("2026-03-10T12:00")
MIDNIGHT = at("2026-03-10T00:00")
START = at("2026-03-02T00:00")
TRACKER = files.pack("success-tracker")
TABLES = [table for pack in files.every() for table in pack.tables]
#: Pages of packs that show figures.
ADDRESSES = ("", "claims", "roadmap", "case-study", "checklists", "tables")


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


@pytest.fixture
def tracker() -> None:
    install(TRACKER, Editor(None, START), start=START.date())


def shown(viewer: User) -> dict[str, Grid]:
    return {grid.table.slug: grid for grid in grids(reading.opened(TRACKER, viewer, NOW), viewer, NOW)}


def row(grid: Grid, title: str) -> dict[str, Cell]:
    [line] = [line for line in grid.lines if line.title == title]
    return dict(zip(grid.columns, line.cells, strict=True))


def computed(*slugs: str) -> None:
    for slug in slugs:
        backfill(KpiDefinition.objects.get(pk=slug), as_of=MIDNIGHT)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.slug)
def test_every_kpi_of_a_table_is_defined(table: Table) -> None:
    known = {entry.slug for entry in TRACKER.entries}
    rows = table.rows or (files.TableRow(""),)
    named = {row.kpi for row in rows} | {slug for row in rows for told in row.only.values() for slug in told.split()}
    named |= {column.kpi.format(key=row.key) for row in rows if row.key or not table.rows for column in table.columns}
    assert named - {"", *known} <= {"risk-protection-now-state", "risk-protection-now-ftc"}
    titles = {column.title for column in table.columns}
    assert all(titles.issuperset(row.only) for row in table.rows)


@pytest.mark.parametrize("pack", files.slugs())
def test_no_page_of_an_empty_pack_shows_a_number(
    page_as: Knock, mim: User, executive: User, pack: str, settings: Any
) -> None:
    settings.MAJOROPS_SESSION_FACTS = False
    install(files.pack(pack), Editor(None, START), start=START.date())
    for user in (mim, executive):
        for address in ADDRESSES:
            html = page_as(user).get(f"/packs/{pack}/{address}").content.decode()
            values = re.findall(r'<strong class="num[^"]*"[^>]*data-kpi="[^"]*"[^>]*>([^<]*)<', html)
            assert {value.strip() for value in values} <= {"—"}, address
            assert "n = " not in html, address


def test_an_empty_table_says_in_each_cell_what_is_missing(tracker: None, mim: User) -> None:
    for grid in shown(mim).values():
        for line in grid.lines:
            for cell in line.cells:
                assert cell.value in ("—", ""), (grid.table.slug, line.title)
                assert bool(cell.why) == (cell.value == "—"), (grid.table.slug, line.title)
    posture = row(shown(mim)["security-posture"], "Authentication")["Score"]
    assert posture.why == "Never received: security.control."


def test_what_a_night_computed_of_nothing_is_no_number_either(tracker: None, mim: User) -> None:
    computed("compliance-violations-day", "critical-vulnerabilities", "open-findings", "team-velocity-total")
    cells = [cell for grid in shown(mim).values() for line in grid.lines for cell in line.cells]
    assert {cell.value for cell in cells} == {"—", ""}


def test_findings_stand_by_category_and_severity(tracker: None, mim: User) -> None:
    about = {"category": "xss", "severity": "high", "state": "open"}
    send(
        event("scan.finding", "2026-03-09T08:00", finding_id="1", **about),
        event("scan.finding", "2026-03-09T08:00", finding_id="2", **about),
        event("scan.finding", "2026-03-09T09:00", finding_id="2", **{**about, "state": "fixed"}),
    )
    computed("open-findings")
    found = row(shown(mim)["vulnerabilities"], "Cross-site scripting")
    assert (found["High"].value, found["High"].n, found["Targets"].targets) == ("1", 1, ("= 0",))
    dependencies = row(shown(mim)["vulnerabilities"], "Dependencies")["Targets"].targets
    assert "Open Dependency Weaknesses, High < 5" in dependencies
    assert (found["Low"].value, found["Low"].why) == ("—", "Nothing told of it yet.")


def test_a_ladder_has_a_column_for_each_rung_and_tells_weights(tracker: None, mim: User) -> None:
    ladder = shown(mim)["ladders"]
    assert ladder.columns == ("Now", "by 30 Mar 2026", "by 27 Apr 2026", "by 25 May 2026")
    assert [line.weight for line in ladder.lines] == ["25 %", "25 %", "20 %", "20 %", "10 %", ""]
    assert [cell.targets for cell in ladder.lines[0].cells[1:]] == [("≥ 80",), ("≥ 90",), ("≥ 95",)]


def test_a_day_before_the_first_fact_has_no_number(tracker: None, mim: User) -> None:
    for day in (7, 8, 9, 10):
        backfill(KpiDefinition.objects.get(pk="compliance-violations-day"), as_of=at(f"2026-03-{day:02}T00:00"))
    send(event("violation", "2026-03-08T10:00", violation_id="v1", law="tcpa"))
    for day in (7, 8, 9, 10):
        backfill(KpiDefinition.objects.get(pk="compliance-violations-day"), as_of=at(f"2026-03-{day:02}T00:00"))
    daily = shown(mim)["daily"]
    told = {day: row(daily, f"{day} Mar")["Violations"] for day in (6, 7, 8, 9)}
    assert {day: cell.value for day, cell in told.items()} == {6: "—", 7: "—", 8: "1 per day", 9: "0 per day"}
    assert told[7].why == "Nobody measured by then."
    assert row(shown(mim)["daily-compliance"], "8 Mar")["TCPA violations"].value == "1 per day"


def test_a_figure_of_today_does_not_hide_the_one_of_yesterday(tracker: None, mim: User) -> None:
    send(event("violation", "2026-03-09T10:00", violation_id="v1", law="tcpa"))
    for moment in (MIDNIGHT, at("2026-03-10T09:00")):
        backfill(KpiDefinition.objects.get(pk="compliance-violations-day"), as_of=moment)
    assert row(shown(mim)["daily"], "9 Mar")["Violations"].value == "1 per day"


def test_a_team_stands_beside_its_plan(tracker: None, mim: User) -> None:
    send(
        event("story.planned", "2026-03-09T08:00", team="security", points=16),
        event("story.completed", "2026-03-09T18:00", team="security", points=12),
    )
    computed("team-velocity", "team-velocity-security", "velocity-percentage", "team-points-planned")
    found = row(shown(mim)["velocity"], "Security")
    assert (found["This week"].value, found["Of the plan"].value) == ("12 points", "75 %")
    daily = row(shown(mim)["daily-teams"], "9 Mar · Security")
    assert (daily["Points completed"].value, daily["Points planned"].value) == ("12 points", "16 points")


def test_velocity_stands_week_by_week(tracker: None, mim: User) -> None:
    """NOW is a Tuesday: the weeks begin on 16 and 23 February, 2 and 9 March."""
    for day, points in (("2026-02-25", 9), ("2026-03-04", 14), ("2026-03-09", 3)):
        send(event("story.completed", f"{day}T08:00", team="security", points=points))
    for midnight in ("2026-02-23", "2026-03-02", "2026-03-07", "2026-03-09", "2026-03-10"):
        backfill(KpiDefinition.objects.get(pk="team-velocity-security"), as_of=at(f"{midnight}T00:00"))
    weeks = row(shown(mim)["velocity-weeks"], "Security")
    assert [cell.value for cell in weeks.values()] == ["—", "9 points", "14 points", "3 points", ""]
    assert (weeks["Week of 16 Feb"].why, weeks["Targets"].targets) == ("Nobody measured by then.", ("≥ 14 points",))
    assert row(shown(mim)["velocity-weeks"], "All teams")["This week"].why == "Nothing stored for that week."


def test_days_and_weeks_are_those_of_the_reporting_zone(tracker: None, mim: User, settings: Any) -> None:
    settings.MAJOROPS_REPORTING_ZONE = "America/Los_Angeles"
    send(event("violation", "2026-03-08T10:00", violation_id="v1", law="tcpa"))
    backfill(KpiDefinition.objects.get(pk="compliance-violations-day"), as_of=at("2026-03-09T07:00"))
    assert row(shown(mim)["daily"], "8 Mar")["Violations"].value == "1 per day"


def test_a_step_is_told_by_a_fact(tracker: None, mim: User, executive: User, page_as: Knock) -> None:
    page_as(mim).post("/packs/success-tracker/checklists", {"key": "security-lead", "done": "1"})
    found = row(shown(mim)["formation"], "Security team")
    assert (found["Lead assigned"].value, found["Environment set up"].why) == ("done", "Nobody said so yet.")
    hidden = row(shown(executive)["formation"], "Security team")
    assert {cell.why for cell in hidden.values()} == {"Not shown to you, or retired."}


def test_an_executive_reads_executive_figures_only(tracker: None, executive: User) -> None:
    send(event("security.control", "2026-03-09T08:00", control="authentication", score=20))
    computed("security-control-score", "security-score")
    posture = shown(executive)["security-posture"]
    assert row(posture, "Authentication")["Score"].why == "Not shown to you, or retired."
    assert row(posture, "Total")["Score"].value == "20"


def test_the_page_answers_installed_or_not_and_costs_the_same(
    page_as: Knock, mim: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    assert "not installed" in page_as(mim).get("/packs/success-tracker/tables").content.decode()
    install(TRACKER, Editor(None, START), start=START.date() - timedelta(days=1))
    page_as(mim).get("/packs/success-tracker/tables")
    with django_assert_max_num_queries(30):
        answer = page_as(mim).get("/packs/success-tracker/tables")
    page = Page(answer.content.decode())
    assert (answer.status_code, page.faults) == (200, [])
    assert page_as(mim).get("/packs/engineering-impact/tables").status_code == 404
