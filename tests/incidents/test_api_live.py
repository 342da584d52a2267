"""The API beside a running incident: what is new since the last look, "I'm here", undo, and who was faster."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from incidents import actions
from incidents.models import Incident, Participant, TeamPage
from teams.models import Membership
from tests.cast import Knock
from tests.factories import TeamFactory, UserFactory, stamp

JSON = "application/json"


@pytest.fixture
def incident(mim: User) -> Incident:
    return actions.open_incident(title="x", severity="critical", stamp=stamp(mim))


@pytest.fixture
def called(incident: Incident, mim: User, engineer: User) -> User:
    """The engineer, whose team was paged."""
    team = TeamFactory(slug="database-west")
    Membership.objects.create(team=team, user=engineer)
    actions.page_team(incident, team, stamp=stamp(mim))
    return engineer


def url(incident: Incident, *rest: str) -> str:
    return "/".join(["/api/v1/incidents", incident.pk, *rest])


def post(client: Client, path: str, body: object = None, **headers: str) -> Any:
    sent = {} if body is None else body
    return client.post(path, sent, content_type=JSON, headers={k.replace("_", "-"): v for k, v in headers.items()})


# --- What is new since the last look ---


@pytest.mark.parametrize("part", ["", "metrics", "timeline", "updates", "milestones", "team-pages", "participants"])
def test_what_has_not_changed_is_not_sent_again(client_as: Knock, mim: User, incident: Incident, part: str) -> None:
    path = url(incident, part).rstrip("/")
    first = client_as(mim).get(path)
    again = client_as(mim).get(path, headers={"If-None-Match": first["ETag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert again["ETag"] == first["ETag"]
    assert client_as(mim).get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("part", ["", "metrics"])
@pytest.mark.parametrize("role", ["mim", "stakeholder", "engineer"])
def test_a_poll_costs_at_most_three_queries(
    request: pytest.FixtureRequest, client_as: Knock, incident: Incident, part: str, role: str,
    django_assert_max_num_queries: Any,
) -> None:  # fmt: skip
    client, path = client_as(request.getfixturevalue(role)), url(incident, part).rstrip("/")
    tag = client.get(path)["ETag"]
    with django_assert_max_num_queries(3):
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304


def test_a_line_in_the_log_is_new_and_nobodys_conflict(client_as: Knock, mim: User, incident: Incident) -> None:
    client, path = client_as(mim), url(incident)
    tag = client.get(path)["ETag"]
    actions.post_entry(incident, "A line", stamp=stamp(mim))
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 200
    answer = client.patch(path, {"title": "y"}, content_type=JSON, headers={"If-Match": tag})
    assert answer.status_code == 200


def test_what_a_stakeholder_may_not_read_does_not_move_their_tag(
    client_as: Knock, mim: User, stakeholder: User, incident: Incident
) -> None:
    client = client_as(stakeholder)
    before = [client.get(url(incident, part).rstrip("/"))["ETag"] for part in ("", "metrics", "timeline")]
    actions.post_entry(incident, "internal", stamp=stamp(mim))
    actions.edit_incident(incident, {"exec_summary": "internal", "customer_count": 9}, stamp=stamp(mim))
    actions.post_update(incident, "internal", visibility="internal", stamp=stamp(mim))
    after = [client.get(url(incident, part).rstrip("/"))["ETag"] for part in ("", "metrics", "timeline")]
    assert before == after
    actions.post_update(incident, "told", visibility="public", stamp=stamp(mim))
    assert client.get(url(incident))["ETag"] != before[0]


def test_the_five_figures_as_far_as_their_reader_reads_them(
    client_as: Knock, mim: User, stakeholder: User, incident: Incident
) -> None:
    all_of_them = {"totalDurationMs", "impactDurationMs", "affectedUsers", "currentPhaseLabel", "updatesPosted"}
    figures = client_as(mim).get(url(incident, "metrics")).json()
    assert set(figures) == all_of_them
    assert (figures["impactDurationMs"], figures["affectedUsers"], figures["currentPhaseLabel"]) == (
        None,
        None,
        "Alert",
    )
    told = set(client_as(stakeholder).get(url(incident, "metrics")).json())
    assert told == all_of_them - {"impactDurationMs", "affectedUsers"}


# --- Who was faster ---


def test_a_conflict_shows_both_values_and_the_tag_to_go_on_with(
    client_as: Knock, mim: User, incident: Incident
) -> None:
    client, path = client_as(mim), url(incident)
    tag = client.get(path)["ETag"]
    actions.edit_incident(incident, {"customer_count": 7}, stamp=stamp(mim))
    lost = client.patch(path, {"alert": {"customerCount": 9}}, content_type=JSON, headers={"If-Match": tag})
    told = lost.json()
    assert (lost.status_code, lost["Content-Type"]) == (412, "application/problem+json")
    assert (told["code"], told["current"], told["version"]) == ("incident_changed", {"customerCount": 7}, 2)
    assert [(one["field"], one["old"], one["new"]) for one in told["changes"]] == [("customerCount", None, 7)]
    assert lost["ETag"] == client.get(path)["ETag"]


def test_patch_asks_for_if_match(client_as: Knock, mim: User, incident: Incident) -> None:
    assert client_as(mim).patch(url(incident), {"title": "y"}, content_type=JSON).status_code == 428


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("phase", {"phase": 2}),
        ("status", {"status": "Monitoring"}),
        ("command", {"role": "sre", "name": "Kim"}),
        ("resolve", {"summary": "Over."}),
    ],
)
def test_every_verb_keeps_to_if_match(
    client_as: Knock, mim: User, incident: Incident, verb: str, body: dict[str, Any]
) -> None:
    tag = client_as(mim).get(url(incident))["ETag"]
    actions.edit_incident(incident, {"title": "y"}, stamp=stamp(mim))
    assert post(client_as(mim), url(incident, verb), body, If_Match=tag).status_code == 412
    now = client_as(mim).get(url(incident))["ETag"]
    assert post(client_as(mim), url(incident, verb), body, If_Match=now).status_code == 200


# --- Here, undo, stand down, invite ---


def test_here_arrives_and_the_second_time_says_so(client_as: Knock, called: User, incident: Incident) -> None:
    first, again = (post(client_as(called), url(incident, "here")) for _ in range(2))
    assert [answer.json()["isNew"] for answer in (first, again)] == [True, False]
    assert first.json()["page"]["arrivalSource"] == "self"
    assert first.json()["participant"] == again.json()["participant"]


def test_only_who_was_called_is_here(client_as: Knock, stakeholder: User, called: User, incident: Incident) -> None:
    answer = post(client_as(stakeholder), url(incident, "here"))
    assert (answer.status_code, answer.json()["code"]) == (403, "not_called")
    assert not Participant.objects.exists()


def test_one_of_several_teams_is_named(client_as: Knock, mim: User, called: User, incident: Incident) -> None:
    second = TeamFactory(slug="network")
    Membership.objects.create(team=second, user=called)
    actions.page_team(incident, second, stamp=stamp(mim))
    unclear = post(client_as(called), url(incident, "here"))
    assert (unclear.status_code, unclear.json()["allowed"]) == (422, ["database-west", "network"])
    assert post(client_as(called), url(incident, "here"), {"team": "network"}).json()["page"]["team"] == "network"
    assert post(client_as(called), url(incident, "here"), {"team": "never"}).status_code == 422


def test_undo_takes_back_the_last_and_only_ones_own(
    client_as: Knock, mim: User, called: User, incident: Incident
) -> None:
    assert post(client_as(mim), url(incident, "phase"), {"phase": 2}).status_code == 200
    entry = incident.timeline.latest("recorded_at")
    assert post(client_as(called), url(incident, "undo"), {"entry": entry.pk}).json()["code"] == "undo_refused"
    done = post(client_as(mim), url(incident, "undo"))
    assert (done.status_code, done.json()["undoes"], done.json()["verb"]) == (201, entry.pk, "undone")
    assert Incident.objects.get().phase == 1
    assert post(client_as(mim), url(incident, "undo"), {"entry": entry.pk}).status_code == 409
    assert post(client_as(mim), url(incident, "undo"), {"entry": "x"}).status_code == 422


def test_an_old_page_id_answers_for_what_replaced_it(client_as: Knock, called: User, incident: Incident) -> None:
    page = TeamPage.objects.get()
    path = url(incident, "team-pages", page.pk)
    post(client_as(called), f"{path}/acknowledge")
    post(client_as(called), url(incident, "undo"))
    again = post(client_as(called), f"{path}/acknowledge")
    assert (again.status_code, again.json()["id"] != page.pk) == (200, True)
    (listed,) = client_as(called).get(url(incident, "team-pages")).json()["results"]
    assert listed["id"] == again.json()["id"]


def test_standing_down_and_inviting_is_for_those_who_command(
    client_as: Knock, mim: User, called: User, incident: Incident
) -> None:
    path, body = url(incident, "team-pages", TeamPage.objects.get().pk, "stand-down"), {"reason": "Not theirs"}
    assert [post(client_as(person), path, body).status_code for person in (called, mim)] == [403, 200]
    guest = UserFactory()
    invitation = url(incident, "participants"), {"user": guest.email}
    assert [post(client_as(person), *invitation).status_code for person in (called, mim, mim)] == [403, 200, 200]
    (listed,) = client_as(mim).get(url(incident, "participants")).json()["results"]
    assert (listed["person"], listed["joinedAt"]) == (guest.name, None)
