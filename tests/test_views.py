"""Pages of no single app: who are you, health, refusals, and the headers on everything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.db import DatabaseError, connection
from django.template import loader
from django.test import Client, RequestFactory, override_settings

from accounts.models import User
from majorops.views import broken
from tests.cast import Knock
from tests.factories import UserFactory
from tests.pages import Page

HTML = {"Accept": "text/html"}


def browser() -> Client:
    return Client(headers=HTML)


# --- Who are you ---


def test_everyone_with_a_role_can_be_picked_with_one_click(mim: User, stakeholder: User) -> None:
    UserFactory(display_name="No Role", role="")
    UserFactory(display_name="Left Long Ago", is_active=False)
    answer = browser().get("/who?next=/kpis")
    page = Page(answer.content.decode())
    assert (answer.status_code, page.faults) == (200, [])
    assert "R. Okafor Major Incident Manager mim@example.com" in page.text
    assert "J. Prieto Stakeholder" in page.text
    assert "No Role" not in page.text
    assert "Left Long Ago" not in page.text
    assert 'name="next" value="/kpis"' in answer.content.decode()


def test_unknown_person_is_not_picked(mim: User) -> None:
    answer = browser().post("/who", {"email": "nobody@example.com"})
    page = Page(answer.content.decode())
    assert (answer.status_code, page.faults) == (422, [])
    assert "That person is not known here." in page.text
    assert browser().get("/incidents/").status_code == 302


def test_picked_person_sees_their_own_pages(mim: User) -> None:
    visitor = browser()
    visitor.post("/who", {"email": mim.email})
    text = Page(visitor.get("/incidents/").content.decode()).text
    assert "R. Okafor Major Incident Manager" in text


def test_empty_house_says_how_to_fill_it(db: None) -> None:
    assert "mim demo load" in browser().get("/who").content.decode()


# --- Health ---


def test_health_needs_no_database_and_no_identity() -> None:
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_readiness_tells_when_the_database_is_away(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client().get("/readyz").json() == {"ready": True}

    def away() -> None:
        raise DatabaseError

    with monkeypatch.context() as patched:  # the test's own transaction needs the cursor again
        patched.setattr(connection, "cursor", away)
        answer = Client().get("/readyz")
    assert (answer.status_code, answer.json(), answer["Retry-After"]) == (503, {"ready": False}, "5")


# --- Refusals ---


def test_front_page_leads_to_the_incidents(page_as: Knock, mim: User) -> None:
    assert page_as(mim).get("/")["Location"] == "/incidents/"


@override_settings(
    MAJOROPS_AUTH_MODE="proxy", PROXY_SHARED_SECRET="s" * 32, PROXY_TRUSTED_CIDRS=["127.0.0.0/8"], DEBUG=False
)
def test_nobody_is_told_what_is_missing_and_gets_no_login_form(db: None) -> None:
    answer = browser().get("/incidents/")
    page = Page(answer.content.decode())
    assert (answer.status_code, page.faults, page.actions) == (401, [], [])
    assert "We do not know who you are" in page.text
    assert answer["X-Request-Id"] in page.text


def test_refusal_names_the_role_and_who_can_grant_it(page_as: Knock, stakeholder: User) -> None:
    answer = page_as(stakeholder).get("/incidents/new")
    page = Page(answer.content.decode())
    assert (answer.status_code, page.faults) == (403, [])
    assert "you need the role Major Incident Manager or Administrator. An administrator can grant it." in page.text
    assert "You are J. Prieto (Stakeholder)" in page.text
    assert answer["X-Request-Id"] in page.text


def test_person_without_a_role_is_told_whom_to_ask(db: None, page_as: Knock) -> None:
    refused = page_as(UserFactory(role="")).get("/incidents/")
    page = Page(refused.content.decode())
    assert (refused.status_code, page.faults) == (403, [])
    assert "Ask an administrator to give you one." in page.text


@override_settings(DEBUG=False)
def test_unknown_address_is_not_found(page_as: Knock, mim: User) -> None:
    answer = page_as(mim).get("/incidents/not-an-id/")
    page = Page(answer.content.decode())
    assert (answer.status_code, page.faults) == (404, [])
    assert "/incidents/" in page.links


def test_program_gets_a_problem_not_a_page(client_as: Knock, stakeholder: User) -> None:
    answer = client_as(stakeholder).get("/incidents/new")
    assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    assert answer.json()["code"] == "role_required"


@override_settings(DEBUG=False)
def test_broken_page_tells_the_request_id_and_nothing_of_the_inside(
    page_as: Knock, mim: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object) -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr("incidents.list_page.rows", fails)
    visitor = page_as(mim)
    visitor.raise_request_exception = False
    answer = visitor.get("/incidents/")
    page = Page(answer.content.decode())
    assert (answer.status_code, page.faults) == (500, [])
    assert answer["X-Request-Id"] in page.text
    assert "secret of the inside" not in page.text


def test_broken_page_needs_neither_user_nor_session() -> None:
    request = RequestFactory().get("/x", headers=HTML)
    assert broken(request).status_code == 500
    assert finders.find("majorops/app.css")
    assert "/static/majorops/app.css" in loader.render_to_string("broken.html")


# --- Headers ---


@pytest.mark.parametrize("address", ["/incidents/", "/kpis", "/incidents/new", "/who"])
def test_pages_allow_nothing_inline_and_nothing_from_elsewhere(page_as: Knock, mim: User, address: str) -> None:
    answer = page_as(mim).get(address)
    policy = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cache-Control"] == "private, no-store"
    assert Page(answer.content.decode()).faults == []


# --- The stylesheet ---


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast of two #rrggbb colours."""

    def light(colour: str) -> float:
        colour = colour.lstrip("#")
        colour = colour if len(colour) == 6 else "".join(digit * 2 for digit in colour)
        parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, bright = sorted([light(one), light(other)])
    return (bright + 0.05) / (dark + 0.05)


def tokens() -> list[dict[str, str]]:
    """The colours of the light theme, and of the dark one over them."""
    css = Path(str(finders.find("majorops/app.css"))).read_text()
    blocks = re.findall(r":root \{.*?\}", css, re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block)) for block in blocks)
    return [light, light | dark]


TEXT_ON = [
    *[("text", ground) for ground in ("bg", "surface", "sunken")],
    *[("muted", ground) for ground in ("bg", "surface", "sunken")],
    *[("accent", ground) for ground in ("bg", "surface", "accent-soft")],
    *[(tone, ground) for tone in ("good", "warn", "bad") for ground in ("bg", "surface", "sunken", f"{tone}-soft")],
    ("accent-ink", "accent"),
    *[(f"{severity}-ink", severity) for severity in ("critical", "high", "medium", "low")],
]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT_ON)
def test_text_can_be_read_on_its_ground(theme: int, ink: str, ground: str) -> None:
    colours = tokens()[theme]
    assert contrast(colours[ink], colours[ground]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_edges_of_fields_can_be_seen(theme: int) -> None:
    colours = tokens()[theme]
    assert contrast(colours["edge"], colours["surface"]) >= 3
    assert contrast(colours["edge"], colours["bg"]) >= 3


def test_severity_fills_are_the_measured_ones() -> None:
    light = tokens()[0]
    fills = {name: light[name] for name in ("critical", "high", "medium", "low", "low-edge")}
    assert fills == {
        "critical": "#7a0f3c",
        "high": "#e06a1b",
        "medium": "#f4d35e",
        "low": "#dcebfa",
        "low-edge": "#1d5fa8",
    }
