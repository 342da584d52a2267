"""What a formula reads: sources, their fields, and other KPIs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kpis.formulas.kinds import Aggregate, Builtin, Conversion, Formula, Interval, Length, Ratio, Recency
from kpis.formulas.language import AnyOf, Cond, FieldRef, Members, Minus, Rows
from kpis.formulas.references import references

Read = tuple[str, str]


def data_sources(formula: Formula) -> tuple[str, ...]:
    """Every field the formula reads, as "incidents.resolved_at", and every KPI, as "kpi:mttr", sorted."""
    fields = {f"{source}.{field}" for source, field in _reads(formula)}
    return tuple(sorted(fields | {f"kpi:{slug}" for slug in references(formula)}))


def source_names(formula: Formula) -> tuple[str, ...]:
    """The sources whose rows the formula needs, sorted."""
    return tuple(sorted({source for source, _ in _reads(formula)}))


def _reads(formula: Formula) -> Iterator[Read]:
    if formula.base is not None:
        yield from _qualified(formula.base, formula.group_by)
    match formula.calc:
        case Aggregate() as calc:
            value = calc.value.minus if isinstance(calc.value, Minus) else (calc.value,)
            yield from _rows(calc.rows, (*value, *calc.per))
        case Ratio() as calc:
            yield from _rows(calc.of, (calc.of_value, *_named((*calc.judge, *calc.hit))))
            if calc.num is not None:
                yield from _rows(calc.num, (calc.num_value, *formula.group_by))
        case Interval() as calc:
            yield from _rows(calc.start.rows, [left for left, _ in calc.on])
            yield from _rows(calc.end.rows, [right for _, right in calc.on])
        case Conversion() as calc:
            yield from _rows(calc.base, (_field(calc.within), *(left for left, _ in calc.on)))
            yield from _rows(calc.convert, [right for _, right in calc.on])
        case Recency() as calc:
            yield from _rows(calc.universe, (_field(calc.max_age), *(left for left, _ in calc.on)))
            yield from _rows(calc.event, [right for _, right in calc.on])
        case Builtin() as calc:
            yield from _rows(calc.rows, calc.reads)


def _rows(rows: Members, also: Iterable[str | None]) -> Iterator[Read]:
    placed = (rows.at, *rows.latest_per) if isinstance(rows, Rows) else ()
    return _qualified(rows, (*placed, *_named(rows.where), *also))


def _qualified(rows: Members, fields: Iterable[str | None]) -> Iterator[Read]:
    return ((rows.source, field) for field in fields if field is not None)


def _field(length: Length) -> str | None:
    return length.field if isinstance(length, FieldRef) else None


def _named(conditions: Iterable[Cond | AnyOf]) -> Iterator[str]:
    for condition in conditions:
        if isinstance(condition, AnyOf):
            yield from _named(condition.any)
        else:
            yield condition.field
            if isinstance(condition.value, FieldRef):
                yield condition.value.field
