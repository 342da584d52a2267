"""Reads the timeline of a post-mortem, as people write it in Markdown. Pure: bytes in, values out.

An entry is a heading, a table row, a bullet or a paragraph that begins with a time; the first of these that is used
counts, and what follows is its text. A time without a day is on the day of the line before. The clock is the one
of the line, else the one the page states ("All times in CET"); --zone answers where neither is clear. What is not read
is told line by line, and nothing is added.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from enum import Enum

from incidents.intake import Fate, FileRefused, Problem, printable
from incidents.intake.documents import text_of
from incidents.intake.whens import DayUnclear, When, day_in, read_when
from incidents.intake.zones import Clock, ZoneUnclear, names_clock, stated_clock
from incidents.lifecycle import Severity
from incidents.past import PastEntry, PastIncident
from majorops.lib.errors import Invalid
from majorops.lib.times import EARLIEST, LATEST, iso, parse_time

SOURCE = "postmortem"
MAX_TITLE = 200
MAX_ENTRY_TITLE = 300
MAX_TEXT = 20_000
#: A time that lies this far before the one above it is on the next day; less, and the lines are out of order.
OVER_MIDNIGHT = timedelta(hours=12)

_LINE_END = re.compile(r"\r\n|\r|\n")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_BULLET = re.compile(r"(\s*)(?:[-*+•]|\d{1,3}[.)])\s+(?=\S)")
_ROW = re.compile(r"\s*\|")
_RULE = re.compile(r"[\s|:\-=*_]*$")
_TIMELINE = re.compile(r"\b(?:time\s?-?line|chronology|sequence of events|event log)\b", re.I)
#: "All times in PST", "(all times UTC)", "Times are given in Pacific time", "Time zone: Europe/Rome".
_ALL_TIMES = re.compile(
    r"\btimes?(?:stamps)?\b(?:\s+(?:below|here|above|on this page|in this (?:timeline|document|report)))?"
    r"(?:\s+(?:are|is))?(?:\s+all)?(?:\s+(?:given|shown|listed|stated|noted|expressed))?(?P<sure>\s+in)?(?:\s+the)?\s*[:=]?\s*"
    r"(?P<clock>\(?[A-Z+\-\u2212].*)",
    re.I,
)
_TIME_ZONE = re.compile(r"\btime\s?-?zone\W{1,4}(?:is\s+)?(?P<clock>[A-Za-z+\-\u2212].*)", re.I)
_DATE_LINE = re.compile(r"\W*date\b[\s*_:|]*(?P<day>.+)", re.I)


class Style(Enum):
    """What the entries of a timeline are."""

    HEADING = "heading"
    ROW = "table row"
    BULLET = "bullet"
    PARAGRAPH = "paragraph"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the page."""

    number: int
    text: str
    #: 1 to 6 for a heading, else 0.
    level: int = 0
    #: Inside a block of code, where nothing is an entry.
    is_code: bool = False
    begins_paragraph: bool = False

    @property
    def is_blank(self) -> bool:
        return not self.text.strip()


@dataclass(slots=True)
class _Draft:
    """An entry whose text is still being read."""

    line: Line
    when: When
    local: datetime
    clock: Clock
    text: list[str] = field(default_factory=list)


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
    page = _Page(text_of(content), zone)
    page.read()
    if not page.entries:
        raise FileRefused(_nothing_read(page))
    title = page.title
    return Timeline(title, tuple(page.entries), tuple(page.problems), page.zone_written, page.first_day or date.min)


def looks_like(text: str) -> bool:
    """Whether a page has a heading, and a line that begins with a time of day."""
    lines = _lines(text)
    return any(line.level for line in lines) and any(
        (when := _when(line)) is not None and when.at is not None for line in lines if not line.is_code
    )


def _nothing_read(page: _Page) -> str:
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


# --- Lines ---


def _lines(text: str) -> list[Line]:
    found: list[Line] = []
    fence = ""
    for number, said in enumerate(_LINE_END.split(text), start=1):
        fenced = _FENCE.match(said)
        if fence:
            found.append(Line(number, said, is_code=True))
            fence = "" if fenced and fenced.group(1).startswith(fence) and not said.strip().strip("`~") else fence
            continue
        if fenced:
            fence = fenced.group(1)
            found.append(Line(number, said, is_code=True))
            continue
        heading = _HEADING.match(said)
        before = found[-1] if found else None
        begins = before is None or before.is_blank or before.level > 0 or before.is_code
        if heading:
            found.append(Line(number, (heading.group(2) or "").strip(), level=len(heading.group(1))))
        elif before and not begins and re.fullmatch(r"={3,}\s*", said) and not before.level:
            found[-1] = Line(before.number, before.text.strip(), level=1)
        else:
            found.append(Line(number, said, begins_paragraph=begins))
    return found


