"""RULES: dispatch credit, version 1: how reliably a team comes when it is paged, as a class from 1 (best) to 10.

Points from 0 to 100 per alarm level: most for the share of dispatches that arrive within the limit, some for the share
acknowledged in time, a few for the slowest tenth. A share counts as its lower Wilson bound, so that three perfect
dispatches are no better proof than they are. Teams have a class; single people never do.

Times come in as they were known at `as_of`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from kpis import stats

MINUTE = timedelta(minutes=1)


class Outcome(StrEnum):
    MET = "met"
    MISSED = "missed"
    NO_SHOW = "no_show"
    PENDING = "pending"
    CANCELLED = "cancelled"
    INVALID = "invalid"

    @property
    def is_judged(self) -> bool:
        return self in (Outcome.MET, Outcome.MISSED, Outcome.NO_SHOW)


class Status(StrEnum):
    UNRATED = "unrated"
    PROVISIONAL = "provisional"
    RATED = "rated"


class Trend(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "no clear change"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Level:
    """What one alarm level asks for, in minutes; without `ack`, acknowledging is not scored."""

    arrival: float
    ack: float | None
    weight: float


def _levels() -> Mapping[str, Level]:
    return {"box3": Level(5, 2, 0.5), "box2": Level(10, 5, 0.3), "box1": Level(20, None, 0.2)}


@dataclass(frozen=True, slots=True)
class Settings:
    """`z` is the normal quantile of 90 %. After `patience` times the limit, whoever has not come is a no-show."""

    levels: Mapping[str, Level] = field(default_factory=_levels)
    arrival_points: float = 70
    ack_points: float = 20
    tail_points: float = 10
    z: float = 1.2815515655446004
    patience: float = 3
    min_provisional: int = 5
    min_rated: int = 10
    min_acks: int = 5
    min_ack_coverage: float = 0.5


DEFAULT = Settings()
#: The version of the design, that no row holds.
BUILT_IN = 1


@dataclass(frozen=True, slots=True)
class InForce:
    """The settings that hold, and which version they are. `since` is None for the built-in one."""

    settings: Settings
    version: int
    since: datetime | None
    reason: str


AT_FIRST = InForce(DEFAULT, BUILT_IN, None, "Built in.")


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One page of one team, as known at some moment. `incident_is_over`: nobody will come any more."""

    paged_at: datetime
    acknowledged_at: datetime | None = None
    arrived_at: datetime | None = None
    cancelled_at: datetime | None = None
    incident_is_over: bool = False

    @property
    def arrival(self) -> float | None:
        """Minutes from page to arrival."""
        return None if self.arrived_at is None else (self.arrived_at - self.paged_at) / MINUTE

    @property
    def ack(self) -> float | None:
        """Minutes from page to acknowledgement; one from before the page acknowledges something else."""
        if self.acknowledged_at is None or self.acknowledged_at < self.paged_at:
            return None
        return (self.acknowledged_at - self.paged_at) / MINUTE


def outcome_of(dispatch: Dispatch, level: Level, *, as_of: datetime, settings: Settings = DEFAULT) -> Outcome:
    """What became of the dispatch by `as_of`. Standing down after the limit without arrival is a no-show."""
    stood_down = None if dispatch.cancelled_at is None else (dispatch.cancelled_at - dispatch.paged_at) / MINUTE
    waited = (as_of - dispatch.paged_at) / MINUTE
    return judged(dispatch.arrival, stood_down, waited, level, settings, is_over=dispatch.incident_is_over)


def judged(
    arrival: float | None, stood_down: float | None, waited: float, level: Level, settings: Settings, *, is_over: bool
) -> Outcome:
    """The same from minutes since the page: arrived, stood down, and gone by."""
    if arrival is not None:
        if arrival < 0:
            return Outcome.INVALID
        return Outcome.MET if arrival <= level.arrival else Outcome.MISSED
    if stood_down is not None:
        return Outcome.CANCELLED if stood_down < level.arrival else Outcome.NO_SHOW
    return Outcome.NO_SHOW if is_over or waited > settings.patience * level.arrival else Outcome.PENDING


@dataclass(frozen=True, slots=True)
class Tally:
    """Judged dispatches of one level. `p90` is the nearest-rank arrival in minutes, infinite for a no-show."""

    n: int
    met: int
    p90: float
    ack_n: int = 0
    ack_met: int = 0

    def check(self, level: Level) -> None:
        """Nine in ten on time and a ninth of ten beyond the limit cannot both be so. ValueError for such counts."""
        if self.n and 10 * self.met >= 9 * self.n and self.p90 > level.arrival:
            raise ValueError(f"{self.met} of {self.n} met {level.arrival:g} min, but their p90 is {self.p90:g} min.")


