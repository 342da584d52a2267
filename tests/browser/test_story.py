"""One incident from the first word to the published review, with everybody who is part of it in a browser of their own.

`MAJOROPS_STORY=docs/story` keeps what each of them sees at the end of every chapter, and writes docs/story.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from incidents.models import Incident, StatusComponent
from tests.browser.conftest import axe
from tests.browser.palette import smaller
from tests.factories import TeamFactory, UserFactory
from tests.serving import IDENTITY, Site, serving

pytestmark = pytest.mark.django_db(transaction=True)
KEPT = os.environ.get("MAJOROPS_STORY", "")
#: How long a change may take to the screen of somebody else.
SOON = 10_000
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
SECRET = "The standby was never tested."
#: Who looks at what, at the end of each chapter.
PLACES = {
    "manager": "/incidents/{id}/",
    "engineer": "/r/{id}",
    "stakeholder": "/incidents/{id}/brief",
    "executive": "/incidents/{id}/exec",
    "everybody": "/status/",
}


class Cast:
    """A browser for each, and an album of what they saw."""

    def __init__(self, browser: Browser, url: str, people: dict[str, User]) -> None:
        self.pages = {name: self._open(browser, url, people.get(name), name) for name in PLACES}
        self.chapters: list[tuple[str, str]] = []

    def _open(self, browser: Browser, url: str, person: User | None, name: str) -> Page:
        context = browser.new_context(
            base_url=url,
            extra_http_headers={IDENTITY: person.email} if person else {},
            viewport=PHONE if name == "engineer" else DESK,
            reduced_motion="reduce",
            timezone_id="UTC",
            locale="en-GB",
        )
        context.set_default_timeout(20_000)
        return context.new_page()

    def chapter(self, title: str, text: str, incident: Incident, **elsewhere: str) -> None:
        """Everybody looks. Nothing internal is on the screen of those who may not know it."""
        self.chapters.append((title, text))
        for name, page in self.pages.items():
            place = {**PLACES, **elsewhere}[name].format(id=incident.pk, public_id=incident.public_id)
            page.goto(place)
            page.reload()  # the status page may come from the browser's cache for some seconds
            if "/review" not in place and name in ("stakeholder", "executive", "everybody"):
                assert SECRET not in page.content(), (title, name)
            if KEPT:
                file = Path(KEPT) / f"{len(self.chapters)}-{name}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                taken = page.screenshot()
                page.goto("about:blank")
                file.write_bytes(smaller(page, taken))
                page.goto(place)

    def write(self) -> None:
        told = ["# One incident, seen by everybody", "", "Played and photographed by tests/browser/test_story.py.", ""]
        for number, (title, text) in enumerate(self.chapters, 1):
            told += [
                f"## {number}. {title}",
                "",
                text,
                "",
                "| " + " | ".join(PLACES) + " |",
                "|---" * len(PLACES) + "|",
            ]
            seen = (f"![{name}, chapter {number}]({Path(KEPT).name}/{number}-{name}.png)" for name in PLACES)
            told += ["| " + " | ".join(seen) + " |", ""]
        Path(KEPT).with_suffix(".md").write_text("\n".join(told))


@pytest.fixture
def site(settings: LazySettings, tmp_path: Path) -> Iterator[Site]:
    folder = str(tmp_path / "status")
    settings.MAJOROPS_STATUS_PAGE, settings.MAJOROPS_STATUS_FOLDER = True, folder
    named = {"MAJOROPS_STATUS_PAGE": "1", "MAJOROPS_STATUS_FOLDER": folder, "MAJOROPS_STATUS_NAME": "Example"}
    with serving(**named) as running:
        yield running


@pytest.fixture
def cast(browser: Browser, site: Site, mim: User, stakeholder: User, executive: User) -> Iterator[Cast]:
    engineer = UserFactory(email="oncall@example.com", display_name="P. Nowak")
    team = TeamFactory(name="Database", slug="database", on_call_contact="P. Nowak")
    team.members.add(engineer)
    StatusComponent.objects.create(name="Checkout", systems=["Checkout"])
    people = {"manager": mim, "engineer": engineer, "stakeholder": stakeholder, "executive": executive}
    cast = Cast(browser, site.url, people)
    yield cast
    for page in cast.pages.values():
        page.context.close()


def test_an_incident_from_the_first_word_to_the_published_review(cast: Cast) -> None:
    manager, engineer = cast.pages["manager"], cast.pages["engineer"]
    incident = declare(manager)
    cast.chapter("Declared", "A title and a severity. Nobody outside is told anything yet.", incident)

    call(manager, engineer, incident)
    cast.chapter("Called", "The team is paged, says it is there with one tap, and writes into the log.", incident)

    publish(manager, incident)
    cast.chapter("Told", "The first milestone: what is known, and when the next word comes.", incident)
    expect(cast.pages["stakeholder"].locator("main")).to_contain_text("We are on it")
    expect(cast.pages["everybody"].locator("main")).to_contain_text("Orders fail in region West")

    resolve(manager, incident)
    cast.chapter("Resolved", "The last word goes to everybody who had the first. The clocks stand.", incident)
    expect(cast.pages["stakeholder"].locator("main")).to_contain_text("Orders go through again.")

    learn(manager, incident)
    review = dict.fromkeys(("manager", "engineer", "executive"), "/incidents/{id}/review")
    review["everybody"] = "/status/{public_id}/"
    learned = "The review is published: what it was, and who changes what. Everybody reads what was written for them."
    cast.chapter("Learned", learned, incident, **review)
    expect(cast.pages["executive"].locator("main")).to_contain_text("The disk was full")
    expect(cast.pages["everybody"].locator("main")).to_contain_text("A full disk stopped orders")
    expect(cast.pages["everybody"].locator("main")).not_to_contain_text("no alert watched it")
    cast.pages["stakeholder"].goto(f"/incidents/{incident.pk}/review")  # it quotes the log
    expect(cast.pages["stakeholder"].locator("h1")).to_have_text("Not found")
    if KEPT:
        cast.write()


def declare(manager: Page) -> Incident:
    manager.goto("/incidents/new")
    manager.get_by_label("What is wrong?").fill("prod-west-db-01 unreachable")
    manager.get_by_label("Critical").check()
    manager.get_by_role("button", name="Declare").click()
    manager.wait_for_url(re.compile(r"/incidents/\w{26}/"))
    return Incident.objects.get()


def call(manager: Page, engineer: Page, incident: Incident) -> None:
    manager.locator("#call-team input[name=team]").fill("Database")
    manager.get_by_role("button", name="Page team").click()
    expect(manager.locator("#messages")).to_contain_text("Database paged.")
    engineer.goto(f"/r/{incident.pk}")
    engineer.get_by_role("button", name=re.compile("here", re.IGNORECASE)).first.click()
    expect(manager.locator("#live-teams")).to_contain_text("in time", timeout=SOON)
    manager.locator("#compose textarea").first.fill(SECRET)
    manager.get_by_role("button", name=re.compile("^Post")).click()
    expect(manager.locator("#live-log")).to_contain_text(SECRET)


def publish(manager: Page, incident: Incident) -> None:
    manager.goto(f"/incidents/{incident.pk}/edit")
    manager.locator("[name=publish_status]").select_option(label="Yes")
    manager.locator("[name=public_title]").fill("Orders fail in region West")
    manager.locator("[name=customer_impact_summary]").fill("Customers in region West cannot order.")
    manager.locator("[name=business_impact]").fill("About a fifth of revenue while it lasts.")
    manager.locator("[name=affected_systems]").fill("Checkout")
    manager.get_by_role("button", name="Save").first.click()
    manager.get_by_role("button", name="Yes, publish this").click()
    manager.wait_for_url(re.compile(r"/incidents/\w{26}/$"))
    manager.goto(f"/incidents/{incident.pk}/milestone/compose")
    manager.locator("[name=title]").fill("We are on it")
    manager.locator("[name=body]").fill("Orders in region West fail. We are moving them to the standby.")
    manager.get_by_role("button", name=re.compile("^Publish")).click()
    manager.wait_for_url(re.compile(r"/incidents/\w{26}/$"))


def resolve(manager: Page, incident: Incident) -> None:
    manager.goto(f"/incidents/{incident.pk}/resolve")
    manager.locator("textarea").first.fill("Orders go through again. The standby took over.")
    manager.locator("[name=reason]").fill("The alert has cleared.")
    manager.get_by_role("button", name="Resolve", exact=True).click()
    manager.wait_for_url(re.compile(r"/incidents/\w{26}/$"))


def learn(manager: Page, incident: Incident) -> None:
    manager.goto(f"/incidents/{incident.pk}/review")
    manager.get_by_label("Owner").first.fill("mim@example.com")
    manager.get_by_label("How it came about").fill("The disk was full, and no alert watched it.")
    manager.get_by_label("For the public status page").fill("A full disk stopped orders. We are told earlier now.")
    manager.get_by_role("button", name="Save").click()
    manager.get_by_text("Add a follow-up").click()
    manager.get_by_label("What will be different").fill("Alert on disk space")
    manager.locator("#task-owner").fill("mim@example.com")
    manager.locator("#task-due_on").fill("2030-01-31")
    manager.get_by_role("button", name="Add follow-up").click()
    manager.get_by_role("button", name="Send to review").click()
    manager.get_by_role("button", name="Publish").click()
    manager.get_by_role("button", name="Yes, publish this").click()
    expect(manager.locator(".states .current")).to_have_text("Published")
    axe(manager)
