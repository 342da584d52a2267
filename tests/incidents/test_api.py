"""Incidents over HTTP: the contract, who reads what, who may do what, and bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from incidents import actions
from incidents.api import ByDetection
from incidents.filters import IncidentFilter
from incidents.models import Incident, Participant, TeamPage, TimelineEvent
from incidents.viewing import EVERYONE, EXECUTIVE, IMPACT, INTERNAL
from teams.models import Membership
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, TeamFactory, TeamPageFactory, UserFactory, at, stamp

JSON = "application/json"
#: A promise that no run of these tests outlives.
EVER = "2099-12-31T12:00:00.000Z"
LIST = "/api/v1/incidents"
Counter = Callable[[int], AbstractContextManager[object]]


def post(client: Client, path: str, body: object = None) -> Any:
    return client.post(path, {} if body is None else body, content_type=JSON)


def url(incident: Incident, *rest: str) -> str:
    return "/".join([LIST, incident.pk, *rest])


@pytest.fixture
def incident(mim: User) -> Incident:
    """An incident with something to hide from everyone but those who command."""
    opened = actions.open_incident(
        title="prod-west-db-01 unreachable",
        severity="critical",
        stamp=stamp(mim, NOON),
        description="INTERNAL description",
        affected_systems=["prod-west-db-01"],
        bridge_url="https://meet.example.com/mi-1",
        alert_source="pagerduty",
        alert_id="INTERNAL-Q0V6",
        customer_count=1200,
        issue_time=at("11:58"),
        external_impact="yes",
        business_impact="EXECUTIVE business impact",
        customer_impact_summary="Checkout is slow.",
        risk_level="high",
        exec_summary="EXECUTIVE summary",
        audience_notes="Do not tweet.",
    )
    for visibility in ("internal", "public", None):
        actions.post_entry(opened, f"{visibility} entry".upper(), stamp=stamp(mim, at("12:05")), visibility=visibility)
    actions.post_update(opened, "INTERNAL update", visibility="internal", stamp=stamp(mim, at("12:06")))
    actions.post_update(opened, "We are on it.", visibility="public", stamp=stamp(mim, at("12:07")))
    actions.cut_milestone(
        opened, title="Mitigating", body="Failing over.", stamp=stamp(mim, at("12:10")), next_update_eta=at("12:40")
    )
    actions.edit_incident(opened, {"exec_summary": "EXECUTIVE summary 2"}, stamp=stamp(mim, at("12:11")))
    return opened


@pytest.fixture
def called(engineer: User, incident: Incident, mim: User) -> User:
    """The engineer, whose team was paged."""
    team = TeamFactory(slug="database-west")
    Membership.objects.create(team=team, user=engineer)
    actions.page_team(incident, team, stamp=stamp(mim, at("12:02")))
    return engineer


# --- The contract ---


def test_detail_is_the_documented_contract(client_as: Knock, mim: User, incident: Incident) -> None:
    answer = client_as(mim).get(url(incident))
    shown = answer.json()
    events, updates, milestones = shown.pop("timeline"), shown.pop("updates"), shown.pop("milestones")
    incident.refresh_from_db()
    assert shown == {
        "id": incident.pk,
        "kind": "real",
        "title": "prod-west-db-01 unreachable",
        "description": "INTERNAL description",
        "severity": "Critical",
        "status": "Active",
        "phase": 1,
        "phaseEnteredAt": "2026-03-02T12:00:00.000Z",
        "detectedAt": "2026-03-02T12:00:00.000Z",
        "resolvedAt": None,
        "affectedSystems": ["prod-west-db-01"],
        "bridgeUrl": "https://meet.example.com/mi-1",
        "command": {"sre": None, "mim": None, "leader": None, "serviceManager": None, "customerOps": None},
        "alert": {
            "alertId": "INTERNAL-Q0V6",
            "customerCount": 1200,
            "issueTime": "2026-03-02T11:58:00.000Z",
            "resolveTime": None,
            "externalImpact": "Yes",
        },
        "alertSource": "pagerduty",
        "dedupKey": None,
        "updatesPosted": 2,
        "nextUpdateEta": "2026-03-02T12:40:00.000Z",
        "lastCommunicatedAt": "2026-03-02T12:10:00.000Z",
        "businessImpact": "EXECUTIVE business impact",
        "customerImpactSummary": "Checkout is slow.",
        "riskLevel": "High",
        "execSummary": "EXECUTIVE summary 2",
        "decisionAsked": "",
        "audienceNotes": "Do not tweet.",
        "restricted": False,
        "publishStatus": False,
        "publicTitle": "",
        "publicId": incident.public_id,
        "openedBy": "R. Okafor",
        "version": incident.version,
    }
    assert answer["ETag"].startswith(f'"{incident.version}-')
    assert [event["type"] for event in events] == ["phase", *["action"] * 3, *["update"] * 3, "command"]
    assert [event["timestamp"] for event in events] == sorted(event["timestamp"] for event in events)
    assert events[0]["phaseNumber"] == 1
    assert events[-1]["changes"] == {"execSummary": ["EXECUTIVE summary", "EXECUTIVE summary 2"]}
    assert [(update["content"], update["visibility"]) for update in updates] == [
        ("INTERNAL update", "internal"),
        ("We are on it.", "public"),
    ]
    (milestone,) = milestones
    assert {**milestone, "id": ""} == {
        "id": "",
        "sequence": 1,
        "title": "Mitigating",
        "body": "Failing over.",
        "statusAtCut": "Active",
        "nextUpdateEta": "2026-03-02T12:40:00.000Z",
        "cutBy": "R. Okafor",
        "cutAt": "2026-03-02T12:10:00.000Z",
        "isResolution": False,
        "noPromiseReason": "",
        "entries": [],
    }


def test_id_is_read_in_lower_case_too(client_as: Knock, mim: User, incident: Incident) -> None:
    assert client_as(mim).get(f"{LIST}/{incident.pk.lower()}").json()["id"] == incident.pk


# --- Who reads what ---


def everything(client: Client, incident: Incident) -> str:
    """All that the API says of the incident to this person."""
    parts = [LIST, url(incident), *(url(incident, part) for part in ("timeline", "updates", "milestones"))]
    return "".join(client.get(part).content.decode() for part in parts)


def test_stakeholder_reads_no_internal_and_no_executive_text(
    client_as: Knock, stakeholder: User, incident: Incident
) -> None:
    client = client_as(stakeholder)
    told = everything(client, incident)
    assert "INTERNAL" not in told
    assert "EXECUTIVE" not in told
    assert "PUBLIC ENTRY" in told
    assert "NONE ENTRY" in told  # no visibility means both audiences
    assert "We are on it." in told
    hidden = {
        "description",
        "alert",
        "alertSource",
        "dedupKey",
        "businessImpact",
        "riskLevel",
        "execSummary",
        "decisionAsked",
        "version",
    }
    for row in (client.get(url(incident)).json(), client.get(LIST).json()["results"][0]):
        assert not hidden & set(row)
        assert row["updatesPosted"] == 1
        assert row["bridgeUrl"] == "https://meet.example.com/mi-1"
    assert "-" not in client.get(url(incident))["ETag"]  # no version in it


def test_executive_reads_the_brief_and_the_impact_only(client_as: Knock, executive: User, incident: Incident) -> None:
    told = everything(client_as(executive), incident)
    shown = client_as(executive).get(url(incident)).json()
    assert "INTERNAL" not in told
    assert shown["execSummary"] == "EXECUTIVE summary 2"
    assert shown["alert"] == {"customerCount": 1200, "externalImpact": "Yes"}
    assert shown["updatesPosted"] == 1


def test_called_engineer_reads_the_log_but_no_executive_text(
    client_as: Knock, called: User, incident: Incident
) -> None:
    told = everything(client_as(called), incident)
    assert "INTERNAL ENTRY" in told
    assert "INTERNAL description" in told
    assert "EXECUTIVE" not in told  # not in the log's old and new values either


def test_secret_texts_change_nothing_that_others_read(client_as: Knock, stakeholder: User, mim: User) -> None:
    """The answer of an incident with internal rows is that of one without, save for names and times."""
    plain, secret = (IncidentFactory(title="Same") for _ in range(2))
    actions.edit_incident(secret, {"description": "INTERNAL"}, stamp=stamp(mim, at("12:01")))
    actions.post_update(secret, "INTERNAL", visibility="internal", stamp=stamp(mim, at("12:02")))
    shown = [client_as(stakeholder).get(url(incident)).json() for incident in (plain, secret)]
    assert {**shown[0], "id": ""} == {**shown[1], "id": ""}


def test_every_column_has_readers() -> None:
    """A new column is shown to nobody until someone decides for whom it is."""
    groups = [EVERYONE, EXECUTIVE, IMPACT, INTERNAL]
    assert sorted(name for group in groups for name in group) == sorted(
        column.name for column in Incident._meta.concrete_fields
    )


def test_filters_and_order_use_only_what_everyone_reads() -> None:
    columns = {str(filter.field_name) for filter in IncidentFilter.base_filters.values()}
    assert columns | {name.lstrip("-") for name in ByDetection.ordering} <= EVERYONE


def test_participant_is_called_too(client_as: Knock, engineer: User, incident: Incident) -> None:
    assert "description" not in client_as(engineer).get(url(incident)).json()
    Participant.objects.create(incident=incident, user=engineer)
    assert "description" in client_as(engineer).get(url(incident)).json()


def test_being_called_counts_for_that_incident_only(client_as: Knock, called: User, incident: Incident) -> None:
    other = IncidentFactory(description="INTERNAL")
    rows = client_as(called).get(LIST).json()["results"]
    assert {row["id"]: "description" in row for row in rows} == {incident.pk: True, other.pk: False}


def test_team_response_is_for_its_readers(
    client_as: Knock, mim: User, called: User, stakeholder: User, executive: User, incident: Incident
) -> None:
    answers = {
        user.email: client_as(user).get(url(incident, "team-pages")).status_code
        for user in (mim, called, stakeholder, executive)
    }
    assert answers == {mim.email: 200, called.email: 200, stakeholder.email: 403, executive.email: 403}


# --- Lists ---


def test_list_is_filtered_by_status_severity_kind_and_title(client_as: Knock, mim: User) -> None:
    IncidentFactory(title="Database", severity="high")
    IncidentFactory(title="Network", status="monitoring", kind="drill")
    IncidentFactory(title="Done", closed=True)

    def titles(query: str) -> set[str]:
        return {row["title"] for row in client_as(mim).get(f"{LIST}?{query}").json()["results"]}

    assert titles("status=active") == {"Database"}
    assert titles("status=Active,Monitoring") == {"Database", "Network"}
    assert titles("severity=high,critical&kind=real") == {"Database", "Done"}
    assert titles("q=dATA") == {"Database"}


def test_times_are_half_open(client_as: Knock, mim: User) -> None:
    for hour in range(3):
        IncidentFactory(title=str(hour), detected_at=NOON + timedelta(hours=hour))
    rows = client_as(mim).get(LIST, {"from": "2026-03-02T12:00:00Z", "to": "2026-03-02T14:00:00Z"}).json()["results"]
    assert [row["title"] for row in rows] == ["1", "0"]
    millis = int((NOON + timedelta(hours=2)).timestamp() * 1000)
    rows = client_as(mim).get(LIST, {"from": millis}).json()["results"]
    assert [row["title"] for row in rows] == ["2"]


def test_list_rows_carry_no_log(client_as: Knock, mim: User, incident: Incident) -> None:
    (row,) = client_as(mim).get(LIST).json()["results"]
    assert not {"timeline", "updates", "milestones"} & set(row)


def test_list_costs_the_same_for_many(
    client_as: Knock, mim: User, engineer: User, django_assert_max_num_queries: Counter
) -> None:
    for _ in range(12):
        IncidentFactory(mim=UserFactory(), leader=UserFactory(), opened_by=UserFactory())
    for user in (mim, engineer):
        client = client_as(user)
        client.get("/api/v1/users/me")
        with django_assert_max_num_queries(2):  # the person, the rows
            assert len(client.get(LIST).json()["results"]) == 12


def test_detail_costs_the_same_for_a_long_log(
    client_as: Knock, mim: User, incident: Incident, django_assert_max_num_queries: Counter
) -> None:
    for minute in range(30):
        actions.post_entry(incident, "Still looking", stamp=stamp(mim, at(f"12:{minute:02}")))
    client = client_as(mim)
    client.get("/api/v1/users/me")
    with django_assert_max_num_queries(5):  # the person, the incident, log, updates, milestones
        assert len(client.get(url(incident)).json()["timeline"]) > 30


# --- Declaring ---


def test_mim_declares_an_incident_with_the_contracts_names(client_as: Knock, mim: User) -> None:
    body = {
        "title": " Checkout fails ",
        "severity": "Critical",
        "kind": "drill",
        "detectedAt": 1772452800000,
        "affectedSystems": ["checkout", "checkout", "cart"],
        "bridgeUrl": "https://meet.example.com/x",
        "alert": {
            "alertId": "A1",
            "customerCount": 7,
            "issueTime": "2026-03-02T11:50:00+00:00",
            "externalImpact": "yes",
        },
        "riskLevel": "low",
    }
    answer = post(client_as(mim), LIST, body)
    opened = Incident.objects.get()
    assert (answer.status_code, answer["Location"]) == (201, f"{LIST}/{opened.pk}")
    assert answer.json() == client_as(mim).get(answer["Location"]).json()
    assert (opened.title, opened.severity, opened.kind, opened.detected_at) == (
        "Checkout fails",
        "critical",
        "drill",
        NOON,
    )
    assert (opened.affected_systems, opened.customer_count) == (["checkout", "cart"], 7)
    assert (opened.issue_time, opened.opened_by) == (at("11:50"), mim)
    assert opened.timeline.get().source == "api"


def test_alert_that_is_open_already_is_not_opened_twice(client_as: Knock, mim: User) -> None:
    body = {"title": "x", "severity": "low", "alertSource": "pagerduty", "dedupKey": "k1"}
    first = post(client_as(mim), LIST, body).json()
    again = post(client_as(mim), LIST, body)
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_alert")
    assert again.json()["incidentId"] == first["id"]
    assert Incident.objects.count() == 1


BAD_DECLARATIONS: dict[str, Any] = {
    "nothing": {},
    "a list": [],
    "a text": "x",
    "null": None,
    "no severity": {"title": "x"},
    "blank title": {"title": "  ", "severity": "low"},
    "title is a number": {"title": 5, "severity": "low"},
    "title is a list": {"title": ["x"], "severity": "low"},
    "title is null": {"title": None, "severity": "low"},
    "title too long": {"title": "x" * 201, "severity": "low"},
    "unknown severity": {"title": "x", "severity": "P1"},
    "severity is true": {"title": "x", "severity": True},
    "severity is an object": {"title": "x", "severity": {}},
    "unknown key": {"title": "x", "severity": "low", "phase": 8},
    "snake_case key": {"title": "x", "severity": "low", "risk_level": "low"},
    "privilege": {"title": "x", "severity": "low", "openedBy": "admin@example.com"},
    "unknown nested key": {"title": "x", "severity": "low", "alert": {"alertID": "1"}},
    "alert is a text": {"title": "x", "severity": "low", "alert": "A1"},
    "alert is null": {"title": "x", "severity": "low", "alert": None},
    "customers below zero": {"title": "x", "severity": "low", "alert": {"customerCount": -1}},
    "customers beyond the column": {"title": "x", "severity": "low", "alert": {"customerCount": 2**31}},
    "customers as text": {"title": "x", "severity": "low", "alert": {"customerCount": "7"}},
    "half a customer": {"title": "x", "severity": "low", "alert": {"customerCount": 0.5}},
    "systems as text": {"title": "x", "severity": "low", "affectedSystems": "db"},
    "systems of numbers": {"title": "x", "severity": "low", "affectedSystems": [1]},
    "too many systems": {"title": "x", "severity": "low", "affectedSystems": ["x"] * 201},
    "time without a zone": {"title": "x", "severity": "low", "detectedAt": "2026-03-02T10:00:00"},
    "time before time": {"title": "x", "severity": "low", "detectedAt": "0001-01-01T00:00:00+14:00"},
    "time as true": {"title": "x", "severity": "low", "detectedAt": True},
    "time far ahead": {"title": "x", "severity": "low", "detectedAt": "2099-01-01T00:00:00Z"},
    "time as a huge number": {"title": "x", "severity": "low", "detectedAt": 2**62},
    "bridge by script": {"title": "x", "severity": "low", "bridgeUrl": "javascript:alert(1)"},
    "bridge with a user": {"title": "x", "severity": "low", "bridgeUrl": "https://meet.example@evil.example/"},
    "kind unknown": {"title": "x", "severity": "low", "kind": "fake"},
    "text too long": {"title": "x", "severity": "low", "description": "x" * 20_001},
}


@pytest.mark.parametrize("body", BAD_DECLARATIONS.values(), ids=BAD_DECLARATIONS)
def test_bad_declaration_writes_nothing(client_as: Knock, mim: User, body: object) -> None:
    answer = client_as(mim).post(LIST, json.dumps(body), content_type=JSON)
    assert answer.status_code == 422, answer.content
    assert answer.json()["detail"]
    assert not Incident.objects.exists()


def test_misspelt_key_gets_the_near_match(client_as: Knock, mim: User) -> None:
    problem = post(client_as(mim), LIST, {"title": "x", "severity": "low", "risk_level": "low"}).json()
    (error,) = problem["errors"]
    assert error["code"] == "unknown_field"
    assert "Did you mean riskLevel?" in error["message"]


# --- Actions: may, may not, twice ---


def test_phase_moves_once(client_as: Knock, mim: User, incident: Incident) -> None:
    answer = post(client_as(mim), url(incident, "phase"), {"phase": 2, "at": "2026-03-02T12:20:00Z"})
    assert (answer.status_code, answer.json()["phase"]) == (200, 2)
    assert answer["ETag"].startswith(f'"{answer.json()["version"]}-')
    assert answer.json()["phaseEnteredAt"] == "2026-03-02T12:20:00.000Z"
    again = post(client_as(mim), url(incident, "phase"), {"phase": 2})
    assert (again.status_code, again.json()["code"]) == (409, "phase_cannot_move")
    assert again.json()["allowed"] == [3, 4, 5, 6, 7]
    assert incident.phase_entries.count() == 2


@pytest.mark.parametrize("phase", [0, 9, -1, "2", 2.5, True, None, 10**15])
def test_phase_that_is_none_is_refused(client_as: Knock, mim: User, incident: Incident, phase: object) -> None:
    answer = post(client_as(mim), url(incident, "phase"), {"phase": phase})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/phase"


def test_status_goes_to_monitoring_and_only_resolve_resolves(client_as: Knock, mim: User, incident: Incident) -> None:
    client = client_as(mim)
    assert post(client, url(incident, "status"), {"status": "Monitoring"}).json()["status"] == "Monitoring"
    assert post(client, url(incident, "status"), {"status": "monitoring"}).status_code == 409
    assert post(client, url(incident, "status"), {"status": "Resolved"}).status_code == 409


def test_role_is_handed_over_by_address(client_as: Knock, mim: User, engineer: User, incident: Incident) -> None:
    client, path = client_as(mim), url(incident, "command")
    body = {"role": "serviceManager", "user": "Engineer@example.com"}
    assert post(client, path, body).json()["command"]["serviceManager"] == "A. Kim"
    assert post(client, path, body).status_code == 409
    assert post(client, path, {"role": "sre", "name": "Night desk"}).json()["command"]["sre"] == "Night desk"
    gone = post(client, path, {"role": "service_manager", "user": None})
    assert gone.json()["command"]["serviceManager"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"role": "mim"},
        {"role": "boss", "user": None},
        {"role": "mim", "user": "nobody@example.com"},
        {"role": "mim", "user": "not an address"},
        {"role": "mim", "user": 5},
        {"role": "mim", "name": "Somebody"},
    ],
)
def test_role_needs_a_known_person(client_as: Knock, mim: User, incident: Incident, body: object) -> None:
    assert post(client_as(mim), url(incident, "command"), body).status_code == 422
    assert not incident.role_assignments.exists()


def test_inactive_person_takes_no_role(client_as: Knock, mim: User, incident: Incident) -> None:
    UserFactory(email="gone@example.com", is_active=False)
    body = {"role": "leader", "user": "gone@example.com"}
    assert post(client_as(mim), url(incident, "command"), body).status_code == 422


def test_update_says_for_whom(client_as: Knock, mim: User, incident: Incident) -> None:
    client, path = client_as(mim), url(incident, "updates")
    assert post(client, path, {"content": "Better."}).status_code == 422
    answer = post(client, path, {"content": "Better.", "visibility": "Public"})
    assert (answer.status_code, answer.json()["author"], answer.json()["visibility"]) == (201, "R. Okafor", "public")
    assert client.get(path).json()["results"][0]["content"] == "Better."


def test_milestone_promises_the_next(client_as: Knock, mim: User, incident: Incident) -> None:
    client, path = client_as(mim), url(incident, "milestones")
    body = {"title": "Failover", "body": "Done.", "at": "2026-03-02T12:20:00Z", "nextUpdateEta": EVER}
    assert post(client, path, body).json()["sequence"] == 2
    past = post(client, path, {**body, "nextUpdateEta": "2026-03-02T12:50:00Z"})
    assert (past.status_code, past.json()["errors"][0]["pointer"]) == (422, "/nextUpdateEta")
    assert client.get(url(incident)).json()["nextUpdateEta"] == EVER


def test_resolve_closes_once_and_reopen_needs_a_reason(client_as: Knock, mim: User, incident: Incident) -> None:
    client = client_as(mim)
    done = post(client, url(incident, "resolve"), {"summary": "Replaced the disk."})
    assert (done.json()["status"], done.json()["phase"]) == ("Resolved", 8)
    assert done.json()["milestones"][-1]["isResolution"] is True
    again = post(client, url(incident, "resolve"), {"summary": "Again."})
    assert (again.status_code, again.json()["code"]) == (409, "incident_closed")
    assert post(client, url(incident, "reopen"), {}).status_code == 422
    opened = post(client, url(incident, "reopen"), {"reason": "It came back.", "phase": 5})
    assert (opened.json()["status"], opened.json()["phase"]) == ("Active", 5)


COMMANDS: dict[str, dict[str, object]] = {
    "phase": {"phase": 2},
    "status": {"status": "Monitoring"},
    "command": {"role": "sre", "name": "Me"},
    "updates": {"content": "x", "visibility": "public"},
    "milestones": {"title": "x", "body": "x", "nextUpdateEta": EVER},
    "team-pages": {"team": "network"},
    "resolve": {"summary": "x"},
    "reopen": {"reason": "x"},
}


@pytest.mark.parametrize("action", COMMANDS)
def test_only_those_who_command_act(
    client_as: Knock, stakeholder: User, executive: User, called: User, incident: Incident, action: str
) -> None:
    TeamFactory(slug="network")
    before = TimelineEvent.objects.count()
    for user in (stakeholder, executive, called):
        answer = post(client_as(user), url(incident, action), COMMANDS[action])
        assert (answer.status_code, answer.json()["code"]) == (403, "role_required")
    assert TimelineEvent.objects.count() == before


@pytest.mark.parametrize("action", [action for action in COMMANDS if action != "reopen"])
def test_administrators_command_too(client_as: Knock, admin_user: User, incident: Incident, action: str) -> None:
    TeamFactory(slug="network")
    assert post(client_as(admin_user), url(incident, action), COMMANDS[action]).status_code in (200, 201)


def test_others_neither_declare_nor_edit(client_as: Knock, stakeholder: User, incident: Incident) -> None:
    client = client_as(stakeholder)
    assert post(client, LIST, {"title": "x", "severity": "low"}).status_code == 403
    edit = client.patch(url(incident), {"title": "x"}, content_type=JSON, headers={"If-Match": "*"})
    assert edit.status_code == 403
    assert Incident.objects.get().title == "prod-west-db-01 unreachable"


# --- Editing ---


def test_edit_needs_the_version_that_was_read(client_as: Knock, mim: User, incident: Incident) -> None:
    client, path = client_as(mim), url(incident)
    etag = client.get(path)["ETag"]

    def patch(body: object, match: str) -> Any:
        return client.patch(path, body, content_type=JSON, headers={"If-Match": match})

    body = {"title": "Renamed", "alert": {"customerCount": None}}
    done = patch(body, etag)
    assert (done.status_code, done.json()["title"], done.json()["alert"]["customerCount"]) == (200, "Renamed", None)
    assert done.json()["alert"]["alertId"] == "INTERNAL-Q0V6"
    stale = patch({"title": "Mine"}, etag)
    assert (stale.status_code, stale.json()["code"], stale.json()["version"]) == (
        412,
        "incident_changed",
        done.json()["version"],
    )
    assert patch({"title": "Mine"}, '"x"').status_code == 412
    assert patch({"title": "Mine"}, f"W/{done['ETag']}").status_code == 412
    assert patch(body, done["ETag"])["ETag"] == done["ETag"]  # the same again writes nothing
    assert patch({"title": "Ours"}, "*").json()["title"] == "Ours"


@pytest.mark.parametrize(
    "body",
    [{"status": "Resolved"}, {"phase": 8}, {"detectedAt": "2026-03-02T10:00:00Z"}, {"version": 1}, {"title": ""}],
)
def test_what_has_its_own_action_is_not_edited(
    client_as: Knock, mim: User, incident: Incident, body: dict[str, object]
) -> None:
    answer = client_as(mim).patch(url(incident), body, content_type=JSON, headers={"If-Match": "*"})
    assert answer.status_code == 422


def test_stale_action_with_if_match_is_412(client_as: Knock, mim: User, incident: Incident) -> None:
    client = client_as(mim)
    answer = client.post(url(incident, "phase"), {"phase": 3}, content_type=JSON, headers={"If-Match": '"1"'})
    assert (answer.status_code, client.get(url(incident)).json()["phase"]) == (412, 1)


# --- The log ---


def test_called_engineer_writes_the_log_internally(client_as: Knock, called: User, incident: Incident) -> None:
    answer = post(client_as(called), url(incident, "timeline"), {"title": "Restarted the primary"})
    entry = TimelineEvent.objects.get(pk=answer.json()["id"])
    assert (answer.status_code, entry.visibility, entry.actor, entry.source) == (201, "internal", "A. Kim", "api")


def test_others_do_not_write_the_log(client_as: Knock, engineer: User, executive: User, incident: Incident) -> None:
    before = TimelineEvent.objects.count()
    for user in (engineer, executive):
        answer = post(client_as(user), url(incident, "timeline"), {"title": "x"})
        assert (answer.status_code, answer.json()["code"]) == (403, "not_called")
    assert TimelineEvent.objects.count() == before


def test_both_audiences_must_be_asked_for(client_as: Knock, mim: User, incident: Incident) -> None:
    answers = [
        post(client_as(mim), url(incident, "timeline"), {"title": "x", **more}).json()["visibility"]
        for more in ({}, {"visibility": None}, {"visibility": "public"})
    ]
    assert answers == ["internal", None, "public"]


@pytest.mark.parametrize("type", ["phase", "update", "note", 1])
def test_log_takes_no_phase_or_update(client_as: Knock, mim: User, incident: Incident, type: object) -> None:
    assert post(client_as(mim), url(incident, "timeline"), {"title": "x", "type": type}).status_code == 422


def test_log_is_filtered_and_paged(client_as: Knock, mim: User, incident: Incident) -> None:
    client, path = client_as(mim), url(incident, "timeline")
    page = client.get(f"{path}?type=action,update&limit=4").json()
    assert [row["type"] for row in page["results"]] == ["update", "update", "update", "action"]
    rest = client.get(page["next"]).json()["results"]
    assert [row["type"] for row in rest] == ["action", "action"]


def test_correction_appends_and_the_original_stays(client_as: Knock, mim: User, incident: Incident) -> None:
    entry = incident.timeline.filter(type="action").first()
    assert entry is not None
    path = url(incident, "timeline", entry.pk, "correct")
    answer = post(client_as(mim), path, {"title": "Right", "timestamp": "2026-03-02T12:04:00Z"})
    assert (answer.status_code, answer.json()["corrects"]) == (201, entry.pk)
    assert answer.json()["timestamp"] == "2026-03-02T12:04:00.000Z"
    assert TimelineEvent.objects.get(pk=entry.pk).title == entry.title


def test_entry_of_another_incident_is_not_found(client_as: Knock, mim: User, incident: Incident) -> None:
    entry = incident.timeline.first()
    assert entry is not None
    path = url(IncidentFactory(), "timeline", entry.pk, "correct")
    assert post(client_as(mim), path, {"title": "x"}).status_code == 404


def test_nobody_deletes_history(client_as: Knock, admin_user: User, incident: Incident) -> None:
    client = client_as(admin_user)
    for path in (url(incident), url(incident, "timeline"), url(incident, "updates"), url(incident, "milestones")):
        assert client.delete(path).status_code == 405
        assert client.put(path, {}, content_type=JSON).status_code == 405


# --- Team pages ---


def test_team_is_paged_by_slug_name_or_alias(client_as: Knock, mim: User, incident: Incident) -> None:
    TeamFactory(name="Network Edge", slug="network-edge")
    client, path = client_as(mim), url(incident, "team-pages")
    first = post(client, path, {"team": "network-edge", "contactName": "Alex"})
    assert (first.status_code, first.json()["alarmLevel"], first.json()["bridgeMinutes"]) == (201, "box3", 5)
    again = post(client, path, {"team": "NETWORK EDGE"})
    assert (again.status_code, again.json()["pageCount"]) == (200, 2)
    assert TeamPage.objects.count() == 1


@pytest.mark.parametrize("team", ["netwrok", "", 5, None, "x" * 60_000, ["network"]])
def test_unknown_team_is_refused_with_the_near_match(
    client_as: Knock, mim: User, incident: Incident, team: object
) -> None:
    TeamFactory(slug="network")
    answer = post(client_as(mim), url(incident, "team-pages"), {"team": team})
    assert answer.status_code == 422
    assert not TeamPage.objects.exists()
    if team == "netwrok":
        assert "Did you mean network?" in answer.json()["detail"]


def test_engineer_says_im_here_once(client_as: Knock, called: User, incident: Incident) -> None:
    page = TeamPage.objects.get()
    client, path = client_as(called), url(incident, "team-pages", page.pk, "arrive")
    answer = post(client, path, {"at": "2026-03-02T12:06:00Z"})
    assert (answer.status_code, answer.json()["arrivalSource"], answer.json()["engineer"]) == (200, "self", "A. Kim")
    again = post(client, path)
    assert (again.status_code, again.json()["code"]) == (409, "page_answered")
    page.refresh_from_db()
    assert page.arrived_at == at("12:06")


def test_body_may_be_left_out(client_as: Knock, called: User, incident: Incident) -> None:
    page = TeamPage.objects.get()
    answer = client_as(called).generic("POST", url(incident, "team-pages", page.pk, "acknowledge"))
    assert (answer.status_code, answer.json()["acknowledgedAt"] is None) == (200, False)


def test_mim_observes_arrival_and_cannot_be_the_team(client_as: Knock, mim: User, incident: Incident) -> None:
    page = TeamPageFactory(incident=incident)
    path = url(incident, "team-pages", page.pk, "arrive")
    assert post(client_as(mim), path, {"arrivalSource": "self"}).json()["code"] == "not_called"
    assert post(client_as(mim), path).json()["arrivalSource"] == "observed"


def test_member_of_another_team_cannot_answer(client_as: Knock, called: User, incident: Incident) -> None:
    other = TeamPageFactory(incident=incident, team=TeamFactory(slug="network"))
    for answer in ("acknowledge", "arrive"):
        refused = post(client_as(called), url(incident, "team-pages", other.pk, answer))
        assert (refused.status_code, refused.json()["code"]) == (403, "not_called")


def test_engineer_does_not_report_as_observed(client_as: Knock, called: User, incident: Incident) -> None:
    path = url(incident, "team-pages", TeamPage.objects.get().pk, "arrive")
    assert post(client_as(called), path, {"arrivalSource": "observed"}).json()["code"] == "role_required"


def test_arrival_before_the_page_is_refused(client_as: Knock, mim: User, incident: Incident) -> None:
    page = TeamPageFactory(incident=incident, paged_at=at("12:05"))
    answer = post(client_as(mim), url(incident, "team-pages", page.pk, "arrive"), {"at": "2026-03-02T12:04:00Z"})
    assert answer.status_code == 422
    page.refresh_from_db()
    assert page.arrived_at is None


def test_page_of_another_incident_is_not_found(client_as: Knock, mim: User, incident: Incident) -> None:
    page = TeamPageFactory()
    assert post(client_as(mim), url(incident, "team-pages", page.pk, "arrive")).status_code == 404


# --- Hostile bodies on every action ---

HOSTILE = [b"", b"[]", b"null", b'"x"', b"5", b'{"at": {}}', b'{"": 1}', b'{"a.b/c~d": 1}', b'{"at": "9999-99-99"}']


@pytest.mark.parametrize("action", COMMANDS)
@pytest.mark.parametrize("body", HOSTILE)
def test_hostile_body_is_4xx(client_as: Knock, mim: User, incident: Incident, action: str, body: bytes) -> None:
    before = TimelineEvent.objects.count()
    answer = client_as(mim).post(url(incident, action), body, content_type=JSON)
    assert 400 <= answer.status_code < 500
    assert answer["Content-Type"] == "application/problem+json"
    assert TimelineEvent.objects.count() == before
