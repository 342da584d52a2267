"""RULES: what a record of dispatches says of a team: the figures of a window, the trend, and what would move the class.

The class itself is dispatch_credit's; here it is asked about windows, weeks and dispatches that have not happened yet.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

from kpis import dispatch_credit as rules
from kpis import stats
from kpis.dispatch_credit import Credit, Level, Outcome, Settings, Tally, Trend
from kpis.evidence import EvidenceInputs, Reason, Verdict, derive

#: The windows, in days. The longest is the headline; the trend sets the shortest against the rest of it.
WINDOWS = (30, 60, 90)
RECENT, HEADLINE = WINDOWS[0], WINDOWS[-1]
#: Farther than so many dispatches nobody plans.
FARTHEST = 1000

JUDGED = frozenset(outcome for outcome in Outcome if outcome.is_judged)
#: Why a dispatch is not judged.
EXCLUDED = {
    Outcome.PENDING: "not judged yet",
    Outcome.CANCELLED: "stood down in time",
    Outcome.INVALID: "arrived before it was paged",
}


class Case(NamedTuple):
    """One dispatch as known at some moment, in minutes since its page. A tuple: a page may read tens of thousands.

    `age` is days before that moment. `paged` is in UTC, without a zone where the database knows none. Without an
    outcome it never counts; `why` says so.
    """

    id: str
    paged: datetime
    age: float
    level: str
    outcome: Outcome | None
    why: str
    arrival: float | None
    ack: float | None
    confidence: float

    @property
    def is_judged(self) -> bool:
        return self.outcome in JUDGED

    @property
    def paged_at(self) -> datetime:
        return self.paged if self.paged.tzinfo else self.paged.replace(tzinfo=UTC)


# --- The figures of one level in one window ---


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of the rule gave: `points` of `most`, for the `share` that counted. `seen`: the share that was."""

    name: str
    points: float
    most: float
    share: float
    seen: str


@dataclass(frozen=True, slots=True)
class Figures:
    """One alarm level in one window. `coverage`: of the answers that should be written down, the share that is."""

    level: str
    days: int
    outcomes: Mapping[Outcome, int]
    counts: Tally
    credit: Credit
    parts: tuple[Part, ...]
    mean: float | None
    median: float | None
    coverage: float | None
    ack_coverage: float | None
    confidence: float | None
    evidence: Verdict

    @property
    def n(self) -> int:
        return self.counts.n

    @property
    def rate(self) -> float | None:
        """The share that came within the limit; None while none is judged."""
        return self.counts.met / self.counts.n if self.counts.n else None


def within(cases: Iterable[Case], days: float, *, after: float = 0) -> list[Case]:
    """Those paged in the last `days`, less those of the last `after` days."""
    return [case for case in cases if after < case.age <= days]


def counts_of(cases: Iterable[Case], level: Level) -> Tally:
    """The tally of the judged ones."""
    arrivals, acks = answers(cases)
    return rules.tally_of(arrivals, acks, level)


def answers(cases: Iterable[Case]) -> tuple[list[float], list[float]]:
    """Minutes to arrival of the judged ones, infinite for who never came, and to acknowledgement where there is one."""
    judged = [case for case in cases if case.is_judged]
    arrivals = [math.inf if case.arrival is None else case.arrival for case in judged]
    return arrivals, [case.ack for case in judged if case.ack is not None]


def figures(cases: Sequence[Case], name: str, days: int, settings: Settings) -> Figures:
    """What the dispatches of one level in the last `days` amount to."""
    level, inside = settings.levels[name], within(cases, days)
    judged = [case for case in inside if case.is_judged]
    outcomes = Counter(case.outcome for case in inside if case.outcome is not None)
    counts = counts_of(judged, level)
    found = rules.credit(counts, level, settings)
    came = [case.arrival for case in judged if case.arrival is not None]
    owed = counts.n + outcomes[Outcome.INVALID]
    coverage = counts.n / owed if owed else None
    ack_coverage = counts.ack_n / counts.n if counts.n and level.ack is not None else None
    confidence = stats.mean([case.confidence for case in judged]) if judged else None
    return Figures(
        level=name,
        days=days,
        outcomes=outcomes,
        counts=counts,
        credit=found,
        parts=parts(counts, found, level, settings),
        mean=stats.mean(came) if came else None,
        median=stats.median(came) if came else None,
        coverage=coverage,
        ack_coverage=ack_coverage,
        confidence=confidence,
        evidence=_evidence(counts, found, settings, coverage, ack_coverage, confidence),
    )


