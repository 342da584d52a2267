"""`/r/<id>`: who gets in, what one tap does, and what a second one does not."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from accounts.models import User
from incidents import actions
from incidents.models import Incident, TeamPage, TimelineEvent
from tests.cast import Knock
from tests.factories import IncidentFactory, TeamFactory, at, stamp
from tests.pages import Page


class Clock:
    """Stands at 12:06:11 and goes on when told."""

    def __init__(self) -> None:
        self.now = at("12:06:11")

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("django.utils.timezone.now", clock)
    return clock


@pytest.fixture
def incident(mim: User) -> Incident:
    incident: Incident = IncidentFactory(title="Checkout fails", bridge_url="https://meet.example.com/one", mim=mim)
    return incident


@pytest.fixture
def paged(incident: Incident, engineer: User, mim: User) -> TeamPage:
    """The engineer's team, paged at 12:02."""
    team = TeamFactory(name="Database")
    team.memberships.create(user=engineer)
    return actions.page_team(incident, team, stamp=stamp(mim, at("12:02")))


def path(incident: Incident, *rest: str) -> str:
    return "/".join((f"/r/{incident.pk}", *rest))


def text(browser: object, incident: Incident) -> str:
    answer = browser.get(path(incident))  # type: ignore[attr-defined]
    page = Page(answer.content.decode())
    assert (answer.status_code, page.faults) == (200, [])
    return page.text


def test_one_tap_and_the_team_has_arrived(page_as: Knock, engineer: User, incident: Incident, paged: TeamPage) -> None:
    browser = page_as(engineer)
    before = text(browser, incident)
    assert "Database was paged at 12:02:00 UTC (4 min ago)" in before
    assert "In command R. Okafor" in before
    answer = browser.post(path(incident, "here", paged.pk))
    assert answer["Location"] == path(incident)
    row = TeamPage.objects.get()
    assert (row.arrived_at, row.arrival_source, row.user) == (at("12:06:11"), "self", engineer)
    assert incident.participants.get(user=engineer).joined_at == at("12:06:11")


def test_second_tap_shows_the_time_of_the_first(
    page_as: Knock, engineer: User, incident: Incident, paged: TeamPage, clock: Clock
) -> None:
    browser = page_as(engineer)
    browser.post(path(incident, "here", paged.pk))
    clock.now += timedelta(minutes=5)
    browser.post(path(incident, "here", paged.pk))
    shown = text(browser, incident)
    assert "You had said so already." in shown
    assert "You are here since 12:06:11 UTC" in shown
    assert TeamPage.objects.get().arrived_at == at("12:06:11")


def test_own_word_stands_beside_what_the_manager_saw(
    page_as: Knock, engineer: User, mim: User, incident: Incident, paged: TeamPage
) -> None:
    actions.record_arrival(incident, paged, stamp=stamp(mim, at("12:06")))
    browser = page_as(engineer)
    before = text(browser, incident)
    assert "The incident manager has seen your team arrive at 12:06:00 UTC" in before
    assert "I'm here" in before
    browser.post(path(incident, "here", TeamPage.objects.get().pk))
    assert TeamPage.objects.get().arrival_source == "self"
    assert "You are here since" in text(browser, incident)


def test_tap_is_taken_back_within_two_minutes(
    page_as: Knock, engineer: User, incident: Incident, paged: TeamPage, clock: Clock
) -> None:
    browser = page_as(engineer)
    browser.post(path(incident, "here", paged.pk))
    said = TimelineEvent.objects.latest("recorded_at")
    clock.now += timedelta(minutes=1)
    assert "(60 s left)" in text(browser, incident)
    browser.post(path(incident, "undo", said.pk))
    assert TeamPage.objects.get().arrived_at is None
    assert "I'm here" in text(browser, incident)
    clock.now += timedelta(minutes=2)
    assert "s left)" not in text(browser, incident)


def test_too_late_to_take_back_is_told(
    page_as: Knock, engineer: User, incident: Incident, paged: TeamPage, clock: Clock
) -> None:
    browser = page_as(engineer)
    browser.post(path(incident, "here", paged.pk))
    said = TimelineEvent.objects.latest("recorded_at")
    clock.now += timedelta(minutes=3)
    browser.post(path(incident, "undo", said.pk))
    assert TeamPage.objects.get().arrived_at == at("12:06:11")
    assert "! " in text(browser, incident)


def test_on_the_way_comes_before_here(page_as: Knock, engineer: User, incident: Incident, paged: TeamPage) -> None:
    browser = page_as(engineer)
    browser.post(path(incident, "coming", paged.pk))
    assert TeamPage.objects.get().acknowledged_at == at("12:06:11")
    shown = text(browser, incident)
    assert "On the way since 12:06:11" in shown
    assert path(incident, "coming", paged.pk) not in Page(browser.get(path(incident)).content.decode()).actions


