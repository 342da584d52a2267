"""Reads the timeline of a page, from its first line to its last. What is not read is told line by line. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo

from incidents.intake import Fate, Problem, printable
from incidents.intake.postmortem_clocks import TIMELINE, clock_phrase, row_clock
from incidents.intake.postmortem_lines import ROW, Line, Style, is_timed, lines_of, style_of, when_of
from incidents.intake.whens import DayUnclear, When, day_in, read_when
from incidents.intake.zones import Clock, ZoneUnclear, stated_clock
from incidents.past import PastEntry
from majorops.lib.errors import Invalid
from majorops.lib.times import EARLIEST, LATEST

MAX_ENTRY_TITLE = 300
MAX_TEXT = 20_000
#: A time that lies this far before the one above it is on the next day; less, and the lines are out of order.
OVER_MIDNIGHT = timedelta(hours=12)

RULE = re.compile(r"[\s|:\-=*_]*$")
DATE_LINE = re.compile(r"\W*date\b[\s*_:|]*(?P<day>.+)", re.I)


@dataclass(slots=True)
class _Draft:
    """An entry whose text is still being read."""

    line: Line
    when: When
    local: datetime
    clock: Clock
    text: list[str] = field(default_factory=list)


class Page:
    """Reads a page from its first line to its last."""

    def __init__(self, text: str, zone: tzinfo | None) -> None:
        self.problems: list[Problem] = []
        self.entries: list[PastEntry] = []
        self.first_day: date | None = None
        self.lines = lines_of(self._clean(text))
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
        is_title = first is not None and not TIMELINE.search(first.text) and not is_timed(first, with_clock=True)
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
            if line.level and TIMELINE.search(line.text) and line.text != self.title:
                level = level or line.level
                self.heading = line.text
            elif level and line.level and line.level <= level and not is_timed(line):
                level = 0
            elif level:
                found.append(line)
        if found:
            return found
        self.heading = ""
        return [line for line in self.lines if not (line.level and " ".join(line.text.split()) == self.title)]

    def _style(self, inside: list[Line]) -> Style | None:
        timed = {style_of(line) for line in inside if is_timed(line, with_clock=True)}
        return next((style for style in Style if style in timed), None)

    def _page_clock(self, inside: list[Line]) -> Clock | None:
        """The clock that the page states; not asked for if an answer was given."""
        self.zone_lines: set[int] = set()
        stated: list[str] = []
        for line in (Line(0, self.heading), *inside, *self.lines):
            if line.is_code or is_timed(line):
                continue
            if phrase := clock_phrase(line.text) or (row_clock(line.text) if ROW.match(line.text) else ""):
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
            found = DATE_LINE.match(line.text) if line.number not in numbers and not line.is_code else None
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
        style = style_of(line)
        if style is None or not is_timed(line):
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
        return not line.begins_paragraph and style_of(line) == Style.PARAGRAPH

    def _is_frame(self, line: Line) -> bool:
        """Rules of tables and pages, and the header of a table."""
        row_after = any(
            one.number == line.number + 1 and RULE.fullmatch(one.text) and "-" in one.text for one in self.lines
        )
        return bool(RULE.fullmatch(line.text)) or (style_of(line) == Style.ROW and row_after)

    def _not_read(self, line: Line) -> None:
        style = style_of(line)
        expected = style is not None and style == self.style and style != Style.PARAGRAPH
        fate = Fate.REFUSED if expected else Fate.SKIPPED
        why = "It begins with no time that is read" if expected else "It belongs to no entry"
        self.problems.append(Problem(fate, f"line {line.number}", f'{why}: "{printable(line.text, 80)}"'))

    def _entry(self, line: Line) -> None:
        try:
            when = when_of(line)
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


def _words(rest: str, body: str) -> tuple[str, str]:
    """The headline of an entry and its text: the words beside the time, else the first paragraph below it."""
    if rest:
        return printable(rest, MAX_ENTRY_TITLE), body if len(rest) <= MAX_ENTRY_TITLE else f"{rest}\n\n{body}".strip()
    first = re.split(r"\n\s*\n", body.strip(), maxsplit=1)[0]
    title = printable(re.sub(r"^(?:[-*+>]|\d+[.)])\s+", "", first.strip()), MAX_ENTRY_TITLE)
    return title, "" if title == body.strip() else body
