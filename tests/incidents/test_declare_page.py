"""Declaring: two fields, what an alert fills in, and what is open already."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from accounts.models import User
from incidents import actions
from incidents.alike import likeness
from incidents.models import Incident
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, at, stamp
from tests.pages import Page


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """One o'clock, an hour after most things happened."""
    moment = at("13:00")
    monkeypatch.setattr("django.utils.timezone.now", lambda: moment)
    return moment


def test_title_and_severity_are_enough_to_declare(page_as: Knock, mim: User, now: datetime) -> None:
    answer = page_as(mim).post("/incidents/new", {"title": "Search is down", "severity": "high"})
    incident = Incident.objects.get()
    assert answer["Location"] == f"/incidents/{incident.pk}/#post-text"
    assert (incident.title, incident.severity, incident.kind, incident.detected_at) == (
        "Search is down",
        "high",
        "real",
        now,
    )


def test_alert_fills_the_form_in(page_as: Knock, mim: User) -> None:
    text = (
        page_as(mim).get("/incidents/new?title=Lag&severity=high&alert_source=pagerduty&alert_id=Q1").content.decode()
    )
    assert 'value="Lag"' in text
    assert 'value="high" required id="declareform-severity_1" checked' in text
    assert 'value="Q1"' in text


def test_declaration_without_severity_keeps_what_was_typed(page_as: Knock, mim: User) -> None:
    answer = page_as(mim).post("/incidents/new", {"title": "Search is down", "description": "since the deploy"})
    page = Page(answer.content.decode())
    assert (answer.status_code, Incident.objects.count(), page.faults) == (422, 0, [])
    assert "Choose a severity." in page.text
    assert "since the deploy" in page.text
    assert 'value="Search is down"' in answer.content.decode()


def test_alert_that_is_open_already_leads_to_its_incident(page_as: Knock, mim: User) -> None:
    said = {"title": "Lag", "severity": "high", "alert_source": "pagerduty", "alert_id": "Q1"}
    page_as(mim).post("/incidents/new", said)
    answer = page_as(mim).post("/incidents/new", said)
    page = Page(answer.content.decode())
    assert (answer.status_code, Incident.objects.count()) == (409, 1)
    assert f"/incidents/{Incident.objects.get().pk}/" in page.links
    assert "Already open" in page.text


def test_only_those_who_command_declare(page_as: Knock, executive: User) -> None:
    answer = page_as(executive).post("/incidents/new", {"title": "x", "severity": "low"})
    assert (answer.status_code, Incident.objects.count()) == (403, 0)
    assert "you need the role Major Incident Manager or Administrator" in answer.content.decode()


def test_open_alert_is_told_before_anything_is_typed(page_as: Knock, mim: User) -> None:
    incident = IncidentFactory(title="Lag", alert_source="pagerduty", alert_id="Q1", dedup_key="Q1")
    browser = page_as(mim)
    assert (
        "Already open" in Page(browser.get("/incidents/new?alert_source=pagerduty&alert_id=Q1").content.decode()).text
    )
    assert "Already open" in browser.get("/incidents/new?alert_id=Q1").content.decode()
    for other in ("alert_source=nagios&alert_id=Q1", "alert_id=Q2", "title=Lag"):
        assert "Already open" not in browser.get(f"/incidents/new?{other}").content.decode()
    actions.resolve(incident, summary="x", stamp=stamp(mim, at("12:30")))
    assert "Already open" not in browser.get("/incidents/new?alert_id=Q1").content.decode()


def test_what_may_be_the_same_stands_first(page_as: Knock, mim: User) -> None:
    IncidentFactory(title="Search index is stale")
    IncidentFactory(title="Checkout fails in Europe", detected_at=NOON - timedelta(hours=1))
    IncidentFactory(title="Orders", affected_systems=["Payments"], detected_at=NOON - timedelta(hours=2))
    IncidentFactory(title="Checkout was broken", closed=True)
    asked = "/incidents/new?title=Checkout slow&affected_systems=payments"
    page = Page(page_as(mim).get(asked).content.decode())
    assert page.faults == []
    order = [page.text.index(name) for name in ("Checkout fails", "similar title", "same system: Payments", "stale")]
    assert order == sorted(order)
    assert "was broken" not in page.text


@pytest.mark.parametrize(
    ("title", "systems", "other", "other_systems", "why"),
    [
        ("Checkout slow", [], "Checkout fails in Europe", [], "similar title"),
        ("Checkout slow", [], "Search slow", [], ""),
        ("Checkout slow", ["API"], "Mail", ["api", "Mail"], "same system: api"),
        ("Checkout slow", [], "prod-west-db-01", ["Orders", "Checkout"], "same system: Checkout"),
        ("Checkout slow", [], "prod-west-db-01", ["Checkout API", "Slow", ""], ""),
        ("", [], "", [], ""),
        ("down", [], "is down", [], ""),
    ],
)
def test_likeness(title: str, systems: list[str], other: str, other_systems: list[str], why: str) -> None:
    assert likeness(title, systems, other, other_systems) == why
