"""What becomes of a log of dispatches."""

from __future__ import annotations

import csv
import io
import math
import os
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from incidents.intake import FileRefused, Problem
from incidents.intake.dispatches import DUBLIN_FIRE, DispatchMapping, mapping_from, read
from incidents.lifecycle import Kind, Severity
from incidents.models import Incident, TeamPage
from incidents.past import PastDispatch, PastIncident
from majorops.cli import app
from majorops.lib.errors import Invalid
from majorops.lib.times import iso
from teams.models import Team
from tests.factories import TeamFactory, at

FIXTURE = Path(__file__).parent / "fixtures" / "turnouts.csv"
#: A day's calls of one team to one incident, by minutes.
PLAIN = """
    source = "plain"
    time_formats = ["%Y-%m-%d %H:%M"]
    [columns]
    id = "call"
    team = "unit"
    paged = "sent"
    arrived = "there"
"""


def reading(content: bytes, mapping: DispatchMapping = DUBLIN_FIRE) -> tuple[dict[str, PastIncident], dict[str, str]]:
    """The incidents by number, and what was said about each row."""
    items = list(read(io.BytesIO(content), mapping, lambda name: f"id of {name}")[1])
    pasts = {item.external_id: item for item in items if isinstance(item, PastIncident)}
    return pasts, {item.record: f"{item.fate}: {item.sentence}" for item in items if isinstance(item, Problem)}


def fixture(number: str) -> PastDispatch:
    [dispatch] = reading(FIXTURE.read_bytes())[0][number].dispatches
    return dispatch


def plain(*rows: str, mapping: str = PLAIN) -> tuple[dict[str, PastIncident], dict[str, str]]:
    return reading("\n".join(("call,unit,sent,there", *rows)).encode(), mapping_from(mapping))


def load(*options: str) -> Result:
    return CliRunner().invoke(app, ["team", "import", "dispatches", *options])


# --- Times without a date ---


def test_a_turnout_is_a_dispatch_at_the_level_of_the_mapping() -> None:
    dispatch = fixture("101")
    assert (dispatch.team_name, dispatch.alarm_level) == ("North Quay", "box2")
    assert dispatch.paged_at == at("2020-03-02T10:01:00")
    assert dispatch.acknowledged_at == at("2020-03-02T10:02:30")
    assert dispatch.arrived_at == at("2020-03-02T10:09:00")
    assert dispatch.cancelled_at is None


def test_times_after_midnight_belong_to_the_next_day() -> None:
    dispatch = fixture("102")
    assert dispatch.acknowledged_at == at("2020-03-03T00:01")
    assert dispatch.arrived_at == at("2020-03-03T00:08:30")


def test_who_never_came_was_sent_home_and_has_no_arrival() -> None:
    dispatch = fixture("103")
    assert (dispatch.arrived_at, dispatch.cancelled_at) == (None, at("2020-03-02T12:06"))


def test_an_acknowledgement_seconds_before_the_page_is_left_out_not_moved_a_day() -> None:
    said = reading(FIXTURE.read_bytes())[1]
    assert fixture("104").acknowledged_at is None
    assert fixture("104").arrived_at == at("2020-03-02T13:10")
    assert said["104, line 5"].startswith("kept: MOB 2020-03-02T13:00:52.000Z is before the page")


def test_the_hour_that_comes_twice_is_the_one_that_makes_it_later() -> None:
    """Irish clocks went back at 01:00 UTC on 25 October 2020."""
    dispatch = fixture("106")
    assert (iso(dispatch.paged_at), iso(dispatch.arrived_at)) == (
        "2020-10-25T00:41:00.000Z",
        "2020-10-25T01:05:00.000Z",
    )


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ("105, line 6", "refused: IA 2020-03-02T13:58:00.000Z is before the page"),
        ("107, line 8", "refused: Date '31/13/2020' is no date of the form %d/%m/%Y."),
        ("108, line 9", "refused: ORD is empty: nobody knows when the team was called."),
        ("109, line 10", "refused: Station Name is empty: nobody knows which team was called."),
    ],
)
def test_a_row_that_cannot_be_is_refused_by_its_line(record: str, sentence: str) -> None:
    pasts, said = reading(FIXTURE.read_bytes())
    assert said[record].startswith(sentence)
    assert record.partition(",")[0] not in pasts


# --- Mappings ---


def test_rows_of_one_call_are_one_incident_wherever_they_lie() -> None:
    pasts, _ = plain("7,A,2026-03-02 10:00,2026-03-02 10:04", "8,A,2026-03-02 11:00,", "7,B,2026-03-02 10:02,?")
    assert [one.team_name for one in pasts["7"].dispatches] == ["A", "B"]
    assert (pasts["7"].detected_at, pasts["7"].resolved_at) == (at("10:00"), at("10:04"))


