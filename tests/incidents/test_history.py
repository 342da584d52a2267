"""An import writes what is new, once; people's own words stay; a refused record does not stop the others."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import mean, median
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, transaction

from incidents import actions
from incidents.intake import Fate, Problem, googlecloud, postmortem, servicenow, snapshots, statuspage, volvo
from incidents.intake.history import ImportReport, run_import
from incidents.intake.zones import ZoneUnclear, named_zone
from incidents.lifecycle import Kind, Phase, Severity, Status, Visibility
from incidents.models import Incident, PhaseEntry, Source, StatusUpdate, TimelineEvent
from incidents.past import GONE_AT, PastEntry, PastIncident, PastUpdate
from kpis.sources import Scope, corrected_times, rows_of
from majorops.lib.times import iso
from tests.factories import NOON, at, stamp

pytestmark = pytest.mark.django_db

FIXTURES = Path(__file__).parent / "fixtures"
FIXTURE = (FIXTURES / "statuspage.json").read_bytes()


def import_fixture() -> ImportReport:
    return run_import(statuspage.read(FIXTURE), now=NOON)


def past(**changes: object) -> PastIncident:
    plain = PastIncident(
        external_source="statuspage:p4ge",
        external_id="one",
        title="Uploads fail",
        severity=Severity.HIGH,
        detected_at=at("08:00"),
        resolved_at=at("09:00"),
        updates=(PastUpdate("u1", at("08:10"), "We look.", "investigating"),),
    )
    return replace(plain, **changes)


def recorded() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Incident, TimelineEvent, PhaseEntry, StatusUpdate))


def test_an_import_writes_incidents_updates_and_phases() -> None:
    report = import_fixture()
    incident = Incident.objects.get(external_id="lamp-2")
    assert (report.new, report.updates, report.open) == (2, 6, 1)
    assert (incident.kind, incident.status, incident.phase) == (Kind.BACKFILLED, Status.RESOLVED, Phase.RESOLUTION)
    assert [entry.phase_number for entry in incident.phase_entries.all()] == [1, 5, 7, 8]
    assert incident.timeline.filter(type="update", source=Source.IMPORT).count() == incident.updates.count() == 5


def test_an_open_incident_of_the_source_is_open_here() -> None:
    import_fixture()
    incident = Incident.objects.get(external_id="lamp-1")
    assert (incident.status, incident.phase, incident.resolved_at) == (Status.MONITORING, Phase.VALIDATION, None)


def test_a_second_import_writes_nothing() -> None:
    import_fixture()
    before = recorded()
    report = import_fixture()
    assert (report.new, report.grown, report.same, report.updates) == (0, 0, 2, 0)
    assert recorded() == before


def test_a_dry_run_counts_and_writes_nothing() -> None:
    report = run_import(statuspage.read(FIXTURE), now=NOON, dry_run=True)
    assert (report.new, report.updates) == (2, 6)
    assert recorded() == (0, 0, 0, 0)


def test_an_incident_that_grew_gets_what_is_new_and_is_closed() -> None:
    run_import([past(resolved_at=None)], now=NOON)
    more = PastUpdate("u2", at("08:50"), "It is over.", "resolved")
    report = run_import([past(updates=(*past().updates, more))], now=NOON)
    assert (report.new, report.grown, report.updates) == (0, 1, 1)
    assert Incident.objects.get().resolved_at == at("09:00")


def test_what_people_wrote_since_stays() -> None:
    run_import([past(resolved_at=None)], now=NOON)
    actions.edit_incident(Incident.objects.get(), {"title": "Uploads to the west fail"}, stamp=stamp())
    run_import([past()], now=NOON)
    assert Incident.objects.get().title == "Uploads to the west fail"


@pytest.mark.parametrize(
    ("there", "says"), [(None, "The source has it open, here it is resolved."), (at("10:00"), "that is left as it is")]
)
def test_an_end_that_differs_is_told_and_left(there: datetime | None, says: str) -> None:
    run_import([past()], now=NOON)
    report = run_import([past(resolved_at=there)], now=NOON)
    assert says in str(report.problems[0])
    assert (report.same, Incident.objects.get().resolved_at) == (1, at("09:00"))


def test_the_same_note_under_another_id_is_not_doubled() -> None:
    run_import([past()], now=NOON)
    rounded = PastUpdate("update_0", at("08:10:30"), "<p>We  look.</p>", "update")
    report = run_import([past(updates=(rounded,))], now=NOON)
    assert (report.same, StatusUpdate.objects.count()) == (1, 1)


def test_an_id_that_moved_to_another_note_loses_none() -> None:
    run_import([past(updates=(PastUpdate("update_0", at("08:10"), "We look.", "investigating"),))], now=NOON)
    grown = (
        PastUpdate("update_1", at("08:10"), "We look.", "investigating"),
        PastUpdate("update_0", at("08:40"), "A disk is full.", "identified"),
    )
    for _ in range(2):
        report = run_import([past(updates=grown)], now=NOON)
    assert report.same == 1
    assert list(StatusUpdate.objects.values_list("content", flat=True)) == ["We look.", "A disk is full."]


def test_a_note_edited_at_the_source_is_told_and_left_as_it_was() -> None:
    run_import([past()], now=NOON)
    report = run_import([past(updates=(PastUpdate("u1", at("08:10"), "We looked.", "investigating"),))], now=NOON)
    assert StatusUpdate.objects.get().content == "We look."
    [problem] = report.problems
    assert (problem.fate, "1 of its updates read differently" in problem.sentence) == (Fate.KEPT, True)


def test_an_update_of_the_future_is_left_out() -> None:
    later = PastUpdate("u2", NOON + timedelta(hours=1), "It will be over.", "resolved")
    report = run_import([past(updates=(*past().updates, later))], now=NOON)
    [problem] = report.problems
    assert (report.new, report.updates, problem.fate) == (1, 1, Fate.REFUSED)
    assert "2026-03-02T13:00:00.000Z lies in the future" in problem.sentence


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"detected_at": NOON + timedelta(hours=1)}, "lies in the future"),
        ({"resolved_at": NOON + timedelta(hours=1)}, "lies in the future"),
        ({"title": ""}, "title is needed"),
        ({"updates": (PastUpdate("u1", at("08:10"), "", "investigating"),)}, "update is needed"),
    ],
)
def test_a_refused_record_writes_nothing_and_the_next_one_is_written(changes: dict[str, object], says: str) -> None:
    report = run_import([past(**changes), past(external_id="two")], now=NOON)
    [problem] = report.problems
    assert (report.new, problem.fate, says in problem.sentence) == (1, Fate.REFUSED, True)
    assert list(Incident.objects.values_list("external_id", flat=True)) == ["two"]


def test_problems_of_the_reader_are_passed_on_and_progress_is_told() -> None:
    told: list[bool] = []
    records: Iterator[PastIncident | Problem] = iter([Problem(Fate.SKIPPED, "plan-1", "No incident."), past()])
    report = run_import(records, now=NOON, progress=lambda: told.append(True))
    assert (len(told), report.count(Fate.SKIPPED), report.new) == (2, 1, 1)


def test_imported_updates_are_public_and_speak_for_their_source() -> None:
    run_import([past()], now=NOON)
    update = StatusUpdate.objects.get()
    assert (update.visibility, update.author_name) == (Visibility.PUBLIC, "statuspage:p4ge")
    assert Incident.objects.get().last_communicated_at == at("08:10")


# --- Merging, unknown ends, logs of others ---


def test_another_export_of_a_known_incident_is_merged_with_the_union_of_its_updates() -> None:
    run_import([past()], now=NOON)
    other = (PastUpdate("x0", at("08:10:20"), "We look.", "update"), PastUpdate("x1", at("08:40"), "A fuse.", "update"))
    first, second = (run_import([past(updates=other)], now=NOON) for _ in range(2))
    assert (first.new, first.grown, first.updates, first.merged) == (0, 1, 1, {"one"})
    assert (second.grown, second.same, second.updates) == (0, 1, 0)
    assert list(StatusUpdate.objects.values_list("content", flat=True)) == ["We look.", "A fuse."]


def test_the_same_incident_twice_in_a_file_is_one_and_counts_as_merged() -> None:
    more = past(updates=(PastUpdate("u2", at("08:40"), "A fuse.", "update"),))
    report = run_import([past(), more], now=NOON)
    assert (report.new, report.grown, report.merged, report.updates) == (1, 1, {"one"}, 2)


def test_an_unknown_end_is_told_until_a_later_file_knows_it() -> None:
    gone = past(resolved_at=None, unknown_end="It vanished.")
    assert [str(one) for one in run_import([gone], now=NOON).problems] == ["kept: one (Uploads fail): It vanished."]
    assert run_import([past()], now=NOON).grown == 1
    report = run_import([gone], now=NOON)
    assert (report.same, report.problems) == (1, [])
    assert Incident.objects.get().resolved_at == at("09:00")


def test_what_vanished_is_closed_and_counts_nowhere_until_a_later_file_knows_its_end() -> None:
    gone = past(resolved_at=at("11:00"), unknown_end="It vanished.", metadata={GONE_AT: iso(at("11:00"))})
    told = [str(one) for _ in range(2) for one in run_import([gone], now=NOON).problems]
    assert told == ["kept: one (Uploads fail): It vanished."] * 2
    assert Incident.objects.get().status == Status.RESOLVED
    assert [row["resolved_at"] for row in rows_of("incidents", Scope(NOON))] == [None]
    assert (run_import([past()], now=NOON).grown, run_import([past()], now=NOON).same) == (1, 1)
    assert [row["resolved_at"] for row in rows_of("incidents", Scope(NOON))] == [at("09:00")]
    assert corrected_times(Scope(NOON)) == {
        TimelineEvent.objects.get(title="Resolution (imported)", corrects=None).pk: at("09:00")
    }
    assert run_import([gone], now=NOON).problems == []


def test_what_was_open_here_and_vanished_is_closed_the_same() -> None:
    run_import([past(resolved_at=None)], now=NOON)
    gone = past(resolved_at=at("11:00"), unknown_end="It vanished.", metadata={GONE_AT: iso(at("11:00"))})
    assert run_import([gone], now=NOON).grown == 1
    assert Incident.objects.get().has_ended_unseen
    assert TimelineEvent.objects.get(title="Resolution (imported)").description == "It vanished."


def test_the_first_entry_says_where_the_source_tells_of_it() -> None:
    run_import([past(metadata={"link": "https://status.example/1"})], now=NOON)
    assert TimelineEvent.objects.get(phase_number=Phase.ALERT).description == "https://status.example/1"


def test_entries_of_a_log_elsewhere_are_internal_and_written_once() -> None:
    timed = past(updates=(), entries=(PastEntry("e1", at("08:20"), "A fuse is found", "In the cellar."),))
    first, second = (run_import([timed], now=NOON) for _ in range(2))
    assert (first.new, first.entries, second.same, second.entries) == (1, 1, 1, 0)
    entry = TimelineEvent.objects.get(external_id="e1")
    assert (entry.occurred_at, entry.visibility, entry.source) == (at("08:20"), Visibility.INTERNAL, Source.IMPORT)


def test_an_entry_of_the_future_leaves_nothing_half_written() -> None:
    timed = past(entries=(PastEntry("e1", at("08:20"), "Now"), PastEntry("e2", NOON + timedelta(hours=1), "Later")))
    report = run_import([timed], now=NOON)
    assert (report.new, report.count(Fate.REFUSED), recorded()) == (0, 1, (0, 0, 0, 0))


def test_a_report_for_programs_names_every_record_and_reason() -> None:
    report = run_import([Problem(Fate.REPAIRED, "two", "end is missing."), past()], now=NOON).as_json()
    assert (report["new"], report["updates"], report["merged"]) == (1, 1, [])
    assert report["repaired"] == [{"record": "two", "reason": "end is missing."}]
    assert (report["kept"], report["skipped"], report["refused"]) == ([], [], [])


# --- Many at once ---


def written() -> list[list[dict[str, object]]]:
    """All rows an import writes, without the ids that are drawn."""
    drawn = {"id", "public_id", "incident_id", "event_id"}
    return [
        [
            {name: value for name, value in row.items() if name not in drawn}
            for row in model.objects.order_by("pk").values()
        ]
        for model in (Incident, TimelineEvent, PhaseEntry, StatusUpdate)
    ]


def test_what_is_written_together_is_what_is_written_one_by_one() -> None:
    pasts = [one for one in statuspage.read(FIXTURE) if isinstance(one, PastIncident)]
    pasts.append(past(issue_time=at("07:50"), phases=((Phase.GATHER, at("08:05")),), metadata={"rows": 3}))
    with transaction.atomic():
        for one in pasts:
            actions.record_past_incident(one, now=NOON)
        one_by_one = [sorted(rows, key=str) for rows in written()]
        transaction.set_rollback(True)
    actions.record_new_past_incidents(pasts, now=NOON)
    assert [sorted(rows, key=str) for rows in written()] == one_by_one


def test_of_incidents_written_together_all_or_none_are_in() -> None:
    with pytest.raises(IntegrityError):
        actions.record_new_past_incidents([past(), past(external_id="two"), past()], now=NOON)
    assert recorded() == (0, 0, 0, 0)


def test_new_known_repeated_and_refused_records_of_one_file_each_get_their_due() -> None:
    run_import([past()], now=NOON)
    later = past(external_id="late", resolved_at=NOON + timedelta(hours=1))
    again = past(external_id="two", updates=(PastUpdate("u9", at("08:30"), "More.", "identified"),))
    report = run_import([past(external_id="two"), past(), later, again, past(external_id="three")], now=NOON)
    assert (report.new, report.grown, report.same, report.count(Fate.REFUSED)) == (2, 1, 1, 1)
    assert set(Incident.objects.values_list("external_id", flat=True)) == {"one", "two", "three"}


def test_many_new_incidents_take_few_statements(django_assert_max_num_queries: Any) -> None:
    pasts = [past(external_id=str(number)) for number in range(40)]
    with django_assert_max_num_queries(15):
        run_import(pasts, now=NOON)


def test_a_phase_that_an_open_incident_has_reached_since_is_added() -> None:
    run_import([past(resolved_at=None)], now=NOON)
    gathered = past(resolved_at=None, phases=((Phase.GATHER, at("08:20")),))
    first, second = (run_import([gathered], now=NOON) for _ in range(2))
    assert (first.grown, second.same) == (1, 1)
    incident = Incident.objects.get()
    assert (incident.phase, incident.phase_entered_at) == (Phase.GATHER, at("08:20"))
    assert [entry.phase_number for entry in incident.phase_entries.all()] == [1, 2]


def test_a_change_log_is_imported_with_its_acknowledgement_once() -> None:
    with (FIXTURES / "servicenow.csv").open("rb") as file:
        records = list(servicenow.read(file, zone=ZoneInfo("UTC"))[1])
    first, second = (run_import(records, now=NOON) for _ in range(2))
    assert (first.new, first.open, second.new, second.same) == (3, 1, 0, 3)
    incident = Incident.objects.get(external_id="LAMP0001")
    assert (incident.kind, incident.issue_time) == (Kind.BACKFILLED, at("2016-02-29T08:00"))
    assert [entry.phase_number for entry in incident.phase_entries.all()] == [1, 2, 8]


# --- Real histories ---


def folder_of_real_data() -> Path:
    """Not committed here: see MAJOROPS_REAL_DATA in docs."""
    folder = os.environ.get("MAJOROPS_REAL_DATA")
    if not folder:
        pytest.skip("MAJOROPS_REAL_DATA names no folder with real histories")
    return Path(folder)


def real(name: str) -> list[PastIncident | Problem]:
    return list(statuspage.read((folder_of_real_data() / name).read_bytes()))


def test_a_real_history_of_625_incidents_is_imported_once() -> None:
    records = real("statuspage_github_incidents.json")
    first, second = (run_import(records, now=at("2026-11-01T00:00")) for _ in range(2))
    assert (first.new, first.updates, first.count(Fate.REFUSED)) == (625, 1371, 0)
    assert (second.new, second.grown, second.same, second.updates) == (0, 0, 625, 0)
    assert TimelineEvent.objects.filter(type="update").count() == 1371


def test_a_damaged_export_of_the_same_history_merges() -> None:
    run_import(real("statuspage_github_incidents.json"), now=at("2026-11-01T00:00"))
    run_import(real("statuspage_github_incidents_2025_2026.json"), now=at("2026-11-01T00:00"))
    report = run_import(real("statuspage_github_backfill_damaged.json"), now=at("2026-11-01T00:00"))
    assert (report.new, report.grown + report.same, report.count(Fate.REFUSED)) == (72, 86, 0)


def test_a_real_history_of_another_vendor_is_imported_once() -> None:
    content = (folder_of_real_data() / "gcp_cloud_status_incidents.json").read_bytes()
    first, second = (run_import(googlecloud.read(content), now=at("2026-11-01T00:00")) for _ in range(2))
    assert (first.new, first.updates, first.open, first.count(Fate.REFUSED)) == (157, 770, 0, 0)
    assert sum("after it had ended" in one.sentence for one in first.problems) == 22
    assert sum("is older than its start" in one.sentence for one in first.problems) == 1
    assert (second.new, second.grown, second.same) == (0, 0, 157)


def test_real_looks_become_five_incidents_and_a_later_file_knows_the_ends_of_three() -> None:
    looks = list(snapshots.read((folder_of_real_data() / "statuspage_github_summary_snapshots.jsonl").read_bytes()))
    first = run_import(looks, now=at("2026-11-01T00:00"))
    assert (first.new, first.updates, first.open) == (5, 87, 0)
    assert sum("The look is empty" in one.sentence for one in first.problems) == 4
    assert sum("vanished without a resolution" in one.sentence for one in first.problems) == 5
    later = run_import(real("statuspage_github_incidents_2025_2026.json"), now=at("2026-11-01T00:00"))
    assert (later.new, later.grown, Incident.objects.active().count()) == (129, 3, 0)
    assert sum(row.has_ended_unseen for row in Incident.objects.all()) == 2
    again = run_import(looks, now=at("2026-11-01T00:00"))
    assert (again.new, again.grown, again.same) == (0, 0, 5)


def test_real_timelines_give_the_hundred_events_that_are_expected() -> None:
    folder = folder_of_real_data() / "incident_reports"
    asked = 0
    for report in json.loads((folder / "mybinder_timelines.json").read_text()):
        content = (folder / f"mybinder_{report['file']}").read_bytes()
        try:
            entries = postmortem.timeline(content).entries
        except ZoneUnclear:
            asked += 1
            entries = postmortem.timeline(content, named_zone("UTC")).entries
        expected = ["".join(event["text"].split()) for event in report["events"]]
        found = ["".join(f"{entry.title}{entry.description}".split()) for entry in entries]
        assert len(found) == len(expected)
        assert all(text in entry for text, entry in zip(expected, found, strict=True))
    assert asked == 4, "PST in September and October, CET in June, and UC/Pacific"


def figures(pairs: list[tuple[datetime | None, datetime | None]]) -> tuple[int, float, float, int, int]:
    """How many, mean and median in minutes, negative, without an end: what the pages say of these incidents."""
    spans = [(end - start).total_seconds() / 60 for start, end in pairs if start and end]
    fair = [span for span in spans if span >= 0]
    return len(fair), round(mean(fair), 3), round(median(fair), 3), len(spans) - len(fair), len(pairs) - len(spans)


@pytest.mark.parametrize(
    ("log", "rows", "mttr", "mtta"),
    [
        ("servicenow", 511, (511, 16161.207, 3170.0, 0, 0), (395, 468.197, 6.0, 1, 115)),
        ("volvo", 1453, (1453, 11783.56, 477.117, 0, 0), (1453, 39.521, 0.0, 0, 0)),
    ],
)
def test_a_real_change_log_gives_the_figures_of_the_how_to(
    log: str, rows: int, mttr: tuple[float, ...], mtta: tuple[float, ...]
) -> None:
    names = {"servicenow": "servicenow_incident_event_log.csv", "volvo": "volvo_vinst_incident_events.csv"}
    with (folder_of_real_data() / names[log]).open("rb") as file:
        count, found = servicenow.read(file, zone=ZoneInfo("UTC")) if log == "servicenow" else volvo.read(file)
        records = list(found)
    first, second = (run_import(records, now=at("2026-11-01T00:00")) for _ in range(2))
    assert (count, first.new, first.count(Fate.REFUSED), second.new, second.same) == (rows, rows, 0, 0, rows)
    incidents = Incident.objects.all()
    assert figures([(one.detected_at, one.resolved_at) for one in incidents]) == mttr
    gathered = dict(PhaseEntry.objects.filter(phase_number=Phase.GATHER).values_list("incident_id", "entered_at"))
    assert figures([(one.issue_time, gathered.get(one.pk)) for one in incidents]) == mtta
