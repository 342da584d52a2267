"""A pasted timeline becomes log entries with their times; what is not read is told, and nothing is invented."""

from __future__ import annotations

from pathlib import Path

import pytest

from incidents.intake import Fate, FileRefused, Problem
from incidents.intake.postmortem import Timeline, read, timeline
from incidents.intake.zones import ZoneUnclear, named_zone
from incidents.past import PastIncident
from majorops.lib.errors import Invalid
from tests.factories import at

FIXTURE = (Path(__file__).parent / "fixtures" / "postmortem.md").read_bytes()


def page(*lines: str, clock: str = "All times in UTC", zone: str = "") -> Timeline:
    text = "\n".join(["# 2026-03-02, Candles go dark", "", "## Timeline", "", clock, "", *lines])
    return timeline(text.encode(), named_zone(zone) if zone else None)


def read_lines(*lines: str, **more: str) -> list[tuple[str, str]]:
    """The times and titles of the entries, in the order of the page."""
    return [(f"{entry.at:%m-%d %H:%M}", entry.title) for entry in page(*lines, **more).entries]


def told(found: Timeline) -> str:
    return " | ".join(map(str, found.problems))


def test_a_page_of_headings_is_read_with_its_texts_and_zone() -> None:
    found = timeline(FIXTURE)
    assert [f"{entry.at:%d %H:%M}" for entry in found.entries] == ["02 07:55", "02 08:20", "02 08:15", "03 17:05"]
    first = found.entries[0]
    assert first.title == "A draught is felt. Then:"
    assert "- the first candle goes out" in first.description
    assert "10:01 this is output and no entry" in first.description
    assert first.description.endswith("Time as written: 2025-05-02 09:55 (CEST)")
    assert found.entries[1].description == "Time as written: ~10:20-10:30 (CEST)"
    assert found.entries[3].title == "Candles burn"


def test_what_is_not_read_is_told_line_by_line() -> None:
    said = told(timeline(FIXTURE))
    assert 'skipped: line 5: "Summary" is no part of the timeline.' in said
    assert "kept: line 25: 10:15 stands below 10:20; both times are kept" in said
    assert 'refused: line 29: It begins with no time that is read: "Later that day"' in said
    assert 'skipped: line 31: It belongs to no entry: "Somebody found matches."' in said
    assert 'refused: line 33: "25:70" is no time of day.' in said


def test_the_incident_begins_with_its_first_entry_and_its_end_is_not_guessed() -> None:
    past = read(FIXTURE)[-1]
    assert isinstance(past, PastIncident)
    assert (past.title, past.detected_at) == ("2025-05-02, Candles go dark", at("2025-05-02T07:55"))
    assert past.resolved_at is None
    assert "No line is read as its end" in past.unknown_end
    ended = read(FIXTURE, resolved="last")[-1]
    assert isinstance(ended, PastIncident)
    assert ended.resolved_at == at("2025-05-03T17:05")


@pytest.mark.parametrize(
    "line",
    [
        "- 10:00 Dark", "* **10:00** Dark", "1. 10:00 - Dark", "10:00: Dark", "**10:00 UTC** – Dark", "[10:00] Dark",
        "| 10:00 | Dark |", "### 10:00 Dark", "- 2026-03-02 10:00 Dark", "- 2026-03-02T10:00:00Z Dark",
        "- 2026-03-02 11:00+01:00 Dark", "- 2026-03-02T02:00-08:00 Dark", "- 2026-03-02 02:00:00-08:00 Dark",
        "- 10:00-10:30 Dark", "- 10:00 - 10:30 Dark", "- 02:00 UTC-8 Dark",
        "- Mon, 2 March 2026, 10:00 Dark", "- Mar 2nd 2026 at 10:00 Dark",
        "- March 2, 10:00am Dark", "- ca. 10:00 Dark", "- ~10:00–10:15 Dark", "- 10h00 Dark", "- 10 am Dark",
        "- 2026/3/2 10:00 Dark",
    ],
)  # fmt: skip
def test_a_time_is_read_however_it_is_written(line: str) -> None:
    assert read_lines(line) == [("03-02 10:00", "Dark")]


def test_a_table_is_read_row_by_row_and_its_header_is_none() -> None:
    rows = (
        "| Date | Time (UTC) | What |",
        "|---|---|---|",
        "| 2026-03-02 | 10:00 | Dark |",
        "| 2026-03-03 | 9:05 | Out |",
    )
    assert read_lines(*rows, clock="") == [("03-02 10:00", "Dark"), ("03-03 09:05", "Out")]


def test_days_as_headings_stand_for_the_bullets_below() -> None:
    lines = (
        "### 2026-03-05",
        "- 10:00 Dark",
        "  still dark",
        "  - 10:01 nested",
        "- 11:00 Light",
        "### March 6",
        "- 9:00 Done",
    )
    assert read_lines(*lines) == [("03-05 10:00", "Dark"), ("03-05 11:00", "Light"), ("03-06 09:00", "Done")]
    assert "10:01 nested" in page(*lines).entries[0].description


def test_a_time_past_midnight_is_on_the_next_day_and_told() -> None:
    found = page("- 23:50 Dark", "- 00:10 Light", "- 00:20 Done")
    assert [entry.at.day for entry in found.entries] == [2, 3, 3]
    assert "00:10 comes after 23:50 and names no day; the next one is meant, 2026-03-03." in told(found)


