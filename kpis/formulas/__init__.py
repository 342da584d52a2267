"""The formula language `majorops.kpi/1`: what a KPI definition may say, and nothing else.

A formula is data. It names registered sources, fields and KPIs, and is never run as Python or SQL. `parse` is the only
way in: size and depth first, then the shape, then names and types, then units, then other KPIs. A new kind of
calculation adds one model to `Calc` (kinds.py), one check (checks.py), what it reads (reads.py), one sentence
(words.py), and its evaluator (kpis/evaluate); a kind that cannot be evaluated is not accepted.
"""

from kpis.formulas.kinds import Composite, Derived, Formula, Reported
from kpis.formulas.language import FieldType, FormulaError, SourceShape, period
from kpis.formulas.parsing import parse
from kpis.formulas.reads import data_sources, source_names
from kpis.formulas.references import KpiShape, references, references_in
from kpis.formulas.words import in_words

__all__ = [
    "Composite",
    "Derived",
    "FieldType",
    "Formula",
    "FormulaError",
    "KpiShape",
    "Reported",
    "SourceShape",
    "data_sources",
    "in_words",
    "parse",
    "period",
    "references",
    "references_in",
    "source_names",
]
