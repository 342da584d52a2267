"""The command page: what one click does, what asks first, what can be taken back."""

from __future__ import annotations

from datetime import datetime

import pytest

from accounts.models import User
from incidents import actions
from incidents.models import Incident, TeamPage
from tests.cast import Knock
from tests.factories import TeamFactory, TeamPageFactory, UserFactory, at, stamp
from tests.pages import Page


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    moment = at("13:00")
    monkeypatch.setattr("django.utils.timezone.now", lambda: moment)
    return moment


@pytest.fixture
def incident(mim: User) -> Incident:
    fields = {"affected_systems": ["Checkout"], "bridge_url": "https://meet.example.com/one"}
    opened = actions.open_incident(title="Checkout fails", severity="critical", stamp=stamp(mim), **fields)
    return Incident.objects.get(pk=opened.pk)


def path(incident: Incident, rest: str = "") -> str:
    return f"/incidents/{incident.pk}/{rest}"


# --- The bar ---


def test_one_button_leads_to_the_next_phase(page_as: Knock, mim: User, incident: Incident) -> None:
    assert "Advance to 2 Gather" in Page(page_as(mim).get(path(incident)).content.decode()).text
    page_as(mim).post(path(incident, "advance"), {"phase": "2"})
    incident.refresh_from_db()
    assert incident.phase == 2


def test_last_phase_leads_to_resolving(page_as: Knock, mim: User, incident: Incident) -> None:
    actions.advance_phase(incident, 7, stamp=stamp(mim, at("12:30")))
    text = Page(page_as(mim).get(path(incident)).content.decode()).text
    assert "Advance to" not in text
    assert "Resolve…" in text


def test_running_times_say_from_when_and_are_right_without_a_script(
    page_as: Knock, mim: User, incident: Incident
) -> None:
    html = page_as(mim).get(path(incident)).content.decode()
    assert '<time datetime="2026-03-02T12:00:00.000Z" data-tick="since" data-as="clock">01:00:00</time>' in html


@pytest.mark.parametrize(("sent", "due"), [({"next_update": "30"}, "13:30"), ({"next_update_at": "14:10"}, "14:10")])
def test_no_change_is_a_milestone_with_a_new_promise(
    page_as: Knock, mim: User, incident: Incident, sent: dict[str, str], due: str
) -> None:
    page_as(mim).post(path(incident, "promise"), {**sent, "reason": "The vendor is called."})
    cut = incident.milestones.get()
    assert (cut.next_update_eta, cut.title) == (at(due), f"No change, next update {due} UTC")
    assert "The vendor is called." in cut.body


def test_promise_moved_after_it_was_due_is_a_miss(page_as: Knock, mim: User, incident: Incident) -> None:
    actions.cut_milestone(incident, title="One", body="x", next_update_eta=at("12:50"), stamp=stamp(mim, at("12:20")))
    answer = page_as(mim).post(path(incident, "promise"), {"next_update": "15"}, follow=True)
    assert "Promises kept 0 of 1" in Page(answer.content.decode()).text


def test_promise_needs_a_time(page_as: Knock, mim: User, incident: Incident) -> None:
    answer = page_as(mim).post(path(incident, "promise"), {"reason": "Kept"})
    assert (answer.status_code, incident.milestones.count()) == (422, 0)
    assert "Choose when the next update comes." in answer.content.decode()


# --- Words ---


def test_text_of_the_phase_begins_a_milestone_without_a_script(page_as: Knock, mim: User, incident: Incident) -> None:
    html = page_as(mim).get(path(incident, "?text=alert-milestone")).content.decode()
    assert "We have been alerted to a problem with Checkout and are looking into it.</textarea>" in html


def test_milestone_quotes_the_lines_that_are_ticked(page_as: Knock, mim: User, incident: Incident) -> None:
    line = actions.post_entry(incident, "Failover done", stamp=stamp(mim, at("12:40")))
    actions.post_entry(incident, "Password rotated", stamp=stamp(mim, at("12:41")))
    sent = {"title": "Better", "body": "Traffic moves.", "next_update": "30", "lines": [line.pk]}
    page_as(mim).post(path(incident, "milestone"), sent)
    assert incident.milestones.get().body == "Traffic moves.\n- 12:40 Failover done"


def test_internal_lines_start_unticked_and_public_ones_ticked(page_as: Knock, mim: User, incident: Incident) -> None:
    actions.post_entry(incident, "Secret step", stamp=stamp(mim, at("12:40")))
    told = actions.post_entry(incident, "Told all", visibility="public", stamp=stamp(mim, at("12:41")))
    form = page_as(mim).get(path(incident)).context["forms"]["milestone"]
    assert form["lines"].value() == [told.pk]


# --- Teams ---


def test_team_is_paged_by_what_people_call_it(page_as: Knock, mim: User, incident: Incident) -> None:
    TeamFactory(name="Database", slug="database").aliases.create(alias="dba")
    page_as(mim).post(path(incident, "page"), {"team": "DBA"})
    assert incident.team_pages.get().team.name == "Database"


@pytest.mark.parametrize(
    ("paged", "word"), [("12:57", "waiting"), ("12:55", "waiting"), ("12:54", "late"), ("12:49", "no-show")]
)
def test_waiting_team_is_late_past_its_limit_and_a_no_show_past_twice(
    page_as: Knock, mim: User, incident: Incident, paged: str, word: str
) -> None:
    TeamPageFactory(incident=incident, paged_at=at(paged))
    assert f":00 {word}" in Page(page_as(mim).get(path(incident)).content.decode()).text


