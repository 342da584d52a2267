"""Who may come in: people, programs, and the trail of both."""

from accounts.models.audit import ActorKind, AuditEvent, RefusalCount
from accounts.models.integrations import Integration, ServiceToken, ThrottleBucket, validate_scopes
from accounts.models.people import GroupRole, User, UserManager
from accounts.models.requests import IdempotencyKey

__all__ = [
    "ActorKind",
    "AuditEvent",
    "GroupRole",
    "IdempotencyKey",
    "Integration",
    "RefusalCount",
    "ServiceToken",
    "ThrottleBucket",
    "User",
    "UserManager",
    "validate_scopes",
]