def test_several_teams_have_a_button_each(
    page_as: Knock, engineer: User, mim: User, incident: Incident, paged: TeamPage
) -> None:
    network = TeamFactory(name="Network")
    network.memberships.create(user=engineer)
    other = actions.page_team(incident, network, stamp=stamp(mim, at("12:04")))
    browser = page_as(engineer)
    assert "I'm here: Database" in text(browser, incident)
    browser.post(path(incident, "here", other.pk))
    assert dict(TeamPage.objects.values_list("team__name", "arrived_at")) == {
        "Database": None,
        "Network": at("12:06:11"),
    }


def test_invited_person_joins_as_a_helper(page_as: Knock, mim: User, stakeholder: User, incident: Incident) -> None:
    actions.invite(incident, stakeholder, stamp=stamp(mim))
    browser = page_as(stakeholder)
    assert "Join as helper" in text(browser, incident)
    browser.post(path(incident, "here"))
    assert incident.participants.get(user=stakeholder).joined_at == at("12:06:11")
    assert "You are here since 12:06:11 UTC" in text(browser, incident)


@pytest.mark.parametrize("who", ["stakeholder", "executive", "engineer"])
def test_nobody_else_gets_in(request: pytest.FixtureRequest, page_as: Knock, incident: Incident, who: str) -> None:
    browser = page_as(request.getfixturevalue(who))
    before = TimelineEvent.objects.count()
    assert browser.get(path(incident)).status_code == 403
    for rest in ("here", "post"):
        assert browser.post(path(incident, rest), {"text": "x"}).status_code == 403
    assert (TimelineEvent.objects.count(), incident.participants.count()) == (before, 0)


def test_page_of_another_team_is_not_found(
    page_as: Knock, engineer: User, mim: User, incident: Incident, paged: TeamPage
) -> None:
    other = actions.page_team(incident, TeamFactory(), stamp=stamp(mim, at("12:03")))
    for deed in ("here", "coming"):
        assert page_as(engineer).post(path(incident, deed, other.pk)).status_code == 404


def test_restricted_incident_does_not_exist_for_others(page_as: Knock, engineer: User) -> None:
    assert page_as(engineer).get(path(IncidentFactory(restricted=True))).status_code == 404


def test_numbers_of_others_are_not_on_it(
    page_as: Knock, engineer: User, mim: User, incident: Incident, paged: TeamPage
) -> None:
    actions.page_team(incident, TeamFactory(name="Network"), stamp=stamp(mim, at("12:03")))
    for n in range(6):
        actions.post_entry(incident, f"Line {n}", stamp=stamp(mim, at(f"12:0{n}")))
    shown = text(page_as(engineer), incident)
    assert "Network was paged" not in shown
    assert "Line 0" not in shown


def test_line_is_posted_and_leads_back(page_as: Knock, engineer: User, incident: Incident, paged: TeamPage) -> None:
    browser = page_as(engineer)
    answer = browser.post(path(incident, "post"), {"text": "Replica is back", "visibility": "public"})
    assert answer["Location"] == path(incident)
    event = TimelineEvent.objects.get(title="Replica is back")
    assert (event.visibility, event.actor_user) == ("internal", engineer)
    browser.post(path(incident, "post"), {"text": " "})
    assert "Write what happened." in text(browser, incident)


# --- A phone without network ---


def test_kept_tap_counts_from_when_it_was_made_and_says_whose_clock(
    page_as: Knock, engineer: User, incident: Incident, paged: TeamPage
) -> None:
    page_as(engineer).post(path(incident, "here", paged.pk), {"tapped_at": "2026-03-02T12:03:30Z"})
    assert TeamPage.objects.get().arrived_at == at("12:03:30")
    told = TimelineEvent.objects.get(title="A. Kim was offline")
    assert told.description.startswith("Client time:")


@pytest.mark.parametrize(
    "said", ["2026-03-02T12:30:00Z", "2026-03-01T12:00:00Z", "yesterday", "2026-03-02T12:05:00", ""]
)
def test_clock_that_cannot_be_right_does_not_count(
    page_as: Knock, engineer: User, incident: Incident, paged: TeamPage, said: str
) -> None:
    page_as(engineer).post(path(incident, "here", paged.pk), {"tapped_at": said})
    assert TeamPage.objects.get().arrived_at == at("12:06:11")
    assert not TimelineEvent.objects.filter(title__endswith="was offline").exists()


def test_kept_tap_from_before_the_page_is_told(
    page_as: Knock, engineer: User, incident: Incident, paged: TeamPage
) -> None:
    browser = page_as(engineer)
    browser.post(path(incident, "here", paged.pk), {"tapped_at": "2026-03-02T12:01:00Z"})
    assert TeamPage.objects.get().arrived_at is None
    assert "before" in text(browser, incident)
