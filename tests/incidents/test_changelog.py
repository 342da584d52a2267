"""How a change log as CSV is taken apart: delimiters, encodings, holes, rows all over the file. No database."""

from __future__ import annotations

import io
from zoneinfo import ZoneInfo

import pytest

from incidents.intake import FileRefused, Problem
from incidents.intake.changelog import Change, ChangeLog, Columns, MonthFirst, Row, State, ending, local_time, taken_at
from incidents.lifecycle import Severity
from incidents.past import PastIncident
from majorops.lib.errors import Invalid
from majorops.lib.times import iso
from tests.factories import NOON, at

COLUMNS = Columns(incident="SR Number", required=("SR Number", "Changed", "State"), optional=("Note",))
LOG = "SR Number,Changed,State,Note\nA,1,new,x\nB,1,new,y\nA,2,done,z\n"


def log(text: str | bytes) -> ChangeLog:
    return ChangeLog(io.BytesIO(text if isinstance(text, bytes) else text.encode()), COLUMNS)


def read(text: str | bytes) -> list[str]:
    """Each incident as `id: notes`, each problem as its line of the report."""

    def told(number: str, rows: list[Row]):
        note = f"{number}: {' '.join(row.text('Note') for row in rows)}"
        yield PastIncident("log", number, note, Severity.LOW, NOON, None)

    items = log(text).read(told)
    return [str(item) if isinstance(item, Problem) else item.title for item in items]


def test_the_rows_of_an_incident_are_gathered_from_all_over_the_file() -> None:
    assert read(LOG) == ["A: x z", "B: y"]
    assert len(log(LOG)) == 2


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_any_usual_delimiter_is_found_by_the_names_of_the_columns(delimiter: str) -> None:
    assert read(LOG.replace(",", delimiter)) == ["A: x z", "B: y"]


def test_columns_are_found_by_name_in_any_order_and_spelling() -> None:
    assert read("more,note,STATE,changed,sr_number\n,x,new,1,A\n") == ["A: x"]


def test_a_byte_order_mark_empty_lines_and_line_breaks_in_a_cell_are_no_problem() -> None:
    assert read(b"\xef\xbb\xbf" + LOG.encode().replace(b"\n", b"\r\n") + b"\r\n\r\n") == ["A: x z", "B: y"]
    assert read(LOG + 'A,3,done,"two\nlines"\n') == ["A: x z two\nlines", "B: y"]


@pytest.mark.parametrize("unknown", ["?", "", " NULL ", "N/A"])
def test_what_an_export_writes_for_unknown_is_no_text(unknown: str) -> None:
    assert Row(2, {"Note": unknown}).text("Note") == ""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n" + LOG.encode(), "its first line is"),
        (LOG.encode("utf-16"), "UTF-16"),
        (LOG.encode("utf-16-le"), "UTF-16 text, or no text"),
        (b"PK\x03\x04" + b"x" * 99, "a spreadsheet or an archive"),
        (b"<html>502</html>", "names no column of this format"),
        (b"number,opened_at\n1,2\n", "names no column of this format"),
        (b"SR Number,State\nA,new\n", "Columns are missing: Changed"),
        (b"SR Number,Changed,State,State\nA,1,new,done\n", "The column State is there 2 times"),
        (LOG.replace("z", "café").encode("latin-1"), "Line 4 is not UTF-8"),
        (LOG.encode() + b'A,3,done,"never closed\nB,2,done,z\n', "begins on line 5 cannot be read"),
        (LOG.encode() + b'A,3,done,"closed"early\n', "begins on line 5 cannot be read"),
        (b"SR Number,Changed,State\n" + b"x" * 1_100_000, "Line 2 has more than"),
    ],
    ids=lambda value: value[:24],
)
def test_a_file_that_is_no_such_log_is_refused_whole(content: bytes, says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        log(content)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("A,2", "refused: A, line 3: It has 2 cells, the header has 4. Its incident is left out"),
        ("A,2,done,z,more", "refused: A, line 3: It has 5 cells, the header has 4. Its incident is left out"),
        ("A,2,do\0ne,z", "refused: A, line 3: It holds a NUL character. Its incident is left out"),
        (",2,done,z", "refused: line 3: It names no incident."),
        ("?,2,done,z", "refused: line 3: It names no incident."),
        (f"{'A' * 151},2,done,z", "refused: line 3: Its id must be at most 150 printable characters."),
    ],
)
def test_a_damaged_row_is_named_and_only_its_incident_is_left_out(row: str, says: str) -> None:
    told = read(f"SR Number,Changed,State,Note\nA,1,new,x\n{row}\nB,1,new,y\n")
    assert [line for line in told if line.startswith(says)]
    assert "B: y" in told
    assert any(line.startswith("A: ") for line in told) is ("left out" not in says)


