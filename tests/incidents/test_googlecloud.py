"""What the reader of Google's dashboards keeps, repairs, leaves out and refuses. No database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from incidents.intake import Fate, FileRefused, Problem
from incidents.intake.googlecloud import read
from incidents.lifecycle import Severity
from incidents.past import PastIncident
from tests.factories import at

FIXTURE = (Path(__file__).parent / "fixtures" / "googlecloud.json").read_bytes()


def record(**changes: Any) -> dict[str, Any]:
    return {**json.loads(FIXTURE)[0], **changes}


def reading(*records: object) -> tuple[list[PastIncident], str]:
    items = list(read(json.dumps(records).encode()))
    told = " | ".join(str(item) for item in items if isinstance(item, Problem))
    return [item for item in items if isinstance(item, PastIncident)], told


def test_an_incident_is_read_in_its_own_words_and_times() -> None:
    [past, still_open] = read(FIXTURE)
    assert isinstance(past, PastIncident)
    assert isinstance(still_open, PastIncident)
    assert (past.external_source, past.external_id, past.severity) == ("google-cloud", "CaNdLe1", Severity.HIGH)
    assert (past.detected_at, past.resolved_at) == (at("2025-05-02T08:00"), at("2025-05-02T10:00"))
    assert past.affected_systems == ("Candle Storage", "Candle Queue")
    assert past.metadata["link"] == "https://status.cloud.google.com/incidents/CaNdLe1"
    assert past.metadata["locations"] == ["Lisbon"]
    assert (still_open.resolved_at, still_open.affected_systems) == (None, ("Candle Queue",))


def test_updates_come_oldest_first_and_are_known_by_when_they_were_created() -> None:
    [[past], _] = reading(record())
    assert [update.text for update in past.updates] == ["We look into dark candles.", "All candles burn again."]
    assert past.updates[0].external_id == "2025-05-02T08:20:00.000Z"


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"status_impact": "SERVICE_OUTAGE"}, Severity.HIGH),
        ({"status_impact": "SERVICE_DISRUPTION"}, Severity.MEDIUM),
        ({"status_impact": "SERVICE_INFORMATION"}, Severity.LOW),
        ({"status_impact": "METEOR", "severity": "critical"}, Severity.CRITICAL),
        ({"status_impact": None, "severity": None}, Severity.MEDIUM),
    ],
)
def test_the_severity_follows_the_words_of_the_impact(changes: dict[str, object], severity: Severity) -> None:
    assert reading(record(**changes))[0][0].severity == severity


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"end": None}, "repaired: CaNdLe1 (Candle Storage returns errors in Lisbon): end is missing; the time of its"),
        ({"begin": None}, "begin is missing; the time of its first update is used."),
        ({"begin": None, "updates": []}, "begin is missing; created is used."),
        ({"status_impact": "METEOR"}, "repaired: CaNdLe1 (Candle Storage returns errors in Lisbon): Its status_impact"),
        (
            {"status_impact": None, "severity": None},
            "kept: CaNdLe1 (Candle Storage returns errors in Lisbon): It states",
        ),
        ({"created": "2025-05-03T00:00:00Z"}, "It was published (2025-05-03T00:00:00.000Z) after it had ended"),
        ({"end": "2025-05-01T00:00:00Z"}, "both times are kept, and its duration will count as invalid."),
        ({"begin": "2025-05-02T09:00:00Z"}, "Its first update (2025-05-02T08:20:00.000Z) is older than its start"),
        ({"updates": None}, "It has no list of updates"),
        (
            {"updates": [7]},
            "refused: CaNdLe1 (Candle Storage returns errors in Lisbon): Update 1 is left out: it is not",
        ),
        ({"updates": [{"text": "x"}]}, "Update 1 is left out: it has no time."),
        ({"external_desc": "n" * 250}, "Its external_desc has 250 characters"),
        ({"external_desc": "Dies\0er"}, "NUL characters were removed"),
    ],
)
def test_what_is_odd_is_told_and_the_incident_is_in(changes: dict[str, object], says: str) -> None:
    [past], told = reading(record(**changes))
    assert says in told
    assert past.external_id == "CaNdLe1"


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("text", "record 1: It is not an object."),
        (record(id=None), "It has no id"),
        (record(external_desc=""), "It has no external_desc."),
        (record(begin="2025-05-02T08:00:00"), "begin needs a time zone"),
        (record(begin=10**400), "begin must be Unix milliseconds"),
        (record(end=[]), "end must be a time"),
        (record(begin=None, created=None, updates=[]), "nobody knows when it began"),
    ],
)
def test_a_record_that_cannot_be_kept_is_named_and_the_next_one_is_read(broken: object, says: str) -> None:
    [past], told = reading(broken, record(id="next"))
    assert past.external_id == "next"
    assert told.startswith("refused: ")
    assert says in told


def test_one_of_two_incidents_with_one_id_is_believed() -> None:
    [past], told = reading(record(), record(external_desc="Another", begin="2025-05-03T08:00:00Z"))
    assert past.title == "Candle Storage returns errors in Lisbon"
    assert "Correct the id." in told


@pytest.mark.parametrize("content", [b"{}", b"7", b'{"incidents": 1}', FIXTURE[:300], b""])
def test_a_file_that_is_no_history_is_refused_whole(content: bytes) -> None:
    with pytest.raises(FileRefused):
        list(read(content))


def test_problems_have_a_fate_of_their_own() -> None:
    [problem, _] = read(json.dumps([record(end=None)]).encode())
    assert isinstance(problem, Problem)
    assert problem.fate == Fate.REPAIRED
