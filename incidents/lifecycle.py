"""RULES: severities, statuses and phases, and which moves between them are allowed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.db.models import IntegerChoices, TextChoices

from incidents.errors import (
    IncidentIsClosed,
    IncidentIsOpen,
    PhaseCannotMove,
    ReasonMissing,
    StatusCannotChange,
)
from teams.alarm import AlarmLevel


class Severity(TextChoices):
    CRITICAL = "critical", "Critical"
    HIGH = "high", "High"
    MEDIUM = "medium", "Medium"
    LOW = "low", "Low"


class Status(TextChoices):
    ACTIVE = "active", "Active"
    #: Mitigation confirmed, recovery not yet verified.
    MONITORING = "monitoring", "Monitoring"
    RESOLVED = "resolved", "Resolved"


class Phase(IntegerChoices):
    ALERT = 1, "Alert"
    GATHER = 2, "Gather"
    ASSESS = 3, "Assess"
    INITIAL = 4, "Initial communication"
    ISOLATION = 5, "Isolation"
    MITIGATION = 6, "Mitigation"
    VALIDATION = 7, "Validation"
    RESOLUTION = 8, "Resolution"


PHASE_HELP: dict[Phase, str] = {
    Phase.ALERT: "Incident detected. Initial triage underway.",
    Phase.GATHER: "Assembling the team, collecting diagnostic data.",
    Phase.ASSESS: "Scope and impact being determined.",
    Phase.INITIAL: "First communication to stakeholders sent.",
    Phase.ISOLATION: "Root cause identified, fault domain being isolated.",
    Phase.MITIGATION: "Active remediation underway.",
    Phase.VALIDATION: "Recovery validated across affected systems.",
    Phase.RESOLUTION: "Closed. Learning review within 72 hours.",
}

#: Phases that may be entered again when new information surfaces.
REENTERED = (Phase.GATHER, Phase.ASSESS)


class Kind(TextChoices):
    """Whether an incident counts. KPI formulas name the kinds they take."""

    REAL = "real", "Real"
    DRILL = "drill", "Drill"
    TEST = "test", "Test"
    #: A real incident entered after the fact.
    BACKFILLED = "backfilled", "Backfilled"


class ExternalImpact(TextChoices):
    YES = "yes", "Yes"
    NO = "no", "No"
    UNKNOWN = "unknown", "Unknown"
    LIKELY = "likely", "Likely"


class RiskLevel(TextChoices):
    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"


class Visibility(TextChoices):
    """Who a published row is for. "Public" is the signed-in stakeholder audience, not the open internet."""

    PUBLIC = "public", "Public"
    INTERNAL = "internal", "Internal"


class EventType(TextChoices):
    PHASE = "phase", "Phase"
    UPDATE = "update", "Update"
    COMMAND = "command", "Command"
    ALERT = "alert", "Alert"
    ACTION = "action", "Action"


class Verb(TextChoices):
    """What an entry of the log says was done, for programs. Empty where nobody noted it."""

    OPENED = "opened", "Opened"
    ADVANCED = "advanced", "Advanced"
    STATUS = "status", "Status changed"
    EDITED = "edited", "Edited"
    ROLE = "role", "Role handed over"
    ENTRY = "entry", "Written"
    CORRECTED = "corrected", "Corrected"
    PUBLISHED = "published", "Published"
    PAGED = "paged", "Team paged"
    CALLED_AGAIN = "called", "Team called again"
    ACKNOWLEDGED = "acked", "Page acknowledged"
    ARRIVED = "arrived", "Team arrived"
    HERE = "here", "Reported here"
    STOOD_DOWN = "stood", "Team stood down"
    INVITED = "invited", "Person invited"
    RESOLVED = "resolved", "Resolved"
    REOPENED = "reopened", "Reopened"
    UNDONE = "undone", "Undone"
    RISK = "risk", "Risk changed"
    DECISION = "decision", "Decision asked"
    SUMMARY = "summary", "Executive summary accepted"
    ASKED = "asked", "Asked by a reader"


#: Internal entries that executives read all the same: they tell only of columns that executives read.
TOLD_EXECUTIVES = (Verb.RISK, Verb.DECISION, Verb.SUMMARY)


class CommandRole(TextChoices):
    MIM = "mim", "Major Incident Manager"
    SRE = "sre", "SRE lead"
    LEADER = "leader", "Incident leader"
    SERVICE_MANAGER = "service_manager", "Service manager"
    CUSTOMER_OPS = "customer_ops", "Customer operations"


@dataclass(frozen=True, slots=True)
class Alarm:
    """What a severity means when a team is called. Limits are minutes from the page."""

    priority: str
    box: AlarmLevel | None
    bridge_minutes: int | None
    ack_minutes: int | None


#: The one table from severity to P-level, box and response limits. Low severity pages without a limit.
ALARMS: dict[Severity, Alarm] = {
    Severity.CRITICAL: Alarm("P1", AlarmLevel.BOX3, bridge_minutes=5, ack_minutes=2),
    Severity.HIGH: Alarm("P2", AlarmLevel.BOX2, bridge_minutes=10, ack_minutes=5),
    Severity.MEDIUM: Alarm("P3", AlarmLevel.BOX1, bridge_minutes=20, ack_minutes=None),
    Severity.LOW: Alarm("P4", None, bridge_minutes=None, ack_minutes=None),
}


def box_for(severity: str) -> AlarmLevel | None:
    return ALARMS[Severity(severity)].box


def bridge_limit(alarm_level: str | None) -> int | None:
    """Minutes a team paged at this level has to reach the bridge; None without a limit."""
    return next((alarm.bridge_minutes for alarm in ALARMS.values() if alarm.box == alarm_level), None)


class Move(StrEnum):
    FORWARD = "forward"
    REENTRY = "re-entry"


def allowed_moves(current: Phase) -> list[Phase]:
    """Where "advance" may go from an open phase: any later one but Resolution, or back into 2 and 3."""
    later = [phase for phase in Phase if current < phase < Phase.RESOLUTION]
    again = [phase for phase in REENTERED if phase < current < Phase.RESOLUTION]
    return later + again


def check_move(current: Phase, to: Phase, *, reason: str = "") -> Move:
    """How `to` is reached from `current`. Raises PhaseCannotMove, IncidentIsClosed, ReasonMissing."""
    if current == Phase.RESOLUTION:
        raise IncidentIsClosed
    if to == Phase.RESOLUTION:
        raise PhaseCannotMove("Phase 8 is reached by resolving the incident.", field="phase", allowed=_names(current))
    if to == current:
        raise PhaseCannotMove(
            f"The incident is already in phase {to.value} ({to.label}).", field="phase", allowed=_names(current)
        )
    if to > current:
        return Move.FORWARD
    if to not in REENTERED:
        raise PhaseCannotMove(
            f"Phase {to.value} ({to.label}) cannot be entered again. Only Gather (2) and Assess (3) can.",
            field="phase",
            allowed=_names(current),
        )
    if not reason.strip():
        raise ReasonMissing(f"Say what new information sends the incident back to {to.label}.", field="reason")
    return Move.REENTRY


def _names(current: Phase) -> list[int]:
    return [phase.value for phase in allowed_moves(current)]


def check_status(current: Status, to: Status) -> None:
    """Active and Monitoring change into each other; Resolved has its own ways in and out."""
    if current == Status.RESOLVED:
        raise IncidentIsClosed
    if to == Status.RESOLVED:
        raise StatusCannotChange("Resolve the incident to close it; its status cannot be set by hand.", field="status")
    if to == current:
        raise StatusCannotChange(f"The incident is already {to.label}.", field="status")


def check_open(status: Status) -> None:
    if status == Status.RESOLVED:
        raise IncidentIsClosed


def check_reopen(status: Status, to: Phase, *, reason: str) -> None:
    """A reopened incident goes on in an open phase, and the log says why."""
    if status != Status.RESOLVED:
        raise IncidentIsOpen
    if to in (Phase.ALERT, Phase.RESOLUTION):
        raise PhaseCannotMove(
            "Reopen into a phase from 2 (Gather) to 7 (Validation).",
            field="phase",
            allowed=[phase.value for phase in Phase if Phase.ALERT < phase < Phase.RESOLUTION],
        )
    if not reason.strip():
        raise ReasonMissing("Say why the incident is opened again.", field="reason")
