"""Many new alerts of one source at once are gathered into one candidate: none is dropped, and nobody reads them all."""

from __future__ import annotations

from datetime import timedelta

from incidents.alerts.kinds import Standing, State
from incidents.alerts.linking import keep
from incidents.alerts.said import Said
from incidents.lifecycle import Severity
from incidents.models import SourceAlert

#: A storm goes on as long as the next alert comes within this time.
LULL = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)


def is_storm_of(said: Said) -> bool:
    """Whether this source has brought as many new alerts in the last minute as it may."""
    fresh = SourceAlert.objects.filter(source=said.source, first_seen_at__gt=said.now - MINUTE, is_storm=False)
    return fresh.exclude(standing=Standing.HELD).count() >= said.source.per_minute


def gather(said: Said, row: SourceAlert) -> None:
    """Puts the alert into the candidate that stands for the storm; the first one begins it."""
    storms = SourceAlert.objects.waiting().filter(source=said.source, is_storm=True)
    storm = storms.filter(last_seen_at__gt=said.now - LULL).last()
    if storm is None:
        storm = _new_storm(said, row)
    worst = min((Severity(storm.severity), Severity(row.severity)), key=list(Severity).index)
    keep(row, gathered_into=storm)
    keep(storm, last_seen_at=said.now, last_at=max(storm.last_at, said.at), severity=worst, repeats=storm.repeats + 1)


def _new_storm(said: Said, row: SourceAlert) -> SourceAlert:
    return SourceAlert.objects.create(
        source=said.source,
        dedup_key=f"storm:{row.pk}",
        is_storm=True,
        title=f"Many alerts at once from {said.source.name}"[:200],
        severity=row.severity,
        state=State.FIRING,
        standing=Standing.WAITING,
        issue_time=row.issue_time,
        last_at=said.at,
        first_seen_at=said.now,
        last_seen_at=said.now,
        last_body=said.sha,
    )
