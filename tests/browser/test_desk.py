"""The command page in a browser: to look at, by keyboard alone, and with a server that does not answer."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import User
from incidents import actions
from incidents.models import Incident
from majorops.lib.times import to_millisecond
from tests.browser.conftest import LOOKS, Browse, axe, fits
from tests.factories import TeamFactory, UserFactory, stamp

INCIDENT = re.compile(r"/incidents/[0-9A-Z]{26}/(#.*)?$")


@pytest.fixture
def incident(mim: User) -> Incident:
    """A quarter of an hour old, with a team awaited and a promise that is overdue."""
    now = to_millisecond(timezone.now())

    def ago(minutes: int) -> actions.Stamp:
        return stamp(mim, now - timedelta(minutes=minutes))

    opened = actions.open_incident(
        title="Checkout fails in region West", severity="critical", stamp=ago(15),
        bridge_url="https://meet.example.com/one", customer_count=1240, issue_time=now - timedelta(minutes=17),
        affected_systems=["Checkout"], customer_impact_summary="Orders cannot be placed.",
    )  # fmt: skip
    actions.page_team(opened, TeamFactory(name="Database"), stamp=ago(12))
    actions.post_entry(opened, "Failover started", stamp=ago(11))
    actions.cut_milestone(
        opened, title="We are on it", body="Known.", stamp=ago(10), next_update_eta=now - timedelta(minutes=2)
    )
    return Incident.objects.get(pk=opened.pk)


def path(incident: Incident) -> str:
    return f"/incidents/{incident.pk}/"


@pytest.mark.parametrize("look", LOOKS)
def test_page_is_accessible_and_fits(browse: Browse, mim: User, incident: Incident, look: str) -> None:
    page = browse(mim, path(incident), **LOOKS[look])
    axe(page)
    fits(page)
    page.evaluate("document.querySelectorAll('details:not([name], .pop)').forEach((each) => { each.open = true; })")
    axe(page)
    fits(page)


@pytest.mark.parametrize("rest", ["edit", "resolve"])
def test_forms_below_are_accessible(browse: Browse, mim: User, incident: Incident, rest: str) -> None:
    page = browse(mim, path(incident) + rest, **LOOKS["phone"])
    axe(page)
    fits(page)


def test_first_screen_of_a_phone_has_what_counts(browse: Browse, mim: User, incident: Incident) -> None:
    """State, severity, elapsed time, the next update, the bridge and the main action, at 360 x 640, unscrolled."""
    page = browse(mim, path(incident), viewport={"width": 360, "height": 640})
    top_of_footbar = page.locator(".footbar").bounding_box()["y"]  # type: ignore[index]
    for what in (".sev", ".pill", "h1", ".clock", ".due", ".bridge", ".head .next"):
        box = page.locator(f".head {what}".replace(".head .head", ".head")).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= top_of_footbar, what


def test_whole_incident_by_keyboard_alone(browse: Browse, mim: User) -> None:
    """Declare, page a team, log, advance, milestone, resolve; no pointer."""
    TeamFactory(name="Database")
    page = browse(mim, "/incidents/new")
    page.get_by_label("What is wrong?").focus()
    page.keyboard.type("Search is down")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url(INCIDENT)
    _leave_fields(page)
    page.keyboard.press("t")
    page.keyboard.type("Database")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#messages")).to_contain_text("Database paged.")
    _leave_fields(page)
    page.keyboard.press("l")
    page.keyboard.type("Index rebuilt")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#live-log")).to_contain_text("Index rebuilt")
    expect(page.get_by_label("What happened?")).to_have_value("")
    _leave_fields(page)
    page.keyboard.press("p")
    page.keyboard.press("Enter")
    expect(page.locator("#messages")).to_contain_text("Now in phase 2 (Gather).")
    _leave_fields(page)
    page.keyboard.press("m")
    page.keyboard.type("We know")
    page.get_by_label("What changed, what comes next").focus()
    page.keyboard.type("Search does not answer.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#messages")).to_contain_text("Milestone 1 published.")
    _leave_fields(page)
    page.get_by_role("link", name="Resolve…").focus()
    page.keyboard.press("Enter")
    page.get_by_label("What was wrong, and what fixed it?").fill("The index was corrupt.")
    page.get_by_label("Why resolve it all the same?").fill("Small site")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(INCIDENT)
    assert Incident.objects.get().status == "resolved"


def _leave_fields(page: Page) -> None:
    page.evaluate("document.activeElement.blur()")


def test_post_swaps_what_changed_and_keeps_what_is_half_typed(browse: Browse, mim: User, incident: Incident) -> None:
    page = browse(mim, path(incident))
    page.evaluate("window.stayed = true")
    page.get_by_label("What happened?").fill("half typed")
    page.get_by_role("button", name="Database arrived").click()
    expect(page.locator("#live-teams")).to_contain_text("late")
    expect(page.get_by_label("What happened?")).to_have_value("half typed")
    assert page.evaluate("window.stayed")


def test_arrival_is_undone_with_z(browse: Browse, mim: User, incident: Incident) -> None:
    page = browse(mim, path(incident))
    page.get_by_role("button", name="Database arrived").click()
    expect(page.locator("#messages")).to_contain_text("Database on the bridge.")
    _leave_fields(page)
    page.keyboard.press("z")
    expect(page.locator("#messages")).to_contain_text("Undone")
    expect(page.get_by_role("button", name="Database arrived")).to_be_visible()


def test_draft_outlives_the_page_until_it_is_sent(browse: Browse, mim: User, incident: Incident) -> None:
    page = browse(mim, path(incident))
    page.get_by_label("What happened?").fill("typed before the crash")
    page.reload()
    expect(page.get_by_label("What happened?")).to_have_value("typed before the crash")
    page.get_by_role("button", name="Post").click()
    expect(page.locator("#messages")).to_contain_text("Posted to the log.")
    page.reload()
    expect(page.get_by_label("What happened?")).to_have_value("")


def test_line_that_could_not_be_sent_says_so_and_is_sent_again(browse: Browse, mim: User, incident: Incident) -> None:
    page = browse(mim, path(incident))
    page.route("**/post", lambda route: route.abort())
    page.get_by_label("What happened?").fill("Written in a tunnel")
    page.get_by_role("button", name="Post").click()
    expect(page.locator(".unsent")).to_contain_text("Written in a tunnel")
    page.unroute("**/post")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("#messages")).to_contain_text("Posted to the log.")
    assert incident.timeline.filter(title="Written in a tunnel").count() == 1


def test_refusal_stands_at_its_field(browse: Browse, mim: User, incident: Incident) -> None:
    page = browse(mim, path(incident))
    page.get_by_label("What happened?").fill("Kept")
    page.get_by_text("Public", exact=True).first.click()
    page.get_by_role("button", name="Post").click()
    expect(page.locator("#compose")).to_contain_text("Tick this to publish")
    expect(page.get_by_label("What happened?")).to_have_value("Kept")
    axe(page)


def test_keys_can_be_switched_off(browse: Browse, mim: User, incident: Incident) -> None:
    page = browse(mim, path(incident))
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    axe(page)
    page.get_by_label("Single keys act on this page").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    expect(page.get_by_label("What happened?")).not_to_be_focused()


def test_taking_a_role_over_asks_on_a_page_of_its_own(browse: Browse, mim: User, incident: Incident) -> None:
    actions.assign_role(incident, "mim", user=UserFactory(display_name="N. Ferrari", role="mim"), stamp=stamp(mim))
    page = browse(mim, path(incident))
    page.get_by_role("button", name="Take over Major Incident Manager").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("N. Ferrari is Major Incident Manager")
    axe(page)
    page.get_by_role("button", name="Yes, R. Okafor takes over").click()
    expect(page.locator("#live-command")).to_contain_text("R. Okafor")


def test_everything_works_without_a_script(browse: Browse, mim: User, incident: Incident) -> None:
    page = browse(mim, path(incident), java_script_enabled=False)
    page.get_by_role("button", name="Database acknowledged").click()
    expect(page.locator("#messages")).to_contain_text("Database acknowledged.")
    page.get_by_role("button", name="Advance to 2 Gather").click()
    expect(page.locator("#messages")).to_contain_text("Now in phase 2 (Gather).")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#messages")).to_contain_text("Undone")


def test_times_follow_the_zone_that_was_chosen(browse: Browse, mim: User, incident: Incident) -> None:
    page = browse(mim, path(incident), timezone_id="Asia/Tokyo")
    before = page.locator("#live-head time[data-hour]").inner_text()
    page.get_by_role("button", name="Times in UTC").click()
    after = page.locator("#live-head time[data-hour]").inner_text()
    assert before.endswith("UTC")
    assert after.endswith("GMT+9")
    assert (int(after[:2]) - int(before[-9:-7])) % 24 == 9
