"""Which fields of a row tell why it counts as it does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kpis.formulas.kinds import Aggregate, Builtin, Conversion, Formula, Interval, Ratio, Recency
from kpis.formulas.language import AnyOf, Cond, FieldRef, Minus


def fields_of(formula: Formula) -> tuple[str, ...]:
    """The measured and judging fields, once each, in the order of the calculation."""
    return tuple(dict.fromkeys(_fields(formula)))


def _fields(formula: Formula) -> Iterator[str]:
    match formula.calc:
        case Aggregate() as calc:
            yield from _of_value(calc)
        case Ratio() as calc:
            yield calc.of.at
            yield from _named((*calc.judge, *calc.hit))
            yield from (name for name in (calc.num_value, calc.of_value) if name)
        case Interval() as calc:
            yield from (calc.start.rows.at, calc.end.rows.at)
        case Conversion() as calc:
            yield from (calc.base.at, calc.convert.at)
        case Recency() as calc:
            yield calc.event.at
        case Builtin() as calc:
            yield from calc.reads


def _of_value(calc: Aggregate) -> Iterator[str]:
    if isinstance(calc.value, Minus):
        yield from (calc.value.start, calc.value.end)
    else:
        yield calc.rows.at
        yield from (name for name in (calc.value,) if name)


def _named(conditions: Iterable[Cond | AnyOf]) -> Iterator[str]:
    for condition in conditions:
        if isinstance(condition, AnyOf):
            yield from _named(condition.any)
            continue
        yield condition.field
        if isinstance(condition.value, FieldRef):
            yield condition.value.field
