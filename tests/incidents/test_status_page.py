"""The anonymous status page: what it shows, what it never shows, and that it costs nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import feedparser
import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import throttle
from accounts.models import User
from incidents import actions, status_snapshot
from incidents.lifecycle import Phase
from incidents.models import Incident, StatusComponent
from incidents.status_rules import DAYS, Board, Move, State, began, days, state_at
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, TeamFactory, at, stamp

pytestmark = pytest.mark.django_db
JSON = (
    "status", "summary", "components", "incidents", "incidents/unresolved", "scheduled-maintenances",
    "scheduled-maintenances/active", "scheduled-maintenances/upcoming",
)  # fmt: skip
EVERYWHERE = ["/status/", "/status/history", "/status/feed.atom", *(f"/api/v2/{name}.json" for name in JSON)]


@pytest.fixture(autouse=True)
def switched_on(settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page is on, with a folder of its own, and every request asks the database."""
    settings.MAJOROPS_STATUS_PAGE = True
    settings.MAJOROPS_STATUS_NAME = "Example"
    settings.MAJOROPS_STATUS_FOLDER = str(tmp_path / "status")
    monkeypatch.setattr(status_snapshot, "FRESH", timedelta(0))
    monkeypatch.setattr("django.utils.timezone.now", lambda: at("14:00"))
    throttle._buckets.clear()
    yield
    throttle._buckets.clear()


@pytest.fixture
def incident(mim: User) -> Incident:
    """Published, with one public update, one milestone, and everything that must stay inside."""
    made = actions.open_incident(
        title="prod-west-db-01 unreachable",
        severity="critical",
        stamp=stamp(mim),
        affected_systems=["prod-west-db-01"],
        bridge_url="https://meet.example.com/b",
        customer_impact_summary="Orders fail in region West.",
        publish_status=True,
        public_title="Orders fail",
        description="Bad disk",
        business_impact="Much money",
    )
    actions.post_update(made, "Vendor ticket opened.", visibility="internal", stamp=stamp(mim, at("12:04")))
    actions.post_update(made, "Baskets are kept.", visibility="public", stamp=stamp(mim, at("12:05")))
    actions.cut_milestone(
        made, title="We are on it", body="Traffic moves.", stamp=stamp(mim, at("12:10")), next_update_eta=at("12:40")
    )
    actions.page_team(made, TeamFactory(name="Database"), stamp=stamp(mim, at("12:11")), contact_name="A. Kim")
    return made


def get(path: str, **headers: str) -> Any:
    return Client(headers=headers).get(path)


def told(name: str = "summary") -> Any:
    return get(f"/api/v2/{name}.json").json()


# --- Switched on, incident by incident ---


@pytest.mark.parametrize("path", EVERYWHERE)
def test_switched_off_there_is_no_such_page(settings: LazySettings, path: str) -> None:
    settings.MAJOROPS_STATUS_PAGE = False
    assert get(path).status_code == 404


@pytest.mark.parametrize("path", EVERYWHERE)
def test_anybody_reads_what_is_public_and_nothing_else(incident: Incident, path: str) -> None:
    answer = get(path)
    assert answer.status_code == 200
    body = answer.content.decode()
    inside = [
        incident.pk, "prod-west", "meet.example", "Vendor", "Bad disk", "money", "R. Okafor", "mim@", "A. Kim",
        "Database",
    ]  # fmt: skip
    assert [word for word in inside if word in body] == []


def test_the_page_of_an_incident_tells_what_was_published(incident: Incident) -> None:
    body = get(f"/status/{incident.public_id}/").content.decode()
    for text in ("Orders fail", "Orders fail in region West.", "Baskets are kept.", "We are on it", "Traffic moves."):
        assert text in body
    assert body.index("Traffic moves.") < body.index("Baskets are kept.")


@pytest.mark.parametrize(
    "hidden", [{"publish_status": False}, {"restricted": True}, {"kind": "drill"}, {"kind": "test"}]
)
def test_what_is_not_published_is_not_there(incident: Incident, hidden: dict[str, Any]) -> None:
    Incident.objects.filter(pk=incident.pk).update(**hidden)
    absent, never = get(f"/status/{incident.public_id}/"), get("/status/0123456789abcdef/")
    assert (absent.status_code, absent.content) == (404, never.content)
    assert told()["incidents"] == []


