"""An answer that never arrives: the browser sends again, and the server does it once."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from accounts.models import IdempotencyKey, User
from incidents import actions
from incidents.models import Incident
from teams.models import Membership
from tests.browser.conftest import Browse
from tests.factories import TeamFactory, stamp


@pytest.fixture
def incident(mim: User, engineer: User) -> Incident:
    """One that the engineer's team was paged for."""
    opened = actions.open_incident(title="Checkout fails", severity="critical", stamp=stamp(mim))
    team = TeamFactory(name="Database")
    Membership.objects.create(team=team, user=engineer)
    actions.page_team(opened, team, stamp=stamp(mim))
    return opened


def lose_the_answer(route: Route) -> None:
    """The server carries it out; the browser hears of a broken connection."""
    assert route.fetch(max_redirects=0).status == 302
    route.abort()


def test_line_whose_answer_was_lost_is_posted_once(browse: Browse, mim: User, incident: Incident) -> None:
    page = browse(mim, f"/incidents/{incident.pk}/")
    page.route("**/post", lose_the_answer)
    page.get_by_label("What happened?").fill("Failover begun")
    page.get_by_role("button", name="Post").click()
    expect(page.locator(".unsent")).to_contain_text("Failover begun")
    page.unroute("**/post")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".unsent")).to_have_count(0)
    expect(page.locator("#live-log")).to_contain_text("Failover begun")
    assert incident.timeline.filter(title="Failover begun").count() == IdempotencyKey.objects.count() == 1


def test_tap_whose_answer_was_lost_counts_once(browse: Browse, engineer: User, incident: Incident) -> None:
    page = browse(engineer, f"/r/{incident.pk}")
    page.route("**/post", lose_the_answer)
    page.get_by_label("What happened?").fill("Failover begun")
    page.get_by_role("button", name="Post").click()
    expect(page.get_by_text("sent as soon as you are online")).to_be_visible()
    page.unroute("**/post")
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.get_by_text("Failover begun").first).to_be_visible()
    assert incident.timeline.filter(title="Failover begun").count() == IdempotencyKey.objects.count() == 1
