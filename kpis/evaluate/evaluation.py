"""Figures for windows and groups, and the samples of subjects, from one pass over the rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property
from typing import NamedTuple

from kpis.evaluate.combined import Figures, combine
from kpis.evaluate.entries import entries_of
from kpis.evaluate.explained import Explained, tell
from kpis.evaluate.figures import Measurement, in_time, summarise, summarise_in_time
from kpis.evaluate.population import Entry, Fate
from kpis.evaluate.rows import Dims, Row, Tables, is_open, text, time_of
from kpis.formulas.kinds import Aggregate, Formula
from kpis.formulas.language import Rows, period
from majorops.lib.times import to_millisecond


class Sample(NamedTuple):
    """The figure of one subject, at the time of its event. The timestamp is UTC, to the millisecond."""

    subject_key: str
    incident_id: str | None
    timestamp: datetime
    dims: Dims
    measurement: Measurement


def measure(
    formula: Formula,
    rows: Tables,
    *,
    as_of: datetime,
    window: str = "all",
    dims: Dims | None = None,
    zone: tzinfo = UTC,
    figures: Figures | None = None,
) -> Measurement:
    """One figure over `window`, for the rows whose group is `dims` (None: all rows).

    `figures` gives a composite or derived formula the other KPIs, which are those of the same window and group.

    An interval belongs to the window of its start, so that a start without an end has a place too.
    See `span` for calendar windows. To take several figures from the same rows, keep an `Evaluation`.
    """
    return Evaluation(formula, rows, as_of=as_of).measure(window, dims, zone, figures)


def samples(formula: Formula, rows: Tables, *, as_of: datetime) -> tuple[Sample, ...]:
    """One figure per subject that has one, sorted by subject; nothing when the formula has no subject.

    A duration is stamped with its row's `at`, or the time of its end event. Every other figure sums up a subject and
    is stamped with `subject_closed_at`; while the subject is open there is no sample.
    """
    return Evaluation(formula, rows, as_of=as_of).samples()


class Evaluation:
    """A formula applied to rows once; figures for any window and group, and the samples, are read off it."""

    def __init__(self, formula: Formula, rows: Tables, *, as_of: datetime) -> None:
        if as_of.tzinfo is None:
            raise ValueError("as_of needs a time zone.")
        self.formula = formula
        self.as_of = as_of
        self.entries = sorted(entries_of(formula, rows, as_of), key=lambda entry: entry.ref)
        self.is_alive = self._is_alive(rows)
        self._subject_prefix = f"{formula.subject}:"
        self._groups: dict[tuple[str, ...], dict[tuple[str | None, ...], list[Entry]]] = {}

    def _is_alive(self, rows: Tables) -> bool:
        """Whether the source has ever said anything, which a true zero needs."""
        base = self.formula.base
        if not isinstance(base, Rows):
            return False
        return any((at := time_of(row, base.at)) and at < self.as_of for row in rows.get(base.source, ()))

    def measure(
        self, window: str = "all", dims: Dims | None = None, zone: tzinfo = UTC, figures: Figures | None = None
    ) -> Measurement:
        """One figure; see the function of the same name."""
        if self.formula.base is None:
            return combine(self.formula, figures or _no_figures)
        start, end = span(window, self.as_of, zone)
        chosen = [entry for entry in self._of_group(dims) if _is_since(entry, start)]
        periods = self._periods(window, start, end)
        return summarise_in_time(self.formula, chosen, is_alive=self.is_alive, periods=periods)

    def explain(self, window: str = "all", dims: Dims | None = None, zone: tzinfo = UTC) -> Explained:
        """The same figure with every row of the group, for a formula that reads rows."""
        start, end = span(window, self.as_of, zone)
        inside = [entry for entry in self._in_window(start) if _is_of(entry, dims)]
        known = {id(entry) for entry in inside}
        outside = [entry for entry in self.entries if id(entry) not in known and _is_of(entry, dims)]
        return tell(
            self.formula, self.measure(window, dims, zone), inside, outside, periods=self._periods(window, start, end)
        )

    def explain_subject(self, subject_key: str) -> Explained:
        """The figure of one subject with its rows; no value when it has none."""
        mine = [
            entry
            for entry in self.entries
            if (row := self._subject_row(entry)) is not None and row["subject_key"] == subject_key
        ]
        return tell(self.formula, summarise(self.formula, mine, is_alive=False, periods=1), mine)

    def groups(self, window: str = "all", zone: tzinfo = UTC) -> tuple[Dims, ...]:
        """The groups that eligible rows of the window fall in, sorted; empty when the formula has no group_by."""
        names = self.formula.group_by
        start, _ = span(window, self.as_of, zone)
        entries = [entry for entry in self._in_window(start) if entry.is_eligible] if names else []
        found = {_group_of(entry, names) for entry in entries}
        return tuple(dict(zip(names, key, strict=True)) for key in sorted(found, key=repr))

    def samples(self) -> tuple[Sample, ...]:
        """One figure per subject; see the function of the same name."""
        by_subject: dict[str, list[Entry]] = defaultdict(list)
        for entry in self._in_time if self.formula.subject else ():
            if (row := self._subject_row(entry)) is not None:
                by_subject[str(row["subject_key"])].append(entry)
        found = (self._sample(key, by_subject[key]) for key in sorted(by_subject))
        return tuple(sample for sample in found if sample is not None)

    def _in_window(self, start: datetime | None) -> Iterator[Entry]:
        return (entry for entry in self.entries if _is_since(entry, start))

    @cached_property
    def _in_time(self) -> Sequence[Entry]:
        """The entries as `first` and `last` mean them, sorted once for all figures."""
        return sorted(self.entries, key=in_time)

    def _of_group(self, dims: Dims | None) -> Sequence[Entry]:
        """The entries of a group in order of time; all groups of the same names are told apart in one pass."""
        if dims is None:
            return self._in_time
        names = tuple(dims)
        if names not in self._groups:
            groups = self._groups[names] = defaultdict(list)
            for entry in self._in_time:
                groups[_group_of(entry, names)].append(entry)
        return self._groups[names].get(tuple(dims.values()), ())

    def _periods(self, window: str, start: datetime | None, end: datetime) -> float | None:
        """How many periods of `every` the window has. A calendar window is one, however many hours a DST week has."""
        calc = self.formula.calc
        if not isinstance(calc, Aggregate) or calc.every is None or window.startswith("calendar-"):
            return 1
        return (end - start) / period(calc.every) if start is not None else None

    def _subject_row(self, entry: Entry) -> Row | None:
        for row in entry.rows:
            if str(row.get("subject_key", "")).startswith(self._subject_prefix):
                return row
        return None

    def _sample(self, key: str, entries: list[Entry]) -> Sample | None:
        if not any(entry.fate is Fate.VALID for entry in entries):
            return None  # rows without a value give none
        measurement = summarise_in_time(self.formula, entries, is_alive=False, periods=1)
        at = self._timestamp(entries)
        if measurement.value is None or at is None:
            return None
        by_ref = sorted(entries, key=lambda entry: entry.ref) if len(entries) > 1 else entries
        incident = next((row["incident_id"] for entry in by_ref for row in entry.rows if row.get("incident_id")), None)
        if incident is None and key.startswith("incident:"):
            incident = key.removeprefix("incident:")
        if len(entries) == 1:
            dims = {name: text(entries[0].row.get(name)) for name in self.formula.group_by}
        else:
            dims = {name: _shared([entry.row.get(name) for entry in entries]) for name in self.formula.group_by}
        return Sample(key, text(incident), to_millisecond(at), dims, measurement)

    def _timestamp(self, entries: list[Entry]) -> datetime | None:
        if self.formula.duration_unit is not None:
            return max((entry.at for entry in entries if entry.at is not None), default=None)
        rows = [row for row in map(self._subject_row, entries) if row is not None]
        closed = [at for row in rows if (at := time_of(row, "subject_closed_at")) is not None]
        return max(closed) if closed and not any(is_open(row, self.as_of) for row in rows) else None


def _is_of(entry: Entry, dims: Dims | None) -> bool:
    return dims is None or all(text(entry.row.get(name)) == value for name, value in dims.items())


def _is_since(entry: Entry, start: datetime | None) -> bool:
    return start is None or entry.placed is None or entry.placed >= start


def _group_of(entry: Entry, names: Sequence[str]) -> tuple[str | None, ...]:
    return tuple([text(entry.row.get(name)) for name in names])


def _no_figures(slug: str, shift: timedelta | None) -> None:
    raise ValueError(f"{slug} is a part of this KPI; measure it with its figures.")


def _shared(values: Sequence[object]) -> str | None:
    """The value that all have, or None when they differ."""
    return text(values[0]) if len(set(values)) == 1 else None


def span(window: str, as_of: datetime, zone: tzinfo = UTC) -> tuple[datetime | None, datetime]:
    """[start, end) in UTC; the start of "all" is None.

    A calendar window is the period that ends at `as_of` when `as_of` is a boundary in `zone`, else the current one,
    whose end then lies after `as_of`. A week starts on Monday.
    """
    as_of = as_of.astimezone(UTC)
    if window == "all":
        return None, as_of
    if not window.startswith("calendar-"):
        return as_of - period(window), as_of
    first, following = _calendar_days(window, (as_of - timedelta(microseconds=1)).astimezone(zone).date())
    return _midnight(first, zone), _midnight(following, zone)


def _calendar_days(window: str, day: date) -> tuple[date, date]:
    if window == "calendar-month":
        first = day.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1)
    if window == "calendar-week":
        first = day - timedelta(days=day.weekday())
        return first, first + timedelta(days=7)
    return day, day + timedelta(days=1)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)