def test_without_a_public_title_the_name_says_nothing() -> None:
    IncidentFactory(publish_status=True, title="prod-west-db-01 unreachable")
    assert told()["incidents"][0]["name"] == "Incident"


# --- What was learned ---


@pytest.fixture
def learned(incident: Incident, mim: User) -> Incident:
    """Resolved, with a published review that has words for the public."""
    actions.assign_role(incident, "mim", user=mim, stamp=stamp(mim, at("12:20")))
    actions.resolve(incident, summary="Failed over.", reason="x", stamp=stamp(mim, at("13:00")))
    texts = {str(each["key"]): "Bad disk, seen too late." for each in incident.review.sections}
    words = {"sections": texts, "public_text": "A disk failed.\n\nIts <spare> is watched now."}
    actions.edit_review(incident, words, stamp=stamp(mim, at("13:10")))
    for state in ("in_review", "published"):
        actions.move_review(incident, state, stamp=stamp(mim, at("13:30")))
    return incident


@pytest.mark.parametrize("path", EVERYWHERE)
def test_of_a_review_only_its_words_for_the_public_are_shown(learned: Incident, path: str) -> None:
    body = get(path).content.decode()
    assert [word for word in ("seen too late", "Contributing", "R. Okafor", "How it came about") if word in body] == []


def test_a_published_review_is_on_the_page_in_the_feed_and_in_the_json(learned: Incident) -> None:
    page = get(f"/status/{learned.public_id}/").content.decode()
    assert "<p>A disk failed.</p>" in page
    assert "Its &lt;spare&gt; is watched now." in page
    [told_of] = told("incidents")["incidents"]
    assert (told_of["status"], told_of["incident_updates"][0]["status"]) == ("postmortem", "postmortem")
    assert told_of["updated_at"] == told_of["incident_updates"][0]["created_at"] == "2026-03-02T13:30:00.000Z"
    entry = feedparser.parse(get("/status/feed.atom").content).entries[0]
    assert (entry.title, entry.updated) == ("Orders fail: What we learned", "2026-03-02T13:30:00+00:00")
    assert "What we learned" in get("/status/history").content.decode()


def _taken_back(incident: Incident, mim: User) -> None:
    actions.move_review(incident, "in_review", reason="A mistake", stamp=stamp(mim, at("13:40")))


def _hidden(incident: Incident, mim: User) -> None:
    actions.edit_incident(incident, {"publish_status": False}, stamp=stamp(mim, at("13:40")))


def _restricted(incident: Incident, mim: User) -> None:
    actions.edit_incident(incident, {"restricted": True}, stamp=stamp(mim, at("13:40")))


def _reopened(incident: Incident, mim: User) -> None:
    actions.reopen(incident, reason="It is back", stamp=stamp(mim, at("13:40")))


@pytest.mark.parametrize("change", [_taken_back, _hidden, _restricted, _reopened])
def test_what_was_learned_is_gone_as_soon_as_it_is_not_public(learned: Incident, mim: User, change: Any) -> None:
    change(learned, mim)
    for path in (*EVERYWHERE, f"/status/{learned.public_id}/"):
        assert "disk failed" not in get(path).content.decode()


def test_publishing_a_review_shows_what_anybody_will_read_and_asks(
    learned: Incident, mim: User, page_as: Knock
) -> None:
    _taken_back(learned, mim)
    address, said = f"/incidents/{learned.pk}/review/move", {"state": "published"}
    asked = page_as(mim).post(address, said)
    assert asked.status_code == 200
    assert "<p>A disk failed.</p>" in asked.content.decode()
    assert "postmortem" not in json.dumps(told("incidents"))
    assert page_as(mim).post(address, {**said, "publish_confirmed": "1"}).status_code == 302
    assert "postmortem" in json.dumps(told("incidents"))


# --- How it is told ---


@pytest.mark.parametrize(
    ("status", "phase", "state"),
    [
        ("active", Phase.ALERT, "investigating"),
        ("active", Phase.INITIAL, "investigating"),
        ("active", Phase.ISOLATION, "identified"),
        ("active", Phase.MITIGATION, "identified"),
        ("active", Phase.VALIDATION, "monitoring"),
        ("monitoring", Phase.MITIGATION, "monitoring"),
    ],
)
def test_states_are_those_readers_know(status: str, phase: Phase, state: str) -> None:
    IncidentFactory(publish_status=True, status=status, phase=phase)
    assert told()["incidents"][0]["status"] == state


