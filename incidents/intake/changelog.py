"""Change logs as CSV: each row is one change of an incident, and the rows of one may lie anywhere in the file.

The file is read once, row by row. What a reader needs of it is set aside on disk until each incident has all its rows.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from itertools import groupby, pairwise
from operator import itemgetter
from typing import BinaryIO

from incidents.intake import Fate, FileRefused, Problem, printable
from incidents.past import PastIncident
from majorops.lib.errors import Invalid
from majorops.lib.times import parse_time

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
#: How exports say that they do not know.
UNKNOWN = ("", "?", "null", "none", "n/a")
MAX_LINE = 1024 * 1024
MAX_ID = 150
#: Rows that are set aside at once.
BATCH = 5_000
UTF_8 = "utf-8"

_SURROGATE = re.compile("[\ud800-\udfff]")
#: 29-02-2016 01:16, 29/2/2016 1:16:05, 2016-02-29 01:16:00.
_LOCAL = re.compile(r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})[ T](\d{1,2}):(\d{2})(?::(\d{2}))?")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns a log has, under the names that its header gives them."""

    incident: str
    required: tuple[str, ...]
    #: Read where they are there.
    optional: tuple[str, ...] = ()
    encoding: str = UTF_8


@dataclass(frozen=True, slots=True)
class Row:
    """One change, as it stands in the file."""

    line: int
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        """What the cell says; empty where it says that it does not know."""
        text = self.cells.get(column, "").strip()
        return "" if text.casefold() in UNKNOWN else text


class State(StrEnum):
    """What a word for a state means."""

    WAITING = "waiting"
    #: Somebody has it, working on it or waiting for others.
    TAKEN = "taken"
    #: Over, and this row says since when.
    OVER = "over"
    #: Put away some time after it was over.
    FILED = "filed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Change:
    """A row that was understood. `state` is None where its word is unknown."""

    row: Row
    at: datetime
    state: State | None
    is_taken: bool = False

    @property
    def is_over(self) -> bool:
        return self.state in (State.OVER, State.FILED)


def taken_at(changes: Sequence[Change]) -> datetime | None:
    """When somebody first had it; None if the log shows nobody before it was first over."""
    for change in changes:
        if change.is_over:
            return None
        if change.is_taken:
            return change.at
    return None


def ending(changes: Sequence[Change]) -> Sequence[Change]:
    """The rows since it was last over; none while it is open. After a reopening only the last end counts."""
    known = [change for change in changes if change.state is not None]
    last_open = max((place for place, change in enumerate(known) if not change.is_over), default=-1)
    return known[last_open + 1 :]


def reopenings(changes: Sequence[Change]) -> int:
    """How often it was open again after it had been over."""
    known = [change for change in changes if change.state is not None]
    return sum(before.is_over and not after.is_over for before, after in pairwise(known))


# --- Times without a zone ---


class MonthFirst(FileRefused):
    """A date in this file makes sense only with the month first."""


def local_time(text: str, zone: tzinfo, *, field: str) -> datetime:
    """A day-first or year-first local time in `zone`. Raises Invalid, or MonthFirst where the file must be meant so.

    Where clocks go back an hour comes twice, and the first one is taken.
    """
    found = _LOCAL.fullmatch(text.strip())
    if found is None:
        raise Invalid(f"{field} must be a time such as 29-02-2016 01:16, not {printable(text, 40)!r}.", field=field)
    first, _, month, last, *clock = found.groups()
    year, day = (first, last) if len(first) == 4 else (last, first)
    if len(first) != 4 and int(month) > 12 >= int(day):
        raise MonthFirst(
            f"{field} {printable(text, 40)!r} makes sense only with the month first; dates are read day first. "
            "Export the file with dates such as 2016-02-29."
        )
    try:
        hour, minute, second = (int(part or 0) for part in clock)
        local = datetime(int(year), int(month), int(day), hour, minute, second, tzinfo=zone)
    except ValueError:
        raise Invalid(f"{field} {printable(text, 40)!r} is no day and time.", field=field) from None
    at = local.astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise Invalid(f"{field} {printable(text, 40)!r} does not exist in {zone}: clocks went forward.", field=field)
    return parse_time(at, field=field)


