"""Ops Pulse: open incidents, late updates, the three figures of operators, and the last night, at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count

from accounts.models import User
from incidents.lifecycle import Severity, Status
from incidents.viewing import incidents_for
from kpis.models import KpiRun, RunOutcome
from kpis.packs import files
from kpis.packs.reading import Row, opened
from kpis.packs.sessions import PACK

RATES = ("activation-rate", "sla-resolution-time", "anomaly-response-rate")
#: A night without a run is told by itself.
NIGHT = timedelta(hours=26)


@dataclass(frozen=True, slots=True)
class Pulse:
    #: (severity, its name, how many are open), the gravest first
    open: tuple[tuple[str, str, int], ...]
    overdue: int
    rates: tuple[Row, ...]
    night: KpiRun | None
    is_stale: bool
    is_installed: bool

    @property
    def total(self) -> int:
        return sum(count for _, _, count in self.open)


def pulse(viewer: User, now: datetime) -> Pulse:
    """As this viewer may see it. What is being watched counts as open until somebody resolves it."""
    rows = incidents_for(viewer).exclude(status=Status.RESOLVED)
    counts = dict(rows.order_by().values_list("severity").annotate(Count("pk")))
    told = opened(files.pack(PACK), viewer, now)
    known = {row.kpi.slug: row for row in told.rows}
    nights = KpiRun.objects.filter(trigger="nightly", outcome=RunOutcome.DONE).order_by("-id")
    night = nights.first()
    ended = night.ended_at if night else None
    return Pulse(
        open=tuple((each.value, each.label, counts[each]) for each in Severity if counts.get(each)),
        overdue=rows.filter(next_update_eta__lt=now).count(),
        rates=tuple(known[slug] for slug in RATES if slug in known),
        night=night,
        is_stale=ended is None or now - ended > NIGHT,
        is_installed=told.install is not None,
    )
