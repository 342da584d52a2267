"""The incident pages: what they show to whom, what they take, and what they do with what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from zeal import zeal_ignore

from accounts.models import User
from incidents import actions
from incidents.lifecycle import Phase
from incidents.models import Incident, Milestone, RoleAssignment, StatusUpdate, TeamPage, TimelineEvent
from teams.models import Team
from tests.cast import Knock
from tests.factories import (
    EVENING,
    NOON,
    IncidentFactory,
    TeamFactory,
    TeamPageFactory,
    TimelineEventFactory,
    UserFactory,
    at,
    stamp,
)
from tests.pages import Page

#: What stands in internal columns and entries, and must not reach a stakeholder.
SECRET = "zebra-42"
NOWHERE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """One o'clock, an hour after most things happened."""
    moment = at("13:00")
    monkeypatch.setattr("django.utils.timezone.now", lambda: moment)
    return moment


@pytest.fixture
def incident(mim: User) -> Incident:
    """Detected at noon, with secrets, a public update and a team that is awaited."""
    incident = actions.open_incident(
        title="Checkout fails",
        severity="critical",
        stamp=stamp(mim),
        description=f"internal {SECRET}",
        business_impact="Revenue is lost",
        customer_impact_summary="Orders cannot be placed",
        bridge_url="https://meet.example.com/one",
        issue_time=at("11:58"),
        customer_count=1240,
    )
    actions.post_entry(incident, f"Password reset {SECRET}", stamp=stamp(mim, at("12:05")))
    actions.post_update(incident, "We are on it", visibility="public", stamp=stamp(mim, at("12:10")))
    actions.page_team(incident, TeamFactory(name="Database"), stamp=stamp(mim, at("12:20")))
    return Incident.objects.get(pk=incident.pk)


@pytest.fixture
def called(engineer: User, incident: Incident) -> User:
    """The engineer, on the team that was paged."""
    Team.objects.get(name="Database").memberships.create(user=engineer)
    return engineer


def path(incident: Incident, *rest: str) -> str:
    return f"/incidents/{incident.pk}/" + "/".join(rest)


def history() -> tuple[Any, ...]:
    """Everything an action could have written."""
    counted = [model.objects.count() for model in (TimelineEvent, StatusUpdate, Milestone, RoleAssignment)]
    pages = list(TeamPage.objects.order_by("pk").values_list("acknowledged_at", "arrived_at", "page_count"))
    return *counted, pages, list(Incident.objects.order_by("pk").values_list("pk", "version"))


# --- The command page ---


@pytest.mark.parametrize("who", ["mim", "admin_user", "stakeholder", "executive", "engineer", "called"])
def test_page_is_sound_for_everyone(
    request: pytest.FixtureRequest, page_as: Knock, incident: Incident, who: str
) -> None:
    answer = page_as(request.getfixturevalue(who)).get(path(incident))
    assert answer.status_code == 200
    assert Page(answer.content.decode()).faults == []


@pytest.mark.parametrize("rest", ["log", "edit", "resolve", "reopen", "kpis"])
def test_pages_below_are_sound(page_as: Knock, mim: User, incident: Incident, rest: str) -> None:
    answer = page_as(mim).get(path(incident, rest))
    assert (answer.status_code, Page(answer.content.decode()).faults) == (200, [])


def test_mim_sees_the_state_the_clocks_and_the_team(page_as: Knock, mim: User, incident: Incident) -> None:
    text = Page(page_as(mim).get(path(incident)).content.decode()).text
    assert "Critical (P1)" in text
    assert "Total 01:00:00" in text
    assert "Impact 01:02:00" in text
    assert "Affected 1,240" in text
    assert "40:00 no-show" in text


@pytest.mark.parametrize("who", ["stakeholder", "executive", "engineer"])
@pytest.mark.parametrize("rest", ["", "log", "log?q=password"])
def test_others_read_nothing_internal_and_get_no_forms(
    request: pytest.FixtureRequest, page_as: Knock, incident: Incident, who: str, rest: str
) -> None:
    html = page_as(request.getfixturevalue(who)).get(path(incident, rest)).content.decode()
    assert SECRET not in html
    assert "Database" not in html
    assert Page(html).actions == []


def test_stakeholder_reads_the_public_log_and_the_customer_impact(
    page_as: Knock, stakeholder: User, incident: Incident
) -> None:
    text = Page(page_as(stakeholder).get(path(incident)).content.decode()).text
    assert "We are on it" in text
    assert "Orders cannot be placed" in text
    assert "1,240" not in text
    assert "Revenue is lost" not in text