def _evidence(
    counts: Tally,
    found: Credit,
    settings: Settings,
    coverage: float | None,
    ack_coverage: float | None,
    confidence: float | None,
) -> Verdict:
    """How far the class can be trusted. Acknowledgements that nobody wrote down lower that, and not the points."""
    known = [share for share in (coverage, ack_coverage) if share is not None]
    verdict = derive(
        EvidenceInputs(
            value=found.rating,
            missing="unrated",
            n=counts.n,
            min_n=settings.min_rated,
            coverage=min(known, default=None),
            mean_confidence=confidence,
        )
    )
    if ack_coverage is None or ack_coverage != min(known):
        return verdict
    words = f"Only {counts.ack_n} of {counts.n} dispatches have an acknowledgement written down."
    told = tuple(Reason(one.code, words if one.code == "low_coverage" else one.words) for one in verdict.reasons)
    return Verdict(verdict.label, told)


def parts(counts: Tally, found: Credit, level: Level, settings: Settings) -> tuple[Part, ...]:
    """Where the points come from. Together they are the points; none while there are too few dispatches."""
    if found.arrival is None:
        return ()
    tail = rules.tail_of(counts, level)
    shares = [("arrival", settings.arrival_points, found.arrival, f"{counts.met} of {counts.n} within the limit")]
    if found.ack is not None:
        seen = f"{counts.ack_met} of {counts.ack_n} acknowledged in time"
        shares.append(("acknowledgement", settings.ack_points, found.ack, seen))
    slowest = f"{counts.p90:.1f} min" if math.isfinite(counts.p90) else "nobody came"
    shares.append(("slowest tenth", settings.tail_points, tail, f"9 in 10 within: {slowest}"))
    possible = sum(most for _, most, _, _ in shares)
    return tuple(
        Part(name, 100 * most * share / possible, 100 * most / possible, share, seen)
        for name, most, share, seen in shares
    )


# --- How it moved ---


@dataclass(frozen=True, slots=True)
class Moved:
    """The last 30 days against the 60 before them, with the 80 % interval of each share."""

    trend: Trend
    recent: Tally
    before: Tally
    recent_interval: tuple[float, float] | None
    before_interval: tuple[float, float] | None


def moved(recent: Tally, before: Tally, settings: Settings) -> Moved:
    def interval(counts: Tally) -> tuple[float, float] | None:
        return stats.wilson(counts.met, counts.n, settings.z) if counts.n else None

    return Moved(rules.trend(recent, before, settings), recent, before, interval(recent), interval(before))


def together(tallies: Iterable[Tally]) -> Tally:
    """Shares of several levels in one: each dispatch was judged by its own limit, so there is no common p90."""
    known = list(tallies)
    return Tally(n=sum(one.n for one in known), met=sum(one.met for one in known), p90=math.inf)


# --- What would move the class ---


@dataclass(frozen=True, slots=True)
class Step:
    """So many dispatches lead there. `count` is None where even the farthest does not."""

    count: int | None
    rating: int | None
    points: float | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """The rule run forward, while nothing leaves the window. `goal` is the next better class, None in the best.

    on_time: further dispatches that arrive, and where it is asked acknowledge, just within the limit.
    acknowledged: of the dispatches there are, so many more acknowledged in time would have been enough.
    late, no_show: where one more of that kind, unacknowledged, leads.
    """

    goal: int | None
    on_time: Step | None
    acknowledged: Step | None
    late: Step
    no_show: Step


