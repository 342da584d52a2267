"""The end, and what turns out not to be the end."""

from __future__ import annotations

from incidents.actions._core import Stamp, action, check_after_phase_began, enter, locked, phase_of, write
from incidents.actions.communication import cut
from incidents.lifecycle import Phase, Status, Verb, check_open, check_reopen
from incidents.models import Incident
from majorops.lib.text import clean_text


@action
def resolve(
    incident: Incident, *, summary: str, stamp: Stamp, reason: str = "", expected_version: int | None = None
) -> Incident:
    """Closes the incident: final milestone, phase 8, no further promise. `reason`: why, though something is missing."""
    current = locked(incident, expected_version, wanted=("status", "phase"))
    check_open(Status(current.status))
    check_after_phase_began(current, stamp)
    before = Phase(current.phase)
    write(
        current,
        status=Status.RESOLVED,
        phase=Phase.RESOLUTION,
        phase_entered_at=stamp.at,
        resolved_at=stamp.at,
    )
    enter(
        current,
        Phase.RESOLUTION,
        stamp,
        verb=Verb.RESOLVED,
        title=f"{before.label} → {Phase.RESOLUTION.label}",
        reason=reason,
    )
    cut(current, "Resolved", summary, stamp, is_resolution=True)
    return current


@action
def reopen(
    incident: Incident, *, reason: str, stamp: Stamp, to: int = Phase.ASSESS, expected_version: int | None = None
) -> Incident:
    """Takes a resolved incident up again. The earlier resolution stays in the history."""
    current = locked(incident, expected_version, wanted=("status", "phase"))
    phase, why = phase_of(to), clean_text(reason, field="reason", max_length=500)
    check_reopen(Status(current.status), phase, reason=why)
    check_after_phase_began(current, stamp)
    write(current, status=Status.ACTIVE, phase=phase, phase_entered_at=stamp.at, resolved_at=None)
    enter(current, phase, stamp, verb=Verb.REOPENED, title=f"Reopened into {phase.label}", reason=why)
    return current
