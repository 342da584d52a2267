"""The entries of a formula, by its kind. What becomes of a row is told in population.py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from kpis.evaluate.dispatches import dispatch_entries
from kpis.evaluate.pairs import conversion_entries, interval_entries, recency_entries
from kpis.evaluate.population import Entry, Fate, empty, judges_value, placed_at, select
from kpis.evaluate.rows import Row, Tables, holds, microseconds, number, seen, time_of
from kpis.formulas.kinds import Aggregate, Builtin, Conversion, Formula, Interval, Ratio, Recency
from kpis.formulas.language import Minus, Rows


def entries_of(formula: Formula, rows: Tables, as_of: datetime) -> Iterator[Entry]:
    """None for a formula that reads no rows."""
    match formula.calc:
        case Aggregate() as calc:
            yield from _aggregate_entries(calc, rows, as_of)
        case Ratio() as calc:
            yield from _ratio_entries(calc, rows, as_of)
        case Interval() as calc:
            yield from interval_entries(calc, rows, as_of)
        case Conversion() as calc:
            yield from conversion_entries(calc, rows, as_of)
        case Recency() as calc:
            yield from recency_entries(calc, rows, as_of)
        case Builtin() as calc:
            yield from dispatch_entries(calc, rows, as_of)


def _aggregate_entries(calc: Aggregate, rows: Tables, as_of: datetime) -> Iterator[Entry]:
    if isinstance(calc.value, Minus):
        kept, out = select(calc.rows, rows, as_of, calc.value.minus)
        yield from (_duration_entry(row, calc.value, calc.rows, as_of) for row in kept)
    else:
        kept, out = select(calc.rows, rows, as_of, (calc.value,) if calc.value else ())
        is_number = calc.agg not in ("count", "count_distinct")
        yield from (_value_entry(row, calc.value, calc.rows, as_of, is_number) for row in kept)
    yield from out


def _duration_entry(row: Row, value: Minus, spec: Rows, as_of: datetime) -> Entry:
    start, end = time_of(row, value.start), seen(row, value.end, as_of)
    placed = placed_at(row, spec, as_of)
    if start is None:
        return empty(row, value.start, spec, as_of)
    if start >= as_of:
        return Entry(row, Fate.LATER, placed, f"{value.start} is after as_of")
    if end is None:
        return empty(row, value.end, spec, as_of)
    if end < start:
        return Entry(row, Fate.INVALID, placed, "negative_duration")
    return Entry(row, Fate.VALID, placed, value=microseconds(end - start), at=time_of(row, spec.at))


def _value_entry(row: Row, field: str | None, spec: Rows, as_of: datetime, is_number: bool = True) -> Entry:
    placed = placed_at(row, spec, as_of)
    if field is None:
        return Entry(row, Fate.VALID, placed, value=1, at=placed)
    value = seen(row, field, as_of) if isinstance(row.get(field), datetime) else row.get(field)
    if value is None:
        return empty(row, field, spec, as_of)
    if is_number:
        value = number(value)
        if value is None:
            return Entry(row, Fate.INVALID, placed, "not_a_number")
    if not all(holds(condition, row) for condition in spec.where if judges_value(condition, (field,))):
        return Entry(row, Fate.INVALID, placed, "out_of_range")
    return Entry(row, Fate.VALID, placed, value=value, at=placed)


def _ratio_entries(calc: Ratio, rows: Tables, as_of: datetime) -> Iterator[Entry]:
    if calc.num is not None:
        yield from _sum_ratio_entries(calc, calc.num, rows, as_of)
        return
    kept, out = select(calc.of, rows, as_of)
    for row in kept:
        placed = time_of(row, calc.of.at)
        if all(holds(condition, row) for condition in calc.judge):
            is_hit = all(holds(condition, row) for condition in calc.hit)
            yield Entry(row, Fate.VALID, placed, value=(int(is_hit), 1), at=placed)
        else:
            yield Entry(row, Fate.OUT, placed, "not judged yet")
    yield from out


def _sum_ratio_entries(calc: Ratio, num: Rows, rows: Tables, as_of: datetime) -> Iterator[Entry]:
    """One sum over another. A row on both sides counts on both or, when one value is bad, on neither."""
    whole = _side(calc.of, calc.of_value, rows, as_of)
    part = _side(num, calc.num_value, rows, as_of)
    for ref in sorted({*whole, *part}):
        sides = [side[ref] for side in (whole, part) if ref in side]
        bad = next((entry for entry in sides if entry.fate in (Fate.INVALID, Fate.MISSED)), None)
        valid = {id(entry) for entry in sides if entry.fate is Fate.VALID}
        if bad is not None or not valid:
            yield bad or sides[0]
            continue
        in_whole, in_part = (ref in side and id(side[ref]) in valid for side in (whole, part))
        value = (part[ref].value if in_part else 0, whole[ref].value if in_whole else 0)
        yield (whole if in_whole else part)[ref]._replace(value=value, counts=in_whole)


def _side(spec: Rows, field: str | None, rows: Tables, as_of: datetime) -> dict[str, Entry]:
    kept, out = select(spec, rows, as_of, (field,) if field else ())
    entries = [*(_value_entry(row, field, spec, as_of) for row in kept), *out]
    return {entry.ref: entry for entry in entries}