# --- The rows of an incident ---

Reading = PastIncident | Problem
#: Turns the rows of one incident into it. The first argument is its id; raises Invalid for what cannot be kept.
CaseReader = Callable[[str, list[Row]], Iterator[Reading]]


class ChangeLog:
    """A log whose rows are gathered by incident. Raises FileRefused before anything is handed out."""

    def __init__(self, file: BinaryIO, columns: Columns, check: Callable[[Row], object] = lambda row: None) -> None:
        # A database without a name lives in a temporary file, and goes with its connection.
        self._aside = sqlite3.connect("")
        self._aside.execute("CREATE TABLE rows (incident TEXT, line INTEGER, cells TEXT, refused TEXT)")
        try:
            self._gather(_Table(file, columns), check)
        except FileRefused:
            self._aside.close()
            raise
        self._aside.execute("CREATE INDEX by_incident ON rows (incident, line)")

    def __len__(self) -> int:
        """How many incidents, and rows that belong to none."""
        count = "SELECT COUNT(DISTINCT incident) + COALESCE(SUM(incident IS NULL), 0) FROM rows"
        return int(self._aside.execute(count).fetchone()[0])

    def read(self, read_case: CaseReader) -> Iterator[Reading]:
        """What the rows of each incident come to, once, after one line for each row that is refused.

        An incident with a refused row is left out whole: a log with a hole gives wrong times, and history that is
        written stays. With the row corrected, the next import brings it in.
        """
        with closing(self._aside) as aside:
            rows = aside.execute("SELECT incident, line, cells, refused FROM rows ORDER BY incident, line")
            for incident, group in groupby(rows, key=itemgetter(0)):
                yield from self._case(incident, [row[1:] for row in group], read_case)

    def _case(
        self, incident: str | None, group: list[tuple[int, str, str]], read_case: CaseReader
    ) -> Iterator[Reading]:
        refused = [(line, sentence) for line, _, sentence in group if sentence]
        for line, sentence in refused:
            label = f"line {line}" if incident is None else f"{incident}, line {line}"
            yield Problem(Fate.REFUSED, label, sentence if incident is None else f"{sentence} {LEFT_OUT}")
        if incident is None or refused:
            return
        try:
            yield from read_case(incident, [Row(line, json.loads(cells)) for line, cells, _ in group])
        except Invalid as error:
            yield Problem(Fate.REFUSED, incident, error.message)

    def _gather(self, table: _Table, check: Callable[[Row], object]) -> None:
        insert = "INSERT INTO rows VALUES (?, ?, ?, ?)"
        batch: list[tuple[str | None, int, str, str]] = []
        for line, values in table:
            batch.append(_set_aside(table, line, values, check))
            if len(batch) == BATCH:
                self._aside.executemany(insert, batch)
                batch.clear()
        self._aside.executemany(insert, batch)


LEFT_OUT = "Its incident is left out until the row is corrected."


def _set_aside(
    table: _Table, line: int, values: list[str], check: Callable[[Row], object]
) -> tuple[str | None, int, str, str]:
    """The row for the table aside: its incident (None if unreadable), line, cells, and why it is refused."""
    incident: str | None = None
    try:
        incident = table.incident(values)
        row = Row(line, table.cells(values))
        check(row)
    except MonthFirst as error:
        raise FileRefused(f"Line {line}: {error.message}") from None
    except Invalid as error:
        return incident, line, "{}", error.message
    return incident, line, json.dumps(row.cells), ""


