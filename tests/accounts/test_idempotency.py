"""A request that is sent again under its key is answered again, and done once. Both databases."""

from __future__ import annotations

import inspect
import json
import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from threading import Event
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone

from accounts import idempotency
from accounts.models import IdempotencyKey, User
from accounts.roles import Role
from accounts.scopes import Scope
from incidents import actions
from incidents.models import Incident, TimelineEvent
from tests.accounts.programs import program_with
from tests.cast import Knock
from tests.factories import IncidentFactory, stamp
from tests.races import race
from tests.serving import IDENTITY, Site, serving

pytestmark = pytest.mark.django_db
ROUNDS = int(os.environ.get("MAJOROPS_RACE_ROUNDS", "3"))
KEY = "0b6bd0c4-6d0e-4f3a-9d0a-9f1e2d3c4b5a"
INCIDENTS = "/api/v1/incidents"
DECLARED = {"title": "Checkout fails", "severity": "Critical"}


@pytest.fixture
def incident(mim: User) -> Incident:
    return IncidentFactory()


def send(client: Client, path: str, body: object, key: str = KEY, **headers: str) -> Any:
    return client.post(path, body, "application/json", headers={"Idempotency-Key": key, **headers})


def lines(incident: Incident) -> str:
    return f"{INCIDENTS}/{incident.pk}/timeline"


def written(title: str) -> int:
    return TimelineEvent.objects.filter(title=title).count()


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def lose_the_answer(seconds_ago: int = 60) -> None:
    """As if the server had been killed after the commit."""
    then = timezone.now() - timedelta(seconds=seconds_ago)
    IdempotencyKey.objects.update(status=None, headers={}, body=None, claimed_at=then)


# --- The second time ---


def test_the_second_time_has_the_first_answer_and_does_nothing(client_as: Knock, mim: User) -> None:
    first, second = (send(client_as(mim), INCIDENTS, DECLARED) for _ in range(2))
    assert Incident.objects.count() == 1
    assert (first.status_code, first.content) == (second.status_code, second.content)
    for name in ("Content-Type", "Location", "ETag"):
        assert first[name] == second[name]
    assert ("Idempotency-Replayed" in first, second["Idempotency-Replayed"]) == (False, "true")


def test_a_page_that_is_sent_twice_leads_to_where_it_led(page_as: Knock, mim: User, incident: Incident) -> None:
    """Each page has a CSRF token of its own: that is no other request."""
    sent = [{"text": "Failover begun", "visibility": "internal", "csrfmiddlewaretoken": token} for token in ("a", "b")]
    headers = {"Idempotency-Key": KEY}
    first, second = (page_as(mim).post(f"/incidents/{incident.pk}/post", form, headers=headers) for form in sent)
    assert (first.status_code, second.status_code) == (302, 302)
    assert first["Location"] == second["Location"] == f"/incidents/{incident.pk}/"
    assert written("Failover begun") == 1


@pytest.mark.parametrize("path", ["/api/v1/incidents/{}/kpis", "/api/v1/kpis/mttr/observations"])
def test_a_claim_is_stated_once(client_as: Knock, mim: User, incident: Incident, path: str) -> None:
    said = {"value": 12, "timestamp": "2026-03-02T12:00:00Z"} | ({"kpi": "mttr"} if "{}" in path else {})
    answers = [send(client_as(mim), path.format(incident.pk), said) for _ in range(2)]
    assert [(answer.status_code, answer.get("Idempotency-Replayed")) for answer in answers] == [
        (201, None),
        (201, "true"),
    ]
    lose_the_answer()
    assert code(send(client_as(mim), path.format(incident.pk), said)) == (409, "already_done")


def test_a_request_of_several_effects_is_one(page_as: Knock, mim: User, incident: Incident) -> None:
    """A tap that was kept by a phone without network writes two entries."""
    tap = {"tapped_at": (timezone.now() - timedelta(minutes=1)).isoformat()}
    for _ in range(2):
        page_as(mim).post(f"/r/{incident.pk}/here", tap, headers={"Idempotency-Key": KEY})
    assert Counter(incident.timeline.values_list("verb", flat=True))["here"] == 1
    assert written(f"{mim.name} was offline") == 1


