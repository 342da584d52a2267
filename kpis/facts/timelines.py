"""Incidents from the timelines of written reports: when one was noticed, when it was over, and what is said to have
caused it.

Which words of a report mean that is declared in the mapping, so that two readers get the same times. What the words do
not tell stays unknown and is named with its reason: no time is guessed, and no cause.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kpis.facts.files import Event, FileNotRead
from majorops.lib.errors import Invalid

_ABOUT = re.compile(r"^\s*(~|ca\.?\s)|\d\s*-\s*~?\d{1,2}:\d{2}", re.IGNORECASE)
_TIME = re.compile(r"\b(\d{1,2}):(\d{2})\s*(am|pm)?", re.IGNORECASE)
_DAYS = (
    (re.compile(r"\b(\d{4}-\d{2}-\d{2})\b"), "%Y-%m-%d"),
    (re.compile(r"\b([A-Z][a-z]{2} \d{1,2} \d{4})\b"), "%b %d %Y"),
)
_DAY_ONLY = re.compile(r"\b(\d{1,2})\. ([A-Z][a-z]+)\b")
_NOON, _DAY_OF_HOURS, _LAST_MINUTE = 12, 24, 59


class Timelines(BaseModel):
    """How the timelines of reports are to be read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str
    #: What the report writes of its zone -> the zone that is meant.
    zones: Mapping[str, str]
    #: An entry with one of these tells that somebody, or something, noticed.
    detected: tuple[str, ...] = Field(min_length=1)
    #: An entry with one of these tells that it is over; the last such entry counts.
    resolved: tuple[str, ...] = Field(min_length=1)
    #: An entry with one of these tells that nobody had to help.
    by_itself: tuple[str, ...] = ()
    #: A change is the cause if the entry in which it was noticed, or one before it, names it with one of these words.
    #: Written owner/name, as in the address of the change.
    repo: str = ""
    caused: tuple[str, ...] = ()


def timelines_from(text: str) -> Timelines:
    """A mapping written as TOML. Raises Invalid that says what is wrong."""
    try:
        mapping = Timelines.model_validate(tomllib.loads(text))
        for zone in mapping.zones.values():
            ZoneInfo(zone)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise FileNotRead(f"The mapping cannot be used: {told}.") from None
    except (tomllib.TOMLDecodeError, LookupError, ValueError, OSError) as error:
        raise FileNotRead(f"The mapping cannot be used: {error}") from None
    return mapping


@dataclass(frozen=True, slots=True)
class Moment:
    """An entry of a timeline. `at` is None where it says no exact time."""

    heading: str
    text: str
    at: datetime | None

    def says(self, words: Sequence[str]) -> bool:
        told = f"{self.heading}\n{self.text}".casefold()
        return any(word.casefold() in told for word in words)


@dataclass(frozen=True, slots=True)
class Incident:
    """What a report tells. What it does not tell is None, and `unknown` says why."""

    ref: str
    detected: Moment | None
    resolved: Moment | None
    by_itself: bool
    caused_by: str | None
    unknown: tuple[str, ...]


def timelines(file: TextIO, mapping: Timelines) -> Iterator[tuple[int, Event | Invalid]]:
    """The facts of each report; a report whose times are not told is a record that is refused, with the reason."""
    try:
        reports = json.load(file)
    except ValueError as error:
        raise FileNotRead(f"This is not JSON: {str(error)[:100]}.") from None
    if not isinstance(reports, list):
        raise FileNotRead('Reports are a JSON list of {"title", "timezone_note", "events": [{"heading", "text"}]}.')
    for number, report in enumerate(reports, start=1):
        try:
            yield from ((number, event) for event in _facts(incident(report, mapping), mapping))
        except (KeyError, TypeError, AttributeError):
            yield number, FileNotRead("A report has title, timezone_note, and events of heading and text.")


def incident(report: Mapping[str, Any], mapping: Timelines) -> Incident:
    """What one report tells by the declared words."""
    moments = _moments(report, mapping)
    begin = next((each for each in moments if each.says(mapping.detected)), None)
    after = moments[moments.index(begin) :] if begin else []
    end = next((each for each in reversed(after) if each.says(mapping.resolved)), None)
    cause = _cause(moments[: moments.index(begin) + 1] if begin else [], mapping)
    return Incident(
        ref=str(report.get("file") or report["title"])[:80],
        detected=begin,
        resolved=end,
        by_itself=any(each.says(mapping.by_itself) for each in after),
        caused_by=cause,
        unknown=tuple(_unknown(begin, end, cause)),
    )