def _when(line: Line) -> When | None:
    """What a line begins with, past its bullet or in the first cells of its row. Raises Invalid."""
    if not line.level and _ROW.match(line.text):
        return read_when(" ".join(cell.strip() for cell in re.split(r"(?<!\\)\|", line.text) if cell.strip()))
    return read_when(_BULLET.sub("", line.text, count=1) if not line.level else line.text)


def _style_of(line: Line) -> Style | None:
    """What a line may begin an entry as."""
    if line.is_code or line.is_blank:
        return None
    if line.level:
        return Style.HEADING
    if _ROW.match(line.text):
        return Style.ROW
    if bullet := _BULLET.match(line.text):
        return Style.BULLET if len(bullet.group(1)) <= 1 else None
    return Style.PARAGRAPH if line.text[:1].strip() else None


# --- The page ---


class _Page:
    """Reads a page from its first line to its last."""

    def __init__(self, text: str, zone: tzinfo | None) -> None:
        self.problems: list[Problem] = []
        self.entries: list[PastEntry] = []
        self.first_day: date | None = None
        self.lines = _lines(self._clean(text))
        self.title = self._title()
        self.answer = Clock(zone, str(zone)) if zone else None
        self.day: date | None = None
        self.before: datetime | None = None
        self.draft: _Draft | None = None
        self.known: dict[str, int] = {}
        self.zone_written = ""

    def _clean(self, text: str) -> str:
        clean = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text.replace("\0", ""))
        if "\0" in text:
            self.problems.append(Problem(Fate.REPAIRED, "page", "NUL characters were removed from its text."))
        if "\N{REPLACEMENT CHARACTER}" in clean and "\N{REPLACEMENT CHARACTER}" not in text:
            self.problems.append(
                Problem(Fate.REPAIRED, "page", "Bytes that are not UTF-8 show as �. Save it as UTF-8.")
            )
        return clean

    def _title(self) -> str:
        first = next((line for line in self.lines if line.level and not line.is_blank), None)
        is_title = first is not None and not _TIMELINE.search(first.text) and not _is_timed(first, with_clock=True)
        return " ".join(first.text.split()) if first and is_title else ""

    def read(self) -> None:
        inside = self._inside()
        self.page_clock = self._page_clock(inside)
        self.style = self._style(inside)
        self.day = self._day_of_page(inside)
        self._skip_outside({line.number for line in inside})
        for line in inside:
            self._line(line)
        self._close()

    # --- What surrounds the entries ---

    def _inside(self) -> list[Line]:
        """The lines of the timeline, without its heading; of a page without one, all below its title."""
        found: list[Line] = []
        level = 0
        for line in self.lines:
            if line.level and _TIMELINE.search(line.text) and line.text != self.title:
                level = level or line.level
                self.heading = line.text
            elif level and line.level and line.level <= level and not _is_timed(line):
                level = 0
            elif level:
                found.append(line)
        if found:
            return found
        self.heading = ""
        return [line for line in self.lines if not (line.level and " ".join(line.text.split()) == self.title)]

    def _style(self, inside: list[Line]) -> Style | None:
        timed = {_style_of(line) for line in inside if _is_timed(line, with_clock=True)}
        return next((style for style in Style if style in timed), None)

    def _page_clock(self, inside: list[Line]) -> Clock | None:
        """The clock that the page states; not asked for if an answer was given."""
        self.zone_lines: set[int] = set()
        stated: list[str] = []
        for line in (Line(0, self.heading), *inside, *self.lines):
            if line.is_code or _is_timed(line):
                continue
            if phrase := _clock_phrase(line.text) or (_row_clock(line.text) if _ROW.match(line.text) else ""):
                self.zone_lines.add(line.number)
                stated.append(phrase)
        if not stated:
            return None
        self.zone_written = printable(stated[0], 60)
        if self.answer:
            told = f'It says "{self.zone_written}"; the zone that was named is used, {self.answer.written}.'
            self.problems.append(Problem(Fate.KEPT, "page", told))
            return None
        clock = stated_clock(stated[0])
        if clock.odd:
            self.problems.append(Problem(Fate.KEPT, "page", clock.odd))
        return clock

    def _day_of_page(self, inside: list[Line]) -> date | None:
        """The day that the title or a line "Date: ..." states, for entries that name none."""
        numbers = {line.number for line in inside if self._begins(line)}
        for line in self.lines:
            found = _DATE_LINE.match(line.text) if line.number not in numbers and not line.is_code else None
            try:
                when = read_when(found["day"]) if found else None
                if when and when.day:
                    return when.day.on(None)
            except Invalid:
                continue
        return day_in(self.title)

    def _skip_outside(self, inside: set[int]) -> None:
        """One line for each part of the page that is no timeline."""
        begin, name = 0, "before the first heading"
        spans: list[tuple[str, int, int]] = []
        for line in self.lines:
            if line.number in inside or line.level:
                begin, name = 0, printable(line.text, 40) if line.level else name
            elif not line.is_blank:
                if begin:
                    spans[-1] = (*spans[-1][:2], line.number)
                else:
                    begin = line.number
                    spans.append((name, begin, begin))
        for name, first, last in spans:
            if not (first == last and first in self.zone_lines):
                where = f"line {first}" if first == last else f"lines {first} to {last}"
                self.problems.append(Problem(Fate.SKIPPED, where, f'"{name}" is no part of the timeline.'))

    # --- Entries ---

    def _line(self, line: Line) -> None:
        if self._begins(line):
            self._close()
            self._entry(line)
        elif self.draft and self._belongs(line, self.draft):
            self.draft.text.append("#" * line.level + " " + line.text if line.level else line.text)
        elif not line.is_blank and line.number not in self.zone_lines and not self._is_frame(line):
            self._close()
            self._not_read(line)

    def _begins(self, line: Line) -> bool:
        """Whether a line begins an entry, or at least a day."""
        style = _style_of(line)
        if style is None or not _is_timed(line):
            return False
        if self.style == Style.HEADING or style == Style.HEADING:
            return style == Style.HEADING
        if style == Style.PARAGRAPH:
            return self.style == Style.PARAGRAPH or line.begins_paragraph
        return True

    def _belongs(self, line: Line, draft: _Draft) -> bool:
        """Whether a line is part of the text of the entry above it."""
        if self.style == Style.HEADING:
            return not line.level or line.level > draft.line.level
        if line.is_blank or line.is_code or line.text[:2].strip() == "" or self.style == Style.PARAGRAPH:
            return not line.level
        return not line.begins_paragraph and _style_of(line) == Style.PARAGRAPH

    def _is_frame(self, line: Line) -> bool:
        """Rules of tables and pages, and the header of a table."""
        row_after = any(
            one.number == line.number + 1 and _RULE.fullmatch(one.text) and "-" in one.text for one in self.lines
        )
        return bool(_RULE.fullmatch(line.text)) or (_style_of(line) == Style.ROW and row_after)

    def _not_read(self, line: Line) -> None:
        style = _style_of(line)
        expected = style is not None and style == self.style and style != Style.PARAGRAPH
        fate = Fate.REFUSED if expected else Fate.SKIPPED
        why = "It begins with no time that is read" if expected else "It belongs to no entry"
        self.problems.append(Problem(fate, f"line {line.number}", f'{why}: "{printable(line.text, 80)}"'))

    def _entry(self, line: Line) -> None:
        try:
            when = _when(line)
            if when and when.day:
                self.day = when.day.on(self.day)
            if when and when.at:
                self.draft = self._draft(line, when, when.at)
            elif when:
                self._day_only(line, when)
        except ZoneUnclear as error:
            raise ZoneUnclear(f"line {line.number}: {error.message}") from None
        except Invalid as error:
            # The times below it are on a day that nobody knows, and not on the one above it.
            self.day = None if isinstance(error, DayUnclear) else self.day
            sentence = f'{error.message} ("{printable(line.text, 60)}")'
            self.problems.append(Problem(Fate.REFUSED, f"line {line.number}", sentence))

    def _day_only(self, line: Line, when: When) -> None:
        """A day stands for the lines below it. With a text it is an entry that lacks its time."""
        if when.rest and not line.level:
            sentence = f'It names a day and no time, so it is no entry: "{printable(line.text, 80)}"'
            self.problems.append(Problem(Fate.REFUSED, f"line {line.number}", sentence))
        elif when.rest:
            told = f'It names the day of the entries below; its words are not kept: "{printable(when.rest, 60)}"'
            self.problems.append(Problem(Fate.SKIPPED, f"line {line.number}", told))
        self.before = None

    def _draft(self, line: Line, when: When, clock_time: time) -> _Draft:
        if self.day is None:
            raise Invalid('Nothing says on which day. Put it before the time, or write "Date: 2026-03-02" above.')
        local = self._local(line, when, datetime.combine(self.day, clock_time))
        draft = _Draft(line, when, local, self._clock(when))
        at = draft.clock.instant(local)
        if not EARLIEST <= at < LATEST:
            raise Invalid("The time must lie between the years 2000 and 2099.")
        self.before, self.day = local, local.date()
        self._tell(line, when, draft)
        return draft

    def _local(self, line: Line, when: When, local: datetime) -> datetime:
        """The time on the day it is meant to be on."""
        if when.day or self.before is None or local >= self.before:
            return local
        where, before = f"line {line.number}", f"{self.before:%H:%M}"
        if self.before - local > OVER_MIDNIGHT:
            local += timedelta(days=1)
            told = f"{when.written} comes after {before} and names no day; the next one is meant, {local.date()}."
            self.problems.append(Problem(Fate.KEPT, where, told))
            return local
        told = f"{when.written} stands below {before}; both times are kept, the log shows them in order."
        self.problems.append(Problem(Fate.KEPT, where, told))
        return local

    def _clock(self, when: When) -> Clock:
        if when.zone:
            clock = stated_clock(when.zone)
            return Clock(self.answer.zone, clock.written) if clock.place and self.answer else clock
        if stated := self.answer or self.page_clock:
            return stated
        raise ZoneUnclear(
            "It names no time zone. Which clock were these times read from? Say --zone, e.g. --zone Europe/Rome, or "
            "--zone UTC."
        )

    def _tell(self, line: Line, when: When, draft: _Draft) -> None:
        where = f"line {line.number}"
        if when.repaired:
            self.problems.append(Problem(Fate.REPAIRED, where, when.repaired))
        if draft.clock.comes_twice(draft.local):
            told = f"{draft.local:%Y-%m-%d %H:%M} came twice, for clocks went back; the first one is taken."
            self.problems.append(Problem(Fate.KEPT, where, told))

    def _close(self) -> None:
        """The drafted entry is written down."""
        draft, self.draft = self.draft, None
        if draft is None:
            return
        self.first_day = self.first_day or draft.local.date()
        body = "\n".join(draft.text).strip("\n")
        title, description = _words(draft.when.rest, body)
        if not title:
            self.problems.append(
                Problem(Fate.KEPT, f"line {draft.line.number}", "The entry has no text; its time is kept.")
            )
        written = draft.when.written if draft.when.zone else f"{draft.when.written} ({draft.clock.written})"
        self.entries.append(
            PastEntry(
                external_id=self._external_id(draft, f"{title}\n{body}"),
                at=draft.clock.instant(draft.local),
                title=title or "(no text)",
                description=f"{description}\n\nTime as written: {written}"[-MAX_TEXT:].strip(),
            )
        )

    def _external_id(self, draft: _Draft, text: str) -> str:
        """The same at the next import, also in another zone; two lines that say the same are told apart by number."""
        said = hashlib.sha256(f"{draft.local.isoformat()} {text}".encode()).hexdigest()[:16]
        self.known[said] = self.known.get(said, 0) + 1
        return f"entry-{said}-{self.known[said]}"


