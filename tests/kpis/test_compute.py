"""Runs over stored rows: scope, claims, live recompute, and what a run leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from accounts.models import User
from incidents import actions
from incidents.lifecycle import Phase
from kpis.claims import Claim, record_claim
from kpis.compute import backfill
from kpis.errors import NothingToCompute
from kpis.models import KpiDefinition, KpiObservation, KpiRun
from tests.factories import NOON, IncidentFactory, TeamFactory, at, stamp

pytestmark = pytest.mark.django_db
TOMORROW = at("2026-03-03T00:00")


@pytest.fixture
def mttr(db: None) -> KpiDefinition:
    return KpiDefinition.objects.get(slug="mttr")


def current(kpi: KpiDefinition) -> list[float | None]:
    return list(KpiObservation.objects.current().samples().filter(kpi=kpi).values_list("value", flat=True))


def test_drills_and_tests_do_not_count(mttr: KpiDefinition) -> None:
    for kind in ("real", "drill", "test", "backfilled"):
        IncidentFactory(closed=True, kind=kind)
    backfill(mttr, as_of=TOMORROW)
    overall = KpiObservation.objects.get(kpi=mttr, window="all", dims_key="")
    assert (overall.n, sum(overall.excluded.values())) == (2, 2)


def test_what_lies_after_as_of_is_not_known(mttr: KpiDefinition) -> None:
    IncidentFactory(closed=True)
    backfill(mttr, as_of=NOON)
    assert current(mttr) == []


def test_a_run_over_part_of_the_time_leaves_the_rest_alone(mttr: KpiDefinition) -> None:
    IncidentFactory(closed=True)
    backfill(mttr, as_of=TOMORROW)
    counts = backfill(mttr, as_of=TOMORROW, start=TOMORROW - timedelta(hours=1))
    assert counts.retired == 0
    assert current(mttr) == [90.0]


def test_two_half_runs_are_one_whole_run(mttr: KpiDefinition) -> None:
    IncidentFactory(closed=True)
    IncidentFactory(closed=True, detected_at=at("18:00"))
    backfill(mttr, as_of=at("16:00"))
    backfill(mttr, as_of=TOMORROW, start=at("16:00"))
    counts = backfill(mttr, as_of=TOMORROW)
    assert (counts.new, counts.changed, counts.retired) == (0, 0, 0)


def test_a_dry_run_counts_and_writes_nothing(mttr: KpiDefinition) -> None:
    IncidentFactory(closed=True)
    counts = backfill(mttr, as_of=TOMORROW, dry_run=True)
    assert counts.new > 0
    assert not KpiObservation.objects.exists()
    assert not KpiRun.objects.exists()


def test_a_run_keeps_its_scope_and_counts(mttr: KpiDefinition) -> None:
    IncidentFactory(closed=True)
    counts = backfill(mttr, as_of=TOMORROW)
    run = KpiRun.objects.get()
    assert (run.version, run.as_of, run.new) == (1, TOMORROW, counts.new)
    assert run.scope == {"from": None, "to": "2026-03-03T00:00:00.000Z"}


def test_without_a_formula_there_is_nothing_to_compute(mttr: KpiDefinition) -> None:
    mttr.spec = None
    with pytest.raises(NothingToCompute, match="mttr"):
        backfill(mttr, as_of=TOMORROW)


def test_what_was_never_received_is_proposed_and_has_no_number() -> None:
    survey = KpiDefinition.objects.get(slug="stakeholder-satisfaction")
    backfill(survey, as_of=TOMORROW)
    overall = KpiObservation.objects.get(kpi=survey, window="all")
    assert (overall.value, overall.reason, overall.evidence) == (None, "no_samples", "proposed")
    assert overall.evidence_reasons[0]["words"] == "Never received: survey_responses."


def test_a_claim_is_not_replaced_by_a_run(mttr: KpiDefinition) -> None:
    incident = IncidentFactory(closed=True)
    claim = Claim(value=75.0, timestamp=incident.resolved_at)
    record_claim(mttr, incident, claim, now=TOMORROW)
    assert backfill(mttr, as_of=TOMORROW).kept == 1
    assert current(mttr) == [75.0]


def test_an_action_brings_its_incident_up_to_date(
    mim: User, mttr: KpiDefinition, django_capture_on_commit_callbacks: Callable[..., object]
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        incident = actions.open_incident(title="x", severity="high", stamp=stamp(mim), issue_time=at("11:56"))
        actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim, at("12:02")))
        page = actions.page_team(incident, TeamFactory(), stamp=stamp(mim, at("12:03")))
        actions.record_arrival(incident, page, stamp=stamp(mim, at("12:08")))
        actions.resolve(incident, summary="Over.", stamp=stamp(mim, at("12:50")))
    found = KpiObservation.objects.current().filter(incident=incident, window="")
    assert dict(found.values_list("kpi", "value")) == {
        "after-action-in-72h": 0.0,  # nobody wrote one, and today these 72 hours are long over
        "mtta": 6.0,
        "mttr": 50.0,
        "team-page-to-bridge": 5.0,
        "team-page-to-bridge-met": 100.0,
    }


def test_reopening_retires_the_time_to_resolve(
    mim: User, mttr: KpiDefinition, django_capture_on_commit_callbacks: Callable[..., object]
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        incident = actions.open_incident(title="x", severity="high", stamp=stamp(mim))
        actions.resolve(incident, summary="Over.", stamp=stamp(mim, at("12:50")))
    with django_capture_on_commit_callbacks(execute=True):
        actions.reopen(incident, reason="errors are back", stamp=stamp(mim, at("13:00")))
    assert current(mttr) == []
    assert KpiObservation.objects.get(kpi=mttr, window="").retired_reason == "source_vanished"
    with django_capture_on_commit_callbacks(execute=True):
        actions.resolve(incident, summary="Over.", stamp=stamp(mim, at("13:30")))
    assert current(mttr) == [90.0]


def test_a_corrected_phase_time_moves_the_acknowledgement(mim: User) -> None:
    incident = actions.open_incident(title="x", severity="high", stamp=stamp(mim), issue_time=at("11:56"))
    actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim, at("12:10")))
    entry = incident.timeline.get(phase_number=Phase.GATHER)
    actions.correct_entry(incident, entry, title=entry.title, occurred_at=at("12:01"), stamp=stamp(mim, at("12:30")))
    mtta = KpiDefinition.objects.get(slug="mtta")
    backfill(mtta, as_of=TOMORROW)
    assert current(mtta) == [5.0]
