"""Reads ServiceNow incident change logs: a row per change, as an export of the audit history has them.

    incident_state                      is      priority              severity
    New                                 waits   1 (Critical)          critical
    Active, In Progress, Assigned,      taken   2 (High)              high
    Work in Progress, On Hold,                  3 (Moderate)          medium
    Awaiting (anything listed)                  4 (Low), 5 (Planning) low
    Resolved                            over    anything else         medium, told
    Closed                              filed
    Canceled                            no incident, skipped

Opened is opened_at; acknowledged is the first row before the first end that is taken or names assigned_to; resolved is
resolved_at of the last row, or the first row Resolved since it was last open. closed_at is days later, and not used.
The last state decides whether it is over. Times have no zone and, as a rule, the day first. Nobody's name is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import partial
from typing import BinaryIO

from incidents.intake import Fate, Problem, printable
from incidents.intake.changelog import (
    Change,
    ChangeLog,
    Columns,
    Reading,
    Row,
    State,
    ending,
    local_time,
    reopenings,
    taken_at,
)
from incidents.lifecycle import Phase, Severity
from incidents.past import PastIncident
from majorops.lib.errors import Invalid
from majorops.lib.times import iso

COLUMNS = Columns(
    incident="number",
    required=(
        "number", "incident_state", "sys_mod_count", "opened_at", "sys_updated_at", "resolved_at", "assigned_to",
        "priority",
    ),
    optional=(
        "short_description", "category", "subcategory", "cmdb_ci", "business_service", "assignment_group",
        "contact_type", "closed_code", "closed_at", "reassignment_count", "reopen_count", "made_sla",
    ),
)  # fmt: skip
STATES = {
    "new": State.WAITING,
    **dict.fromkeys(("active", "in progress", "assigned", "work in progress", "on hold"), State.TAKEN),
    **dict.fromkeys(
        ("awaiting user info", "awaiting caller", "awaiting problem", "awaiting change", "awaiting vendor"), State.TAKEN
    ),
    "awaiting evidence": State.TAKEN,
    "resolved": State.OVER,
    "closed": State.FILED,
    "canceled": State.CANCELLED,
    "cancelled": State.CANCELLED,
}
SEVERITIES = {
    "1": Severity.CRITICAL,
    "2": Severity.HIGH,
    "3": Severity.MEDIUM,
    "4": Severity.LOW,
    "5": Severity.LOW,
}
#: What the last row says besides, for the metadata.
KEPT_AS_IT_IS = (
    "category", "subcategory", "assignment_group", "contact_type", "closed_code", "closed_at", "reassignment_count",
    "reopen_count", "made_sla", "priority",
)  # fmt: skip
TIMES = ("opened_at", "sys_updated_at", "resolved_at")


def read(file: BinaryIO, *, zone: tzinfo, source: str = "servicenow") -> tuple[int, Iterator[Reading]]:
    """How many incidents, and each after what is odd about it. Raises FileRefused."""
    log = ChangeLog(file, COLUMNS, partial(_check, zone=zone))
    return len(log), log.read(lambda number, rows: _Reader(number, source, zone).read(rows))


def _check(row: Row, *, zone: tzinfo) -> None:
    """Raises Invalid for a row that cannot be placed in time or in order."""
    for column in TIMES:
        if text := row.text(column):
            local_time(text, zone, field=column)
    if not row.text("sys_updated_at"):
        raise Invalid("sys_updated_at is missing, so nobody knows when it changed.")
    if not (row.text("sys_mod_count").isascii() and row.text("sys_mod_count").isdigit()):
        raise Invalid(f"sys_mod_count must be a number, not {printable(row.text('sys_mod_count'), 20)!r}.")


@dataclass(slots=True)
class _Reader:
    """Reads the rows of one incident, and keeps what is odd about it."""

    number: str
    source: str
    zone: tzinfo
    kept: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)

    def read(self, rows: list[Row]) -> Iterator[Reading]:
        """The incident, after one line for all that is odd but kept."""
        changes = sorted(map(self._change, rows), key=lambda change: (_order(change.row), change.at, change.row.line))
        if changes[-1].state is State.CANCELLED:
            yield Problem(Fate.SKIPPED, self.number, "It was cancelled at its source, so it is no incident.")
            return
        past = self._incident(changes)
        for fate, sentences in ((Fate.REPAIRED, self.repaired), (Fate.KEPT, self.kept)):
            if sentences:
                yield Problem(fate, self.number, " ".join(dict.fromkeys(sentences)))
        yield past

    def _change(self, row: Row) -> Change:
        word = " ".join(row.text("incident_state").casefold().split())
        state = STATES.get(word)
        if state is None:
            self.kept.append(f'Unknown state "{printable(word, 30)}" (line {row.line}); the row moves nothing.')
        at = local_time(row.text("sys_updated_at"), self.zone, field="sys_updated_at")
        return Change(row, at, state, is_taken=state is State.TAKEN or bool(row.text("assigned_to")))

    def _incident(self, changes: list[Change]) -> PastIncident:
        last = changes[-1].row
        if changes[-1].state is None:
            raise Invalid(
                f'Its last state "{printable(last.text("incident_state"), 30)}" (line {last.line}) is unknown, '
                "so nobody knows whether it is over."
            )
        opened, resolved, taken = self._opened(changes), self._resolved(changes), taken_at(changes)
        self._note_disorder(opened, taken, resolved)
        return PastIncident(
            external_source=self.source,
            external_id=self.number,
            title=self._title(last),
            severity=self._severity(last),
            detected_at=opened,
            issue_time=opened,
            resolved_at=resolved,
            phases=((Phase.GATHER, taken),) if taken else (),
            affected_systems=tuple(name for column in ("business_service", "cmdb_ci") if (name := last.text(column))),
            metadata=self._metadata(changes),
        )

    def _opened(self, changes: list[Change]) -> datetime:
        stated = [text for change in changes if (text := change.row.text("opened_at"))]
        if not stated:
            raise Invalid("It has no opened_at, so nobody knows when it began.")
        if len(set(stated)) > 1:
            self.kept.append(f"Its rows state {len(set(stated))} different opened_at; the first one is used.")
        return local_time(stated[0], self.zone, field="opened_at")

    def _resolved(self, changes: list[Change]) -> datetime | None:
        """When it was over; None while the source has it open."""
        last, end = changes[-1], ending(changes)
        text = last.row.text("resolved_at")
        stated = local_time(text, self.zone, field="resolved_at") if text else None
        if not end:
            return self._while_open(stated, last)
        if stated:
            return stated
        since = next((change.at for change in end if change.state is State.OVER), None)
        if since is None:
            raise Invalid("It is closed, but neither resolved_at nor a row Resolved says when it was over.")
        self.repaired.append("resolved_at is missing; the time of its row Resolved is used.")
        return since

    def _while_open(self, stated: datetime | None, last: Change) -> datetime | None:
        """Some exports write the final resolved_at into every row: the log may break off before it."""
        if stated is None or stated < last.at:
            return None
        word = printable(last.row.text("incident_state"), 30)
        self.repaired.append(f'Its last row is "{word}", but its resolved_at is later; it counts as resolved then.')
        return stated

    def _note_disorder(self, opened: datetime, taken: datetime | None, resolved: datetime | None) -> None:
        if resolved is not None and resolved < opened:
            told = f"It was resolved ({iso(resolved)}) before it was opened ({iso(opened)})"
            self.kept.append(f"{told}; both times are kept, and its duration will count as invalid.")
        if taken is not None and taken < opened:
            told = f"Somebody had it ({iso(taken)}) before it was opened ({iso(opened)})"
            self.kept.append(f"{told}; both times are kept, and its acknowledgement will count as invalid.")

    def _title(self, last: Row) -> str:
        about = last.text("short_description") or ", ".join(filter(None, map(last.text, ("category", "subcategory"))))
        return printable(f"{self.number}: {about}" if about else self.number, 200)

    def _severity(self, last: Row) -> Severity:
        said = last.text("priority")
        if said[:1] not in SEVERITIES or said[1:2].isdigit():
            told = f'Its priority "{printable(said, 30)}" is unknown' if said else "It states no priority"
            self.kept.append(f"{told}; severity medium is assumed.")
            return Severity.MEDIUM
        return SEVERITIES[said[0]]

    def _metadata(self, changes: list[Change]) -> dict[str, object]:
        last = changes[-1].row
        said = {column: printable(last.text(column), 500) for column in KEPT_AS_IT_IS if last.text(column)}
        return {**said, "rows": len(changes), "reopened": reopenings(changes)}


def _order(row: Row) -> int:
    """Its place among the changes: several fall into one minute, and the minute is all the time has."""
    return int(row.text("sys_mod_count"))
