"""The glue: it puts the ledgers' guards in place and checks that they stand, and gives every job a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate
from django.utils import timezone

from majorops.lib.ledger import install, remove, teach_sqlite
from majorops.lib.pg_times import read_quickly


class MajorOpsConfig(AppConfig):
    """It owns the schedules of background work; its templates come before everyone's."""

    name = "majorops"
    verbose_name = "Background work"

    def ready(self) -> None:
        from majorops import checks  # noqa: F401  # registers them

        connection_created.connect(teach_sqlite, dispatch_uid="majorops.teach_sqlite")
        connection_created.connect(read_quickly, dispatch_uid="majorops.read_quickly")
        pre_migrate.connect(free_ledgers, dispatch_uid="majorops.free_ledgers")
        post_migrate.connect(guard_ledgers, dispatch_uid="majorops.guard_ledgers")
        post_migrate.connect(give_jobs_schedules, sender=self, dispatch_uid="majorops.give_jobs_schedules")


def free_ledgers(sender: AppConfig, using: str, plan: Sequence[object] = (), **kwargs: Any) -> None:
    """Before a migrate that has something to do: PostgreSQL changes no column that a trigger speaks of."""
    if sender.name == "kpis" and plan:
        remove(connections[using])


def guard_ledgers(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """After every migrate: SQLite drops a table's triggers when Django rebuilds the table."""
    if sender.name == "kpis":  # the last of our apps; all tables are there
        install(connections[using])


def give_jobs_schedules(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """After every migrate: a job that was declared since gets its row. A flush in tests brings them back."""
    from majorops.jobs import create_missing
    from majorops.models import Schedule

    if Schedule._meta.db_table in connections[using].introspection.table_names():
        create_missing(timezone.now())


class MajorOpsAdminConfig(AdminConfig):
    default_site = "majorops.admin.MajorOpsAdmin"

    def ready(self) -> None:
        """Not in majorops.admin, which makes the site that its tools register with."""
        super().ready()
        from majorops import jobs_admin  # noqa: F401
