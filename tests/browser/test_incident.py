"""Whole incidents in real browsers, on the server people run: several screens at once, lost lines, a killed server."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from accounts.models import User
from incidents import actions
from incidents.models import Incident, TeamPage
from majorops.lib.times import to_millisecond
from tests.browser.conftest import Browse, axe, fits
from tests.factories import TeamFactory, UserFactory, stamp
from tests.serving import Site

pytestmark = pytest.mark.django_db(transaction=True)

INCIDENT = re.compile(r"/incidents/[0-9A-Z]{26}/(#.*)?$")
#: What a test waits for another screen: as long as the slowest way to it takes, two turns of the poll.
SOON = 15_000


@pytest.fixture
def deputy(db: None) -> User:
    return UserFactory(email="deputy@example.com", display_name="N. Ferrari", role="mim")


@pytest.fixture
def incident(mim: User, engineer: User) -> Incident:
    """Five minutes old; the engineer's team is paged and awaited."""
    now = to_millisecond(timezone.now())
    opened = actions.open_incident(
        title="Checkout fails", severity="critical", stamp=stamp(mim, now - timedelta(minutes=5)), customer_count=1240
    )
    database = TeamFactory(name="Database")
    database.memberships.create(user=engineer)
    actions.page_team(opened, database, stamp=stamp(mim, now - timedelta(minutes=4)))
    return Incident.objects.get(pk=opened.pk)


def path(incident: Incident) -> str:
    return f"/incidents/{incident.pk}/"


def say(page: Page, text: str) -> None:
    page.get_by_label("What happened?").fill(text)
    page.get_by_role("button", name="Post").click()


def entries(page: Page) -> list[str]:
    """The log as it stands on this screen, newest first."""
    return page.locator("#live-log .entry[id]").evaluate_all("found => found.map((each) => each.id)")


def log(page: Page) -> Locator:
    return page.locator("#live-log")


# --- One person, without a pointer: nothing here clicks or focuses, it only presses keys and reads ---


def tab_to(page: Page, target: Locator) -> None:
    """Tab, until the focus is there."""
    for _ in range(160):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab never reaches {target}")


def do(page: Page, *keys: str, types: str = "", sends: bool = False) -> None:
    """Leave the field, press these keys, type, and send."""
    page.keyboard.press("Escape")
    for key in keys:
        page.keyboard.press(key)
    page.keyboard.type(types)
    if sends:
        page.keyboard.press("Control+Enter")


