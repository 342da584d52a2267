"""RULES: where the time of incidents goes: how long stays in a phase last, and how often a phase is gone back to.

A stay begins with an entry and ends with the next entry, or when the incident was resolved. What is still going on is
not in a percentile: it is counted apart, for it will only grow. Entries that were undone are no stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from incidents.lifecycle import Phase
from kpis import stats

MINUTE = timedelta(minutes=1)
#: Nobody stays in Resolution: it is the end.
PHASES = tuple(phase for phase in Phase if phase is not Phase.RESOLUTION)
#: All severities together.
ALL = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry into a phase that counts."""

    phase: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Course:
    """One incident: its severity, its entries in the order they were written, and when it was over."""

    severity: str
    entries: Sequence[Entry]
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Stay:
    """`minutes` is None while it goes on, and where it is invalid: a corrected time put its end before its beginning.

    is_again: the incident had been in this phase before.
    """

    phase: int
    minutes: float | None
    is_again: bool
    is_invalid: bool = False


@dataclass(frozen=True, slots=True)
class Dwell:
    """One phase at one severity. `n` are the stays that ended, `incidents` those that have one.

    share: of all ended minutes of that severity. again: stays that came back to the phase, whether ended or not.
    """

    phase: int
    severity: str
    n: int
    incidents: int
    again: int
    going_on: int
    invalid: int
    total: float
    share: float | None
    mean: float | None
    median: float | None
    p90: float | None


def stays(course: Course) -> list[Stay]:
    """In order."""
    found: list[Stay] = []
    seen: set[int] = set()
    ends: list[datetime | None] = [later.at for _, later in pairwise(course.entries)]
    for entry, end in zip(course.entries, [*ends, course.resolved_at], strict=True):
        if entry.phase != Phase.RESOLUTION:
            is_invalid = end is not None and end < entry.at
            minutes = None if end is None or is_invalid else (end - entry.at) / MINUTE
            found.append(Stay(entry.phase, minutes, entry.phase in seen, is_invalid))
        seen.add(entry.phase)
    return found


def dwell(courses: Iterable[Course]) -> Mapping[tuple[int, str], Dwell]:
    """By phase and severity; severity ALL is every incident. What nobody stayed in is not in it."""
    kept: dict[tuple[int, str], list[list[Stay]]] = defaultdict(list)
    for course in courses:
        by_phase: dict[int, list[Stay]] = defaultdict(list)
        for stay in stays(course):
            by_phase[stay.phase].append(stay)
        for phase, found in by_phase.items():
            kept[phase, course.severity].append(found)
            kept[phase, ALL].append(found)
    totals: dict[str, float] = defaultdict(float)
    for (_, severity), every in kept.items():
        totals[severity] += sum(_ended(every))
    return {
        (phase, severity): _dwell(phase, severity, every, totals[severity]) for (phase, severity), every in kept.items()
    }


def _ended(by_incident: Sequence[Sequence[Stay]]) -> list[float]:
    return [stay.minutes for stays in by_incident for stay in stays if stay.minutes is not None]


def _dwell(phase: int, severity: str, by_incident: Sequence[Sequence[Stay]], whole: float) -> Dwell:
    every = [stay for stays in by_incident for stay in stays]
    minutes = _ended(by_incident)
    return Dwell(
        phase=phase,
        severity=severity,
        n=len(minutes),
        incidents=sum(any(stay.minutes is not None for stay in stays) for stays in by_incident),
        again=sum(stay.is_again for stay in every),
        going_on=sum(stay.minutes is None and not stay.is_invalid for stay in every),
        invalid=sum(stay.is_invalid for stay in every),
        total=sum(minutes),
        share=sum(minutes) / whole if whole else None,
        mean=stats.mean(minutes) if minutes else None,
        median=stats.median(minutes) if minutes else None,
        p90=stats.percentile(minutes, 90, "disc") if minutes else None,
    )