def test_a_slip_of_the_pen_is_repaired_and_told() -> None:
    found = page("- 17:14pm Dark")
    assert found.entries[0].at == at("17:14")
    assert 'repaired: line 7: "17:14pm" is read as 17:14.' in told(found)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("- 3/4/2026 10:00 Dark", "3/4/2026 may be two days: day first or month first?"),
        ("- 2026-02-30 10:00 Dark", "2026-02-30 is no day."),
        ("- 10:00-08:00 Dark", '"10:00-08:00" may be a range or an offset.'),
        ("- 24:30 Dark", '"24:30" is no time of day.'),
        ("- 13:00am Dark", '"13:00am" is no time of day.'),
        ("- 2026-03-02 Dark", "It names a day and no time, so it is no entry"),
        ("- and then it was dark", "It begins with no time that is read"),
        ("- 1999-01-01 10:00 Dark", "must lie between the years 2000 and 2099"),
    ],
)
def test_a_line_that_cannot_be_placed_is_refused_and_the_others_are_in(line: str, says: str) -> None:
    found = page("- 09:00 Draught", line)
    assert [entry.title for entry in found.entries] == ["Draught"]
    assert says in told(found)
    assert any(problem.fate == Fate.REFUSED for problem in found.problems)


def test_times_below_a_day_that_nobody_knows_are_not_put_on_the_day_before() -> None:
    found = page("- 09:00 Draught", "- 3/4/2026 10:00 Dark", "- 10:05 Light")
    assert len(found.entries) == 1
    assert "Nothing says on which day." in told(found)


@pytest.mark.parametrize(
    ("clock", "asks"),
    [
        ("", "It names no time zone. Which clock were these times read from? Say --zone"),
        ("All times in CST", "CST has several meanings. Which one? Say --zone America/Chicago or --zone Asia/"),
        ("All times are IST.", "IST has several meanings"),
        ("All times in CEST", "Say --zone Europe/Berlin for the local clock, or --zone UTC+02:00 for CEST to the"),
        ("All times in UC/Pacific", "Did they mean US/Pacific? Say --zone US/Pacific."),
        ("All times in local time", "names no clock that is known"),
        ("Time zone: Middle Earth", "names no clock that is known"),
    ],
)  # fmt: skip
def test_a_clock_that_is_not_clear_is_asked_for(clock: str, asks: str) -> None:
    with pytest.raises(ZoneUnclear) as refused:
        page("- 10:00 Dark", clock=clock)
    assert asks in refused.value.message
    assert read_lines("- 10:00 Dark", clock=clock, zone="UTC-8") == [("03-02 18:00", "Dark")]


@pytest.mark.parametrize(
    ("clock", "hour"),
    [
        ("All times in CET", 9), ("(All times are UTC+1)", 9), ("Times are given in Pacific time.", 18),
        ("**Time zone:** Europe/Rome", 9), ("All times PST", 18), ("All times in PST (UTC-7)", 17),
        ("All times in GMT", 10),
    ],
)  # fmt: skip
def test_a_clock_that_is_clear_is_used(clock: str, hour: int) -> None:
    assert page("- 10:00 Dark", clock=clock).entries[0].at.hour == hour


def test_the_zone_of_a_line_comes_before_that_of_the_page() -> None:
    assert read_lines("- 10:00 CET Dark", "- 10:00 Light") == [("03-02 09:00", "Dark"), ("03-02 10:00", "Light")]


def test_an_hour_that_was_skipped_is_refused_and_one_that_came_twice_is_told() -> None:
    found = page("- 2026-03-29 02:30 Dark", "- 2026-10-25 02:30 Light", clock="Times in Europe/Rome")
    assert [entry.title for entry in found.entries] == ["Light"]
    assert "does not exist in Europe/Rome: clocks went forward" in told(found)
    assert "came twice, for clocks went back; the first one is taken" in told(found)


def test_entries_keep_their_ids_in_another_zone_and_two_alike_are_told_apart() -> None:
    lines = ("- 10:00 Dark", "- 10:00 Dark")
    ids = [entry.external_id for entry in page(*lines).entries]
    assert ids == [entry.external_id for entry in page(*lines, zone="Europe/Rome").entries]
    assert len(set(ids)) == 2


@pytest.mark.parametrize("change", [lambda text: text.replace(b"\n", b"\r\n"), lambda text: b"\xef\xbb\xbf" + text])
def test_line_ends_and_marks_of_other_systems_change_nothing(change: object) -> None:
    assert timeline(change(FIXTURE)).entries == timeline(FIXTURE).entries  # type: ignore[operator]


def test_bytes_of_another_encoding_are_replaced_and_told() -> None:
    found = page("- 10:00 Stra?e\0").entries[0]
    assert "\0" not in found.title
    latin = timeline(b"# 2026-03-02\n\nAll times in UTC\n\n- 10:00 Stra\xdfe\n")
    assert "Stra\N{REPLACEMENT CHARACTER}e" in latin.entries[0].title
    assert "Bytes that are not UTF-8" in told(latin)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"# Nothing happened\n\nReally.", "No line of it is read as an entry"),
        ("# x".encode("utf-16"), "UTF-16"),
        (b"## Timeline\n\n- 2026-03-02 10:00 UTC Dark", "It has no title"),
    ],
)
def test_a_page_that_tells_nothing_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        read(content)


def test_a_wrong_end_is_refused() -> None:
    with pytest.raises(Invalid, match="resolved must be a time"):
        read(FIXTURE, resolved="soon")


def test_a_title_of_another_day_is_told() -> None:
    [*problems, _] = read(b"# 2022-01-27, pods\n\nAll times in UTC\n\n- 2022-06-02 10:00 Full\n")
    assert any("Its title says 2022-01-27" in problem.sentence for problem in problems if isinstance(problem, Problem))