def test_whole_incident_by_keyboard_alone(browse_site: Browse, mim: User, deputy: User) -> None:
    TeamFactory(name="Database")
    page = browse_site(mim, "/incidents/new")
    said = page.locator("#messages")
    tab_to(page, page.get_by_label("What is wrong?"))
    page.keyboard.type("Search is down")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url(INCIDENT)
    do(page, "t", types="Database", sends=True)
    expect(said).to_contain_text("Database paged.")
    do(page, "l", types="Index is corrupt", sends=True)
    expect(said).to_contain_text("Posted to the log.")
    expect(log(page)).to_contain_text("Index is corrupt")
    do(page, "u", types="We are rebuilding it")
    page.keyboard.press("Tab")  # who reads it is asked each time
    page.keyboard.press("Space")
    page.keyboard.press("Control+Enter")
    expect(said).to_contain_text("Update published (internal).")
    do(page, "m", types="We know")
    tab_to(page, page.locator("#milestone-body"))
    page.keyboard.type("Search does not answer.")
    tab_to(page, page.locator("#milestone-next_update_1"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Control+Enter")
    expect(said).to_contain_text("Milestone 1 published. Next update promised for")
    do(page, "p", "Enter")
    expect(said).to_contain_text("Now in phase 2 (Gather).")
    do(page, "p", "Enter")
    expect(said).to_contain_text("Now in phase 3 (Assess).")
    do(page, "z")
    expect(said).to_contain_text("Undone")
    expect(page.locator("#live-steps [aria-current]")).to_contain_text("Gather")
    do(page, "a", "Enter")
    expect(said).to_contain_text("Database on the bridge.")
    tab_to(page, page.get_by_role("button", name="Take Major Incident Manager"))
    page.keyboard.press("Enter")
    expect(said).to_contain_text("R. Okafor is Major Incident Manager.")
    tab_to(page, page.locator("summary", has_text="Assign or hand over"))
    page.keyboard.press("Enter")
    tab_to(page, page.locator("#role-who"))
    page.keyboard.type(deputy.email)
    page.keyboard.press("Control+Enter")
    expect(said).to_contain_text("N. Ferrari is Major Incident Manager.")
    tab_to(page, page.get_by_role("link", name="Resolve…"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("What was wrong, and what fixed it?"))
    page.keyboard.type("The index was corrupt.")
    page.keyboard.press("Tab")
    page.keyboard.type("Small site")
    page.keyboard.press("Control+Enter")
    expect(said).to_contain_text("Resolved.")
    assert Incident.objects.get().status == "resolved"


# --- Two people at once ---


def test_what_one_does_appears_at_the_other(browse_site: Browse, mim: User, deputy: User, incident: Incident) -> None:
    here, there = browse_site(mim, path(incident)), browse_site(deputy, path(incident))
    there.evaluate("window.stayed = true")
    say(here, "Failover started")
    expect(log(there)).to_contain_text("Failover started", timeout=SOON)
    there.get_by_role("button", name="Database arrived").click()
    expect(here.locator("#live-teams")).not_to_contain_text("Arrived", timeout=SOON)
    here.get_by_role("button", name="Advance to 2 Gather").click()
    expect(there.locator("#live-steps [aria-current]")).to_contain_text("Gather", timeout=SOON)
    assert there.evaluate("window.stayed")
    expect(there.locator("#live-said")).to_have_text(re.compile(r"\d+ new entr"))
    assert entries(here) == entries(there)


def test_button_that_is_pressed_is_not_replaced_under_the_finger(
    browse_site: Browse, mim: User, incident: Incident
) -> None:
    page = browse_site(mim, path(incident))
    page.get_by_role("button", name="Database arrived").hover()
    page.mouse.down()
    actions.page_team(incident, TeamFactory(name="Network"), stamp=stamp(mim, timezone.now()))
    expect(log(page)).to_contain_text("Network paged", timeout=SOON)
    page.mouse.up()
    expect(page.locator("#messages")).to_contain_text("Database on the bridge.")
    expect(page.locator("#live-teams")).to_contain_text("Network")


def test_both_values_of_one_field_are_shown_and_none_is_lost(
    browse_site: Browse, mim: User, deputy: User, incident: Incident
) -> None:
    first, second = browse_site(mim, path(incident)), browse_site(deputy, path(incident))
    for page, number in ((first, "1300"), (second, "1500")):
        page.locator("summary", has_text="Edit Customers").click()
        page.locator("#facts-customer_count").fill(number)
    first.locator("form:has(#facts-customer_count) button").click()
    expect(first.locator("#messages")).to_contain_text("Saved.")
    expect(second.locator("#live-impact")).to_have_attribute("data-waiting", "", timeout=SOON)
    expect(second.locator("#facts-customer_count")).to_have_value("1500")
    second.locator("form:has(#facts-customer_count) button").click()
    choice = second.locator("#live-impact .theirs")
    expect(choice).to_contain_text("1500")
    expect(choice).to_contain_text("1300")
    choice.get_by_text("Theirs").click()
    second.locator("form:has(#facts-customer_count) button").click()
    expect(second.locator("#live-impact .theirs")).to_have_count(0)
    assert Incident.objects.get().customer_count == 1300


def test_what_is_half_filled_outlives_news_and_a_reload(
    browse_site: Browse, mim: User, deputy: User, incident: Incident
) -> None:
    typing, other = browse_site(mim, path(incident)), browse_site(deputy, path(incident))
    line, team = typing.get_by_label("What happened?"), typing.locator("#page-team")
    line.fill("half a li")
    team.fill("Netw")
    say(other, "Cause found")
    other.get_by_role("button", name="Database arrived").click()
    expect(log(typing)).to_contain_text("Cause found", timeout=SOON)
    expect(typing.locator("#live-teams")).to_have_attribute("data-waiting", "", timeout=SOON)
    expect(team).to_be_focused()
    expect(team).to_have_value("Netw")
    team.fill("")
    line.focus()
    expect(typing.get_by_role("button", name="Database arrived")).to_have_count(0)
    typing.reload()
    expect(line).to_have_value("half a li")


def test_one_tap_on_a_phone_appears_on_the_board(
    browse_site: Browse, mim: User, engineer: User, incident: Incident
) -> None:
    board = browse_site(mim, path(incident))
    phone = browse_site(engineer, f"/r/{incident.pk}", viewport={"width": 360, "height": 640}, has_touch=True)
    fits(phone)
    expect(phone.get_by_role("button", name="I'm here")).to_be_in_viewport()
    phone.get_by_role("button", name="I'm here").tap()
    expect(phone.get_by_text("You are here since").first).to_be_visible()
    fits(phone)
    expect(board.get_by_role("button", name="Database arrived")).to_have_count(0, timeout=SOON)
    assert TeamPage.objects.get().arrival_source == "self"


# --- A server that is gone ---


@contextmanager
def outage(site: Site) -> Iterator[None]:
    """The server is killed and its port refuses; afterwards it is back at the same address."""
    port = site.port
    site.stop(signal.SIGKILL)
    site.listener.close()
    try:
        yield
    finally:
        site.listener = socket.create_server(("127.0.0.1", port))
        site.start()


def test_nothing_is_lost_or_doubled_when_the_server_is_killed(
    site: Site, browse_site: Browse, mim: User, deputy: User, incident: Incident
) -> None:
    here, there = browse_site(mim, path(incident)), browse_site(deputy, path(incident))
    say(here, "Before")
    expect(here.locator("#messages")).to_contain_text("Posted to the log.")
    expect(log(there)).to_contain_text("Before", timeout=SOON)
    with outage(site):
        for text in ("During, first", "During, second"):
            say(here, text)
            expect(here.locator("#unsent")).to_contain_text(text)
        actions.post_entry(incident, "From elsewhere", stamp=stamp(mim, timezone.now()))
        expect(here.get_by_label("What happened?")).to_have_value("")
    for left in (1, 0):
        here.get_by_role("button", name="Retry").first.click()
        expect(here.locator("#unsent li")).to_have_count(left)
    for page in (here, there):
        for text in ("Before", "During, first", "During, second", "From elsewhere"):
            expect(log(page).get_by_text(text, exact=True)).to_have_count(1, timeout=SOON)
    assert entries(here) == entries(there)
    assert incident.timeline.filter(title__startswith="During").count() == 2


def test_line_whose_answer_was_lost_is_not_written_twice(browse_site: Browse, mim: User, incident: Incident) -> None:
    page = browse_site(mim, path(incident))

    def swallow(route: object) -> None:
        route.fetch(max_redirects=0)  # type: ignore[attr-defined]
        route.abort()  # type: ignore[attr-defined]

    page.route("**/post", swallow)
    say(page, "Sent, and never heard of again")
    expect(page.locator("#unsent")).to_contain_text("Sent, and never heard of again")
    page.unroute("**/post")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("#unsent")).to_have_count(0)
    assert incident.timeline.filter(title="Sent, and never heard of again").count() == 1


def test_unsent_lines_outlive_a_reload_and_can_be_dropped(browse_site: Browse, mim: User, incident: Incident) -> None:
    page = browse_site(mim, path(incident))
    page.route("**/post", lambda route: route.abort())
    say(page, "Written in a tunnel")
    expect(page.locator("#unsent")).to_contain_text("Written in a tunnel")
    axe(page)
    page.reload()
    expect(page.locator("#unsent")).to_contain_text("Written in a tunnel")
    page.get_by_role("button", name="Discard").click()
    expect(page.locator("#unsent")).to_have_count(0)
    page.reload()
    expect(page.locator("#unsent")).to_have_count(0)


def test_old_page_says_how_old_it_is_until_the_server_is_back(
    site: Site, browse_site: Browse, mim: User, incident: Incident
) -> None:
    page = browse_site(mim, path(incident), prepare=lambda page: page.clock.install())
    body, bar = page.locator("body"), page.locator("#live-stale")
    expect(body).to_have_attribute("data-heard", "ok")
    with outage(site):
        page.clock.fast_forward(16_000)
        expect(body).to_have_attribute("data-heard", "amber")
        expect(bar).to_contain_text("Nothing heard for")
        axe(page)
        page.clock.fast_forward(46_000)
        expect(body).to_have_attribute("data-heard", "red")
        expect(bar).to_be_visible()
        axe(page)
    page.clock.fast_forward(5_000)
    expect(body).to_have_attribute("data-heard", "ok", timeout=SOON)
    expect(bar).to_be_hidden()


def test_connection_that_died_without_a_word_is_replaced(
    site: Site, browse_site: Browse, mim: User, incident: Incident
) -> None:
    """The stream is swallowed on the way, as some proxies do: the page asks instead."""
    page = browse_site(
        mim,
        path(incident),
        prepare=lambda page: (page.clock.install(), page.route("**/live?has=*", lambda route: None)),
    )
    actions.post_entry(incident, "Said meanwhile", stamp=stamp(mim, timezone.now()))
    page.clock.fast_forward(16_000)
    expect(log(page)).to_contain_text("Said meanwhile", timeout=SOON)
    expect(page.locator("#live-stale")).to_be_hidden()


# --- Without event streams, without rights, without a script ---


@pytest.mark.parametrize("trouble", ["no EventSource", "refused stream"])
def test_page_asks_where_there_is_no_stream(
    browse_site: Browse, mim: User, deputy: User, incident: Incident, trouble: str
) -> None:
    statuses: list[int] = []

    def prepare(page: Page) -> None:
        if trouble == "no EventSource":
            page.add_init_script("delete window.EventSource")
        else:
            page.route("**/live?has=*", lambda route: route.fulfill(status=503))
        page.on("response", lambda answer: statuses.append(answer.status) if answer.url.endswith("/live") else None)

    page = browse_site(mim, path(incident), prepare=prepare)
    with page.expect_response(lambda answer: answer.url.endswith("/live") and answer.status == 304):
        pass
    say(browse_site(deputy, path(incident)), "Failover started")
    expect(log(page)).to_contain_text("Failover started", timeout=SOON)
    assert set(statuses) == {200, 304}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"role": "stakeholder"}, "What you may do here has changed"),
        ({"is_active": False}, "What you may do here has changed"),
    ],
)
def test_demoted_persons_page_says_so_and_shows_nothing_new(
    browse_site: Browse, mim: User, deputy: User, incident: Incident, change: dict[str, object], says: str
) -> None:
    page, witness = browse_site(deputy, path(incident)), browse_site(mim, path(incident))
    User.objects.filter(pk=deputy.pk).update(**change)
    say(witness, "planted-secret")
    actions.cut_milestone(
        incident,
        title="Public word",
        body="-",
        next_update_eta=timezone.now() + timedelta(hours=1),
        stamp=stamp(mim, timezone.now()),
    )
    expect(log(witness)).to_contain_text("Public word", timeout=SOON)
    expect(page.locator("#live-stale")).to_contain_text(says, timeout=SOON)
    for told in ("planted-secret", "Public word"):
        expect(page.locator("body")).not_to_contain_text(told)


