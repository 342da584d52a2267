"""`mim user`: roles from the server."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from accounts.audit import Action
from accounts.models import AuditEvent, User
from accounts.roles import Role
from majorops.cli import app

pytestmark = pytest.mark.django_db


def mim(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["user", *arguments])


def test_the_list_shows_everyone_with_role(mim_person: User, executive: User) -> None:
    shown = mim("list").stdout
    assert mim_person.email in shown
    assert "executive" in shown


def test_the_list_for_programs_has_no_empty_role(mim_person: User) -> None:
    User.objects.create_user("new@example.com")
    rows = json.loads(mim("list", "--json").stdout)
    assert [(row["id"], row["role"]) for row in rows] == [("mim@example.com", "mim"), ("new@example.com", None)]


@pytest.fixture
def mim_person(mim: User) -> User:
    """The fixture `mim` under a name that the command does not take."""
    return mim


def test_a_role_is_given(stakeholder: User) -> None:
    result = mim("role", "Stakeholder@Example.com", "executive")
    stakeholder.refresh_from_db()
    assert (result.exit_code, stakeholder.role) == (0, Role.EXECUTIVE)
    assert result.stdout == "stakeholder@example.com is now Executive.\n"


def test_the_same_role_again_changes_nothing(stakeholder: User) -> None:
    result = mim("role", stakeholder.email, "stakeholder")
    assert result.exit_code == 0
    assert "already; nothing changed" in result.stdout


def test_none_takes_the_role_away(stakeholder: User) -> None:
    mim("role", stakeholder.email, "none")
    stakeholder.refresh_from_db()
    assert stakeholder.role == ""


def test_an_unknown_person_is_not_added_by_accident(stakeholder: User) -> None:
    result = mim("role", "stakeholders@example.com", "mim")
    assert result.exit_code == 4
    assert "Did you mean stakeholder@example.com?" in result.stderr
    assert User.objects.count() == 1


def test_an_unknown_person_is_added_when_asked() -> None:
    result = mim("role", "Kim@Example.com", "mim", "--create", "--name", "A. Kim")
    person = User.objects.get()
    assert (result.exit_code, person.email, person.role, person.name) == (0, "kim@example.com", Role.MIM, "A. Kim")


def test_create_on_a_known_person_just_sets_the_role(stakeholder: User) -> None:
    assert mim("role", stakeholder.email, "mim", "--create").exit_code == 0
    assert User.objects.get().role == Role.MIM


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("not-an-address", "mim"), 5), (("kim@example.com", "boss"), 2), (("kim@example.com",), 2)],
)
def test_bad_input_is_refused_and_nothing_written(arguments: tuple[str, ...], code: int) -> None:
    assert mim("role", *arguments, "--create").exit_code == code
    assert not User.objects.exists()


def test_taking_the_last_administrator_away_warns(admin_user: User) -> None:
    result = mim("role", admin_user.email, "mim")
    assert "No active administrator is left" in result.stderr


# --- grant, deactivate, activate, rebind ---


def test_grant_adds_a_person_and_pins_the_role() -> None:
    assert mim("grant", "Kim@Example.com", "admin", "--reason", "first administrator").exit_code == 0
    person = User.objects.get()
    assert (person.email, person.role, person.role_is_pinned) == ("kim@example.com", Role.ADMIN, True)
    assert {event.reason for event in AuditEvent.objects.all()} == {"first administrator"}


def test_grant_raises_a_known_person_and_says_so_on_the_trail(stakeholder: User) -> None:
    assert mim("grant", stakeholder.email, "mim").exit_code == 0
    event = AuditEvent.objects.get()
    assert (event.action, event.actor_kind) == (Action.ROLE_CHANGE, "system")
    assert event.before == {"role": "stakeholder", "role_is_pinned": False}


def test_grant_again_changes_nothing(stakeholder: User) -> None:
    mim("grant", stakeholder.email, "mim")
    assert "already; nothing changed" in mim("grant", stakeholder.email, "mim").stdout
    assert AuditEvent.objects.count() == 1


def test_a_person_is_switched_off_and_on_again(stakeholder: User) -> None:
    for command, is_active in [("deactivate", False), ("deactivate", False), ("activate", True)]:
        assert mim(command, stakeholder.email).exit_code == 0
        stakeholder.refresh_from_db()
        assert stakeholder.is_active is is_active
    trail = AuditEvent.objects.order_by("id").values_list("action", flat=True)
    assert list(trail) == [Action.DEACTIVATE, Action.ACTIVATE]


def test_the_last_administrator_can_be_switched_off_here(admin_user: User) -> None:
    result = mim("deactivate", admin_user.email)
    admin_user.refresh_from_db()
    assert (result.exit_code, admin_user.is_active) == (0, False)
    assert "No active administrator is left" in result.stderr


def test_rebind_clears_what_the_address_was_bound_to(stakeholder: User) -> None:
    User.objects.update(issuer="https://team", subject="old")
    assert "binds anew" in mim("rebind", stakeholder.email, "--reason", "by phone").stdout
    assert "nothing changed" in mim("rebind", stakeholder.email).stdout
    event = AuditEvent.objects.get()
    assert (User.objects.get().subject, event.action, event.reason) == ("", Action.BINDING_CLEARED, "by phone")


@pytest.mark.parametrize("command", ["deactivate", "activate", "rebind"])
def test_an_unknown_address_is_not_found(stakeholder: User, command: str) -> None:
    result = mim(command, "stakeholders@example.com")
    assert (result.exit_code, "Did you mean stakeholder@example.com?" in result.stderr) == (4, True)
