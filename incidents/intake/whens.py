"""The day and time that a line of prose begins with: "2018-03-26 10:34", "~13:30-13:45", "19. April, 11:00". Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, time

from incidents.intake.zones import SUFFIX
from majorops.lib.errors import Invalid

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
            "sep sept september", "oct october", "nov november", "dec december",
        ), start=1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))

_TH = r"(?:st|nd|rd|th)?"
_YEAR = r"(?:,?\s+(?P<year>\d{4})(?!\d|:))?"

_OPENING = re.compile(r"[\s*_`\[(|>~≈]*(?:(?:ca|circa|about|around|approx|approximately|at|from)\b\.?[\s*_`~]*)*", re.I)
_WEEKDAY = re.compile(r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+", re.I)
_DATES = (
    re.compile(r"(?P<year>\d{4})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})(?!\d)"),
    re.compile(rf"(?P<name>{_MONTH})\.?\s+(?P<day>\d{{1,2}}){_TH}(?!\d|:){_YEAR}", re.I),
    re.compile(rf"(?P<day>\d{{1,2}}){_TH}\.?\s+(?P<name>{_MONTH})\b\.?{_YEAR}", re.I),
    re.compile(r"(?P<first>\d{1,2})([-/.])(?P<second>\d{1,2})\2(?P<year>\d{4})(?!\d)"),
)  # fmt: skip
_BETWEEN = re.compile(
    r"[\s*_`,]*(?:T(?=\d)|at\b|@|[-–—]\s|\|)?[\s*_`~≈]*(?:(?:ca|circa|about|around|approx)\b\.?[\s~]*)?", re.I
)
_CLOCK = re.compile(
    r"(?P<hour>\d{1,2})[:h](?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d{1,9})?)?(?!\d|:\d)\s*(?P<half>[ap]\.?m\b\.?)?"
    r"|(?P<hour_only>\d{1,2})\s*(?P<half_only>[ap]\.?m\b\.?)",
    re.I,
)
_UNTIL = re.compile(r"\s*(?:-|–|—|to|until|till)\s*[~≈]?\s*(?=\d)", re.I)
_CLOSING = re.compile(r"[\s*_`\])]*(?:\s*[-–—:|,;]+(?=[\s*_`]|$))?[\s*_`|]*")


class DayUnclear(Invalid):
    """This names no day."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day as written; the year may have to be that of the line before."""

    month: int
    day: int
    year: int | None

    def on(self, before: date | None) -> date:
        """The day meant. Without a year it is the one of the line before, or the next one after December."""
        if self.year is None and before is None:
            raise DayUnclear("It names no year. Write the day as 2026-03-02.")
        year = self.year or (before or date.min).year
        try:
            found = date(year, self.month, self.day)
        except ValueError:
            raise DayUnclear(f"{year}-{self.month:02}-{self.day:02} is no day.") from None
        is_new_year = self.year is None and before is not None and (before - found).days > 180
        return found.replace(year=year + 1) if is_new_year else found


@dataclass(frozen=True, slots=True)
class When:
    """What a line begins with, and the rest of the line."""

    day: Day | None
    at: time | None
    zone: str
    #: As it was written.
    written: str
    rest: str
    #: What was read otherwise than written, in a sentence.
    repaired: str = ""


def read_when(line: str) -> When | None:
    """The day or time that `line` begins with; None if it begins with neither. Raises Invalid for what cannot be."""
    begin = _end(_OPENING, line, 0)
    place = _end(_WEEKDAY, line, begin)
    day, place = _day(line, place)
    at_place = _end(_BETWEEN, line, place) if day else place
    clock = _CLOCK.match(line, at_place)
    if clock is None and day is None:
        return None
    if clock is None:
        return When(day, None, "", _written(line, place), line[_end(_CLOSING, line, place) :].strip())
    at, repaired = _clock(clock)
    is_exact = clock["second"] is not None or line[at_place - 1 : at_place] == "T"
    zone, place = ("", clock.end()) if _is_range(line, clock.end()) and not is_exact else _zone(line, clock.end())
    if not is_exact:
        _check_range(line, clock.end(), at)
    if (until := _UNTIL.match(line, place)) and (end := _CLOCK.match(line, until.end())):
        later_zone, place = _zone(line, end.end())
        zone = zone or later_zone
    rest = line[_end(_CLOSING, line, place) :].strip()
    return When(day, at, zone, _written(line, place), rest, repaired)


def day_in(text: str) -> date | None:
    """The first full date in a text such as a title."""
    for year, month, day in re.findall(r"(?<!\d)(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)", text):
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            continue
    return None


def _written(line: str, place: int) -> str:
    """The words up to `place` without what marks them up."""
    return line[:place].strip(" \t*_`[(|>,")


def _end(pattern: re.Pattern[str], line: str, place: int) -> int:
    found = pattern.match(line, place)
    return found.end() if found else place


def _day(line: str, place: int) -> tuple[Day | None, int]:
    for pattern in _DATES:
        if found := pattern.match(line, place):
            return _day_of(found.groupdict()), found.end()
    return None, place


def _day_of(said: dict[str, str | None]) -> Day:
    year = int(said["year"]) if said["year"] else None
    if name := said.get("name"):
        return Day(MONTHS[name.lower()], int(said["day"] or 0), year)
    if "month" in said:
        return Day(int(said["month"] or 0), int(said["day"] or 0), year)
    first, second = int(said["first"] or 0), int(said["second"] or 0)
    if first <= 12 and second <= 12 and first != second:
        said_twice = f"{first}/{second}/{year} may be two days"
        raise DayUnclear(f"{said_twice}: day first or month first? Write it as 2026-03-02.")
    day, month = (second, first) if second > 12 else (first, second)
    return Day(month, day, year)


def _clock(found: re.Match[str]) -> tuple[time, str]:
    """The time of day, and what was read otherwise than written."""
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    hour = int(found["hour_only"]) if found["hour_only"] else hour
    half = (found["half"] or found["half_only"] or "").lower()[:1]
    repaired = ""
    if half and 12 < hour < 24 and half == "p":
        repaired = f'"{found.group().strip()}" is read as {hour}:{minute:02}.'
    elif half and not 1 <= hour <= 12:
        raise Invalid(f'"{found.group().strip()}" is no time of day.')
    elif half:
        hour = hour % 12 + (12 if half == "p" else 0)
    try:
        return time(hour, minute, second), repaired
    except ValueError:
        raise Invalid(f'"{found.group().strip()}" is no time of day.') from None


def _is_range(line: str, place: int) -> bool:
    """Whether an end follows: 10:20-10:30 is no time at an offset of ten and a half hours."""
    until = _UNTIL.match(line, place)
    return until is not None and _CLOCK.match(line, until.end()) is not None


def _check_range(line: str, place: int, begin: time) -> None:
    """Raises Invalid for 10:00-08:00, which may be an offset."""
    found = re.compile(r"\s?-(\d{1,2}):(00|30|45)(?!\d|:|\s*[ap]\.?m)", re.I).match(line, place)
    if found and int(found[1]) <= 12 and time(int(found[1]), int(found[2])) < begin:
        said = f"{begin:%H:%M}-{found[1]}:{found[2]}"
        raise Invalid(f'"{said}" may be a range or an offset. Write UTC-{found[1]}:{found[2]}, or "to" for the end.')


def _zone(line: str, place: int) -> tuple[str, int]:
    blank = re.compile(r"\s?").match(line, place)
    found = SUFFIX.match(line, blank.end() if blank else place)
    return (found["zone"], found.end()) if found else ("", place)
