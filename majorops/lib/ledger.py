"""Ledgers the database itself guards: rows that are never rewritten, columns that are set once.

A model joins by one declaration, `ledger = Ledger()`; `AppendOnly` models have it already. The guards are
triggers, put in place after every migrate: SQLite silently drops a table's triggers when Django rebuilds the
table for a column. `missing_guards` says which are absent; a system check and /readyz ask it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

PREFIX = "majorops_guard_"
FUNCTION = "majorops_refuse_rewrite"
SETTING = "majorops.allow_rewrite"
#: SQLite asks this function; a connection without it (another program) cannot rewrite at all.
SQLITE_FUNCTION = "majorops_allow_rewrite"

_is_unlocked: ContextVar[bool] = ContextVar("ledgers_unlocked", default=False)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What of a row may change after it is written: `mutable` fields at will, `set_once` from empty to a value."""

    mutable: tuple[str, ...] = ()
    set_once: tuple[str, ...] = ()


def ledgers() -> list[type[models.Model]]:
    """Every model with a ledger declaration, by table name."""
    found = [model for model in apps.get_models() if isinstance(getattr(model, "ledger", None), Ledger)]
    return sorted(found, key=lambda model: model._meta.db_table)


def guards(model: type[models.Model], connection: BaseDatabaseWrapper) -> dict[str, str]:
    """The triggers of a ledger: name -> CREATE statement. The name carries a hash of what it does."""
    build: Callable[..., Iterator[tuple[str, str]]] = _postgresql if connection.vendor == "postgresql" else _sqlite
    table = model._meta.db_table
    found = {}
    for event, template in build(connection.ops.quote_name(table), _rewrites(model, connection), table):
        digest = hashlib.sha256(template.encode()).hexdigest()[:8]
        name = f"{PREFIX}{table}_{event}_{digest}"
        found[name] = template.replace("<name>", connection.ops.quote_name(name))
    return found


def _rewrites(model: type[models.Model], connection: BaseDatabaseWrapper) -> str:
    """The SQL condition under which an update rewrites history."""
    ledger: Ledger = model.ledger  # type: ignore[attr-defined]
    differs = "IS DISTINCT FROM" if connection.vendor == "postgresql" else "IS NOT"
    conditions = []
    for column in model._meta.local_concrete_fields:
        if column.name in ledger.mutable:
            continue
        name = connection.ops.quote_name(str(column.column))
        changed = f"OLD.{name} {differs} NEW.{name}"
        if column.name in ledger.set_once:
            was = f"NULLIF(OLD.{name}, '')" if isinstance(column, models.CharField) else f"OLD.{name}"
            changed = f"({was} IS NOT NULL AND {changed})"
        conditions.append(changed)
    return " OR ".join(conditions)


def _postgresql(table: str, rewrites: str, plain: str) -> Iterator[tuple[str, str]]:
    call = f"EXECUTE FUNCTION {FUNCTION}()"
    yield "update", f"CREATE TRIGGER <name> BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({rewrites}) {call}"
    yield "delete", f"CREATE TRIGGER <name> BEFORE DELETE ON {table} FOR EACH ROW {call}"
    yield "truncate", f"CREATE TRIGGER <name> BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {call}"


def _sqlite(table: str, rewrites: str, plain: str) -> Iterator[tuple[str, str]]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{plain} is history: it is not rewritten or deleted'); END"
    locked = f"{SQLITE_FUNCTION}() = 0"
    yield "update", f"CREATE TRIGGER <name> BEFORE UPDATE ON {table} WHEN {locked} AND ({rewrites}) {refuse}"
    yield "delete", f"CREATE TRIGGER <name> BEFORE DELETE ON {table} WHEN {locked} {refuse}"


#: Error code 23514 (check violation) becomes Django's IntegrityError, as on SQLite.
_FUNCTION_SQL = f"""
CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('{SETTING}', true) = 'on' THEN
        IF TG_OP = 'UPDATE' THEN RETURN NEW; END IF;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is history: it is not rewritten or deleted', TG_TABLE_NAME USING ERRCODE = '23514';
END $$
"""


def installed(connection: BaseDatabaseWrapper) -> set[tuple[str, str]]:
    """(table, name) of every guard in the database."""
    if connection.vendor == "postgresql":
        sql = (
            "SELECT event.relname, guard.tgname FROM pg_trigger guard JOIN pg_class event ON event.oid = guard.tgrelid "
            "JOIN pg_namespace space ON space.oid = event.relnamespace "
            "WHERE guard.tgname LIKE %s AND guard.tgenabled IN ('O', 'A') AND space.nspname = current_schema()"
        )
    else:
        sql = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger' AND name LIKE %s"
    with connection.cursor() as cursor:
        cursor.execute(sql, [f"{PREFIX}%"])
        return set(cursor.fetchall())


def missing_guards(connection: BaseDatabaseWrapper) -> list[str]:
    """Names of the guards that should stand and do not; empty when all is well. Tables not yet made are left out."""
    there, tables = installed(connection), set(connection.introspection.table_names())
    return [
        name
        for model in ledgers()
        if model._meta.db_table in tables
        for name in guards(model, connection)
        if (model._meta.db_table, name) not in there
    ]


def install(connection: BaseDatabaseWrapper) -> None:
    """Puts every guard in place and removes outdated ones. Writes nothing when all stand already."""
    tables = set(connection.introspection.table_names())
    for model in ledgers():
        if model._meta.db_table in tables and _has_all_columns(model, connection):
            _install_one(model, connection)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Takes every guard away. Only for a migrate that changes the tables: it ends by installing them again."""
    with connection.cursor() as cursor:
        for table, name in sorted(installed(connection)):
            on = f" ON {connection.ops.quote_name(table)}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER {connection.ops.quote_name(name)}{on}")


def _has_all_columns(model: type[models.Model], connection: BaseDatabaseWrapper) -> bool:
    """Whether the table is at the model's state; half-way through migrations it is not."""
    with connection.cursor() as cursor:
        present = {
            column.name for column in connection.introspection.get_table_description(cursor, model._meta.db_table)
        }
    return present >= {field.column for field in model._meta.local_concrete_fields}


def _install_one(model: type[models.Model], connection: BaseDatabaseWrapper) -> None:
    table, wanted = model._meta.db_table, guards(model, connection)
    there = {name for on, name in installed(connection) if on == table}
    if there == set(wanted):
        return
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_FUNCTION_SQL)
        on = f" ON {connection.ops.quote_name(table)}" if connection.vendor == "postgresql" else ""
        for name in sorted(there - set(wanted)):
            cursor.execute(f"DROP TRIGGER {connection.ops.quote_name(name)}{on}")
        for name in sorted(set(wanted) - there):
            cursor.execute(wanted[name])


@contextmanager
def unlocked(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Lets this transaction rewrite history. Only accounts.guard and the test suite may use it."""
    token = _is_unlocked.set(True)
    try:
        with transaction.atomic(using=connection.alias):
            _say(connection, "on")
            yield
            _say(connection, "off")
    finally:
        _is_unlocked.reset(token)


def _say(connection: BaseDatabaseWrapper, state: str) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config(%s, %s, true)", [SETTING, state])


def teach_sqlite(sender: Any, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Receiver of connection_created."""
    if connection.vendor == "sqlite":
        connection.connection.create_function(SQLITE_FUNCTION, 0, lambda: int(_is_unlocked.get()))
