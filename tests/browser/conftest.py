"""A real browser in front of a real server: Chromium, as this machine has it, over the live test server.

`browse(person)` opens a page as that person, `browse_site(person)` does on a server with event streams; `axe(page)`
holds it to WCAG. Where there is no Chromium every test
here is skipped, and the closing line of the run counts them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests.browser.chromium import chromium
from tests.serving import Site, serving

Browse = Callable[..., Page]
GRAVE = ("serious", "critical")
#: Sizes that a page has to work at, and both schemes.
LOOKS: dict[str, dict[str, Any]] = {
    "wide": {"viewport": {"width": 1440, "height": 900}},
    "dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 320, "height": 640}, "has_touch": True},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium per file: its event loop must not run while other files test coroutines."""
    path = chromium()
    if path is None:
        pytest.skip(
            "NO BROWSER: there is no Chromium here (on Debian: apt install chromium), so pages are not looked at"
        )
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop runs in this thread, and Django refuses the database to threads that have one.
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        chrome = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chrome
        chrome.close()


@pytest.fixture
def browse(browser: Browser, live_server: LiveServer) -> Iterator[Browse]:
    """Opens a page as a person: `browse(mim, "/incidents/")`, `browse(mim, path, **LOOKS["phone"])`."""
    yield from _browsing(browser, live_server.url)


@pytest.fixture(scope="module")
def site(django_db_setup: None) -> Iterator[Site]:
    """One server for all tests of a file, as people run it: a process of its own, with event streams."""
    with serving() as site:
        yield site
        site.listener.close()  # an outage may have put another one in its place


@pytest.fixture
def browse_site(browser: Browser, site: Site) -> Iterator[Browse]:
    """As `browse`, on that server. Every call is another person's browser."""
    yield from _browsing(browser, site.url)


def _browsing(browser: Browser, url: str) -> Iterator[Browse]:
    """A script that fails, and anything the content security policy refuses, fails the test at its end."""
    faults: list[str] = []

    def opened(
        person: User, path: str = "/", *, prepare: Callable[[Page], object] | None = None, **options: Any
    ) -> Page:
        header = {"Cf-Access-Authenticated-User-Email": person.email}
        context = browser.new_context(base_url=url, extra_http_headers=header, **options)
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
        if prepare:
            prepare(page)
        page.goto(path)
        return page

    yield opened
    for context in browser.contexts:
        context.close()
    assert faults == []


def axe(page: Page, *rules: str) -> None:
    """No serious or critical accessibility finding, of these rules or of any. Names the elements that break one."""
    # What fades in has no contrast yet.
    page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished))")
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    found = Axe().run(page, options=options).response["violations"]
    grave = [
        f"{rule['id']} ({rule['impact']}): {', '.join(str(node['target'][0]) for node in rule['nodes'][:5])}"
        for rule in found
        if rule["impact"] in GRAVE
    ]
    assert not grave, "\n".join(grave)


def fits(page: Page) -> None:
    """Nothing sticks out to the side (WCAG 1.4.10)."""
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        who = page.evaluate(STICKS_OUT)
        raise AssertionError(f"{wide} px stick out: {who}")


#: What reaches beyond the screen and is not inside something that scrolls by itself.
STICKS_OUT = """() => [...document.querySelectorAll("main *")]
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
    .filter((each) => !each.closest("[class*=scroll], nav, table"))
    .slice(0, 3).map((each) => `${each.tagName}.${each.className} ${each.textContent.trim().slice(0, 40)}`)"""
