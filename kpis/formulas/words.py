"""A formula in words: what it computes, and why a row was left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import assert_never

from kpis.formulas.kinds import (
    Aggregate,
    Builtin,
    Composite,
    Conversion,
    Derived,
    Expression,
    Formula,
    Interval,
    KpiRef,
    Length,
    Operation,
    Part,
    Ratio,
    Recency,
    Reported,
)
from kpis.formulas.language import AnyOf, Cond, FieldRef, Members, Minus, Percentile, Rows

_HOLDS = {
    "eq": "is", "ne": "is not", "in": "is one of", "not_in": "is none of", "lt": "is below", "lte": "is at most",
    "gt": "is above", "gte": "is at least", "starts_with": "starts with", "is_null": "is empty",
    "not_null": "is known",
}  # fmt: skip
_FAILS = {
    "eq": "is not", "ne": "is", "in": "is none of", "not_in": "is one of", "lt": "is not below",
    "lte": "is not at most", "gt": "is not above", "gte": "is not at least", "starts_with": "does not start with",
    "is_null": "is not empty", "not_null": "is empty",
}  # fmt: skip


def condition_in_words(condition: Cond | AnyOf) -> str:
    """ "severity is critical"; what must hold for a row."""
    if isinstance(condition, AnyOf):
        return f"({' or '.join(map(condition_in_words, condition.any))})"
    return _comparison(condition, _HOLDS)


def failure_in_words(condition: Cond | AnyOf) -> str:
    """ "severity is not critical"; why a row was left out. One text per condition, so that reasons can be counted."""
    if isinstance(condition, AnyOf):
        return f"not {condition_in_words(condition)}"
    return _comparison(condition, _FAILS)


def _comparison(cond: Cond, verbs: Mapping[str, str]) -> str:
    if cond.op in ("is_null", "not_null"):
        return f"{cond.field} {verbs[cond.op]}"
    value = cond.value
    if isinstance(value, FieldRef):
        right = value.field
    else:
        right = ", ".join(map(_plain, value)) if isinstance(value, tuple) else _plain(value)
    return f"{cond.field} {verbs[cond.op]} {right}"


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_AGGREGATES = {
    "count": "Number", "count_distinct": "Number of different values", "sum": "Sum", "avg": "Average", "min": "Lowest",
    "max": "Highest", "median": "Median", "first": "First", "last": "Last",
}  # fmt: skip
_CALENDAR = {
    "all": "all time",
    "calendar-day": "each day",
    "calendar-week": "each week",
    "calendar-month": "each month",
}


def in_words(formula: Formula) -> str:
    """What is computed, in sentences for the catalogue."""
    sentences = _calc_in_words(formula)
    if isinstance(formula.base, Rows):
        sentences.append(f"Rows count by their {formula.base.at}.")
    if formula.subject is not None:
        sentences.append(f"One figure is kept for each {formula.subject.replace('_', ' ')}.")
    if formula.group_by:
        sentences.append(f"Also split by {' and '.join(formula.group_by)}.")
    sentences.append(f"Over {', '.join(map(_window_in_words, formula.windows))}.")
    return " ".join(sentences)


def _calc_in_words(formula: Formula) -> list[str]:
    match formula.calc:
        case Aggregate() as calc:
            return [_aggregate_in_words(calc)]
        case Ratio() as calc:
            return _ratio_in_words(calc, formula.unit)
        case Interval() as calc:
            return _interval_in_words(calc)
        case Conversion() as calc:
            return _conversion_in_words(calc, formula.unit)
        case Recency() as calc:
            return _recency_in_words(calc, formula.unit)
        case Composite() as calc:
            return _composite_in_words(calc)
        case Derived() as calc:
            return [f"{_expression_in_words(calc.expr)}.", "When one of them has no value, neither has this."]
        case Reported():
            return ["Nothing is computed; the value is the one that people or other systems report."]
        case Builtin() as calc:
            return _credit_in_words(calc)
        case other:
            assert_never(other)


def _rows_in_words(rows: Members) -> str:
    latest = rows.latest_per if isinstance(rows, Rows) else ()
    newest = f" (the newest row per {' and '.join(latest)})" if latest else ""
    where = f" where {' and '.join(map(condition_in_words, rows.where))}" if rows.where else ""
    return f"{rows.source}{newest}{where}"


def _aggregation_in_words(agg: str | Percentile) -> str:
    return f"{agg.p:g}th percentile" if isinstance(agg, Percentile) else _AGGREGATES[agg]


def _aggregate_in_words(calc: Aggregate) -> str:
    what = _aggregation_in_words(calc.agg)
    if isinstance(calc.value, Minus):
        what += f" of {calc.value.end} minus {calc.value.start}, in {calc.value.unit},"
    elif calc.value is not None:
        what += f" of {calc.value}"
    then = f"{_AGGREGATES[calc.then]} over each {' and '.join(calc.per)} of: " if calc.then else ""
    every = f", per {calc.every}" if calc.every else ""
    return f"{then}{what}{' over' if calc.value else ' of'} {_rows_in_words(calc.rows)}{every}."


def _ratio_in_words(calc: Ratio, unit: str) -> list[str]:
    def total(rows: Rows, value: str | None) -> str:
        return f"the {f'sum of {value} over' if value else 'number of'} {_rows_in_words(rows)}"

    if calc.num is not None:
        share = f"{total(calc.num, calc.num_value).capitalize()}, divided by {total(calc.of, calc.of_value)}"
    else:
        share = f"Share of {_rows_in_words(calc.of)} whose {' and '.join(map(condition_in_words, calc.hit))}"
    sentences = [f"{share}, {_scale_in_words(unit)}."]
    if calc.complement:
        sentences.append("The rest to the whole is shown.")
    if calc.judge:
        sentences.append(f"Judged only when {' and '.join(map(condition_in_words, calc.judge))}.")
    return sentences


def _interval_in_words(calc: Interval) -> list[str]:
    picked = {"first": "the first", "last": "the last", "each": "each", "first_after": "the next"}
    sentences = [
        f"{_aggregation_in_words(calc.agg)} time, in {calc.unit}, from {picked[calc.start.pick]} {calc.start.rows.at} "
        f"in {_rows_in_words(calc.start.rows)} to {picked[calc.end.pick]} {calc.end.rows.at} "
        f"in {_rows_in_words(calc.end.rows)}, matched on {_keys_in_words(calc.on)}."
    ]
    if calc.within:
        sentences.append(f"An end later than {calc.within} does not count.")
    if calc.negative == "reject":
        sentences.append("An end before its start is reported as invalid.")
    return sentences


def _conversion_in_words(calc: Conversion, unit: str) -> list[str]:
    keys = _keys_in_words(calc.on)
    which = "each row by itself" if calc.entity == "each" else "only the first row of its key"
    return [
        f"Share of {_rows_in_words(calc.base)} that a row of {_rows_in_words(calc.convert)} follows by its "
        f"{calc.convert.at} within {_length_in_words(calc.within)}, {_scale_in_words(unit)}, matched on {keys}.",
        f"Of {calc.base.source} {which} counts.",
        "Rows whose time is not over yet are left out, even if they were followed already.",
    ]


def _recency_in_words(calc: Recency, unit: str) -> list[str]:
    return [
        f"Share of {_rows_in_words(calc.universe)} whose newest {calc.event.at} in {_rows_in_words(calc.event)} is at "
        f"most {_length_in_words(calc.max_age)} old, {_scale_in_words(unit)}, matched on {_keys_in_words(calc.on)}.",
        "What never had one is too old.",
    ]


def _composite_in_words(calc: Composite) -> list[str]:
    parts = ", ".join(map(_part_in_words, calc.parts))
    sentences = [f"Weighted mean, from 0 to 100, of {parts}.", "What lies beyond a scale counts as its end."]
    if calc.missing == "null":
        sentences.append("When a part has no value, neither has this.")
    else:
        least = f", if they make up {calc.min_weight:.0%} of the weight" if calc.min_weight else ""
        sentences.append(f"When a part has no value, the others stand for it{least}.")
    return sentences


def _part_in_words(part: Part) -> str:
    scale = (
        "" if (part.worst, part.best) == (0, 100) else f", {part.worst:g} being the worst and {part.best:g} the best"
    )
    return f"{part.kpi} ({part.weight * 100:g} %{scale})"


_SIGNS = {"add": "+", "sub": "-", "mul": "x", "div": "/"}


def _expression_in_words(expression: Expression, is_inner: bool = False) -> str:
    if isinstance(expression, KpiRef):
        return f"{expression.kpi} {_count_in_words(expression.shift)} before" if expression.shift else expression.kpi
    if not isinstance(expression, Operation):
        return f"{expression:g}"
    inner = [_expression_in_words(one, True) for one in expression.args]
    if expression.op in ("min", "max"):
        return f"the {'lowest' if expression.op == 'min' else 'highest'} of ({', '.join(inner)})"
    text = f" {_SIGNS[expression.op]} ".join(inner)
    return f"({text})" if is_inner else text


def _credit_in_words(calc: Builtin) -> list[str]:
    return [
        "Dispatch credit, version 1: a class from 1 (best) to 10 for how reliably a paged team arrives within the "
        "limit of the alarm level, acknowledges in time, and keeps its slowest tenth short.",
        "Shares count as their lower bound, so that a short perfect record is worth less than a long one.",
        f"Below {calc.params.min_provisional} judged dispatches there is no class, below {calc.params.min_rated} a "
        "provisional one.",
        f"Read from {calc.rows.source}: {', '.join(sorted(calc.reads))}.",
    ]


def _keys_in_words(pairs: tuple[tuple[str, str], ...]) -> str:
    return " and ".join(f"{left} = {right}" for left, right in pairs)


def _scale_in_words(unit: str) -> str:
    return f"in {'percent' if unit == 'percent' else 'parts of 1'}"


def _length_in_words(length: Length) -> str:
    return f"the days that {length.field} says" if isinstance(length, FieldRef) else _count_in_words(length)


def _window_in_words(window: str) -> str:
    return _CALENDAR[window] if window in _CALENDAR else f"the last {_count_in_words(window)}"


def _count_in_words(period: str) -> str:
    count, unit = re.sub(r"\D", "", period), {"D": "days", "W": "weeks", "H": "hours"}[period[-1]]
    return f"{count} {unit}"