def test_executive_reads_the_business_impact(page_as: Knock, executive: User, incident: Incident) -> None:
    text = Page(page_as(executive).get(path(incident)).content.decode()).text
    assert "Revenue is lost" in text
    assert "1,240" in text


def test_secrets_do_not_change_what_a_stakeholder_gets(page_as: Knock, stakeholder: User, incident: Incident) -> None:
    browser = page_as(stakeholder)
    before = browser.get(path(incident)).content
    actions.post_entry(incident, f"More {SECRET}", stamp=stamp(when=at("12:30")))
    actions.post_update(incident, f"Inside {SECRET}", visibility="internal", stamp=stamp(when=at("12:31")))
    assert browser.get(path(incident)).content == before


def test_called_engineer_reads_the_log_and_writes_to_it_only(page_as: Knock, called: User, incident: Incident) -> None:
    page = Page(page_as(called).get(path(incident)).content.decode())
    assert SECRET in page.text
    dispatch = TeamPage.objects.get()
    answers = [path(incident, "pages", dispatch.pk, answer) for answer in ("acknowledge", "arrive", "arrive")]
    assert page.actions == [path(incident, "post"), *answers]


def test_drill_says_so(page_as: Knock, mim: User) -> None:
    incident = IncidentFactory(kind="drill")
    for where in ("/incidents/", path(incident)):
        assert '<span class="tag kind">Drill</span>' in page_as(mim).get(where).content.decode()


def test_overdue_promise_stands_in_the_title(page_as: Knock, mim: User, incident: Incident) -> None:
    actions.cut_milestone(incident, title="One", body="x", next_update_eta=at("12:56"), stamp=stamp(mim, at("12:26")))
    html = page_as(mim).get(path(incident)).content.decode()
    assert "<title>(OVERDUE) Checkout fails" in html
    text = Page(html).text
    assert "Next update 12:56 UTC · overdue by 4 min" in text
    assert "Promises kept 0 of 1" in text


def test_phases_show_how_long_and_how_often(page_as: Knock, mim: User, incident: Incident) -> None:
    for minute, phase in ((10, 3), (20, 2), (30, 4)):
        actions.advance_phase(incident, phase, reason="new facts", stamp=stamp(mim, NOON + timedelta(minutes=minute)))
    text = Page(page_as(mim).get(path(incident)).content.decode()).text
    assert "1 Alert 10 min 2 Gather 10 min 3 Assess 10 min 4 Initial 30 min 5 Isolation" in text
    actions.advance_phase(incident, 3, reason="again", stamp=stamp(mim, at("12:50")))
    assert "3 Assess 20 min ×2" in Page(page_as(mim).get(path(incident)).content.decode()).text


def test_new_incident_shows_its_first_steps_until_they_are_done(page_as: Knock, mim: User, incident: Incident) -> None:
    text = Page(page_as(mim).get(path(incident)).content.decode()).text
    assert "○ Take command ✓ Page the team that can fix it done ✓ Add the bridge link done ○ Cut the first" in text
    actions.assign_role(incident, "mim", user=mim, stamp=stamp(mim))
    actions.cut_milestone(incident, title="One", body="x", next_update_eta=EVENING, stamp=stamp(mim, at("12:30")))
    assert 'aria-labelledby="first-title" hidden' in page_as(mim).get(path(incident)).content.decode()


def test_imported_nonsense_is_a_dash_never_a_negative_time(page_as: Knock, mim: User) -> None:
    incident = IncidentFactory(closed=True, resolved_at=NOON - timedelta(hours=1))
    text = Page(page_as(mim).get(path(incident)).content.decode()).text
    assert "Total —" in text
    assert "-1" not in text


def test_correction_stands_beside_the_struck_original(page_as: Knock, mim: User, incident: Incident) -> None:
    entry = actions.post_entry(incident, "Lag is 900 s", stamp=stamp(mim, at("12:30")))
    actions.correct_entry(incident, entry, title="Lag is 90 s", stamp=stamp(mim, at("12:40")))
    html = page_as(mim).get(path(incident)).content.decode()
    assert "<s>Lag is 900 s</s>" in html
    assert "It reads now:</span> Lag is 90 s" in html
    assert html.count("</span> Lag is 90 s") == 1


