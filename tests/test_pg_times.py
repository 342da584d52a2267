"""PostgreSQL's times mean the same as when Django reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest
from django.db import connection
from django.db.backends.postgresql.psycopg_any import BaseTzLoader

from majorops.lib.pg_times import UTCLoader


class AsDjango(BaseTzLoader):
    timezone = UTC


@pytest.mark.parametrize("sent", [
    "2026-03-01 12:00:00+00", "2026-03-01 12:00:00.1+00", "2026-03-01 12:00:00.123456+00",
    "2024-02-29 23:59:59.000001+00", "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00",
])  # fmt: skip
def test_a_time_is_what_django_reads(sent: str) -> None:
    ours, theirs = (reader(0).load(sent.encode()) for reader in (UTCLoader, AsDjango))
    assert ours == theirs
    assert ours.tzinfo is theirs.tzinfo is UTC


@pytest.mark.parametrize("sent", ["infinity", "-infinity", "10000-01-01 00:00:00+00", "0044-03-15 12:00:00+00 BC"])
def test_what_python_cannot_hold_is_refused(sent: str) -> None:
    with pytest.raises(psycopg.DataError):
        UTCLoader(0).load(sent.encode())


def test_another_zone_of_the_session_changes_no_instant() -> None:
    at = UTCLoader(0).load(b"2026-03-01 14:00:00.5+02")
    assert (at, at.tzinfo) == (datetime(2026, 3, 1, 12, 0, 0, 500_000, UTC), UTC)


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL only")
def test_every_connection_reads_this_way() -> None:
    with connection.cursor() as cursor:
        assert cursor.cursor.adapters.get_loader(psycopg.adapters.types["timestamptz"].oid, 0) is UTCLoader
        cursor.execute("SELECT timestamptz '2026-03-01 13:00:00.25+01'")
        assert cursor.fetchone() == (datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC),)
