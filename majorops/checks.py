"""System checks: `manage.py check --database default` says what is wrong before users find it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import Error, Tags, register
from django.db import connections

from majorops.lib.ledger import missing_guards


@register(Tags.database)
def ledgers_are_guarded(app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any) -> list[Error]:
    return [
        Error(
            f"The guard {name} is missing: history in {alias} could be rewritten.",
            hint="Run migrate; it puts every guard back.",
            id="majorops.E010",
        )
        for alias in databases or ()
        for name in missing_guards(connections[alias])
    ]
