"""RULES: how long a duration has been running that a KPI will measure once it is over. Shown, never stored."""

from __future__ import annotations

from datetime import datetime

from kpis.evaluate.rows import Row, holds, time_of
from kpis.formulas.kinds import Aggregate, Formula, Interval
from kpis.formulas.language import AnyOf, Minus


def running_since(formula: Formula, row: Row) -> datetime | None:
    """The beginning of what the formula measures of this incident; None if it has not begun, or is over.

    The row is one of the source `incidents`. That an interval has found no end yet is for the caller to know.
    """
    calc, end = formula.calc, ""
    if isinstance(calc, Aggregate) and isinstance(calc.value, Minus):
        rows, start, end = calc.rows, calc.value.start, calc.value.end
    elif isinstance(calc, Interval):
        rows, start = calc.start.rows, calc.start.rows.at
    else:
        return None
    asked = [condition for condition in rows.where if isinstance(condition, AnyOf) or condition.field != end]
    is_over = row.get(end) is not None
    if rows.source != "incidents" or is_over or not all(holds(condition, row) for condition in asked):
        return None
    return time_of(row, start)
