"""How far a number can be trusted: derived from data, never typed in.

The label says how good the evidence for a value is; every label below VERIFIED comes with its reasons, in words.
What the rows say of a value lasts as long as the rows do (`derive`); what the clock and people add to it changes from
day to day and is judged anew whenever somebody looks (`at_present`, and `verdict_now` in kpis/standing.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache

from kpis.formulas.kinds import Aggregate, Builtin, Composite, Derived, Formula, Interval, Reported
from kpis.formulas.language import Percentile

MIN_COVERAGE = 0.8
MIN_CONFIDENCE = 0.8
MIN_N = 5


class Evidence(StrEnum):
    """From the best to the weakest."""

    VERIFIED = "verified"
    PARTIAL = "partial"
    UNVERIFIED = "unverified"
    PROPOSED = "proposed"


@dataclass(frozen=True, slots=True)
class Reason:
    """`code` for programs, `words` for people."""

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    label: Evidence
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class EvidenceInputs:
    """What is known about one value (a KPI, a group, a moment). The defaults hold nothing against it.

    missing: why `value` is None, from the measurement. problem: "no_formula" or "formula_invalid" when the formula
    cannot run. never_received: sources without a single row, ever. is_reported: the KPI is only ever posted by people,
    and has_claim says it was. entered: the current value was typed in or imported.
    parts: the labels of the KPIs this one is made of; renormalised: some part is missing and the others stand for it.
    """

    value: float | None
    missing: str | None = None
    problem: str | None = None
    never_received: tuple[str, ...] = ()
    is_reported: bool = False
    has_claim: bool = False
    entered: bool = False
    n: int = 0
    min_n: int = MIN_N
    coverage: float | None = None
    min_coverage: float = MIN_COVERAGE
    mean_confidence: float | None = None
    min_confidence: float = MIN_CONFIDENCE
    parts: tuple[tuple[str, Evidence], ...] = ()
    renormalised: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What bears on a value beside its rows. The defaults hold nothing against it.

    age: of the newest fact. expected_every: how often one should come; it may be twice as old. None: no cadence is
    expected, so silence is no fault. proxy: what is measured in place of what the KPI names. reproduced: whether the
    last re-run gave the same result; None before the first. overridden: a person's value stands where the rows say
    `rows_say`. earlier_version: the one that computed it, where another formula has been published since. parts: the
    KPIs it is made of that have a doubt of this sort themselves.
    """

    age: timedelta | None = None
    expected_every: timedelta | None = None
    proxy: str | None = None
    review_due: bool = False
    reproduced: bool | None = None
    overridden: bool = False
    rows_say: float | None = None
    earlier_version: int | None = None
    parts: tuple[str, ...] = ()

    @property
    def is_doubted(self) -> bool:
        return bool(self.proxy or self.review_due or self.reproduced is False or self.parts)


def at_present(verdict: Verdict, standing: Standing) -> Verdict:
    """What the rows say of a value, and what holds beside them now. Earlier reasons of that sort are replaced.

    It adds nothing to a value that does not exist, and never makes a label better than the rows do.
    """
    lasting = tuple(reason for reason in verdict.reasons if reason.code not in PASSING)
    label = max((_label_of(reason.code) for reason in lasting), key=_rank, default=Evidence.VERIFIED)
    if any(_is_nothing(reason.code) for reason in lasting):
        return Verdict(label, lasting)
    passing = tuple(reason for reason in _passing(standing) if reason not in lasting)
    worst = max([label, *(_label_of(reason.code) for reason in passing)], key=_rank)
    return Verdict(worst, lasting + passing)


@lru_cache(maxsize=4096)  # most samples of a KPI have the same inputs
def derive(facts: EvidenceInputs) -> Verdict:
    """The label and every reason for it that lies in the rows. What a KPI is made of can only make it worse."""
    own = _own(facts)
    worst = max([own.label, *(label for _, label in facts.parts)], key=_rank)
    weak = tuple(_weak_part(kpi, label) for kpi, label in facts.parts if label is not Evidence.VERIFIED)
    return Verdict(worst, own.reasons + weak)


def min_sample(formula: Formula) -> int:
    """How many values a figure needs before it is more than an anecdote: a count needs none, a p99 a hundred."""
    calc = formula.calc
    if isinstance(calc, Builtin):
        return calc.params.min_rated
    if isinstance(calc, Composite | Derived | Reported):
        return 0  # the parts have been judged
    agg = calc.agg if isinstance(calc, Aggregate | Interval) else "avg"
    if isinstance(agg, Percentile):
        return 100 if agg.p >= 99 else 20 if agg.p >= 95 else MIN_N
    return MIN_N if isinstance(calc, Interval) or agg in ("avg", "median") else 0


_RANKS = {label: rank for rank, label in enumerate(Evidence)}


def _rank(label: Evidence) -> int:
    return _RANKS[label]


def _own(facts: EvidenceInputs) -> Verdict:
    if (reason := _no_instrument(facts)) is not None:
        return Verdict(Evidence.PROPOSED, (reason,))
    if (reason := _nothing_now(facts)) is not None:
        return Verdict(Evidence.UNVERIFIED, (reason,))
    doubts = tuple(_doubts(facts))
    return Verdict(Evidence.PARTIAL if doubts else Evidence.VERIFIED, doubts)