def test_late_entry_and_silence_are_shown(page_as: Knock, mim: User, incident: Incident) -> None:
    late = stamp(mim, at("12:21"), now=at("12:35"))
    actions.post_entry(incident, "Failover started", stamp=late)
    text = Page(page_as(mim).get(path(incident)).content.decode()).text
    assert "recorded 14 min later" in text
    assert "39 min without an entry" in text


def test_sixteen_minutes_are_silence_and_fifteen_are_not(page_as: Knock, mim: User) -> None:
    incident = IncidentFactory()
    for minute in (31, 46, 60):
        TimelineEventFactory(incident=incident, occurred_at=NOON + timedelta(minutes=minute))
    assert "without an entry" not in page_as(mim).get(path(incident)).content.decode()
    TimelineEventFactory(incident=incident, occurred_at=NOON + timedelta(minutes=15))
    assert "16 min without an entry" in page_as(mim).get(path(incident)).content.decode()


def test_what_people_write_is_text_never_markup(page_as: Knock, mim: User, incident: Incident) -> None:
    actions.post_entry(incident, "<script>alert(1)</script>", description="<b>x</b>", stamp=stamp(mim, at("12:30")))
    page = Page(page_as(mim).get(path(incident)).content.decode())
    assert page.faults == []
    assert "<script>alert(1)</script>" in page.text


@pytest.fixture
def long_log(incident: Incident, mim: User) -> Incident:
    """500 entries, corrections, teams and milestones."""
    rows = [
        TimelineEventFactory.build(incident=incident, title=f"Entry {n}", occurred_at=NOON + timedelta(seconds=n * 6))
        for n in range(500)
    ]
    TimelineEvent.objects.bulk_create(rows)
    for row in rows[-20:]:
        actions.correct_entry(incident, row, title="Better", stamp=stamp(mim, at("12:59")))
    for _ in range(5):
        TeamPageFactory(incident=incident)
        actions.cut_milestone(incident, title="One", body="x", next_update_eta=EVENING, stamp=stamp(mim, at("12:59")))
    UserFactory.create_batch(30)
    return incident


