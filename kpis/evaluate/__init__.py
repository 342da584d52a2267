"""From a formula and rows to figures. Pure: rows and `as_of` come in, measurements go out.

What becomes of each row, and what coverage means, is told in population.py.
"""

from kpis.evaluate.combined import Figures
from kpis.evaluate.evaluation import Evaluation, Sample, measure, samples, span
from kpis.evaluate.figures import Measurement, stable
from kpis.evaluate.rows import Dims, Row, Tables

__all__ = [
    "Dims",
    "Evaluation",
    "Figures",
    "Measurement",
    "Row",
    "Sample",
    "Tables",
    "measure",
    "samples",
    "span",
    "stable",
]
