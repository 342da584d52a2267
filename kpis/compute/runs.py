"""Computes and stores: one incident, a span of time, every night; and checks a past figure.

A long run is stored in ranges of time, each in one transaction with its progress. What is stored outlives a run that
is killed, and another run may go on from there; with the same rows, the stored figures come out the same.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from incidents.models import Incident
from kpis.compute import store
from kpis.compute.diff import Counts, Diff, current
from kpis.compute.drafts import Draft, Reading, result_hash
from kpis.definitions import formula_of
from kpis.errors import DefinitionChanged, NothingToCompute, NothingToVerify
from kpis.evidence import Standing
from kpis.formulas import Formula
from kpis.models import (
    CLAIMS,
    DefinitionStatus,
    KpiDefinition,
    KpiDefinitionVersion,
    KpiObservation,
    KpiRun,
    RunOutcome,
)
from kpis.sources import Scope
from kpis.standing import Standings
from majorops.lib.times import iso, parse_time, to_millisecond

Advance = Callable[[int, int], None]
#: How many changes a run that is only tried shows.
EXAMPLES = 5
#: How many observations one transaction stores, about: those of one moment stay together.
RANGE = 5000


def _silently(done: int, total: int) -> None:
    """The default of `advance`."""


@dataclass(frozen=True, slots=True)
class Change:
    """A stored value that the rows no longer give."""

    subject: str
    window: str
    version: int
    before: float | None
    after: float | None
    reason: str

    def __str__(self) -> str:
        said = ["—" if value is None else f"{value:.1f}" for value in (self.before, self.after)]
        why = f" ({self.reason.replace('_', ' ')})" if self.reason else ""
        return f"{self.subject or self.window} {said[0]} → {said[1]}{why}"


def backfill(
    definition: KpiDefinition,
    *,
    as_of: datetime,
    start: datetime | None = None,
    trigger: str = "backfill",
    dry_run: bool = False,
    examples: list[Change] | None = None,
    resume: bool = False,
    forced_because: str = "",
    advance: Advance = _silently,
) -> Counts:
    """Computes every sample in [start, as_of) and the rollups at `as_of`. `advance(done, total)` follows each range.

    `resume` goes on with the newest run of the same definition version and span that did not end; without one it
    begins anew. `forced_because` retires stated values that are in the way, and says why. `dry_run` only counts, and
    puts a few changes into `examples`. Raises NothingToCompute for a definition without a formula.
    """
    formula = require_runnable(definition)
    as_of = to_millisecond(as_of)
    span = _Span(start, as_of, rollups_at=(as_of,))
    run = _Run(definition, formula, span, trigger, forced_because)
    with _uncollected():
        return run.compare([] if examples is None else examples) if dry_run else run.store(advance, resume=resume)


def nightly(definition: KpiDefinition, *, now: datetime, days: int, advance: Advance = _silently) -> Counts:
    """Computes the last `days` days anew: their samples, and the rollups of each midnight. Late rows are picked up."""
    formula = require_runnable(definition)
    midnights = [_midnight(now, back) for back in range(days, -1, -1)]
    span = _Span(midnights[0], midnights[-1], rollups_at=tuple(midnights[1:]))
    with _uncollected():
        return _Run(definition, formula, span, "nightly").store(advance)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No hunt for cycles meanwhile: a run keeps many rows and makes no cycles, so a tenth of its time finds nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def last_midnight(now: datetime) -> datetime:
    """The start of today in the reporting zone: the same all day, so that a second run finds the same keys."""
    return _midnight(now, 0)


def _midnight(now: datetime, days_back: int) -> datetime:
    zone = ZoneInfo(settings.MAJOROPS_REPORTING_ZONE)
    day = now.astimezone(zone).date() - timedelta(days=days_back)
    return datetime.combine(day, time.min, zone).astimezone(ZoneInfo("UTC"))


@transaction.atomic
def recompute_incident(incident_id: str, *, now: datetime, only: Collection[str] = ()) -> dict[str, Counts]:
    """Brings the samples of one incident up to date, for every KPI that keeps some, or those of them that are named.

    The rows are read under the lock: of two actions at the same moment, the later reading is stored last.
    """
    locked = KpiDefinition.objects.computable().select_for_update(no_key=True)
    locked = locked.filter(slug__in=only) if only else locked
    # Before the parse, which asks for other KPIs when a formula names some.
    kept = [definition for definition in locked if (definition.spec or {}).get("subject") is not None]
    current_ones = KpiDefinitionVersion.objects.filter(minor=0, version=F("definition__current_version"))
    versions = {version.definition_id: version for version in current_ones.filter(definition__in=kept)}
    counts = {}
    for definition in kept:
        formula = formula_of(definition)
        if formula is not None:
            drafts = list(Reading(definition, formula, Scope(now, incident_id)).samples())
            counts[definition.slug] = _store_incident(definition, versions[definition.pk], drafts, incident_id, now)
    return counts


def _store_incident(
    definition: KpiDefinition,
    version: KpiDefinitionVersion,
    drafts: Sequence[Draft],
    incident_id: str,
    now: datetime,
) -> Counts:
    diff = Diff(version, drafts, current(definition, Q(window="", incident_id=incident_id)))
    if diff.counts.wrote:
        as_of = to_millisecond(now)
        run = _begin(definition, version, as_of, {"incident": incident_id}, "event")
        store.write(diff, run, _standing(definition, as_of), now=run.started_at)
        _count(run, diff.counts)
        _end(run, RunOutcome.DONE)
    return diff.counts


@dataclass(frozen=True, slots=True)
class Difference:
    """A stored figure that today's rows do not give. None for one of the two: it is not there."""

    window: str
    group: str
    stored: float | None
    found: float | None

    def __str__(self) -> str:
        said = [("—" if value is None else f"{value:g}") for value in (self.stored, self.found)]
        return f"{self.window}{' ' + self.group if self.group else ''}: stored {said[0]}, the rows say {said[1]}"