def _is_timed(line: Line, *, with_clock: bool = False) -> bool:
    """Whether it begins with a day or time, even one that cannot be."""
    try:
        when = _when(line)
    except Invalid:
        return True
    return when is not None and (when.at is not None or not with_clock)


def _words(rest: str, body: str) -> tuple[str, str]:
    """The headline of an entry and its text: the words beside the time, else the first paragraph below it."""
    if rest:
        return printable(rest, MAX_ENTRY_TITLE), body if len(rest) <= MAX_ENTRY_TITLE else f"{rest}\n\n{body}".strip()
    first = re.split(r"\n\s*\n", body.strip(), maxsplit=1)[0]
    title = printable(re.sub(r"^(?:[-*+>]|\d+[.)])\s+", "", first.strip()), MAX_ENTRY_TITLE)
    return title, "" if title == body.strip() else body


def _clock_phrase(text: str) -> str:
    """The clock that a line states for all times; empty if it states none."""
    if found := _TIME_ZONE.search(text):
        return _phrase(found["clock"])
    for found in _ALL_TIMES.finditer(text):
        if names_clock(found["clock"]) or (found["sure"] and re.match(r"\W*all\s+times", text[: found.end()], re.I)):
            return _phrase(found["clock"])
    in_brackets = re.search(r"\((?P<clock>[^()]+)\)\s*$", text) if _TIMELINE.search(text) else None
    return in_brackets["clock"] if in_brackets and names_clock(in_brackets["clock"]) else ""


def _row_clock(text: str) -> str:
    """The clock in the header of a table: "Time (UTC)"."""
    found = re.search(r"\btime[^|]*?\(?(?P<clock>[A-Z][A-Za-z/_+\-\d]+)\)?\s*\|", text, re.I)
    return found["clock"] if found and names_clock(found["clock"]) else ""


def _phrase(text: str) -> str:
    """The words up to the end of the sentence or of the brackets around it."""
    text = (
        re.split(r"[.;,](?:\s|$)|\*\*|_", text, maxsplit=1)[0]
        if "/" not in text
        else re.split(r"[;,.](?:\s|$)", text)[0]
    )
    opens, closes = text.count("("), text.count(")")
    return (text.rstrip(") ") if closes > opens else text).strip(" *`")
