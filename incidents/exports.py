"""Files to take along: the log and the list of incidents as CSV, Markdown and JSON, written line by line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain, islice
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from incidents import clock, words
from incidents.badges import severity_badge
from incidents.logbook import Correction, Entry, LogRow, Reader, each_row, entry_of
from incidents.models import Incident, PhaseEntry, TimelineEvent
from incidents.serializers import EntryShown
from majorops.lib.times import iso

#: Rows read from the database, and sent, at once.
CHUNK = 500


def download(request: HttpRequest, lines: Iterator[str], name: str, content_type: str) -> HttpResponseBase:
    """A file that is sent while it is written, piece by piece, by either kind of server."""
    pieces = _awaited(lines) if isinstance(request, ASGIRequest) else iter(partial(_piece, lines), "")
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return StreamingHttpResponse(pieces, content_type=f"{content_type}; charset=utf-8", headers=headers)


def _piece(lines: Iterator[str]) -> str:
    return "".join(islice(lines, CHUNK))


async def _awaited(lines: Iterator[str]) -> AsyncIterator[str]:
    # The rows are read on the thread that the request has its database connection on.
    while piece := await sync_to_async(_piece)(lines):
        yield piece


# --- CSV ---

#: What a spreadsheet takes for a formula, also behind white space and in the wide letters of East Asia.
FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")


def cell(value: object) -> object:
    """A text that no spreadsheet computes: it begins with an apostrophe where it would be taken for a formula."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


class _Line:
    """The file that csv.writer wants; it keeps nothing and hands the line back."""

    def write(self, line: str) -> str:
        return line


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    write: Callable[[Sequence[object]], str] = csv.writer(_Line()).writerow
    yield write(header)
    for row in rows:
        yield write([cell(value) for value in row])


# --- The log ---


@dataclass(frozen=True, slots=True)
class LogFile:
    """Whose log it is, who reads it, and what of it."""

    incident: Incident
    reader: Reader
    visits: Sequence[PhaseEntry]
    wanted: Mapping[str, str]
    now: datetime
    is_oldest_first: bool

    @property
    def shown(self) -> EntryShown:
        return EntryShown(context={"audience": self.reader.audience})


def _with_corrections(events: Iterable[TimelineEvent]) -> Iterator[TimelineEvent]:
    """Each entry, and what corrects it right behind it."""
    return chain.from_iterable([event, *event.corrections.all()] for event in events)


def log_csv(file: LogFile, events: Iterable[TimelineEvent]) -> Iterator[str]:
    """The columns are called as in the API. `corrects` names the entry that a row replaces."""
    shown = file.shown
    told = (shown.to_representation(event) for event in _with_corrections(events))
    return csv_lines(list(shown.fields), ([_plain(name, value) for name, value in row.items()] for row in told))


def _plain(name: str, value: object) -> object:
    if name == "visibility":
        return value or "both"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def log_json(file: LogFile, events: Iterable[TimelineEvent]) -> Iterator[str]:
    """Entries as the API shows them, with what they are of."""
    incident, shown = file.incident, file.shown
    head = {
        "incident": {"id": incident.pk, "title": incident.title},
        "exportedAt": iso(file.now),
        "filter": dict(file.wanted),
    }
    yield json.dumps(head, ensure_ascii=False)[:-1] + ', "results": ['
    separator = "\n"
    for event in _with_corrections(events):
        yield separator + json.dumps(shown.to_representation(event), ensure_ascii=False)
        separator = ",\n"
    yield "\n]}\n"


def log_markdown(file: LogFile, events: Iterable[TimelineEvent]) -> Iterator[str]:
    """For a review: days and phases as headings, an entry a line, all times UTC."""
    incident = file.incident
    yield f"# Log of {escaped(incident.title)}\n\n"
    yield f"{severity_badge(incident.severity).text} · {incident.get_status_display()}"
    yield f" · detected {_when(incident.detected_at)}"
    yield f" · resolved {_when(incident.resolved_at)}\n\n" if incident.resolved_at else "\n\n"
    yield f"Exported {_when(file.now)} by {escaped(file.reader.user.name)}. All times are UTC.\n"
    if file.wanted:
        yield f"Only {escaped(', '.join(f'{name} {value}' for name, value in file.wanted.items()))}.\n"
    entries = (entry_of(event, file.reader) for event in events)
    for row in each_row(entries, file.visits, is_oldest_first=file.is_oldest_first):
        yield _row(row)


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _row(row: LogRow) -> str:
    if row.entry:
        return _entry(row.entry)
    return f"\n{'##' if row.kind == 'day' else '###'} {row.text}\n\n"


def _entry(entry: Entry) -> str:
    latest = entry.latest
    late = f", recorded {words.span(entry.late)} later" if entry.late else ""
    title = f"~~{escaped(entry.title)}~~" if latest or entry.undone else f"**{escaped(entry.title)}**"
    lines = [f"- {entry.at:%H:%M:%S} {title} ({entry.type}, {entry.audience}, {escaped(entry.actor)}{late})"]
    lines += [] if latest or entry.undone else _indented(entry.description)
    lines += [f"  - undone {entry.undone.at:%H:%M:%S} ({escaped(entry.undone.actor)})"] if entry.undone else []
    lines += chain.from_iterable(_correction(each) for each in entry.corrections)
    return "\n".join(lines) + "\n"


def _correction(correction: Correction) -> Iterator[str]:
    moved = f", happened {_when(correction.moved_to)}" if correction.moved_to else ""
    said = f"**{escaped(correction.title)}**"
    yield f"  - corrected {correction.at:%H:%M:%S}: {said} ({escaped(correction.actor)}{moved})"
    yield from (f"  {line}" for line in _indented(correction.description))


def _indented(text: str) -> list[str]:
    """The lines of a text as a paragraph of the entry, broken where its writer broke them."""
    lines = [line for line in text.splitlines() if line.strip()]
    return ["", *(f"  {escaped(line)}  " for line in lines), ""] if lines else []


def escaped(text: str) -> str:
    """Text that Markdown shows as it was written."""
    return re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", text.replace("\n", " "))


# --- The list ---

INCIDENT_COLUMNS: dict[str, Callable[[Incident, datetime], Any]] = {
    "id": lambda row, now: row.pk,
    "kind": lambda row, now: row.kind,
    "title": lambda row, now: row.title,
    "severity": lambda row, now: row.get_severity_display(),
    "status": lambda row, now: row.get_status_display(),
    "phase": lambda row, now: row.phase,
    "detectedAt": lambda row, now: iso(row.detected_at),
    "resolvedAt": lambda row, now: iso(row.resolved_at) if row.resolved_at else "",
    "nextUpdateEta": lambda row, now: iso(row.next_update_eta) if row.next_update_eta else "",
    "isOverdue": lambda row, now: "yes" if _is_overdue(row, now) else "no",
    "mim": lambda row, now: row.mim.name if row.mim else "",
    "affectedSystems": lambda row, now: ", ".join(map(str, row.affected_systems)),
}


def _is_overdue(incident: Incident, now: datetime) -> bool:
    return incident.is_open and clock.next_update(incident.next_update_eta, now).state == clock.Promise.OVERDUE


def incidents_csv(incidents: Iterable[Incident], now: datetime) -> Iterator[str]:
    """Only what every reader of incidents reads."""
    rows = ([column(incident, now) for column in INCIDENT_COLUMNS.values()] for incident in incidents)
    return csv_lines(list(INCIDENT_COLUMNS), rows)