def test_whole_incident_without_a_script(browse_site: Browse, mim: User) -> None:
    TeamFactory(name="Database")
    page = browse_site(mim, "/incidents/new", java_script_enabled=False)
    said = page.locator("#messages")
    page.get_by_label("What is wrong?").fill("Search is down")
    page.get_by_label("◆ High").check(force=True)
    page.get_by_role("button", name="Declare incident").first.click()
    page.wait_for_url(INCIDENT)
    say(page, "Index is corrupt")
    expect(said).to_contain_text("Posted to the log.")
    page.locator("#page-team").fill("Database")
    page.get_by_role("button", name="Page team").click()
    expect(said).to_contain_text("Database paged.")
    page.get_by_role("button", name="Advance to 2 Gather").click()
    expect(said).to_contain_text("Now in phase 2 (Gather).")
    page.locator("#compose > details > summary", has_text="Milestone").click()
    page.locator("#milestone-title").fill("We know")
    page.locator("#milestone-body").fill("Search does not answer.")
    page.get_by_role("button", name="Publish milestone").click()
    expect(said).to_contain_text("Milestone 1 published.")
    page.get_by_role("link", name="Resolve…").click()
    page.get_by_label("What was wrong, and what fixed it?").fill("The index was corrupt.")
    page.get_by_label("Why resolve it all the same?").fill("Small site")
    page.get_by_role("button", name="Resolve").click()
    expect(said).to_contain_text("Resolved.")
    assert Incident.objects.get().status == "resolved"
