"""Facts over HTTP: who may send and read them, what is answered, and how webhooks prove themselves."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.models import Integration, User
from kpis.facts import adapters
from kpis.models import Decision, Fact
from majorops.lib.errors import Invalid
from tests.cast import Knock
from tests.factories import at
from tests.kpis.facts import define, event, ndjson

pytestmark = pytest.mark.django_db
SECRET = "a-secret-of-a-webhook"
HEALTH = {"service": "api", "ok": True}
BODIES = Path(__file__).parents[1] / "incidents" / "fixtures" / "alerts"


def delivered(name: str) -> Any:
    """What a webhook sent."""
    return json.loads((BODIES / f"{name}.json").read_text())


@pytest.fixture
def program(db: None) -> Client:
    """A program that may append facts, and nothing else."""
    return client_of("Monitor", "facts:write")


def client_of(name: str, *scopes: str) -> Client:
    row = Integration.objects.create(name=name, scopes=list(scopes))
    _, token = tokens.mint(row, by=None, expires_at=timezone.now() + timezone.timedelta(days=9), now=timezone.now())
    return Client(headers={"Authorization": f"Bearer {token}", "Accept": "application/json"})


def bulk(client: Client, *events: dict[str, Any], **headers: str) -> Any:
    body = ndjson(events)
    return client.post("/api/v1/facts/bulk", body, content_type="application/x-ndjson", headers=headers)


def test_one_fact_is_created_once(program: Client) -> None:
    define("health_check")
    answers = [
        program.post("/api/v1/facts", event("health_check", "10:00", **HEALTH), content_type="application/json")
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["occurredAt"] == "2026-03-02T10:00:00.000Z"
    assert answers[0].json()["source"].startswith("service:")


def test_a_wrong_fact_is_refused_with_a_reason(program: Client) -> None:
    define("health_check")
    answer = program.post("/api/v1/facts", {"kind": "helth_check"}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_kind")


def test_a_body_of_many_is_counted_and_a_retry_changes_nothing(program: Client) -> None:
    define("health_check")
    events = [event("health_check", f"10:0{minute}", **HEALTH) for minute in range(3)]
    told = bulk(program, *events, {"kind": "nope"}).json()
    assert told | {"errors": []} == {
        "received": 4, "inserted": 3, "duplicate": 0, "parked": 0, "rejected": 1, "errors": [],
    }  # fmt: skip
    assert (told["errors"][0]["line"], told["errors"][0]["code"]) == (4, "unknown_kind")
    assert bulk(program, *events).json()["duplicate"] == 3
    assert Fact.objects.count() == 3


def test_a_body_may_be_packed_and_never_unpacks_beyond_the_limit(program: Client) -> None:
    define("health_check")
    for body, status in (
        (ndjson([event("health_check", "10:00", **HEALTH)]), 200),
        (b" " * 20_000_000, 413),
        (b"x", 422),
    ):
        packed = gzip.compress(body) if len(body) > 1 else body
        answer = program.post(
            "/api/v1/facts/bulk", packed, content_type="application/x-ndjson", headers={"Content-Encoding": "gzip"}
        )
        assert answer.status_code == status


def test_a_key_for_the_request_answers_again(program: Client) -> None:
    define("health_check")
    first, second = (bulk(program, event("health_check", "10:00", **HEALTH), **{"Idempotency-Key": "1"}) for _ in "12")
    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("body", [b"", b"\n \n"])
def test_an_empty_body_is_refused(program: Client, body: bytes) -> None:
    assert program.post("/api/v1/facts/bulk", body, content_type="application/x-ndjson").status_code == 422


def test_too_many_lines_are_refused_before_they_are_read(program: Client) -> None:
    answer = program.post("/api/v1/facts/bulk", b"{}\n" * 10_002, content_type="application/x-ndjson")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_who_may_do_what(client_as: Knock, mim: User, stakeholder: User, executive: User, program: Client) -> None:
    reader = client_of("Reader", "kpis:read")
    clients = [client_as(mim), client_as(stakeholder), client_as(executive), program, reader]
    assert [client.get("/api/v1/facts").status_code for client in clients] == [200, 403, 403, 403, 200]
    assert [bulk(client, {"kind": "x"}).status_code for client in clients] == [200, 403, 403, 200, 403]


def test_a_list_is_narrowed_and_paged(client_as: Knock, mim: User, program: Client) -> None:
    define("health_check", "story.completed")
    bulk(program, *(event("health_check", f"10:0{minute}", **HEALTH) for minute in range(5)))
    bulk(program, event("story.completed", "11:00", team="a", points=3))
    reader = client_as(mim)
    page = reader.get("/api/v1/facts?kind=health_check&limit=3&from=2026-03-02T10:01:00Z").json()
    rest = reader.get(page["next"]).json()
    assert [len(page["results"]), len(rest["results"])] == [3, 1]
    assert reader.get("/api/v1/facts?subject=api&subject_type=service").json()["results"][0]["subject"] == "api"
    assert reader.get("/api/v1/facts?payload=1").status_code == 400


def test_a_decision_is_written_once_and_read(client_as: Knock, mim: User, program: Client) -> None:
    body = {
        "scope": "ops", "action": "chatwoot.reply.sent", "decidedAt": "2026-03-02T10:20:00Z",
        "actor": "ann@example.com",
        "payload": {"conversation_id": "c1"}, "evidenceUrl": "https://chat.example.com/c1",
    }  # fmt: skip
    answers = [program.post("/api/v1/decisions", body, content_type="application/json") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert Decision.objects.get().actor.startswith("person-")
    found = client_as(mim).get("/api/v1/decisions?action=chatwoot.reply.sent").json()["results"]
    assert [row["payload"] for row in found] == [{"conversation_id": "c1"}]
    wrong = program.post("/api/v1/decisions", {**body, "payload": {"x": 1}}, content_type="application/json")
    assert wrong.status_code == 422


# --- Webhooks ---

REPOSITORY = {"full_name": "acme/shop"}
DEPLOYMENT = {
    "id": 7, "sha": "f95f", "ref": "main", "environment": "production", "created_at": "2026-03-02T10:00:00Z",
}  # fmt: skip
DEPLOYED = {
    "deployment_status": {
        "id": 9, "state": "success", "environment": "production", "created_at": "2026-03-02T10:05:00Z",
    },
    "deployment": DEPLOYMENT, "repository": REPOSITORY, "sender": {"login": "octocat"},
}  # fmt: skip


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def knock(name: str, payload: object, **headers: str) -> Any:
    body = json.dumps(payload).encode()
    return Client().post(f"/api/v1/facts/adapters/{name}", body, content_type="application/json", headers=headers)


def test_a_signed_webhook_becomes_facts_once(settings: Any) -> None:
    settings.MAJOROPS_WEBHOOK_SECRETS = {"github": SECRET}
    proof = {**signed(json.dumps(DEPLOYED).encode()), "X-GitHub-Event": "deployment_status"}
    told = [knock("github", DEPLOYED, **proof).json() for _ in range(2)]
    assert [(each["inserted"], each["duplicate"]) for each in told] == [(2, 0), (0, 2)]
    assert set(Fact.objects.values_list("kind", "subject_id", "actor", "source")) == {
        ("deployed", "7", "octocat", "webhook:github"),
        ("deploy.finished", "7", "octocat", "webhook:github"),
    }


def test_a_webhook_without_proof_is_refused(settings: Any) -> None:
    body = json.dumps(DEPLOYED).encode()
    for secrets in ({}, {"github": SECRET}):
        settings.MAJOROPS_WEBHOOK_SECRETS = secrets
        for proof in ({}, signed(body, "another-secret-entirely"), signed(b"{}"), {"X-Hub-Signature-256": "sha256=é"}):
            assert knock("github", DEPLOYED, **proof).status_code == 401
    assert not Fact.objects.exists()


def test_a_sender_that_signs_nothing_has_the_secret_in_its_address(settings: Any) -> None:
    settings.MAJOROPS_WEBHOOK_SECRETS = {"chatwoot": SECRET}
    for password, status in ((SECRET, 200), ("wrong", 401)):
        basic = "Basic " + base64.b64encode(f"x:{password}".encode()).decode()
        assert knock("chatwoot", {"event": "contact_created"}, Authorization=basic).status_code == status


def test_a_webhook_may_come_as_a_form(settings: Any) -> None:
    settings.MAJOROPS_WEBHOOK_SECRETS = {"github": SECRET}
    for sent, told in (({"payload": json.dumps(DEPLOYED)}, 200), ({"body": "{}"}, 422)):
        body, kind = urlencode(sent).encode(), "application/x-www-form-urlencoded"
        answer = Client().post("/api/v1/facts/adapters/github", body, content_type=kind, headers=signed(body))
        assert answer.status_code == told
    assert Fact.objects.count() == 2


def test_an_alert_that_is_not_understood_takes_nothing_of_the_others_with_it(program: Client) -> None:
    sound = {"status": "firing", "labels": {"alertname": "Down"}, "startsAt": "2026-03-02T10:00:00Z"}
    odd = [{**sound, "status": "suppressed"}, {"status": "resolved", "startsAt": "2026-03-02T10:00:00Z"}, 5]
    body = {"alerts": [*odd, sound]}
    told = program.post("/api/v1/facts/adapters/alertmanager", body, content_type="application/json").json()
    assert (told["inserted"], [each["line"] for each in told["errors"]]) == (1, [1, 2, 3])
    assert told["errors"][0]["reason"] == "An alert is firing or resolved, not 'suppressed'."


def test_a_program_may_knock_with_its_token(program: Client) -> None:
    payload = {
        "alerts": [{"status": "firing", "labels": {"alertname": "Down"}, "startsAt": "2026-03-02T10:00:00.1234567Z"}]
    }
    answer = program.post("/api/v1/facts/adapters/alertmanager", payload, content_type="application/json")
    assert answer.json()["inserted"] == 1
    missing = program.post("/api/v1/facts/adapters/nagios", payload, content_type="application/json")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_adapter")


def events_of(name: str, payload: object) -> list[dict[str, Any]]:
    found = adapters.events(adapters.ADAPTERS[name], payload)
    return [each for each in found if not isinstance(each, Invalid)]


@pytest.mark.parametrize(
    ("name", "payload", "kinds"),
    [
        ("github", {"deployment": DEPLOYMENT, "repository": REPOSITORY}, ["deploy_started"]),
        ("github", DEPLOYED, ["deployed", "deploy.finished"]),
        ("github", {"zen": "Keep it simple."}, []),
        ("github", {"pull_request": {"merged_at": None}, "action": "closed"}, []),
        ("github", delivered("github_pull_request"), ["pr.merged"]),
        ("github", delivered("github_workflow_run"), ["ci.run"]),
        ("chatwoot", {"event": "conversation_updated"}, []),
        (
            "alertmanager",
            {"alerts": [{"status": "resolved", "labels": {}, "startsAt": "2026-03-02T10:00:00Z",
                         "endsAt": "2026-03-02T10:09:00Z"}]},
            ["alert.resolved"],
        ),
    ],
)  # fmt: skip
def test_what_an_adapter_makes_of_a_payload(name: str, payload: dict[str, Any], kinds: list[str]) -> None:
    assert [each["kind"] for each in events_of(name, payload)] == kinds


def test_an_alert_without_a_fingerprint_keeps_its_name() -> None:
    alert = {"status": "firing", "labels": {"alertname": "Down"}, "startsAt": "2026-03-02T10:00:00Z"}
    ended = {**alert, "status": "resolved", "endsAt": "2026-03-02T10:09:00Z"}
    found = [events_of("alertmanager", {"alerts": [one]})[0] for one in (alert, ended)]
    assert found[0]["payload"]["fingerprint"] == found[1]["payload"]["fingerprint"]
    assert found[1]["occurredAt"] == "2026-03-02T10:09:00Z"


@pytest.mark.parametrize("payload", [[], "x", {"deployment_status": {}}, {"deployment": 5}, {"alerts": 5}])
def test_a_payload_that_is_not_understood_says_so(payload: Any) -> None:
    for name in ("github", "alertmanager"):
        if not (isinstance(payload, dict) and ("alerts" in payload) == (name == "github")):
            with pytest.raises(adapters.NotUnderstood):
                adapters.events(adapters.ADAPTERS[name], payload)


def test_the_times_of_chatwoot_are_read_in_every_form() -> None:
    message = {"event": "message_created", "id": 5, "message_type": 1, "conversation": {"display_id": 3}}
    seconds = at("10:00").timestamp()
    for written in ("2026-03-02 10:00:00 UTC", "2026-03-02T10:00:00.000Z", seconds, seconds * 1000):
        (found,) = events_of("chatwoot", {**message, "created_at": written})
        assert (found["occurredAt"], found["payload"]["direction"]) == ("2026-03-02T10:00:00+00:00", "outgoing")
    with pytest.raises(adapters.NotUnderstood, match="created_at must be a time with its zone"):
        events_of("chatwoot", {**message, "created_at": "2026-03-02 10:00:00"})
