"""The table of roles, read as a table."""

from __future__ import annotations

import pytest

from accounts.roles import Can, Role, allows, has_django_permission, roles_that

MAY = {
    Can.READ_INCIDENTS: {"mim", "stakeholder", "executive", "admin"},
    Can.READ_INTERNAL: {"mim", "admin"},
    Can.READ_EXECUTIVE: {"mim", "executive", "admin"},
    Can.COMMAND: {"mim", "admin"},
    Can.POST: {"mim", "admin"},
    Can.PUBLISH: {"mim", "admin"},
    Can.READ_TEAMS: {"mim", "admin"},
    Can.READ_EXEC_KPIS: {"mim", "executive", "admin"},
    Can.READ_INTERNAL_KPIS: {"mim", "admin"},
    Can.WRITE_KPIS: {"mim", "admin"},
    Can.WRITE_FACTS: {"mim", "admin"},
    Can.DEFINE_KPIS: {"admin"},
    Can.ADMINISTER: {"admin"},
}


@pytest.mark.parametrize("capability", Can)
def test_who_may(capability: Can) -> None:
    assert {role for role in Role.values if allows(role, capability)} == MAY[capability]
    assert len(roles_that(capability)) == len(MAY[capability])


@pytest.mark.parametrize("role", ["", "root", "superuser"])
def test_no_role_and_unknown_roles_may_nothing(role: str) -> None:
    assert not any(allows(role, capability) for capability in Can)


@pytest.mark.parametrize(
    ("role", "permission", "expected"),
    [
        ("admin", "kpis.change_kpidefinition", True),
        ("admin", "kpis.delete_kpidefinition", False),
        ("admin", "incidents.view_timelineevent", True),
        ("admin", "incidents.change_timelineevent", False),
        ("admin", "incidents.add_incident", False),
        ("admin", "accounts.delete_user", False),
        ("mim", "incidents.view_incident", False),
        ("", "incidents.view_incident", False),
    ],
)
def test_admin_looks_at_all_and_changes_a_list(role: str, permission: str, expected: bool) -> None:
    assert has_django_permission(role, permission) is expected
