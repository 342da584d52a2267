"""What becomes of a change log of Volvo IT's VINST. No database."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from incidents.intake import FileRefused, Problem
from incidents.intake.volvo import COLUMNS, read
from incidents.lifecycle import Phase, Severity
from incidents.past import PastIncident
from majorops.lib.times import iso
from tests.factories import at

FIXTURE = (Path(__file__).parent / "fixtures" / "volvo.csv").read_bytes()


def reading(content: bytes) -> tuple[dict[str, PastIncident], str]:
    """The incidents by number, and all that was said."""
    items = list(read(io.BytesIO(content))[1])
    pasts = {item.external_id: item for item in items if isinstance(item, PastIncident)}
    return pasts, " | ".join(str(item) for item in items if isinstance(item, Problem))


def only(*states: str, **cells: str) -> tuple[PastIncident | None, str]:
    """The incident 1-900 with one state an hour from 08:00 on, and all that was said about it."""
    lines = [",".join(COLUMNS.required)]
    for place, state in enumerate(states):
        status, sub_status = state.split("/")
        said = {"Change Date+Time": f"2026-03-02T{8 + place:02}:00:00Z", "Status": status, "Sub Status": sub_status}
        plain = {"SR Number": "1-900", "SR Latest Impact": "High", "Product": "PROD1"}
        lines.append(",".join({**plain, **said, **cells}[name] for name in COLUMNS.required))
    pasts, said_of_it = reading("\n".join(lines).encode())
    return pasts.get("1-900"), said_of_it


def test_an_incident_waits_in_the_queue_is_accepted_and_completed() -> None:
    past = reading(FIXTURE)[0]["1-100"]
    assert iso(past.detected_at) == iso(past.issue_time) == "2012-04-02T08:00:00.000Z"
    assert past.phases == ((Phase.GATHER, at("2012-04-02T08:20:30")),)
    assert (past.title, past.affected_systems, past.severity) == ("1-100: PROD5", ("PROD5",), Severity.HIGH)


def test_work_after_completion_moves_the_end_and_the_filing_does_not() -> None:
    past = reading(FIXTURE)[0]["1-100"]
    assert past.resolved_at == at("2012-04-02T11:00")
    assert past.metadata["reopened"] == 1


def test_an_incident_that_begins_accepted_was_acknowledged_at_once() -> None:
    past = reading(FIXTURE)[0]["1-200"]
    assert past.phases[0][1] == past.detected_at
    assert (past.severity, past.resolved_at) == (Severity.CRITICAL, at("2012-04-03T08:04"))


def test_what_waits_is_open_and_nobodys_name_is_kept() -> None:
    pasts, said = reading(FIXTURE)
    assert (pasts["1-300"].resolved_at, pasts["1-300"].phases, said) == (None, (), "")
    assert not any(name in str(pasts) for name in ("Ada", "'Bo'", "'Cy'", "'Di'"))


def test_an_unknown_state_is_told_and_moves_nothing() -> None:
    past, said = only("Accepted/In Progress", "Completed/Resolved", "Unmatched/Unmatched", "Completed/Closed")
    assert past is not None
    assert past.resolved_at == at("09:00")
    assert said == 'kept: 1-900: Unknown state "unmatched/unmatched" (line 4); the row moves nothing.'


@pytest.mark.parametrize(
    ("states", "says"),
    [
        (["Accepted/In Progress", "Unmatched/Unmatched"], 'refused: 1-900: Its last state "unmatched/unmatched"'),
        (["Accepted/In Progress", "Completed/Lost"], 'Its last state "completed/lost" (line 3) is unknown'),
        (["Accepted/In Progress", "Completed/Cancelled"], "skipped: 1-900: It was cancelled at its source"),
    ],
)
def test_an_end_that_nobody_knows_is_not_guessed(states: list[str], says: str) -> None:
    past, said = only(*states)
    assert past is None
    assert says in said


@pytest.mark.parametrize("text", ["2026-03-02T10:00:00", "yesterday", "?"])
def test_a_time_without_a_zone_is_refused_with_its_row(text: str) -> None:
    past, said = only("Accepted/In Progress", **{"Change Date+Time": text})
    assert past is None
    assert "refused: 1-900, line 2: Change Date+Time " in said


def test_an_unknown_impact_is_medium_and_told() -> None:
    past, said = only("Accepted/In Progress", **{"SR Latest Impact": "Awful"})
    assert past is not None
    assert past.severity == Severity.MEDIUM
    assert 'Its impact "Awful" is unknown' in said


def test_another_log_is_refused() -> None:
    with pytest.raises(FileRefused, match="names no column of this format"):
        reading(b"number,incident_state\nINC1,New\n")
