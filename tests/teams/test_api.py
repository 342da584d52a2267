"""The directory of teams over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from accounts.models import User
from teams.models import Membership, TeamAlias
from tests.cast import Knock
from tests.factories import TeamFactory, UserFactory

Counter = Callable[[int], AbstractContextManager[object]]


def test_mim_reads_teams_with_aliases_and_members(client_as: Knock, mim: User, engineer: User) -> None:
    team = TeamFactory(name="Database West", slug="database-west")
    TeamAlias.objects.create(team=team, alias="DBA")
    Membership.objects.create(team=team, user=engineer)
    assert client_as(mim).get("/api/v1/teams/database-west").json() == {
        "slug": "database-west",
        "name": "Database West",
        "ratedBox": "box3",
        "onCallContact": "on-call phone",
        "isActive": True,
        "aliases": ["dba"],
        "members": ["A. Kim"],
    }


def test_stakeholder_does_not_read_teams(client_as: Knock, stakeholder: User) -> None:
    TeamFactory(slug="network")
    assert client_as(stakeholder).get("/api/v1/teams").status_code == 403
    assert client_as(stakeholder).get("/api/v1/teams/network").status_code == 403


def test_teams_are_found_by_name_and_box(client_as: Knock, mim: User) -> None:
    TeamFactory(name="Network", slug="network", rated_box="box2")
    TeamFactory(name="Payments", slug="payments", rated_box="box3")
    client = client_as(mim)
    found = [
        client.get(f"/api/v1/teams?{query}").json()["results"] for query in ("q=netw", "box=box3", "box=BOX2,box3")
    ]
    assert [[row["slug"] for row in rows] for rows in found] == [["network"], ["payments"], ["network", "payments"]]


def test_list_costs_the_same_for_many_teams(
    client_as: Knock, mim: User, django_assert_max_num_queries: Counter
) -> None:
    for _ in range(8):
        team = TeamFactory()
        Membership.objects.create(team=team, user=UserFactory())
    client = client_as(mim)
    client.get("/api/v1/users/me")
    with django_assert_max_num_queries(4):  # the person, the teams, their aliases, their members
        assert len(client.get("/api/v1/teams").json()["results"]) == 8


def test_administrators_add_and_change_teams(client_as: Knock, admin_user: User, mim: User, engineer: User) -> None:
    client, json = client_as(admin_user), "application/json"
    body = {"name": "Search West", "ratedBox": "box2", "aliases": ["SW"], "members": [engineer.email]}
    made = client.post("/api/v1/teams", body, json)
    assert (made.status_code, made["Location"]) == (201, "/api/v1/teams/search-west")
    assert (made.json()["aliases"], made.json()["members"]) == (["sw"], ["A. Kim"])
    assert client.post("/api/v1/teams", body, json).json()["code"] == "name_is_taken"
    assert client_as(mim).post("/api/v1/teams", body, json).status_code == 403

    tag = client.get(made["Location"])["ETag"]
    changed = client.patch(made["Location"], {"isActive": False}, json, headers={"If-Match": tag})
    assert changed.json()["isActive"] is False
    again = [client.patch(made["Location"], {"isActive": True}, json, headers=said) for said in ({}, {"If-Match": tag})]
    assert [answer.status_code for answer in again] == [428, 412]
