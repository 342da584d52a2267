"""The leaf: ULIDs, times, text, links, and ledgers that refuse to be edited."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError

from incidents.models import Incident, TimelineEvent
from majorops.lib.appendonly import HistoryIsAppendOnly
from majorops.lib.errors import Invalid
from majorops.lib.links import check_https
from majorops.lib.text import clean_text
from majorops.lib.times import iso, parse_time
from majorops.lib.ulid import new_ulid, parse_ulid
from tests.factories import IncidentFactory, TimelineEventFactory


def test_ulids_sort_by_the_time_they_were_made() -> None:
    made = [new_ulid() for _ in range(1000)]
    assert made == sorted(set(made))


@pytest.mark.parametrize("text", ["", "1", "8" + "Z" * 25, "0" * 25 + "I", "0" * 27, "0" * 25 + "\u0660"])
def test_what_is_no_ulid(text: str) -> None:
    with pytest.raises(ValueError, match="is not a ULID"):
        parse_ulid(text)


@pytest.mark.django_db
def test_a_ulid_column_reads_back_what_was_written() -> None:
    pk = IncidentFactory().pk
    assert Incident.objects.get(pk=pk.lower()).pk == pk
    with pytest.raises(ValidationError):
        Incident.objects.get(pk="nonsense")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-02T10:00:00Z", "2026-03-02T10:00:00.000Z"),
        ("2026-03-02T10:00:00.123456+01:00", "2026-03-02T09:00:00.123Z"),
        (1772445600123, "2026-03-02T10:00:00.123Z"),
        (datetime(2026, 3, 2, tzinfo=UTC), "2026-03-02T00:00:00.000Z"),
    ],
)
def test_times_come_in_as_text_or_milliseconds(value: object, expected: str) -> None:
    assert iso(parse_time(value, field="at")) == expected


@pytest.mark.parametrize(
    "value",
    [
        "", "yesterday", "2026-03-02T10:00:00", "2026-02-30T10:00:00Z", "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00", "1999-12-31T23:59:59Z", "2100-01-01T00:00:00Z", None, True, -1, 1e400,
        float("nan"), 10**400, [], {},
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_by_name(value: object) -> None:
    with pytest.raises(Invalid, match="at") as refused:
        parse_time(value, field="at")
    assert refused.value.field == "at"


@pytest.mark.parametrize("value", ["a\0b", "\ud800", "x" * 11, 5, ["x"]])
def test_text_no_database_can_hold_is_refused(value: object) -> None:
    with pytest.raises(Invalid):
        clean_text(value, field="title", max_length=10)


def test_text_loses_its_outer_space_and_nothing_else() -> None:
    assert clean_text("  déjà\nvu \U0001f525 ", field="title") == "déjà\nvu \U0001f525"


@pytest.mark.parametrize(
    "url",
    [
        "http://meet.example.com", "javascript:alert(1)", "https://meet.example.com@evil.example.com/",
        "https://evil.example.com\\@meet.example.com", "https://", "https://localhost/", "https://ex ample.com",
        "https://meet.example.com/\n", "https://meet.example.com:0/", "https://[::1/", "//meet.example.com",
        "https://m\u0435et.example.com",
    ],
)  # fmt: skip
def test_links_that_do_not_lead_where_they_seem_to(url: str) -> None:
    with pytest.raises(Invalid):
        check_https(url, field="bridge_url")


def test_a_plain_link_is_fine() -> None:
    assert check_https("https://meet.example.com:8443/a?b=c", field="bridge_url")


@pytest.mark.django_db
def test_history_refuses_every_way_of_being_edited() -> None:
    entry = TimelineEventFactory()
    for edit in (
        entry.save,
        entry.delete,
        lambda: TimelineEvent.objects.update(title="x"),
        lambda: TimelineEvent.objects.all().delete(),
        lambda: TimelineEvent.objects.bulk_update([entry], ["title"]),
    ):
        with pytest.raises(HistoryIsAppendOnly):
            edit()
