"""Queries that are compiled once and asked many times.

Django needs longer to build a queryset and to write its SQL than the database needs to answer it. What a query is built
from is its key, and nothing else is handed to the function that builds it. The ids, texts and times in which those who
share a key differ stay open: in their place the queryset holds a blank, and each asking fills it in.

PostgreSQL prepares the statement too, once for each connection: planning these joins takes it longer than reading the
rows. A connection that may not keep statements has `prepare_threshold` None (majorops/settings.py).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import QuerySet

from majorops.lib.ulid import ULIDField

#: The last ULIDs there can be, of the year 10889.
VIEWER = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"
ROW = "7ZZZZZZZZZZZZZZZZZZZZZZZZY"
#: A time that nothing has.
MOMENT = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
IDS = {VIEWER, ROW}
#: Statements kept. Filters and cursors are part of a key, so there is no end to them.
SIZE = 256

Build = Callable[..., QuerySet[Any, Any]]
Blank = str | datetime


def ask(
    build: Build, *key: Hashable, blanks: Mapping[str, str | None] | Mapping[Blank, Blank | None]
) -> list[list[Any]]:
    """The rows of `build(*key)`, a `values_list`, with `blanks` (blank: id, text or time) filled in."""
    wrapper: Any = connections[DEFAULT_DB_ALIAS]
    try:
        statement = _compiled(build, key, tuple(blanks), wrapper.vendor)
    except EmptyResultSet:
        return []
    values = statement.values.copy()
    for place, blank in statement.places:
        values[place] = _stored(blank, blanks[blank], wrapper)  # type: ignore[index]
    with _cursor(wrapper) as cursor:
        cursor.execute(statement.sql, values)
        return list(_converted(cursor.fetchall(), statement.converters, wrapper))


def _cursor(wrapper: Any) -> Any:
    """Of PostgreSQL one that sends statement and values apart, as preparing takes; Django's own puts them together."""
    if wrapper.vendor != "postgresql" or wrapper.queries_logged:  # the log has Django's own with its values
        return wrapper.cursor()
    from django.db.backends.postgresql.base import ServerBindingCursor

    wrapper.close_if_health_check_failed()
    wrapper.ensure_connection()
    with wrapper.wrap_database_errors:
        cursor: Any = ServerBindingCursor
        return wrapper._prepare_cursor(cursor(wrapper.connection))


@dataclass(frozen=True, slots=True)
class Statement:
    """`values` as they were compiled, and where among them which blank stands."""

    sql: str
    values: list[Any]
    places: list[tuple[int, Blank]]
    #: (place, converters, expression) of each column that is not read as it comes.
    converters: list[tuple[int, list[Any], Any]]


@lru_cache(maxsize=SIZE)
def _compiled(build: Build, key: tuple[Hashable, ...], blanks: tuple[Blank, ...], vendor: str) -> Statement:
    wrapper: Any = connections[DEFAULT_DB_ALIAS]
    compiler = build(*key).query.get_compiler(connection=wrapper)
    sql, values = compiler.as_sql()
    stored = {_stored(blank, blank, wrapper): blank for blank in blanks}
    places = [
        (place, stored[value])
        for place, value in enumerate(values)
        if isinstance(value, UUID | str | datetime) and value in stored
    ]
    converters = compiler.get_converters([each[0] for each in compiler.select[: compiler.col_count]])
    return Statement(sql, list(values), places, [(place, *found) for place, found in converters.items()])


def _converted(rows: list[tuple[Any, ...]], converters: list[Any], wrapper: Any) -> Iterator[list[Any]]:
    for row in map(list, rows):
        for place, functions, expression in converters:
            for function in functions:
                row[place] = function(row[place], expression, wrapper)
        yield row


_ulid = ULIDField()


def _stored(blank: Blank, value: Blank | None, wrapper: Any) -> Any:
    if isinstance(value, datetime):
        return wrapper.ops.adapt_datetimefield_value(value)
    return _ulid.get_db_prep_value(value, wrapper) if blank in IDS else value