def test_a_tap_whose_answer_was_lost_counts_once(page_as: Knock, mim: User, incident: Incident) -> None:
    """The phone took it for unsent, and sends it again with its time."""
    for late in ({}, {"tapped_at": timezone.now().isoformat()}):
        form = {"text": "On my way", **late}
        answer = page_as(mim).post(f"/r/{incident.pk}/post", form, headers={"Idempotency-Key": KEY})
        assert (answer.status_code, answer["Location"]) == (302, f"/r/{incident.pk}")
    assert written("On my way") == 1


@pytest.mark.parametrize("other", ["body", "path", "query"])
def test_a_key_belongs_to_one_request(client_as: Knock, mim: User, incident: Incident, other: str) -> None:
    send(client_as(mim), lines(incident), {"title": "one"})
    path = {"path": lines(IncidentFactory()), "query": f"{lines(incident)}?x=1"}.get(other, lines(incident))
    answer = send(client_as(mim), path, {"title": "two" if other == "body" else "one"})
    assert code(answer) == (422, "idempotency_mismatch")
    assert TimelineEvent.objects.filter(title__in=("one", "two")).count() == 1


@pytest.mark.parametrize("key", ["", " ", "two words", "k" * 256, "schlüssel", "tab\tkey"])
def test_a_key_is_visible_ascii(client_as: Knock, mim: User, incident: Incident, key: str) -> None:
    assert code(send(client_as(mim), lines(incident), {"title": "x"}, key)) == (400, "idempotency_key_invalid")
    assert not incident.timeline.filter(title="x").exists()


def test_the_longest_key_is_kept_whole(client_as: Knock, mim: User, incident: Incident) -> None:
    for last in "ab":
        assert send(client_as(mim), lines(incident), {"title": "x"}, "~" * 254 + last).status_code == 201
    assert written("x") == 2


# --- What is refused, breaks, or gets lost ---


def test_what_was_refused_may_be_tried_again(client_as: Knock, mim: User, incident: Incident) -> None:
    path = f"{INCIDENTS}/{incident.pk}/reopen"
    body = {"reason": "it is back"}
    assert send(client_as(mim), path, body).status_code == 409
    assert not IdempotencyKey.objects.exists()
    actions.resolve(incident, summary="Over.", stamp=stamp(mim))
    assert send(client_as(mim), path, body).status_code == 201  # so much later it is a new one


def test_a_lost_answer_is_told_as_done(client_as: Knock, mim: User, incident: Incident) -> None:
    send(client_as(mim), lines(incident), {"title": "x"})
    lose_the_answer()
    answer = send(client_as(mim), lines(incident), {"title": "x"})
    assert code(answer) == (409, "already_done")
    assert answer.json()["incident"] == incident.pk
    assert written("x") == 1


def test_a_request_that_runs_is_to_be_asked_for_later(client_as: Knock, mim: User, incident: Incident) -> None:
    send(client_as(mim), lines(incident), {"title": "x"})
    lose_the_answer(seconds_ago=0)
    answer = send(client_as(mim), lines(incident), {"title": "x"})
    assert code(answer) == (409, "idempotency_in_progress")
    assert answer["Retry-After"] == "1"


@pytest.mark.parametrize("seconds", [0, 60])
def test_a_page_whose_answer_was_lost_leads_to_the_incident(
    page_as: Knock, mim: User, incident: Incident, seconds: int
) -> None:
    """Never to a refusal: the script of the command page would send the form plainly, without its key."""
    for _ in range(2):
        answer = page_as(mim).post(
            "/incidents/new", {"title": "New", "severity": "high"}, headers={"Idempotency-Key": KEY}
        )
        lose_the_answer(seconds)
    new = Incident.objects.get(title="New")
    assert (answer.status_code, answer["Location"]) == (302, f"/incidents/{new.pk}/")


