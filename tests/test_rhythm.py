"""When something that repeats is due."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from majorops.lib.rhythm import NoRhythm, due_slot, rhythm_of
from majorops.lib.times import iso
from tests.factories import at

ZONE = "Europe/Berlin"


def slots(text: str, start: str, end: str) -> list[str]:
    """What is due, minute by minute."""
    rhythm, now, settled, found = rhythm_of(text, ZONE), at(start), at(start), []
    while now <= at(end):
        if slot := due_slot(rhythm, settled_until=settled, now=now):
            found.append(str(iso(slot))[:16])
            settled = slot
        now += timedelta(minutes=1)
    return found


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("every 5 minutes", "12:03", "2026-03-02T12:05"),
        ("every 5 minutes", "12:05", "2026-03-02T12:10"),
        ("every hour", "12:05", "2026-03-02T13:00"),
        ("every 10 seconds", "12:05:51", "2026-03-02T12:06"),
        ("every 24 hours", "12:05", "2026-03-03T00:00"),
        ("daily 02:15", "00:15", "2026-03-02T01:15"),
        ("daily 02:15", "01:15", "2026-03-03T01:15"),
        ("daily 00:00", "22:59", "2026-03-02T23:00"),
        ("wed 08:00", "12:00", "2026-03-04T07:00"),
        ("mon,wed 08:00", "2026-03-04T08:00", "2026-03-09T07:00"),
        ("mon 08:00", "07:00", "2026-03-09T07:00"),
    ],
)
def test_the_next_slot(text: str, after: str, expected: str) -> None:
    slot = rhythm_of(text, ZONE).after(at(after))
    assert slot == at(expected)
    assert rhythm_of(text, ZONE).latest(slot) == slot
    assert rhythm_of(text, ZONE).latest(slot - timedelta(seconds=1)) < slot


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-03-28", "2026-03-28T01:30"),  # winter time
        ("2026-03-29", "2026-03-29T01:30"),  # 02:30 is skipped: 03:30 summer time
        ("2026-03-30", "2026-03-30T00:30"),
        ("2026-10-24", "2026-10-24T00:30"),
        ("2026-10-25", "2026-10-25T00:30"),  # 02:30 comes twice: the first one
        ("2026-10-26", "2026-10-26T01:30"),
    ],
)
def test_a_job_at_half_past_two_runs_once_on_days_when_the_clock_changes(day: str, expected: str) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(ZONE))
    next_one = midnight + timedelta(days=1)
    assert slots("daily 02:30", midnight.isoformat(), next_one.isoformat()) == [expected]


def test_of_many_missed_slots_the_newest_is_due() -> None:
    rhythm = rhythm_of("every 5 minutes", ZONE)
    assert due_slot(rhythm, settled_until=at("08:00"), now=at("12:03")) == at("12:00")
    assert due_slot(rhythm, settled_until=at("12:00"), now=at("12:03")) is None


@pytest.mark.parametrize(
    "text",
    ["", "often", "every 5", "every 0 minutes", "every 9 seconds", "every 25 hours", "daily", "daily 24:00",
     "daily 2:30", "xyz 08:00", "mon, tue 08:00", "* * * * *", "every 99999999 hours"],
)  # fmt: skip
def test_what_is_no_rhythm_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(NoRhythm, match="every"):
        rhythm_of(text, ZONE)