def verify(definition: KpiDefinition, *, dice: random.Random) -> tuple[KpiRun, list[Difference]]:
    """Computes a past moment again, chosen by `dice`, and compares. Writes the verdict as a run, and no observation.

    Raises NothingToVerify when no figure of the current version was computed and stored yet.
    """
    formula = require_runnable(definition)
    version = definition.versions.get(version=definition.current_version, minor=0)
    stored = KpiObservation.objects.current().rollups().exclude(source__in=CLAIMS)
    stored = stored.filter(kpi=definition, definition_version=version)
    moments = list(stored.order_by("timestamp").values_list("timestamp", flat=True).distinct())
    if not moments:
        raise NothingToVerify(f"{definition.slug} has no stored figure of version {version.version} to verify yet.")
    as_of = dice.choice(moments)
    run = _begin(definition, version, as_of, {"from": None, "at": iso(as_of)}, "verify")
    drafts = list(Reading(definition, formula, Scope(as_of)).rollups())
    differences = _differences(drafts, list(stored.filter(timestamp=as_of)), version)
    _count(run, Counts(same=len(drafts) - len(differences), changed=len(differences)))
    _end(run, RunOutcome.DIFFERS if differences else RunOutcome.SAME)
    return run, differences


def _differences(
    drafts: Iterable[Draft], stored: Iterable[KpiObservation], version: KpiDefinitionVersion
) -> list[Difference]:
    rows = {(row.window, row.dims_key): row for row in stored}
    found = []
    for draft in drafts:
        row = rows.pop((draft.window, draft.dims_key), None)
        if row is None or row.result_sha256 != result_hash(draft, version):
            said = row.value if row is not None else None
            found.append(Difference(draft.window, draft.dims_key, said, draft.measurement.value))
    return found + [Difference(window, group, row.value, None) for (window, group), row in rows.items()]


