"""The pages of teams: what stands on them for whom, in which order, and at what cost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from kpis.credit_settings import in_force
from kpis.credit_words import rule_in_words
from teams.actions import merge
from teams.models import Membership, Team
from tests.cast import Knock
from tests.factories import TeamFactory
from tests.kpis.test_readiness import AS_OF, called
from tests.pages import Page

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: AS_OF)


@pytest.fixture
def teams() -> dict[str, Team]:
    """A prompt team with twenty dispatches, a slow one with ten, one that builds its record, one never called."""
    found = {name: TeamFactory(slug=name, name=name.title()) for name in ("prompt", "slow", "new", "idle")}
    for day in range(1, 21):
        acknowledged = AS_OF - timedelta(days=day) + timedelta(minutes=1)
        called(found["prompt"], 4, days_ago=day, acknowledged_at=acknowledged)
    for day in range(1, 11):
        called(found["slow"], 4 if day < 4 else 22, days_ago=day)
    for day in range(1, 4):
        called(found["new"], 4, days_ago=day)
    return found


def shown(client: Client, path: str = "/teams/", **query: str) -> Page:
    answer = client.get(path, query)
    assert answer.status_code == 200
    page = Page(answer.content.decode())
    assert page.faults == []
    return page


def order(page: Page) -> list[str]:
    """The teams in the order of their links."""
    return [link.split("/")[2] for link in page.links if link.startswith("/teams/") and link.count("/") == 3]


def test_the_list_shows_classes_and_never_a_10_for_silence(page_as: Knock, mim: User, teams: dict[str, Team]) -> None:
    page = shown(page_as(mim))
    assert "building record (3/5)" in page.text
    assert "building record (0/5)" in page.text
    assert "Class 1" in page.text
    assert "Class 10" not in page.text


def test_the_address_of_a_merged_team_leads_to_the_one_that_answers(
    page_as: Knock, mim: User, teams: dict[str, Team]
) -> None:
    merge(teams["new"], teams["prompt"])
    answer = page_as(mim).get("/teams/new/", {"window": "30d"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/teams/prompt/?window=30d")
    assert order(shown(page_as(mim))) == ["idle", "prompt", "slow"]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("", ["idle", "new", "prompt", "slow"]),
        ("class", ["prompt", "slow", "idle", "new"]),
        ("-points", ["prompt", "slow", "idle", "new"]),
        ("points", ["slow", "prompt", "idle", "new"]),
        ("-n", ["prompt", "slow", "new", "idle"]),
        ("rate", ["slow", "new", "prompt", "idle"]),
    ],
)
def test_the_list_is_sorted_by_link_and_unknown_comes_last(
    page_as: Knock, mim: User, teams: dict[str, Team], sort: str, expected: list[str]
) -> None:
    assert order(shown(page_as(mim), sort=sort)) == expected


def test_the_address_filters_and_what_it_cannot_say_is_refused(
    page_as: Knock, mim: User, teams: dict[str, Team]
) -> None:
    assert order(shown(page_as(mim), status="rated")) == ["prompt", "slow"]
    assert order(shown(page_as(mim), status="unrated", box="box3")) == ["idle", "new"]
    assert "0 of 0" not in shown(page_as(mim), box="box1").text
    for wrong in ({"sort": "blame"}, {"status": "bad"}, {"box": "box9"}, {"as_of": "x"}):
        assert page_as(mim).get("/teams/", wrong).status_code == 422


def test_a_team_shows_where_its_class_comes_from(page_as: Knock, mim: User, teams: dict[str, Team]) -> None:
    page = shown(page_as(mim), "/teams/slow/")
    for words in ("3 of 10 within the limit", "further dispatch", "30 days", "rule v1", "One to which nobody comes"):
        assert words in page.text
    assert page.ids["outlook"] == page.ids["dispatches"] == page.ids["rule"] == 1


def test_every_dispatch_is_listed_with_its_incident_or_its_reason(
    page_as: Knock, mim: User, teams: dict[str, Team]
) -> None:
    drill = called(teams["new"], incident__kind="drill")
    page = shown(page_as(mim), "/teams/new/")
    assert f"/incidents/{drill.incident_id}/" in page.links
    assert "not counted a drill or a test" in page.text
    assert sum(link.startswith("/incidents/0") for link in page.links) == 4


def test_the_week_map_has_numbers_in_its_cells(page_as: Knock, mim: User, teams: dict[str, Team]) -> None:
    page = shown(page_as(mim), "/teams/new/")
    assert "3 of 3 within the limit" in page.text or "2 of 2 within the limit" in page.text


def test_executives_read_the_class_and_no_dispatch(page_as: Knock, executive: User, teams: dict[str, Team]) -> None:
    assert order(shown(page_as(executive))) == ["new", "prompt", "slow"]
    page = shown(page_as(executive), "/teams/slow/")
    assert "3 of 10 within the limit" in page.text
    assert not any(link.startswith("/incidents/0") for link in page.links)
    assert "dispatches" not in page.ids
    assert page_as(executive).get("/teams/idle/").status_code == 404


def test_others_find_nothing_but_their_own_team(
    page_as: Knock, stakeholder: User, engineer: User, teams: dict[str, Team]
) -> None:
    Membership.objects.create(team=teams["new"], user=engineer)
    assert [page_as(stakeholder).get(path).status_code for path in ("/teams/", "/teams/new/")] == [404, 404]
    assert order(shown(page_as(engineer))) == ["new"]
    assert page_as(engineer).get("/teams/slow/").status_code == 404


def test_no_name_of_a_person_stands_on_the_pages(
    page_as: Knock, mim: User, engineer: User, teams: dict[str, Team]
) -> None:
    called(teams["new"], user=engineer, contact_name="Alex Kim (on-call)", arrival_source="self")
    for path in ("/teams/", "/teams/new/"):
        text = shown(page_as(mim), path).text
        assert engineer.display_name not in text
        assert "Alex Kim" not in text


def test_pages_cost_a_dozen_queries_at_most(
    page_as: Knock, mim: User, teams: dict[str, Team], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for path in ("/teams/", "/teams/prompt/"):
        with django_assert_max_num_queries(6):
            shown(page_as(mim), path)


def test_an_old_record_is_one_link_away(page_as: Knock, mim: User) -> None:
    called(TeamFactory(slug="old"), days_ago=400)
    for path in ("/teams/", "/teams/old/"):
        page = shown(page_as(mim), path)
        (then,) = [link for link in page.links if "as_of=" in link]
        assert "1 of 1" in shown(page_as(mim), f"{path}{then}").text


def test_the_rule_is_told_with_the_numbers_that_hold() -> None:
    told = " ".join(rule_in_words(in_force(AS_OF)))
    for words in ("70 points", "5 min at Box 3", "2 min at Box 3, 5 min at Box 2. Scored", "z = 1.282", "Box 3 0.5"):
        assert words in told


def test_teams_and_dispatches_as_files(page_as: Knock, mim: User, executive: User, teams: dict[str, Team]) -> None:
    lines = page_as(mim).get("/teams/?format=csv&window=90d").content.decode().splitlines()
    assert lines[0].startswith("team,name,box,class,points,status,n,met,")
    assert [line.split(",")[:4] for line in lines if line.startswith("prompt") and "box3" in line] == [
        ["prompt", "Prompt", "box3", "1"]
    ]
    told = page_as(mim).get("/teams/slow/?format=csv&box=box3").content.decode().splitlines()
    assert len(told) == 11
    assert sum(",missed," in line for line in told) == 7
    assert len(page_as(executive).get("/teams/slow/?format=csv").content.decode().splitlines()) == 1


def test_members_of_a_team_find_the_way_to_it(page_as: Knock, engineer: User, teams: dict[str, Team]) -> None:
    assert 'href="/teams/"' not in page_as(engineer).get("/kpis").content.decode()
    Membership.objects.create(team=teams["slow"], user=engineer)
    assert 'href="/teams/"' in page_as(engineer).get("/kpis").content.decode()
