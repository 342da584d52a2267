"""The log as a viewer reads it: entries with their corrections, and what stands between two of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Case, F, Prefetch, When

from accounts.models import User
from accounts.visibility import Viewer
from incidents import clock, words
from incidents.audience import Audience
from incidents.lifecycle import CommandRole, EventType
from incidents.models import EntryQuerySet, PhaseEntry, Source, TimelineEvent
from incidents.viewing import may_correct, readable_changes
from majorops.lib.visibility import visible

#: Silence longer than this is worth a line in the log.
SILENCE = timedelta(minutes=15)
#: Changes whose entry says them in its title already.
TOLD_BY_THE_TITLE = {"status", *CommandRole.values}
GLYPHS = {
    EventType.PHASE: "▸",
    EventType.UPDATE: "✎",
    EventType.COMMAND: "■",
    EventType.ALERT: "◆",
    EventType.ACTION: "●",
}


@dataclass(frozen=True, slots=True)
class Correction:
    title: str
    description: str
    actor: str
    at: datetime
    moved_to: datetime | None


@dataclass(frozen=True, slots=True)
class Undone:
    """Who took it back, and when."""

    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    at: datetime
    type: str
    glyph: str
    title: str
    description: str
    actor: str
    audience: str
    #: How long after the fact it was written, if that is worth showing.
    late: timedelta | None
    via: str
    changes: tuple[tuple[str, str, str], ...]
    may_correct: bool
    corrections: tuple[Correction, ...] = ()
    undone: Undone | None = None

    @property
    def latest(self) -> Correction | None:
        """What counts instead of the entry."""
        return self.corrections[-1] if self.corrections else None

    @property
    def superseded(self) -> tuple[Correction, ...]:
        return self.corrections[:-1]


@dataclass(frozen=True, slots=True)
class LogRow:
    """An entry, or what stands between two: a day, a phase, or silence."""

    kind: str
    text: str = ""
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks at the log."""

    user: User
    audience: Audience

    def may_correct(self, event: TimelineEvent) -> bool:
        return may_correct(self.user, self.audience, event)


def entry_of(event: TimelineEvent, reader: Reader) -> Entry:
    """The entry with its corrections and its undoing, of an event from `with_corrections`."""
    corrections = tuple(_correction(later, event) for later in event.corrections.all())
    return replace(as_written(event, reader), corrections=corrections, undone=_undone(event))


def as_written(event: TimelineEvent, reader: Reader) -> Entry:
    """The entry without what was said of it later. No query."""
    changes = readable_changes(reader.audience, event.changes)
    return Entry(
        id=event.pk,
        at=event.occurred_at,
        type=event.get_type_display().lower(),
        glyph=GLYPHS[EventType(event.type)],
        title=event.title,
        description=event.description,
        actor=event.actor,
        audience=event.visibility or "both",
        late=clock.written_late(event.occurred_at, event.recorded_at) if event.source != Source.IMPORT else None,
        via="" if event.source == Source.WEB else event.get_source_display(),
        changes=tuple(_change(name, pair) for name, pair in changes.items() if name not in TOLD_BY_THE_TITLE),
        may_correct=reader.may_correct(event),
    )


def _undone(event: TimelineEvent) -> Undone | None:
    at = event.undone_at  # type: ignore[attr-defined]
    return Undone(event.undone_actor, at) if at else None  # type: ignore[attr-defined]


def _correction(later: TimelineEvent, original: TimelineEvent) -> Correction:
    moved = later.occurred_at if later.occurred_at != original.occurred_at else None
    return Correction(later.title, later.description, later.actor, later.recorded_at, moved)


def _change(name: str, pair: Any) -> tuple[str, str, str]:
    old, new = pair if isinstance(pair, list) and len(pair) == 2 else (None, pair)
    return name.replace("_", " "), _said(old), _said(new)


def _said(value: object) -> str:
    if value is None or value in ("", []):
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def log_rows(
    entries: Iterable[Entry],
    visits: Sequence[PhaseEntry],
    *,
    silence_until: datetime | None,
    is_oldest_first: bool = False,
) -> list[LogRow]:
    """Entries with what stands between them. `silence_until`: what the first is compared with; None: no silences."""
    return list(each_row(entries, visits, silence_until, is_oldest_first=is_oldest_first))


def each_row(
    entries: Iterable[Entry],
    visits: Sequence[PhaseEntry],
    silence_until: datetime | None = None,
    *,
    is_oldest_first: bool = False,
) -> Iterator[LogRow]:
    """The same one by one, so that a long log need not be held at once."""
    began = [visit.entered_at for visit in visits]
    shown: tuple[object, int] | None = None
    last = silence_until
    for entry in entries:
        if last is not None and (quiet := entry.at - last if is_oldest_first else last - entry.at) > SILENCE:
            yield LogRow("gap", f"{words.span(quiet)} without an entry")
        place = (entry.at.astimezone(UTC).date(), bisect_right(began, entry.at) - 1)
        if shown is None or place[0] != shown[0]:
            yield LogRow("day", words.day(entry.at))
        if place[1] >= 0 and (shown is None or place[1] != shown[1]):
            yield LogRow("phase", _stay(visits[place[1]]))
        shown = place
        yield LogRow("entry", entry=entry)
        last = entry.at if last is not None else None


def _stay(visit: PhaseEntry) -> str:
    name = f"Phase {visit.phase_number} · {visit.get_phase_number_display()}"
    return f"{name} · since {visit.entered_at.astimezone(UTC):%H:%M}"


def with_corrections(events: EntryQuerySet, viewer: Viewer) -> EntryQuerySet:
    """Entries, newest first, each with what the viewer reads of its corrections, in order, and of its undoing."""
    written = visible(TimelineEvent.objects.order_by("recorded_at", "id"), viewer)
    is_told = When(undone_by__in=written.order_by(), then=F("undone_by__occurred_at"))
    return (
        events.newest_first()
        .annotate(undone_at=Case(is_told), undone_actor=F("undone_by__actor"))
        .prefetch_related(Prefetch("corrections", queryset=written))
    )
