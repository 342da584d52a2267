"""A unit says what the calculation gives."""

from __future__ import annotations

from kpis.formulas.kinds import COUNTS, Aggregate, Builtin, Composite, Conversion, Formula, Ratio, Recency
from kpis.formulas.language import CALENDAR_RATES, MICROSECONDS, RATES, SHARES, FormulaError, period


def check_units(formula: Formula) -> None:
    unit, calc = formula.unit, formula.calc
    if len(set(formula.windows)) < len(formula.windows):
        raise FormulaError("windows", "Name each window once.")
    if formula.duration_unit is not None and formula.duration_unit != unit:
        raise FormulaError("unit", f"The calculation is in {formula.duration_unit}, so the unit is too, not {unit}.")
    if isinstance(calc, Ratio | Conversion | Recency) and unit not in SHARES:
        raise FormulaError("unit", f'A {calc.kind} is in percent or ratio, not in "{unit}".')
    if isinstance(calc, Composite) and unit != "score":
        raise FormulaError("unit", f'A composite is a score, not "{unit}".')
    if isinstance(calc, Builtin) and unit != "class":
        raise FormulaError("unit", f'{calc.name} gives a class, not "{unit}".')
    if isinstance(calc, Aggregate) and calc.agg in COUNTS and unit in {*MICROSECONDS, *SHARES, "score"}:
        raise FormulaError("unit", f'A count is no {unit}; use "count" or what is counted.')
    if isinstance(calc, Aggregate) and calc.every is not None:
        _check_rate(formula, calc, calc.every)


def _check_rate(formula: Formula, calc: Aggregate, every: str) -> None:
    if calc.agg not in (*COUNTS, "sum"):
        raise FormulaError("calc.every", "Only a count or a sum can be so many per period.")
    if formula.subject is not None:
        raise FormulaError("subject", "A rate is about a whole window; the subject is null.")
    if RATES.get(formula.unit) != period(every):
        raise FormulaError("unit", f"A rate every {every} needs the unit that says so. Allowed: {', '.join(RATES)}.")
    for index, window in enumerate(formula.windows):
        if window == "all" or CALENDAR_RATES.get(window, formula.unit) != formula.unit:
            raise FormulaError(f"windows[{index}]", f"{formula.unit} over {window} has no fixed number of periods.")