def test_a_long_answer_is_not_kept(
    client_as: Knock, mim: User, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MAX_ANSWER", 10)
    assert send(client_as(mim), lines(incident), {"title": "x"}).status_code == 201
    assert code(send(client_as(mim), lines(incident), {"title": "x"})) == (409, "already_done")


def test_an_answer_that_broke_is_not_kept(rf: RequestFactory, mim: User, incident: Incident) -> None:
    def view(status: int) -> HttpResponse:
        actions.post_entry(incident, "x", stamp=stamp(mim))
        return HttpResponse(status=status)

    request = rf.post("/anything", headers={"Idempotency-Key": KEY})
    request.user = mim
    idempotency.Idempotency(lambda _: view(500))(request)
    assert IdempotencyKey.objects.get().status is None


def test_an_effect_that_is_rolled_back_leaves_no_key(rf: RequestFactory, mim: User, incident: Incident) -> None:
    """The second effect of the request takes the key then."""

    def view(_: object) -> HttpResponse:
        with pytest.raises(ZeroDivisionError), idempotency.effect(incident):
            raise ZeroDivisionError
        assert not IdempotencyKey.objects.exists()
        actions.post_entry(incident, "x", stamp=stamp(mim))
        return HttpResponse(status=204)

    request = rf.post("/anything", headers={"Idempotency-Key": KEY})
    request.user = mim
    idempotency.Idempotency(view)(request)
    assert (IdempotencyKey.objects.get().status, written("x")) == (204, 1)


def a_day_passes() -> None:
    IdempotencyKey.objects.update(claimed_at=timezone.now() - timedelta(hours=24))


def test_a_day_later_the_key_is_free(client_as: Knock, mim: User, incident: Incident) -> None:
    send(client_as(mim), lines(incident), {"title": "one"})
    a_day_passes()
    assert send(client_as(mim), lines(incident), {"title": "two"}).status_code == 201


def test_each_new_key_sweeps_the_old_ones_away(client_as: Knock, mim: User, incident: Incident) -> None:
    for key in ("a", "b"):
        send(client_as(mim), lines(incident), {"title": "x"}, key)
    a_day_passes()
    send(client_as(mim), lines(incident), {"title": "x"}, "c")
    assert [row.key for row in IdempotencyKey.objects.all()] == ["c"]


# --- Whose key ---


def test_two_people_with_one_key_are_strangers(
    client_as: Knock, mim: User, admin_user: User, incident: Incident
) -> None:
    first, second = (send(client_as(who), lines(incident), {"title": "x"}) for who in (mim, admin_user))
    assert "Idempotency-Replayed" not in second
    assert first.json()["id"] != second.json()["id"]
    assert written("x") == 2


def test_programs_and_people_have_keys_of_their_own(client_as: Knock, mim: User, incident: Incident) -> None:
    programs = [program_with(Scope.TIMELINE_WRITE, Scope.INCIDENTS_READ_INTERNAL, name=name) for name in ("One", "Two")]
    answers = [send(client, lines(incident), {"title": "x"}) for client in (client_as(mim), *programs, programs[0])]
    assert [answer.status_code for answer in answers] == [201] * 4
    assert ["Idempotency-Replayed" in answer for answer in answers] == [False, False, False, True]
    assert written("x") == 3


def test_who_may_read_less_by_now_is_not_shown_the_old_answer(client_as: Knock, mim: User, incident: Incident) -> None:
    send(client_as(mim), lines(incident), {"title": "x"})
    User.objects.filter(pk=mim.pk).update(role=Role.STAKEHOLDER)
    assert code(send(client_as(mim), lines(incident), {"title": "x"})) == (409, "already_done")


def test_who_is_not_let_in_gets_no_answer_of_anybody(client_as: Knock, mim: User, incident: Incident) -> None:
    send(client_as(mim), lines(incident), {"title": "x"})
    User.objects.filter(pk=mim.pk).update(is_active=False)
    assert send(client_as(mim), lines(incident), {"title": "x"}).status_code == 403
    assert send(Client(), lines(incident), {"title": "x"}).status_code == 401


# --- Everything else is as it was ---


@pytest.mark.parametrize("method", ["get", "head", "options", "patch", "put", "delete"])
def test_other_methods_take_no_notice(client_as: Knock, mim: User, incident: Incident, method: str) -> None:
    ask: Callable[..., Any] = getattr(client_as(mim), method)
    asked = [
        ask(f"{INCIDENTS}/{incident.pk}", headers={**sent, "If-Match": "*"}) for sent in ({}, {"Idempotency-Key": "é"})
    ]
    assert asked[0].status_code == asked[1].status_code
    assert not IdempotencyKey.objects.exists()


def test_without_a_key_no_query_is_added(client_as: Knock, mim: User, incident: Incident) -> None:
    with CaptureQueriesContext(connection) as asked:
        client_as(mim).post(lines(incident), {"title": "x"}, "application/json")
    assert not [query for query in asked.captured_queries if "idempotency_keys" in query["sql"]]


def test_what_does_nothing_leaves_no_row(page_as: Knock, mim: User, incident: Incident) -> None:
    """A question, and a form that is wrong."""
    for path, status in (("takeover", 302), ("post", 422)):
        answer = page_as(mim).post(f"/incidents/{incident.pk}/{path}", headers={"Idempotency-Key": KEY})
        assert answer.status_code == status
    assert not IdempotencyKey.objects.exists()


def test_a_large_body_is_refused(client_as: Knock, mim: User, incident: Incident) -> None:
    answer = send(client_as(mim), lines(incident), {"title": "x", "description": "x" * 2**20})
    assert code(answer) == (413, "too_large")


def test_a_file_is_part_of_what_was_sent_and_can_still_be_read(rf: RequestFactory, mim: User) -> None:
    digests, read = [], []
    for content in (b"one", b"one", b"two"):
        request = rf.post("/x", {"file": SimpleUploadedFile("x.csv", content)}, headers={"Idempotency-Key": KEY})
        request.user = mim
        digests.append(idempotency._read(request, mim).digest)
        read.append(request.FILES["file"].read())
    assert digests[0] == digests[1] != digests[2]
    assert read == [b"one", b"one", b"two"]


WRITERS = [
    each for _, each in inspect.getmembers(actions, inspect.isfunction) if "stamp" in inspect.signature(each).parameters
]


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)
def test_every_action_of_a_person_is_an_effect(writer: Callable[..., object]) -> None:
    source = inspect.getsource(inspect.unwrap(writer))
    assert "effect(" in source or re.search(r"^@action$|return cut_milestone\(", source, re.MULTILINE)


