"""Which moves are allowed. Pure: no database."""

from __future__ import annotations

import pytest

from incidents.errors import IncidentIsClosed, IncidentIsOpen, PhaseCannotMove, ReasonMissing, StatusCannotChange
from incidents.lifecycle import (
    ALARMS,
    Move,
    Phase,
    Severity,
    Status,
    allowed_moves,
    bridge_limit,
    check_move,
    check_reopen,
    check_status,
)

OPEN_PHASES = [phase for phase in Phase if phase < Phase.RESOLUTION]


def verdict(current: Phase, to: Phase, reason: str = "new information") -> str:
    try:
        return check_move(current, to, reason=reason).value
    except (PhaseCannotMove, IncidentIsClosed):
        return "refused"


@pytest.mark.parametrize("current", Phase)
@pytest.mark.parametrize("to", Phase)
def test_every_move(current: Phase, to: Phase) -> None:
    """Forward may skip; back only into Gather and Assess; 8 neither by advancing nor out of it."""
    if Phase.RESOLUTION in (current, to) or to == current:
        expected = "refused"
    elif to > current:
        expected = Move.FORWARD.value
    else:
        expected = Move.REENTRY.value if to in (Phase.GATHER, Phase.ASSESS) else "refused"
    assert verdict(current, to) == expected


@pytest.mark.parametrize("current", OPEN_PHASES)
def test_the_moves_on_offer_are_those_that_are_allowed(current: Phase) -> None:
    assert set(allowed_moves(current)) == {to for to in Phase if verdict(current, to) != "refused"}


@pytest.mark.parametrize("reason", ["", "   "])
def test_going_back_needs_a_reason(reason: str) -> None:
    with pytest.raises(ReasonMissing, match="back to Gather"):
        check_move(Phase.MITIGATION, Phase.GATHER, reason=reason)


def test_a_refused_move_names_what_is_allowed() -> None:
    with pytest.raises(PhaseCannotMove) as refused:
        check_move(Phase.MITIGATION, Phase.INITIAL, reason="x")
    assert refused.value.details["allowed"] == [7, 2, 3]


@pytest.mark.parametrize(
    ("current", "to", "refusal"),
    [
        (Status.ACTIVE, Status.MONITORING, None),
        (Status.MONITORING, Status.ACTIVE, None),
        (Status.ACTIVE, Status.ACTIVE, StatusCannotChange),
        (Status.ACTIVE, Status.RESOLVED, StatusCannotChange),
        (Status.RESOLVED, Status.ACTIVE, IncidentIsClosed),
    ],
)
def test_status_changes(current: Status, to: Status, refusal: type[Exception] | None) -> None:
    if refusal is None:
        check_status(current, to)
    else:
        with pytest.raises(refusal):
            check_status(current, to)


@pytest.mark.parametrize("to", [Phase.ALERT, Phase.RESOLUTION])
def test_reopening_leads_into_an_open_phase_after_the_alert(to: Phase) -> None:
    with pytest.raises(PhaseCannotMove):
        check_reopen(Status.RESOLVED, to, reason="came back")


def test_only_a_closed_incident_reopens_and_with_a_reason() -> None:
    with pytest.raises(IncidentIsOpen):
        check_reopen(Status.ACTIVE, Phase.ASSESS, reason="came back")
    with pytest.raises(ReasonMissing):
        check_reopen(Status.RESOLVED, Phase.ASSESS, reason="")


@pytest.mark.parametrize(
    ("severity", "priority", "box", "bridge", "ack"),
    [
        (Severity.CRITICAL, "P1", "box3", 5, 2),
        (Severity.HIGH, "P2", "box2", 10, 5),
        (Severity.MEDIUM, "P3", "box1", 20, None),
        (Severity.LOW, "P4", None, None, None),
    ],
)
def test_what_a_severity_means(severity: Severity, priority: str, box: str, bridge: int, ack: int) -> None:
    alarm = ALARMS[severity]
    assert (alarm.priority, alarm.box, alarm.bridge_minutes, alarm.ack_minutes) == (priority, box, bridge, ack)
    assert bridge_limit(box) == bridge
