"""What one delivery said of one alert, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from incidents.actions import Stamp
from incidents.alerts.alert import Alert, severity_of
from incidents.alerts.kinds import State, Verdict
from incidents.lifecycle import Severity
from incidents.models import Incident, IntakeSource, Source
from majorops.lib.errors import DomainError
from majorops.lib.links import check_https
from majorops.lib.times import SKEW

#: For a severity that nobody can read.
FALLBACK = Severity.MEDIUM


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one alert."""

    verdict: Verdict
    reason: str
    alert: Alert | None = None
    incident_id: str | None = None

    def as_json(self) -> dict[str, object]:
        told: dict[str, object] = {"verdict": str(self.verdict), "reason": self.reason, "incident": self.incident_id}
        if self.alert is None:
            return told
        return {"key": self.alert.dedup_key, "title": self.alert.title, "state": str(self.alert.state), **told}


@dataclass(frozen=True, slots=True)
class Said:
    """An alert as it was said in one delivery."""

    source: IntakeSource
    alert: Alert
    sha: str
    now: datetime
    truncated: int

    @property
    def at(self) -> datetime:
        """When it was so. A clock that runs ahead is not believed."""
        return self.not_ahead(self.alert.occurred_at) or self.now

    def not_ahead(self, moment: datetime | None) -> datetime | None:
        if moment is None or moment > self.now + SKEW:
            return None
        return min(moment, self.now)

    @property
    def ended(self) -> datetime | None:
        if self.alert.state != State.RESOLVED:
            return None
        return self.not_ahead(self.alert.resolve_time) or self.at

    @property
    def severity(self) -> Severity:
        return severity_of(self.alert.severity_said, self.source.severity_map) or FALLBACK

    @property
    def stamp(self) -> Stamp:
        return Stamp(by=None, at=self.at, now=self.now, source=Source.INTAKE, name=self.source.name)

    def outcome(self, verdict: Verdict, reason: str, incident: Incident | None = None) -> Outcome:
        said = self.alert.severity_said
        unread = said and severity_of(said, self.source.severity_map) is None
        odd = f" Its severity {said[:40]!a} is unknown and was taken for {FALLBACK.label}." if unread else ""
        return Outcome(verdict, reason + odd, self.alert, incident.pk if incident else None)


def https(url: str) -> str:
    try:
        return check_https(url, field="bridge_url") if url else ""
    except DomainError:
        return ""
