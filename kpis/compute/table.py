"""Appends many observations at once, past the model: by COPY on PostgreSQL, by one prepared statement on SQLite.

Both write what `append_by_model` writes, and a test holds them to it. Constraints and guards are the database's, so
they hold here too; what the model adds (defaults, validation) the caller has done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TypeVar

from django.db import connection, models

from kpis.models import KpiObservation
from majorops.lib.ulid import ULIDField, hex_of

Row = Mapping[str, Any]
Adapt = Callable[[Any], Any]
A = TypeVar("A")


def append(rows: Sequence[Row], shared: Row = MappingProxyType({})) -> None:
    """Inserts the rows in the transaction that runs. `shared` are the columns that all have in common, by attribute;
    each row has the others."""
    if connection.vendor == "postgresql":
        _copy(rows, shared)
    elif connection.vendor == "sqlite":
        _insert(rows, shared)
    else:
        append_by_model(rows, shared)


def append_by_model(rows: Iterable[Row], shared: Row = MappingProxyType({})) -> None:
    """The plain way, for any database."""
    KpiObservation.objects.bulk_create([KpiObservation(**shared, **row) for row in rows], batch_size=500)


def _copy(rows: Sequence[Row], shared: Row) -> None:
    """COPY in its text format, one block for 1000 rows: the driver would look at each value by itself."""
    names, own, line = _columns(_as_copied), [], []
    for name, _, adapt in names:
        if name in shared:
            line.append(_copied(shared[name], adapt).replace("%", "%%"))
        else:
            own.append((name, adapt))
            line.append("%s")
    template = "\t".join(line) + "\n"
    columns = ", ".join(f'"{column}"' for _, column, _ in names)
    statement = f"COPY {_TABLE} ({columns}) FROM STDIN"
    # Django does not know COPY, so its errors would come as the driver's.
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        for at in range(0, len(rows), 1000):
            copy.write("".join([template % _texts(row, own) for row in rows[at : at + 1000]]))


def _texts(row: Row, own: Sequence[tuple[str, Adapt]]) -> tuple[str, ...]:
    return tuple([r"\N" if (value := row[name]) is None else adapt(value) for name, adapt in own])


def _copied(value: Any, adapt: Adapt) -> str:
    return r"\N" if value is None else str(adapt(value))


def _insert(rows: Iterable[Row], shared: Row) -> None:
    names = _columns(_as_bound)
    own = [(name, adapt) for name, _, adapt in names if name not in shared]
    same = [(column, _bound(shared[name], adapt)) for name, column, adapt in names if name in shared]
    columns = ", ".join(f'"{column}"' for column in [*(column for column, _ in same), *_column_names(names, shared)])
    places = ", ".join(["%s"] * len(names))
    head = tuple(value for _, value in same)
    values = [(*head, *[_bound(row[name], adapt) for name, adapt in own]) for row in rows]
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {_TABLE} ({columns}) VALUES ({places})", values)  # noqa: S608  (our own names)


def _column_names(names: Sequence[tuple[str, str, object]], shared: Row) -> list[str]:
    return [column for name, column, _ in names if name not in shared]


def _bound(value: Any, adapt: Adapt | None) -> Any:
    return adapt(value) if adapt is not None and value is not None else value


_TABLE = f'"{KpiObservation._meta.db_table}"'


def _columns(adapter: Callable[[models.Field[Any, Any]], A]) -> list[tuple[str, str, A]]:
    """(attribute, column, how a value other than None is adapted) of each column."""
    fields = KpiObservation._meta.local_concrete_fields
    return [(field.attname, str(field.column), adapter(_target(field))) for field in fields]


def _target(field: models.Field[Any, Any]) -> models.Field[Any, Any]:
    """What a foreign key holds."""
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    return field


def _as_copied(field: models.Field[Any, Any]) -> Adapt:
    if isinstance(field, ULIDField):
        return hex_of  # PostgreSQL reads a uuid without its hyphens
    if isinstance(field, models.DateTimeField):
        return datetime.isoformat
    if isinstance(field, models.JSONField):
        return _json_copied
    return _escaped if isinstance(field, models.CharField | models.TextField) else str


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES) if _SPECIAL.search(text) else text


_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _json_copied(value: Any) -> str:
    return _escaped(_json(value))


def _as_bound(field: models.Field[Any, Any]) -> Adapt | None:
    if isinstance(field, models.DateTimeField):
        return _time_bound
    return _json if isinstance(field, models.JSONField) else None


def _time_bound(at: datetime) -> Any:
    """As Django writes it; it would look up the zone of the connection for each."""
    if at.tzinfo is UTC and connection.timezone is UTC:
        return at.isoformat(" ")[: -len("+00:00")]
    return connection.ops.adapt_datetimefield_value(at)


_encode = json.JSONEncoder().encode
_word = json.encoder.encode_basestring_ascii


def _json(value: Any) -> str:
    """As Django writes it: most are empty, or name one row."""
    if type(value) is list:
        if not value:
            return "[]"
        if len(value) == 1 and type(value[0]) is str:
            return f"[{_word(value[0])}]"
    return "{}" if value == {} else _encode(value)
