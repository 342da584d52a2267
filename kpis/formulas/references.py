"""KPIs made of other KPIs: those exist, form no circle, and nobody sees through the whole what the parts hide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kpis.formulas.kinds import Composite, Derived, Expression, Formula, KpiRef, Operation
from kpis.formulas.language import MICROSECONDS, FormulaError, did_you_mean

MAX_CHAIN = 5
#: Who sees a KPI, from the widest audience to the narrowest.
AUDIENCES = ("stakeholder", "exec", "internal", "personal")


@dataclass(frozen=True, slots=True)
class KpiShape:
    """What a formula must know of another KPI. `visibility` is one of AUDIENCES, `references` are its own parts."""

    slug: str
    unit: str
    visibility: str
    references: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()


def references(formula: Formula) -> tuple[str, ...]:
    """The slugs of the KPIs that the formula is made of, sorted."""
    return tuple(sorted({ref.kpi for _, ref in _references(formula)}))


def references_in(spec: object) -> tuple[str, ...]:
    """The same from JSON that may not be valid, for drafts: a circle must not hide behind one."""
    calc = spec.get("calc") if isinstance(spec, dict) else None
    kind = calc.get("kind") if isinstance(calc, dict) else None
    return tuple(sorted(set(_slugs(calc)))) if kind in ("composite", "derived") else ()


def _slugs(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("kpi"), str):
            yield value["kpi"]
        for inner in value.values():
            yield from _slugs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _slugs(inner)


def _references(formula: Formula) -> Iterator[tuple[str, KpiRef]]:
    """Each reference with its path."""
    if isinstance(formula.calc, Composite):
        for index, part in enumerate(formula.calc.parts):
            yield f"calc.parts[{index}].kpi", KpiRef(kpi=part.kpi)
    elif isinstance(formula.calc, Derived):
        yield from _leaves(formula.calc.expr, "calc.expr")


def _leaves(expression: Expression, path: str) -> Iterator[tuple[str, KpiRef]]:
    if isinstance(expression, KpiRef):
        yield f"{path}.kpi", expression
    elif isinstance(expression, Operation):
        for index, inner in enumerate(expression.args):
            yield from _leaves(inner, f"{path}.args[{index}]")


def check_references(formula: Formula, kpis: Mapping[str, KpiShape], slug: str | None, visibility: str | None) -> None:
    """`slug` and `visibility` are those of the KPI itself, as far as they are known."""
    seen: set[tuple[str, int]] = set()
    for path, ref in _references(formula):
        if ref.kpi not in kpis:
            raise FormulaError(path, f'There is no KPI "{ref.kpi}". {did_you_mean(ref.kpi, kpis)}')
        _check_chain((slug, ref.kpi) if slug else (ref.kpi,), kpis, path, seen)
        _check_audience(kpis[ref.kpi], visibility, path)
        _check_groups(kpis[ref.kpi], formula.group_by)
    if isinstance(formula.calc, Composite):
        _check_composite(formula.calc)
    elif isinstance(formula.calc, Derived):
        _check_derived(formula, formula.calc, kpis)


def _check_chain(
    chain: tuple[str, ...], kpis: Mapping[str, KpiShape], path: str, seen: set[tuple[str, int]], length: int = 1
) -> None:
    """Depth first. The length is bounded before the next step, so that a circle ends too."""
    last = chain[-1]
    if last in chain[:-1]:
        circle = chain[chain.index(last) :]
        raise FormulaError(path, f"A KPI cannot be made of itself: {' -> '.join(circle)}.")
    if length > MAX_CHAIN:
        raise FormulaError(path, f"A chain of more than {MAX_CHAIN} KPIs: {' -> '.join(chain)}.")
    if (last, length) in seen:  # many ways lead to one KPI; what lies behind it is the same
        return
    seen.add((last, length))
    for following in kpis[last].references if last in kpis else ():
        _check_chain((*chain, following), kpis, path, seen, length + 1)


def _check_audience(part: KpiShape, visibility: str | None, path: str) -> None:
    if visibility is not None and AUDIENCES.index(part.visibility) > AUDIENCES.index(visibility):
        why = f"{part.slug} is {part.visibility}; a KPI that is {visibility} would show it to more people."
        raise FormulaError(path, why)


def _check_groups(part: KpiShape, group_by: tuple[str, ...]) -> None:
    for index, field in enumerate(group_by):
        if field not in part.group_by:
            why = f"{part.slug} is not split by {field}. {did_you_mean(field, part.group_by)}"
            raise FormulaError(f"group_by[{index}]", why)


def _check_composite(calc: Composite) -> None:
    slugs = [part.kpi for part in calc.parts]
    for index, part in enumerate(calc.parts):
        if part.kpi in slugs[:index]:
            raise FormulaError(f"calc.parts[{index}].kpi", f"{part.kpi} is a part already.")
        if part.worst == part.best:
            raise FormulaError(f"calc.parts[{index}].best", "The best is another number than the worst.")
    total = math.fsum(part.weight for part in calc.parts)
    if abs(total - 1) > 1e-9:
        raise FormulaError("calc.parts", f"The weights add up to {total:g}; they must add up to 1.")
    if calc.min_weight is not None and calc.missing != "renormalise":
        raise FormulaError("calc.min_weight", 'min_weight goes with "missing": "renormalise".')


# --- The units of a tree ---


def _check_derived(formula: Formula, calc: Derived, kpis: Mapping[str, KpiShape]) -> None:
    if not list(_leaves(calc.expr, "calc.expr")):
        raise FormulaError("calc.expr", 'A derived KPI is made of others; name one as {"kpi": "mttr"}.')
    unit = _unit_of(calc.expr, kpis, "calc.expr")
    if unit in MICROSECONDS and formula.unit != unit:
        raise FormulaError("unit", f"The calculation is in {unit}, so the unit is too, not {formula.unit}.")


def _unit_of(expression: Expression, kpis: Mapping[str, KpiShape], path: str) -> str | None:
    """The unit of a part of the tree; None for a plain number, and for a product, which may be anything."""
    if isinstance(expression, KpiRef):
        return kpis[expression.kpi].unit
    if not isinstance(expression, Operation):
        return None
    _check_arity(expression, path)
    units = [_unit_of(inner, kpis, f"{path}.args[{index}]") for index, inner in enumerate(expression.args)]
    if expression.op in ("mul", "div"):
        return None
    known = sorted({unit for unit in units if unit is not None})
    if len(known) > 1:
        raise FormulaError(f"{path}.args", f"{expression.op} needs one unit; here are {' and '.join(known)}.")
    return known[0] if known else None


def _check_arity(operation: Operation, path: str) -> None:
    if operation.op in ("sub", "div") and len(operation.args) != 2:
        raise FormulaError(f"{path}.args", f"{operation.op} takes two; here are {len(operation.args)}.")
    if operation.op == "div" and operation.args[1] == 0:
        raise FormulaError(f"{path}.args[1]", "Nothing can be divided by 0.")
