"""What becomes of a ServiceNow change log. No database."""

from __future__ import annotations

import io
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from incidents.intake import FileRefused, Problem
from incidents.intake.servicenow import COLUMNS, read
from incidents.lifecycle import Phase, Severity
from incidents.past import PastIncident
from majorops.lib.times import iso
from tests.factories import at

FIXTURE = (Path(__file__).parent / "fixtures" / "servicenow.csv").read_bytes()


def reading(content: bytes, zone: str = "UTC") -> tuple[dict[str, PastIncident], str]:
    """The incidents by number, and all that was said."""
    items = list(read(io.BytesIO(content), zone=ZoneInfo(zone))[1])
    pasts = {item.external_id: item for item in items if isinstance(item, PastIncident)}
    return pasts, " | ".join(str(item) for item in items if isinstance(item, Problem))


def row(state: str, clock: str, **cells: str) -> dict[str, str]:
    """A change of LAMP0009, opened at 8:00 and not resolved, unless told otherwise."""
    plain = {"number": "LAMP0009", "opened_at": "02-03-2026 08:00", "resolved_at": "?", "assigned_to": "?"}
    changed = {"incident_state": state, "sys_updated_at": f"02-03-2026 {clock}", "priority": "2 - High"}
    return {**plain, **changed, **cells}


def only(*rows: dict[str, str]) -> tuple[PastIncident | None, str]:
    """The one incident of these rows, in this order unless they say otherwise, and all that was said about it."""
    lines = [",".join(COLUMNS.required)]
    for place, cells in enumerate(rows):
        lines.append(",".join({"sys_mod_count": str(place), **cells}[name] for name in COLUMNS.required))
    pasts, said = reading("\n".join(lines).encode())
    return pasts.get("LAMP0009"), said


def test_an_incident_is_opened_taken_and_resolved_at_its_own_times() -> None:
    past = reading(FIXTURE)[0]["LAMP0001"]
    assert (past.detected_at, past.issue_time) == (at("2016-02-29T08:00"), at("2016-02-29T08:00"))
    assert past.phases == ((Phase.GATHER, at("2016-02-29T08:12")),), "the first assignment, while it was still New"
    assert past.resolved_at == at("2016-02-29T10:30")
    assert (past.external_source, past.title) == ("servicenow", "LAMP0001: Category 5, Subcategory 7")


def test_the_last_row_tells_severity_and_the_rest_is_metadata_without_names() -> None:
    past = reading(FIXTURE)[0]["LAMP0001"]
    assert past.severity == Severity.HIGH
    assert (past.metadata["rows"], past.metadata["assignment_group"], past.metadata["reopened"]) == (5, "Group 1", 0)
    assert "Resolver" not in str(past)


def test_a_missing_resolution_is_the_row_resolved_and_never_the_closing_days_later() -> None:
    pasts, said = reading(FIXTURE)
    assert pasts["LAMP0002"].resolved_at == at("2016-02-29T09:40")
    assert "Somebody had it (2016-02-29T08:59:00.000Z) before it was opened" in said
    assert "resolved_at is missing; the time of its row Resolved is used." in said
    assert pasts["LAMP0002"].affected_systems == ("Uploads",)


def test_an_incident_that_nobody_has_taken_is_open_and_not_acknowledged() -> None:
    past = reading(FIXTURE)[0]["LAMP0003"]
    assert (past.resolved_at, past.phases, past.title) == (None, (), "LAMP0003")


def test_times_are_of_the_zone_that_is_named() -> None:
    assert iso(reading(FIXTURE, "Europe/Rome")[0]["LAMP0001"].detected_at) == "2016-02-29T07:00:00.000Z"


def test_changes_of_one_minute_are_in_the_order_of_their_count() -> None:
    past, _ = only(
        row("Resolved", "09:00", sys_mod_count="3"),
        row("Active", "09:00", sys_mod_count="12"),
        row("New", "08:01", sys_mod_count="0"),
    )
    assert past is not None
    assert past.resolved_at is None


def test_after_a_reopening_the_last_end_counts_and_the_first_taking() -> None:
    past, _ = only(row("Active", "08:10"), row("Resolved", "09:00"), row("Active", "10:00"), row("Resolved", "11:00"))
    assert past is not None
    assert (past.resolved_at, past.phases[0][1], past.metadata["reopened"]) == (at("11:00"), at("08:10"), 1)


def test_the_first_assignment_with_the_resolution_is_no_acknowledgement() -> None:
    past, _ = only(row("New", "08:01"), row("Resolved", "09:00", assigned_to="Resolver 1"))
    assert past is not None
    assert past.phases == ()


def test_a_log_that_breaks_off_before_its_stated_end_is_told() -> None:
    past, said = only(row("Active", "08:10", resolved_at="02-03-2026 11:00"))
    assert past is not None
    assert past.resolved_at == at("11:00")
    assert "but its resolved_at is later" in said


def test_a_stated_end_before_the_last_open_row_is_of_the_time_before_it_was_reopened() -> None:
    past, _ = only(row("Resolved", "09:00"), row("Active", "10:00", resolved_at="02-03-2026 09:00"))
    assert past is not None
    assert past.resolved_at is None


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([row("New", "08:01"), row("-100", "09:00")], 'Its last state "-100" (line 3) is unknown'),
        ([row("New", "08:01"), row("Closed", "09:00")], "neither resolved_at nor a row Resolved says when"),
        ([row("New", "08:01", opened_at="?")], "It has no opened_at"),
        ([row("New", "08:01", sys_mod_count="many")], "sys_mod_count must be a number, not 'many'. Its incident is"),
        ([row("New", "08:01", sys_updated_at="?")], "sys_updated_at is missing"),
        ([row("New", "08:01", opened_at="31-02-2026 08:00")], "LAMP0009, line 2: opened_at '31-02-2026 08:00' is no"),
        ([row("New", "08:01"), row("Canceled", "09:00")], "skipped: LAMP0009: It was cancelled at its source"),
    ],
)
def test_what_cannot_be_kept_is_named_with_its_reason(rows: list[dict[str, str]], says: str) -> None:
    past, said = only(*rows)
    assert past is None
    assert says in said


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([row("-100", "08:01"), row("Active", "09:00")], 'Unknown state "-100" (line 2); the row moves nothing.'),
        ([row("New", "08:01", priority="?")], "It states no priority; severity medium is assumed."),
        ([row("New", "08:01", priority="10 - Odd")], 'Its priority "10 - Odd" is unknown'),
        ([row("New", "08:01"), row("New", "08:02", opened_at="01-03-2026 08:00")], "state 2 different opened_at"),
        ([row("New", "08:01"), row("Resolved", "09:00", resolved_at="02-03-2026 07:00")], "before it was opened"),
    ],
)
def test_what_is_odd_is_kept_and_told(rows: list[dict[str, str]], says: str) -> None:
    past, said = only(*rows)
    assert past is not None
    assert said.startswith("kept: LAMP0009: ")
    assert says in said


def test_a_month_first_file_is_refused_whole_before_anything_is_read() -> None:
    with pytest.raises(FileRefused, match="Line 2: opened_at '02/29/2016 08:00' makes sense only with the month first"):
        only(row("New", "08:01", opened_at="02/29/2016 08:00"))


def test_a_log_without_a_column_is_refused_with_the_names_of_all_that_are_missing() -> None:
    with pytest.raises(FileRefused, match=r"Columns are missing: assigned_to, priority\."):
        reading(FIXTURE.replace(b"assigned_to", b"who").replace(b"priority", b"weight"))
