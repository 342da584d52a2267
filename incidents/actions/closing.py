"""The end, and what turns out not to be the end."""

from __future__ import annotations

from incidents.actions import links, reviews, surveys
from incidents.actions._core import Stamp, action, check_after_phase_began, enter, locked, phase_of, tell, write
from incidents.actions.communication import cut
from incidents.lifecycle import Kind, Phase, Status, Verb, check_open, check_reopen
from incidents.models import Incident
from incidents.outbox_rules import Event
from majorops.lib.text import clean_text

#: Drills teach too. Tests do not, and whoever imports a history asks for a review where one is wanted.
REVIEWED = (Kind.REAL, Kind.DRILL)


@action
def resolve(
    incident: Incident, *, summary: str, stamp: Stamp, reason: str = "", expected_version: int | None = None
) -> Incident:
    """Closes the incident: final milestone, phase 8, no further promise; begins its learning review and asks those
    who followed it. `reason`: why, though something is missing."""
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
    milestone = cut(current, "Resolved", summary, stamp, is_resolution=True)
    tell(current, Event.RESOLVED, stamp, "Resolved", milestone.body)
    if current.kind in REVIEWED:
        reviews.begin(current, stamp)
    surveys.ask_readers(current, stamp)
    return current


@action
def reopen(
    incident: Incident, *, reason: str, stamp: Stamp, to: int = Phase.ASSESS, expected_version: int | None = None
) -> Incident:
    """Takes a resolved incident up again. The earlier resolution stays in the history.

    Too late to be the same (MAJOROPS_REOPEN_HOURS), it opens another one that is linked to it, and returns that.
    """
    current = locked(incident, expected_version, wanted=("status", "phase"))
    phase, why = phase_of(to), clean_text(reason, field="reason", max_length=500)
    check_reopen(Status(current.status), phase, reason=why)
    if not links.reopens_same(current, stamp):
        return links.follow_with_new(current, reason=why, stamp=stamp)
    check_after_phase_began(current, stamp)
    write(current, status=Status.ACTIVE, phase=phase, phase_entered_at=stamp.at, resolved_at=None)
    enter(current, phase, stamp, verb=Verb.REOPENED, title=f"Reopened into {phase.label}", reason=why)
    tell(current, Event.REOPENED, stamp, "Reopened: it is not over")
    return current
