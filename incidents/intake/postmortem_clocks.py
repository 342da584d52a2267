"""Which clock a page says that its times were read from. Pure."""

from __future__ import annotations

import re

from incidents.intake.zones import names_clock

TIMELINE = re.compile(r"\b(?:time\s?-?line|chronology|sequence of events|event log)\b", re.I)
#: "All times in PST", "(all times UTC)", "Times are given in Pacific time", "Time zone: Europe/Rome".
_ALL_TIMES = re.compile(
    r"\btimes?(?:stamps)?\b(?:\s+(?:below|here|above|on this page|in this (?:timeline|document|report)))?"
    r"(?:\s+(?:are|is))?(?:\s+all)?(?:\s+(?:given|shown|listed|stated|noted|expressed))?(?P<sure>\s+in)?(?:\s+the)?\s*[:=]?\s*"
    r"(?P<clock>\(?[A-Z+\-\u2212].*)",
    re.I,
)
_TIME_ZONE = re.compile(r"\btime\s?-?zone\W{1,4}(?:is\s+)?(?P<clock>[A-Za-z+\-\u2212].*)", re.I)


def clock_phrase(text: str) -> str:
    """The clock that a line states for all times; empty if it states none."""
    if found := _TIME_ZONE.search(text):
        return _phrase(found["clock"])
    for found in _ALL_TIMES.finditer(text):
        if names_clock(found["clock"]) or (found["sure"] and re.match(r"\W*all\s+times", text[: found.end()], re.I)):
            return _phrase(found["clock"])
    in_brackets = re.search(r"\((?P<clock>[^()]+)\)\s*$", text) if TIMELINE.search(text) else None
    return in_brackets["clock"] if in_brackets and names_clock(in_brackets["clock"]) else ""


def row_clock(text: str) -> str:
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
