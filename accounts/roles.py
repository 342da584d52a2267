"""RULES: what a role may do and which audiences it belongs to. The only such table.

A role answers "may this kind of person ever do this?". Whether a person may do it to *this* incident
(because their team was paged) is `incidents.audience`.
"""

from __future__ import annotations

from enum import StrEnum

from django.db.models import TextChoices


class Role(TextChoices):
    """What a person is here to do. A paged engineer needs none of their own: see `Can.RESPOND`."""

    MIM = "mim", "Major Incident Manager"
    STAKEHOLDER = "stakeholder", "Stakeholder"
    EXECUTIVE = "executive", "Executive"
    ADMIN = "admin", "Administrator"


class Can(StrEnum):
    """Everything a role can be allowed. Views, API and admin ask for one of these by name."""

    READ_INCIDENTS = "read incidents"
    READ_INTERNAL = "read internal entries"
    READ_EXECUTIVE = "read the executive brief"
    COMMAND = "command an incident"
    POST = "post to any log"
    PUBLISH = "publish to stakeholders"
    READ_TEAMS = "read team response"
    READ_EXEC_KPIS = "read executive KPIs"
    READ_INTERNAL_KPIS = "read internal KPIs"
    WRITE_KPIS = "record KPI observations"
    WRITE_FACTS = "append facts"
    DEFINE_KPIS = "define KPIs and compute them anew"
    ADMINISTER = "administer definitions, teams and people"


_EVERYONE = frozenset({Can.READ_INCIDENTS})
_COMMAND = frozenset(
    {
        Can.READ_INTERNAL,
        Can.READ_EXECUTIVE,
        Can.COMMAND,
        Can.POST,
        Can.PUBLISH,
        Can.READ_TEAMS,
        Can.READ_EXEC_KPIS,
        Can.READ_INTERNAL_KPIS,
        Can.WRITE_KPIS,
        Can.WRITE_FACTS,
    }
)

CAPABILITIES: dict[str, frozenset[Can]] = {
    Role.STAKEHOLDER: _EVERYONE,
    Role.EXECUTIVE: _EVERYONE | {Can.READ_EXECUTIVE, Can.READ_EXEC_KPIS},
    Role.MIM: _EVERYONE | _COMMAND,
    Role.ADMIN: _EVERYONE | _COMMAND | {Can.DEFINE_KPIS, Can.ADMINISTER},
}

#: What an administrator may do in Django admin. Everything else, history above all, is looked at only.
ADMIN_PERMISSIONS: frozenset[str] = frozenset(
    {
        "accounts.add_user",
        "accounts.change_user",
        "accounts.add_grouprole",
        "accounts.change_grouprole",
        "accounts.delete_grouprole",
        "accounts.add_integration",
        "accounts.change_integration",
        "incidents.add_statuscomponent",
        "incidents.change_statuscomponent",
        "incidents.delete_statuscomponent",
        "incidents.add_reviewsection",
        "incidents.change_reviewsection",
        "incidents.add_contributingfactor",
        "incidents.change_contributingfactor",
        "teams.add_team",
        "teams.change_team",
        "teams.add_teamalias",
        "teams.change_teamalias",
        "teams.delete_teamalias",
        "teams.add_membership",
        "teams.change_membership",
        "teams.delete_membership",
        "incidents.add_endpoint",
        "incidents.change_endpoint",
        "incidents.add_intakesource",
        "incidents.change_intakesource",
        "incidents.add_cannedtext",
        "incidents.change_cannedtext",
        "kpis.add_kpidefinition",
        "kpis.change_kpidefinition",
        "kpis.add_kpitarget",
        "kpis.change_kpitarget",
        "kpis.delete_kpitarget",
        "kpis.add_creditsetting",
        "kpis.add_personalgrant",
        "kpis.add_alertrule",
        "kpis.change_alertrule",
        "kpis.add_alertstep",
        "kpis.change_alertstep",
        "kpis.delete_alertstep",
        "kpis.add_factkind",
        "kpis.change_factkind",
        "kpis.add_subjecttype",
        "kpis.change_subjecttype",
        "kpis.add_subject",
        "kpis.change_subject",
        "majorops.change_schedule",
    }
)


def allows(role: str, capability: Can) -> bool:
    """Whether `role` has the capability. An unknown or empty role has none."""
    return capability in CAPABILITIES.get(role, frozenset())


def roles_that(capability: Can) -> list[str]:
    """The names of the roles with this capability, for the sentence in a refusal."""
    return [Role(role).label for role in Role.values if allows(role, capability)]


def has_django_permission(role: str, permission: str) -> bool:
    """Django admin's question, answered from this table: `app.view_model`, `app.change_model`..."""
    if not allows(role, Can.ADMINISTER):
        return False
    _, _, action = permission.partition(".")
    return action.startswith("view_") or permission in ADMIN_PERMISSIONS
