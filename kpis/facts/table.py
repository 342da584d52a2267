"""Appends many facts at once: by COPY on PostgreSQL, by one prepared statement on SQLite. A key that is there already
is a duplicate, and nothing is done for it.

COPY goes straight into the table. If a key is there already the whole block fails, and goes through a temporary table
instead; a look at its first and last key spares the attempt where a body is sent again. Rows are sorted by key, so
that two senders of the same keys wait for each other in one order, and never for each other at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter

import msgspec
from django.db import IntegrityError, connection, transaction

from kpis.facts.checking import Checked
from kpis.models import Fact
from majorops.lib.times import iso
from majorops.lib.ulid import hex_of, new_hex_ulids, new_ulids

#: How many rows one block of COPY has.
BLOCK = 1000
_COLUMNS = (
    "id", "kind_id", "kind_version", "occurred_at", "received_at", "subject_type", "subject_id", "payload", "actor",
    "request_id", "source", "confidence", "dedupe_key", "supersedes_id",
)  # fmt: skip
_NAMES = ", ".join(_COLUMNS)
_KEY = attrgetter("key")
_TABLE = Fact._meta.db_table
_STAGING = "facts_staging"


def append(facts: Sequence[Checked], source: str, received_at: datetime) -> int:
    """Stores the facts, no two with one key, in the transaction that runs. How many were new."""
    rows = sorted(facts, key=_KEY)
    if not rows:
        return 0
    return (_copied if connection.vendor == "postgresql" else _inserted)(rows, source, received_at)


# --- PostgreSQL ---


def _copied(rows: Sequence[Checked], source: str, received_at: datetime) -> int:
    blocks = _blocks(rows, source, received_at)
    if not _may_be_there(rows, source):
        try:
            with transaction.atomic():
                _copy(_TABLE, blocks)
        except IntegrityError:
            pass
        else:
            return len(rows)
    return _through_staging(blocks)


def _may_be_there(rows: Sequence[Checked], source: str) -> bool:
    with connection.cursor() as cursor:  # a queryset takes as long to build as a hundred facts to store
        cursor.execute(
            f"SELECT EXISTS (SELECT FROM {_TABLE} WHERE source = %s AND dedupe_key IN (%s, %s))",  # noqa: S608
            [source, rows[0].key, rows[-1].key],
        )
        return bool(cursor.fetchone()[0])


def _through_staging(blocks: Sequence[str]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS {_STAGING} (LIKE {_TABLE}) ON COMMIT DELETE ROWS")
        cursor.execute(f"DELETE FROM {_STAGING}")  # noqa: S608  (our own name)
        _copy(_STAGING, blocks)
        cursor.execute(
            f"INSERT INTO {_TABLE} ({_NAMES}) SELECT {_NAMES} FROM {_STAGING} ORDER BY dedupe_key "  # noqa: S608
            "ON CONFLICT (source, dedupe_key) DO NOTHING"
        )
        return int(cursor.rowcount)


def _copy(table: str, blocks: Sequence[str]) -> None:
    # Django does not know COPY, so its errors would come as the driver's.
    statement = f"COPY {table} ({_NAMES}) FROM STDIN"
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        for block in blocks:
            copy.write(block)


def _blocks(rows: Sequence[Checked], source: str, received_at: datetime) -> list[str]:
    received, sender = iso(received_at), _escaped(source)
    lines = [
        _line(fact if fact.is_plain else _safe(fact), pk, received, sender)
        for fact, pk in zip(rows, new_hex_ulids(len(rows)), strict=True)
    ]
    return ["".join(lines[at : at + BLOCK]) for at in range(0, len(lines), BLOCK)]


def _line(fact: Checked, pk: str, received: str | None, sender: str) -> str:
    corrected = r"\N" if fact.supersedes is None else hex_of(fact.supersedes)
    confidence = fact.confidence if fact.confidence != 1 else "1"  # spelling a float takes as long as all the rest
    return (
        f"{pk}\t{fact.kind}\t{fact.version}\t{fact.occurred_text}\t{received}\t{fact.subject_type}\t{fact.subject_id}\t"
        f"{fact.payload_text}\t{fact.actor}\t{fact.request_id}\t{sender}\t{confidence}\t{fact.key}\t{corrected}\n"
    )


def _safe(fact: Checked) -> Checked:
    """The fact with its texts escaped for COPY."""
    texts = {
        name: _escaped(getattr(fact, name)) for name in ("subject_id", "payload_text", "actor", "request_id", "key")
    }
    return msgspec.structs.replace(fact, **texts)


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES) if _SPECIAL.search(text) else text


_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


# --- SQLite ---


def _inserted(rows: Sequence[Checked], source: str, received_at: datetime) -> int:
    places = ", ".join(["%s"] * len(_COLUMNS))
    received = _bound(received_at)
    values = [
        (
            pk, fact.kind, fact.version, _bound(fact.occurred_at), received, fact.subject_type, fact.subject_id,
            fact.payload_text, fact.actor, fact.request_id, source, fact.confidence, fact.key, fact.supersedes,
        )
        for fact, pk in zip(rows, new_ulids(len(rows)), strict=True)
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {_TABLE} ({_NAMES}) VALUES ({places}) ON CONFLICT (source, dedupe_key) DO NOTHING",  # noqa: S608
            values,
        )
        return int(cursor.rowcount)


def _bound(at: datetime) -> str:
    """As Django writes a time in UTC."""
    return at.isoformat(" ")[: -len("+00:00")]


# --- Row by row ---


def append_by_model(facts: Sequence[Checked], source: str, received_at: datetime) -> int:
    """The plain way, one row after the other: what the others are held to."""
    return sum(append_one(fact, source, received_at)[1] for fact in facts)


def append_one(fact: Checked, source: str, received_at: datetime) -> tuple[Fact, bool]:
    """The stored fact, and whether it is new."""
    return Fact.objects.get_or_create(
        source=source,
        dedupe_key=fact.key,
        defaults={
            "kind_id": fact.kind,
            "kind_version": fact.version,
            "occurred_at": fact.occurred_at,
            "received_at": received_at,
            "subject_type": fact.subject_type,
            "subject_id": fact.subject_id,
            "payload": json.loads(fact.payload_text),
            "actor": fact.actor,
            "request_id": fact.request_id,
            "confidence": fact.confidence,
            "supersedes_id": fact.supersedes,
        },
    )
