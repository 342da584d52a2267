"""What a PostgreSQL role may do to the ledgers: the grants a service needs, and what a role could rewrite.

The triggers of ledger.py stop everybody but the owner of a table, who can switch them off. A service that connects as
another role, with these grants, cannot rewrite history at all: not by its own code, nor by anybody who takes it over.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from majorops.lib.errors import Invalid
from majorops.lib.ledger import Ledger, ledgers

#: The longest name PostgreSQL keeps whole.
MAX_ROLE = 63


def grants(role: str, *, schema: str = "public") -> list[str]:
    """The SQL that lets `role` serve, to be run by the owner after each migrate. Raises Invalid.

    Every table can be read and written, the ledgers only added to, but for the columns that their declarations let
    change. Running it again changes nothing.
    """
    if not role or "\0" in role or len(role.encode()) > MAX_ROLE:
        raise Invalid(f"A role has a name of 1 to {MAX_ROLE} bytes.", field="role")
    to, where = _quoted(role), _quoted(schema)
    return [
        "BEGIN;",
        f"GRANT USAGE ON SCHEMA {where} TO {to};",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {where} TO {to};",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {where} TO {to};",
        *(sql for model in ledgers() for sql in _ledger_grants(model, where, to)),
        "COMMIT;",
    ]


def _ledger_grants(model: type[models.Model], schema: str, role: str) -> Iterator[str]:
    table = f"{schema}.{_quoted(model._meta.db_table)}"
    yield f"REVOKE ALL ON {table} FROM {role};"
    yield f"GRANT SELECT, INSERT ON {table} TO {role};"
    if columns := _changing(model):
        yield f"GRANT UPDATE ({', '.join(map(_quoted, columns))}) ON {table} TO {role};"


def _changing(model: type[models.Model]) -> list[str]:
    """The columns that may change after a row is written, at will or once; none in a pure ledger."""
    ledger: Ledger = model.ledger  # type: ignore[attr-defined]
    names = {*ledger.mutable, *ledger.set_once}
    return [str(field.column) for field in model._meta.local_concrete_fields if field.name in names]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# --- What the role of a connection could do ---


def rewritable(connection: BaseDatabaseWrapper) -> list[str]:
    """A sentence for each way in which this connection's role could rewrite history; none off PostgreSQL."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
        role, is_superuser = cursor.fetchone()
        if is_superuser:
            return [f"The database role {role} is a superuser: nothing in the database holds it back."]
        return [*_owned(cursor, role), *_writable(cursor, role)]


def _owned(cursor: object, role: str) -> Iterator[str]:
    sql = (
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') "
        "AND relname = ANY(%s) AND pg_has_role(relowner, 'MEMBER') ORDER BY relname"
    )
    if names := _column(cursor, sql, [[model._meta.db_table for model in ledgers()]]):
        yield f"The database role {role} owns {', '.join(names)}: an owner can switch the guards off."


def _writable(cursor: object, role: str) -> Iterator[str]:
    """Ledgers that others own, with privileges that no action needs."""
    sql = (
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relname = %s "
        "AND NOT pg_has_role(relowner, 'MEMBER') AND (has_table_privilege(oid, 'DELETE') "
        "OR has_table_privilege(oid, 'TRUNCATE') OR EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = pg_class.oid "
        "AND attnum > 0 AND NOT attisdropped AND attname <> ALL(%s) "
        "AND has_column_privilege(pg_class.oid, attnum, 'UPDATE')))"
    )
    names = [name for model in ledgers() for name in _column(cursor, sql, [model._meta.db_table, _changing(model)])]
    if names:
        yield f"The database role {role} may update or delete rows of {', '.join(names)}."


def _column(cursor: object, sql: str, parameters: list[object]) -> list[str]:
    cursor.execute(sql, parameters)  # type: ignore[attr-defined]
    return [row[0] for row in cursor.fetchall()]  # type: ignore[attr-defined]
