"""RULES: who is asked how well they were informed, for how long, and what of the answers is shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from incidents.errors import ScoreUnknown, SurveyIsClosed

SCORES = (1, 2, 3, 4, 5)
#: Fewer answers would tell who said what.
ENOUGH = 3
#: What the ends of the scale mean.
WORST, BEST = "poorly", "very well"


def closes_at(resolved_at: datetime, open_for: timedelta) -> datetime:
    return resolved_at + open_for


def check_open(closes: datetime, *, is_resolved: bool, now: datetime) -> None:
    """Raises SurveyIsClosed after the last moment, and while the incident goes on again."""
    if not is_resolved:
        raise SurveyIsClosed("The incident was opened again. You can answer once it is resolved.")
    if now > closes:
        raise SurveyIsClosed


def checked_score(score: object) -> int:
    """The score, a whole number from 1 to 5. Raises ScoreUnknown."""
    if isinstance(score, bool) or not isinstance(score, int) or score not in SCORES:
        raise ScoreUnknown(field="score", allowed=list(SCORES))
    return score


@dataclass(frozen=True, slots=True)
class SurveyResult:
    """How an incident's survey stands. What too few answers would give away is None."""

    invited: int
    answered: int
    mean: float | None

    @property
    def is_enough(self) -> bool:
        return self.answered >= ENOUGH

    @property
    def missing(self) -> int:
        """How many answers it takes until they are shown."""
        return max(0, ENOUGH - self.answered)

    @property
    def response_percent(self) -> float | None:
        return 100 * self.answered / self.invited if self.invited else None


def result(scores: Sequence[int], invited: int) -> SurveyResult:
    mean = sum(scores) / len(scores) if len(scores) >= ENOUGH else None
    return SurveyResult(invited, len(scores), mean)
