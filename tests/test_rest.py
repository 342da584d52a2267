"""The API's manners: what it reads, how it pages, and the one shape of everything that goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.exceptions import ParseError
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from accounts.models import User
from accounts.permissions import Nobody
from incidents import actions
from majorops.lib.deprecation import Deprecated
from majorops.lib.rest import MAX_BYTES, parse_json
from tests.cast import Knock
from tests.factories import IncidentFactory, TeamFactory, at

PROBLEM = "application/problem+json"
JSON = "application/json"

# --- In ---


def test_good_json_comes_through() -> None:
    body = '{"text": "naïve 🚒 \\ud83d\\ude92", "whole": 9223372036854775807, "real": -1.5e3, "none": null, "is": true}'
    assert parse_json(body.encode()) == {
        "text": "naïve 🚒 🚒",
        "whole": 2**63 - 1,
        "real": -1500.0,
        "none": None,
        "is": True,
    }


BAD_JSON = {
    "empty": b"",
    "cut off": b'{"title": "x"',
    "two values": b"{} {}",
    "single quotes": b"{'title': 'x'}",
    "not UTF-8": b'{"title": "\xff"}',
    "UTF-16": '{"title": "x"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "raw NUL": b'{"title": "a\x00b"}',
    "escaped NUL": rb'{"title": "a\u0000b"}',
    "NUL in a key": rb'{"ti\u0000tle": "x"}',
    "lone high surrogate": rb'{"title": "\ud800"}',
    "lone low surrogate, deep": rb'{"metadata": [{"x": ["\udc00"]}]}',
    "duplicate key": b'{"title": "x", "title": "y"}',
    "duplicate key, nested": b'{"alert": {"alertId": "1", "alertId": "2"}}',
    "33 levels": b"[" * 33 + b"]" * 33,
    "100000 levels": b"[" * 100_000,
}


@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json_is_a_sentence(body: bytes) -> None:
    with pytest.raises(ParseError) as refused:
        parse_json(body)
    assert str(refused.value.detail).endswith((".", ")"))


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "9223372036854775808", "-" + "9" * 5000])
def test_number_that_is_none_is_named_by_its_place(client_as: Knock, mim: User, number: str) -> None:
    body = f'{{"title": "x", "severity": "low", "alert": {{"customerCount": {number}}}}}'
    answer = client_as(mim).post("/api/v1/incidents", body, content_type=JSON)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"], error["code"]) == (422, "/alert/customerCount", "not_a_number")


def test_32_levels_are_read() -> None:
    assert parse_json(b"[" * 32 + b"]" * 32)


# --- What goes wrong ---


def raises(error: Exception) -> Any:
    def action(*args: object, **kwargs: object) -> None:
        raise error

    return action


def test_every_refusal_is_a_problem(client_as: Knock, mim: User, stakeholder: User) -> None:
    client, other = client_as(mim), client_as(stakeholder)
    nobody = Client(headers={"Accept": JSON})
    new, one = "/api/v1/incidents", f"/api/v1/incidents/{IncidentFactory().pk}"
    answers = {
        400: client.post(new, b"{", content_type=JSON),
        401: nobody.get(new),
        403: other.post(new, {}, content_type=JSON),
        404: client.get("/api/v1/incidents/01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        405: client.put(one, {}, content_type=JSON),
        406: client.get(new, headers={"Accept": "image/png"}),
        409: client.post(f"{one}/status", {"status": "Active"}, content_type=JSON),
        412: client.patch(one, {"title": "x"}, content_type=JSON, headers={"If-Match": '"99"'}),
        413: client.post(new, b'"' + b"x" * MAX_BYTES + b'"', content_type=JSON),
        415: client.post(new, "title=x", content_type="application/x-www-form-urlencoded"),
        422: client.post(new, {"title": ""}, content_type=JSON),
        428: client.patch(one, {"title": "x"}, content_type=JSON),
    }
    for status, answer in answers.items():
        body = answer.json()
        assert (answer.status_code, answer["Content-Type"], body["status"]) == (status, PROBLEM, status)
        assert {"type", "title", "detail", "code", "requestId"} <= set(body)
        assert body["requestId"] == answer["X-Request-Id"]
        assert body["detail"]
    assert "WWW-Authenticate" in answers[401]
    assert "GET" in answers[405]["Allow"]


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v2/incidents", "/api/v1/incident", "/api/v1/incidents/", "/api/v1/\x00"]
)
def test_unknown_path_is_a_problem_in_development_too(client_as: Knock, mim: User, path: str, settings: Any) -> None:
    settings.DEBUG = True
    answer = client_as(mim).get(path)
    assert (answer.status_code, answer["Content-Type"]) == (404, PROBLEM)


def test_body_of_unknown_length_is_not_taken_for_an_empty_one(client_as: Knock, mim: User) -> None:
    answer = client_as(mim).generic(
        "POST", "/api/v1/incidents", CONTENT_LENGTH="", headers={"Transfer-Encoding": "chunked"}
    )
    assert (answer.status_code, answer["Content-Type"]) == (411, PROBLEM)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND", "get"])
def test_odd_methods_never_break(client_as: Knock, stakeholder: User, method: str) -> None:
    incident = IncidentFactory()
    for path in ("", f"/{incident.pk}", f"/{incident.pk}/timeline", f"/{incident.pk}/resolve", f"/{incident.pk}/kpis"):
        assert client_as(stakeholder).generic(method, f"/api/v1/incidents{path}").status_code < 500


def test_wrong_fields_are_named_by_pointer(client_as: Knock, mim: User) -> None:
    body = {"title": "x", "severity": "urgent", "alert": {"customerCount": -1}}
    problem = client_as(mim).post("/api/v1/incidents", body, content_type=JSON).json()
    assert problem["code"] == "invalid"
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [
        ("/severity", "invalid_choice"),
        ("/alert/customerCount", "min_value"),
    ]
    assert "Critical, High, Medium, Low" in problem["detail"]


def test_bug_is_a_problem_without_its_text(client_as: Knock, mim: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "open_incident", raises(RuntimeError("secret text")))
    client = client_as(mim)
    client.raise_request_exception = False
    answer = client.post("/api/v1/incidents", {"title": "x", "severity": "low"}, content_type=JSON)
    assert (answer.status_code, answer["Content-Type"], answer.json()["code"]) == (500, PROBLEM, "internal_error")
    assert "secret text" not in answer.content.decode()


def test_database_that_is_away_is_503(client_as: Knock, mim: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "open_incident", raises(OperationalError("database is locked")))
    client = client_as(mim)
    client.raise_request_exception = False
    answer = client.post("/api/v1/incidents", {"title": "x", "severity": "low"}, content_type=JSON)
    assert (answer.status_code, answer["Retry-After"], answer.json()["code"]) == (503, "5", "unavailable")


def test_database_that_is_away_is_503_before_anybody_is_known_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("majorops.views.HttpResponse", raises(OperationalError("database is locked")))
    answer = Client(raise_request_exception=False).get("/healthz")
    assert (answer.status_code, answer["Retry-After"], answer.json()["code"]) == (503, "5", "unavailable")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/api/v2/summary.json", "/status/feed.atom"])
def test_what_is_only_read_refuses_another_method_and_not_its_sender(path: str) -> None:
    answer = Client(enforce_csrf_checks=True, headers={"Accept": "*/*"}).post(path)
    assert (answer.status_code, answer["Content-Type"], answer.json()["code"]) == (405, PROBLEM, "method_not_allowed")
    assert "GET" in answer["Allow"]


def test_a_name_that_is_not_ours_is_told_to_programs_and_pages() -> None:
    answer = Client(headers={"Accept": "text/html", "Host": "evil.example"}).get("/incidents/")
    assert (answer.status_code, answer["Content-Type"], answer.json()["code"]) == (400, PROBLEM, "bad_host")


# --- Who may ---


def views(patterns: list[Any]) -> Iterator[Any]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from views(pattern.url_patterns)
        elif isinstance(pattern, URLPattern) and hasattr(pattern.callback, "cls"):
            yield pattern.callback.cls


def test_every_view_says_who_may() -> None:
    found = set(views(get_resolver().url_patterns))
    assert len(found) > 20
    undeclared = [view for view in found if Nobody in view.permission_classes or not view.permission_classes]
    assert not undeclared


# --- Lists ---


def walk(client: Client, url: str, direction: str) -> list[list[str]]:
    pages = []
    while url:
        page = client.get(url).json()
        pages.append([row["id"] for row in page["results"]])
        url = page[direction]
    return pages


def test_pages_of_equal_times_show_each_row_once_both_ways(client_as: Knock, mim: User) -> None:
    rows = [IncidentFactory().pk for _ in range(7)]  # all detected at the same moment
    client = client_as(mim)
    there = walk(client, "/api/v1/incidents?limit=3", "next")
    assert there == [rows[:3:-1], rows[3:0:-1], rows[:1]]
    last = client.get("/api/v1/incidents?limit=3").json()
    while last["next"]:
        last = client.get(last["next"]).json()
    assert walk(client, last["previous"], "previous") == [there[1], there[0]]


def test_row_that_arrives_meanwhile_shifts_nothing(client_as: Knock, mim: User) -> None:
    rows = [IncidentFactory().pk for _ in range(4)]
    client = client_as(mim)
    first = client.get("/api/v1/incidents?limit=2").json()
    IncidentFactory()
    second = client.get(f"/api/v1/incidents?limit=2&cursor={first['next_cursor']}").json()
    assert [row["id"] for row in second["results"]] == [rows[1], rows[0]]
    assert second["next"] is second["next_cursor"] is None


@pytest.mark.parametrize("limit", ["0", "201", "-1", "ten", "1.5", "", "٣", "9" * 5000])
def test_limit_out_of_range_is_refused_not_clamped(client_as: Knock, mim: User, limit: str) -> None:
    answer = client_as(mim).get("/api/v1/incidents", {"limit": limit})
    assert (answer.status_code, answer.json()["parameter"]) == (400, "limit")


def test_foreign_cursor_is_refused(client_as: Knock, mim: User) -> None:
    TeamFactory.create_batch(2)
    client = client_as(mim)
    of_teams = client.get("/api/v1/teams?limit=1").json()["next_cursor"]
    for cursor in (of_teams, of_teams[:-1], "x", "\x00", "😀"):
        assert client.get("/api/v1/incidents", {"cursor": cursor}).status_code == 400


def test_unknown_parameter_is_refused_with_the_near_match(client_as: Knock, mim: User) -> None:
    problem = client_as(mim).get("/api/v1/incidents?severty=high").json()
    assert problem["status"] == 400
    assert "Did you mean severity?" in problem["detail"]
    narrowing = ["from", "kind", "overdue", "phase", "q", "severity", "status", "system", "team", "to"]
    assert problem["allowed"] == sorted([*narrowing, "cursor", "excel", "limit"])


@pytest.mark.parametrize(
    "query",
    [
        "status=",
        "status=open",
        "status=active,",
        "status=active&status=resolved",
        "from=yesterday",
        "from=2026-03-02T10:00:00",
        "from=0001-01-01T00:00:00%2B14:00",
        "to=99999999999999999999999",
        "from=1e400",
        "q=%00",
        "q=" + "x" * 5000,
        "severity=critical%00",
        "description=secret",
        "exec_summary=secret",
        "timeline__text=secret",
        "ordering=exec_summary",
        "regex=(",
    ],
)
def test_bad_query_is_400(client_as: Knock, mim: User, query: str) -> None:
    answer = client_as(mim).get(f"/api/v1/incidents?{query}")
    assert (answer.status_code, answer["Content-Type"]) == (400, PROBLEM)


# --- As the schema tells it ---


def test_schema_is_valid_and_tells_of_problems(client_as: Knock, mim: User, tmp_path: Any) -> None:
    file = tmp_path / "schema.json"
    call_command("spectacular", "--validate", "--fail-on-warn", format="openapi-json", file=str(file))
    schema = json.loads(file.read_text())
    operations = [
        operation
        for path in schema["paths"].values()
        for method, operation in path.items()
        if method in ("get", "post", "patch")
    ]
    assert len(operations) > 25
    refused = schema["components"]["responses"]["Refused401"]
    assert PROBLEM in refused["content"]
    assert all("default" not in operation["responses"] for operation in operations)
    assert sum("401" in operation["responses"] for operation in operations) == len(operations)


def test_what_will_go_says_so_in_each_answer(rf: RequestFactory) -> None:
    class Old(Deprecated):
        permission_classes = [AllowAny]
        authentication_classes: list[Any] = []
        deprecated_since, sunset, instead = at("2026-01-01T00:00"), at("2026-07-01T00:00"), "/api/v1/incidents"

        def get(self, request: object) -> Response:
            return Response({}, headers={"Link": '<x>; rel="next"'})

    for answer in (Old.as_view()(rf.get("/")), Old.as_view()(rf.post("/"))):
        assert (answer["Deprecation"], answer["Sunset"]) == ("@1767225600", "Wed, 01 Jul 2026 00:00:00 GMT")
        assert answer["Link"].endswith('</api/v1/incidents>; rel="successor-version"')


def test_every_refusal_that_an_operation_names_is_explained(client_as: Knock, mim: User) -> None:
    schema = client_as(mim).get("/api/v1/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    named = {
        status: answer["$ref"].rpartition("/")[2]
        for operations in schema["paths"].values()
        for operation in operations.values()
        if isinstance(operation, dict)
        for status, answer in operation["responses"].items()
        if "$ref" in answer
    }
    assert set(named.values()) <= schema["components"]["responses"].keys()
    assert {"400", "401", "404", "409", "412", "413", "422", "428", "429", "503"} <= named.keys()


def test_schema_and_its_page_need_a_sign_in(client_as: Knock, stakeholder: User) -> None:
    for path in ("/api/v1/schema", "/api/v1/docs"):
        assert Client(headers={"Accept": JSON}).get(path).status_code == 401
        assert client_as(stakeholder).get(path, headers={"Accept": "*/*"}).status_code == 200


def test_schema_page_needs_no_network_and_no_inline_code(client_as: Knock, stakeholder: User) -> None:
    page = client_as(stakeholder).get("/api/v1/docs", headers={"Accept": "text/html"})
    html = page.content.decode()
    assert "swagger-ui-bundle.js" in html
    assert "://" not in html
    assert "<style" not in html
    assert "<script>" not in html
    assert "unsafe" not in page["Content-Security-Policy"]