class _Table:
    """The header and the rows of a CSV file, whatever separates its cells."""

    def __init__(self, file: BinaryIO, columns: Columns) -> None:
        self._lines = _lines(file, columns.encoding)
        header = next(self._lines, "").strip("\r\n")
        if not header.strip():
            raise FileRefused("The file is empty, or its first line is.")
        self._delimiter, names = _header(header, columns)
        wanted = (*columns.required, *columns.optional)
        self._places = {column: names.index(_plain(column)) for column in wanted if _plain(column) in names}
        self._incident = self._places[columns.incident]
        self._width = len(names)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """The line that a row begins on, and its cells. Empty lines are none."""
        rows = csv.reader(self._lines, delimiter=self._delimiter, strict=True)
        begins = 2
        try:
            for values in rows:
                if values:
                    yield begins, values
                begins = rows.line_num + 2
        except csv.Error as error:
            raise FileRefused(
                f"The row that begins on line {begins} cannot be read ({error}). Mend its quotes."
            ) from None

    def incident(self, values: list[str]) -> str | None:
        """The id of the row's incident; None where the row is too short to have one. Raises Invalid."""
        text = values[self._incident].strip() if self._incident < len(values) else ""
        if not text or text.casefold() in UNKNOWN:
            return None
        if len(text) > MAX_ID or not text.isprintable():
            raise Invalid(f"Its id must be at most {MAX_ID} printable characters.")
        return text

    def cells(self, values: list[str]) -> dict[str, str]:
        """The cells that are wanted, by column. Raises Invalid."""
        if len(values) != self._width:
            raise Invalid(f"It has {len(values)} cells, the header has {self._width}.")
        if self.incident(values) is None:
            raise Invalid("It names no incident.")
        if any("\0" in value for value in values):
            raise Invalid("It holds a NUL character.")
        return {column: values[place] for column, place in self._places.items()}


def _lines(file: BinaryIO, encoding: str) -> Iterator[str]:
    start = file.read(1024)
    file.seek(0)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or start[:40].count(b"\0") > 4:
        raise FileRefused("The file is UTF-16 text, or no text. Save it as CSV in UTF-8.")
    if start.startswith(b"PK\x03\x04"):
        raise FileRefused("The file is a spreadsheet or an archive. Save it as CSV in UTF-8.")
    text = io.TextIOWrapper(
        file, encoding="utf-8-sig" if encoding == UTF_8 else encoding, errors="surrogateescape", newline=""
    )
    number = 0
    try:
        while line := text.readline(MAX_LINE):
            number += 1
            if len(line) == MAX_LINE:
                raise FileRefused(f"Line {number} has more than {MAX_LINE:,} characters. This is no log as CSV.")
            if _SURROGATE.search(line):
                raise FileRefused(f"Line {number} is not {encoding.upper()} text. Save the file as CSV in UTF-8.")
            yield line
    finally:
        if not file.closed:
            text.detach()  # or it would close the file, which belongs to whoever opened it


def _header(line: str, columns: Columns) -> tuple[str, list[str]]:
    """The delimiter under which most of the columns are found, and the names of all. Raises FileRefused."""
    by_delimiter = {one: [_plain(name) for name in next(csv.reader([line], delimiter=one))] for one in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda one: len(_found(by_delimiter[one], columns)))
    names = by_delimiter[delimiter]
    missing = [name for name in columns.required if _plain(name) not in names]
    if len(missing) == len(columns.required):
        raise FileRefused(
            f"Its first line names no column of this format ({', '.join(columns.required)}), "
            f"separated by {', '.join(DELIMITERS.values())}."
        )
    if missing:
        raise FileRefused(f"Columns are missing: {', '.join(missing)}.")
    for name in (*columns.required, *columns.optional):
        if names.count(_plain(name)) > 1:
            raise FileRefused(f"The column {name} is there {names.count(_plain(name))} times. Leave one.")
    return delimiter, names


def _found(names: list[str], columns: Columns) -> set[str]:
    return {_plain(name) for name in columns.required} & set(names)


def _plain(name: str) -> str:
    """A column's name as exports agree on it: `SR Number`, `sr_number`."""
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")
