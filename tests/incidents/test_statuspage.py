"""What the Statuspage reader keeps, repairs, leaves out and refuses. No database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from incidents.intake import Fate, FileRefused, Problem
from incidents.intake.statuspage import read
from incidents.lifecycle import Phase, Severity
from incidents.past import PastIncident
from tests.factories import at

FIXTURE = (Path(__file__).parent / "fixtures" / "statuspage.json").read_bytes()


def note(
    id: str = "u1", clock: str = "10:00", status: str = "investigating", body: str = "We look.", **more: Any
) -> dict:
    return {"id": id, "status": status, "body": body, "display_at": f"2026-03-02T{clock}:00Z", **more}


def record(**changes: Any) -> dict[str, Any]:
    """A resolved incident of one hour without an oddity."""
    plain = {
        "id": "one",
        "name": "Uploads fail",
        "status": "resolved",
        "impact": "minor",
        "started_at": "2026-03-02T10:00:00Z",
        "resolved_at": "2026-03-02T11:00:00Z",
        "incident_updates": [note(), note("u2", "11:00", "resolved", "It is over.")],
    }
    return {**plain, **changes}


def reading(*records: object) -> tuple[list[PastIncident], list[Problem]]:
    items = list(read(json.dumps({"incidents": records}).encode()))
    return [item for item in items if isinstance(item, PastIncident)], [
        item for item in items if isinstance(item, Problem)
    ]


def only(*records: object) -> tuple[PastIncident, str]:
    """The one incident read, and all that was said about it."""
    [past], problems = reading(*records)
    return past, " | ".join(map(str, problems))


def test_a_history_is_read_in_its_own_words_and_times() -> None:
    past = next(item for item in read(FIXTURE) if isinstance(item, PastIncident))
    assert (past.external_source, past.external_id, past.severity) == ("statuspage:p4ge", "lamp-2", Severity.CRITICAL)
    assert (past.detected_at, past.resolved_at) == (at("2025-04-01T08:00"), at("2025-04-01T09:30"))
    assert past.affected_systems == ("Uploads", "API")
    assert past.metadata["shortlink"] == "https://stspg.example/lamp-2"


def test_updates_come_oldest_first_at_the_time_they_were_shown() -> None:
    past = next(item for item in read(FIXTURE) if isinstance(item, PastIncident))
    assert [update.external_id for update in past.updates] == ["u1", "u2", "u3", "u4", "u5"]
    assert past.updates[0].at == at("2025-04-01T08:03"), "display_at is missing, so created_at"
    assert past.updates[1].at == at("2025-04-01T08:15")


def test_markup_becomes_text_and_a_lone_less_than_stays() -> None:
    past = next(item for item in read(FIXTURE) if isinstance(item, PastIncident))
    assert past.updates[1].text == "A disk is full.\nAffected: <0.1% of users."


def test_only_the_way_forward_becomes_phases() -> None:
    past = next(item for item in read(FIXTURE) if isinstance(item, PastIncident))
    assert past.phases == ((Phase.ISOLATION, at("2025-04-01T08:15")), (Phase.VALIDATION, at("2025-04-01T08:40")))


@pytest.mark.parametrize("clock", ["09:59", "11:01"])
def test_a_phase_lies_between_start_and_end(clock: str) -> None:
    assert only(record(incident_updates=[note(clock=clock, status="identified")]))[0].phases == ()


def test_updates_of_one_moment_keep_the_order_of_the_source() -> None:
    newest_first = [note("c", "11:00", "resolved"), note("b", "10:00"), note("a", "10:00")]
    for listed in (newest_first, newest_first[::-1]):
        updates = only(record(incident_updates=listed))[0].updates
        assert [update.external_id for update in updates] == ["a", "b", "c"]


def test_what_the_source_monitors_is_open_and_monitored() -> None:
    past = [item for item in read(FIXTURE) if isinstance(item, PastIncident)][1]
    assert past.is_monitoring
    assert past.resolved_at is None


def test_scheduled_maintenance_is_told_and_skipped() -> None:
    problems = [item for item in read(FIXTURE) if isinstance(item, Problem)]
    assert [(problem.fate, problem.record) for problem in problems] == [(Fate.SKIPPED, "plan-1 (New racks)")]
    assert reading(record(scheduled_for="2026-03-05T00:00:00Z"))[0] == []


@pytest.mark.parametrize("wrap", [lambda one: {"incidents": [one]}, lambda one: [one], lambda one: one])
def test_a_list_or_a_single_incident_is_a_history_too(wrap: Any) -> None:
    [past] = read(json.dumps(wrap(record())).encode())
    assert isinstance(past, PastIncident)
    assert past.external_source == "statuspage"


def test_a_byte_order_mark_is_no_problem() -> None:
    assert list(read(b"\xef\xbb\xbf" + FIXTURE)) == list(read(FIXTURE))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"<html>502</html>", "not JSON: line 1, column 1"),
        (b'{"a": 1,}', "not JSON"),
        (FIXTURE[:900], "breaks off in the middle"),
        (FIXTURE[: FIXTURE.index(b"Uploads time")], "breaks off in the middle"),
        (FIXTURE.decode().encode("utf-16"), "UTF-16"),
        (b'{"incidents": null}', "no Statuspage history"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[" + b"1" * 5_000 + b"]", "numbers are too long"),
        (b"null", "no Statuspage history"),
        (b'"incidents"', "no Statuspage history"),
        (b'{"components": []}', "no Statuspage history"),
    ],
    ids=lambda value: value[:24],
)
def test_a_file_that_is_no_history_is_refused_whole(content: bytes, says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        list(read(content))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (None, "record 1: It is not an object."),
        ("text", "record 1: It is not an object."),
        (record(id=None), "record 1 Uploads fail: It has no id"),
        (record(id="a\0b"), "Its id must be"),
        (record(id="x" * 151), "Its id must be"),
        (record(name=" "), "record 1 one: It has no name."),
        (record(started_at="yesterday"), "started_at must be a time such as 2026-03-02T10:00:00Z, not 'yesterday'"),
        (record(started_at="1999-12-31T23:59:59Z"), "started_at must lie between the years 2000 and 2099"),
        (record(started_at="2026-03-02T10:00:00"), "started_at needs a time zone"),
        (record(started_at={"at": 1}), "started_at must be a time"),
        (record(resolved_at="soon"), "resolved_at must be a time"),
        (record(resolved_at=None, incident_updates=[]), "neither resolved_at nor an update says when"),
        (record(started_at=None, incident_updates=[]), "nobody knows when it began"),
    ],
)
def test_a_record_that_cannot_be_kept_is_named_and_the_next_one_is_read(broken: object, says: str) -> None:
    [past], [problem] = reading(broken, record(id="next"))
    assert past.external_id == "next"
    assert problem.fate == Fate.REFUSED
    assert says in str(problem)


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (
            record(resolved_at="2026-03-02T09:00:00Z"),
            "before it started (2026-03-02T10:00:00.000Z); both times are kept",
        ),
        (record(status="exploded"), 'Its status "exploded" is unknown'),
        (record(impact="apocalyptic"), 'Its impact "apocalyptic" is unknown; severity medium is assumed.'),
        (record(impact=None), "It states no impact; severity medium is assumed."),
        (record(incident_updates=None), "no list of incident_updates"),
        (record(incident_updates=[note(status="update")]), 'Unknown update status "update"; the text is kept'),
        (record(incident_updates=[note(body=None)]), "An update without text"),
        (record(incident_updates=[note(clock="09:30")]), "is older than its start"),
        (record(name="n" * 250), "Its name has 250 characters; 200 fit"),
    ],
)
def test_an_odd_record_is_kept_and_told_in_one_line(odd: dict[str, Any], says: str) -> None:
    [past], [problem] = reading(odd)
    assert past.external_id == "one"
    assert problem.fate == Fate.KEPT
    assert says in problem.sentence
    assert str(problem).isprintable()


@pytest.mark.parametrize(
    ("damaged", "says"),
    [
        (record(started_at=None, created_at="2026-03-02T10:00:00Z"), "started_at is missing; created_at is used."),
        (record(started_at=None), "started_at and created_at are missing; the time of its first update is used."),
        (record(resolved_at=None), "resolved_at is missing; the time of its update “resolved” is used."),
        (record(status="investigating"), 'Its status "investigating" contradicts its resolved_at'),
        (record(status="investigating", resolved_at=None), "contradicts its last update, which says resolved"),
        (record(name="Dies\0er"), "NUL characters were removed"),
        (record(name="Lamp \ud800"), "not UTF-8"),
        (record(incident_updates=[note(body="x" * 20_001)]), "it is cut to 20000"),
    ],
)
def test_what_is_repaired_is_told_with_how(damaged: dict[str, Any], says: str) -> None:
    [past], [problem] = reading(damaged)
    assert (past.external_id, problem.fate, says in problem.sentence) == ("one", Fate.REPAIRED, True)
    assert str(problem).isprintable()


def test_a_resolution_before_the_start_keeps_both_stated_times() -> None:
    past, _ = only(record(resolved_at="2026-03-01T09:00:00Z", incident_updates=[note()]))
    assert (past.detected_at, past.resolved_at) == (at("10:00"), at("2026-03-01T09:00"))


def test_a_resolution_that_lost_its_year_is_the_one_of_its_update() -> None:
    past, said = only(record(resolved_at="2028-03-02T11:00:00Z"))
    assert past.resolved_at == at("11:00")
    assert "contradicts its update “resolved” (2026-03-02T11:00:00.000Z); the update's time is used" in said
    assert past.metadata["resolved_at"] == "2028-03-02T11:00:00Z"


def test_a_missing_resolution_is_the_last_resolved_update() -> None:
    updates = [note("u1", "10:10", "resolved"), note("u2", "10:20"), note("u3", "10:45", "resolved")]
    assert only(record(resolved_at=None, incident_updates=updates))[0].resolved_at == at("10:45")


def test_an_open_incident_with_a_later_update_stays_open() -> None:
    updates = [note("u1", "10:10", "resolved"), note("u2", "10:20", "investigating")]
    assert only(record(status="investigating", resolved_at=None, incident_updates=updates))[0].resolved_at is None


@pytest.mark.parametrize(
    ("update", "says"),
    [
        ("text", "Update 1 is left out: it is not an object."),
        (note(display_at=None), "Update 1 is left out: it has no time."),
        (note(display_at="1970-01-01T00:00:00Z"), "Update 1 is left out: display_at must lie between"),
    ],
)
def test_an_update_that_cannot_be_kept_leaves_the_incident(update: object, says: str) -> None:
    [past], [problem] = reading(record(incident_updates=[update, note("u2")]))
    assert [update.external_id for update in past.updates] == ["u2"]
    assert (problem.fate, says in problem.sentence) == (Fate.REFUSED, True)


def test_a_bad_byte_costs_one_character_of_one_record() -> None:
    content = json.dumps([record(), record(id="two", name="Stra?e")]).encode().replace(b"?", b"\xdf")
    pasts = [item for item in read(content) if isinstance(item, PastIncident)]
    assert [past.title for past in pasts] == ["Uploads fail", "Stra\N{REPLACEMENT CHARACTER}e"]


def test_updates_that_share_an_id_are_all_kept_under_ids_that_stay() -> None:
    updates = [note("same", "10:00"), note("same", "10:05", body="Still."), note("same", "10:00")]
    past, said = only(record(incident_updates=updates))
    ids = [update.external_id for update in past.updates]
    assert ids[0] == "same"
    assert len(set(ids)) == 2
    assert [update.external_id for update in only(record(incident_updates=updates[::-1]))[0].updates] == ids
    assert 'Several updates have the id "same"' in said


def test_an_update_without_an_id_gets_one_that_stays() -> None:
    [one] = only(record(incident_updates=[note(None)]))[0].updates
    [again] = only(record(incident_updates=[note(None)]))[0].updates
    assert one.external_id == again.external_id != ""


def test_the_same_incident_twice_in_a_file_is_told_and_merged() -> None:
    pasts, [problem] = reading(record(), record(incident_updates=[note("u9")]))
    assert len(pasts) == 2
    assert "appears again" in problem.sentence


def test_two_incidents_with_one_id_cannot_both_be_right() -> None:
    [past], [problem] = reading(record(), record(name="Another", started_at="2026-03-02T09:00:00Z"))
    assert past.title == "Uploads fail"
    assert (problem.fate, "same id" in problem.sentence) == (Fate.REFUSED, True)


def test_a_long_name_is_cut_and_kept_whole_in_metadata() -> None:
    past, _ = only(record(name="n" * 250))
    assert (len(past.title), past.metadata["title"]) == (200, "n" * 250)


def test_a_report_line_cannot_command_a_terminal() -> None:
    _, [problem] = reading(record(name="\x1b[2J\x07boo", impact="\x1b]0;x\x07"))
    assert str(problem).isprintable()


def test_thirty_megabytes_are_read() -> None:
    body = "x" * 19_000
    records = [record(id=f"r{n}", incident_updates=[note(body=body)]) for n in range(1_600)]
    content = json.dumps(records).encode()
    assert len(content) > 30_000_000
    assert sum(isinstance(item, PastIncident) for item in read(content)) == 1_600