def test_the_same_row_twice_is_one_dispatch() -> None:
    pasts, said = plain(*["7,A,2026-03-02 10:00,2026-03-02 10:04"] * 2)
    assert len(pasts["7"].dispatches) == 1
    assert said["7, line 3"] == "skipped: It is the same dispatch as line 2."


def test_a_team_cannot_be_out_twice_at_once() -> None:
    pasts, said = plain("7,A,2026-03-02 10:00,", "7,A,2026-03-02 10:05,")
    assert len(pasts["7"].dispatches) == 1
    assert said["7, line 3"] == "refused: A is still out since line 2."


def test_minutes_may_stand_for_a_time() -> None:
    by_minutes = PLAIN.replace('arrived = "there"', '[minutes]\narrived = "there"')
    [dispatch] = plain("7,A,2026-03-02 10:00,2.5", mapping=by_minutes)[0]["7"].dispatches
    assert dispatch.arrived_at == at("10:02:30")


def test_seconds_may_stand_for_a_time() -> None:
    seconds = PLAIN.replace('arrived = "there"', "[seconds]\n" + 'arrived = "there"')
    pasts, told = plain(
        "1,A,2026-03-02 10:00,270", "2,A,2026-03-02 10:00,1e12", "3,A,2026-03-02 10:00,x", mapping=seconds
    )
    assert pasts["1"].dispatches[0].arrived_at == at("2026-03-02T10:04:30")
    assert told == {
        "2, line 3": "refused: there '1e12' is no number of seconds.",
        "3, line 4": "refused: there 'x' is no number of seconds.",
    }


