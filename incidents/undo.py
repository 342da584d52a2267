"""RULES: what may be taken back, by whom, and for how long. Pure; `now` is always handed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from incidents.errors import UndoRefused
from incidents.lifecycle import Verb, Visibility

#: A slip of the finger is seen at once.
UNDO_WINDOW = timedelta(seconds=30)
#: "I'm here" is pressed half asleep.
HERE_WINDOW = timedelta(minutes=2)
#: A self-report this close to what the incident manager saw is the same arrival, and the better time. A colleague
#: who comes much later is not the arrival of the team.
SAME_ARRIVAL = timedelta(minutes=15)

WINDOWS: dict[Verb, timedelta] = {
    Verb.ADVANCED: UNDO_WINDOW,
    Verb.STATUS: UNDO_WINDOW,
    Verb.EDITED: UNDO_WINDOW,
    Verb.RISK: UNDO_WINDOW,
    Verb.DECISION: UNDO_WINDOW,
    Verb.ROLE: UNDO_WINDOW,
    Verb.ENTRY: UNDO_WINDOW,
    Verb.PAGED: UNDO_WINDOW,
    Verb.CALLED_AGAIN: UNDO_WINDOW,
    Verb.ACKNOWLEDGED: UNDO_WINDOW,
    Verb.ARRIVED: UNDO_WINDOW,
    Verb.STOOD_DOWN: UNDO_WINDOW,
    Verb.HERE: HERE_WINDOW,
}
#: Closing and opening again change both.
_PHASE_AND_STATUS = frozenset({"phase", "status"})


@dataclass(frozen=True, slots=True)
class Deed:
    """What the rule needs to know of a log entry. `page` is the first row of the dispatch, whatever replaced it."""

    id: str
    verb: str
    by: str | None
    recorded_at: datetime
    visibility: str | None = Visibility.INTERNAL
    changes: Mapping[str, object] | None = None
    page: str | None = None
    corrects: str | None = None
    undoes: str | None = None
    is_undone: bool = False

    @property
    def order(self) -> tuple[datetime, str]:
        return self.recorded_at, self.id

    @property
    def things(self) -> frozenset[str]:
        """What it changed. Two deeds on the same thing cannot be taken back in any order but the last first."""
        match self.verb:
            case Verb.ADVANCED:
                return frozenset({"phase"})
            case Verb.RESOLVED | Verb.REOPENED:
                return _PHASE_AND_STATUS
            case Verb.ENTRY:
                return frozenset({f"entry:{self.id}"})
            case Verb.CORRECTED:
                return frozenset({f"entry:{self.corrects}"})
            case Verb.HERE if not self.page:
                return frozenset({f"here:{self.by}"})
        return frozenset({f"page:{self.page}"}) if self.page else frozenset(self.changes or ())


def check_undo(deed: Deed, others: Iterable[Deed], *, by: str | None, now: datetime) -> None:
    """Raises UndoRefused saying why. `others` are the entries of the same incident since."""
    window = WINDOWS.get(Verb(deed.verb)) if deed.verb else None
    if window is None:
        raise UndoRefused("This cannot be undone. Do the opposite, or correct it.")
    if by is None or deed.by != by:
        raise UndoRefused("Only the person who did this can undo it.")
    if deed.is_undone:
        raise UndoRefused("This is undone already.")
    if deed.verb == Verb.ENTRY and deed.visibility != Visibility.INTERNAL:
        raise UndoRefused("Stakeholders may have read this. Correct it instead.")
    if now - deed.recorded_at > window:
        raise UndoRefused(f"The {_words(window)} to undo this are over. Do the opposite, or correct it.")
    if any(_stands_in_the_way(other, deed) for other in others):
        raise UndoRefused("Something newer has changed the same thing. Undo that first, or change it back by hand.")


def _stands_in_the_way(other: Deed, deed: Deed) -> bool:
    """A later deed on the same thing, unless it was taken back itself."""
    is_off = other.is_undone or other.undoes is not None
    return not is_off and other.order > deed.order and bool(other.things & deed.things)


def _words(window: timedelta) -> str:
    seconds = int(window.total_seconds())
    return f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"


def seconds_left(deed: Deed, now: datetime) -> int:
    """How long it may still be undone, in whole seconds; 0 when it is too late."""
    window = WINDOWS.get(Verb(deed.verb)) if deed.verb else None
    return 0 if window is None else max(0, int((window - (now - deed.recorded_at)).total_seconds()))


def is_same_arrival(observed_at: datetime, reported_at: datetime) -> bool:
    """Whether a self-report tells of the arrival that the incident manager saw."""
    return abs(reported_at - observed_at) <= SAME_ARRIVAL
