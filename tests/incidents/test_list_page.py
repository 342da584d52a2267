"""The list of incidents: what is first, what is found, what leaves as a file."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import AuditEvent, User
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, TeamFactory, TeamPageFactory, at
from tests.pages import Page


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """One o'clock, an hour after most things happened."""
    moment = at("13:00")
    monkeypatch.setattr("django.utils.timezone.now", lambda: moment)
    return moment


def test_list_shows_what_is_active_first_and_the_worst_on_top(page_as: Knock, mim: User) -> None:
    IncidentFactory(title="Old one", closed=True)
    IncidentFactory(title="Small one", severity="low", detected_at=NOON + timedelta(minutes=5))
    IncidentFactory(title="Big one", severity="critical")
    text = Page(page_as(mim).get("/incidents/").content.decode()).text
    assert text.index("Big one") < text.index("Small one") < text.index("Old one")


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("status=open", {"Running"}),
        ("status=resolved", {"Finished", "Practice"}),
        ("severity=low", {"Practice"}),
        ("kind=drill", {"Practice"}),
        ("q=fini", {"Finished"}),
        ("system=checkout", {"Running"}),
        ("system=Check", set()),
        ("overdue=yes", {"Running"}),
        ("phase=1", {"Running"}),
        ("team=dba", {"Running"}),
        ("from=2026-03-02", {"Running", "Finished"}),
        ("to=2026-03-02", {"Practice"}),
        ("from=2026-03-01&to=2026-03-02", {"Practice"}),
        ("q=fini&severity=low", set()),
    ],
)
def test_list_is_filtered_by_the_address(page_as: Knock, mim: User, query: str, titles: set[str]) -> None:
    running = IncidentFactory(title="Running", affected_systems=["Checkout", "Käse"], next_update_eta=at("12:55"))
    TeamPageFactory(incident=running, team=TeamFactory(slug="dba"))
    IncidentFactory(title="Finished", closed=True)
    a_day_before = at("2026-03-01T23:59")
    IncidentFactory(title="Practice", kind="drill", severity="low", closed=True, detected_at=a_day_before)
    text = page_as(mim).get(f"/incidents/?{query}").content.decode()
    shown = {title for title in ("Running", "Finished", "Practice") if f">{title}</a>" in text}
    assert shown - {"Last"} == titles


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("from=2026-03-02&to=2026-03-02", "Detected before must be a later day than Detected from."),
        ("from=tomorrow", "Write a day such as 2026-03-02."),
        ("team=never-there", "There is no filter team."),
        ("status=gone", "There is no status gone. There are: open, active, monitoring, resolved."),
        ("severity=huge", "There are: critical, high, medium, low."),
        (
            "statuss=open",
            "There is no filter statuss. There are: q, status, severity, kind, phase, system, overdue, from, to.",
        ),
    ],
)
def test_filter_that_is_none_is_refused_with_those_there_are(
    page_as: Knock, mim: User, query: str, sentence: str
) -> None:
    IncidentFactory(title="Running")
    answer = page_as(mim).get(f"/incidents/?{query}")
    page = Page(answer.content.decode())
    assert (answer.status_code, page.faults) == (400, [])
    assert sentence in page.text
    assert "Running" not in page.text


def test_nothing_active_tells_what_was_last(page_as: Knock, mim: User) -> None:
    IncidentFactory(title="Long ago", closed=True, detected_at=at("2026-02-01T10:00"))
    IncidentFactory(title="Just now", closed=True, detected_at=at("10:00"))
    text = Page(page_as(mim).get("/incidents/").content.decode()).text
    assert "No active incident. Last: Just now , resolved 1 h 30 min ago" in text.replace("now,", "now ,")


def test_list_has_fifty_a_page(page_as: Knock, mim: User) -> None:
    IncidentFactory.create_batch(51, closed=True)
    first, second = (page_as(mim).get(f"/incidents/?page={number}").content.decode() for number in (1, 2))
    assert (first.count('<td class="main">'), second.count('<td class="main">')) == (50, 1)


