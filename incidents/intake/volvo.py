"""Reads the incident logs of Volvo IT's VINST, as the BPI Challenge 2013 published them: a row per change of status.

    Status     Sub Status                                      is       SR Latest Impact   severity
    Queued     Awaiting Assignment                             waits    Major              critical
    Accepted   In Progress, Assigned, Wait, Wait - (anyone)    taken    High               high
    Completed  In Call, Resolved, Closed                       over     Medium             medium
    Completed  Cancelled                                       skipped  Low                low
    anything else                                              told     anything else      medium, told

Opened is the first row; acknowledged is the first row Accepted before the first end; resolved is the first row
Completed since it was last open. Where the support that answers also takes it, the first row is Accepted already, and
the acknowledgement took no time at all. Times carry their zone. Nobody's name is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from incidents.intake import Fate, Problem, printable
from incidents.intake.changelog import Change, ChangeLog, Columns, Reading, Row, State, ending, reopenings, taken_at
from incidents.lifecycle import Phase, Severity
from incidents.past import PastIncident
from majorops.lib.errors import Invalid
from majorops.lib.times import parse_time

NUMBER, CHANGED = "SR Number", "Change Date+Time"
COLUMNS = Columns(
    incident=NUMBER,
    required=(NUMBER, CHANGED, "Status", "Sub Status", "SR Latest Impact", "Product"),
    optional=("Country", "Involved ST", "Involved Org line 3", "ST Level"),
)
STATES = {
    "queued/awaiting assignment": State.WAITING,
    **{f"accepted/{word}": State.TAKEN for word in ("in progress", "assigned", "wait")},
    **{f"accepted/wait - {whom}": State.TAKEN for whom in ("user", "customer", "vendor", "implementation")},
    **{f"completed/{word}": State.OVER for word in ("in call", "resolved", "closed")},
    "completed/cancelled": State.CANCELLED,
}
SEVERITIES = {"major": Severity.CRITICAL, "high": Severity.HIGH, "medium": Severity.MEDIUM, "low": Severity.LOW}
KEPT_AS_IT_IS = ("SR Latest Impact", "Country", "Involved ST", "Involved Org line 3", "ST Level")


def read(file: BinaryIO, *, source: str = "volvo") -> tuple[int, Iterator[Reading]]:
    """How many incidents, and each after what is odd about it. Raises FileRefused."""
    log = ChangeLog(file, COLUMNS, _check)
    return len(log), log.read(lambda number, rows: _Reader(number, source).read(rows))


def _check(row: Row) -> None:
    """Raises Invalid for a row that cannot be placed in time."""
    parse_time(row.text(CHANGED), field=CHANGED)


@dataclass(slots=True)
class _Reader:
    """Reads the rows of one incident, and keeps what is odd about it."""

    number: str
    source: str
    kept: list[str] = field(default_factory=list)

    def read(self, rows: list[Row]) -> Iterator[Reading]:
        """The incident, after one line for all that is odd but kept."""
        changes = sorted(map(self._change, rows), key=lambda change: (change.at, change.row.line))
        if changes[-1].state is State.CANCELLED:
            yield Problem(Fate.SKIPPED, self.number, "It was cancelled at its source, so it is no incident.")
            return
        past = self._incident(changes)
        if self.kept:
            yield Problem(Fate.KEPT, self.number, " ".join(dict.fromkeys(self.kept)))
        yield past

    def _change(self, row: Row) -> Change:
        state = STATES.get(_word(row))
        if state is None:
            self.kept.append(f'Unknown state "{printable(_word(row), 40)}" (line {row.line}); the row moves nothing.')
        at = parse_time(row.text(CHANGED), field=CHANGED)
        return Change(row, at, state, is_taken=state is State.TAKEN)

    def _incident(self, changes: list[Change]) -> PastIncident:
        last = changes[-1]
        if last.state is None:
            raise Invalid(
                f'Its last state "{printable(_word(last.row), 40)}" (line {last.row.line}) is unknown, '
                "so nobody knows whether it is over."
            )
        taken, end, product = taken_at(changes), ending(changes), last.row.text("Product")
        return PastIncident(
            external_source=self.source,
            external_id=self.number,
            title=printable(f"{self.number}: {product}" if product else self.number, 200),
            severity=self._severity(last.row),
            detected_at=changes[0].at,
            issue_time=changes[0].at,
            resolved_at=end[0].at if end else None,
            phases=((Phase.GATHER, taken),) if taken else (),
            affected_systems=(product,) if product else (),
            metadata=_metadata(changes),
        )

    def _severity(self, last: Row) -> Severity:
        said = last.text("SR Latest Impact")
        if said.casefold() not in SEVERITIES:
            told = f'Its impact "{printable(said, 30)}" is unknown' if said else "It states no impact"
            self.kept.append(f"{told}; severity medium is assumed.")
        return SEVERITIES.get(said.casefold(), Severity.MEDIUM)


def _word(row: Row) -> str:
    """Status and sub status as the table above spells them."""
    return "/".join(" ".join(row.text(column).casefold().split()) for column in ("Status", "Sub Status"))


def _metadata(changes: list[Change]) -> dict[str, object]:
    last = changes[-1].row
    said = {column: printable(last.text(column), 500) for column in KEPT_AS_IT_IS if last.text(column)}
    return {**said, "rows": len(changes), "reopened": reopenings(changes)}