def _unknown(begin: Moment | None, end: Moment | None, cause: str | None) -> Iterator[str]:
    for name, moment in (("when it was noticed", begin), ("when it was over", end)):
        if moment is None:
            yield f"{name}: no entry has one of the declared words"
        elif moment.at is None:
            yield f"{name}: {moment.heading[:40]!a} is no exact time, or its zone is not declared"
    if begin and end and begin.at and end.at and end.at <= begin.at:
        yield "when it was over: the entry that tells it is not later than the one in which it was noticed"
    if cause is None:
        yield "no change, or not exactly one, is named as the cause before it was noticed"


def _cause(before: Sequence[Moment], mapping: Timelines) -> str | None:
    """The one change that these entries blame."""
    if not mapping.repo or not mapping.caused:
        return None
    address = re.compile(rf"{re.escape(mapping.repo)}/pull/(\d+)")
    named = {number for each in before if each.says(mapping.caused) for number in address.findall(each.text)}
    return f"{mapping.repo.rpartition('/')[2]}#{named.pop()}" if len(named) == 1 else None


def _facts(told: Incident, mapping: Timelines) -> Iterator[Event | Invalid]:
    begin, end = told.detected, told.resolved
    if begin is None or begin.at is None:
        yield FileNotRead(f"{told.ref}: unknown is {told.unknown[0]}.")
        return
    about = {"incident_ref": told.ref, "service": mapping.service}
    recovery = {"recovery": "auto" if told.by_itself else "manual"}
    cause = {"caused_by": told.caused_by} if told.caused_by else {"cause_unknown": told.unknown[-1]}
    yield _event("incident_detected", begin.at, {**about, **recovery, **cause}, told)
    if end is None or end.at is None or end.at <= begin.at:
        yield FileNotRead(f"{told.ref}: unknown is {told.unknown[0]}.")
    else:
        yield _event("incident_resolved", end.at, about, told)


def _event(kind: str, at: datetime, payload: Mapping[str, str], told: Incident) -> Event:
    return {"kind": kind, "occurredAt": at.isoformat(), "payload": payload, "key": f"{kind}:{told.ref}"}


# --- Headings ---


def _moments(report: Mapping[str, Any], mapping: Timelines) -> list[Moment]:
    """The entries with their times. A heading without a day is of the day that was named last."""
    zone = next((ZoneInfo(zone) for note, zone in mapping.zones.items() if note == report["timezone_note"]), None)
    moments: list[Moment] = []
    day: datetime | None = None
    for event in report["events"]:
        heading = str(event["heading"])
        day = _day(heading, day)
        moments.append(Moment(heading, str(event["text"]), _at(heading, day, zone)))
    return moments


def _day(heading: str, before: datetime | None) -> datetime | None:
    for pattern, form in _DAYS:
        if match := pattern.search(heading):
            try:
                return datetime.strptime(match[1], form)  # noqa: DTZ007  # a day of the report's zone
            except ValueError:
                return None
    if before is not None and (match := _DAY_ONLY.search(heading)):
        try:
            return datetime.strptime(f"{match[1]} {match[2]} {before.year}", "%d %B %Y")  # noqa: DTZ007
        except ValueError:
            return None
    return before


def _at(heading: str, day: datetime | None, zone: ZoneInfo | None) -> datetime | None:
    """None for a range, for `about`, and where the day or the zone is not known."""
    told = re.sub(r"\d{4}-\d{2}-\d{2}", "", heading)
    match = _TIME.search(told)
    if day is None or zone is None or match is None or _ABOUT.search(told):
        return None
    hour, minute, half = int(match[1]), int(match[2]), (match[3] or "").lower()
    if half and hour <= _NOON:
        hour = hour % _NOON + (_NOON if half == "pm" else 0)
    if hour >= _DAY_OF_HOURS or minute > _LAST_MINUTE:
        return None
    return (day + timedelta(hours=hour, minutes=minute)).replace(tzinfo=zone)