def test_a_line_is_named_rightly_after_a_cell_of_several_lines() -> None:
    assert read('SR Number,Changed,State,Note\nA,1,new,"a\nb\nc"\nB,2\n')[1].startswith("refused: B, line 5:")


def test_many_more_rows_than_are_set_aside_at_once_are_all_there() -> None:
    rows = "".join(f"{number % 7},1,new,{number}\n" for number in range(12_345))
    assert sum(len(line.split()) - 1 for line in read("SR Number,Changed,State,Note\n" + rows)) == 12_345


# --- Times ---


@pytest.mark.parametrize(
    "text", ["29-02-2016 01:16", "29/2/2016 1:16", "29.02.2016 01:16:00", "2016-02-29 01:16:00", "2016-2-29T1:16"]
)
def test_a_local_time_is_day_first_or_year_first(text: str) -> None:
    assert iso(local_time(text, ZoneInfo("UTC"), field="opened_at")) == "2016-02-29T01:16:00.000Z"
    assert iso(local_time(text, ZoneInfo("Europe/Rome"), field="opened_at")) == "2016-02-29T00:16:00.000Z"


def test_a_date_that_is_month_first_for_certain_condemns_the_file() -> None:
    with pytest.raises(MonthFirst, match="read day first"):
        local_time("02/29/2016 01:16", ZoneInfo("UTC"), field="opened_at")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("soon", "must be a time such as"),
        ("31-02-2016 01:16", "is no day and time"),
        ("2016-29-02 01:16", "is no day and time"),
        ("01-03-1816 01:16", "between the years 2000 and 2099"),
        ("27-03-2016 02:30", "does not exist in Europe/Rome: clocks went forward"),
    ],
)
def test_a_time_that_cannot_be_is_refused(text: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        local_time(text, ZoneInfo("Europe/Rome"), field="opened_at")


def test_of_an_hour_that_comes_twice_the_first_is_taken() -> None:
    assert iso(local_time("30-10-2016 02:30", ZoneInfo("Europe/Rome"), field="x")) == "2016-10-30T00:30:00.000Z"


# --- What a row of states says ---


def changes(states: str) -> list[Change]:
    """One change a minute: w waiting, t taken, o over, f filed, ? unknown."""
    known = {"w": State.WAITING, "t": State.TAKEN, "o": State.OVER, "f": State.FILED}
    return [
        Change(Row(place + 2, {}), at(f"10:{place:02}"), known.get(one), one == "t") for place, one in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("states", "taken", "over"),
    [
        ("wtof", "10:01", "10:02"),
        ("tto", "10:00", "10:02"),
        ("wof", None, "10:01"),
        ("wt", "10:01", None),
        ("wo?f", None, "10:01"),
        ("wtowto", "10:01", "10:05"),
        ("wotof", None, "10:03"),
        ("wtot", "10:01", None),
    ],
)
def test_taken_is_the_first_time_and_over_is_the_last(states: str, taken: str | None, over: str | None) -> None:
    assert taken_at(changes(states)) == (at(taken) if taken else None)
    assert [change.at for change in ending(changes(states))[:1]] == ([at(over)] if over else [])
