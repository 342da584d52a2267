"""Has past incidents written and counts what came of it: new ones together, known ones in a transaction each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from incidents import actions
from incidents.intake import Fate, Problem, printable, told_apart
from incidents.models import Incident, StatusUpdate
from incidents.past import PastIncident, PastUpdate
from majorops.lib.errors import DomainError
from majorops.lib.times import SKEW, iso

Record = PastIncident | Problem

#: How many new incidents are written at once.
BATCH = 500

#: Exports of one history round times differently: to the millisecond, the second or the minute.
ROUNDING = timedelta(minutes=1)


@dataclass(slots=True)
class ImportReport:
    """What an import did, or with `dry_run` would have done."""

    dry_run: bool = False
    new: int = 0
    #: Known before, now with further updates or closed.
    grown: int = 0
    same: int = 0
    #: Which of the known ones another export or another record brought; their notes are not doubled.
    merged: set[str] = field(default_factory=set)
    updates: int = 0
    entries: int = 0
    dispatches: int = 0
    #: Imported and still open at the source.
    open: int = 0
    #: The incidents met so far: a further record of one is merged into it.
    met: set[tuple[str, str]] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def count(self, fate: Fate) -> int:
        return sum(problem.fate == fate for problem in self.problems)

    def __str__(self) -> str:
        merged = f" ({len(self.merged):,} merged)" if self.merged else ""
        done = f"{self.new:,} new, {self.grown:,} grown, {self.same:,} same{merged}; {self.updates:,} updates written"
        entries = f", {self.entries:,} log entries" if self.entries else ""
        teams = f", {self.dispatches:,} dispatches" if self.dispatches else ""
        return f"{done}{entries}{teams}; {self._odd()}; {self.open:,} still open."

    def _odd(self) -> str:
        repaired = f"{self.count(Fate.REPAIRED):,} repaired, " if self.count(Fate.REPAIRED) else ""
        refused, skipped, kept = (self.count(fate) for fate in (Fate.REFUSED, Fate.SKIPPED, Fate.KEPT))
        return f"{refused:,} refused, {skipped:,} skipped, {repaired}{kept:,} odd"

    def as_json(self) -> dict[str, object]:
        """The same for programs, with every line that was told."""
        counts = ("new", "grown", "same", "updates", "entries", "dispatches", "open")
        return {
            "dry_run": self.dry_run,
            **{name: getattr(self, name) for name in counts},
            "merged": sorted(self.merged),
            **{
                fate.value: [
                    {"record": one.record, "reason": one.sentence} for one in self.problems if one.fate == fate
                ]
                for fate in Fate
            },
        }


def run_import(
    records: Iterable[Record],
    *,
    now: datetime,
    dry_run: bool = False,
    progress: Callable[[], object] = lambda: None,
) -> ImportReport:
    """Writes what is new of each record. A record that is refused is reported, and the others go on.

    `progress` is called after each record. Run the KPI backfill afterwards: listeners are not told.
    """
    report = ImportReport(dry_run=dry_run)
    waiting: list[PastIncident] = []
    for record in records:
        if isinstance(record, Problem):
            report.problems.append(record)
        else:
            waiting.append(record)
        if len(waiting) == BATCH:
            _import_all(waiting, report, now)
            waiting.clear()
        progress()
    _import_all(waiting, report, now)
    return report


def _import_all(pasts: list[PastIncident], report: ImportReport, now: datetime) -> None:
    """New ones together. Should one of them be refused, and for those that are known, each for itself."""
    same = actions.recorded_already(pasts)
    for past in pasts:
        if _key(past) in same:
            _tell_same(past, same[_key(past)], report)
    pasts = [past for past in pasts if _key(past) not in same]
    known = _known(pasts)
    new = [past for past in pasts if _key(past) not in known]
    together = len(set(map(_key, new))) == len(new) and _import_new(new, report, now)
    for past in pasts:
        if not together or _key(past) in known:
            _import_one(past, report, now)


def _tell_same(past: PastIncident, recorded: actions.Recorded, report: ImportReport) -> None:
    _count(recorded, past, report)
    report.problems += [
        Problem(Fate.KEPT, _label(past), sentence) for sentence in _differences(recorded.incident, past)
    ]


def _key(past: PastIncident) -> tuple[str, str]:
    return past.external_source, past.external_id


def _known(pasts: list[PastIncident]) -> set[tuple[str, str | None]]:
    sources, ids = {past.external_source for past in pasts}, [past.external_id for past in pasts]
    rows = Incident.objects.filter(external_source__in=sources, external_id__in=ids)
    return set(rows.values_list("external_source", "external_id"))


def _import_new(pasts: list[PastIncident], report: ImportReport, now: datetime) -> bool:
    """Whether all were written; if not, none was, and nothing is reported."""
    told: list[Problem] = []
    try:
        with transaction.atomic():
            fresh = [_without_future(past, now, _label(past), told) for past in pasts]
            written = actions.record_new_past_incidents(fresh, now=now)
            transaction.set_rollback(report.dry_run)
    except (DomainError, IntegrityError):
        return False
    for past, recorded in zip(pasts, written, strict=True):
        _count(recorded, past, report)
    report.problems += told
    return True


def _label(past: PastIncident) -> str:
    return f"{past.external_id} ({printable(past.title, 40)})"


def _import_one(past: PastIncident, report: ImportReport, now: datetime) -> None:
    label = _label(past)
    told: list[Problem] = []
    try:
        with transaction.atomic():
            known = _known_updates(past)
            fresh = _only_fresh(_without_future(past, now, label, told), known, label, told)
            recorded = actions.record_past_incident(fresh, now=now)
            transaction.set_rollback(report.dry_run)
    except DomainError as error:
        told = [Problem(Fate.REFUSED, label, error.message)]
    except IntegrityError:
        told = [Problem(Fate.REFUSED, label, "Another import wrote it at the same moment. Run this one again.")]
    else:
        _count(recorded, past, report)
        if not recorded.is_new and _is_told_elsewhere(past, known):
            report.merged.add(past.external_id)
        told += [Problem(Fate.KEPT, label, sentence) for sentence in _differences(recorded.incident, past)]
    report.problems += told


def _count(recorded: actions.Recorded, past: PastIncident, report: ImportReport) -> None:
    if _key(past) in report.met:
        report.merged.add(past.external_id)
    report.met.add(_key(past))
    report.new += recorded.is_new
    report.same += recorded.is_same
    report.grown += not recorded.is_new and not recorded.is_same
    report.updates += recorded.updates
    report.entries += recorded.entries
    report.dispatches += recorded.dispatches
    report.open += recorded.incident.is_open
    if past.unknown_end and (recorded.incident.is_open or recorded.incident.has_ended_unseen):
        report.problems.append(Problem(Fate.KEPT, _label(past), past.unknown_end))


def _differences(incident: Incident, past: PastIncident) -> Iterator[str]:
    """Where the incident here no longer ends as it does at the source. Nothing here is overwritten."""
    ended, ended_there = incident.resolved_at, past.resolved_at
    if ended and ended_there is None and not past.unknown_end:
        yield "The source has it open, here it is resolved. Reopen it if the source is right."
    if ended and ended_there and not past.has_ended_unseen and abs(ended - ended_there) >= ROUNDING:
        yield f"The source resolved it at {iso(ended_there)}, here it ended at {iso(ended)}; that is left as it is."


def _without_future(past: PastIncident, now: datetime, label: str, told: list[Problem]) -> PastIncident:
    """Nothing is recorded before it happens. A start or end in the future is refused by the writer."""
    kept = tuple(update for update in past.updates if update.at <= now + SKEW)
    for update in past.updates:
        if update not in kept:
            sentence = f'Update "{printable(update.text, 30)}" is left out: {iso(update.at)} lies in the future.'
            told.append(Problem(Fate.REFUSED, label, sentence))
    return replace(past, updates=kept)


def _is_told_elsewhere(past: PastIncident, known: list[PastUpdate]) -> bool:
    """Whether another export brought it before: the same notes are known under other ids."""
    ids = {one.external_id for one in known}
    strange = [update for update in past.updates if update.external_id not in ids]
    return any(_same_note(update, one) for update in strange for one in known)


def _only_fresh(past: PastIncident, known: list[PastUpdate], label: str, told: list[Problem]) -> PastIncident:
    """Without the updates that are recorded already, whatever id this export gives them.

    The same note bears different ids in different exports of one history. Some number from the newest (update_0,
    update_1...), so that an id means another note once there is a further one.
    """
    fresh: list[PastUpdate] = []
    edited = 0
    for update in past.updates:
        namesake = next((one for one in known if one.external_id == update.external_id), None)
        if any(_same_note(update, one) for one in known):
            continue
        if namesake and _same_time(update, namesake):
            edited += 1
            continue
        fresh.append(told_apart(update) if namesake else update)
    if edited:
        sentence = f"{edited} of its updates read differently at the source now; the log keeps the text imported first."
        told.append(Problem(Fate.KEPT, label, sentence))
    return replace(past, updates=tuple(fresh))


def _known_updates(past: PastIncident) -> list[PastUpdate]:
    incident = {"incident__external_source": past.external_source, "incident__external_id": past.external_id}
    rows = StatusUpdate.objects.filter(**incident, external_id__isnull=False)
    return [PastUpdate(row.external_id or "", row.created_at, row.content, "") for row in rows]


def _same_note(one: PastUpdate, other: PastUpdate) -> bool:
    return _same_time(one, other) and _words(one.text) == _words(other.text)


def _same_time(one: PastUpdate, other: PastUpdate) -> bool:
    return abs(one.at - other.at) < ROUNDING


def _words(text: str) -> str:
    """The text as exports agree on it: some keep the markup and spaces, some lose them."""
    return "".join(re.findall(r"\w+", re.sub(r"<[^>]+>", " ", text))).casefold()
