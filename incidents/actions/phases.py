"""Where the incident stands: its phase, and Active or Monitoring."""

from __future__ import annotations

from incidents.actions._core import Stamp, action, check_after_phase_began, enter, locked, log, phase_of, tell, write
from incidents.lifecycle import EventType, Move, Phase, Status, Verb, check_move, check_status
from incidents.models import Incident
from incidents.outbox_rules import Event
from majorops.lib.errors import Invalid
from majorops.lib.text import clean_text


@action
def advance_phase(
    incident: Incident, to: int, *, stamp: Stamp, reason: str = "", expected_version: int | None = None
) -> Incident:
    """Moves to a later phase, or back into Gather or Assess with a reason."""
    current = locked(incident, expected_version, wanted=("phase",))
    phase, reason = phase_of(to), clean_text(reason, field="reason", max_length=500)
    move = check_move(Phase(current.phase), phase, reason=reason)
    check_after_phase_began(current, stamp)
    before = Phase(current.phase)
    write(current, phase=phase, phase_entered_at=stamp.at)
    again = " again" if move == Move.REENTRY else ""
    enter(current, phase, stamp, verb=Verb.ADVANCED, title=f"{before.label} → {phase.label}{again}", reason=reason)
    return current


@action
def change_status(incident: Incident, to: str, *, stamp: Stamp, expected_version: int | None = None) -> Incident:
    """Between Active and Monitoring. Resolving and reopening are actions of their own."""
    current = locked(incident, expected_version, wanted=("status",))
    if to not in Status.values:
        raise Invalid(f"status must be one of {', '.join(Status.values)}.", field="status", allowed=Status.values)
    before, after = Status(current.status), Status(to)
    check_status(before, after)
    write(current, status=after)
    log(
        current,
        stamp,
        verb=Verb.STATUS,
        type=EventType.COMMAND,
        title=f"Status: {before.label} → {after.label}",
        changes={"status": [before.value, after.value]},
        incident_version=current.version,
    )
    tell(current, Event.STATUS, stamp, f"Status: {before.label} → {after.label}")
    return current
