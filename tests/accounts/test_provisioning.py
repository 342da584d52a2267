"""From a proven identity to a person: binding, new people, changed addresses, groups. All behind a real token."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, override_settings

from accounts.audit import Action
from accounts.models import AuditEvent, GroupRole, Integration, User
from accounts.provisioning import EmailTaken, LastAdministrator, NotYourself, check_administrators_remain, save_rights
from accounts.roles import Role
from tests.factories import UserFactory
from tests.identity import ASSERTION, TEAM, mint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("behind_access")]

SUBJECT = "subject-of-mim"


def knock(**claims: Any) -> tuple[int, str]:
    """Status and problem code of a request with this token: mim@example.com unless told otherwise."""
    response = Client(headers={ASSERTION: mint(**claims)}).get("/api/v1/users/me")
    return response.status_code, response.json().get("code", "")


def bound(**fields: Any) -> User:
    return UserFactory(**{"email": "mim@example.com", "role": "mim", "issuer": TEAM, "subject": SUBJECT, **fields})


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("id").values_list("action", flat=True))


# --- Binding ---


def test_the_first_sign_in_binds_and_the_second_does_not_again(mim: User) -> None:
    assert knock() == knock() == (200, "")
    mim.refresh_from_db()
    assert (mim.issuer, mim.subject) == (TEAM, SUBJECT)
    assert actions() == [Action.IDENTITY_BOUND, Action.LOGIN_FIRST]
    assert AuditEvent.objects.get(action=Action.IDENTITY_BOUND).after == {"issuer": TEAM, "subject": SUBJECT}


@pytest.mark.parametrize("was", [{"subject": "another"}, {"issuer": "https://another.cloudflareaccess.com"}])
def test_a_known_address_with_another_account_is_refused_and_audited(was: dict[str, str]) -> None:
    person = bound(**was)
    assert knock() == (403, "identity_rebound")
    person.refresh_from_db()
    assert {name: getattr(person, name) for name in was} == was
    assert actions() == [Action.IDENTITY_REBOUND]


def test_a_cleared_binding_lets_the_next_account_in(mim: User) -> None:
    bound_before = {"issuer": TEAM, "subject": "another"}
    User.objects.filter(pk=mim.pk).update(**bound_before)
    assert knock()[0] == 403
    User.objects.filter(pk=mim.pk).update(issuer="", subject="")
    assert knock()[0] == 200


def test_a_changed_address_of_the_same_account_renames() -> None:
    person = bound()
    assert knock(email="New.Name@example.com") == (200, "")
    person.refresh_from_db()
    renamed = AuditEvent.objects.get(action=Action.RENAMED)
    assert person.email == "new.name@example.com"
    assert (renamed.before, renamed.after) == ({"email": "mim@example.com"}, {"email": "new.name@example.com"})


def test_a_changed_address_that_somebody_has_is_refused(stakeholder: User) -> None:
    person = bound()
    assert knock(email=stakeholder.email) == (403, EmailTaken.code)
    person.refresh_from_db()
    assert person.email == "mim@example.com"


def test_a_switched_off_account_stays_out_under_a_new_address() -> None:
    person = bound(is_active=False)
    assert knock(email="new@example.com") == (403, "account_disabled")
    person.refresh_from_db()
    assert person.email == "mim@example.com"
    assert User.objects.count() == 1


# --- New people ---


def test_nobody_is_created_by_knocking() -> None:
    assert knock() == (403, "unknown_person")
    assert not User.objects.exists()
    assert actions() == [Action.LOGIN_REFUSED]


@override_settings(AUTO_PROVISION="stakeholder")
def test_a_new_person_is_a_bound_stakeholder() -> None:
    assert knock() == knock() == (200, "")
    person = User.objects.get()
    assert (person.email, person.role, person.subject) == ("mim@example.com", Role.STAKEHOLDER, SUBJECT)
    assert actions() == [Action.PROVISIONED, Action.IDENTITY_BOUND, Action.LOGIN_FIRST]


@override_settings(AUTO_PROVISION="stakeholder")
def test_a_known_person_without_a_role_gets_none_by_knocking() -> None:
    bound(role="")
    assert knock() == (403, "no_role")
    assert User.objects.get().role == ""


# --- Groups ---


@pytest.fixture
def mapping() -> None:
    GroupRole.objects.create(group="sre", role=Role.MIM, priority=2)
    GroupRole.objects.create(group="board", role=Role.EXECUTIVE, priority=1)
    GroupRole.objects.create(group="platform", role=Role.ADMIN, priority=3)


@pytest.mark.usefixtures("mapping")
@pytest.mark.parametrize(
    ("groups", "role", "status"),
    [
        (["sre"], "mim", 200),
        (["platform", "sre", "board"], "executive", 200),
        (["platform", "sre"], "mim", 200),
        (["platform"], "admin", 200),
        (["SRE", "unknown"], "", 403),
        ([], "", 403),
    ],
)
def test_the_first_group_of_the_list_gives_the_role(groups: list[str], role: str, status: int) -> None:
    person = bound(role=Role.STAKEHOLDER)
    assert knock(custom={"groups": groups})[0] == status
    person.refresh_from_db()
    assert person.role == role


@pytest.mark.usefixtures("mapping")
def test_a_role_from_groups_is_audited_once(mim: User) -> None:
    for _ in range(2):
        knock(custom={"groups": ["board"]})
    event = AuditEvent.objects.get(action=Action.ROLE_CHANGE)
    assert (event.actor_kind, event.before, event.after["role"]) == ("system", {"role": "mim"}, "executive")


@pytest.mark.usefixtures("mapping")
def test_a_pinned_role_stays() -> None:
    person = bound(role_is_pinned=True)
    assert knock(custom={"groups": ["board"]})[0] == 200
    person.refresh_from_db()
    assert person.role == Role.MIM


@pytest.mark.usefixtures("mapping")
@pytest.mark.parametrize(("others", "left"), [(0, "admin"), (1, "executive")])
def test_groups_do_not_take_the_last_administrator_away(others: int, left: str) -> None:
    person = bound(role=Role.ADMIN)
    UserFactory.create_batch(others, role=Role.ADMIN)
    knock(custom={"groups": ["board"]})
    person.refresh_from_db()
    assert person.role == left


def test_without_a_mapping_groups_decide_nothing() -> None:
    bound()
    assert knock(custom={"groups": ["board"]})[0] == 200
    assert User.objects.get().role == Role.MIM


# --- Rights ---


def test_a_demotion_tells_how_many_integrations_the_person_owns(mim: User) -> None:
    Integration.objects.create(name="One", owner=mim)
    Integration.objects.create(name="Off", owner=mim, is_active=False)
    mim.role = Role.STAKEHOLDER
    assert save_rights(mim) == ["role"]
    assert AuditEvent.objects.get().after == {"role": "stakeholder", "integrations_owned": 1}
    assert save_rights(mim) == []
    assert AuditEvent.objects.count() == 1


def test_somebody_must_administer(admin_user: User, mim: User) -> None:
    with pytest.raises(NotYourself):
        check_administrators_remain(admin_user, editor=admin_user)
    with pytest.raises(LastAdministrator) as refused:
        check_administrators_remain(admin_user, editor=mim)
    assert refused.value.status == 409
    UserFactory(role=Role.ADMIN)
    check_administrators_remain(admin_user, editor=mim)
