"""System checks: `manage.py check --database default` says what is wrong before users find it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from majorops.lib.grants import rewritable
from majorops.lib.ledger import missing_guards


@register(Tags.database)
def ledgers_are_guarded(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """A warning while migrations wait: migrate asks this check first, and it is migrate that puts the guards back."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        level, number = (Warning, "W010") if is_behind(connections[alias]) else (Error, "E010")
        found += [
            level(
                f"The guard {name} is missing: history in {alias} could be rewritten.",
                hint="Run migrate; it puts every guard back.",
                id=f"majorops.{number}",
            )
            for name in missing_guards(connections[alias])
        ]
    return found


def is_behind(connection: BaseDatabaseWrapper) -> bool:
    """Whether migrations wait to be applied."""
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


ROLE_HINT = "Serve as a role of its own, with the grants that `mim db grants ROLE` prints: see docs/operations.md."


@register(Tags.database)
def role_cannot_rewrite(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """A warning, for whoever migrates must be the owner."""
    return [Warning(told, hint=ROLE_HINT, id="majorops.W011") for told in _rewritable(databases)]


@register(Tags.database, deploy=True)
def deployed_role_cannot_rewrite(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """An error: `check --deploy --database default` asks whether this is fit to serve."""
    return [Error(told, hint=ROLE_HINT, id="majorops.E011") for told in _rewritable(databases)]


def _rewritable(databases: Sequence[str] | None) -> list[str]:
    return [told for alias in databases or () for told in rewritable(connections[alias])]