@pytest.mark.parametrize(("who", "most"), [("mim", 12), ("stakeholder", 12), ("called", 12)])
def test_page_costs_the_same_for_a_long_log(
    request: pytest.FixtureRequest,
    page_as: Knock,
    long_log: Incident,
    who: str,
    most: int,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    browser = page_as(request.getfixturevalue(who))
    browser.get(path(long_log))
    with django_assert_max_num_queries(most):
        answer = browser.get(path(long_log))
    assert len(answer.content) < 100_000


def test_incident_that_is_none_is_not_found(page_as: Knock, mim: User) -> None:
    for rest in ("", "log", "edit", "kpis"):
        answer = page_as(mim).get(f"/incidents/{NOWHERE}/{rest}")
        assert (answer.status_code, "Not found" in answer.content.decode()) == (404, True)


# --- What people do, one address each ---

Prepare = Callable[[Incident], dict[str, str]]


def _dispatch(incident: Incident) -> str:
    return str(incident.team_pages.get().pk)


def _team(name: str) -> str:
    return str(Team.objects.get(name=name).pk)


#: name: (address, what is sent, what is then true, what the next line of the log begins with)
DEEDS: dict[str, tuple[str, Prepare, Callable[[Incident], bool], str]] = {
    "post": ("post", lambda i: {"text": "Failover\nto west", "visibility": "internal"}, lambda i: True, "Failover"),
    "update": (
        "update",
        lambda i: {"content": "90 % are back", "visibility": "public", "confirmed": "on"},
        lambda i: i.updates.filter(content="90 % are back", visibility="public").exists(),
        "Update posted",
    ),
    "milestone": (
        "milestone",
        lambda i: {"title": "Better", "body": "Much better", "next_update": "30"},
        lambda i: i.next_update_eta == at("13:30"),
        "Milestone 1: Better",
    ),
    "advance": ("advance", lambda i: {"phase": "4"}, lambda i: i.phase == Phase.INITIAL, "Alert → Initial"),
    "status": ("status", lambda i: {"status": "monitoring"}, lambda i: i.status == "monitoring", "Status: Active"),
    "page": (
        "page",
        lambda i: {"team": str(TeamFactory(name="Network").pk), "contact_name": "Kim"},
        lambda i: i.team_pages.filter(team__name="Network", contact_name="Kim", alarm_level="box3").exists(),
        "Network paged at Box 3",
    ),
    "acknowledge": (
        "pages/{page}/acknowledge",
        lambda i: {},
        lambda i: i.team_pages.get().acknowledged_at == at("13:00"),
        "Database acknowledged",
    ),
    "arrive": (
        "pages/{page}/arrive",
        lambda i: {"happened": "12:24"},
        lambda i: i.team_pages.get().arrived_at == at("12:24") and i.team_pages.get().arrival_source == "observed",
        "Database on the bridge",
    ),
    "wrong-team": (
        "pages/{page}/wrong-team",
        lambda i: {"reason": "It is the network"},
        lambda i: not i.team_pages.exists(),
        "Wrong team: Database",
    ),
    "role": (
        "role",
        lambda i: {"role": "mim", "who": "mim@example.com"},
        lambda i: i.mim is not None and i.mim.email == "mim@example.com",
        "Major Incident Manager: unclaimed → R. Okafor",
    ),
    "resolve": (
        "resolve",
        lambda i: {"summary": "Failed over", "reason": "All teams agree"},
        lambda i: i.status == "resolved" and i.milestones.get().body == "Failed over",
        "Milestone 1: Resolved",
    ),
}


def address(incident: Incident, deed: str) -> str:
    return path(incident, DEEDS[deed][0].format(page=_dispatch(incident)))


@pytest.mark.parametrize("deed", DEEDS)
def test_mim_may(page_as: Knock, mim: User, incident: Incident, deed: str) -> None:
    _, prepare, is_true, line = DEEDS[deed]
    known = set(incident.timeline.values_list("pk", flat=True))
    answer = page_as(mim).post(address(incident, deed), prepare(incident), follow=True)
    incident.refresh_from_db()
    assert answer.redirect_chain == [(path(incident), 302)]
    assert is_true(incident)
    assert any(entry.title.startswith(line) for entry in incident.timeline.exclude(pk__in=known))
    assert 'class="message success"' in answer.content.decode()


@pytest.mark.parametrize("who", ["stakeholder", "executive", "engineer"])
@pytest.mark.parametrize("deed", DEEDS)
def test_others_may_not(
    request: pytest.FixtureRequest, page_as: Knock, incident: Incident, deed: str, who: str
) -> None:
    sent, before = DEEDS[deed][1](incident), history()
    answer = page_as(request.getfixturevalue(who)).post(address(incident, deed), sent)
    assert (answer.status_code, history()) == (403, before)
    text = Page(answer.content.decode()).text
    assert "Major Incident Manager" in text or "Only people called to this incident" in text


@pytest.mark.parametrize("deed", [deed for deed in DEEDS if deed not in ("post", "acknowledge", "arrive")])
def test_called_engineer_does_not_command(page_as: Knock, called: User, incident: Incident, deed: str) -> None:
    sent, before = DEEDS[deed][1](incident), history()
    answer = page_as(called).post(address(incident, deed), sent)
    assert (answer.status_code, history()) == (403, before)
    assert "you need the role Major Incident Manager" in answer.content.decode()


@pytest.mark.parametrize("deed", DEEDS)
def test_deed_on_nothing_is_not_found(page_as: Knock, mim: User, incident: Incident, deed: str) -> None:
    sent, before = DEEDS[deed][1](incident), history()
    nowhere = address(incident, deed).replace(incident.pk, NOWHERE)
    assert (page_as(mim).post(nowhere, sent).status_code, history()) == (404, before)


@pytest.mark.parametrize("deed", DEEDS)
def test_forged_request_writes_nothing(mim: User, incident: Incident, deed: str) -> None:
    browser = Client(
        enforce_csrf_checks=True,
        headers={"Cf-Access-Authenticated-User-Email": mim.email, "Accept": "text/html"},
    )
    sent, before = DEEDS[deed][1](incident), history()
    answer = browser.post(address(incident, deed), {**sent, "csrfmiddlewaretoken": "x" * 64})
    assert (answer.status_code, history()) == (403, before)
    assert Page(answer.content.decode()).faults == []


@pytest.mark.parametrize("deed", [deed for deed in DEEDS if deed != "resolve"])
def test_reload_after_a_refusal_leads_to_the_page(page_as: Knock, mim: User, incident: Incident, deed: str) -> None:
    answer = page_as(mim).get(address(incident, deed))
    assert (answer.status_code, answer["Location"]) == (302, path(incident))


#: What is wrong: (deed, sent over what is right, status, sentence, what stays in the page)
REFUSED = [
    ("post", {"text": " "}, 422, "Write what happened.", ""),
    ("post", {"text": "Kept", "happened": "soonish"}, 422, "Write a time such as 14:02 (UTC)", "Kept"),
    ("post", {"text": "Kept", "happened": "14:30"}, 422, "14:30 UTC has not come yet", "Kept"),
    ("post", {"text": "Kept", "visibility": "everyone"}, 422, "Select a valid choice", "Kept"),
    ("post", {"text": "Kept", "happened": "2026-03-02T11:00"}, 422, "needs a time zone", "Kept"),
    ("update", {"content": ""}, 422, "Write the update.", ""),
    ("update", {"content": "Kept", "visibility": ""}, 422, "Choose who reads it", "Kept"),
    ("update", {"content": "Kept", "confirmed": ""}, 422, "Tick this to publish", "Kept"),
    ("post", {"text": "Kept", "visibility": "public"}, 422, "Tick this to publish", "Kept"),
    ("milestone", {"title": "Kept", "body": ""}, 422, "Write what changed, or tick", "Kept"),
    ("milestone", {"title": "Kept", "next_update_at": "2026-03-02T12:00Z"}, 422, "cannot be promised", "Kept"),
    ("advance", {"phase": "1", "reason": "Kept"}, 409, "already in phase 1 (Alert)", "Kept"),
    ("advance", {"phase": "8", "reason": "Kept"}, 409, "reached by resolving", "Kept"),
    ("advance", {"phase": "4", "happened": "11:00", "reason": "Kept"}, 422, "before the current phase began", "Kept"),
    ("status", {"status": "active"}, 409, "already Active", ""),
    ("status", {"status": "resolved"}, 409, "Resolve the incident to close it", ""),
    ("page", {"team": "", "contact_name": "Kept"}, 422, "Choose a team.", "Kept"),
    ("page", {"team": "nobody", "contact_name": "Kept"}, 422, "There is no team nobody.", "Kept"),
    ("acknowledge", {"happened": "12:10"}, 422, "is before paged", "12:10"),
    ("arrive", {"happened": "12:10"}, 422, "is before paged", "12:10"),
    ("wrong-team", {"reason": ""}, 422, "reason is needed", ""),
    ("role", {"role": "leader", "who": "Kept Nobody"}, 422, "Nobody here is called Kept Nobody", "Kept Nobody"),
    ("role", {"role": "leader", "who": ""}, 422, "Say who takes the role", ""),
    ("resolve", {"summary": "", "happened": "12:59"}, 422, "Write the summary", "12:59"),
    ("resolve", {"summary": "Kept", "happened": "11:00"}, 422, "before the current phase began", "Kept"),
]


@pytest.mark.parametrize(("deed", "wrong", "status", "sentence", "kept"), REFUSED)
def test_refused_deed_writes_nothing_and_keeps_what_was_typed(
    page_as: Knock,
    mim: User,
    incident: Incident,
    deed: str,
    wrong: dict[str, str],
    status: int,
    sentence: str,
    kept: str,
) -> None:
    sent = {**DEEDS[deed][1](incident), **wrong}
    before = history()
    answer = page_as(mim).post(address(incident, deed), sent)
    html = answer.content.decode()
    page = Page(html)
    assert (answer.status_code, history(), page.faults) == (status, before, [])
    assert sentence in page.text
    assert kept in html


@pytest.mark.parametrize("deed", ["update", "milestone", "advance", "status", "page", "role", "resolve"])
def test_closed_incident_refuses_and_says_how_to_go_on(
    page_as: Knock, mim: User, incident: Incident, deed: str
) -> None:
    actions.resolve(incident, summary="Done", stamp=stamp(mim, at("12:30")))
    sent, before = DEEDS[deed][1](incident), history()
    answer = page_as(mim).post(address(incident, deed), sent)
    assert (answer.status_code, history()) == (409, before)
    page = Page(answer.content.decode())
    assert page.faults == []
    assert "This incident is resolved. Reopen it first." in page.text
    assert (deed == "milestone") == ("Much better" in page.text)


@pytest.mark.parametrize("deed", ["acknowledge", "arrive"])
def test_page_is_answered_once(page_as: Knock, mim: User, incident: Incident, deed: str) -> None:
    browser, where = page_as(mim), address(incident, deed)
    browser.post(where)
    before = history()
    answer = browser.post(where)
    assert (answer.status_code, history()) == (409, before)
    assert "already." in Page(answer.content.decode()).text


def test_page_of_another_incident_is_not_found(page_as: Knock, mim: User, incident: Incident) -> None:
    other = TeamPageFactory()
    before = history()
    answer = page_as(mim).post(path(incident, "pages", other.pk, "arrive"))
    assert (answer.status_code, history()) == (404, before)


def test_back_date_is_said_back_with_its_zone(page_as: Knock, mim: User, incident: Incident) -> None:
    answer = page_as(mim).post(
        path(incident, "post"), {"text": "x", "visibility": "internal", "happened": "-7m"}, follow=True
    )
    assert "Recorded for 12:53 UTC." in answer.content.decode()
    assert incident.timeline.get(title="x").occurred_at == at("12:53")


def test_entry_is_internal_unless_public_is_chosen(page_as: Knock, mim: User, incident: Incident) -> None:
    html = page_as(mim).get(path(incident)).content.decode()
    assert 'value="internal" required id="post-visibility_0" checked' in html
    page_as(mim).post(path(incident, "post"), {"text": "for all", "visibility": "public", "confirmed": "on"})
    assert incident.timeline.get(title="for all").visibility == "public"


def test_called_engineer_posts_internally_whatever_is_sent(page_as: Knock, called: User, incident: Incident) -> None:
    page_as(called).post(path(incident, "post"), {"text": "Restarted", "visibility": "public"})
    entry = incident.timeline.get(title="Restarted")
    assert (entry.visibility, entry.actor) == ("internal", "A. Kim")


@pytest.mark.parametrize("deed", ["acknowledge", "arrive"])
def test_engineer_answers_for_their_own_team_only(page_as: Knock, called: User, incident: Incident, deed: str) -> None:
    own, other = incident.team_pages.get(), TeamPageFactory(incident=incident)
    before = history()
    assert page_as(called).post(path(incident, "pages", other.pk, deed)).status_code == 403
    assert history() == before
    assert page_as(called).post(path(incident, "pages", own.pk, deed)).status_code == 302


def test_engineer_says_themselves_that_they_are_there(page_as: Knock, called: User, incident: Incident) -> None:
    page_as(called).post(address(incident, "arrive"))
    assert incident.team_pages.get().arrival_source == "self"


def test_refusal_shows_the_incident_as_it_is_by_now(
    page_as: Knock, mim: User, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    post_update = actions.post_update

    def after_somebody_resolved(incident: Incident, *args: Any, **kwargs: Any) -> StatusUpdate:
        with zeal_ignore():  # the other person's request, not ours
            actions.resolve(incident, summary="Done", stamp=stamp(mim, at("12:59")))
            return post_update(incident, *args, **kwargs)

    monkeypatch.setattr("incidents.actions.post_update", after_somebody_resolved)
    sent = {"content": "Kept", "visibility": "public", "confirmed": "on"}
    answer = page_as(mim).post(path(incident, "update"), sent)
    page = Page(answer.content.decode())
    assert (answer.status_code, page.faults) == (409, [])
    assert "Resolved 2 Mar 2026 12:59 UTC" in page.text
    assert "Kept" in page.text


def test_going_back_needs_a_reason(page_as: Knock, mim: User, incident: Incident) -> None:
    actions.advance_phase(incident, 4, stamp=stamp(mim, at("12:30")))
    refused = page_as(mim).post(path(incident, "advance"), {"phase": "2"})
    assert refused.status_code == 422
    assert "Say what new information sends the incident back to Gather." in refused.content.decode()
    page_as(mim).post(path(incident, "advance"), {"phase": "2", "reason": "second site"})
    incident.refresh_from_db()
    assert incident.phase == Phase.GATHER


def test_role_is_left_unclaimed_on_purpose_only(page_as: Knock, mim: User, incident: Incident) -> None:
    actions.assign_role(incident, "leader", user=mim, stamp=stamp(mim))
    page_as(mim).post(path(incident, "role"), {"role": "leader", "who": "", "release": "1"})
    incident.refresh_from_db()
    assert incident.leader is None


def test_sre_lead_needs_no_account(page_as: Knock, mim: User, incident: Incident) -> None:
    page_as(mim).post(path(incident, "role"), {"role": "sre", "who": "T. Moreau"})
    incident.refresh_from_db()
    assert incident.sre == "T. Moreau"


def test_two_people_of_one_name_are_told_apart_by_address(page_as: Knock, mim: User, incident: Incident) -> None:
    UserFactory.create_batch(2, display_name="Kim")
    answer = page_as(mim).post(path(incident, "role"), {"role": "leader", "who": "kim"})
    assert answer.status_code == 422
    assert "2 people are called kim" in answer.content.decode()


# --- Reopening, correcting ---


def test_reopening_needs_a_reason_and_goes_on(page_as: Knock, mim: User, incident: Incident) -> None:
    actions.resolve(incident, summary="Done", stamp=stamp(mim, at("12:30")))
    before = history()
    refused = page_as(mim).post(path(incident, "reopen"), {"reason": "", "phase": "3"})
    assert (refused.status_code, history()) == (422, before)
    page_as(mim).post(path(incident, "reopen"), {"reason": "It is back", "phase": "3"})
    incident.refresh_from_db()
    assert (incident.status, incident.phase) == ("active", Phase.ASSESS)


def test_open_incident_is_not_reopened(page_as: Knock, mim: User, incident: Incident) -> None:
    before = history()
    answer = page_as(mim).post(path(incident, "reopen"), {"reason": "Kept reason", "phase": "3"})
    assert (answer.status_code, history()) == (409, before)
    assert 'value="Kept reason"' in answer.content.decode()


def test_resolving_tells_what_is_missing_and_does_it_all_the_same(page_as: Knock, mim: User) -> None:
    incident = IncidentFactory()
    TeamPageFactory(incident=incident)
    text = Page(page_as(mim).get(path(incident, "resolve")).content.decode()).text
    for gap in ("A paged team is still awaited.", "Nobody is in command.", "affected customers is not known"):
        assert gap in text
    refused = page_as(mim).post(path(incident, "resolve"), {"summary": "Fixed"})
    assert (refused.status_code, "say why it is resolved all the same" in refused.content.decode()) == (422, True)
    page_as(mim).post(path(incident, "resolve"), {"summary": "Fixed", "reason": "It was a false alarm"})
    incident.refresh_from_db()
    assert incident.status == "resolved"
    assert incident.timeline.get(phase_number=8).description == "It was a false alarm"


def test_correction_is_appended(page_as: Knock, mim: User, incident: Incident) -> None:
    entry = incident.timeline.get(title__startswith="Password")
    where = path(incident, "correct", entry.pk)
    assert Page(page_as(mim).get(where).content.decode()).faults == []
    page_as(mim).post(where, {"title": "Password rotated", "happened": "12:04"})
    correction = entry.corrections.get()
    assert (correction.title, correction.occurred_at) == ("Password rotated", at("12:04"))
    assert TimelineEvent.objects.get(pk=entry.pk).title == entry.title


def test_correction_without_words_is_refused(page_as: Knock, mim: User, incident: Incident) -> None:
    entry, before = incident.timeline.get(title__startswith="Password"), history()
    answer = page_as(mim).post(path(incident, "correct", entry.pk), {"title": "", "description": "Kept"})
    assert (answer.status_code, history()) == (422, before)
    assert "Kept" in answer.content.decode()


def test_engineer_corrects_their_own_entries_only(page_as: Knock, called: User, incident: Incident) -> None:
    own = actions.post_entry(incident, "Mine", stamp=stamp(called, at("12:30")))
    others = incident.timeline.get(title__startswith="Password")
    answers = [page_as(called).post(path(incident, "correct", row.pk), {"title": "Right"}) for row in (own, others)]
    assert [answer.status_code for answer in answers] == [302, 403]
    assert [row.corrections.count() for row in (own, others)] == [1, 0]


def test_others_do_not_correct(page_as: Knock, stakeholder: User, incident: Incident) -> None:
    entry, before = incident.timeline.get(type="update"), history()
    answer = page_as(stakeholder).post(path(incident, "correct", entry.pk), {"title": "x"})
    assert (answer.status_code, history()) == (403, before)


def test_entry_of_another_incident_is_not_corrected(page_as: Knock, mim: User, incident: Incident) -> None:
    entry, before = TimelineEventFactory(), history()
    answer = page_as(mim).post(path(incident, "correct", entry.pk), {"title": "x"})
    assert (answer.status_code, TimelineEvent.objects.filter(corrects=entry).exists()) == (404, False)
    assert history() == before


# --- Editing, alone and together ---


def form_of(browser: Client, incident: Incident) -> dict[str, str]:
    """The edit form as a browser would send it back."""
    form = browser.get(path(incident, "edit")).context["form"]
    sent = {name: form[name].value() for name in form.fields}
    seen = {form[name].html_initial_name: form[name].value() for name in form.fields if name != "version"}
    return {name: "" if value is None else str(value) for name, value in {**sent, **seen}.items()}


def test_edit_writes_what_was_changed_and_keeps_the_old_value(page_as: Knock, mim: User, incident: Incident) -> None:
    browser = page_as(mim)
    sent = form_of(browser, incident) | {"customer_count": "2000", "affected_systems": "Checkout, Orders"}
    browser.post(path(incident, "edit"), sent)
    entry = incident.timeline.get(title__startswith="Changed")
    assert entry.changes == {"affected_systems": [[], ["Checkout", "Orders"]], "customer_count": [1240, 2000]}
    assert "customer count" in Page(browser.get(path(incident)).content.decode()).text


def test_edit_of_nothing_writes_nothing(page_as: Knock, mim: User, incident: Incident) -> None:
    browser, before = page_as(mim), history()
    answer = browser.post(path(incident, "edit"), form_of(browser, incident), follow=True)
    assert history() == before
    assert "Nothing was changed." in answer.content.decode()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"bridge_url": "http://meet.example.com"}, "bridge_url must begin with https://"),
        ({"customer_count": "many"}, "Enter a whole number."),
        ({"issue_time": "noonish"}, "Write a time such as"),
        ({"severity": "huge"}, "Select a valid choice"),
    ],
)
def test_wrong_edit_writes_nothing_and_keeps_the_rest(
    page_as: Knock, mim: User, incident: Incident, wrong: dict[str, str], sentence: str
) -> None:
    browser = page_as(mim)
    sent, before = form_of(browser, incident) | {"exec_summary": "Kept text"} | wrong, history()
    answer = browser.post(path(incident, "edit"), sent)
    page = Page(answer.content.decode())
    assert (answer.status_code, history(), page.faults) == (422, before, [])
    assert sentence in page.text
    assert "Kept text" in page.text