def _no_instrument(facts: EvidenceInputs) -> Reason | None:
    """Why nothing can measure it yet."""
    if facts.problem is not None:
        return Reason(facts.problem, _PROBLEMS.get(facts.problem, "The formula cannot run."))
    if facts.is_reported and not facts.has_claim:
        return Reason("no_instrument", "It is only ever reported by people, and nobody has reported it yet.")
    if facts.never_received:
        return Reason(
            "never_received",
            f"Never received: {', '.join(name.removeprefix('fact:') for name in facts.never_received)}.",
        )
    return None


def _nothing_now(facts: EvidenceInputs) -> Reason | None:
    """Why there is no value for now."""
    if facts.value is None:
        code = facts.missing or "no_samples"
        return Reason(code, _MISSING.get(code, "There is no value."))
    return None


def _doubts(facts: EvidenceInputs) -> Iterator[Reason]:
    is_claim = facts.is_reported or facts.entered
    if is_claim:
        yield Reason("claim_without_rows", "The value was entered by a person; no rows prove it.")
    if facts.n < facts.min_n and not is_claim:
        yield Reason("low_n", f"{_counted(facts.n, 'value')}; at least {facts.min_n} are needed.")
    if facts.coverage is not None and facts.coverage < facts.min_coverage:
        words = (
            f"Only {facts.coverage:.0%} of the rows that should give a value do; {facts.min_coverage:.0%} are needed."
        )
        yield Reason("low_coverage", words)
    if facts.mean_confidence is not None and facts.mean_confidence < facts.min_confidence:
        words = f"The inputs are {facts.mean_confidence:.2f} sure on average; {facts.min_confidence:.2f} is needed."
        yield Reason("low_confidence", words)
    if facts.renormalised:
        yield Reason("parts_missing", "Some parts are missing; the others stand for the whole.")


def _passing(standing: Standing) -> Iterator[Reason]:
    """The reasons that come and go without any row changing."""
    freshness = 2 * standing.expected_every if standing.expected_every is not None else None
    if standing.age is not None and freshness is not None and standing.age > freshness:
        words = f"The newest fact is {_length(standing.age)} old; at most {_length(freshness)} is allowed."
        yield Reason("stale", words)
    if standing.overridden:
        rows = "" if standing.rows_say is None else f" The rows say {standing.rows_say:g}."
        yield Reason("override", f"A stated value stands in place of the computed one.{rows}")
    if standing.earlier_version is not None:
        words = f"It was computed by version {standing.earlier_version}; another formula has been published since."
        yield Reason("earlier_version", words)
    if standing.proxy:
        yield Reason("proxy", f"It measures something else in its place: {standing.proxy}.")
    if standing.review_due:
        yield Reason("review_due", "The review of the definition is overdue.")
    if standing.reproduced is False:
        yield Reason("not_reproduced", "The last re-run gave another result.")
    for kpi in standing.parts:
        yield _weak_part(kpi, Evidence.PARTIAL)


#: The codes of those reasons.
PASSING = frozenset({"stale", "override", "earlier_version", "proxy", "review_due", "not_reproduced"})
_DOUBTS = frozenset({"claim_without_rows", "contradicted", "low_n", "low_coverage", "low_confidence", "parts_missing"})
_NO_INSTRUMENT = frozenset({"no_formula", "formula_invalid", "no_instrument", "never_received"})


def _label_of(code: str) -> Evidence:
    """The best label a value can have for which this is a reason."""
    if code.startswith("part_") and code.removeprefix("part_") in list(Evidence):
        return Evidence(code.removeprefix("part_"))
    if code in _DOUBTS or code in PASSING - {"stale"}:
        return Evidence.PARTIAL
    return Evidence.PROPOSED if code in _NO_INSTRUMENT else Evidence.UNVERIFIED


def _is_nothing(code: str) -> bool:
    """Whether the reason says that there is no value."""
    is_part = code.startswith("part_") and code.removeprefix("part_") in list(Evidence)
    return not is_part and code not in PASSING and _label_of(code) is not Evidence.PARTIAL


def _weak_part(kpi: str, label: Evidence) -> Reason:
    return Reason(f"part_{label}", f"{kpi}, a part of it, is {label}.")


_PROBLEMS = {
    "no_formula": "There is no formula that can run.",
    "formula_invalid": "The formula is not valid.",
}
_MISSING = {
    "no_samples": "No row gives a value in this window.",
    "all_invalid": "Every row in this window is invalid.",
    "zero_denominator": "There is nothing to take a share of in this window.",
    "no_period": "The window has no length, so there is no rate.",
    "unrated": "Too few dispatches are judged for a class.",
    "part_missing": "A part that it is made of has no value.",
    "too_little_weight": "The parts that have a value make up too little of the weight.",
    "division_by_zero": "It would divide by zero.",
    "not_reported": "Nobody has reported it.",
    "overflow": "The numbers are too large to add up.",
}


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _length(age: timedelta) -> str:
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        if age >= 2 * length:
            return _counted(age // length, unit)
    return _counted(age // timedelta(minutes=1), "minute")
