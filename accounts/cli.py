"""`mim user`: people and their roles, from the server. It works even when nobody can sign in any more."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
from django.db import transaction

from accounts import audit
from accounts.audit import Action
from accounts.emails import canonical_email
from accounts.models import User
from accounts.provisioning import clear_binding, save_rights
from accounts.roles import Role
from majorops.lib.errors import DomainError
from majorops.lib.manner import next_step, shown
from majorops.lib.terminal import Listing, can_be_tried, listing
from majorops.lib.text import clean_text
from majorops.lib.times import iso, parse_time

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="People and their roles.")


class RoleWord(StrEnum):
    MIM = Role.MIM.value
    STAKEHOLDER = Role.STAKEHOLDER.value
    EXECUTIVE = Role.EXECUTIVE.value
    ADMIN = Role.ADMIN.value
    #: Signs in and is asked to contact an administrator.
    NONE = "none"


class PersonNotFound(DomainError):
    """Nobody has this e-mail address here."""

    code = "unknown_person"
    status = 404


@app.command("list")
@listing
def list_people() -> Listing:
    """Everyone known here, by e-mail.

    Example: mim user list
    """
    rows = [_row(person) for person in User.objects.order_by("email")]
    return Listing(rows, _line, "Another role for one of them: mim user role EMAIL ROLE")


def _line(row: Mapping[str, Any]) -> str:
    seen = shown(parse_time(row["lastSeenAt"], field="lastSeenAt"), seconds=False) if row["lastSeenAt"] else "never"
    state = ("" if row["isActive"] else "  switched off") + ("  pinned" if row["roleIsPinned"] else "")
    return f"{row['id']:<40} {row['role'] or 'no role':<12} {row['displayName']:<24} last seen {seen}{state}"


def _row(person: User) -> dict[str, object]:
    return {
        "id": person.email,
        "displayName": person.name,
        "role": person.role or None,
        "roleIsPinned": person.role_is_pinned,
        "isActive": person.is_active,
        "isBound": bool(person.subject),
        "lastSeenAt": iso(person.last_seen_at),
    }


Email = Annotated[str, typer.Argument(help="As the access proxy reports it.")]
Wanted = Annotated[RoleWord, typer.Argument(help="What the person is here to do.")]
ShownName = Annotated[str, typer.Option("--name", help="The name shown beside what the person does.")]
Why = Annotated[str, typer.Option("--reason", help="Why; the audit trail keeps it.")]


@app.command("role")
@can_be_tried
def give_role(
    email: Email,
    role: Wanted,
    create: Annotated[bool, typer.Option("--create", help="Add the person if nobody has this address.")] = False,
    name: ShownName = "",
    reason: Why = "",
) -> None:
    """Gives a person a role. The same role again changes nothing.

    Example: mim user role kim@example.com mim --create --name "A. Kim"
    """
    if create and not _exists(email):
        person = _add(email, role, name, reason)
        typer.echo(f"{person.email} added as {person.get_role_display() or 'a person without a role'}.")
        next_step("mim user list")
        return
    person = _found(email)
    person.role = _stored(role)
    changed = [*save_rights(person, reason=reason), *_rename(person, name)]
    _tell_role(person, changed)


@app.command("grant")
@can_be_tried
def grant(email: Email, role: Wanted, name: ShownName = "", reason: Why = "") -> None:
    """Gives a role for good: adds the person if need be, and pins the role, so that no group takes it away.

    Example: mim user grant kim@example.com admin
    """
    person = _found(email) if _exists(email) else _add(email, role, name, reason)
    person.role, person.role_is_pinned = _stored(role), True
    changed = [*save_rights(person, reason=reason), *_rename(person, name)]
    _tell_role(person, changed)


@app.command("activate")
@can_be_tried
def activate(email: Email, reason: Why = "") -> None:
    """Lets a person in again.

    Example: mim user activate kim@example.com
    """
    _switch(_found(email), is_active=True, reason=reason)


@app.command("deactivate")
@can_be_tried
def deactivate(email: Email, reason: Why = "") -> None:
    """Shuts a person out from the next request on. What they did stays under their name.

    Example: mim user deactivate kim@example.com --reason "left the company"
    """
    _switch(_found(email), is_active=False, reason=reason)


@app.command("rebind")
@can_be_tried
def rebind(email: Email, reason: Why = "") -> None:
    """Confirms that the address belongs to this person: the next sign-in with it is theirs.

    Needed when the identity provider made them a new account. Ask them first, by another way than e-mail.

    Example: mim user rebind kim@example.com --reason "new laptop, confirmed by phone"
    """
    person = _found(email)
    if clear_binding(person, reason=reason):
        typer.echo(f"The next sign-in as {person.email} binds anew.")
        next_step("mim user list")
    else:
        typer.echo(f"{person.email} is bound to no account; nothing changed.")


def _stored(role: RoleWord) -> str:
    return "" if role == RoleWord.NONE else role.value


def _exists(email: str) -> bool:
    return User.objects.filter(email=canonical_email(email)).exists()


def _found(email: str) -> User:
    address = canonical_email(email)
    person = User.objects.filter(email=address).first()
    if person is not None:
        return person
    known = User.objects.values_list("email", flat=True)
    near = difflib.get_close_matches(address, list(known), n=3)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise PersonNotFound(
        f"Nobody has the address {address}. {hint}To add the person: mim user role {address} ROLE --create"
    )


@transaction.atomic
def _add(email: str, role: RoleWord, name: str, reason: str) -> User:
    shown = clean_text(name, field="name", max_length=120)
    person = User.objects.create_user(email, role=_stored(role), display_name=shown)
    audit.record(Action.PROVISIONED, obj=person, after={"email": person.email, "role": person.role}, reason=reason)
    return person


def _rename(person: User, name: str) -> list[str]:
    shown = clean_text(name, field="name", max_length=120)
    if not shown or shown == person.display_name:
        return []
    person.display_name = shown
    person.save(update_fields=["display_name"])
    return ["display_name"]


def _switch(person: User, *, is_active: bool, reason: str) -> None:
    person.is_active = is_active
    changed = save_rights(person, reason=reason)
    now = "active" if is_active else "switched off"
    typer.echo(f"{person.email} is now {now}." if changed else f"{person.email} is {now} already; nothing changed.")
    _warn(person)


def _tell_role(person: User, changed: list[str]) -> None:
    now = person.get_role_display() or "without a role"
    typer.echo(f"{person.email} is now {now}." if changed else f"{person.email} is {now} already; nothing changed.")
    _warn(person)


def _warn(person: User) -> None:
    """What to do next; first of all about what would shut everybody out."""
    if person.is_active:
        next_step("mim user list")
    else:
        typer.echo("This account is switched off. Switch it on: mim user activate EMAIL", err=True)
    if not User.objects.filter(role=Role.ADMIN, is_active=True).exists():
        typer.echo("No active administrator is left. Make one: mim user grant EMAIL admin", err=True)
