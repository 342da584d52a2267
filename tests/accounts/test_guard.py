"""The one off-switch of the ledgers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.audit import Action
from accounts.guard import open_ledgers
from accounts.models import AuditEvent, User
from majorops.lib.errors import Invalid
from tests.run import ROOT

pytestmark = pytest.mark.django_db

#: The switch itself and the one module that may turn it.
MAY_UNLOCK = {"majorops/lib/ledger.py", "accounts/guard.py"}
SWITCHES = {"unlocked", "_is_unlocked", "_say"}


def rewrite() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_events SET reason = 'erased' WHERE action = 'export'")


def test_it_opens_history_and_says_so(admin_user: User) -> None:
    AuditEvent.objects.create(action=Action.EXPORT, reason="a name")
    with open_ledgers("request of 2 March", by=admin_user):
        rewrite()
    opened = AuditEvent.objects.get(action=Action.GUARD_OPEN)
    assert (opened.actor_name, opened.reason) == (admin_user.email, "request of 2 March")
    assert AuditEvent.objects.get(action=Action.EXPORT).reason == "erased"


def test_it_is_shut_again_afterwards(admin_user: User) -> None:
    AuditEvent.objects.create(action=Action.EXPORT, reason="a name")
    with open_ledgers("request of 2 March", by=None):
        pass
    with pytest.raises(DatabaseError), transaction.atomic():
        rewrite()


@pytest.mark.parametrize("reason", ["", "  "])
def test_it_stays_shut_without_a_reason(reason: str) -> None:
    with pytest.raises(Invalid), open_ledgers(reason, by=None):
        pytest.fail("it opened")
    assert not AuditEvent.objects.exists()


def fail_inside() -> None:
    with open_ledgers("request", by=None):
        rewrite()
        raise RuntimeError


def test_what_fails_inside_leaves_history_as_it_was() -> None:
    AuditEvent.objects.create(action=Action.EXPORT, reason="a name")
    with pytest.raises(RuntimeError):
        fail_inside()
    assert AuditEvent.objects.get().reason == "a name"


def uses(source: str) -> Iterator[str]:
    """Names of the switch in `source`, however they are reached: imported, as an attribute, or as text."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) if name in SWITCHES:
                yield name
            case ast.Constant(value=str() as text) if text in SWITCHES or "majorops.allow_rewrite" in text:
                yield text


def test_nothing_else_uses_the_switch() -> None:
    for package in ("majorops", "accounts", "teams", "incidents", "kpis"):
        for file in (ROOT / package).rglob("*.py"):
            path, source = str(file.relative_to(ROOT)), file.read_text()
            # To parse them all takes seconds.
            names_it = any(word in source for word in (*SWITCHES, "majorops.allow_rewrite"))
            assert path in MAY_UNLOCK or not names_it or not list(uses(source)), path


@pytest.mark.parametrize(
    "source",
    [
        "from majorops.lib.ledger import unlocked",
        "from majorops.lib import ledger\nwith ledger.unlocked(c): pass",
        "ledger._is_unlocked.set(True)",
        "cursor.execute('SET LOCAL majorops.allow_rewrite = on')",
        "getattr(ledger, 'unlocked')(c)",
    ],
)
def test_a_planted_use_is_found(source: str) -> None:
    assert list(uses(source))
