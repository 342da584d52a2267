"""The clock that people mean when they write CET, PST (UTC-7) or Europe/Rome beside a time. Pure.

A letter code says less than it seems: CST is an hour of America and one of China, and PST in July is either a slip for
the local clock or an hour later to the letter. Where it matters, the question is asked instead of answered.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from incidents.intake import FileRefused, printable
from majorops.lib.errors import Invalid

#: Codes of one meaning: hours east of UTC, and the place whose clocks bear the code in half of the year.
CODES: dict[str, tuple[float, str]] = {
    "UTC": (0, ""),
    "GMT": (0, ""),
    "Z": (0, ""),
    "PST": (-8, "America/Los_Angeles"),
    "PDT": (-7, "America/Los_Angeles"),
    "MST": (-7, "America/Denver"),
    "MDT": (-6, "America/Denver"),
    "CDT": (-5, "America/Chicago"),
    "EST": (-5, "America/New_York"),
    "EDT": (-4, "America/New_York"),
    "WET": (0, "Europe/Lisbon"),
    "WEST": (1, "Europe/Lisbon"),
    "CET": (1, "Europe/Berlin"),
    "CEST": (2, "Europe/Berlin"),
    "EET": (2, "Europe/Athens"),
    "EEST": (3, "Europe/Athens"),
    "MSK": (3, ""),
    "SGT": (8, ""),
    "JST": (9, ""),
    "KST": (9, ""),
    "AEST": (10, "Australia/Sydney"),
    "AEDT": (11, "Australia/Sydney"),
    "NZST": (12, "Pacific/Auckland"),
    "NZDT": (13, "Pacific/Auckland"),
}
#: Names of the local clock, summer and winter.
LOCAL = {
    "PT": "America/Los_Angeles",
    "ET": "America/New_York",
    "PACIFIC": "America/Los_Angeles",
    "EASTERN": "America/New_York",
    "MOUNTAIN": "America/Denver",
}
#: Codes of several meanings.
SEVERAL = {
    "CST": ("America/Chicago", "Asia/Shanghai"),
    "CT": ("America/Chicago", "Europe/Berlin"),
    "IST": ("Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"),
    "BST": ("Europe/London", "Asia/Dhaka"),
    "AST": ("America/Halifax", "Asia/Riyadh"),
    "SST": ("Pacific/Pago_Pago", "Asia/Singapore"),
}
_CODES = "|".join(sorted([*CODES, *SEVERAL, "PT", "ET"], key=len, reverse=True))
_SHIFT = r"(?:UTC|GMT)?\s?[+\-\u2212]\d{1,2}(?::?\d{2})?"
#: A zone right after a clock: Z, UTC+1, +01:00, CET, Europe/Rome.
SUFFIX = re.compile(rf"\(?(?P<zone>{_SHIFT}|(?:{_CODES})|[A-Z][A-Za-z]+(?:/[A-Za-z_]+)+)(?![A-Za-z0-9/:])\)?")
_OFFSET = re.compile(r"(?<![A-Za-z0-9])(?:UTC|GMT)?\s?([+\-\u2212])(\d{1,2})(?::?(\d{2}))?(?![\d:])")
_PLACE = re.compile(r"[A-Z][A-Za-z]*(?:/[A-Za-z_+\-0-9]+)+")
_WORD = re.compile(r"[A-Za-z]+")


class ZoneUnclear(FileRefused):
    """Nobody can tell which clock these times were read from. Say it with --zone, e.g. --zone Europe/Rome."""

    code = "zone_unclear"


@dataclass(frozen=True, slots=True)
class Clock:
    """What local times are read with."""

    zone: tzinfo
    #: As it was written.
    written: str
    #: The place whose clocks bear this code only in half of the year.
    place: str = ""
    #: What is odd about it, in a sentence.
    odd: str = ""

    def instant(self, local: datetime) -> datetime:
        """The moment in UTC. Raises ZoneUnclear for a code out of its season, Invalid for an hour that was skipped."""
        if self.place:
            self._check_season(local)
        at = local.replace(tzinfo=self.zone).astimezone(UTC)
        if at.astimezone(self.zone).replace(tzinfo=None) != local:
            raise Invalid(f"{local:%Y-%m-%d %H:%M} does not exist in {self.zone}: clocks went forward.")
        return at

    def comes_twice(self, local: datetime) -> bool:
        """Whether clocks showed this time a second time when they went back. The first one is meant."""
        both = [local.replace(tzinfo=self.zone, fold=fold).utcoffset() for fold in (0, 1)]
        return both[0] != both[1]

    def _check_season(self, local: datetime) -> None:
        there, meant = (local.replace(tzinfo=zone).utcoffset() for zone in (ZoneInfo(self.place), self.zone))
        if there != meant:
            raise ZoneUnclear(
                f"It says {self.written}, which is UTC{_shown(meant)}, but on {local:%Y-%m-%d} clocks in {self.place} "
                f"showed UTC{_shown(there)}. Which one was meant? Say --zone {self.place} for the local clock, or "
                f"--zone UTC{_shown(meant)} for {self.written} to the letter."
            )


def _shown(offset: timedelta | None) -> str:
    minutes = int((offset or timedelta()).total_seconds() // 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def named_zone(name: str) -> tzinfo:
    """The zone that a person names: Europe/Rome, UTC, UTC-8, +01:00. Raises Invalid."""
    if found := _OFFSET.fullmatch(name.strip()):
        return _fixed(found)
    try:
        return ZoneInfo(name.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(f'No time zone is called "{printable(name)}". One is Europe/Rome, another UTC-8.') from None


def _fixed(found: re.Match[str]) -> tzinfo:
    sign, hours, minutes = found.groups()
    away = timedelta(hours=int(hours), minutes=int(minutes or 0))
    if away > timedelta(hours=14):
        raise Invalid(f'No clock is "{found.group().strip()}" away from UTC.')
    return timezone(away if sign == "+" else -away)


def stated_clock(phrase: str) -> Clock:
    """The clock that a phrase names: "PST (UTC-7)", "Europe/Rome", "Pacific time". Raises ZoneUnclear."""
    written = printable(phrase, 60)
    if found := _OFFSET.search(phrase):
        return Clock(zone := _offset(found, written), written, odd=_disagreement(phrase, zone, written))
    if place := _PLACE.search(phrase):
        return Clock(_place(place.group()), written)
    for token in _WORD.findall(phrase):
        if clock := _by_code(token, written):
            return clock
    raise ZoneUnclear(f'It says "{written}", which names no clock that is known. Say --zone, e.g. --zone Europe/Rome.')


def names_clock(phrase: str) -> bool:
    """Whether a phrase begins with a zone, known or ambiguous."""
    token = re.match(r"[\s(*_`]*([A-Za-z]+)", phrase)
    known = token is not None and token.group(1).upper() in {*CODES, *LOCAL, *SEVERAL} and token.group(1)[0].isupper()
    return known or bool(re.match(r"[\s(*_`]*[+\-\u2212]\d", phrase)) or bool(re.match(_PLACE, phrase.lstrip(" (*_`")))


def _by_code(token: str, written: str) -> Clock | None:
    code = token.upper() if token.upper() in LOCAL or token.isupper() else ""
    if code in SEVERAL:
        choices = " or ".join(f"--zone {place}" for place in SEVERAL[code])
        raise ZoneUnclear(f'It says "{written}", and {code} has several meanings. Which one? Say {choices}.')
    if code in LOCAL:
        return Clock(ZoneInfo(LOCAL[code]), written)
    if code in CODES:
        hours, place = CODES[code]
        return Clock(timezone(timedelta(hours=hours)), written, place)
    return None


def _disagreement(phrase: str, zone: tzinfo, written: str) -> str:
    hours = [CODES[token][0] for token in _WORD.findall(phrase) if token in CODES and token not in ("UTC", "GMT")]
    if not hours or timezone(timedelta(hours=hours[0])).utcoffset(None) == zone.utcoffset(None):
        return ""
    return f'It says "{written}", a code and an offset that do not agree; the offset is used.'


def _offset(found: re.Match[str], written: str) -> tzinfo:
    try:
        return _fixed(found)
    except Invalid as error:
        raise ZoneUnclear(f'It says "{written}". {error.message} Say --zone, e.g. --zone Europe/Rome.') from None


def _place(name: str) -> tzinfo:
    known = available_timezones()
    if name in known:
        return ZoneInfo(name)
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"Did they mean {near[0]}? Say --zone {near[0]}" if near else "Say --zone, e.g. --zone Europe/Rome"
    raise ZoneUnclear(f'It says "{printable(name)}", and no time zone is called that. {meant}.')
