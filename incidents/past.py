"""The one shape every importer turns a past incident into. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from incidents.lifecycle import Phase, Severity
from teams.alarm import AlarmLevel

#: The key in the metadata under which stands since when it was surely over, where nobody knows when it ended.
GONE_AT = "gone_at"


@dataclass(frozen=True, slots=True)
class PastUpdate:
    """One published note of the source."""

    external_id: str
    at: datetime
    text: str
    #: The source's word for the state, as it stood.
    status: str


@dataclass(frozen=True, slots=True)
class PastEntry:
    """One line of the source's own log, for responders."""

    external_id: str
    at: datetime
    title: str
    #: The rest of its text, and its time as it was written.
    description: str = ""


@dataclass(frozen=True, slots=True)
class PastDispatch:
    """One team that the source called, and what became of it."""

    team_id: str
    #: As the source spells it.
    team_name: str
    alarm_level: AlarmLevel | None
    paged_at: datetime
    acknowledged_at: datetime | None = None
    arrived_at: datetime | None = None
    #: When it was sent home without having come.
    cancelled_at: datetime | None = None

    @property
    def is_waiting(self) -> bool:
        return self.arrived_at is None and self.cancelled_at is None


@dataclass(frozen=True, slots=True)
class PastIncident:
    """An incident that another system recorded, with that system's own times."""

    external_source: str
    external_id: str
    title: str
    severity: Severity
    detected_at: datetime
    #: None while the source has it open.
    resolved_at: datetime | None
    #: When it was first felt or reported, where the source has that; an acknowledgement is measured from it.
    issue_time: datetime | None = None
    updates: tuple[PastUpdate, ...] = ()
    entries: tuple[PastEntry, ...] = ()
    #: Phases the source's states stand for, beside Alert and Resolution.
    phases: tuple[tuple[Phase, datetime], ...] = ()
    is_monitoring: bool = False
    affected_systems: tuple[str, ...] = ()
    dispatches: tuple[PastDispatch, ...] = ()
    #: Why nobody knows its end, in a sentence; told as long as that is so.
    unknown_end: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def has_ended_unseen(self) -> bool:
        """It is over, and `resolved_at` is only since when that is sure: figures do not count with it."""
        return GONE_AT in self.metadata

    @property
    def link(self) -> str:
        """Its public page at the source; empty where none is known."""
        return str(self.metadata.get("link") or self.metadata.get("shortlink") or "")
