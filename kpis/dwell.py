"""Where the time of incidents goes, as a viewer may read it: of the incidents they see and whose log they read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from accounts.visibility import Viewer
from incidents.lifecycle import Severity
from incidents.models import PhaseEntry
from kpis import dwell_rules as rules
from kpis.dwell_rules import ALL, PHASES, Course, Dwell, Entry
from kpis.evaluate.dispatches import COUNTED
from kpis.sources import Scope, corrected_times
from majorops.lib.errors import Invalid
from majorops.lib.visibility import visible

WINDOWS = {"30d": 30, "90d": 90, "365d": 365, "all": None}
DEFAULT = "90d"
SEVERITIES = (ALL, *Severity.values)


@dataclass(frozen=True, slots=True)
class Found:
    """By phase and severity, of `incidents` incidents that were detected in the window."""

    window: str
    as_of: datetime
    incidents: int
    cells: Mapping[tuple[int, str], Dwell]

    @property
    def rows(self) -> list[Dwell]:
        """Every phase and severity that was stayed in, all severities first."""
        return [self.cells[phase, one] for one in SEVERITIES for phase in PHASES if (phase, one) in self.cells]


def find(viewer: Viewer, window: str, now: datetime) -> Found:
    """Two queries, however many incidents. Raises Invalid for an unknown window.

    Rollups leave restricted incidents out for every reader, so this does too; and drills and tests.
    """
    if (window := window or DEFAULT) not in WINDOWS:
        raise Invalid(f"window is one of {', '.join(WINDOWS)}.", field="window")
    days = WINDOWS[window]
    entries = PhaseEntry.objects.filter(incident__restricted=False, incident__kind__in=COUNTED, entered_at__lt=now)
    if days is not None:
        entries = entries.filter(incident__detected_at__gte=now - timedelta(days=days))
    courses = list(_courses(visible(entries, viewer), now))
    return Found(window, now, len(courses), rules.dwell(courses))


def _courses(entries: object, now: datetime) -> Iterator[Course]:
    corrected = corrected_times(Scope(now))
    columns = ("incident_id", "incident__severity", "incident__resolved_at", "event_id", "phase_number", "entered_at")
    ordered = entries.order_by("incident_id", "recorded_at", "entered_at", "pk")  # type: ignore[attr-defined]
    rows = ordered.values_list(*columns).iterator(chunk_size=5000)
    for (_, severity, resolved_at), found in groupby(rows, key=lambda row: row[:3]):
        told = [Entry(phase, corrected.get(event, at)) for *_, event, phase, at in found]
        yield Course(severity, told, resolved_at if resolved_at and resolved_at < now else None)
