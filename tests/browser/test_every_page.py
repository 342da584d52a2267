"""Every page that a manager, a stakeholder or an administrator can open: accessible and without sideways scrolling."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import LazySettings
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import User
from incidents import actions
from incidents.models import Incident, StatusComponent
from kpis.compute import backfill
from kpis.models import Fact, KpiDefinition, KpiObservation, Report
from kpis.packs.sessions import ANOMALY
from majorops import demo
from majorops.lib.ulid import new_ulid
from tests.browser.conftest import LOOKS, Browse, axe, fits
from tests.factories import EVENING, NOON, TeamFactory, stamp
from tests.walk import WHOLE

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = {
    "mim": [
        "/incidents/", "/incidents/new", "/incidents/{open}/", "/incidents/{open}/log", "/incidents/{open}/edit",
        "/incidents/{open}/resolve", "/incidents/{open}/kpis", "/incidents/{open}/correct/{entry}",
        "/incidents/{done}/", "/incidents/{done}/reopen", "/incidents/{done}/kpis", "/r/{open}",
        "/incidents/{done}/review", "/incidents/{done}/survey", "/incidents/{done}/link", "/incidents/new/past",
        "/reviews/", "/follow-ups/", "/calendar", "/kpis", "/kpis/mttr",
        "/kpis/mttr/observations/{why}", "/scorecards/exec", "/scorecards/stakeholder", "/scorecards/readiness",
        "/who", "/incidents/{absent}/", "/incidents/{open}/brief",
        "/incidents/{open}/exec", "/incidents/{open}/summary",
    ],
    "stakeholder": [
        "/incidents/", "/incidents/{open}/", "/incidents/{open}/log", "/kpis", "/scorecards/stakeholder",
        "/incidents/new", "/scorecards/exec", "/incidents/{absent}/",
        "/incidents/{open}/brief", "/incidents/{done}/brief",
    ],
    "executive": ["/exec/", "/exec/?kiosk=1", "/incidents/{open}/exec", "/incidents/{done}/exec"],
    "admin_user": ["/incidents/{open}/", "/kpis", "/scorecards/exec"],
    # Whoever it is, the status page is the same.
    "engineer": ["/status/", "/status/history", "/status/{public}/", "/status/never-there/"],
}  # fmt: skip

#: With facts, packs, alerts and reports, as `mim demo load` leaves them.
DEMO = {
    "mim": [
        "/kpis", "/kpis/deployment-success-rate", "/packs/", "/packs/engineering-impact/",
        "/packs/operator-control-centre/", "/packs/success-tracker/", "/anomalies/", "/anomalies/{anomaly}", "/pulse",
        "/pulse?wall=1", "/kpi-alerts/", "/reports/", "/reports/{daily}", "/alerts/", "/scorecards", "/phase-dwell",
        "/teams/arrivals", "/me/response-times", "/people/response-times",
    ],
    "executive": [
        "/packs/engineering-impact/claims", "/packs/engineering-impact/roadmap",
        "/packs/engineering-impact/case-study", "/reports/{weekly-executive}", "/pulse", "/kpi-alerts/",
    ],
}  # fmt: skip


@pytest.fixture
def world(mim: User, settings: LazySettings, tmp_path: Path) -> dict[str, str]:
    """An open incident and one that is over, with figures."""
    now = stamp(mim)
    ids = {}
    for name in ("open", "done"):
        incident = actions.open_incident(title="Checkout fails", severity="critical", stamp=now, customer_count=12)
        actions.page_team(incident, TeamFactory(), stamp=now)
        actions.post_entry(incident, "Failover started", stamp=now)
        actions.cut_milestone(incident, title="Known", body="It is known.", next_update_eta=EVENING, stamp=now)
        ids[name] = incident.pk
    settings.MAJOROPS_STATUS_PAGE, settings.MAJOROPS_STATUS_FOLDER = True, str(tmp_path)
    StatusComponent.objects.create(name="Checkout", group="Shop", description="Baskets and orders.", systems=["web"])
    for pk in ids.values():
        row = Incident.objects.get(pk=pk)
        actions.edit_incident(row, {"publish_status": True, "public_title": "Orders fail"}, stamp=now)
    ids["public"] = Incident.objects.get(pk=ids["open"]).public_id
    actions.resolve(Incident.objects.get(pk=ids["done"]), summary="Fixed.", reason="Small", stamp=stamp(mim, NOON))
    for slug in ("mttr", "mtta", "cadence-adherence", "team-page-to-bridge"):
        backfill(KpiDefinition.objects.get(slug=slug), as_of=NOON)
    why = KpiObservation.objects.current().filter(kpi="mttr", window="all", dims_key="").latest("timestamp")
    entry = Incident.objects.get(pk=ids["open"]).timeline.filter(title="Failover started").get()
    return {**ids, "entry": entry.pk, "why": why.pk, "absent": new_ulid()}


@pytest.mark.parametrize(
    ("who", "look"), [(who, look) for who in PAGES for look in LOOKS if WHOLE or who == "mim" or look == "phone"]
)
def test_every_page_is_accessible_and_fits(
    request: pytest.FixtureRequest, browse: Browse, world: dict[str, str], who: str, look: str
) -> None:
    page = browse(request.getfixturevalue(who), "/who", **LOOKS[look])
    assert _faults(page, look, [path.format(**world) for path in PAGES[who]]) == {}


@pytest.mark.parametrize("look", LOOKS if WHOLE else ["phone"])
def test_every_page_of_the_demo_is_accessible_and_fits(browse: Browse, look: str) -> None:
    demo.load(timezone.now())
    places = dict(Report.objects.values_list("kind", "pk"))
    places["anomaly"] = Fact.objects.filter(kind=ANOMALY).latest("occurred_at").pk
    for who, paths in DEMO.items():
        page = browse(User.objects.get(email=f"{who}@example.com"), "/who", **LOOKS[look])
        assert _faults(page, look, [path.format(**places) for path in paths]) == {}


def contrast(page: Page) -> None:
    axe(page, "color-contrast", "link-in-text-block")


#: The dark scheme changes colours and nothing else. What is on a page is the same however wide it is, so the short walk
#: asks for it where things get into each other's way; `make drill` asks everywhere.
CHECKS = {"wide": (axe, fits) if WHOLE else (fits,), "dark": (contrast,), "phone": (axe, fits)}


def _faults(page: Page, look: str, paths: list[str]) -> dict[str, str]:
    found = {}
    for path in paths:
        page.goto(path)
        expect(page.locator("h1")).to_be_visible()
        for check in CHECKS[look]:
            try:
                check(page)
            except AssertionError as fault:
                found[path] = str(fault)
    return found