def tally(dispatches: Iterable[Dispatch], level: Level) -> Tally:
    """Counts judged dispatches. Acknowledged are those that say so: missing ones lower the coverage, not the points."""
    rows = list(dispatches)
    arrivals = [math.inf if one.arrival is None else one.arrival for one in rows]
    return tally_of(arrivals, [one.ack for one in rows if one.ack is not None], level)


def tally_of(arrivals: Sequence[float], acks: Sequence[float], level: Level) -> Tally:
    """The same from the minutes of each: arrivals with no-shows as infinity, and the acknowledgements there are."""
    asked = acks if level.ack is not None else ()
    return Tally(
        n=len(arrivals),
        met=sum(arrival <= level.arrival for arrival in arrivals),
        p90=stats.percentile(arrivals, 90, "disc") if arrivals else math.inf,
        ack_n=len(asked),
        ack_met=sum(ack <= (level.ack or 0) for ack in asked),
    )


@dataclass(frozen=True, slots=True)
class Credit:
    """`points` and `rating` (the class) are None while too few dispatches are judged: never class 10 for silence.

    arrival and ack are the lower bounds that gave points; `ack` is None when acknowledging is not scored.
    """

    status: Status
    points: float | None
    rating: int | None
    arrival: float | None = None
    ack: float | None = None


UNRATED = Credit(Status.UNRATED, None, None)


def credit(counts: Tally, level: Level, settings: Settings = DEFAULT) -> Credit:
    """What one team has earned at one alarm level."""
    counts.check(level)
    if counts.n < settings.min_provisional:
        return UNRATED
    arrival, _ = stats.wilson(counts.met, counts.n, settings.z)
    tail = tail_of(counts, level)
    earned = settings.arrival_points * arrival + settings.tail_points * tail
    possible = settings.arrival_points + settings.tail_points
    ack = None
    if _scores_ack(counts, level, settings):
        ack, _ = stats.wilson(counts.ack_met, counts.ack_n, settings.z)
        earned += settings.ack_points * ack
        possible += settings.ack_points
    points = _two_decimals(Decimal(repr(100 * earned / possible)))
    status = Status.RATED if counts.n >= settings.min_rated else Status.PROVISIONAL
    return Credit(status, points, rating_of(points), arrival, ack)


def tail_of(counts: Tally, level: Level) -> float:
    """The share of the tail's points: all where nine in ten come within the limit, none where one in ten never does."""
    return min(1.0, level.arrival / counts.p90) if counts.p90 else 1.0


def _scores_ack(counts: Tally, level: Level, settings: Settings) -> bool:
    enough = counts.ack_n >= settings.min_acks and counts.ack_n >= settings.min_ack_coverage * counts.n
    return level.ack is not None and enough


def rating_of(points: float) -> int:
    """90 and more is class 1, below 10 is class 10."""
    return min(10, max(1, 10 - math.floor(points / 10)))


def overall(credits_by_level: Mapping[str, Credit], settings: Settings = DEFAULT) -> Credit:
    """A team over all levels, from those that are rated. Never better than its Box 3 class.

    A team rated only where little is asked of it has no overall class.
    """
    rated = [
        (Decimal(repr(settings.levels[name].weight)), Decimal(repr(one.points)))
        for name, one in sorted(credits_by_level.items())
        if one.status is Status.RATED and one.points is not None
    ]
    hard = [credits_by_level[name] for name in ("box3", "box2") if name in credits_by_level]
    if not any(one.status is Status.RATED for one in hard):
        return UNRATED
    weights = sum((weight for weight, _ in rated), Decimal())
    points = _two_decimals(sum((weight * one for weight, one in rated), Decimal()) / weights)
    cap = credits_by_level["box3"].rating if "box3" in credits_by_level else None
    return Credit(Status.RATED, points, max(rating_of(points), cap or 1))


def trend(recent: Tally, before: Tally, settings: Settings = DEFAULT) -> Trend:
    """How the last 30 days compare with the 60 before. An arrow only when the two 80 % intervals do not meet."""
    if min(recent.n, before.n) < settings.min_provisional:
        return Trend.UNKNOWN
    now_low, now_high = stats.wilson(recent.met, recent.n, settings.z)
    then_low, then_high = stats.wilson(before.met, before.n, settings.z)
    if now_low > then_high:
        return Trend.BETTER
    return Trend.WORSE if now_high < then_low else Trend.UNCLEAR


def arrivals_of(dispatches: Sequence[Dispatch]) -> tuple[float | None, float | None]:
    """Mean and median minutes to arrival of those who came; None when nobody did."""
    came = [one.arrival for one in dispatches if one.arrival is not None]
    return (stats.mean(came), stats.median(came)) if came else (None, None)


def _two_decimals(points: Decimal) -> float:
    """Half up: a class must not hang on a banker's rounding."""
    return float(points.quantize(Decimal("0.01"), ROUND_HALF_UP))
