"""The lines of a page in Markdown, and what each may begin an entry of a timeline as. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from incidents.intake.whens import When, read_when
from majorops.lib.errors import Invalid

_LINE_END = re.compile(r"\r\n|\r|\n")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_BULLET = re.compile(r"(\s*)(?:[-*+•]|\d{1,3}[.)])\s+(?=\S)")
ROW = re.compile(r"\s*\|")


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


def lines_of(text: str) -> list[Line]:
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


def when_of(line: Line) -> When | None:
    """What a line begins with, past its bullet or in the first cells of its row. Raises Invalid."""
    if not line.level and ROW.match(line.text):
        return read_when(" ".join(cell.strip() for cell in re.split(r"(?<!\\)\|", line.text) if cell.strip()))
    return read_when(_BULLET.sub("", line.text, count=1) if not line.level else line.text)


def style_of(line: Line) -> Style | None:
    """What a line may begin an entry as."""
    if line.is_code or line.is_blank:
        return None
    if line.level:
        return Style.HEADING
    if ROW.match(line.text):
        return Style.ROW
    if bullet := _BULLET.match(line.text):
        return Style.BULLET if len(bullet.group(1)) <= 1 else None
    return Style.PARAGRAPH if line.text[:1].strip() else None


def is_timed(line: Line, *, with_clock: bool = False) -> bool:
    """Whether it begins with a day or time, even one that cannot be."""
    try:
        when = when_of(line)
    except Invalid:
        return True
    return when is not None and (when.at is not None or not with_clock)
