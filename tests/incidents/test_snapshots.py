"""Looks at a status page become incidents: one each, with what was seen of it. No database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from incidents.intake import FileRefused, Problem
from incidents.intake.snapshots import read
from incidents.past import PastIncident
from tests.factories import at


def note(id: str, clock: str, body: str = "We look.", status: str = "investigating") -> dict[str, str]:
    return {"id": id, "status": status, "body": body, "created_at": f"2026-03-02T{clock}:00Z"}


def seen(*updates: dict[str, str], **changes: Any) -> dict[str, Any]:
    plain = {"id": "one", "name": "Lamps flicker", "status": "investigating", "impact": "minor"}
    return {**plain, "started_at": "2026-03-02T10:00:00Z", "incident_updates": list(updates)[::-1], **changes}


def look(clock: str, *incidents: object, planned: tuple[object, ...] = ()) -> dict[str, Any]:
    body = {"page": {"id": "p4ge"}, "incidents": incidents, "scheduled_maintenances": planned}
    return {"fetched_at": f"2026-03-02T{clock}:00Z", "body": body}


def reading(*looks: object, junk: str = "") -> tuple[list[PastIncident], str]:
    lines = [json.dumps(one) for one in looks] + ([junk] if junk else [])
    items = list(read("\r\n".join(lines).encode("utf-8-sig")))
    told = " | ".join(str(item) for item in items if isinstance(item, Problem))
    return [item for item in items if isinstance(item, PastIncident)], told


FIRST, SECOND = note("u1", "10:01"), note("u2", "10:31", "A fuse.", "identified")


def test_an_incident_of_many_looks_is_one_with_the_updates_of_all() -> None:
    [past], _ = reading(look("10:05", seen(FIRST)), look("10:35", seen(SECOND)), look("10:40", seen(FIRST, SECOND)))
    assert [update.external_id for update in past.updates] == ["u1", "u2"]
    assert (past.external_source, past.metadata["looks"]) == ("statuspage:p4ge", 3)
    assert past.unknown_end == "", "the last look still lists it: it is open"


def test_what_vanished_without_a_resolution_is_over_and_nobody_knows_since_when() -> None:
    [past], _ = reading(look("10:05", seen(FIRST)), look("10:35"))
    assert (past.resolved_at, past.has_ended_unseen) == (at("10:35"), True)
    assert "between 2026-03-02T10:05:00.000Z and 2026-03-02T10:35:00.000Z, so its end is unknown" in past.unknown_end


def test_what_was_seen_resolved_has_its_end() -> None:
    over = seen(FIRST, note("u3", "11:00", "Over.", "resolved"), status="resolved", resolved_at="2026-03-02T11:00:00Z")
    [past], _ = reading(look("10:05", seen(FIRST)), look("11:05", over), look("11:35"))
    assert (past.resolved_at, past.unknown_end, past.has_ended_unseen) == (at("11:00"), "", False)


def test_the_looks_are_read_in_the_order_of_their_times() -> None:
    [past], told = reading(look("10:35", seen(FIRST, name="Lamps are out")), look("10:05", seen(FIRST)))
    assert past.title == "Lamps are out"
    assert 'Its name changed: "Lamps flicker", then "Lamps are out".' in told


def test_an_incident_that_came_back_is_one() -> None:
    pasts, told = reading(look("10:05", seen(FIRST)), look("10:35"), look("10:55", seen(FIRST)))
    assert len(pasts) == 1
    assert "1 looks in between do not list it (first 2026-03-02T10:35:00.000Z)" in told


def test_an_update_that_was_edited_keeps_its_last_wording_and_is_told() -> None:
    [past], told = reading(look("10:05", seen(FIRST)), look("10:35", seen({**FIRST, "body": "We looked."})))
    assert past.updates[0].text == "We looked."
    assert "1 times an update read differently" in told


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"fetched_at": "2026-03-02T10:20:00Z", "body": ""}, "skipped: line 2: The look is empty."),
        ({"fetched_at": "2026-03-02T10:20:00Z", "body": "<html>"}, "refused: line 2: It is no JSON"),
        ({"fetched_at": "2026-03-02T10:20:00Z", "body": {"incidents": 7}}, "refused: line 2: Its body has no list"),
        ({"fetched_at": "2026-03-02T10:20:00", "body": {"incidents": []}}, "line 2: fetched_at needs a time zone"),
        ({"body": {"incidents": []}}, "line 2: It has no fetched_at"),
        ([1], "line 2: It is not an object."),
        (look("10:20", seen(id=None)), "refused: line 2: It has no id"),
        (look("10:20", 7), "refused: line 2: It has no id"),
        (look("10:20", planned=({"id": "p1", "name": "Racks"},)), "skipped: p1 (Racks): Scheduled maintenance"),
    ],
)
def test_a_look_that_cannot_be_read_is_named_and_the_others_count(line: object, says: str) -> None:
    [past], told = reading(look("10:05", seen(FIRST)), line, look("10:35", seen(FIRST)))
    assert past.external_id == "one"
    assert says in told


def test_a_last_line_that_breaks_off_is_named() -> None:
    [_], told = reading(look("10:05", seen(FIRST)), junk='{"fetched_at": "2026')
    assert "refused: line 2: It is no JSON; perhaps it breaks off." in told


def test_a_file_without_a_look_is_refused() -> None:
    with pytest.raises(FileRefused, match="No line of this file is a look"):
        read(b'{"a": 1}\n{"b": 2}\n')