def test_list_costs_the_same_for_many(
    page_as: Knock, mim: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    IncidentFactory.create_batch(20, mim=mim)
    IncidentFactory.create_batch(60, closed=True, mim=mim)
    browser = page_as(mim)
    browser.get("/incidents/")
    with django_assert_max_num_queries(6):
        browser.get("/incidents/")


def test_only_those_who_command_are_offered_to_declare(page_as: Knock, mim: User, stakeholder: User) -> None:
    assert "/incidents/new" in Page(page_as(mim).get("/incidents/").content.decode()).links
    assert "/incidents/new" not in Page(page_as(stakeholder).get("/incidents/").content.decode()).links


def test_letters_of_any_language_name_a_system(page_as: Knock, mim: User) -> None:
    IncidentFactory(title="Running", affected_systems=["Käse, grün"])
    assert ">Running</a>" in page_as(mim).get("/incidents/?system=Käse, grün").content.decode()


def test_exactly_at_the_promise_nothing_is_overdue(page_as: Knock, mim: User, now: datetime) -> None:
    IncidentFactory(title="Running", next_update_eta=now)
    assert "No incident matches this filter." in page_as(mim).get("/incidents/?overdue=yes").content.decode()


def test_filters_in_force_are_shown_and_taken_off_one_by_one(page_as: Knock, mim: User) -> None:
    IncidentFactory(title="Running")
    page = Page(page_as(mim).get("/incidents/?status=open&severity=critical&q=").content.decode())
    assert page.faults == []
    assert {"?status=open", "?severity=critical"} <= page.links.keys()
    assert "Severity: Critical" in page.text


def test_teams_are_a_filter_only_for_those_who_read_them(page_as: Knock, stakeholder: User, engineer: User) -> None:
    mine, others = TeamFactory(slug="mine"), TeamFactory(slug="others")
    mine.memberships.create(user=engineer)
    TeamPageFactory(team=mine, incident__title="My own")
    TeamPageFactory(team=others)
    assert page_as(stakeholder).get("/incidents/?team=mine").status_code == 400
    assert page_as(stakeholder).get("/incidents/?team=&q=own").status_code == 200
    assert page_as(engineer).get("/incidents/?team=others").status_code == 400
    assert Page(page_as(engineer).get("/incidents/?team=mine").content.decode()).text.count("My own") == 1


def test_list_leaves_as_csv_with_what_the_filter_finds(page_as: Knock, stakeholder: User) -> None:
    IncidentFactory(title="=1+1", severity="high", affected_systems=["Checkout", "API"])
    IncidentFactory(title="Other", severity="low")
    answer = page_as(stakeholder).get("/incidents/list.csv?severity=high")
    lines = answer.getvalue().decode().splitlines()  # type: ignore[attr-defined]
    assert lines[0].startswith("id,kind,title,severity,status,phase,detectedAt,")
    assert len(lines) == 2
    assert ',\'=1+1,High,Active,1,2026-03-02T12:00:00.000Z,,,no,,"Checkout, API"' in lines[1]
    event = AuditEvent.objects.get(action="export")
    assert event.actor_name == stakeholder.email
    assert event.after == {"what": "incidents", "format": "csv", "filter": {"severity": "high"}}


def test_restricted_incidents_are_in_no_list_of_others(page_as: Knock, stakeholder: User) -> None:
    IncidentFactory(title="Leaked keys", restricted=True)
    for where in ("", "list.csv", "?q=Leaked"):
        answer = page_as(stakeholder).get(f"/incidents/{where}")
        assert b"Leaked keys" not in answer.getvalue()  # type: ignore[attr-defined]


def test_midnight_belongs_to_the_day_it_begins(page_as: Knock, mim: User) -> None:
    IncidentFactory(title="Running", detected_at=at("2026-03-03T00:00"))
    seen = [
        ">Running</a>" in page_as(mim).get(f"/incidents/?{side}=2026-03-03").content.decode() for side in ("from", "to")
    ]
    assert seen == [True, False]
