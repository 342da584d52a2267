"""Sessions remember for one person, in one role; they never say who it is. And where each role begins."""

from __future__ import annotations

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from accounts.middleware import OWNER
from accounts.models import User
from accounts.roles import Role
from incidents import actions
from tests.cast import Knock
from tests.factories import IncidentFactory, TeamFactory, UserFactory, stamp

pytestmark = pytest.mark.django_db

HEADER = "Cf-Access-Authenticated-User-Email"


def signed_in(person: User) -> Client:
    browser = Client(headers={"Accept": "text/html"})
    browser.post("/who", {"email": person.email})
    return browser


def key(browser: Client) -> str:
    return browser.cookies["sessionid"].value


def test_a_session_of_another_person_is_dropped(mim: User, stakeholder: User) -> None:
    browser = signed_in(mim)
    old = key(browser)
    answer = browser.get("/api/v1/users/me", headers={HEADER: stakeholder.email, "Accept": "*/*"})
    assert answer.json()["email"] == stakeholder.email
    assert not SessionStore().exists(old)


def test_a_planted_session_without_an_owner_is_dropped(mim: User) -> None:
    planted = SessionStore()
    planted["something"] = "planted"
    planted.save()
    browser = Client(headers={HEADER: mim.email})
    browser.cookies["sessionid"] = str(planted.session_key)
    browser.get("/incidents/")
    assert not SessionStore().exists(planted.session_key)


def test_signing_in_changes_the_key(mim: User, executive: User) -> None:
    browser = signed_in(mim)
    first = key(browser)
    browser.post("/who", {"email": executive.email})
    assert key(browser) != first
    assert not SessionStore().exists(first)


def test_another_role_changes_the_key_and_keeps_the_person(mim: User) -> None:
    browser = signed_in(mim)
    first = key(browser)
    User.objects.filter(pk=mim.pk).update(role=Role.STAKEHOLDER)
    assert browser.get("/incidents/").status_code == 200
    assert key(browser) != first
    assert SessionStore(key(browser))[OWNER] == [mim.pk, "stakeholder"]


def test_a_session_that_begins_belongs_to_its_person(admin_user: User, page_as: Knock) -> None:
    browser = page_as(admin_user)
    browser.post("/admin/accounts/user/add/", {"email": "new@example.com", "role": "mim", "is_active": "on"})
    assert SessionStore(key(browser))[OWNER] == [admin_user.pk, "admin"]
    assert "was added successfully" in browser.get("/admin/accounts/user/").content.decode()


def test_with_a_session_identity_costs_two_queries(mim: User) -> None:
    browser = signed_in(mim)
    browser.get("/logout")
    with CaptureQueriesContext(connection) as told:
        browser.get("/logout")
    assert len(told) == 2
    assert 'FROM "django_session"' in told[0]["sql"]
    assert 'FROM "users"' in told[1]["sql"]


# --- Signing out ---


def test_signing_out_forgets_the_session_and_leads_where_the_settings_say(mim: User) -> None:
    browser = signed_in(mim)
    old = key(browser)
    with override_settings(LOGOUT_URL="/cdn-cgi/access/logout"):
        answer = browser.post("/logout?next=https://evil.example/", {"next": "https://evil.example/"})
    assert (answer.status_code, answer["Location"]) == (302, "/cdn-cgi/access/logout")
    assert not SessionStore().exists(old)
    assert browser.get("/incidents/")["Location"].startswith("/who")


def test_no_other_site_can_sign_anyone_out(mim: User) -> None:
    browser = Client(enforce_csrf_checks=True, headers={HEADER: mim.email})
    assert browser.post("/logout").status_code == 403


# --- Where each role begins ---


def begins_at(person: User, page_as: Knock) -> str:
    return page_as(person).get("/")["Location"]


def test_an_administrator_begins_in_admin(admin_user: User, page_as: Knock) -> None:
    IncidentFactory()
    assert begins_at(admin_user, page_as) == "/admin/"


@pytest.mark.parametrize(("running", "at_the_incident"), [(0, False), (1, True), (2, False)])
def test_an_incident_manager_begins_at_the_only_running_incident(
    mim: User, page_as: Knock, running: int, at_the_incident: bool
) -> None:
    IncidentFactory(closed=True)
    rows = IncidentFactory.create_batch(running)
    wanted = f"/incidents/{rows[0].pk}/" if at_the_incident else "/incidents/"
    assert begins_at(mim, page_as) == wanted


@pytest.mark.parametrize(("role", "page"), [(Role.STAKEHOLDER, "/incidents/"), (Role.EXECUTIVE, "/exec/")])
def test_others_begin_at_their_list(page_as: Knock, role: Role, page: str) -> None:
    IncidentFactory()
    assert begins_at(UserFactory(role=role), page_as) == page


def test_a_called_engineer_begins_at_their_incident(engineer: User, mim: User, page_as: Knock) -> None:
    team = TeamFactory()
    team.members.add(engineer)
    incident, _ = IncidentFactory.create_batch(2)
    actions.page_team(incident, team, stamp=stamp(mim))
    assert begins_at(engineer, page_as) == f"/incidents/{incident.pk}/"