def test_the_actions_are_seen() -> None:
    assert len(WRITERS) > 12


def test_the_schema_names_the_key_on_every_post_and_nowhere_else(client_as: Knock, mim: User) -> None:
    schema = client_as(mim).get("/api/v1/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    named = {
        method
        for operations in schema["paths"].values()
        for method, operation in operations.items()
        if "Idempotency-Key" in [each["name"] for each in operation.get("parameters", [])]
    }
    posts = [operations["post"] for operations in schema["paths"].values() if "post" in operations]
    assert named == {"post"}
    assert all("Idempotency-Key" in [each["name"] for each in post["parameters"]] for post in posts)


# --- At the same moment ---


@pytest.fixture
def without_zeal() -> Iterator[None]:
    """The throttle reads its bucket again when another request was faster, which is no N+1."""
    with override_settings(MIDDLEWARE=[each for each in settings.MIDDLEWARE if not each.startswith("zeal.")]):
        yield


@pytest.mark.django_db(transaction=True)
def test_eight_with_one_key_are_one_effect(without_zeal: None, client_as: Knock, mim: User, incident: Incident) -> None:
    """The other seven hear that it runs, or what came of it."""
    for number in range(ROUNDS):
        answers: list[Any] = []
        body, key = {"title": f"line {number}"}, f"{KEY}-{number}"
        race(lambda _, body=body, key=key, to=answers: to.append(send(client_as(mim), lines(incident), body, key)))
        first = [answer for answer in answers if answer.status_code == 201 and "Idempotency-Replayed" not in answer]
        others = [answer for answer in answers if answer not in first]
        assert (len(first), len(others), written(f"line {number}")) == (1, 7, 1)
        assert {code(answer) for answer in others if answer.status_code != 201} <= {(409, "idempotency_in_progress")}


@pytest.mark.django_db(transaction=True)
def test_eight_forms_with_one_key_are_one_line(
    without_zeal: None, page_as: Knock, mim: User, incident: Incident
) -> None:
    for number in range(ROUNDS):
        answers: Counter[tuple[int, str]] = Counter()
        form = {"text": f"line {number}", "visibility": "internal"}

        def tap(_: int, form: dict[str, str] = form, key: str = f"{KEY}-{number}", to: Any = answers) -> None:
            answer = page_as(mim).post(f"/incidents/{incident.pk}/post", form, headers={"Idempotency-Key": key})
            to[answer.status_code, answer["Location"]] += 1

        race(tap)
        assert (answers, written(f"line {number}")) == ({(302, f"/incidents/{incident.pk}/"): 8}, 1)


