"""From a formula and rows to figures. Pure: rows and `as_of` come in, measurements go out.

What becomes of each row, and what coverage means, is told in population.py.
"""

from kpis.evaluate.combined import Figures, Share, shares
from kpis.evaluate.evaluation import Evaluation, Sample, measure, samples, span
from kpis.evaluate.explained import Explained, Place, Told
from kpis.evaluate.figures import Measurement, stable
from kpis.evaluate.rows import Dims, Row, Tables

__all__ = [
    "Dims",
    "Evaluation",
    "Explained",
    "Figures",
    "Measurement",
    "Place",
    "Row",
    "Sample",
    "Share",
    "Tables",
    "Told",
    "measure",
    "samples",
    "shares",
    "span",
    "stable",
]