def test_conflict_shows_both_values_and_loses_neither(page_as: Knock, mim: User, incident: Incident) -> None:
    browser = page_as(mim)
    sent = form_of(browser, incident) | {"business_impact": "Mine", "exec_summary": "Untouched by others"}
    actions.edit_incident(incident, {"business_impact": "Theirs"}, stamp=stamp(mim, at("12:40")))
    before = history()
    answer = browser.post(path(incident, "edit"), sent)
    page = Page(answer.content.decode())
    assert (answer.status_code, history(), page.faults) == (409, before, [])
    assert "Yours: Mine Theirs: Theirs" in page.text
    assert "Untouched by others" in page.text


def test_saving_again_after_a_conflict_keeps_mine(page_as: Knock, mim: User, incident: Incident) -> None:
    browser = page_as(mim)
    sent = form_of(browser, incident) | {"business_impact": "Mine"}
    actions.edit_incident(incident, {"business_impact": "Theirs"}, stamp=stamp(mim, at("12:40")))
    form = browser.post(path(incident, "edit"), sent).context["form"]
    browser.post(path(incident, "edit"), {name: value for name, value in form.data.items() if value is not None})
    incident.refresh_from_db()
    assert incident.business_impact == "Mine"


def test_choosing_theirs_after_a_conflict_writes_nothing(page_as: Knock, mim: User, incident: Incident) -> None:
    browser = page_as(mim)
    sent = form_of(browser, incident) | {"business_impact": "Mine"}
    actions.edit_incident(incident, {"business_impact": "Theirs"}, stamp=stamp(mim, at("12:40")))
    form = browser.post(path(incident, "edit"), sent).context["form"]
    again = {name: value for name, value in form.data.items() if value is not None}
    browser.post(path(incident, "edit"), {**again, "keep-business_impact": "theirs"})
    incident.refresh_from_db()
    assert incident.business_impact == "Theirs"


def test_changes_of_different_fields_do_not_conflict(page_as: Knock, mim: User, incident: Incident) -> None:
    browser = page_as(mim)
    sent = form_of(browser, incident) | {"exec_summary": "Mine"}
    actions.edit_incident(incident, {"business_impact": "Theirs"}, stamp=stamp(mim, at("12:40")))
    browser.post(path(incident, "edit"), sent)
    incident.refresh_from_db()
    assert (incident.business_impact, incident.exec_summary) == ("Theirs", "Mine")


def test_only_those_who_command_edit(page_as: Knock, called: User, incident: Incident) -> None:
    before = history()
    for answer in (page_as(called).get(path(incident, "edit")), page_as(called).post(path(incident, "edit"), {})):
        assert answer.status_code == 403
    assert history() == before