@dataclass(frozen=True, slots=True)
class _Span:
    """Which observations a run is about: samples of [start, end), and rollups at some moments."""

    start: datetime | None
    end: datetime
    rollups_at: tuple[datetime, ...]

    @property
    def scope(self) -> dict[str, object]:
        scope: dict[str, object] = {"from": iso(self.start), "to": iso(self.end)}
        return scope if self.rollups_at == (self.end,) else {**scope, "rollups": [iso(at) for at in self.rollups_at]}


@dataclass(frozen=True, slots=True)
class _Range:
    """The samples of [start, end): their drafts, and which stored ones they are to be compared with."""

    drafts: Sequence[Draft]
    scope: Q
    end: datetime | None


class _Run:
    """One KPI over a span: what its rows say now, and how that is stored."""

    def __init__(
        self, definition: KpiDefinition, formula: Formula, span: _Span, trigger: str, forced_because: str = ""
    ) -> None:
        self.definition = definition
        self.formula = formula
        self.span = span
        self.trigger = trigger
        self.forced_because = forced_because
        self.version = definition.versions.get(version=definition.current_version, minor=0)

    def compare(self, examples: list[Change]) -> Counts:
        """Counts what would be written, with the first changes as examples. Writes nothing."""
        counts = Counts()
        for part in self._ranges(self.span.start):
            stored = current(self.definition, part.scope)
            diff = Diff(self.version, part.drafts, stored, force=bool(self.forced_because))
            counts.add(diff.counts)
            examples += _changes(diff.changed[: EXAMPLES - len(examples)])
        return counts

    def store(self, advance: Advance, *, resume: bool = False) -> Counts:
        run = (resume and self._unfinished()) or _begin(
            self.definition, self.version, self.span.end, self.span.scope, self.trigger
        )
        counts = _counted(run)
        stored_to = run.progress.get("storedTo")
        ranges = list(self._ranges(parse_time(stored_to, field="storedTo") if stored_to else self.span.start))
        done, total = (
            run.progress.get("done", 0),
            run.progress.get("done", 0) + sum(len(part.drafts) for part in ranges),
        )
        for part in ranges:
            done += len(part.drafts)
            self._store_range(run, part, counts, done, total)
            advance(done, total)
        _end(run, RunOutcome.DONE)
        return counts

    @transaction.atomic
    def _store_range(self, run: KpiRun, part: _Range, counts: Counts, done: int, total: int) -> None:
        version = _locked_version(self.definition)
        if version.version != run.version:
            raise DefinitionChanged(f"{self.definition.slug} was changed while it was computed. Run it again.")
        stored = current(self.definition, part.scope)
        diff = Diff(version, part.drafts, stored, force=bool(self.forced_because))
        standing = _standing(self.definition, self.span.end)
        store.write(diff, run, standing, now=timezone.now(), forced_because=self.forced_because)
        counts.add(diff.counts)
        run.progress = {"done": done, "total": total, "storedTo": iso(part.end) or run.progress.get("storedTo")}
        _count(run, counts)

    def _unfinished(self) -> KpiRun | None:
        runs = KpiRun.objects.filter(definition=self.definition, version=self.version.version, as_of=self.span.end)
        newest = runs.filter(trigger=self.trigger).order_by("-id")
        same = next((run for run in newest if run.scope == self.span.scope), None)
        return same if same is not None and same.ended_at is None else None

    def _ranges(self, start: datetime | None) -> Iterator[_Range]:
        """The samples in ranges of about RANGE, then the rollups. Each row in scope lies in one range."""
        samples = Q(window="")
        whole = None if self.formula.subject is None else self._read_all()
        for drafts, end in _by_time(_since(start, self._samples(whole)), self.span.end):
            scope = samples & Q(timestamp__lt=end) & (Q(timestamp__gte=start) if start else Q())
            yield _Range(drafts, scope, end)
            start = end
        for at in self.span.rollups_at:
            can_share = whole is not None and at == whole.scope.as_of and not whole.scope.with_restricted
            reading = whole if whole is not None and can_share else Reading(self.definition, self.formula, Scope(at))
            yield _Range(list(reading.rollups()), ~samples & Q(timestamp=at), None)

    def _read_all(self) -> Reading:
        """What samples are made of: restricted incidents as well, of which no rollup tells."""
        is_any_restricted = Incident.objects.filter(restricted=True).exists()
        return Reading(self.definition, self.formula, Scope(self.span.end, with_restricted=is_any_restricted))

    def _samples(self, whole: Reading | None) -> list[Draft]:
        """The samples before the end, as they stand today: a team paged before midnight may have come after it.

        Read as of the end, that sample would be missing, and the stored one be retired.
        """
        if whole is None:
            return []
        went_on = whole.went_on()
        found = [draft for draft in whole.samples() if draft.incident_id not in went_on]
        if went_on:
            today = replace(whole.scope, as_of=max(self.span.end, to_millisecond(timezone.now())))
            later = Reading(self.definition, self.formula, today).samples()
            found += [each for each in later if each.incident_id in went_on and each.timestamp < self.span.end]
        return found


