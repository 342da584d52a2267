"""People: how a proven identity becomes a person here, and how a person's rights change. All of it is audited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, Q, QuerySet, Subquery
from django.http import HttpRequest

from accounts import audit
from accounts.access import Claim
from accounts.audit import Action
from accounts.models import ActorKind, GroupRole, Integration, User
from accounts.roles import Role
from majorops.lib.errors import DomainError
from majorops.lib.prepared import ask


class UnknownPerson(DomainError):
    """Nobody with this e-mail address is known here. Ask an administrator to add you."""

    code = "unknown_person"
    status = 403


class AccountDisabled(DomainError):
    """This account is switched off. Ask an administrator to activate it."""

    code = "account_disabled"
    status = 403


class NoRole(DomainError):
    """You are known here but have no role yet. Ask an administrator to give you one."""

    code = "no_role"
    status = 403


class IdentityRebound(DomainError):
    """This address belonged to another account of the identity provider. Ask an administrator to confirm it is you."""

    code = "identity_rebound"
    status = 403


class EmailTaken(DomainError):
    """Your address changed to one that another person has here. Ask an administrator to sort it out."""

    code = "email_taken"
    status = 403


class LastAdministrator(DomainError):
    """This is the last active administrator. Make another one first."""

    code = "last_administrator"
    status = 409


class NotYourself(DomainError):
    """You cannot take your own administration away. Ask another administrator."""

    code = "not_yourself"
    status = 409


# --- Coming in ---


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a person."""

    claim: Claim
    request: HttpRequest

    def record(self, action: Action, person: User, **told: dict[str, str]) -> None:
        audit.record(
            action, request=self.request, by=person, obj=person, before=told.get("before"), after=told["after"]
        )


def person_for(claim: Claim, *, request: HttpRequest) -> User:
    """The person behind a proven identity, bound to it and up to date. One query where nothing changed.

    1. The one bound to (issuer, subject), renamed if the address changed; else the one with the address, bound
       now. An address that is bound to another subject is refused: mailboxes change hands.
    2. Unknown: refused, or created as a stakeholder where AUTO_PROVISION says so.
    3. Switched off: refused.
    4. The role their groups give, unless it is pinned. Without a role: refused.
    """
    visit = Visit(claim, request)
    person = _known(visit) or _provisioned(visit)
    if not person.is_active:
        raise AccountDisabled
    _bind(visit, person)
    _rename(visit, person)
    _follow_groups(visit, person)
    if not person.role:
        raise NoRole
    return person


#: Blanks of the query below.
_EMAIL, _ISSUER, _SUBJECT = "an address", "an issuer", "a subject"
_COLUMNS = tuple(field.attname for field in User._meta.concrete_fields)


def _found(claim: Claim) -> list[User]:
    """Who has the address or is bound to the identity, with the role their groups give them, and whether groups decide
    at all. Asked by every request of a person, so the query is compiled once for all claims of the same groups."""
    blanks = {_EMAIL: claim.email, _ISSUER: claim.issuer, _SUBJECT: claim.subject}
    decide = bool(settings.ACCESS_GROUPS_CLAIM and claim.issuer)
    groups = tuple(sorted(set(claim.groups))) if decide else ()
    return [_person(values) for values in ask(_people, bool(claim.subject), decide, groups, blanks=blanks)]


def _people(is_bound: bool, decide: bool, groups: tuple[str, ...]) -> QuerySet[Any, Any]:
    wanted = Q(email=_EMAIL)
    if is_bound:
        wanted |= Q(issuer=_ISSUER, subject=_SUBJECT)
    people = User.objects.filter(wanted)
    if decide:
        matching = GroupRole.objects.filter(group__in=groups).order_by("priority")
        people = people.annotate(
            group_role=Subquery(matching.values("role")[:1]), groups_decide=Exists(GroupRole.objects.all())
        )
    return people.values_list(*_COLUMNS, *(("group_role", "groups_decide") if decide else ()))


def _person(values: list[Any]) -> User:
    person = User.from_db("default", _COLUMNS, values[: len(_COLUMNS)])
    for name, value in zip(("group_role", "groups_decide"), values[len(_COLUMNS) :], strict=False):
        setattr(person, name, value)
    return person


def _known(visit: Visit) -> User | None:
    """Step 1, without writing. Raises EmailTaken, IdentityRebound."""
    claim = visit.claim
    found = _found(claim)
    if not (found and claim.subject):
        return found[0] if found else None
    bound = [person for person in found if (person.issuer, person.subject) == (claim.issuer, claim.subject)]
    if len(found) > 1:
        raise EmailTaken
    if found[0].subject and not bound:
        raise IdentityRebound
    return found[0]


