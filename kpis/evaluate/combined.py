"""Figures made of other figures. What is missing stays missing: it never counts as 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction

from kpis.evaluate.figures import Measurement
from kpis.evaluate.rows import number
from kpis.formulas.kinds import Composite, Derived, Expression, Formula, KpiRef, Operation, Part
from kpis.formulas.language import period

#: The figure of another KPI at the same moment, or so much earlier; None when there is no such figure at all.
Figures = Callable[[str, timedelta | None], Measurement | None]


def combine(formula: Formula, figures: Figures) -> Measurement:
    """The figure of a composite or derived formula; of a reported one there is none to compute.

    n counts the parts with a value, eligible all parts. `used` names the former, `left_out` the others with the
    reason. The coverage of a composite is the weight that is known.
    """
    reading = _Reading(figures)
    match formula.calc:
        case Composite() as calc:
            return _composite(calc, reading)
        case Derived() as calc:
            return _derived(calc, reading)
    return _measurement(reading, _Result(reason="not_reported"), None)


@dataclass(frozen=True, slots=True)
class _Result:
    value: Fraction | None = None
    reason: str | None = None
    numerator: Fraction | None = None
    denominator: Fraction | None = None


@dataclass(slots=True)
class _Reading:
    """Other KPIs, and what came of asking them. Each is asked once."""

    figures: Figures
    used: dict[str, Measurement] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def value(self, slug: str, shift: str | None = None) -> Fraction | None:
        """What the figure prints as, exactly: 0.1 is a tenth."""
        ref = f"kpi:{slug}" + (f"@-{shift}" if shift else "")
        if ref not in self.used and ref not in self.left_out:
            self._ask(ref, slug, shift)
        return Fraction(repr(self.used[ref].value)) if ref in self.used else None

    def _ask(self, ref: str, slug: str, shift: str | None) -> None:
        found = self.figures(slug, period(shift) if shift else None)
        if found is not None and number(found.value) is not None:
            self.used[ref] = found
        else:
            self.left_out[ref] = (found.reason if found is not None else None) or "no_figure"


def _composite(calc: Composite, reading: _Reading) -> Measurement:
    values = [(part, reading.value(part.kpi)) for part in calc.parts]
    known = [(_exact(part.weight), _scaled(part, value)) for part, value in values if value is not None]
    weight = sum((weight for weight, _ in known), Fraction())
    total = sum((weight * score for weight, score in known), Fraction())
    coverage = float(weight / sum(_exact(part.weight) for part in calc.parts))
    least = _exact(calc.min_weight) if calc.min_weight is not None else Fraction()
    if not known or (reading.left_out and calc.missing == "null"):
        result = _Result(reason="part_missing")
    elif weight < least:
        result = _Result(reason="too_little_weight", numerator=total, denominator=weight)
    else:
        result = _Result(value=total / weight, numerator=total, denominator=weight)
    return _measurement(reading, result, coverage)


@dataclass(frozen=True, slots=True)
class Share:
    """One KPI that another is made of. `adds` is its part of a composite; a tree of arithmetic has no parts to add."""

    ref: str
    slug: str
    shift: timedelta | None
    measurement: Measurement | None
    weight: float | None = None
    scaled: float | None = None
    adds: float | None = None


def shares(formula: Formula, figures: Figures) -> tuple[Share, ...]:
    """What the figure of a composite or derived formula is made of, in the order the formula names it."""
    match formula.calc:
        case Composite() as calc:
            return tuple(_composite_shares(calc, figures))
        case Derived() as calc:
            return tuple(_derived_shares(calc.expr, figures))
    return ()


def _composite_shares(calc: Composite, figures: Figures) -> Iterator[Share]:
    reading = _Reading(figures)
    known = {part.kpi: value for part in calc.parts if (value := reading.value(part.kpi)) is not None}
    weight = sum((_exact(part.weight) for part in calc.parts if part.kpi in known), Fraction())
    for part in calc.parts:
        ref, measurement = f"kpi:{part.kpi}", reading.used.get(f"kpi:{part.kpi}")
        if part.kpi not in known:
            yield Share(ref, part.kpi, None, measurement, float(part.weight))
            continue
        scaled = _scaled(part, known[part.kpi])
        adds = float(_exact(part.weight) * scaled / weight)
        yield Share(ref, part.kpi, None, measurement, float(part.weight), float(scaled), adds)


def _derived_shares(expression: Expression, figures: Figures) -> Iterator[Share]:
    asked: dict[str, Share] = {}
    waiting: list[Expression] = [expression]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, KpiRef):
            ref = f"kpi:{one.kpi}" + (f"@-{one.shift}" if one.shift else "")
            shift = period(one.shift) if one.shift else None
            if ref not in asked:
                asked[ref] = Share(ref, one.kpi, shift, figures(one.kpi, shift))
        elif isinstance(one, Operation):
            waiting += one.args
    yield from asked.values()


def _scaled(part: Part, value: Fraction) -> Fraction:
    """From 0 at the worst to 100 at the best."""
    worst, best = _exact(part.worst), _exact(part.best)
    return 100 * min(Fraction(1), max(Fraction(0), (value - worst) / (best - worst)))


def _exact(written: float) -> Fraction:
    return Fraction(repr(written))


def _derived(calc: Derived, reading: _Reading) -> Measurement:
    try:
        value = _evaluate(calc.expr, reading)
        result = _Result(value=value, reason=None if value is not None else "part_missing")
    except ZeroDivisionError:
        result = _Result(reason="part_missing" if reading.left_out else "division_by_zero")
    asked = len(reading.used) + len(reading.left_out)
    return _measurement(reading, result, len(reading.used) / asked if asked else None)


def _evaluate(expression: Expression, reading: _Reading) -> Fraction | None:
    if isinstance(expression, KpiRef):
        return reading.value(expression.kpi, expression.shift)
    if not isinstance(expression, Operation):
        return _exact(expression)
    args = [_evaluate(one, reading) for one in expression.args]
    known = [one for one in args if one is not None]
    return _operate(expression.op, known) if len(known) == len(args) else None


def _operate(op: str, args: Sequence[Fraction]) -> Fraction:
    first, *others = args
    for other in others:
        match op:
            case "add":
                first += other
            case "sub":
                first -= other
            case "mul":
                first *= other
            case "div":
                first /= other
            case "min":
                first = min(first, other)
            case "max":
                first = max(first, other)
    return first


def _measurement(reading: _Reading, result: _Result, coverage: float | None) -> Measurement:
    try:
        value = _float(result.value)
        numerator, denominator = _float(result.numerator), _float(result.denominator)
        reason = result.reason
    except OverflowError:
        value, numerator, denominator, reason = None, None, None, "overflow"
    trusts = [found.confidence for found in reading.used.values() if found.confidence is not None]
    trust = min(trusts, default=None)  # a chain is as strong as its weakest link
    return Measurement(
        value=value,
        reason=reason,
        n=len(reading.used),
        eligible=len(reading.used) + len(reading.left_out),
        excluded=_counted(list(reading.left_out.values())),
        invalid={},
        numerator=numerator,
        denominator=denominator,
        coverage=None if coverage is None else round(coverage, 3),
        mean_confidence=trust,
        confidence=None if trust is None or coverage is None else round(coverage * trust, 3),
        median=None,
        p90=None,
        used=tuple(sorted(reading.used)),
        left_out=tuple(sorted(reading.left_out.items())),
    )


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def _counted(reasons: Sequence[str]) -> dict[str, int]:
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}
