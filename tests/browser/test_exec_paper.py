"""The executive brief prints on one A4 sheet, however much people wrote."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from accounts.models import User
from incidents import actions
from incidents.models import Incident
from kpis.compute import backfill
from kpis.models import KpiDefinition
from tests.browser.conftest import Browse
from tests.factories import EVENING, NOON, IncidentFactory, at, stamp

pytestmark = pytest.mark.django_db(transaction=True)

LONG = (
    "Checkout in region West stands still since the primary database lost its storage controller. Orders that were "
    "placed before 12:44 are safe; baskets are kept and nothing is charged twice. Partners who book over the interface "
    "get an error and are asked to wait. "
)


@pytest.fixture
def incident(mim: User) -> Incident:
    """A long night: every text is longer than its place, with milestones, changes of risk and KPIs."""
    texts = ("business_impact", "customer_impact_summary", "exec_summary", "decision_asked", "audience_notes")
    incident = IncidentFactory(
        title="prod-west-db-01 unreachable, checkout and partner interface down in region West " * 2,
        customer_count=1_240_311, external_impact="yes", severity="critical", **dict.fromkeys(texts, LONG * 9),
    )  # fmt: skip
    for number, risk in enumerate(("high", "low", "high", "medium")):
        actions.edit_incident(incident, {"risk_level": risk}, stamp=stamp(mim, at(f"12:{10 + number}")))
    body = "\n\n".join([LONG * 2] * 4)
    actions.cut_milestone(incident, title=LONG[:190], body=body, next_update_eta=EVENING, stamp=stamp(mim, at("12:30")))
    actions.accept_summary(incident, (LONG * 9)[:1190], stamp=stamp(mim, at("12:40")))
    for _ in range(3):
        IncidentFactory(closed=True, detected_at=NOON)
    for slug in ("mttr", "cadence-adherence", "stakeholder-satisfaction"):
        backfill(KpiDefinition.objects.get(slug=slug), as_of=at("2026-03-03T00:00"))
    return incident


def test_it_prints_on_one_sheet(browse: Browse, incident: Incident, executive: User) -> None:
    page = browse(executive, f"/incidents/{incident.pk}/exec")
    expect(page.locator("h1")).to_be_visible()
    assert page.locator(".exec-kpis tbody tr").count() >= 3
    paper = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", paper)) == 1


def test_what_is_new_stays_marked_when_the_page_changes_by_itself(
    browse: Browse, incident: Incident, stakeholder: User, mim: User
) -> None:
    actions.bookmark(incident, stakeholder, now=at("12:20"))
    page = browse(stakeholder, f"/incidents/{incident.pk}/brief")
    expect(page.locator(".told .new")).to_have_count(1)
    now = stamp(mim, incident.timeline.order_by("-recorded_at")[0].recorded_at)
    actions.cut_milestone(incident, title="Back again", body="It works.", next_update_eta=EVENING, stamp=now)
    expect(page.get_by_role("heading", name="Back again")).to_be_visible(timeout=15_000)
    expect(page.locator(".told .new")).to_have_count(2)
