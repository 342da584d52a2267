"""What a formula would say before it runs: each figure as it is and as it would be. Nothing is written.

The database itself refuses writes meanwhile, and stops a query that takes too long.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import OperationalError, connection, transaction

from accounts.visibility import Viewer
from incidents.models import Incident
from kpis.actions import Running, running_of
from kpis.compute import last_midnight, part_figures
from kpis.definitions import audience_of, check_spec
from kpis.errors import TooMuchToPreview
from kpis.evaluate import Dims, Evaluation, Measurement, Row, Sample
from kpis.formulas import Formula, Reported, source_names
from kpis.models import KpiDefinition
from kpis.sources import Scope, rows_of
from kpis.targets import State, Target, judge, standing
from majorops.lib.errors import Invalid
from majorops.lib.times import iso
from majorops.lib.visibility import visible

MAX_ROWS = 200_000
MAX_SECONDS = 5.0
#: How many subjects and groups the page compares.
SUBJECTS, GROUPS = 10, 50
TOO_SLOW = f"The preview was stopped after {MAX_SECONDS:g} seconds. Read fewer rows (where, windows) and try again."


@dataclass(frozen=True, slots=True)
class Side:
    """One figure under one formula; `reason` says why there is none."""

    value: float | None
    rows: int
    reason: str
    state: State | None


@dataclass(frozen=True, slots=True)
class Compared:
    """One subject, or one window and group, under both formulas."""

    label: str
    at: datetime | None
    window: str
    dims: Dims
    now: Side
    draft: Side

    @property
    def delta(self) -> float | None:
        if self.now.value is None or self.draft.value is None:
            return None
        return self.draft.value - self.now.value

    @property
    def turns(self) -> bool:
        """Whether the verdict on the target changes."""
        return self.now.state is not self.draft.state


@dataclass(frozen=True, slots=True)
class Preview:
    as_of: datetime
    rows_read: int
    subjects: tuple[Compared, ...]
    totals: tuple[Compared, ...]

    @property
    def turned(self) -> tuple[Compared, ...]:
        return tuple(each for each in (*self.totals, *self.subjects) if each.turns)


def preview(
    definition: KpiDefinition, running: Running, targets: Sequence[Target], *, viewer: Viewer, now: datetime
) -> Preview:
    """The last subjects and all figures as they are and as `running` and `targets` would have them.

    `definition` carries the unsaved visibility; it need not be stored at all.
    Raises Invalid for a formula that cannot run, TooMuchToPreview.
    """
    stored = KpiDefinition.objects.prefetch_related("targets").filter(pk=definition.pk).first()
    with _limited() as clock:
        tables = _Tables(Scope(last_midnight(now)), clock)
        everyone = _Tables(Scope(now, with_restricted=True), clock)
        before = (
            _View(stored, running_of(stored), list(stored.targets.all()), tables, everyone)
            if stored is not None
            else _View(definition, _NOTHING, (), tables, everyone)
        )
        after = _View(definition, running, targets, tables, everyone)
        return Preview(
            as_of=tables.scope.as_of,
            rows_read=tables.count + everyone.count,
            subjects=tuple(_named(_last_subjects(before, after), viewer)),
            totals=tuple(_totals(before, after, clock)),
        )


def check_not_personal(definition: KpiDefinition, described: Mapping[str, object]) -> None:
    """Raises Invalid where single people are measured, or would be."""
    if definition.is_personal or described.get("is_personal"):
        told = f"{definition.slug} measures single people. Their figures are shown to nobody, here neither."
        raise Invalid(told)


def previewed(found: Preview, of: str) -> dict[str, Any]:
    """As the API and the command line show it. `of` says what was tried."""
    return {
        "asOf": iso(found.as_of),
        "of": of,
        "rowsRead": found.rows_read,
        "totals": [_compared(each) for each in found.totals],
        "subjects": [_compared(each) for each in found.subjects],
    }


def _compared(each: Compared) -> dict[str, Any]:
    told = {"label": each.label, "at": iso(each.at), "window": each.window, "dims": dict(each.dims)}
    sides = {"now": _side(each.now), "draft": _side(each.draft)}
    return {**told, **sides, "delta": each.delta, "turns": each.turns}


def _side(side: Side) -> dict[str, Any]:
    state = str(side.state) if side.state is not None else None
    return {"value": side.value, "rows": side.rows, "reason": side.reason or None, "targetState": state}


#: What runs of a definition that is not there yet.
_NOTHING = Running("", None, "")


# --- Its limits ---


class _Clock:
    def __init__(self) -> None:
        self.end = time.monotonic() + MAX_SECONDS

    def check(self) -> None:
        if self.is_over():
            raise TooMuchToPreview(TOO_SLOW)

    def is_over(self) -> bool:
        return time.monotonic() > self.end


@contextmanager
def _limited() -> Iterator[_Clock]:
    """Reads only, and no longer than MAX_SECONDS in the database. The clock is for the work between queries."""
    clock = _Clock()
    try:
        with _read_only_postgresql() if connection.vendor == "postgresql" else _read_only_sqlite(clock):
            yield clock
    except OperationalError as error:
        if clock.is_over() or "interrupt" in str(error) or "timeout" in str(error):
            raise TooMuchToPreview(TOO_SLOW) from None
        raise


@contextmanager
def _read_only_postgresql() -> Iterator[None]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL transaction_read_only = on")
            cursor.execute(f"SET LOCAL statement_timeout = {int(MAX_SECONDS * 1000)}")
        yield
        # Gives the settings back where a transaction lies around this one.
        transaction.set_rollback(True)


@contextmanager
def _read_only_sqlite(clock: _Clock) -> Iterator[None]:
    connection.ensure_connection()
    raw = connection.connection
    raw.execute("PRAGMA query_only = ON")
    raw.set_progress_handler(clock.is_over, 10_000)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)
        raw.execute("PRAGMA query_only = OFF")


class _Watched(list[Row]):
    """Rows that look at the clock while a formula goes through them: the database knows nothing of that time."""

    clock: _Clock

    def __iter__(self) -> Iterator[Row]:
        for number, row in enumerate(super().__iter__()):
            if number % 1000 == 0:
                self.clock.check()
            yield row


class _Tables:
    """The rows of each source, read once for both formulas."""

    def __init__(self, scope: Scope, clock: _Clock) -> None:
        self.scope, self.clock = scope, clock
        self.count = 0
        self._rows: dict[str, list[Row]] = {}

    def of(self, formula: Formula) -> dict[str, list[Row]]:
        return {name: self._load(name) for name in source_names(formula)}

    def _load(self, name: str) -> list[Row]:
        if name not in self._rows:
            self.clock.check()
            rows = _Watched(islice(rows_of(name, self.scope), MAX_ROWS - self.count + 1))
            rows.clock = self.clock
            self.count += len(rows)
            if self.count > MAX_ROWS:
                raise TooMuchToPreview(
                    f"The preview was stopped: {name} and what else the formula reads have more than {MAX_ROWS:,} "
                    "rows. Publish it and compute with mim kpi backfill, which has no such limit."
                )
            self._rows[name] = rows
        return self._rows[name]


# --- One formula ---


class _View:
    """Figures under one formula; all are empty, with the reason, where there is no formula to run."""

    def __init__(
        self, definition: KpiDefinition, running: Running, targets: Sequence[Target], tables: _Tables, everyone: _Tables
    ) -> None:
        self.definition, self.targets, self.tables = definition, targets, tables
        self.formula = self._formula(running)
        self.totals = self._evaluate(tables)
        self.samples = self._evaluate(everyone) if self.formula and self.formula.subject else None
        self._subjects = dict(_subjects(self.samples, everyone.clock)) if self.samples else {}

    def _formula(self, running: Running) -> Formula | None:
        if running.spec is None:
            return None
        audience = audience_of(self.definition)
        return check_spec(running.spec, running.units, slug=self.definition.slug, audience=audience)

    def _evaluate(self, tables: _Tables) -> Evaluation | None:
        if self.formula is None or self.formula.base is None:
            return None
        found = Evaluation(self.formula, tables.of(self.formula), as_of=tables.scope.as_of)
        tables.clock.check()
        return found

    def subjects(self) -> dict[str, _Subject]:
        return self._subjects

    def groups(self) -> tuple[Dims, ...]:
        return self.totals.groups() if self.totals else ()

    def subject(self, key: str) -> Side:
        found = self._subjects.get(key)
        if found is None:
            return Side(None, 0, "no formula" if self.formula is None else "not a row of this formula", None)
        sample = found.sample
        if sample is None:
            return Side(None, 0, found.reason, None)
        return self._side(sample.measurement, sample.dims, sample.timestamp)

    def total(self, window: str, dims: Dims) -> Side:
        if self.formula is None:
            return Side(None, 0, "no formula", None)
        if window not in self.formula.windows:
            return Side(None, 0, "no such window", None)
        if dims and not {*dims} <= {*self.formula.group_by}:
            return Side(None, 0, "no such group", None)
        return self._side(self._measure(self.formula, window, dims), dims, self.tables.scope.as_of)

    def _measure(self, formula: Formula, window: str, dims: Dims) -> Measurement:
        if self.totals is None or isinstance(formula.calc, Reported):
            return part_figures(self.definition, formula, self.tables.scope, window, dims)[1]
        return self.totals.measure(window, dims or None, ZoneInfo(settings.MAJOROPS_REPORTING_ZONE))

    def _side(self, found: Measurement, dims: Dims, at: datetime) -> Side:
        target = standing(self.targets, dims, at=at)
        state = judge(found.value, target) if found.value is not None and target is not None else None
        return Side(found.value, found.n, (found.reason or "").replace("_", " "), state)


@dataclass(frozen=True, slots=True)
class _Subject:
    at: datetime | None
    incident_id: str
    sample: Sample | None
    reason: str


def _subjects(evaluation: Evaluation, clock: _Clock) -> Iterator[tuple[str, _Subject]]:
    """What every row's subject gives: its sample, or why there is none."""
    prefix = f"{evaluation.formula.subject}:"
    samples = {sample.subject_key: sample for sample in evaluation.samples()}
    clock.check()
    by_subject = defaultdict(list)
    for entry in evaluation.entries:
        keys = (str(row.get("subject_key", "")) for row in entry.rows)
        if key := next((key for key in keys if key.startswith(prefix)), None):
            by_subject[key].append(entry)
    for key, entries in by_subject.items():
        times = [at for entry in entries if (at := entry.at or entry.placed) is not None]
        reasons = dict.fromkeys(entry.reason for entry in entries if entry.reason)
        incident_id = next(
            (str(row["incident_id"]) for entry in entries for row in entry.rows if row.get("incident_id")), ""
        )
        reason = ", ".join(reasons).replace("_", " ") or "still open"
        yield key, _Subject(max(times, default=None), incident_id, samples.get(key), reason)


