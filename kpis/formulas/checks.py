"""What the shape cannot say: names resolve through the registered sources, and their types fit."""

from __future__ import annotations

from collections.abc import Mapping

from kpis.formulas.kinds import (
    COUNTS,
    Aggregate,
    Builtin,
    Conversion,
    Formula,
    Interval,
    Ratio,
    Recency,
    Reported,
)
from kpis.formulas.language import FieldType, FormulaError, Minus, Percentile, SourceShape, did_you_mean
from kpis.formulas.names import CONTENT, Names


def check_names(formula: Formula, sources: Mapping[str, SourceShape]) -> None:
    names = Names(sources)
    _check_calc(formula, names)
    if formula.base is not None:
        names.group(formula.base, formula.group_by, "group_by")
    if isinstance(formula.calc, Ratio) and formula.calc.num is not None:
        names.group(formula.calc.num, formula.group_by, "group_by")
    if isinstance(formula.calc, Reported) and formula.group_by:
        raise FormulaError("group_by", "A reported value is stated as a whole; leave this empty.")
    _check_subject(formula, names)


def _check_calc(formula: Formula, names: Names) -> None:
    match formula.calc:
        case Aggregate() as calc:
            _check_aggregate(calc, names)
        case Ratio() as calc:
            _check_ratio(calc, names)
        case Interval() as calc:
            _check_interval(calc, names)
        case Conversion() as calc:
            _check_conversion(calc, names)
        case Recency() as calc:
            _check_recency(calc, names)
        case Builtin() as calc:
            _check_builtin(calc, names)


def _check_subject(formula: Formula, names: Names) -> None:
    if formula.subject is None:
        return
    allowed = _subjects(formula, names)
    if formula.subject not in allowed:
        why = f'These rows are not about a "{formula.subject}". ' if allowed else "There are no samples of this kind. "
        raise FormulaError("subject", why + did_you_mean(formula.subject, [*allowed, "null"]))


def _subjects(formula: Formula, names: Names) -> set[str]:
    """What a sample of this formula may be about."""
    match formula.calc:
        case Reported():
            found = {shape.subject for shape in names.sources.values()}
        case Builtin():
            return set()
        case Interval(start=start, end=end):
            found = {names.sources[rows.source].subject for rows in (start.rows, end.rows)}
        case _:
            found = {names.sources[formula.base.source].subject} if formula.base is not None else set()
    return {name for name in found if name is not None}


def _check_aggregate(calc: Aggregate, names: Names) -> None:
    names.rows(calc.rows, "calc.rows")
    names.group(calc.rows, calc.per, "calc.per")
    if bool(calc.per) != bool(calc.then):
        raise FormulaError("calc.then", "per and then come together: aggregate each group, then the groups.")
    if isinstance(calc.value, Minus):
        for index, field in enumerate(calc.value.minus):
            names.expect(calc.rows, field, f"calc.value.minus[{index}]", FieldType.TIME)
        if calc.agg in COUNTS:
            raise FormulaError("calc.agg", f"{calc.agg} counts rows or a field, not a length of time.")
    elif calc.value is not None:
        found = names.type_of(calc.rows, calc.value, "calc.value")
        if calc.agg not in COUNTS and found is not FieldType.NUMBER:
            what = "A percentile" if isinstance(calc.agg, Percentile) else calc.agg
            raise FormulaError("calc.value", f"{what} needs numbers; {calc.value} holds {CONTENT[found]}.")
    elif calc.agg != "count":
        raise FormulaError("calc.value", "This is required, except to count rows.")


def _check_ratio(calc: Ratio, names: Names) -> None:
    names.rows(calc.of, "calc.of")
    if bool(calc.hit) == (calc.num is not None):
        raise FormulaError("calc.hit", "Give either hit (the share of rows) or num (one sum over another).")
    names.conditions(calc.of, calc.hit, "calc.hit")
    names.conditions(calc.of, calc.judge, "calc.judge")
    if calc.num is None:
        for key in ("num_value", "of_value"):
            if getattr(calc, key) is not None:
                raise FormulaError(f"calc.{key}", f"{key} goes with num; here hit decides.")
        return
    if calc.judge:
        raise FormulaError("calc.judge", "judge goes with hit; with num, say it in where.")
    names.rows(calc.num, "calc.num")
    for key, rows in (("num_value", calc.num), ("of_value", calc.of)):
        if (field := getattr(calc, key)) is not None:
            names.expect(rows, field, f"calc.{key}", FieldType.NUMBER)


def _check_interval(calc: Interval, names: Names) -> None:
    start, end = calc.start.rows, calc.end.rows
    names.rows(start, "calc.start.rows")
    names.rows(end, "calc.end.rows")
    names.pairs(start, end, calc.on, "calc.on")


def _check_conversion(calc: Conversion, names: Names) -> None:
    names.rows(calc.base, "calc.base")
    names.rows(calc.convert, "calc.convert")
    if calc.base == calc.convert:
        raise FormulaError("calc.convert", "These are the base rows: each would convert itself.")
    names.pairs(calc.base, calc.convert, calc.on, "calc.on")
    names.length(calc.base, calc.within, "calc.within")


def _check_recency(calc: Recency, names: Names) -> None:
    names.members(calc.universe, "calc.universe")
    names.rows(calc.event, "calc.event")
    names.pairs(calc.universe, calc.event, calc.on, "calc.on")
    names.length(calc.universe, calc.max_age, "calc.max_age")


def _check_builtin(calc: Builtin, names: Names) -> None:
    shape = names.shape(calc.rows, "calc")
    for field, needed in calc.reads.items():
        if shape.fields.get(field) is not needed:
            raise FormulaError("calc.name", f"{calc.name} needs {calc.rows.source}.{field}, which is not there.")
    if calc.params.min_provisional > calc.params.min_rated:
        raise FormulaError("calc.params.min_provisional", "A provisional class comes before a rated one.")
