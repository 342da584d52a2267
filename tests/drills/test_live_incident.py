# ruff: noqa: F811 - fixtures are imported, and asked for by name
"""Live pages under load and through a long outage, with real browsers: `make drill`."""

from __future__ import annotations

import statistics
import threading
import time
from contextlib import suppress

import pytest
from playwright.sync_api import expect

from accounts.models import User
from incidents.models import Incident
from tests.browser.conftest import Browse, browse_site, browser, site  # noqa: F401
from tests.browser.test_incident import deputy, entries, incident, log, outage, path, say  # noqa: F401
from tests.factories import UserFactory
from tests.serving import Ended, Site, Stream

pytestmark = pytest.mark.django_db(transaction=True)

VIEWERS, POSTS, DOWN = 200, 40, 20
#: The time at which an entry with this text is in the log, as the browser's clock says it.
SEEN = """(text) => new Promise((seen) => {
  const look = () => document.querySelector("#live-log").textContent.includes(text) && (seen(Date.now()), true);
  if (!look()) new MutationObserver((_, watching) => look() && watching.disconnect())
    .observe(document.body, { childList: true, subtree: true });
})"""


def test_how_long_a_post_takes_to_other_screens(
    site: Site,
    browse_site: Browse,
    mim: User,
    deputy: User,
    incident: Incident,
) -> None:
    """200 viewers on sockets and one browser. Told, not judged: it is a figure of the machine."""
    people = [UserFactory(role=("stakeholder", "executive", "mim")[n % 3]) for n in range(VIEWERS)]
    streams = [site.watch(person, path(incident) + "live") for person in people]
    for stream in streams:
        threading.Thread(target=_drain, args=[stream], daemon=True).start()
    page = browse_site(deputy, path(incident))
    expect(page.locator("#live-state")).to_have_text("live")
    taken = []
    for number in range(POSTS):
        text = f"Line number {number}."
        page.evaluate(f"window.seen = ({SEEN})({text!r}); 0")
        before = time.time()
        status, _ = site.ask(mim, "POST", f"/api/v1{path(incident)}timeline", {"title": text})
        assert status == 201
        taken.append(page.evaluate("window.seen") / 1000 - before)
    p95 = statistics.quantiles(taken, n=20)[-1]
    print(f"\npost to other screen, {VIEWERS} viewers: median {statistics.median(taken):.3f} s, p95 {p95:.3f} s")


def _drain(stream: Stream) -> None:
    with suppress(Ended, OSError, ValueError):
        while True:
            stream.next()


def test_nothing_is_lost_or_doubled_in_a_long_outage(
    site: Site,
    browse_site: Browse,
    mim: User,
    deputy: User,
    incident: Incident,
) -> None:
    here, there = browse_site(mim, path(incident)), browse_site(deputy, path(incident))
    said = [f"During the outage, {number}" for number in range(5)]
    with outage(site):
        for number, text in enumerate(said):
            say((here, there)[number % 2], text)
        expect(here.locator("body")).to_have_attribute("data-heard", "amber", timeout=DOWN * 1000)
        time.sleep(DOWN - 15)
    for page in (here, there):
        while page.locator("#unsent li").count():
            left = page.locator("#unsent li").count()
            page.get_by_role("button", name="Retry").first.click()
            expect(page.locator("#unsent li")).to_have_count(left - 1, timeout=20_000)
    for page in (here, there):
        for text in said:
            expect(log(page).get_by_text(text, exact=True)).to_have_count(1, timeout=20_000)
        expect(page.locator("body")).to_have_attribute("data-heard", "ok", timeout=20_000)
    assert entries(here) == entries(there)
    assert incident.timeline.filter(title__startswith="During").count() == len(said)