def test_team_is_stood_down_with_a_reason(page_as: Knock, mim: User, incident: Incident) -> None:
    page = actions.page_team(incident, TeamFactory(), stamp=stamp(mim, at("12:40")))
    page_as(mim).post(path(incident, f"pages/{page.pk}/stand-down"), {"reason": "Not theirs"})
    assert TeamPage.objects.get(pk=page.pk).cancelled_at == at("13:00")
    assert "stood down" in Page(page_as(mim).get(path(incident)).content.decode()).text


# --- Roles ---


def test_unclaimed_role_is_taken_with_one_click(page_as: Knock, mim: User, incident: Incident) -> None:
    page_as(mim).post(path(incident, "role"), {"role": "mim", "take": "1"})
    incident.refresh_from_db()
    assert incident.mim == mim


def test_taking_a_role_from_somebody_asks_first(page_as: Knock, mim: User, incident: Incident) -> None:
    other = UserFactory(display_name="N. Ferrari", role="mim")
    actions.assign_role(incident, "mim", user=other, stamp=stamp(mim))
    answer = page_as(mim).post(path(incident, "role"), {"role": "mim", "take": "1"}, follow=True)
    page = Page(answer.content.decode())
    incident.refresh_from_db()
    assert (incident.mim, page.faults) == (other, [])
    assert "N. Ferrari is Major Incident Manager" in page.text
    page_as(mim).post(path(incident, "role"), {"role": "mim", "who": mim.email, "instead_of": other.email})
    incident.refresh_from_db()
    assert incident.mim == mim


def test_yes_counts_for_the_holder_it_was_said_of(page_as: Knock, mim: User, incident: Incident) -> None:
    first, second = UserFactory(role="mim"), UserFactory(role="mim")
    actions.assign_role(incident, "mim", user=second, stamp=stamp(mim))
    sent = {"role": "mim", "take": "1", "instead_of": first.email}
    answer = page_as(mim).post(path(incident, "role"), sent)
    incident.refresh_from_db()
    assert ("/takeover?" in answer["Location"], incident.mim) == (True, second)


def test_own_role_is_handed_over_without_a_question(page_as: Knock, mim: User, incident: Incident) -> None:
    actions.assign_role(incident, "mim", user=mim, stamp=stamp(mim))
    other = UserFactory(role="mim")
    page_as(mim).post(path(incident, "role"), {"role": "mim", "who": other.email})
    incident.refresh_from_db()
    assert incident.mim == other


# --- Facts, in place ---


def _sent(incident: Incident, name: str, value: str, *, seen: str = "") -> dict[str, str]:
    return {name: value, f"initial-{name}": seen, "version": str(incident.version)}


def test_one_fact_is_changed_where_it_stands(page_as: Knock, mim: User, incident: Incident) -> None:
    page_as(mim).post(path(incident, "field"), _sent(incident, "customer_count", "12"))
    incident.refresh_from_db()
    assert (incident.customer_count, incident.title) == (12, "Checkout fails")


@pytest.mark.parametrize("name", ["restricted", "publish_status"])
def test_who_gets_to_know_is_set_in_place(page_as: Knock, mim: User, incident: Incident, name: str) -> None:
    page_as(mim).post(path(incident, "field"), _sent(incident, name, "True", seen="False"))
    incident.refresh_from_db()
    assert getattr(incident, name) is True


def test_fact_two_people_changed_shows_both_values(page_as: Knock, mim: User, incident: Incident) -> None:
    sent = _sent(incident, "business_impact", "Mine")
    actions.edit_incident(incident, {"business_impact": "Theirs"}, stamp=stamp(mim, at("12:40")))
    answer = page_as(mim).post(path(incident, "field"), sent)
    page = Page(answer.content.decode())
    assert (answer.status_code, page.faults) == (409, [])
    assert "Yours: Mine Theirs: Theirs" in page.text
    incident.refresh_from_db()
    assert incident.business_impact == "Theirs"


def test_wrong_fact_stays_open_with_what_was_typed(page_as: Knock, mim: User, incident: Incident) -> None:
    answer = page_as(mim).post(path(incident, "field"), _sent(incident, "bridge_url", "http://x.example.com"))
    assert answer.status_code == 422
    assert "bridge_url must begin with https://" in Page(answer.content.decode()).text
    assert 'value="http://x.example.com"' in answer.content.decode()


# --- Taking back ---


def test_what_was_done_can_be_undone_from_its_message(page_as: Knock, mim: User, incident: Incident) -> None:
    browser = page_as(mim)
    done = browser.post(path(incident, "advance"), {"phase": "3"}, follow=True)
    undo = next(each for each in Page(done.content.decode()).actions if "/undo/" in each)
    answer = browser.post(undo, follow=True)
    incident.refresh_from_db()
    assert incident.phase == 1
    assert "Undone: Alert → Assess" in Page(answer.content.decode()).text


def test_what_was_published_has_no_undo(page_as: Knock, mim: User, incident: Incident) -> None:
    sent = {"title": "One", "body": "x", "next_update": "30"}
    done = page_as(mim).post(path(incident, "milestone"), sent, follow=True)
    assert not [each for each in Page(done.content.decode()).actions if "/undo/" in each]


# --- The contract with live updates ---


@pytest.mark.parametrize("who", ["mim", "stakeholder"])
def test_every_block_is_there_once(
    request: pytest.FixtureRequest, page_as: Knock, incident: Incident, who: str
) -> None:
    page = Page(page_as(request.getfixturevalue(who)).get(path(incident)).content.decode())
    tools = {"live-pause", "live-state", "live-stale", "live-said", "live-more"}
    blocks = {name for name in page.ids if name.startswith("live-")} - tools
    expected = {"head", "steps", "log", "command", "metrics", "figures", "brief", "first_steps"}
    internal = {"teams", "impact"} if who == "mim" else set()
    assert blocks == {f"live-{name}" for name in expected | internal}
