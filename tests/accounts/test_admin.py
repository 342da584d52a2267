"""The door of admin, and people in it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse

from accounts.audit import Action
from accounts.models import AuditEvent, GroupRole, RefusalCount, User
from accounts.roles import Role
from tests.cast import Knock
from tests.factories import NOON, TeamFactory, UserFactory

pytestmark = pytest.mark.django_db

PEOPLE = "/admin/accounts/user/"
#: What admin is for; everything else in it is looked at only.
CHANGED_HERE = (
    "accounts.User",
    "accounts.GroupRole",
    "accounts.Integration",
    "teams.Team",
    "kpis.KpiDefinition",
    "majorops.Schedule",
    "incidents.StatusComponent",
    "incidents.ReviewSection",
    "incidents.ContributingFactor",
    "incidents.Endpoint",
    "incidents.IntakeSource",
    "incidents.CannedText",
    "kpis.AlertRule",
    "kpis.FactKind",
    "kpis.SubjectType",
    "kpis.Subject",
    "kpis.PersonalGrant",  # ended, never edited
    "kpis.CreditSetting",  # a version more, never another one in its place
)


def page_of(person: User) -> str:
    return f"{PEOPLE}{person.pk}/change/"


def filled(person: User, **changes: Any) -> dict[str, Any]:
    form = {"display_name": person.display_name, "role": person.role, "is_active": "on" if person.is_active else ""}
    return {**form, **changes}


# --- Who gets in ---


@pytest.mark.parametrize("who", ["mim", "stakeholder", "executive", "engineer"])
def test_other_roles_are_told_which_one_is_needed(who: str, request: pytest.FixtureRequest, page_as: Knock) -> None:
    browser = page_as(request.getfixturevalue(who))
    for address in ("/admin/", PEOPLE, "/admin/incidents/incident/", "/admin/kpis/kpidefinition/add/"):
        answer = browser.get(address, follow=True)
        assert answer.status_code == 403
        assert "you need the role Administrator" in answer.content.decode()


def test_an_administrator_gets_in(admin_user: User, page_as: Knock) -> None:
    assert page_as(admin_user).get("/admin/").status_code == 200


def test_rights_come_from_the_role_alone() -> None:
    assert not [model for model in admin.site._registry if model._meta.app_label == "auth"]


def test_history_can_be_looked_at_and_nothing_else(admin_user: User) -> None:
    for model in admin.site._registry:
        if model._meta.label not in CHANGED_HERE:
            name = f"{model._meta.app_label}.{{}}_{model._meta.model_name}"
            allowed = [
                action for action in ("view", "add", "change", "delete") if admin_user.has_perm(name.format(action))
            ]
            assert allowed == ["view"], model


def test_nothing_that_is_registered_can_be_deleted(admin_user: User, page_as: Knock) -> None:
    """But the mapping of groups, which names nobody."""
    browser = page_as(admin_user)
    for model in set(admin.site._registry) - {GroupRole}:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        assert browser.post(reverse(f"admin:{name}_delete", args=["x"]), {"post": "yes"}).status_code in (302, 403)
        assert "delete_selected" not in browser.get(reverse(f"admin:{name}_changelist")).content.decode()


def test_admin_pages_run_no_inline_script(admin_user: User, page_as: Knock) -> None:
    """The content security policy would block it, and the page with it."""
    browser = page_as(admin_user)
    for address in (
        "/admin/",
        PEOPLE,
        page_of(admin_user),
        "/admin/teams/team/add/",
        "/admin/kpis/kpidefinition/mttr/change/",
    ):
        answer = browser.get(address)
        text = answer.content.decode()
        assert answer.status_code == 200
        assert not re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", text)
        assert not re.findall(r"<[^>]+\s(?:on\w+|style)=", text)
        assert "unsafe-inline" not in answer["Content-Security-Policy"]


# --- People ---


def test_the_list_is_bounded(admin_user: User, page_as: Knock, django_assert_max_num_queries: Any) -> None:
    team = TeamFactory(name="Database")
    for person in UserFactory.create_batch(30):
        team.members.add(person)
    browser = page_as(admin_user)
    with django_assert_max_num_queries(10):
        assert "Database" in browser.get(PEOPLE).content.decode()
    with django_assert_max_num_queries(15):
        browser.get(page_of(admin_user))


def test_people_are_found_by_part_of_their_address_or_name(admin_user: User, mim: User, page_as: Knock) -> None:
    found = page_as(admin_user).get(PEOPLE, {"q": "okafor"}).content.decode()
    assert mim.email in found
    assert page_of(admin_user) not in found


def test_a_person_is_added_under_the_canonical_address(admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(f"{PEOPLE}add/", {"email": "Kim@Example.com", "role": "mim", "is_active": "on"})
    assert User.objects.get(email="kim@example.com").role == Role.MIM


@pytest.mark.parametrize(
    "email", ["", "kim", "kim@localhost", "ki m@example.com", "\u212aim@example.com", "a@b.c,d@e.f"]
)
def test_an_address_that_is_none_is_refused(admin_user: User, page_as: Knock, email: str) -> None:
    answer = page_as(admin_user).post(f"{PEOPLE}add/", {"email": email, "role": "mim", "is_active": "on"})
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["email"]
    assert User.objects.count() == 1


def test_an_address_that_is_taken_is_refused(admin_user: User, mim: User, page_as: Knock) -> None:
    answer = page_as(admin_user).post(f"{PEOPLE}add/", {"email": "MIM@example.com", "role": "mim"})
    assert (answer.status_code, User.objects.count()) == (200, 2)


def test_an_address_cannot_change_later(admin_user: User, mim: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mim), filled(mim, email="other@example.com", role="executive"))
    mim.refresh_from_db()
    assert (mim.email, mim.role) == ("mim@example.com", Role.EXECUTIVE)


@pytest.mark.parametrize("change", [{"role": "mim"}, {"is_active": ""}])
def test_administrators_cannot_lock_themselves_out(admin_user: User, page_as: Knock, change: dict[str, str]) -> None:
    UserFactory(role=Role.ADMIN)
    answer = page_as(admin_user).post(page_of(admin_user), filled(admin_user, **change))
    admin_user.refresh_from_db()
    assert admin_user.is_staff
    assert "You cannot take your own administration away" in answer.content.decode()


def test_another_administrator_can_be_demoted_while_one_remains(admin_user: User, page_as: Knock) -> None:
    other = UserFactory(role=Role.ADMIN)
    page_as(admin_user).post(page_of(other), filled(other, role="mim"))
    other.refresh_from_db()
    assert other.role == Role.MIM


def test_the_last_active_administrator_stays(admin_user: User, page_as: Knock, rf: Any) -> None:
    """Reachable when two demote each other at once: the second finds itself alone."""
    from accounts.admin import PersonAdmin

    request = rf.get("/")
    request.user = UserFactory(role=Role.ADMIN)
    form = PersonAdmin(User, admin.site).get_form(request, admin_user, change=True)
    User.objects.filter(pk=request.user.pk).update(is_active=False)
    bound = form(filled(admin_user, role="mim"), instance=User.objects.get(pk=admin_user.pk))
    assert not bound.is_valid()
    assert "last active administrator" in bound.errors["role"][0]


def test_an_administrator_may_change_their_own_name(admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(admin_user), filled(admin_user, display_name="S. L."))
    admin_user.refresh_from_db()
    assert admin_user.display_name == "S. L."


# --- Rights leave a trail ---


def test_a_role_change_is_audited_with_who_before_and_after(admin_user: User, mim: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mim), filled(mim, role="executive"))
    event = AuditEvent.objects.get(action=Action.ROLE_CHANGE)
    assert (event.actor_name, event.object_id) == (admin_user.email, mim.pk)
    assert event.before == {"role": "mim"}
    assert event.after == {"role": "executive", "integrations_owned": 0}


def test_switching_off_is_audited_and_a_changed_name_is_not(admin_user: User, mim: User, page_as: Knock) -> None:
    browser = page_as(admin_user)
    browser.post(page_of(mim), filled(mim, display_name="R. O."))
    browser.post(page_of(mim), filled(mim, display_name="R. O.", is_active=""))
    actions = AuditEvent.objects.exclude(action=Action.LOGIN_FIRST).values_list("action", flat=True)
    assert list(actions) == [Action.DEACTIVATE]
    mim.refresh_from_db()
    assert (mim.display_name, mim.is_active) == ("R. O.", False)


def test_a_role_can_be_pinned(admin_user: User, mim: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mim), filled(mim, role_is_pinned="on"))
    mim.refresh_from_db()
    assert mim.role_is_pinned


@pytest.mark.parametrize("field", ["is_staff", "is_superuser", "subject", "issuer", "id"])
def test_no_form_reaches_what_is_derived_or_proven(admin_user: User, mim: User, page_as: Knock, field: str) -> None:
    page_as(admin_user).post(page_of(mim), filled(mim, **{field: "1"}))
    mim.refresh_from_db()
    assert (mim.is_staff, mim.is_superuser, mim.subject, mim.issuer) == (False, False, "", "")


def test_the_binding_is_shown_and_cleared_by_an_action(admin_user: User, mim: User, page_as: Knock) -> None:
    User.objects.filter(pk=mim.pk).update(issuer="https://team", subject="old-account")
    browser = page_as(admin_user)
    assert "old-account at https://team" in browser.get(page_of(mim)).content.decode()
    for _ in range(2):
        browser.post(PEOPLE, {"action": "confirm_identity", "_selected_action": [mim.pk]})
    mim.refresh_from_db()
    event = AuditEvent.objects.get(action=Action.BINDING_CLEARED)
    assert (mim.subject, event.before) == ("", {"issuer": "https://team", "subject": "old-account"})


def test_a_mapping_of_groups_is_audited(admin_user: User, page_as: Knock) -> None:
    browser = page_as(admin_user)
    browser.post("/admin/accounts/grouprole/add/", {"group": "on call", "role": "mim", "priority": "1"})
    row = GroupRole.objects.get()
    browser.post(f"/admin/accounts/grouprole/{row.pk}/delete/", {"post": "yes"})
    removed, added = AuditEvent.objects.filter(action=Action.GROUP_ROLE_CHANGE)
    told = {"group": "on call", "role": "mim", "priority": 1}
    assert (added.before, added.after, removed.before, removed.after) == (None, told, told, None)


# --- The trail itself ---


def test_the_trail_is_filtered_and_searched(admin_user: User, mim: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mim), filled(mim, role="executive"))
    browser, trail = page_as(admin_user), "/admin/accounts/auditevent/"
    for query, expected in [
        ({"action": "role_change"}, 1),
        ({"action": "erasure"}, 0),
        ({"actor_kind__exact": "human", "q": mim.pk}, 1),
        ({"actor_kind__exact": "service"}, 0),
        ({"q": admin_user.email, "action": "role_change"}, 1),
        ({"at__gte": "2000-01-01 00:00:00+00:00", "q": mim.pk}, 1),
    ]:
        assert browser.get(trail, query).context["cl"].result_count == expected, query


def test_the_trail_is_read_and_nothing_else(admin_user: User, page_as: Knock) -> None:
    event = AuditEvent.objects.create(action=Action.EXPORT, reason="kept")
    count = RefusalCount.objects.create(reason="x", peer="10.0.0.1", minute=NOON, count=3)
    browser = page_as(admin_user)
    for name, pk in [("auditevent", event.pk), ("refusalcount", count.pk)]:
        assert browser.get(f"/admin/accounts/{name}/{pk}/change/").status_code == 200
        assert browser.post(f"/admin/accounts/{name}/{pk}/change/", {"reason": "gone"}).status_code == 403
        assert browser.get(f"/admin/accounts/{name}/add/").status_code == 403


def test_the_trail_costs_few_queries(admin_user: User, page_as: Knock, django_assert_max_num_queries: Any) -> None:
    for _ in range(30):
        AuditEvent.objects.create(action=Action.EXPORT)
    with django_assert_max_num_queries(8):
        page_as(admin_user).get("/admin/accounts/auditevent/")
