"""What becomes of each row. The order of the rows never matters, and what happens at or after `as_of` is not known.

Each row of the formula's base (for an interval: each start) meets one fate:

- VALID: it gives a value.
- MISSED: it should give one and does not (no arrival, no matching end). It lowers the coverage.
- INVALID: what it gives cannot be true (a negative duration, text for a number). It lowers the coverage, and is never
  repaired from another row.
- OUT: it is not asked. It fails `where`, is not judged yet, or its subject is still open, so the value is not due.
- LATER: it lies at or after `as_of`. It is named, and counted nowhere: a figure of last month must come out the same
  next month. A measured time after `as_of` is empty, for the same reason.

coverage = VALID / (VALID + MISSED + INVALID). What decides between MISSED and OUT:

- Conditions of `where` choose the population, with two exceptions that judge the value itself. `not_null` on a field
  that is measured: an empty field is OUT while the subject is open (an incident not yet resolved) and MISSED once it is
  closed (a team that never came). A limit on the measured number (score at most 5): beyond it is INVALID.
- The end of an interval is owed from its start on, even while the subject is open; with `within`, from start + within.

A row without its `at` time belongs to the window its subject closed in, or to every window if that is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum
from itertools import pairwise
from typing import Any, NamedTuple

from kpis.evaluate.rows import Row, Tables, holds, in_order, is_open, key_of, number, seen, time_of
from kpis.formulas.language import AnyOf, Cond, FieldRef, Members, Rows
from kpis.formulas.words import failure_in_words


class Fate(Enum):
    VALID = "valid"
    MISSED = "missed"
    INVALID = "invalid"
    OUT = "out"
    LATER = "later"


class Entry(NamedTuple):
    """What one row gives. `value` is a number (durations: microseconds), what is counted, or (part, whole).

    `placed` decides the window, `at` orders values and stamps samples. `end` is the other row of an interval.
    """

    row: Row
    fate: Fate
    placed: datetime | None
    reason: str = ""
    value: Any = None
    at: datetime | None = None
    end: Row | None = None
    counts: bool = True
    #: The measured field has no value.
    is_empty: bool = False

    @property
    def is_eligible(self) -> bool:
        """Whether the row should have given a value."""
        return self.fate in (Fate.VALID, Fate.MISSED, Fate.INVALID)

    @property
    def is_due_later(self) -> bool:
        """Left out only because what it is about is still open."""
        return self.fate is Fate.OUT and self.is_empty

    @property
    def ref(self) -> str:
        return str(self.row["ref"])

    @property
    def rows(self) -> tuple[Row, ...]:
        return (self.row,) if self.end is None else (self.row, self.end)

    @property
    def confidence(self) -> float | None:
        """A chain is as strong as its weakest link."""
        own = number(self.row.get("confidence"))
        other = number(self.end.get("confidence")) if self.end is not None else None
        return own if other is None else other if own is None else min(own, other)


def select(spec: Rows, rows: Tables, as_of: datetime, measured: Sequence[str] = ()) -> tuple[list[Row], list[Entry]]:
    """The rows of the population, and an OUT entry for each other row. `measured` fields are judged later."""
    population = [condition for condition in spec.where if not judges_value(condition, measured)]
    known, out = _known(spec, rows, as_of, measured)
    newest = _newest(known, spec)
    chosen: list[Row] = []
    for row in known:
        failed = next((condition for condition in population if not holds(condition, row)), None)
        if row["ref"] not in newest:
            out.append(Entry(row, Fate.OUT, placed_at(row, spec, as_of), "not the newest of its group"))
        elif failed is not None:
            out.append(Entry(row, Fate.OUT, placed_at(row, spec, as_of), failure_in_words(failed)))
        else:
            chosen.append(row)
    return chosen, out


def _known(spec: Rows, rows: Tables, as_of: datetime, measured: Sequence[str]) -> tuple[list[Row], list[Entry]]:
    """The rows that had begun before `as_of`. With `at` measured, an open row has none; its earliest time tells."""
    known: list[Row] = []
    out: list[Entry] = []
    fields = measured if spec.at in measured else (spec.at,)
    for row in ordered(rows.get(spec.source, ())):
        times = [at for field in fields if (at := time_of(row, field)) is not None]
        if times and min(times) >= as_of:
            out.append(Entry(row, Fate.LATER, None, f"{fields[-1]} is after as_of"))
        elif not times and spec.at not in measured:
            out.append(Entry(row, Fate.OUT, None, f"{spec.at} is empty"))
        else:
            known.append(row)
    return known, out


def ordered(rows: Iterable[Row]) -> list[Row]:
    ordered = sorted(rows, key=lambda row: str(row["ref"]))
    for row, following in pairwise(ordered):
        if row["ref"] == following["ref"]:  # a join that fans out would count twice
            raise ValueError(f"{row['ref']} came twice; a source gives each row once.")
    return ordered


def _newest(rows: list[Row], spec: Rows) -> set[object]:
    """The refs of the rows that `latest_per` keeps: all of them when it is not asked for."""
    if not spec.latest_per:
        return {row["ref"] for row in rows}
    timed = sorted((row for row in rows if time_of(row, spec.at) is not None), key=lambda row: in_order(row, spec.at))
    return {row["ref"] for row in {key_of(row, spec.latest_per): row for row in timed}.values()}


def judges_value(condition: Cond | AnyOf, measured: Sequence[str]) -> bool:
    """Whether a condition asks about the measured value, not about who belongs to the population."""
    if isinstance(condition, AnyOf) or condition.field not in measured or isinstance(condition.value, FieldRef):
        return False
    return condition.op == "not_null" or (len(measured) == 1 and condition.op in ("lt", "lte", "gt", "gte"))


def placed_at(row: Row, spec: Rows, as_of: datetime) -> datetime | None:
    return seen(row, spec.at, as_of) or seen(row, "subject_closed_at", as_of)


def empty(row: Row, field: str, spec: Rows, as_of: datetime) -> Entry:
    fate = Fate.OUT if is_open(row, as_of) else Fate.MISSED
    return Entry(row, fate, placed_at(row, spec, as_of), f"{field} is empty", is_empty=True)


def select_members(spec: Members, rows: Tables) -> tuple[list[Row], list[Entry]]:
    """The things that `where` chooses, and an OUT entry for each other one. They belong to every window."""
    chosen: list[Row] = []
    out: list[Entry] = []
    for row in ordered(rows.get(spec.source, ())):
        failed = next((condition for condition in spec.where if not holds(condition, row)), None)
        if failed is None:
            chosen.append(row)
        else:
            out.append(Entry(row, Fate.OUT, None, failure_in_words(failed)))
    return chosen, out
