"""From rows to stored observations.

`drafts` reads rows and says what follows from them, `diff` compares it with what is stored, `store` writes the
difference, and `runs` does all three: for one incident, for a span of time, every night, or to check a past figure.
"""

from kpis.compute.diff import Counts
from kpis.compute.drafts import Draft, dims_key, inputs_hash, part_figures
from kpis.compute.runs import Change, Difference, backfill, last_midnight, nightly, recompute_incident, verify
from kpis.models import CLAIMS, EVERYONE

__all__ = [
    "CLAIMS",
    "EVERYONE",
    "Change",
    "Counts",
    "Difference",
    "Draft",
    "backfill",
    "dims_key",
    "inputs_hash",
    "last_midnight",
    "nightly",
    "part_figures",
    "recompute_incident",
    "verify",
]
