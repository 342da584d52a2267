"""Who holds a command role."""

from __future__ import annotations

from accounts.models import User
from incidents.actions._core import Stamp, action, locked, log, write
from incidents.clock import check_order
from incidents.errors import RoleHeld
from incidents.lifecycle import CommandRole, EventType, Status, Verb, check_open
from incidents.models import Incident, RoleAssignment
from majorops.lib.errors import Invalid
from majorops.lib.text import clean_text


@action
def assign_role(
    incident: Incident,
    role: str,
    *,
    stamp: Stamp,
    user: User | None = None,
    name: str = "",
    expected_version: int | None = None,
) -> Incident:
    """Gives a command role to a person (the SRE lead may be just a name), or leaves it unclaimed."""
    command_role, holder = _role(role), clean_text(name, field="name", max_length=120)
    current = locked(incident, expected_version, wanted=(command_role.value,))
    check_open(Status(current.status))
    if user is None and holder and command_role != CommandRole.SRE:
        raise Invalid(f"{command_role.label} must be a person known here.", field="user")
    after = user.name if user else holder
    before = hand_over(current, command_role, user, after, stamp)
    log(
        current,
        stamp,
        verb=Verb.ROLE,
        type=EventType.COMMAND,
        title=f"{command_role.label}: {before or 'unclaimed'} → {after or 'unclaimed'}",
        changes={command_role.value: [before or None, after or None]},
        incident_version=current.version,
    )
    return current


def _role(role: str) -> CommandRole:
    try:
        return CommandRole(role)
    except ValueError:
        raise Invalid(
            f"role must be one of {', '.join(CommandRole.values)}.", field="role", allowed=CommandRole.values
        ) from None


def hand_over(incident: Incident, role: CommandRole, user: User | None, name: str, stamp: Stamp) -> str:
    """Ends one holding and begins the next; the name of who held the role before. The log is the caller's."""
    open_row = RoleAssignment.objects.filter(incident=incident, role=role, renounced_at=None).first()
    before = open_row.name if open_row else ""
    if before == name and (open_row.user_id if open_row else None) == (user.pk if user else None):
        raise RoleHeld(f"{name} holds this role already." if name else "Nobody holds this role.", field="user")
    if open_row:
        check_order(
            open_row.assumed_at,
            stamp.at,
            sentence="{later} is before the present holder took the role ({earlier}).",
            field="at",
        )
        RoleAssignment.objects.filter(pk=open_row.pk).update(renounced_at=stamp.at)
    if name:
        RoleAssignment.objects.create(
            incident=incident, role=role, user=user, name=name, assumed_at=stamp.at, assigned_by=stamp.by
        )
    write(incident, **{role.value: name if role == CommandRole.SRE else user})
    return before
