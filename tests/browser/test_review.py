"""A learning review in a real browser, from resolving the incident to publishing what was learned."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from accounts.models import User
from incidents import actions
from incidents.models import LearningReview
from tests.browser.conftest import Browse, axe, fits
from tests.factories import stamp

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_review_goes_from_resolved_to_published(browse: Browse, mim: User) -> None:
    incident = actions.open_incident(title="Checkout fails", severity="critical", stamp=stamp(mim))
    page = browse(mim, f"/incidents/{incident.pk}/resolve")
    page.get_by_label("Final milestone").or_(page.locator("textarea").first).first.fill("Failed over.")
    page.locator("[name=reason]").fill("Small.")
    page.get_by_role("button", name="Resolve", exact=True).click()
    page.get_by_role("link", name="Learning review: draft").click()
    page.get_by_label("Owner").first.fill(mim.email)
    page.get_by_label("How it came about").fill("The disk was full, and no alert watched it.")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Add a follow-up").click()
    page.get_by_label("What will be different").fill("Alert on disk space")
    page.locator("#task-owner").fill(mim.email)
    page.locator("#task-due_on").fill("2030-01-31")
    page.get_by_role("button", name="Add follow-up").click()
    axe(page)
    fits(page)
    page.get_by_role("button", name="Send to review").click()
    page.get_by_role("button", name="Publish").click()
    expect(page.locator(".states .current")).to_have_text("Published")
    expect(page.get_by_text("The disk was full, and no alert watched it.")).to_be_visible()
    assert LearningReview.objects.get().published_at is not None
