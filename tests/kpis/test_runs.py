"""Runs that break off and go on, run every night, or check a past figure."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest
from django.db import connection
from typer.testing import CliRunner

from incidents.models import Incident
from kpis.compute import backfill, nightly, runs, verify
from kpis.errors import DefinitionChanged, NothingToVerify
from kpis.models import KpiDefinition, KpiObservation, KpiRun
from kpis.standing import not_reproduced, verdict_now
from majorops.cli import app
from majorops.lib.ledger import unlocked
from tests.factories import IncidentFactory, TeamFactory, TeamPageFactory, at

pytestmark = pytest.mark.django_db
TOMORROW = at("2026-03-03T00:00")
FIGURES = (
    "kpi_id", "subject_key", "window", "dims_key", "timestamp", "revision", "is_current", "value", "n", "numerator",
    "denominator", "median", "p90", "coverage", "confidence", "evidence", "inputs_sha256", "result_sha256",
)  # fmt: skip


class Killed(Exception):
    """In the place of a power cut."""


@pytest.fixture
def mttr(db: None) -> KpiDefinition:
    return KpiDefinition.objects.get(slug="mttr")


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RANGE", 2)


def seven_incidents() -> None:
    for hour in range(7):
        IncidentFactory(closed=True, detected_at=at(f"{10 + hour}:00"))


def figures() -> list[tuple[object, ...]]:
    return sorted(KpiObservation.objects.values_list(*FIGURES), key=repr)


def break_off(definition: KpiDefinition, after: int) -> None:
    def kill(done: int, total: int) -> None:
        if done >= after:
            raise Killed

    with pytest.raises(Killed):
        backfill(definition, as_of=TOMORROW, advance=kill)


@pytest.mark.usefixtures("small_ranges")
@pytest.mark.parametrize("after", [2, 4, 7])
def test_a_run_that_broke_off_goes_on_to_the_same_figures(mttr: KpiDefinition, after: int) -> None:
    seven_incidents()
    backfill(mttr, as_of=TOMORROW)
    whole = figures()
    with unlocked(connection):
        KpiObservation.objects.all()._raw_delete(connection.alias)
        KpiRun.objects.all()._raw_delete(connection.alias)
    break_off(mttr, after)
    assert 0 < KpiObservation.objects.count() < len(whole)
    counts = backfill(mttr, as_of=TOMORROW, resume=True)
    assert figures() == whole
    assert (counts.new, counts.changed, counts.same) == (len(whole), 0, 0)


@pytest.mark.usefixtures("small_ranges")
def test_a_resumed_run_is_one_run_with_its_progress(mttr: KpiDefinition) -> None:
    seven_incidents()
    break_off(mttr, 4)
    broken = KpiRun.objects.get()
    assert (broken.ended_at, broken.outcome, broken.new) == (None, "", 4)
    assert broken.progress["done"] == 4
    backfill(mttr, as_of=TOMORROW, resume=True)
    run = KpiRun.objects.get()
    assert (run.pk, run.outcome, run.new) == (broken.pk, "done", KpiObservation.objects.count())
    assert run.progress["done"] == run.progress["total"]


@pytest.mark.usefixtures("small_ranges")
@pytest.mark.parametrize("other", [{"as_of": TOMORROW + timedelta(days=1)}, {"start": at("09:00")}])
def test_another_span_does_not_go_on_with_it(mttr: KpiDefinition, other: dict[str, datetime]) -> None:
    seven_incidents()
    break_off(mttr, 4)
    backfill(mttr, **{"as_of": TOMORROW, **other}, resume=True)
    assert KpiRun.objects.count() == 2


def test_without_a_broken_run_resume_begins_anew(mttr: KpiDefinition) -> None:
    seven_incidents()
    backfill(mttr, as_of=TOMORROW)
    counts = backfill(mttr, as_of=TOMORROW, resume=True)
    assert (counts.new, counts.same) == (0, KpiObservation.objects.count())
    assert KpiRun.objects.count() == 2


@pytest.mark.usefixtures("small_ranges")
def test_what_vanished_is_retired_in_the_range_it_lay_in(mttr: KpiDefinition) -> None:
    seven_incidents()
    backfill(mttr, as_of=TOMORROW)
    Incident.objects.filter(detected_at=at("13:00")).update(status="active", phase=1, resolved_at=None)
    counts = backfill(mttr, as_of=TOMORROW)
    gone = KpiObservation.objects.samples().exclude(retired_at=None)
    assert (counts.retired, [row.timestamp for row in gone]) == (1, [at("14:30")])


def test_a_team_that_came_after_the_end_of_the_run_keeps_its_sample(db: None) -> None:
    page = KpiDefinition.objects.get(slug="team-page-to-bridge")
    team, found = TeamFactory(), IncidentFactory(closed=True, detected_at=at("23:00"), resolved_at=at("23:50"))
    TeamPageFactory(incident=found, team=team, paged_at=at("23:23"), arrived_at=at("2026-03-03T00:00"))
    backfill(page, as_of=at("2026-03-04T00:00"))
    backfill(page, as_of=TOMORROW)
    assert [row.value for row in KpiObservation.objects.current().samples()] == [37.0]


@pytest.mark.usefixtures("small_ranges")
def test_a_definition_that_changes_meanwhile_stops_the_run(mttr: KpiDefinition) -> None:
    seven_incidents()

    def change(done: int, total: int) -> None:
        mttr.versions.create(
            version=2, spec=mttr.spec, spec_sha256="", units=mttr.units, snapshot={}, changed_at=TOMORROW
        )
        KpiDefinition.objects.filter(pk=mttr.pk).update(current_version=2)

    with pytest.raises(DefinitionChanged):
        backfill(mttr, as_of=TOMORROW, advance=change)


# --- Every night ---


def overall(as_of: str) -> KpiObservation:
    return KpiObservation.objects.current().get(kpi="mttr", window="all", dims_key="", timestamp=at(as_of))


def test_a_night_computes_the_samples_and_every_midnight_of_the_last_days(mttr: KpiDefinition) -> None:
    IncidentFactory(closed=True, detected_at=at("2026-02-28T10:00"))
    IncidentFactory(closed=True, detected_at=at("2026-03-02T10:00"))
    nightly(mttr, now=at("2026-03-03T04:00"), days=3)
    assert [overall(day).n for day in ("2026-03-01T00:00", "2026-03-02T00:00", "2026-03-03T00:00")] == [1, 1, 2]
    assert KpiObservation.objects.samples().count() == 2


def test_a_row_that_came_late_changes_the_nights_it_belongs_to(mttr: KpiDefinition) -> None:
    IncidentFactory(closed=True, detected_at=at("2026-03-02T10:00"))
    nightly(mttr, now=at("2026-03-03T04:00"), days=3)
    IncidentFactory(closed=True, detected_at=at("2026-03-01T10:00"))
    counts = nightly(mttr, now=at("2026-03-03T05:00"), days=3)
    assert counts.changed > 0
    assert [(overall(day).n, overall(day).revision) for day in ("2026-03-02T00:00", "2026-03-03T00:00")] == [
        (1, 2),
        (2, 2),
    ]


def test_a_second_night_over_the_same_rows_writes_nothing(mttr: KpiDefinition) -> None:
    seven_incidents()
    nightly(mttr, now=at("2026-03-03T04:00"), days=3)
    counts = nightly(mttr, now=at("2026-03-03T05:00"), days=3)
    assert (counts.new, counts.changed, counts.retired) == (0, 0, 0)


def test_the_days_of_a_night_begin_in_the_reporting_zone(mttr: KpiDefinition, settings: object) -> None:
    settings.MAJOROPS_REPORTING_ZONE = "Europe/Berlin"  # type: ignore[attr-defined]
    nightly(mttr, now=at("2026-03-30T12:00"), days=2)
    found = KpiObservation.objects.filter(window="all", dims_key="").order_by("timestamp")
    assert [row.timestamp for row in found] == [at("2026-03-28T23:00"), at("2026-03-29T22:00")]


# --- Checking a past figure ---


def dice(seed: int = 1) -> random.Random:
    return random.Random(seed)  # noqa: S311


def check(definition: KpiDefinition) -> tuple[str, list[str]]:
    run, differences = verify(definition, dice=dice())
    return run.outcome, [str(difference) for difference in differences]


def test_a_figure_that_comes_out_the_same_is_verified_and_nothing_is_stored(mttr: KpiDefinition) -> None:
    seven_incidents()
    backfill(mttr, as_of=TOMORROW)
    before = figures()
    assert check(mttr) == ("same", [])
    assert figures() == before
    assert not_reproduced(["mttr"]) == set()


def test_a_later_incident_leaves_a_past_figure_as_it_was(mttr: KpiDefinition) -> None:
    """Also the very first row of a source: the day before, there was none."""
    backfill(mttr, as_of=TOMORROW)
    IncidentFactory(closed=True, detected_at=at("2026-03-04T10:00"))
    assert check(mttr) == ("same", [])


def test_a_review_leaves_a_past_figure_as_it_was(mttr: KpiDefinition) -> None:
    seven_incidents()
    mttr.last_reviewed_at = at("2025-01-01T00:00")
    mttr.save()
    backfill(mttr, as_of=TOMORROW)
    mttr.last_reviewed_at = TOMORROW
    mttr.save()
    assert check(mttr) == ("same", [])


def test_a_row_that_came_late_is_a_difference_until_it_is_stored(mttr: KpiDefinition) -> None:
    seven_incidents()
    backfill(mttr, as_of=TOMORROW)
    IncidentFactory(detected_at=at("10:00"), resolved_at=at("18:00"), status="resolved", phase=8)
    outcome, told = check(mttr)
    assert outcome == "differs"
    assert "all: stored 90, the rows say 138.75" in told
    figure = overall("2026-03-03T00:00")
    assert [reason.code for reason in verdict_now(figure, mttr, TOMORROW).reasons] == ["not_reproduced"]
    backfill(mttr, as_of=TOMORROW)
    assert verdict_now(overall("2026-03-03T00:00"), mttr, TOMORROW).reasons == ()


def test_before_the_first_figure_there_is_nothing_to_verify(mttr: KpiDefinition) -> None:
    with pytest.raises(NothingToVerify, match="mttr"):
        verify(mttr, dice=dice())


def test_the_same_seed_chooses_the_same_moment(mttr: KpiDefinition) -> None:
    seven_incidents()
    nightly(mttr, now=TOMORROW, days=5)
    chosen = {verify(mttr, dice=dice(7))[0].as_of for _ in range(3)}
    assert len(chosen) == 1


# --- On the command line ---


def mim(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["kpi", *arguments])
    return result.exit_code, result.output


def test_a_dry_run_shows_what_would_change(mttr: KpiDefinition) -> None:
    seven_incidents()
    first = Incident.objects.earliest("detected_at")
    mim("backfill", "--kpi", "mttr", "--to", "2026-03-03")
    Incident.objects.filter(pk=first.pk).update(detected_at=first.detected_at - timedelta(minutes=30))
    code, said = mim("backfill", "--kpi", "mttr", "--to", "2026-03-03", "--dry-run")
    assert f"  changed incident:{first.pk} " in said
    assert (code, said.count("  changed "), "Nothing written (--dry-run)." in said) == (0, 5, True)


def test_one_incident_is_computed_by_itself(mttr: KpiDefinition) -> None:
    seven_incidents()
    first = Incident.objects.earliest("detected_at")
    code, said = mim("backfill", "--kpi", "mttr", "--incident", first.pk, "--dry-run")
    assert (code, "mttr v1  1 new" in said, KpiObservation.objects.count()) == (0, True, 0)
    mim("backfill", "--kpi", "mttr", "--incident", first.pk)
    assert KpiObservation.objects.get().incident_id == first.pk
    assert mim("backfill", "--all", "--incident", first.pk, "--resume")[0] == 5


def test_a_difference_names_what_differs_and_exits_8(mttr: KpiDefinition) -> None:
    seven_incidents()
    mim("backfill", "--kpi", "mttr", "--to", "2026-03-03")
    assert mim("verify", "--kpi", "mttr", "--seed", "1")[0] == 0
    IncidentFactory(closed=True, detected_at=at("09:00"))
    code, said = mim("verify", "--kpi", "mttr", "--seed", "1")
    assert code == 8
    assert "all severity=critical: stored 90, the rows say 90" in said
    assert "mim kpi backfill --kpi mttr --to 2026-03-03T00:00:00.000Z" in said


def test_a_night_says_what_it_did() -> None:
    seven_incidents()
    code, said = mim("nightly", "--days", "2")
    assert code == 0
    assert "Together: " in said
    assert (
        KpiRun.objects.filter(trigger="nightly", outcome="done").count() == KpiDefinition.objects.computable().count()
    )


def test_resume_is_an_option_of_the_command_line(mttr: KpiDefinition) -> None:
    assert mim("backfill", "--kpi", "mttr", "--resume")[0] == 0