@pytest.mark.parametrize(
    ("severities", "indicator"),
    [
        ([], "none"),
        (["low"], "none"),
        (["medium"], "minor"),
        (["low", "high"], "major"),
        (["high", "critical"], "critical"),
    ],
)
def test_the_page_is_as_bad_as_its_worst_open_incident(severities: list[str], indicator: str) -> None:
    for severity in severities:
        IncidentFactory(publish_status=True, severity=severity)
    IncidentFactory(publish_status=True, severity="critical", closed=True)
    assert told("status")["status"]["indicator"] == indicator


def test_each_update_keeps_the_state_it_was_said_in(incident: Incident, mim: User) -> None:
    actions.advance_phase(incident, Phase.ISOLATION, stamp=stamp(mim, at("12:20")))
    actions.post_update(incident, "A disk.", visibility="public", stamp=stamp(mim, at("12:21")))
    actions.change_status(incident, "monitoring", stamp=stamp(mim, at("12:30")))
    actions.resolve(incident, summary="All orders work.", reason="x", stamp=stamp(mim, at("13:00")))
    shown = told("incidents")["incidents"][0]
    assert [word["status"] for word in shown["incident_updates"]] == [
        "resolved", "identified", "investigating", "investigating",
    ]  # fmt: skip
    assert (shown["status"], shown["monitoring_at"]) == ("resolved", "2026-03-02T12:30:00.000Z")
    assert shown["resolved_at"] == "2026-03-02T13:00:00.000Z"


def test_a_move_that_was_taken_back_was_never_public() -> None:
    moves = [Move(at("12:00"), Phase.ALERT), Move(at("12:10"), Phase.ISOLATION), Move(at("12:30"), Phase.RESOLUTION)]
    assert state_at(moves, at("12:09")) == State.INVESTIGATING
    assert state_at(moves, at("12:10")) == State.IDENTIFIED
    assert state_at([*moves, Move(at("12:40"), Phase.ASSESS)], at("12:41")) == State.INVESTIGATING
    assert began(moves, State.MONITORING) is None


