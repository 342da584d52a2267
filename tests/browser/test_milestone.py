"""A milestone composed with the keyboard from two log entries, and what each audience then reads of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import User
from incidents import actions
from incidents.models import Incident, MilestoneDraft
from majorops.lib.times import to_millisecond
from tests.browser.conftest import LOOKS, Browse, axe, fits
from tests.factories import stamp


@pytest.fixture
def incident(mim: User) -> Incident:
    now = to_millisecond(timezone.now())
    opened = actions.open_incident(
        title="Checkout fails in region West", severity="critical", stamp=stamp(mim, now - timedelta(minutes=20)),
        customer_impact_summary="Orders cannot be placed.", business_impact="About 18 % of revenue.",
    )  # fmt: skip
    for minutes, line in ((12, "Replica lag seen"), (9, "Failover started"), (5, "Traffic moves")):
        actions.post_entry(opened, line, stamp=stamp(mim, now - timedelta(minutes=minutes)))
    return Incident.objects.get(pk=opened.pk)


def compose(page: Page) -> None:
    """Ticks the two newest entries, and goes to the composer. No pointer."""
    page.keyboard.press("x")
    page.keyboard.press("x")
    expect(page.locator(".pick :checked")).to_have_count(2)
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Compose a milestone")).to_be_visible()


def test_milestone_from_two_entries_by_keyboard(
    browse: Browse, mim: User, stakeholder: User, executive: User, incident: Incident
) -> None:
    page = browse(mim, f"/incidents/{incident.pk}/")
    page.evaluate("document.activeElement.blur()")
    compose(page)
    page.get_by_label("Headline").focus()
    page.keyboard.type("Failing over")
    page.get_by_label("What changed, what comes next").focus()
    page.keyboard.type("Customers will see orders work again.")
    page.get_by_role("button", name="Keep and preview").focus()
    page.keyboard.press("Enter")
    preview = {name: page.locator(f"#preview-{name}") for name in ("stakeholder", "executive", "public")}
    for name in ("stakeholder", "executive"):
        expect(preview[name]).to_contain_text("Failing over")
        expect(preview[name]).to_contain_text("Traffic moves")
        expect(preview[name]).to_contain_text("Failover started")
        expect(preview[name]).not_to_contain_text("Replica lag seen")
    expect(preview["executive"]).to_contain_text("18 % of revenue")
    expect(preview["stakeholder"]).not_to_contain_text("18 % of revenue")
    expect(preview["public"]).to_contain_text("not on the status page")
    words = preview["stakeholder"].locator(".words h3 ~ p").all_inner_texts()
    page.reload()
    expect(page.get_by_label("Headline")).to_have_value("Failing over")
    page.get_by_role("button", name="Publish milestone").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#messages")).to_contain_text("Milestone 1 published.")
    assert incident.milestones.get().sources.count() == 2
    assert not MilestoneDraft.objects.exists()
    for reader in (stakeholder, executive):
        shown = browse(reader, f"/incidents/{incident.pk}/").locator(".milestones")
        for text in words:
            expect(shown).to_contain_text(text.splitlines()[0])


@pytest.mark.parametrize("look", LOOKS)
def test_composer_and_ledger_are_accessible_and_fit(browse: Browse, mim: User, incident: Incident, look: str) -> None:
    now = to_millisecond(timezone.now())
    for ago, due in ((10, 8), (6, 1)):
        actions.cut_milestone(
            incident, title="We are on it", body="Known.", next_update_eta=now - timedelta(minutes=due),
            stamp=stamp(mim, now - timedelta(minutes=ago)),
        )  # fmt: skip
    page = browse(mim, f"/incidents/{incident.pk}/promises", **LOOKS[look])
    axe(page)
    fits(page)
    page.goto(f"/incidents/{incident.pk}/milestone/compose?text=alert-milestone")
    page.get_by_label("Headline").fill("Failing over")
    page.get_by_role("button", name="Keep and preview").click()
    expect(page.locator("#preview-public")).to_be_visible()
    axe(page)
    fits(page)