@pytest.mark.parametrize(
    ("content", "change"),
    [
        ("call;unit;sent;there\n1;Köln;2026-03-02 10:00;2026-03-02 10:04\n".encode(), ""),
        ("call\tunit\tsent\tthere\r\n1\tKöln\t2026-03-02 10:00\t2026-03-02 10:04\r\n".encode("utf-8-sig"), ""),
        ("call,unit,sent,there\n1,Köln,2026-03-02 10:00,2026-03-02 10:04\n".encode("latin-1"), 'encoding = "latin-1"'),
        ("call,unit,sent,there\n1,Köln,02/03/2026 10:00,02/03/2026 10:04\n".encode(), "%d/%m/%Y %H:%M"),
        (b"Call, Unit ,SENT,there\n1,K\xc3\xb6ln,2026-03-02T11:00+01:00,2026-03-02T10:04Z\n", "iso"),
    ],
    ids=["semicolons", "tabs and a byte order mark", "latin-1", "day first", "iso, other letter case"],
)
def test_a_mapping_reads_files_of_many_shapes(content: bytes, change: str) -> None:
    mapping = PLAIN.replace("%Y-%m-%d %H:%M", change) if change and "=" not in change else f"{change}\n{PLAIN}"
    pasts, told = reading(content, mapping_from(mapping))
    [dispatch] = pasts["1"].dispatches
    assert (dispatch.team_name, dispatch.paged_at, dispatch.arrived_at, told) == (
        "Köln", at("2026-03-02T10:00"), at("2026-03-02T10:04"), {}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"call,unit,sent\n1,A,2026-03-02 10:00\n", "Columns are missing: there"),
        ("call,unit,sent,there\n1,A,2026-03-02 10:00,\n2,Köln,,\n".encode("latin-1"), "Line 3 is not UTF-8"),
        (b"", "empty"),
        (b"a,b\n1,2\n", "names no column of this format"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(content: bytes, told: str) -> None:
    with pytest.raises(FileRefused, match=told):
        reading(content, mapping_from(PLAIN))


def test_alarm_levels_are_translated_and_unknown_ones_told() -> None:
    leveled = PLAIN.replace('arrived = "there"', 'alarm_level = "there"\n[alarm_levels]\n2 = "box2"\n3 = "box3"')
    pasts, said = plain("7,A,2026-03-02 10:00,3", "7,B,2026-03-02 10:00,2", "8,A,2026-03-02 10:00,9", mapping=leveled)
    assert (pasts["7"].severity, pasts["8"].severity) == (Severity.CRITICAL, Severity.LOW)
    assert said["8, line 4"] == 'kept: The mapping has no alarm level for there "9".'


def test_days_without_an_hour_are_told() -> None:
    _, said = plain("7,A,2026-03-02,", mapping=PLAIN.replace(" %H:%M", ""))
    assert "midnight stands for it" in said["all rows"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("source = 1 =", "neither TOML nor JSON"),
        ('{"source": "x"}', "columns: Field required"),
        (PLAIN + 'come = "x"', "columns.come"),
        (PLAIN.replace('"plain"', '"plain"\nzone = "Mars/Base"'), "time zone that does not exist"),
        (PLAIN.replace('"plain"', '"plain"\nalarm_level = "box9"'), "alarm_level"),
        (PLAIN.replace('"plain"', '"plain"\nencoding = "hex"'), "no encoding of texts"),
    ],
)
def test_a_mapping_that_cannot_be_says_what_is_wrong(text: str, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        mapping_from(text)


# --- The command ---


@pytest.mark.django_db
def test_the_import_writes_incidents_dispatches_and_their_log() -> None:
    result = load(str(FIXTURE), "--format", "dublin-fire", "--create-teams")
    assert result.exit_code == 7
    assert "5 new, 0 grown, 0 same; 0 updates written, 5 dispatches; 4 refused, 0 skipped, 1 odd" in result.output
    assert sorted(Team.objects.values_list("slug", flat=True)) == ["harbour", "north-quay"]
    incident = Incident.objects.get(external_id="101")
    assert (incident.kind, incident.severity, incident.is_open) == (Kind.BACKFILLED, Severity.HIGH, False)
    assert [entry.title for entry in incident.timeline.exclude(page=None)] == [
        "North Quay paged at Box 2 (imported)",
        "North Quay acknowledged (imported)",
        "North Quay arrived (imported)",
    ]


@pytest.mark.django_db
def test_a_second_import_writes_nothing() -> None:
    load(str(FIXTURE), "--format", "dublin-fire", "--create-teams")
    before = list(TeamPage.objects.values())
    assert "0 new, 0 grown, 5 same" in load(str(FIXTURE), "--format", "dublin-fire").output
    assert list(TeamPage.objects.values()) == before


@pytest.mark.django_db
def test_an_answer_that_the_source_learned_since_is_filled_in_once(tmp_path: Path) -> None:
    TeamFactory(name="A", slug="a")
    log, mapping = tmp_path / "log.csv", tmp_path / "plain.toml"
    mapping.write_text(PLAIN)
    said = []
    for there in ("", "2026-03-02 10:04", "2026-03-02 10:09"):
        log.write_text(f"call,unit,sent,there\n7,A,2026-03-02 10:00,{there}\n")
        said.append(load(str(log), "--mapping", str(mapping)).output)
    assert TeamPage.objects.get().arrived_at == at("10:04")
    assert "0 new, 1 grown" in said[1]
    assert "0 new, 0 grown, 1 same" in said[2]


@pytest.mark.django_db
def test_unknown_teams_are_refused_unless_they_are_wanted() -> None:
    TeamFactory(name="Harbour")
    result = load(str(FIXTURE), "--format", "dublin-fire")
    assert 'refused: 101, line 2: No team is called "North Quay". Add it, or an alias.' in result.output
    assert set(TeamPage.objects.values_list("team__name", flat=True)) == {"Harbour"}


@pytest.mark.django_db
def test_a_dry_run_reports_the_same_and_writes_nothing() -> None:
    result = load(str(FIXTURE), "--format", "dublin-fire", "--create-teams", "--dry-run")
    assert "5 new" in result.output
    assert "Teams added: North Quay, Harbour." in result.output
    assert not Incident.objects.exists()
    assert not Team.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("options", [[], ["--format", "x"], ["--format", "dublin-fire", "--mapping", str(FIXTURE)]])
def test_a_file_needs_one_description(options: list[str]) -> None:
    assert load(str(FIXTURE), *options).exit_code == 5


# --- The real log ---


@pytest.mark.django_db
def test_the_turnouts_of_dublin_have_their_known_figures() -> None:
    """Not committed here: see MAJOROPS_REAL_DATA in docs."""
    folder = os.environ.get("MAJOROPS_REAL_DATA")
    if not folder:
        pytest.skip("MAJOROPS_REAL_DATA names no folder with real histories")
    content = (Path(folder) / "fire_dublin_turnouts_2020_2021.csv").read_bytes()
    pasts, said = reading(content)
    assert len(pasts) == len(list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))) - 1 == 23_608
    assert len(said) == 1
    dispatches = [one for past in pasts.values() for one in past.dispatches]
    acks = [(one.acknowledged_at - one.paged_at) / timedelta(minutes=1) for one in dispatches if one.acknowledged_at]
    arrivals = [(one.arrived_at - one.paged_at) / timedelta(minutes=1) for one in dispatches if one.arrived_at]
    assert (len(acks), _nth(acks, 0.5), _nth(acks, 0.9)) == (22_699, 1.8, 3.0)
    assert (len(arrivals), _nth(arrivals, 0.5), _nth(arrivals, 0.9)) == (18_568, 7.7, 13.8)
    assert round(100 * sum(minutes <= 10 for minutes in arrivals) / len(arrivals), 1) == 73.0
    assert sum(one.cancelled_at is not None for one in dispatches) == 5_040


def _nth(values: list[float], share: float) -> float:
    return round(sorted(values)[math.ceil(share * len(values)) - 1], 1)
