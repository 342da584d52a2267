"""Who sees people, programs and the trail they leave: administrators, and each person their own row."""

from __future__ import annotations

from django.db.models import Model, QuerySet
from django.http import HttpRequest

from accounts.models import (
    AuditEvent,
    GroupRole,
    IdempotencyKey,
    Integration,
    RefusalCount,
    ServiceToken,
    ThrottleBucket,
    User,
)
from accounts.principals import Service
from accounts.roles import Can
from majorops.lib.visibility import NONE, Fields, Rows, Sight, columns, nobody

#: None is somebody unknown. A person without a role, or switched off, can nothing and so sees as much.
Viewer = User | Service | None

#: What a name shows, wherever a person is named.
NAMED = frozenset({"id", "email", "display_name"})
OWN = NAMED | {"role", "is_active", "created_at", "last_seen_at"}


def viewer_of(request: HttpRequest) -> Viewer:
    """Who looks. None for Django's anonymous user."""
    user = getattr(request, "user", None)
    return user if isinstance(user, User | Service) else None


def may(viewer: object, capability: Can) -> bool:
    """Whether the viewer has the capability; somebody unknown has none."""
    return isinstance(viewer, User | Service) and viewer.can(capability)


def administrators(rows: Rows, viewer: object) -> Rows:
    """All rows, for administrators only."""
    return rows if may(viewer, Can.ADMINISTER) else rows.none()


def for_administrators(model: type[Model], others: frozenset[str] = NONE, *, but: frozenset[str] = NONE) -> Fields:
    """Fields: every column for administrators (save `but`), `others` for the rest."""
    everything = columns(model) - but
    return lambda viewer, row: everything if may(viewer, Can.ADMINISTER) else others


def _people(rows: QuerySet[User], viewer: object) -> QuerySet[User]:
    """Administrators see all, those who command whom they can put in a role, everybody themselves."""
    if may(viewer, Can.ADMINISTER):
        return rows
    if may(viewer, Can.COMMAND) and isinstance(viewer, User):
        return rows.filter(is_active=True).exclude(role="")
    return rows.filter(pk=viewer.pk) if isinstance(viewer, User) else rows.none()


def _person_fields(viewer: object, person: User | None) -> frozenset[str]:
    if may(viewer, Can.ADMINISTER):
        return columns(User)
    return OWN if person is not None and person == viewer else NAMED


SIGHTS: dict[type[Model], Sight] = {
    User: Sight(_people, _person_fields, filters=NAMED, orders=frozenset({"email"}), searches=NAMED),
    GroupRole: Sight(administrators, for_administrators(GroupRole)),
    Integration: Sight(administrators, for_administrators(Integration)),
    # A hash is no secret, but nobody needs it either.
    ServiceToken: Sight(administrators, for_administrators(ServiceToken, but=frozenset({"secret_sha256"}))),
    AuditEvent: Sight(administrators, for_administrators(AuditEvent)),
    RefusalCount: Sight(administrators, for_administrators(RefusalCount)),
    ThrottleBucket: Sight(nobody, lambda viewer, row: NONE),
    # It holds answers, each for its sender alone: accounts/idempotency.py.
    IdempotencyKey: Sight(nobody, lambda viewer, row: NONE),
}
