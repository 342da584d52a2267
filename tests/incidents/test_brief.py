"""The stakeholder's brief: what changed since the last visit, when the next word comes, and what a reader may say."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from incidents import actions, live
from incidents.brief import brief
from incidents.brief_rules import check_may_ask, visited
from incidents.errors import AskedAlready, IncidentIsClosed, NotAPerson, NothingToRead
from incidents.lifecycle import TOLD_EXECUTIVES
from incidents.models import BriefVisit, Incident, ReadReceipt
from majorops.lib.visibility import visible
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, StatusUpdateFactory, at, stamp


@pytest.fixture
def incident(mim: User) -> Incident:
    """Two milestones, the promise of the first kept; one update for stakeholders, one for responders."""
    incident = IncidentFactory(title="Checkout fails", mim=mim, customer_impact_summary="Orders fail")
    cut = {"body": "It is known.", "next_update_eta": at("12:40")}
    actions.cut_milestone(incident, title="We are on it", stamp=stamp(mim, at("12:10")), **cut)
    cut = {"body": "The replica lags.", "next_update_eta": at("13:00")}
    actions.cut_milestone(incident, title="Fault isolated", stamp=stamp(mim, at("12:30")), **cut)
    StatusUpdateFactory(incident=incident, content="Baskets are kept.", visibility="public", created_at=at("12:20"))
    StatusUpdateFactory(incident=incident, content="SECRET vendor ticket", created_at=at("12:25"))
    incident.refresh_from_db()
    return incident


# --- The bookmark ---


@pytest.mark.parametrize(
    ("since", "last", "now", "kept"),
    [
        (None, "12:00", "12:00:30", "as it is"),
        (None, "12:00", "12:05", None),
        ("11:00", "12:00", "12:05", "11:00"),
        ("11:00", "12:00", "12:10", "12:00"),
    ],
)
def test_a_visit_lasts_until_one_was_away_for_ten_minutes(
    since: str | None, last: str, now: str, kept: str | None
) -> None:
    after = visited(since and at(since), at(last), at(now))
    assert after is None if kept == "as it is" else after is not None and after.since == (kept and at(kept))


def test_what_came_since_the_last_visit_is_new_for_the_whole_of_this_one(incident: Incident, stakeholder: User) -> None:
    seen = [
        actions.bookmark(incident, stakeholder, now=now)
        for now in (at("12:15"), at("12:16"), at("12:40"), at("12:45"), at("13:30"))
    ]
    assert seen == [None, None, at("12:16"), at("12:16"), at("12:45")]


def test_bookmarks_are_each_persons_own(incident: Incident, stakeholder: User, executive: User) -> None:
    actions.bookmark(incident, stakeholder, now=NOON)
    assert actions.bookmark(incident, executive, now=at("12:40")) is None
    assert [row.user for row in visible(BriefVisit.objects.all(), executive)] == [executive]


# --- What is on it ---


def test_the_brief_tells_milestones_newest_first_and_where_the_news_ends(incident: Incident, stakeholder: User) -> None:
    shown = brief(incident, stakeholder, at("12:35"), since=at("12:15"))
    assert [(row.number, row.is_new, row.ends_news) for row in shown.told] == [(2, True, True), (1, False, False)]
    assert [row.body for row in shown.updates] == ["Baskets are kept."]
    assert (shown.kept, shown.judged, shown.news) == (1, 1, 2)


def test_where_all_is_new_there_is_no_divider(incident: Incident, stakeholder: User) -> None:
    shown = brief(incident, stakeholder, at("12:35"), since=at("11:00"))
    assert not any(row.ends_news for row in (*shown.told, *shown.updates))


def test_the_page_shows_it_to_everybody_and_nothing_internal(
    page_as: Knock, incident: Incident, stakeholder: User, executive: User, mim: User
) -> None:
    for reader in (stakeholder, executive, mim):
        page = page_as(reader).get(f"/incidents/{incident.pk}/brief").content.decode()
        assert "Fault isolated" in page
        assert "Baskets are kept." in page
        assert "SECRET" not in page


def test_before_the_first_milestone_it_says_when_that_is_due(page_as: Knock, stakeholder: User) -> None:
    incident = IncidentFactory(next_update_eta=at("12:30"))
    assert "First milestone due by" in page_as(stakeholder).get(f"/incidents/{incident.pk}/brief").content.decode()


def test_the_page_costs_few_queries(
    page_as: Knock, incident: Incident, stakeholder: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    browser, path = page_as(stakeholder), f"/incidents/{incident.pk}/brief"
    browser.get(path)
    with django_assert_max_num_queries(10):
        browser.get(path)


def test_a_restricted_incident_has_no_brief(page_as: Knock, stakeholder: User) -> None:
    incident = IncidentFactory(restricted=True)
    assert page_as(stakeholder).get(f"/incidents/{incident.pk}/brief").status_code == 404
    assert not BriefVisit.objects.exists()


# --- Live ---


def test_what_is_pushed_is_what_was_painted_and_nobodys_own(
    page_as: Knock, incident: Incident, stakeholder: User, engineer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def block(reader: User, now: datetime) -> str:
        state = live.state_for(reader, incident.pk, now)
        assert state is not None
        return live.blocks_for(reader, state.incident, now, "brief")["briefing"]

    monkeypatch.setattr("django.utils.timezone.now", lambda: at("12:35"))
    painted = page_as(stakeholder).get(f"/incidents/{incident.pk}/brief").content.decode()
    actions.bookmark(incident, engineer, now=at("12:00"))
    assert block(stakeholder, at("12:35")).strip() in painted
    assert block(stakeholder, at("12:35")) == block(engineer, at("12:35"))


def test_the_live_address_sends_the_blocks_of_its_page(page_as: Knock, incident: Incident, stakeholder: User) -> None:
    told = page_as(stakeholder).get(f"/incidents/{incident.pk}/brief/live", headers={"Accept": "application/json"})
    assert list(told.json()["blocks"]) == ["briefing"]
    assert page_as(stakeholder).get(f"/incidents/{incident.pk}/exec/live").status_code == 403


# --- What readers say ---


def test_a_question_is_an_internal_entry(incident: Incident, stakeholder: User, engineer: User, mim: User) -> None:
    actions.ask(incident, "Are refunds affected?\nWe have 20 of them.", stamp=stamp(stakeholder, at("12:35")))
    entry = incident.timeline.get(verb="asked")
    assert (entry.title, entry.visibility, entry.actor) == (
        "Question (Stakeholder): Are refunds affected? We have 20 of them.", "internal", "J. Prieto",
    )  # fmt: skip
    assert "20 of them" in entry.description
    assert visible(incident.timeline.filter(verb="asked"), mim).exists()
    assert not visible(incident.timeline.filter(verb="asked"), engineer).exists()


def test_a_second_question_waits_five_minutes(incident: Incident, stakeholder: User, engineer: User) -> None:
    actions.ask(incident, "One?", stamp=stamp(stakeholder, at("12:35")))
    with pytest.raises(AskedAlready, match="Ask again in 2 min"):
        actions.ask(incident, "Two?", stamp=stamp(stakeholder, at("12:38:30")))
    actions.ask(incident, "Mine?", stamp=stamp(engineer, at("12:38:30")))
    actions.ask(incident, "Two?", stamp=stamp(stakeholder, at("12:40")))
    assert incident.timeline.filter(verb="asked").count() == 3


def test_exactly_five_minutes_are_enough() -> None:
    check_may_ask(NOON, NOON + timedelta(minutes=5))


def test_nobody_asks_about_what_is_over_and_no_program_asks(stakeholder: User) -> None:
    with pytest.raises(IncidentIsClosed):
        actions.ask(IncidentFactory(closed=True), "Why?", stamp=stamp(stakeholder))
    with pytest.raises(NotAPerson):
        actions.ask(IncidentFactory(), "Why?", stamp=stamp(None))


def test_the_page_takes_a_question_and_keeps_what_was_refused(
    page_as: Knock, incident: Incident, stakeholder: User
) -> None:
    browser, path = page_as(stakeholder), f"/incidents/{incident.pk}/brief/ask"
    assert browser.post(path, {"question": "Are refunds affected?"}).status_code == 302
    refused = browser.post(path, {"question": "And now, typed anew?"})
    assert refused.status_code == 429
    assert "And now, typed anew?" in refused.content.decode()
    assert "You asked" in refused.content.decode()
    assert browser.post(path, {"question": " "}).status_code == 422


def test_reading_is_confirmed_once_per_milestone(incident: Incident, stakeholder: User, mim: User) -> None:
    first = actions.confirm_read(incident, stamp=stamp(stakeholder, at("12:35")))
    again = actions.confirm_read(incident, stamp=stamp(stakeholder, at("12:50")))
    assert (first, again.read_at) == (again, at("12:35"))
    actions.cut_milestone(
        incident, title="Over", body="It is over.", next_update_eta=NOON.replace(hour=14), stamp=stamp(mim, at("12:55"))
    )
    actions.confirm_read(incident, stamp=stamp(stakeholder, at("12:56")))
    assert ReadReceipt.objects.count() == 2


def test_who_has_read_is_for_those_who_command(
    page_as: Knock, incident: Incident, stakeholder: User, engineer: User, mim: User
) -> None:
    assert page_as(stakeholder).post(f"/incidents/{incident.pk}/brief/read").status_code == 302
    assert not visible(ReadReceipt.objects.all(), engineer).exists()
    path = f"/incidents/{incident.pk}/brief"
    assert "You have read up to milestone 2" in page_as(stakeholder).get(path).content.decode()
    assert "You have read" not in page_as(engineer).get(path).content.decode()
    assert "1 person says they have read it" in page_as(mim).get(path).content.decode()


def test_without_a_milestone_there_is_nothing_to_confirm(stakeholder: User) -> None:
    with pytest.raises(NothingToRead):
        actions.confirm_read(IncidentFactory(), stamp=stamp(stakeholder))


# --- What executives are told besides ---


def test_a_change_of_risk_is_an_entry_that_executives_read(mim: User, executive: User, stakeholder: User) -> None:
    incident = IncidentFactory(risk_level="medium")
    changes = {"risk_level": "high", "description": "SECRET", "decision_asked": "Close the shops?"}
    actions.edit_incident(incident, changes, stamp=stamp(mim))
    seen = {entry.verb: (entry.title, entry.changes) for entry in visible(incident.timeline.all(), executive)}
    assert seen == {
        "risk": ("Risk: Medium → High", {"risk_level": ["medium", "high"]}),
        "decision": ("Decision asked of executives", {"decision_asked": ["", "Close the shops?"]}),
    }
    assert not visible(incident.timeline.all(), stakeholder).exists()
    assert set(seen) <= {str(verb) for verb in TOLD_EXECUTIVES}


def test_an_undone_change_of_risk_is_told_too(mim: User, executive: User) -> None:
    incident = IncidentFactory(risk_level="medium")
    actions.edit_incident(incident, {"risk_level": "high"}, stamp=stamp(mim))
    actions.undo(incident, incident.timeline.get(verb="risk"), stamp=stamp(mim, NOON + timedelta(seconds=9)))
    incident.refresh_from_db()
    assert incident.risk_level == "medium"
    assert visible(incident.timeline.filter(verb="undone"), executive).count() == 1


# --- As data ---


def test_the_brief_as_data(client_as: Knock, incident: Incident, stakeholder: User) -> None:
    path = f"/api/v1/incidents/{incident.pk}/brief"
    told = client_as(stakeholder).get(path).json()
    assert told["audience"] == "stakeholder"
    assert [row["sequence"] for row in told["milestones"]] == [2, 1]
    assert told["promises"]["kept"] == 1
    assert not {"businessImpact", "riskLevel", "execSummary", "customerCount"} & told.keys()
    assert client_as(stakeholder).get(f"{path}?audience=executive").status_code == 403
    assert client_as(stakeholder).get(f"{path}?audience=press").status_code == 400


def test_readers_speak_over_the_api_too(client_as: Knock, incident: Incident, stakeholder: User) -> None:
    program, path = client_as(stakeholder), f"/api/v1/incidents/{incident.pk}"
    assert program.post(f"{path}/questions", {"question": "Why?"}, "application/json").status_code == 201
    assert program.post(f"{path}/questions", {"question": "Why?"}, "application/json").status_code == 429
    assert program.post(f"{path}/read", {}, "application/json").json()["sequence"] == 2
    assert program.post(f"{path}/exec-summary/draft", {}, "application/json").status_code == 403
