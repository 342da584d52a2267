"""Reads the timeline of a post-mortem, as people write it in Markdown. Pure: bytes in, values out.

An entry is a heading, a table row, a bullet or a paragraph that begins with a time; the first of these that is used
counts, and what follows is its text. A time without a day is on the day of the line before. The clock is the one
of the line, else the one the page states ("All times in CET"); --zone answers where neither is clear. What is not read
is told line by line, and nothing is added.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from incidents.intake import Fate, FileRefused, Problem, printable
from incidents.intake.documents import text_of
from incidents.intake.postmortem_lines import lines_of, when_of
from incidents.intake.postmortem_page import Page
from incidents.intake.whens import day_in
from incidents.lifecycle import Severity
from incidents.past import PastEntry, PastIncident
from majorops.lib.times import iso, parse_time

SOURCE = "postmortem"
MAX_TITLE = 200


@dataclass(frozen=True, slots=True)
class Timeline:
    """What was read of a page."""

    title: str
    #: As the lines stand, which need not be their order in time.
    entries: tuple[PastEntry, ...]
    problems: tuple[Problem, ...]
    #: As written.
    clock: str
    first_day: date


def read(
    content: bytes,
    *,
    zone: tzinfo | None = None,
    severity: Severity | None = None,
    resolved: str = "",
    source: str = SOURCE,
) -> list[PastIncident | Problem]:
    """The incident that a page tells of, after all that was not read. `resolved` is "last" for the time of its last
    entry, or a time. Raises FileRefused, ZoneUnclear and Invalid."""
    found = timeline(content, zone)
    if not found.title:
        raise FileRefused('It has no title. Write one as its first line, such as "# Uploads fail", or name --into ID.')
    began, last = min(entry.at for entry in found.entries), max(entry.at for entry in found.entries)
    label = printable(found.title, 60)
    told = [Problem(Fate.KEPT, label, f"It begins with its first entry ({iso(began)}), the earliest time it states.")]
    if severity is None:
        told.append(Problem(Fate.KEPT, label, "It states no severity that is read; medium is assumed. See --severity."))
    day = day_in(found.title)
    if day and abs(day - found.first_day) > timedelta(days=1):
        sentence = f"Its title says {day}, its entries begin on {found.first_day}; the entries count."
        told.append(Problem(Fate.KEPT, label, sentence))
    past = PastIncident(
        external_source=source,
        external_id=_known_by(found),
        title=printable(found.title, MAX_TITLE),
        severity=severity or Severity.MEDIUM,
        detected_at=began,
        resolved_at=_end(resolved, last),
        entries=found.entries,
        unknown_end=UNKNOWN_END,
        metadata={"zone": found.clock, "entries": len(found.entries)},
    )
    return [*found.problems, *told, past]


UNKNOWN_END = (
    "No line is read as its end, so it is open here. Import it again with --resolved last (the time of its last entry) "
    "or --resolved TIME."
)


def timeline(content: bytes, zone: tzinfo | None = None) -> Timeline:
    """The entries of a page and all that was not read. Raises FileRefused, among them ZoneUnclear."""
    page = Page(text_of(content), zone)
    page.read()
    if not page.entries:
        raise FileRefused(_nothing_read(page))
    title = page.title
    return Timeline(title, tuple(page.entries), tuple(page.problems), page.zone_written, page.first_day or date.min)


def looks_like(text: str) -> bool:
    """Whether a page has a heading, and a line that begins with a time of day."""
    lines = lines_of(text)
    return any(line.level for line in lines) and any(
        (when := when_of(line)) is not None and when.at is not None for line in lines if not line.is_code
    )


def _nothing_read(page: Page) -> str:
    refused = next((one for one in page.problems if one.fate == Fate.REFUSED), None)
    why = f" {refused.record}: {refused.sentence}" if refused else ""
    return f"No line of it is read as an entry: a heading, bullet, table row or paragraph that begins with a time.{why}"


def _known_by(found: Timeline) -> str:
    """What a second import knows it by: its title, and its day unless the title has it."""
    day = "" if day_in(found.title) else f"{found.first_day} "
    return f"{day}{printable(found.title, 130)}"


def _end(resolved: str, last: datetime) -> datetime | None:
    if not resolved:
        return None
    if resolved == "last":
        return last
    return parse_time(resolved, field="resolved")
