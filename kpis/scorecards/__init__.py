"""Scorecards: per audience the KPIs it may read, against their targets, with how they moved and how far to trust them.

A page costs the same few queries however many KPIs, incidents or weeks there are. Samples of restricted incidents are
left out for every reader, as in the rollups: two readers of one scorecard must see one number.
"""

from kpis.scorecards.audiences import (
    TITLES,
    Name,
    NoSuchScorecard,
    Scorecard,
    Section,
    days_of,
    may_open,
    opened,
    scorecard,
    showing,
)
from kpis.scorecards.boards import Board, Team
from kpis.scorecards.cards import Card
from kpis.scorecards.stock import SPANS

__all__ = [
    "SPANS",
    "TITLES",
    "Board",
    "Card",
    "Name",
    "NoSuchScorecard",
    "Scorecard",
    "Section",
    "Team",
    "days_of",
    "may_open",
    "opened",
    "scorecard",
    "showing",
]
