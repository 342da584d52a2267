"""The one off-switch of the ledgers' guards: for erasure and retention, and never without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from accounts import audit
from accounts.audit import Action
from accounts.models import ActorKind, User
from majorops.lib.errors import Invalid
from majorops.lib.ledger import unlocked


@contextmanager
def open_ledgers(reason: str, *, by: User | None) -> Iterator[None]:
    """Lets this block rewrite history, in one transaction with the audit event that says why. `by` is None for
    whoever holds the server's command line. Raises Invalid without a reason."""
    if not reason.strip():
        raise Invalid("Say why history is opened; the audit trail keeps it.", field="reason")
    with unlocked(connection):
        audit.record(Action.GUARD_OPEN, by=by or ActorKind.SYSTEM, reason=reason)
        yield
