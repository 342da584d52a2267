"""Programs at the API, through the real middleware: what a scope opens, and what stays shut. And CSRF for browsers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts.models import AuditEvent, Integration, ServiceToken, User
from accounts.scopes import Scope
from incidents.models import Incident, TeamPage, TimelineEvent
from kpis.models import KpiObservation
from tests.accounts.programs import client_with, integration, program_with, token_of
from tests.accounts.test_access import HEADER, PROXY, SECRET
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, TeamPageFactory, TimelineEventFactory

pytestmark = pytest.mark.django_db

JSON = "application/json"
NEW = {"title": "Database away", "severity": "critical"}


def of(incident: Incident, path: str = "") -> str:
    return f"/api/v1/incidents/{incident.pk}{path}"


def post(client: Client, path: str, **body: object) -> tuple[int, dict[str, Any]]:
    answer = client.post(path, body, content_type=JSON)
    return answer.status_code, answer.json()


# --- Who gets in (cases 79-82) ---


def test_program_is_told_its_name_and_scopes() -> None:
    answer = program_with(Scope.KPIS_READ, Scope.INCIDENTS_READ).get("/api/v1/users/me").json()
    assert (answer["displayName"], answer["scopes"]) == ("Alertmanager prod", ["incidents:read", "kpis:read"])
    assert set(answer) == {"id", "displayName", "scopes"}


@pytest.mark.parametrize("path", ["/incidents/", "/incidents/new", "/", "/admin/", "/admin/accounts/integration/"])
@pytest.mark.parametrize("accept", ["text/html", JSON])
def test_program_is_refused_on_pages_and_in_admin(path: str, accept: str) -> None:
    client = client_with(token_of(integration(*Scope)), Accept=accept)
    assert client.get(path).status_code == 403
    assert client.post(path).status_code == 403


def test_program_gets_data_where_a_browser_gets_a_page() -> None:
    token = token_of(integration(Scope.INCIDENTS_READ))
    assert client_with(token, Accept=JSON).get("/kpis")["Content-Type"] == JSON
    assert client_with(token, Accept="text/html").get("/kpis").status_code == 403


def revoked(program: Integration, token: str) -> None:
    program.tokens.update(revoked_at=NOON)


def expired(program: Integration, token: str) -> None:
    program.tokens.update(created_at=NOON.replace(year=2025), expires_at=NOON)


def switched_off(program: Integration, token: str) -> None:
    Integration.objects.update(is_active=False)


@pytest.mark.parametrize("end", [revoked, expired, switched_off])
def test_token_that_ended_is_refused_on_the_next_request(end: Any) -> None:
    program = integration(Scope.INCIDENTS_READ)
    token = token_of(program)
    assert client_with(token).get("/api/v1/incidents").status_code == 200
    end(program, token)
    answer = client_with(token).get("/api/v1/incidents")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


def test_wrong_secret_reads_like_an_unknown_token() -> None:
    token = token_of(integration(Scope.INCIDENTS_READ))
    wrong, unknown = token[:-1] + ("A" if token[-1] != "A" else "B"), "mo_" + "0" * 12 + token[15:]
    answers = [client_with(sent).get("/api/v1/incidents") for sent in (wrong, unknown)]
    bodies = [{**answer.json(), "requestId": ""} for answer in answers]
    names = [set(answer.headers) for answer in answers]
    assert (bodies[0], names[0], answers[0].status_code) == (bodies[1], names[1], 401)


@pytest.mark.parametrize("sent", ["mo_wrong", "somebody-elses-token", ""])
def test_refused_bearer_token_is_challenged_as_such_and_a_person_is_sent_to_the_proxy(sent: str) -> None:
    refused = client_with(sent).get("/api/v1/incidents")
    assert (refused.status_code, refused["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert Client().get("/api/v1/incidents")["WWW-Authenticate"] == 'Proxy realm="MajorOps"'


def test_taken_scope_is_gone_on_the_next_request() -> None:
    client = program_with(Scope.INCIDENTS_READ)
    assert client.get("/api/v1/incidents").status_code == 200
    Integration.objects.update(scopes=[])
    status, problem = client.get("/api/v1/incidents").status_code, client.get("/api/v1/incidents").json()
    assert (status, problem["code"]) == (403, "scope_required")


@PROXY
def test_token_needs_no_proxy_and_makes_no_session() -> None:
    answer = program_with(Scope.INCIDENTS_READ).get("/api/v1/incidents", REMOTE_ADDR="192.0.2.7")
    assert answer.status_code == 200
    assert not answer.cookies


# --- What a scope opens ---


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/api/v1/incidents", Scope.INCIDENTS_READ),
        ("GET", "/api/v1/kpis", Scope.KPIS_READ),
        ("GET", "/api/v1/teams", Scope.TEAMS_READ),
        ("POST", "/api/v1/incidents", Scope.INCIDENTS_WRITE),
        ("POST", "{one}/kpis", Scope.KPIS_WRITE),
        ("POST", "{one}/phase", Scope.INCIDENTS_WRITE),
        ("POST", "{one}/updates", Scope.INCIDENTS_WRITE),
        ("POST", "{one}/team-pages", Scope.INCIDENTS_WRITE),
    ],
)
def test_refusal_names_the_scope_and_the_scope_opens(method: str, path: str, scope: Scope) -> None:
    address = path.replace("{one}", of(IncidentFactory()))
    refused = program_with(Scope.METRICS_READ).generic(method, address, "{}", JSON)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_required")
    assert scope in refused.json()["detail"]
    assert program_with(scope, name="Other").generic(method, address, "{}", JSON).status_code in (200, 422)


def test_no_scope_opens_what_is_for_people() -> None:
    answer = program_with(*Scope).get("/api/v1/users")
    assert answer.status_code == 403
    assert "no scope allows it to a program" in answer.json()["detail"]


def test_person_is_still_told_the_role(client_as: Knock, stakeholder: User) -> None:
    answer = client_as(stakeholder).post("/api/v1/incidents", NEW, content_type=JSON)
    assert (answer.status_code, answer.json()["code"]) == (403, "role_required")


def walk(patterns: list[Any], path: str = "/") -> list[tuple[str, Any]]:
    found = []
    for pattern in patterns:
        here = path + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found += walk(pattern.url_patterns, here)
        elif isinstance(pattern, URLPattern) and hasattr(pattern.callback, "cls"):
            found.append((here, pattern.callback.cls))
    return found


#: Doors that prove who comes with something else than an identity: a signature, or a link made for one person.
SIGNED = ("api/v1/intake/", "v2/enqueue", "api/v1/surveys/", "api/v1/facts/adapters/")


def api_paths() -> list[tuple[str, list[str]]]:
    """Every address of the API with ids of nothing, and the unsafe methods it has."""
    paths = []
    for route, view in walk(get_resolver().url_patterns):
        if any(signed in route for signed in SIGNED):
            continue
        path = route
        path = re.sub(r"<ulid:\w+>", "01ARZ3NDEKTSV4RRFFQ69G5FAV", path)
        methods = [name for name in ("POST", "PUT", "PATCH", "DELETE") if hasattr(view, name.lower())]
        paths.append((path.replace("<slug:slug>", "mttr"), methods))
    return paths


def test_program_without_scopes_reads_and_writes_nothing() -> None:
    client = program_with()
    for path, methods in api_paths():
        for method in ("GET", *methods):
            answer = client.generic(method, path, "{}", JSON)
            is_about_itself = path in ("/api/v1/users/me", "/api/v1/schema", "/api/v1/docs")
            assert is_about_itself or answer.status_code in (403, 404, 405), (method, path)


# --- What it writes ---


def test_incident_of_a_program_bears_its_name() -> None:
    status, shown = post(program_with(Scope.INCIDENTS_WRITE, Scope.INCIDENTS_READ_INTERNAL), "/api/v1/incidents", **NEW)
    event = TimelineEvent.objects.get()
    assert (status, shown["openedBy"]) == (201, None)
    assert (event.actor, event.actor_user, event.source) == ("Alertmanager prod", None, "api")


def test_log_entry_is_internal_and_bears_its_name() -> None:
    incident = IncidentFactory()
    status, _ = post(program_with(Scope.TIMELINE_WRITE), of(incident, "/timeline"), title="Disk full")
    entry = TimelineEvent.objects.get()
    assert (status, entry.visibility, entry.actor, entry.source) == (201, "internal", "Alertmanager prod", "api")


def test_claimed_actor_stands_in_the_text_and_never_as_actor(mim: User) -> None:
    incident, said = IncidentFactory(), {"title": "Disk full", "description": "98 %", "claimedActor": "R. Okafor"}
    status, _ = post(program_with(Scope.TIMELINE_WRITE), of(incident, "/timeline"), **said)
    entry = TimelineEvent.objects.get()
    assert (status, entry.actor, entry.actor_user) == (201, "Alertmanager prod", None)
    assert entry.description == "98 %\n\nReported by: R. Okafor"


def test_person_claims_nobody(client_as: Knock, mim: User) -> None:
    said = {"title": "x", "claimedActor": "S. Lindqvist"}
    answer = client_as(mim).post(of(IncidentFactory(), "/timeline"), said, content_type=JSON)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_field")


PUBLIC: list[tuple[str, dict[str, object]]] = [
    ("/timeline", {"title": "x", "visibility": "public"}),
    ("/timeline", {"title": "x", "visibility": None}),
    ("/updates", {"content": "x", "visibility": "public"}),
    ("/milestones", {"title": "x", "body": "x", "nextUpdateEta": "2098-01-01T00:00Z"}),
    ("/resolve", {"summary": "x"}),
]


@pytest.mark.parametrize(("path", "body"), PUBLIC)
def test_what_stakeholders_read_needs_the_scope_publish(path: str, body: dict[str, object]) -> None:
    incident, scopes = IncidentFactory(), [Scope.INCIDENTS_WRITE, Scope.TIMELINE_WRITE]
    status, problem = post(program_with(*scopes), of(incident, path), **body)
    assert (status, problem["code"]) == (403, "scope_required")
    assert "the scope publish" in problem["detail"]
    assert not TimelineEvent.objects.exists()
    assert post(program_with(*scopes, Scope.PUBLISH, name="Other"), of(incident, path), **body)[0] in (200, 201)


def test_public_entry_is_not_corrected_without_the_scope() -> None:
    entry = TimelineEventFactory(visibility="public")
    client = program_with(Scope.INCIDENTS_WRITE, Scope.TIMELINE_WRITE)
    assert post(client, of(entry.incident, f"/timeline/{entry.pk}/correct"), title="New text")[0] == 403
    assert TimelineEvent.objects.count() == 1


def test_update_of_a_program_bears_its_name() -> None:
    body = {"content": "Looking", "visibility": "internal"}
    status, shown = post(program_with(Scope.INCIDENTS_WRITE), of(IncidentFactory(), "/updates"), **body)
    assert (status, shown["author"], shown["source"]) == (201, "Alertmanager prod", "api")


@pytest.mark.parametrize(
    "field", [{"source": "web"}, {"actor": "R. Okafor"}, {"actorUser": "mim@example.com"}, {"by": "mim@example.com"}]
)
def test_source_and_actor_cannot_be_sent(field: dict[str, str]) -> None:
    status, _ = post(program_with(Scope.TIMELINE_WRITE), of(IncidentFactory(), "/timeline"), title="x", **field)
    assert (status, TimelineEvent.objects.count()) == (422, 0)


@pytest.mark.parametrize("path", ["acknowledge", "arrive"])
def test_program_does_not_answer_for_a_team(path: str) -> None:
    """Neither page nor program names a person, which must not make them the same one."""
    page = TeamPageFactory()
    client = program_with(Scope.TIMELINE_WRITE, Scope.TEAMS_READ)
    assert post(client, of(page.incident, f"/team-pages/{page.pk}/{path}"))[0] in (403, 404)
    assert not TeamPage.objects.filter(acknowledged_at__isnull=False).exists()


def test_program_that_commands_reports_arrivals() -> None:
    page = TeamPageFactory()
    client = program_with(Scope.INCIDENTS_WRITE, Scope.TEAMS_READ)
    status, shown = post(client, of(page.incident, f"/team-pages/{page.pk}/arrive"))
    assert (status, shown["arrivalSource"], shown["engineer"]) == (200, "observed", None)


CLAIM = {"kpi": "mttr", "value": 42, "timestamp": "2026-03-02T12:00:00Z"}


def test_kpi_claim_names_the_integration() -> None:
    client = program_with(Scope.KPIS_WRITE, Scope.KPIS_READ)
    status, _ = post(client, of(IncidentFactory(), "/kpis"), **CLAIM, metadata={"run": 7})
    assert (status, KpiObservation.objects.get().metadata) == (201, {"run": 7, "integration": "Alertmanager prod"})


@pytest.mark.parametrize("name", ["claimedBy", "integration"])
def test_who_claims_a_kpi_cannot_be_forged(name: str) -> None:
    client = program_with(Scope.KPIS_WRITE, Scope.KPIS_READ)
    status, problem = post(client, of(IncidentFactory(), "/kpis"), **CLAIM, metadata={name: "mim@example.com"})
    assert status == 422
    assert f"metadata.{name} is filled in" in problem["detail"]
    assert not KpiObservation.objects.exists()


# --- CSRF: whom the browser names by itself must show that its user meant it (case 83, A10) ---

PROVEN = {HEADER: "mim@example.com", "X-MajorOps-Proxy-Secret": SECRET}


def browser(**headers: str) -> Client:
    """Behind the proxy, which adds the identity to whatever the browser sends."""
    return Client(enforce_csrf_checks=True, headers={**PROVEN, **headers}, REMOTE_ADDR="10.1.2.3")


FORGED: dict[str, dict[str, str]] = {
    "no token": {},
    "foreign origin": {"Origin": "https://evil.example", "X-CSRFToken": "a" * 32},
    "null origin": {"Origin": "null"},
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "wrong token": {"X-CSRFToken": "a" * 32},
}


@PROXY
@pytest.mark.parametrize("headers", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("content_type", [JSON, "text/plain", "application/x-www-form-urlencoded"])
def test_no_unsafe_method_of_the_api_works_from_another_site(
    mim: User, headers: dict[str, str], content_type: str
) -> None:
    client, tried = browser(**headers), 0
    for path, methods in api_paths():
        for method in methods:
            tried += 1
            answer = client.generic(method, path, '{"title": "x", "severity": "low"}', content_type)
            assert (answer.status_code, answer.json()["code"] in ("csrf_failed", "cross_site")) == (403, True), path
    assert tried > 12
    assert not Incident.objects.exists()


@PROXY
def test_other_site_is_refused_before_the_token_is_looked_at(mim: User) -> None:
    client = browser()
    token = csrf_token(client)
    sent = {"X-CSRFToken": token, "Sec-Fetch-Site": "cross-site"}
    answer = client.post("/api/v1/incidents", NEW, content_type=JSON, headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")


@PROXY
@pytest.mark.parametrize("site", ["same-origin", "same-site", "none", ""])
def test_own_page_writes_with_its_token(mim: User, site: str) -> None:
    client = browser()
    sent = {"X-CSRFToken": csrf_token(client), "Sec-Fetch-Site": site}
    assert client.post("/api/v1/incidents", NEW, content_type=JSON, headers=sent).status_code == 201


@PROXY
def test_other_site_may_link_here(mim: User) -> None:
    assert browser(**{"Sec-Fetch-Site": "cross-site"}).get("/api/v1/incidents").status_code == 200


def csrf_token(client: Client) -> str:
    client.get("/incidents/new", headers={"Accept": "text/html"})
    return client.cookies["csrftoken"].value


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_only_json_is_read_as_json(content_type: str) -> None:
    """A browser sends text/plain to other sites without asking them first."""
    client = program_with(Scope.INCIDENTS_WRITE)
    answer = client.generic("POST", "/api/v1/incidents", '{"title": "x", "severity": "low"}', content_type)
    assert (answer.status_code, Incident.objects.count()) == (415, 0)


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_bearer_needs_no_csrf_token(headers: dict[str, str]) -> None:
    client = client_with(token_of(integration(Scope.INCIDENTS_WRITE)), **headers)
    assert client.post("/api/v1/incidents", NEW, content_type=JSON).status_code == 201


@PROXY
def test_wrong_bearer_is_not_replaced_by_the_person_behind_the_proxy(mim: User) -> None:
    answer = browser(Authorization="Bearer mo_" + "0" * 12 + "_" + "A" * 43).get("/api/v1/incidents")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


@override_settings(MAJOROPS_TOKEN_REQUESTS_PER_MINUTE=10_000)
def test_tokens_are_written_once_in_many_requests(django_assert_max_num_queries: Any) -> None:
    client = program_with(Scope.INCIDENTS_READ)
    client.get(reverse("api:me"))
    with django_assert_max_num_queries(1):
        client.get(reverse("api:me"))
    assert ServiceToken.objects.get().last_used_at
    assert AuditEvent.objects.filter(action="token_create").count() == 1
