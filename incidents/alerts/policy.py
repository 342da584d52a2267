"""RULES: what an alert means beside what is known of it. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from incidents.alerts.kinds import GRAVITY, Policy, Standing, State, Verdict


class News(StrEnum):
    """What is new about it."""

    #: We did not know of it, or what we knew of is over.
    NEW = "new"
    #: It ended before we heard that it began: kept, in case the beginning comes late.
    STRAY = "stray"
    #: The beginning of one that ended already.
    PAIR = "pair"
    CHANGE = "change"
    REPEAT = "repeat"
    #: Older than what we know.
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an alert when something is said of it."""

    standing: Standing
    state: State
    last_at: datetime
    #: It belongs to an incident that is not over.
    is_in_open_incident: bool


def news_of(state: State, at: datetime, known: Known | None) -> News:
    """Judged by when things happened at the source, not by when they arrived."""
    if known is None:
        return News.STRAY if state == State.RESOLVED else News.NEW
    is_older = at < known.last_at
    if state == State.RESOLVED:
        if known.state == State.RESOLVED:
            return News.REPEAT
        return News.LATE if is_older else News.CHANGE
    if known.standing == Standing.HELD:
        return News.PAIR if at <= known.last_at else News.NEW
    if is_older:
        return News.LATE
    if known.state == State.RESOLVED:
        return News.CHANGE if known.is_in_open_incident else News.NEW
    return News.REPEAT if state == known.state else News.CHANGE


def placed(policy: str, *, has_incident: bool, is_over: bool, is_storm: bool) -> Verdict:
    """Where a new alert goes. In a storm none opens an incident, and one that is over never does."""
    if has_incident:
        return Verdict.ATTACHED
    if policy == Policy.ATTACH:
        return Verdict.IGNORED
    if policy == Policy.OPEN and not is_over and not is_storm:
        return Verdict.OPENED
    return Verdict.CANDIDATE


def cleared_at(ends: Collection[datetime | None]) -> datetime | None:
    """When the last of an incident's alerts cleared; None while one of them fires."""
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def gravest(verdicts: Collection[Verdict]) -> Verdict:
    return next((verdict for verdict in GRAVITY if verdict in verdicts), Verdict.IGNORED)
