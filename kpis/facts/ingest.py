"""Writes facts: one event, or a body of many. An event that came before changes nothing, however often it comes.

Each line of a body stands for itself: what is wrong with one is told with its number, and the others are stored. All
of it is one transaction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from rest_framework.exceptions import APIException

from accounts.idempotency import effect
from kpis.facts import parked, registry, subjects, table
from kpis.facts.admission import Lanes, admitted
from kpis.facts.aliases import alias_of
from kpis.facts.checking import Checked, Refused, Terms, check
from kpis.facts.errors import BadFact, UnknownFact
from kpis.models import Fact
from majorops.lib.errors import Invalid
from majorops.lib.rest import parse_json
from majorops.lib.times import to_millisecond
from majorops.lib.ulid import parse_ulid

#: One event.
MAX_LINE = 64 * 1024
MAX_LINES = 10_000
#: How many lines are looked at together: one that is odd among them makes all of them slow.
BLOCK = 200
#: How many lines that were refused an answer names.
MAX_TOLD = 1000

Store = Callable[[Sequence[Checked], str, datetime], int]


@dataclass(frozen=True, slots=True)
class LineError:
    """Why a line is no fact. Lines count from 1."""

    line: int
    code: str
    reason: str


@dataclass(slots=True)
class Report:
    """What became of the events: received = inserted + duplicate + parked + rejected."""

    received: int = 0
    inserted: int = 0
    duplicate: int = 0
    parked: int = 0
    rejected: int = 0
    errors: list[LineError] = field(default_factory=list)

    def reject(self, line: int, code: str, reason: str) -> None:
        self.rejected += 1
        if len(self.errors) < MAX_TOLD:
            self.errors.append(LineError(line, code, reason))

    def add(self, other: Report) -> None:
        self.received += other.received
        self.inserted += other.inserted
        self.duplicate += other.duplicate
        self.parked += other.parked
        self.rejected += other.rejected
        self.errors += other.errors[: MAX_TOLD - len(self.errors)]


def append(event: Mapping[str, object], *, source: str, now: datetime) -> tuple[Fact, bool]:
    """The fact that the event tells, and whether it is new. Raises Invalid for what is none."""
    now = to_millisecond(now)
    terms = _terms(registry.fresh(), now)
    fact = check(event, terms)
    with effect():
        if (fact.subject_type, fact.subject_id) in subjects.see(_named([fact]), now):
            raise Refused("unknown_subject", _unregistered(fact), field="subject")
        if _absent([fact]):
            raise UnknownFact(_no_such_fact(fact), field="supersedes")
        return table.append_one(fact, source, now)


def append_lines(body: bytes, *, source: str, now: datetime, first_line: int = 1) -> Report:
    """Stores what the lines of an NDJSON body tell."""
    return _append(body, source, now, first_line, _quickly, table.append)


def append_events(
    events: Iterable[tuple[int, Mapping[str, object] | Invalid]], *, source: str, now: datetime
) -> Report:
    """Stores events that a program made of something else, each under the number of its record; a refusal counts as
    one. All is stored in one transaction, so give some thousands at most."""
    now = to_millisecond(now)
    kinds = registry.fresh()
    batch, terms = _Batch(Report(), source, now), _terms(kinds, now)
    for number, event in events:
        line = b"" if isinstance(event, Invalid) else json.dumps(event).encode()
        judged = [event] if isinstance(event, Invalid) else _quickly([line], kinds.lanes, terms)
        batch.take_all([(number, line)], judged, parks=terms.parks)
    with effect():
        batch.store(table.append)
    return batch.report


def append_lines_slowly(body: bytes, *, source: str, now: datetime, first_line: int = 1) -> Report:
    """The same by the reference alone, line by line and row by row. Tests hold the quick way to it."""
    return _append(body, source, now, first_line, _by_reference, table.append_by_model)


#: The facts of some lines, or of each why it is none.
Judged = Sequence[Checked | Invalid | APIException]
Judge = Callable[[Sequence[bytes], Lanes, Terms], Judged]


def _append(body: bytes, source: str, now: datetime, first_line: int, judge: Judge, store: Store) -> Report:
    now = to_millisecond(now)
    kinds = registry.fresh()
    batch = _Batch(Report(), source, now)
    terms = _terms(kinds, now)
    lines = _lines(body, first_line)
    for block in (lines[at : at + BLOCK] for at in range(0, len(lines), BLOCK)):
        judged = judge([line for _, line in block], kinds.lanes, terms)
        batch.take_all(block, judged, parks=terms.parks)
    with effect():
        batch.store(store)
    return batch.report


def _lines(body: bytes, first_line: int) -> list[tuple[int, bytes]]:
    """The lines that are not empty, with their numbers."""
    lines = enumerate(body.split(b"\n"), start=first_line)
    return [(number, line) for number, line in lines if line and not line.isspace()]


def _terms(kinds: registry.Registry, now: datetime) -> Terms:
    return Terms(kinds.kinds, now, alias_of, parks=settings.MAJOROPS_UNKNOWN_FACTS == "park")


def _quickly(lines: Sequence[bytes], lanes: Lanes, terms: Terms) -> Judged:
    """All at once if they are plain, else each by itself."""
    if (facts := admitted(lines, lanes, terms.latest)) is not None:
        return facts
    each = ([line] for line in lines)
    return [fact for one in each for fact in admitted(one, lanes, terms.latest) or _by_reference(one, lanes, terms)]


def _by_reference(lines: Sequence[bytes], lanes: Lanes, terms: Terms) -> Judged:
    return [_judged(line, terms) for line in lines]


def _judged(line: bytes, terms: Terms) -> Checked | Invalid | APIException:
    try:
        return _reference(line, terms)
    except (Invalid, APIException) as error:
        return error


def _reference(line: bytes, terms: Terms) -> Checked:
    """Raises Invalid, and what the JSON reader of the API raises."""
    if len(line) > MAX_LINE:
        raise Refused("too_large", f"A line has at most {MAX_LINE} bytes; this one has {len(line)}.")
    return check(parse_json(line), terms)


@dataclass(slots=True)
class _Batch:
    """The facts of one body, on their way into the table."""

    report: Report
    source: str
    now: datetime
    facts: dict[str, tuple[int, Checked]] = field(default_factory=dict)
    waiting: list[parked.Waiting] = field(default_factory=list)

    def take_all(self, lines: Sequence[tuple[int, bytes]], judged: Judged, *, parks: bool) -> None:
        """Of two events with one key the first counts."""
        self.report.received += len(lines)
        for (number, line), fact in zip(lines, judged, strict=True):
            if not isinstance(fact, Checked):
                self._refuse(number, line, fact, parks=parks)
            elif self.facts.setdefault(fact.key, (number, fact))[1] is not fact:
                self.report.duplicate += 1

    def _refuse(self, number: int, line: bytes, error: Invalid | APIException, *, parks: bool) -> None:
        if isinstance(error, Refused) and error.code == "unknown_kind" and parks:
            self.waiting.append(parked.Waiting(line.decode().strip(), hashlib.sha256(line.strip()).hexdigest()))
        else:
            self.report.reject(number, *_told(error))

    def store(self, store: Store) -> None:
        chosen = [fact for _, fact in self.facts.values()]
        unregistered, absent = subjects.see(_named(chosen), self.now), _absent(chosen)
        if unregistered or absent:
            self._leave_out(unregistered, absent)
            chosen = [fact for _, fact in self.facts.values()]
        inserted = store(chosen, self.source, self.now)
        self.report.inserted += inserted
        self.report.duplicate += len(chosen) - inserted
        new = parked.park(self.waiting, source=self.source, now=self.now)
        self.report.parked += new
        self.report.duplicate += len(self.waiting) - new
        self.report.errors.sort(key=lambda error: error.line)

    def _leave_out(self, unregistered: set[subjects.Key], absent: set[str]) -> None:
        for number, fact in list(self.facts.values()):
            if (fact.subject_type, fact.subject_id) in unregistered:
                self.report.reject(number, "unknown_subject", _unregistered(fact))
            elif fact.supersedes in absent:
                self.report.reject(number, "unknown_fact", _no_such_fact(fact))
            else:
                continue
            del self.facts[fact.key]


def _named(facts: Sequence[Checked]) -> set[subjects.Key]:
    return {(fact.subject_type, fact.subject_id) for fact in facts if fact.subject_type}


def _absent(facts: Sequence[Checked]) -> set[str]:
    """What is to be corrected and is not there, or is of another kind."""
    corrections = [fact for fact in facts if fact.supersedes is not None]
    if not corrections:
        return set()
    ids = {fact.supersedes for fact in corrections if _is_ulid(fact.supersedes)}
    kinds = dict(Fact.objects.filter(pk__in=ids).values_list("pk", "kind_id"))
    return {str(fact.supersedes) for fact in corrections if kinds.get(str(fact.supersedes)) != fact.kind}


def _is_ulid(text: str | None) -> bool:
    try:
        return bool(parse_ulid(text or ""))
    except ValueError:
        return False


def _no_such_fact(fact: Checked) -> str:
    return f"supersedes: there is no fact {fact.supersedes} of the kind {fact.kind}."


def _unregistered(fact: Checked) -> str:
    named = f"{fact.subject_type} {fact.subject_id[:60]!a}"
    return f"No {named} is registered. Register it in the admin under Subjects, or correct the name."


def _told(error: Invalid | APIException) -> tuple[str, str]:
    """Code and sentence of a refusal."""
    if isinstance(error, Invalid):
        return (error.code if error.code != "invalid" else BadFact.code), error.message
    return BadFact.code, _sentence(error.detail)


def _sentence(detail: object) -> str:
    if isinstance(detail, Mapping):
        return " ".join(f"{name}: {_sentence(one)}" for name, one in detail.items())
    return " ".join(map(_sentence, detail)) if isinstance(detail, list) else str(detail)