def _changes(changed: Sequence[tuple[str, Draft]]) -> Iterator[Change]:
    rows = KpiObservation.objects.select_related("definition_version").in_bulk([pk for pk, _ in changed])
    for pk, draft in changed:
        found, row = draft.measurement, rows[pk]
        yield Change(
            row.subject_key, row.window, row.definition_version.version, row.value, found.value, found.reason or ""
        )


def _since(start: datetime | None, samples: Iterable[Draft]) -> list[Draft]:
    """Those from `start` on, by time."""
    chosen = [draft for draft in samples if start is None or draft.timestamp >= start]
    return sorted(chosen, key=lambda draft: (draft.timestamp, draft.subject_key))


def _by_time(drafts: Sequence[Draft], end: datetime) -> Iterator[tuple[list[Draft], datetime]]:
    """Parts of at least RANGE, and where each ends (exclusively): the time of the next one's first, at last `end`."""
    part: list[Draft] = []
    for at, moment in groupby(drafts, key=lambda draft: draft.timestamp):
        if len(part) >= RANGE:
            yield part, at
            part = []
        part.extend(moment)
    yield part, end


def require_runnable(definition: KpiDefinition) -> Formula:
    """The formula that runs. Raises NothingToCompute."""
    formula = formula_of(definition)
    if formula is None or definition.status != DefinitionStatus.ACTIVE:
        raise NothingToCompute(f"{definition.slug} has no formula that runs, so there is nothing to compute.")
    return formula


def _locked_version(definition: KpiDefinition) -> KpiDefinitionVersion:
    """The current version; nobody else stores or changes this KPI until the transaction ends."""
    locked = KpiDefinition.objects.select_for_update(no_key=True).get(pk=definition.pk)
    return locked.versions.get(version=locked.current_version, minor=0)


def _standing(definition: KpiDefinition, as_of: datetime) -> Standing:
    """What holds beside the rows, as of the run. Whether it is reproduced is asked later: this computes it anew."""
    return replace(Standings([definition], as_of).of(definition.slug), reproduced=None)


def _begin(
    definition: KpiDefinition, version: KpiDefinitionVersion, as_of: datetime, scope: dict[str, object], trigger: str
) -> KpiRun:
    return KpiRun.objects.create(
        definition=definition,
        version=version.version,
        as_of=as_of,
        scope=scope,
        trigger=trigger,
        started_at=timezone.now(),
    )


def _count(run: KpiRun, counts: Counts) -> None:
    run.new, run.changed, run.same = counts.new, counts.changed, counts.same
    run.retired, run.kept = counts.retired, counts.kept
    run.save(update_fields=["new", "changed", "same", "retired", "kept", "progress"])


def _counted(run: KpiRun) -> Counts:
    """What a run that broke off had done."""
    return Counts(new=run.new, changed=run.changed, same=run.same, retired=run.retired, kept=run.kept)


def _end(run: KpiRun, outcome: RunOutcome) -> None:
    run.ended_at, run.outcome = timezone.now(), outcome
    run.save(update_fields=["ended_at", "outcome"])
