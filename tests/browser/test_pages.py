"""The pages around the command page, as a browser shows them: at every size, in both schemes, without network."""

from __future__ import annotations

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from accounts.models import User
from incidents import actions
from incidents.models import Incident, TeamPage, TimelineEvent
from tests.browser.conftest import LOOKS, Browse, axe, fits
from tests.factories import IncidentFactory, TeamFactory, TimelineEventFactory, stamp

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def incident(mim: User, engineer: User) -> Incident:
    """Open since just now; the engineer's team is paged, an entry is corrected, another one is overdue."""
    stamped = stamp(mim, timezone.now())
    incident = actions.open_incident(
        title="Checkout fails", severity="critical", stamp=stamped, bridge_url="https://meet.example.com/one"
    )
    team = TeamFactory(name="Database")
    team.memberships.create(user=engineer)
    actions.page_team(incident, team, stamp=stamped)
    entry = actions.post_entry(incident, "Lag is 900 s", stamp=stamped)
    actions.correct_entry(incident, entry, title="Lag is 90 s", stamp=stamped)
    TimelineEventFactory(incident=incident, title="Long ago", visibility=None)
    IncidentFactory(title="A" * 40, severity="low", closed=True, kind="drill")
    IncidentFactory(title="Search is slow", severity="medium", next_update_eta=stamped.at, affected_systems=["Search"])
    return incident


PAGES = {
    "list": ("mim", "/incidents/"),
    "list filtered": ("mim", "/incidents/?severity=low&overdue="),
    "nothing found": ("stakeholder", "/incidents/?q=nothing"),
    "log": ("mim", "/incidents/{}/log"),
    "log filtered": ("stakeholder", "/incidents/{}/log?order=oldest&audience="),
    "declare": ("mim", "/incidents/new?title=Checkout&severity=high&alert_id=Q1"),
    "responder": ("engineer", "/r/{}"),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible_and_fits(
    request: pytest.FixtureRequest, browse: Browse, incident: Incident, name: str, look: str
) -> None:
    who, path = PAGES[name]
    page = browse(request.getfixturevalue(who), path.format(incident.pk), **LOOKS[look])
    expect(page.locator("h1")).to_be_visible()
    fits(page)
    axe(page)


def test_phone_shows_the_incident_and_the_button_without_scrolling(
    browse: Browse, mim: User, engineer: User, incident: Incident
) -> None:
    seen = browse(mim, "/incidents/", **LOOKS["phone"])
    expect(seen.get_by_role("link", name="Checkout fails")).to_be_in_viewport()
    duty = browse(engineer, f"/r/{incident.pk}", **LOOKS["phone"])
    expect(duty.get_by_role("button", name="I'm here")).to_be_in_viewport()
    box = duty.get_by_role("button", name="I'm here").bounding_box()
    assert box is not None
    assert box["height"] >= 88


@pytest.mark.parametrize("with_script", [True, False])
def test_one_tap_is_enough(browse: Browse, engineer: User, incident: Incident, with_script: bool) -> None:
    page = browse(engineer, f"/r/{incident.pk}", java_script_enabled=with_script)
    page.get_by_role("button", name="I'm here").click()
    expect(page.get_by_text("You are here since").first).to_be_visible()
    assert TeamPage.objects.get().arrival_source == "self"


def test_tap_without_network_is_kept_and_sent_with_its_time(browse: Browse, engineer: User, incident: Incident) -> None:
    page = browse(engineer, f"/r/{incident.pk}")
    page.context.set_offline(True)
    before = timezone.now()
    page.get_by_role("button", name="I'm here").click()
    expect(page.get_by_text("sent as soon as you are online")).to_be_visible()
    assert TeamPage.objects.get().arrived_at is None
    tapped = timezone.now()
    page.context.set_offline(False)
    expect(page.get_by_text("You are here since").first).to_be_visible()
    arrived = TeamPage.objects.get().arrived_at
    assert arrived is not None
    assert before.timestamp() - 1 <= arrived.timestamp() <= tapped.timestamp() + 1
    assert TimelineEvent.objects.filter(description__startswith="Client time").exists()


def test_declaring_ends_in_the_composer(browse: Browse, mim: User) -> None:
    page = browse(mim, "/incidents/new")
    page.get_by_label("What is wrong?").fill("Search is down")
    page.get_by_label("◆ High").check(force=True)
    page.get_by_role("button", name="Declare incident").first.click()
    expect(page.locator("#post-text")).to_be_focused()


def test_print_has_no_navigation_and_names_the_zone(browse: Browse, mim: User, incident: Incident) -> None:
    page = browse(mim, f"/incidents/{incident.pk}/log")
    page.emulate_media(media="print")
    expect(page.get_by_text("All times are UTC.")).to_be_visible()
    for gone in (page.locator(".appbar"), page.locator("form.filters"), page.get_by_text("CSV", exact=True)):
        expect(gone).to_be_hidden()
