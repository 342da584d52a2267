"""The rows that a new database comes with, kept beside the tables: a test with real transactions is undone quickly.

Foreign keys are checked at the end of a transaction, so the order of the tables does not matter.
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from majorops.lib import ledger

PREFIX = "baseline_"


def keep(connection: BaseDatabaseWrapper) -> None:
    """Call once, when the database is as every test shall find it."""
    with connection.cursor() as cursor:
        for table in _filled(connection):
            cursor.execute(f"CREATE TABLE {PREFIX}{table} AS SELECT * FROM {table}")


def restore(connection: BaseDatabaseWrapper) -> None:
    """Takes back whatever was committed since. The guards of the ledgers let only tests do that."""
    kept = [name for name in connection.introspection.table_names() if name.startswith(PREFIX)]
    with ledger.unlocked(connection), connection.cursor() as cursor:
        for table in _filled(connection):
            cursor.execute(f"DELETE FROM {table}")
        for copy in kept:
            cursor.execute(f"INSERT INTO {copy.removeprefix(PREFIX)} SELECT * FROM {copy}")


def _filled(connection: BaseDatabaseWrapper) -> list[str]:
    """The tables that have rows. One query."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    looks = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in names)
    with connection.cursor() as cursor:
        cursor.execute(looks)
        return [name for (name,) in cursor.fetchall()]