# --- Both beside each other ---


def _last_subjects(before: _View, after: _View) -> list[tuple[str, str, Compared]]:
    """(subject, incident, comparison) of the newest, by what either formula says of their time."""
    found = {**before.subjects(), **after.subjects()}
    newest = sorted(found, key=lambda key: (found[key].at or datetime.min.replace(tzinfo=UTC), key), reverse=True)
    return [
        (
            key,
            found[key].incident_id,
            Compared(key, found[key].at, "", _dims(found[key]), before.subject(key), after.subject(key)),
        )
        for key in newest[:SUBJECTS]
    ]


def _dims(subject: _Subject) -> Dims:
    return subject.sample.dims if subject.sample else {}


def _named(found: list[tuple[str, str, Compared]], viewer: Viewer) -> Iterator[Compared]:
    """With the incident's title, where the viewer may read the incident; others are left out."""
    ids = {incident_id for _, incident_id, _ in found if incident_id}
    titles = dict(visible(Incident.objects.filter(pk__in=ids), viewer).values_list("pk", "title"))
    for _, incident_id, each in found:
        if incident_id in titles:
            yield Compared(titles[incident_id], each.at, each.window, each.dims, each.now, each.draft)


def _totals(before: _View, after: _View, clock: _Clock) -> Iterator[Compared]:
    windows = [view.formula.windows for view in (after, before) if view.formula is not None]
    groups = {repr(sorted(dims.items(), key=repr)): dims for view in (before, after) for dims in view.groups()}
    for window in dict.fromkeys(window for each in windows for window in each):
        for dims in ({}, *list(groups.values())[:GROUPS]):
            clock.check()
            yield Compared("", None, window, dims, before.total(window, dims), after.total(window, dims))