@pytest.mark.django_db(transaction=True)
def test_the_second_carries_out_what_the_first_gave_up(client_as: Knock, mim: User, incident: Incident) -> None:
    """It waits for the first, which is rolled back: by a refusal, or because its server was killed."""
    has_begun = Event()

    def give_up() -> None:
        with transaction.atomic():
            row = {"sender": f"user:{mim.pk}", "key": KEY, "request_sha256": "x", "claimed_at": timezone.now()}
            IdempotencyKey.objects.create(**row)
            has_begun.set()
            time.sleep(0.3)  # the other comes to wait
            transaction.set_rollback(True)

    def come_later() -> None:
        has_begun.wait(10)
        assert send(client_as(mim), lines(incident), {"title": "x"}).status_code == 201

    assert race(lambda number: come_later() if number else give_up(), threads=2) == {"won": 2}
    assert written("x") == 1


# --- A real server, and a client that hangs up ---


@pytest.fixture
def site(transactional_db: None) -> Any:
    with serving() as running:
        yield running


@contextmanager
def unread(site: Site, person: User, path: str, body: str, **headers: str) -> Iterator[None]:
    """Sends a request, and hangs up at the end of the block without a look at the answer."""
    told = {IDENTITY: person.email, "Host": "localhost", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    with closing(socket.create_connection(("127.0.0.1", site.port))) as line:
        line.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n{body}".encode())
        yield


def wait_until_written(title: str, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not written(title):
        assert time.monotonic() < until, "the request was never carried out"
        time.sleep(0.01)


def until_answered(site: Site, person: User, path: str, body: object) -> tuple[int, Any]:
    while (answer := site.ask(person, "POST", path, body, **{"Idempotency-Key": KEY}))[0] == 409:
        assert answer[1]["code"] == "idempotency_in_progress"
        time.sleep(0.05)
    return answer


@pytest.mark.django_db(transaction=True)
def test_a_client_that_hung_up_and_comes_again_finds_one_line(site: Site, mim: User, incident: Incident) -> None:
    body = {"title": "Failover begun"}
    sent = {"Idempotency-Key": KEY, "Content-Type": "application/json", "Accept": "application/json"}
    with unread(site, mim, lines(incident), json.dumps(body), **sent):
        wait_until_written("Failover begun")
    status, shown = until_answered(site, mim, lines(incident), body)
    assert (status, shown["id"]) == (201, TimelineEvent.objects.get(title="Failover begun").pk)


@pytest.mark.django_db(transaction=True)
def test_retry_of_the_command_page_posts_one_line(site: Site, mim: User, incident: Incident) -> None:
    """As desk.js sends it: the form with its CSRF token, by fetch, under one key."""
    page = f"/incidents/{incident.pk}/"
    with closing(HTTPConnection("127.0.0.1", site.port, timeout=30)) as browser:
        browser.request("GET", page, headers={IDENTITY: mim.email, "Accept": "text/html"})
        got = browser.getresponse()
        cookie, html = (got.getheader("Set-Cookie") or "").partition(";")[0], got.read().decode()
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', html)[0]
        form = urlencode({"csrfmiddlewaretoken": token, "text": "Failover begun", "visibility": "internal"})
        sent = {"Idempotency-Key": KEY, "Accept": "text/html", "Cookie": cookie}
        sent["Content-Type"] = "application/x-www-form-urlencoded"
        with unread(site, mim, f"{page}post", form, **sent):
            wait_until_written("Failover begun")
        browser.request("POST", f"{page}post", form, {IDENTITY: mim.email, **sent})
        answer = browser.getresponse()
        assert (answer.status, answer.getheader("Location")) == (302, page)
    assert written("Failover begun") == 1


@pytest.mark.django_db(transaction=True)
def test_a_server_killed_after_the_commit_leaves_one_line(site: Site, mim: User, incident: Incident) -> None:
    sent = {"Idempotency-Key": KEY, "Content-Type": "application/json", "Accept": "application/json"}
    with unread(site, mim, lines(incident), json.dumps({"title": "x"}), **sent):
        wait_until_written("x")
        site.stop(signal.SIGKILL)
    site.start()
    status, told = site.ask(mim, "POST", lines(incident), {"title": "x"}, **{"Idempotency-Key": KEY})
    # What it was in the middle of decides which; the line is there once.
    assert status == 201 or told["code"] == "idempotency_in_progress"
    assert written("x") == 1