def _provisioned(visit: Visit) -> User:
    """A new stakeholder, never more. Raises UnknownPerson unless the settings want it."""
    if settings.AUTO_PROVISION != Role.STAKEHOLDER:
        raise UnknownPerson
    try:
        with transaction.atomic():
            person = User.objects.create_user(visit.claim.email, role=Role.STAKEHOLDER)
            visit.record(Action.PROVISIONED, person, after={"role": person.role})
    except IntegrityError:
        pass  # the browser's first two requests came at once; the other one was faster
    if (known := _known(visit)) is None:
        raise UnknownPerson
    return known


def _bind(visit: Visit, person: User) -> None:
    """From now on the address alone is not enough."""
    claim = visit.claim
    if person.subject or not claim.subject:
        return
    binding = {"issuer": claim.issuer, "subject": claim.subject}
    with transaction.atomic():
        if User.objects.filter(pk=person.pk, subject="").update(**binding):
            visit.record(Action.IDENTITY_BOUND, person, after=binding)
        elif not User.objects.filter(pk=person.pk, **binding).exists():
            raise IdentityRebound


def _rename(visit: Visit, person: User) -> None:
    """The subject is the person; the address is what they are called at the moment."""
    before, after = person.email, visit.claim.email
    if before == after:
        return
    try:
        with transaction.atomic():
            if User.objects.filter(pk=person.pk, email=before).update(email=after):
                person.email = after
                visit.record(Action.RENAMED, person, before={"email": before}, after={"email": after})
    except IntegrityError:
        raise EmailTaken from None


def _follow_groups(visit: Visit, person: User) -> None:
    """The role of the first matching group, or none. Only a verified token's groups count."""
    decided = settings.ACCESS_GROUPS_CLAIM and visit.claim.issuer and getattr(person, "groups_decide", False)
    role = getattr(person, "group_role", None) or ""
    if not decided or person.role_is_pinned or role == person.role:
        return
    if person.is_staff and not _others_administer(person):
        return  # a mapping typed wrong must not lock everybody out
    person.role = role
    save_rights(person, by=ActorKind.SYSTEM, request=visit.request, reason="groups of the identity provider")


def note_visit(person: User, *, request: HttpRequest, now: datetime) -> None:
    """Note that the person was here, and that it was the first time."""
    is_first = person.last_seen_at is None
    if User.objects.touch(person, now) and is_first:
        audit.record(Action.LOGIN_FIRST, request=request, by=person, obj=person)


# --- Rights ---

#: What decides a person's rights.
RIGHTS = ("role", "role_is_pinned", "is_active")


@transaction.atomic
def save_rights(
    person: User,
    *,
    by: User | ActorKind | None = None,
    request: HttpRequest | None = None,
    reason: str = "",
) -> list[str]:
    """Saves role, pin and the active switch as set on `person`. Returns, and audits, what differs from before."""
    stored = User.objects.select_for_update(no_key=True).get(pk=person.pk)
    changed = [name for name in RIGHTS if getattr(stored, name) != getattr(person, name)]
    if not changed:
        return []
    person.save(update_fields=changed)
    before = {name: getattr(stored, name) for name in changed}
    after: dict[str, object] = {name: getattr(person, name) for name in changed}
    # They go on working: whoever takes rights away should know what else speaks for this person.
    after["integrations_owned"] = Integration.objects.filter(owner=person, is_active=True).count()
    action = Action.ROLE_CHANGE
    if "is_active" in changed:
        action = Action.ACTIVATE if person.is_active else Action.DEACTIVATE
    audit.record(action, request=request, by=by, obj=person, before=before, after=after, reason=reason)
    return changed


def check_administrators_remain(person: User, *, editor: User) -> None:
    """Asked before `person` stops being an administrator. Locks the administrators: two who remove each other at
    once take turns. Raises NotYourself, LastAdministrator. The command line does not ask."""
    if person == editor:
        raise NotYourself
    if not _others_administer(person, lock=True):
        raise LastAdministrator


def _others_administer(person: User, *, lock: bool = False) -> bool:
    admins = User.objects.filter(role=Role.ADMIN, is_active=True)
    return any(admin != person for admin in (admins.select_for_update() if lock else admins))


@transaction.atomic
def clear_binding(
    person: User, *, by: User | None = None, request: HttpRequest | None = None, reason: str = ""
) -> bool:
    """Lets the next sign-in with this address bind anew. False, and nothing written, if it was not bound."""
    stored = User.objects.select_for_update(no_key=True).get(pk=person.pk)
    if not stored.subject:
        return False
    before = {"issuer": stored.issuer, "subject": stored.subject}
    User.objects.filter(pk=person.pk).update(issuer="", subject="")
    audit.record(Action.BINDING_CLEARED, request=request, by=by, obj=person, before=before, reason=reason)
    return True
