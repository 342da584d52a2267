"""KPIs as CSV, Markdown and JSON from one address, and the figures that a team's own members read."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from accounts.principals import Service
from kpis.compute import backfill
from kpis.exports import CATALOGUE, cell
from kpis.models import KpiDefinition, KpiObservation
from majorops.lib.visibility import visible
from teams.models import Membership, Team
from tests.cast import Knock
from tests.factories import IncidentFactory, TeamFactory, TeamPageFactory, at
from tests.pages import Page

TOMORROW = at("2026-03-03T00:00")


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: TOMORROW + timedelta(minutes=5))


@pytest.fixture
def computed(db: None) -> None:
    IncidentFactory(closed=True)
    for slug in ("mttr", "stakeholder-satisfaction"):
        backfill(KpiDefinition.objects.get(slug=slug), as_of=TOMORROW)


def rows_of(client: Client, address: str) -> dict[str, dict[str, str]]:
    answer = client.get(address)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return {row["slug"]: row for row in csv.DictReader(io.StringIO(answer.content.decode(), newline=""))}


# --- One address, four shapes ---


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/kpis", "/kpis/mttr"])
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("text/markdown", "text/markdown"),
        ("application/json, text/csv;q=0.5", "application/json"),
    ],
)
def test_accept_says_what_comes(path: str, accept: str, kind: str, page_as: Knock, mim: User) -> None:
    answer = page_as(mim).get(path, headers={"Accept": accept})
    assert (answer.status_code, answer["Content-Type"].partition(";")[0]) == (200, kind)
    assert "Accept" in answer["Vary"]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["csv", "md", "json"])
@pytest.mark.parametrize("path", ["/kpis", "/kpis/mttr"])
def test_a_link_in_the_page_gives_each_file(path: str, name: str, page_as: Knock, mim: User) -> None:
    browser = page_as(mim)
    links = Page(browser.get(path).content.decode()).links
    assert f"?format={name}" in links
    kinds = {"csv": "text/csv", "md": "text/markdown", "json": "application/json"}
    answer = browser.get(f"{path}?format={name}")
    assert (answer.status_code, answer["Content-Type"].partition(";")[0]) == (200, kinds[name])


def test_csv_has_every_documented_field_and_an_empty_cell_for_no_value(
    computed: None, page_as: Knock, mim: User
) -> None:
    rows = rows_of(page_as(mim), "/kpis?format=csv")
    assert tuple(rows["mttr"]) == CATALOGUE
    assert (rows["mttr"]["value"], rows["mttr"]["reason"], rows["mttr"]["n"]) == ("90.0", "", "1")
    survey = rows["stakeholder-satisfaction"]
    assert survey["value"] == ""
    assert survey["reason"].startswith("Never received")
    assert rows["mttr"]["targets"] == "Critical ≤ 120 min; High ≤ 240 min"


def test_filters_narrow_page_and_file_alike(computed: None, page_as: Knock, mim: User) -> None:
    browser, query = page_as(mim), "visibility=exec&owner=Ops+Leader&q=RESOLVE"
    assert list(rows_of(browser, f"/kpis?{query}&format=csv")) == ["mttr"]
    page = Page(browser.get(f"/kpis?{query}").content.decode())
    assert page.faults == []
    assert page.links.keys() & {"/kpis/mttr", "/kpis/mtta"} == {"/kpis/mttr"}
    assert list(rows_of(browser, "/kpis?evidence=proposed&format=csv")) >= ["stakeholder-satisfaction"]
    assert "No KPI matches." in Page(browser.get("/kpis?q=xyzzy").content.decode()).text


def test_a_file_holds_only_what_its_reader_may_read(computed: None, page_as: Knock, stakeholder: User) -> None:
    assert set(rows_of(page_as(stakeholder), "/kpis?format=csv")) == {
        "mttr", "cadence-adherence", "stakeholder-satisfaction",
    }  # fmt: skip
    assert page_as(stakeholder).get("/kpis/mtta?format=csv").status_code == 404


def test_markdown_keeps_text_in_its_cell(computed: None, page_as: Knock, mim: User) -> None:
    KpiDefinition.objects.filter(slug="mttr").update(owner="Ops | Leads\n# not a heading")
    for path in ("/kpis?format=md", "/kpis/mttr?format=md"):
        text = page_as(mim).get(path).content.decode()
        assert r"Ops \| Leads # not a heading" in text
        assert "\n# not a heading" not in text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_spreadsheet_runs_no_cell(text: str) -> None:
    assert cell(text) == f"'{text}"


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")))
def test_text_comes_back_from_csv(text: str) -> None:
    written = io.StringIO(newline="")
    csv.writer(written).writerow([cell(text), cell(None), cell(-1.5)])
    (row,) = csv.reader(io.StringIO(written.getvalue(), newline=""))
    assert row[0] in (text, f"'{text}")
    assert row[1:] == ["", "-1.5"]


# --- A team's own members (D13) ---


@pytest.fixture
def own(engineer: User) -> Team:
    """The engineer's team and another, paged to one incident each."""
    team, other = TeamFactory(slug="database"), TeamFactory(slug="network")
    Membership.objects.create(team=team, user=engineer)
    for each in (team, other):
        incident = IncidentFactory(closed=True)
        arrived = incident.detected_at + timedelta(minutes=4)
        TeamPageFactory(incident=incident, team=each, paged_at=incident.detected_at, arrived_at=arrived, user=engineer)
    for slug in ("team-page-to-bridge", "mtta", "engineer-response-time"):
        backfill(KpiDefinition.objects.get(slug=slug), as_of=TOMORROW)
    return team


def test_members_read_what_their_team_did_and_nothing_of_others(own: Team, engineer: User) -> None:
    seen = visible(KpiObservation.objects.current(), engineer)
    assert {row.dims.get("team") for row in seen} == {"database"}
    assert {row.kpi_id for row in seen} == {"team-page-to-bridge"}
    assert seen.samples().count() == 1


def test_others_read_no_internal_figure_of_a_team(own: Team, stakeholder: User, executive: User) -> None:
    program = Service("01", "Reader", frozenset({"incidents:read", "teams:read"}))
    for viewer in (stakeholder, executive, program):
        assert not visible(KpiObservation.objects.current().filter(kpi="team-page-to-bridge"), viewer).exists()
        assert not visible(KpiDefinition.objects.filter(slug="team-page-to-bridge"), viewer).exists()


def test_members_are_told_that_the_whole_is_not_theirs(own: Team, page_as: Knock, engineer: User) -> None:
    page = Page(page_as(engineer).get("/kpis/team-page-to-bridge").content.decode())
    assert "You read the figures of your own team here, not the overall one." in page.text
    assert "Database" in page.text
    assert "Network" not in page.text
    assert page_as(engineer).get("/kpis/mtta").status_code == 404


def test_members_are_shown_no_figure_of_themselves_or_each_other(own: Team, engineer: User) -> None:
    assert not visible(KpiObservation.objects.filter(kpi="engineer-response-time"), engineer).exists()