def outlook(arrivals: Sequence[float], acks: Sequence[float], level: Level, settings: Settings) -> Outlook:
    """What the next dispatches would do to the class of this record (see `answers`)."""
    record = _Record(tuple(sorted(arrivals)), tuple(acks), level, settings)
    now = record.after(0)
    goal = None if now.rating == 1 else now.rating - 1 if now.rating else None
    is_best = now.rating == 1
    return Outlook(
        goal=goal,
        on_time=None if is_best else _first(record, goal),
        acknowledged=_acknowledged(record, goal) if goal else None,
        late=_one_more(record, math.nextafter(level.arrival, math.inf)),
        no_show=_one_more(record, math.inf),
    )


@dataclass(frozen=True, slots=True)
class _Record:
    arrivals: tuple[float, ...]
    acks: tuple[float, ...]
    level: Level
    settings: Settings

    def after(self, count: int) -> Credit:
        """The credit after so many more that come, and acknowledge, just within the limit."""
        met = bisect_right(self.arrivals, self.level.arrival)
        in_time = sum(ack <= self.level.ack for ack in self.acks) if self.level.ack is not None else 0
        asked = self.level.ack is not None
        counts = Tally(
            n=len(self.arrivals) + count,
            met=met + count,
            p90=self._p90(met, count),
            ack_n=len(self.acks) + count if asked else 0,
            ack_met=in_time + count if asked else 0,
        )
        return rules.credit(counts, self.level, self.settings)

    def _p90(self, met: int, count: int) -> float:
        """Nearest rank with `count` more at the limit, which stand behind those that met it."""
        n = len(self.arrivals) + count
        if not n:
            return math.inf
        rank = -(-9 * n // 10) - 1
        if met <= rank < met + count:
            return self.level.arrival
        return self.arrivals[rank if rank < met else rank - count]


def _first(record: _Record, goal: int | None) -> Step:
    """The fewest on-time dispatches that reach the goal, or without one any class at all."""
    for count in range(1, FARTHEST + 1):
        found = record.after(count)
        if found.rating is not None and found.rating <= (goal or 10):
            return Step(count, found.rating, found.points)
    return Step(None, goal, None)


def _acknowledged(record: _Record, goal: int) -> Step | None:
    """None where acknowledging is not asked, or everything is acknowledged in time already."""
    if record.level.ack is None:
        return None
    counts = rules.tally_of(record.arrivals, record.acks, record.level)
    missing = counts.n - counts.ack_n
    wanting = missing + counts.ack_n - counts.ack_met
    for count in range(1, wanting + 1):
        # First those without any, then those that came late.
        better = Tally(counts.n, counts.met, counts.p90, counts.ack_n + min(count, missing), counts.ack_met + count)
        found = rules.credit(better, record.level, record.settings)
        if found.rating is not None and found.rating <= goal:
            return Step(count, found.rating, found.points)
    return Step(None, goal, None) if wanting else None


def _one_more(record: _Record, arrival: float) -> Step:
    counts = rules.tally_of([*record.arrivals, arrival], record.acks, record.level)
    found = rules.credit(counts, record.level, record.settings)
    return Step(1, found.rating, found.points)


# --- Week by week ---


@dataclass(frozen=True, slots=True)
class Cell:
    """One week at one level. Without a judged dispatch there is no share, never 0."""

    monday: date
    n: int
    met: int
    median: float | None

    @property
    def share(self) -> float | None:
        return self.met / self.n if self.n else None


def weekly(cases: Iterable[tuple[date, Case]], mondays: Sequence[date], level: Level) -> list[Cell]:
    """The judged dispatches of one level, each with the Monday of its week."""
    by_week: dict[date, list[Case]] = {monday: [] for monday in mondays}
    for monday, case in cases:
        if case.is_judged and monday in by_week:
            by_week[monday].append(case)
    return [_cell(monday, found, level) for monday, found in by_week.items()]


def _cell(monday: date, cases: Sequence[Case], level: Level) -> Cell:
    came = [case.arrival for case in cases if case.arrival is not None]
    met = sum(arrival <= level.arrival for arrival in came)
    return Cell(monday, len(cases), met, stats.median(came) if came else None)