def test_components_follow_the_incidents_that_touch_them(incident: Incident) -> None:
    StatusComponent.objects.create(name="Checkout", group="Shop", systems=["PROD-west-db-01"])
    StatusComponent.objects.create(name="Search", group="Shop", position=1)
    StatusComponent.objects.create(name="Old", is_shown=False, systems=["prod-west-db-01"])
    rows = {row["name"]: row for row in told("components")["components"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "Shop": "major_outage", "Checkout": "major_outage", "Search": "operational",
    }  # fmt: skip
    assert (rows["Shop"]["group"], rows["Checkout"]["group_id"]) == (True, rows["Shop"]["id"])
    Incident.objects.filter(pk=incident.pk).update(status="monitoring")
    assert told("components")["components"][1]["status"] == "degraded_performance"


def test_two_weeks_day_by_day_in_utc(incident: Incident) -> None:
    board = status_snapshot.read(NOON).board  # type: ignore[union-attr]
    shown = days(board, NOON)
    assert len(shown) == DAYS
    assert [len(day.incidents) for day in shown] == [1, *[0] * (DAYS - 1)]
    assert [day.incidents for day in days(Board(), NOON)] == [()] * DAYS


def test_the_history_is_paged(incident: Incident) -> None:
    for number in range(25):
        IncidentFactory(publish_status=True, closed=True, detected_at=NOON - timedelta(days=number + 1))
    assert "Page 1 of 2" in get("/status/history").content.decode()
    assert get("/status/history?page=2").status_code == 200
    assert [get(f"/status/history?page={wrong}").status_code for wrong in ("3", "0", "x")] == [404] * 3


# --- Feed ---


def test_the_feed_has_an_entry_for_each_public_update_with_an_id_that_stays(incident: Incident, mim: User) -> None:
    before = feedparser.parse(get("/status/feed.atom").content)
    actions.post_update(incident, "<b>Half</b> done", visibility="public", stamp=stamp(mim, at("12:50")))
    after = feedparser.parse(get("/status/feed.atom").content)
    assert not after.bozo
    assert [entry.id for entry in after.entries[1:]] == [entry.id for entry in before.entries]
    assert len({entry.id for entry in after.entries}) == 3
    assert after.feed.updated > before.feed.updated
    assert "&lt;b&gt;Half" in after.entries[0].summary
    assert after.entries[0].link.endswith(f"/status/{incident.public_id}/#u-{after.entries[0].id[9:].replace('-', '')}")


def test_the_feed_says_nothing_of_an_incident_that_nobody_spoke_of() -> None:
    IncidentFactory(publish_status=True)
    assert feedparser.parse(get("/status/feed.atom").content).entries == []


# --- Caches, clients ---


@pytest.mark.parametrize("path", EVERYWHERE)
def test_who_has_it_already_is_told_so(incident: Incident, path: str) -> None:
    first = get(path)
    again = get(path, If_None_Match=first["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert first["Cache-Control"].startswith("public, max-age=")
    assert first["Access-Control-Allow-Origin"] == again["Access-Control-Allow-Origin"] == "*"
    assert "Cookie" not in first.get("Vary", "")
    head = Client().head(path)
    assert (head.status_code, head["ETag"], head.content) == (200, first["ETag"], b"")


def test_a_page_of_another_site_may_ask_with_an_etag() -> None:
    """A browser asks for leave first, for If-None-Match is none of the headers that it sends to anybody."""
    leave = Client(headers={"Origin": "https://example.com"}).options("/api/v2/summary.json")
    assert (leave.status_code, leave["Access-Control-Allow-Origin"]) == (204, "*")
    assert "If-None-Match" in leave["Access-Control-Allow-Headers"]
    assert "ETag" in get("/api/v2/summary.json")["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("path", EVERYWHERE)
def test_what_clients_add_against_caches_is_ignored(incident: Incident, path: str) -> None:
    assert get(f"{path}?_=1772450000").content == get(path).content


@pytest.mark.parametrize("path", EVERYWHERE)
def test_only_reading(path: str) -> None:
    assert Client().post(path).status_code == 405


def test_an_incident_has_every_field_that_clients_know(incident: Incident) -> None:
    shown = told()
    assert shown.keys() == {"page", "components", "incidents", "scheduled_maintenances", "status"}
    assert shown["page"].keys() == {"id", "name", "url", "time_zone", "updated_at"}
    assert shown["incidents"][0].keys() >= {
        "id", "name", "status", "created_at", "updated_at", "monitoring_at", "resolved_at", "impact", "shortlink",
        "started_at", "page_id", "incident_updates", "components",
    }  # fmt: skip
    assert shown["incidents"][0]["shortlink"] == f"http://testserver/status/{incident.public_id}/"
    assert shown["incidents"][0]["incident_updates"][0].keys() >= {
        "id", "status", "body", "incident_id", "created_at", "updated_at", "display_at", "affected_components",
    }  # fmt: skip


def test_a_flood_from_one_address_is_told_to_wait(settings: LazySettings) -> None:
    settings.MAJOROPS_STATUS_REQUESTS_PER_MINUTE = 2
    answers = [get("/api/v2/status.json") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1]["Retry-After"]) > 0
    assert "RateLimit-Limit" not in answers[0]
    assert get("/status/", REMOTE_ADDR="x").status_code == 429
    assert Client(REMOTE_ADDR="192.0.2.9").get("/status/").status_code == 200


def test_readers_behind_one_proxy_are_counted_apart_and_nobody_names_another(settings: LazySettings) -> None:
    settings.MAJOROPS_STATUS_REQUESTS_PER_MINUTE = 1
    settings.PROXY_CLIENT_HEADER, settings.PROXY_TRUSTED_CIDRS = "X-Forwarded-For", ["10.1.0.0/24"]

    def asks(peer: str, forwarded: str) -> int:
        return Client(REMOTE_ADDR=peer, headers={"X-Forwarded-For": forwarded}).get("/status/").status_code

    assert [asks("10.1.0.5", reader) for reader in ("192.0.2.7", "192.0.2.8", "192.0.2.7")] == [200, 200, 429]
    assert asks("10.1.0.5", "192.0.2.99, 192.0.2.7") == 429
    assert [asks("192.0.2.50", f"192.0.2.{number}") for number in (60, 61)] == [200, 429]


# --- What it costs ---


def test_a_fresh_snapshot_needs_no_query_not_even_for_who_is_signed_in(
    incident: Incident, mim: User, page_as: Knock, monkeypatch: pytest.MonkeyPatch
) -> None:
    get("/status/")
    monkeypatch.setattr(status_snapshot, "FRESH", timedelta(days=9))
    browser = page_as(mim)
    browser.cookies["sessionid"] = "x" * 32
    with CaptureQueriesContext(connection) as asked:
        answers = [browser.get(path) for path in [*EVERYWHERE, f"/status/{incident.public_id}/", "/status/nothing/"]]
    assert [query["sql"] for query in asked.captured_queries] == []
    assert {answer.status_code for answer in answers} == {200, 404}


def test_asking_the_database_costs_six_queries_however_much_there_is(incident: Incident) -> None:
    for _ in range(5):
        IncidentFactory(publish_status=True)
    with CaptureQueriesContext(connection) as asked:
        get("/status/")
    assert len(asked.captured_queries) == 6


# --- The yes before it is public ---


@pytest.fixture
def private(mim: User) -> Incident:
    made = actions.open_incident(title="Inside", severity="high", stamp=stamp(mim), customer_impact_summary="Slow.")
    told = stamp(mim, at("12:10"))
    actions.cut_milestone(made, title="Known", body="It is known.", stamp=told, next_update_eta=at("14:30"))
    return made


def sent(incident: Incident, **changes: str) -> dict[str, str]:
    """The edit form as a browser sends it, for the fields that matter here."""
    seen = {
        "title": incident.title, "severity": incident.severity, "external_impact": incident.external_impact,
        "risk_level": incident.risk_level, "customer_impact_summary": incident.customer_impact_summary,
        "restricted": str(incident.restricted), "publish_status": str(incident.publish_status),
        "public_title": incident.public_title,
    }  # fmt: skip
    initial = {f"initial-{name}": value for name, value in seen.items()}
    return {**initial, **seen, "version": str(incident.version), **changes}


def test_publishing_asks_first_and_shows_every_word(page_as: Knock, mim: User, private: Incident) -> None:
    browser, path = page_as(mim), f"/incidents/{private.pk}/edit"
    wanted = sent(private, publish_status="True", public_title="Shop is slow")
    asked = browser.post(path, wanted)
    private.refresh_from_db()
    assert (asked.status_code, private.publish_status) == (200, False)
    for text in ("Shop is slow", "Slow.", "It is known.", "Put this on the internet?"):
        assert text in asked.content.decode()
    browser.post(path, {**wanted, "publish_confirmed": "1"})
    private.refresh_from_db()
    assert (private.publish_status, private.public_title) == (True, "Shop is slow")
    page = get(f"/status/{private.public_id}/").content.decode()
    assert all(text in page for text in ("Shop is slow", "Slow.", "It is known."))


def test_new_public_words_of_a_published_incident_ask_too_others_do_not(
    page_as: Knock, mim: User, incident: Incident
) -> None:
    incident.refresh_from_db()
    browser, path = page_as(mim), f"/incidents/{incident.pk}/edit"
    assert browser.post(path, sent(incident, customer_impact_summary="Worse.")).status_code == 200
    assert browser.post(path, sent(incident, risk_level="high")).status_code == 302
    in_place = {"customer_impact_summary": "Worse.", "initial-customer_impact_summary": "", "version": "99"}
    assert browser.post(f"/incidents/{incident.pk}/field", in_place)["Location"] == path
    incident.refresh_from_db()
    assert incident.customer_impact_summary == "Orders fail in region West."


# --- Administrators keep the components ---


def test_an_administrator_keeps_the_components(page_as: Knock, admin_user: User) -> None:
    form = {"name": "Checkout", "systems": '["web"]', "position": "1", "is_shown": "on", "group": "", "description": ""}
    page_as(admin_user).post("/admin/incidents/statuscomponent/add/", form)
    assert StatusComponent.objects.get().systems == ["web"]
    wrong = page_as(admin_user).post("/admin/incidents/statuscomponent/add/", {**form, "name": "B", "systems": '"web"'})
    assert "a list of names" in wrong.content.decode()


def test_answers_are_json_objects(incident: Incident) -> None:
    assert all(json.loads(get(f"/api/v2/{name}.json").content)["page"]["name"] == "Example" for name in JSON)
