"""What every list of the API promises alike: pages, filters that refuse what they do not know, CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from accounts.models import User
from majorops.lib import tables
from tests.cast import Knock
from tests.factories import IncidentFactory
from tests.test_api_hostile import addressed, lists, schema_of_the_api
from tests.world import World, build

PROBLEM = "application/problem+json"


@pytest.fixture
def world(db: None) -> World:
    return build(figures=False)


def refused(world: World, query: str) -> list[tuple[str, int, Any]]:
    """Every list that does not answer this query with 400 and a problem."""
    client = world.client("admin")
    answers = [(address, client.get(f"{address}?{query}")) for address in lists(world)]
    known = [(address, answer) for address, answer in answers if answer.status_code != 404]
    assert len(known) > 12
    return [
        (path, a.status_code, a.content) for path, a in known if (a.status_code, a["Content-Type"]) != (400, PROBLEM)
    ]


@pytest.mark.parametrize("query", ["limt=3", "limit=201", "limit=0", "cursor=x", "limit=1&limit=2", "limit="])
def test_no_list_answers_a_question_it_was_not_asked(world: World, query: str) -> None:
    assert refused(world, query) == []


def test_no_other_address_answers_a_question_it_was_not_asked(world: World) -> None:
    """What it can be asked is what the schema says."""
    client, schema = world.client("admin"), schema_of_the_api()
    gets = {path: methods["get"] for path, methods in schema["paths"].items() if "get" in methods}
    others = {path: get for path, get in gets.items() if "cursor" not in asked_by(get)}
    assert len(others) > 12
    for path, get in others.items():
        problem = client.get(f"{addressed(path, world)}?zzz=1")
        assert (problem.status_code, problem.json()["allowed"]) == (400, asked_by(get)), path


def asked_by(operation: dict[str, Any]) -> list[str]:
    return sorted(each["name"] for each in operation.get("parameters", ()) if each["in"] == "query")


def test_every_list_names_what_it_knows_and_what_was_meant(world: World) -> None:
    client = world.client("admin")
    for address in lists(world):
        problem = client.get(f"{address}?limt=3").json()
        if problem["status"] != 404:
            assert "Did you mean limit?" in problem["detail"], address
            assert {"limit", "cursor"} <= set(problem["allowed"]), address


def test_every_list_is_a_page_and_a_table(world: World) -> None:
    client = world.client("admin")
    for address in lists(world):
        page = client.get(address)
        if page.status_code == 404:
            continue
        assert {"results", "next", "previous", "next_cursor"} == page.json().keys(), address
        table = client.get(address, headers={"Accept": "text/csv"})
        assert table["Content-Type"] == "text/csv; charset=utf-8", address
        lines = list(csv.reader(io.StringIO(table.content.decode())))
        assert len(lines) == 1 + len(page.json()["results"]), address
        assert {len(line) for line in lines} == {len(lines[0])}, address


def test_what_is_no_list_is_no_table(world: World) -> None:
    answer = world.client("admin").get(f"/api/v1/incidents/{world.own.pk}", headers={"Accept": "text/csv"})
    assert (answer.status_code, answer["Content-Type"]) == (406, PROBLEM)


def test_no_spreadsheet_computes_a_text_and_numbers_stay_numbers(client_as: Knock, mim: User) -> None:
    IncidentFactory(title='=HYPERLINK("http://evil.example")', customer_count=12)
    table = client_as(mim).get("/api/v1/incidents", headers={"Accept": "text/csv"}).content.decode()
    row = next(csv.DictReader(io.StringIO(table)))
    assert row["title"].startswith("'=HYPERLINK")
    assert row["alert.customerCount"] == "12"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(-3, -3), ("-3", "'-3"), (" ＝1", "' ＝1"), (None, ""), (True, "true"), (["=1"], '["=1"]'), ("plain", "plain")],
)
def test_cell(value: object, shown: object) -> None:
    assert tables.cell(value) == shown


def test_table_and_page_have_different_tags(world: World) -> None:
    client = world.client("mim")
    address = f"/api/v1/incidents/{world.own.pk}/timeline"
    page, table = client.get(address), client.get(address, headers={"Accept": "text/csv"})
    assert page["ETag"] != table["ETag"]
    assert "Accept" in page["Vary"]


def test_users_by_address(world: World) -> None:
    found = world.client("admin").get("/api/v1/users?q=EXECUTIVE@").json()["results"]
    assert [user["email"] for user in found] == ["executive@example.com"]


def test_incidents_by_phase_and_entries_by_actor(world: World) -> None:
    client = world.client("mim")
    assert [row["id"] for row in client.get("/api/v1/incidents?phase=8").json()["results"]] == [world.done.pk]
    log = f"/api/v1/incidents/{world.own.pk}/timeline"
    assert client.get(f"{log}?actor=nobody").json()["results"] == []
    assert {row["visibility"] for row in client.get(f"{log}?visibility=public").json()["results"]} == {"public"}


def test_revisions_of_a_definition_are_for_readers_of_internal_kpis(world: World) -> None:
    assert world.client("mim").get("/api/v1/kpis/mttr/revisions").json()["results"][-1]["version"] == 1
    assert world.client("executive").get("/api/v1/kpis/mttr/revisions").status_code == 403
    assert world.client("mim").get("/api/v1/kpis/never-there/revisions").status_code == 404
