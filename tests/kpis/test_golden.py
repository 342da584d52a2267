"""The golden examples of the KPI design, from stored rows to stored observations, on whichever database runs."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection

from incidents import actions
from incidents.lifecycle import Phase
from incidents.models import TeamPage
from kpis.claims import Claim, record_claim
from kpis.compute import backfill
from kpis.definitions import save_version
from kpis.models import KpiDefinition, KpiObservation
from majorops.lib.ledger import unlocked
from tests.factories import IncidentFactory, PhaseEntryFactory, TeamFactory, TeamPageFactory, at, stamp

pytestmark = pytest.mark.django_db
TOMORROW = at("2026-03-04T00:00")


def run(slug: str, as_of: datetime = TOMORROW) -> None:
    backfill(KpiDefinition.objects.get(slug=slug), as_of=as_of)


def rollup(slug: str, group: str = "", as_of: datetime = TOMORROW) -> KpiObservation:
    return KpiObservation.objects.current().get(kpi=slug, window="all", dims_key=group, timestamp=as_of)


def sample_values(slug: str) -> list[float | None]:
    found = KpiObservation.objects.current().samples().filter(kpi=slug)
    return sorted(found.values_list("value", flat=True))


def resolved(detected: str, until: str, severity: str = "critical") -> None:
    IncidentFactory(closed=True, severity=severity, detected_at=at(detected), resolved_at=at(until))


def test_g1_an_open_incident_is_left_out_of_mttr_and_counted() -> None:
    resolved("10:00", "11:30")
    resolved("2026-03-03T08:00", "2026-03-03T10:10", severity="high")
    IncidentFactory(severity="critical", detected_at=at("12:00"))
    run("mttr")
    overall = rollup("mttr")
    assert (overall.value, overall.n, overall.coverage) == (110.0, 2, 1.0)
    assert overall.excluded == {"resolved_at is empty": 1}
    assert (rollup("mttr", "severity=critical").value, rollup("mttr", "severity=high").value) == (90.0, 130.0)


def gathered(issue: str, *entries: tuple[Phase, str]) -> None:
    incident = IncidentFactory(issue_time=at(issue), detected_at=at(issue))
    for phase, entered in entries:
        PhaseEntryFactory(incident=incident, phase_number=phase, entered_at=at(entered))


def test_g2_mtta_takes_the_first_gather_and_says_what_is_missing() -> None:
    gathered("10:00", (Phase.GATHER, "10:04"), (Phase.ASSESS, "10:12"), (Phase.GATHER, "10:40"))
    gathered("11:00", (Phase.ASSESS, "11:00"))
    run("mtta")
    found = rollup("mtta")
    assert (found.value, found.n, found.coverage, found.evidence) == (4.0, 1, 0.5, "partial")


def test_g3_a_gather_before_the_alert_is_invalid_and_not_replaced() -> None:
    gathered("10:05", (Phase.GATHER, "10:03"), (Phase.GATHER, "10:40"))
    run("mtta")
    found = rollup("mtta")
    assert (found.value, found.n, sum(found.invalid.values())) == (None, 0, 1)
    assert sample_values("mtta") == []


def test_g4_missing_answers_lower_the_coverage_not_the_mean() -> None:
    incident = IncidentFactory(closed=True, detected_at=at("10:00"))
    for acknowledged, arrived in [("10:01:30", "10:04"), (None, "10:06"), ("10:03", None)]:
        TeamPageFactory(
            incident=incident,
            paged_at=at("10:00"),
            acknowledged_at=acknowledged and at(acknowledged),
            arrived_at=arrived and at(arrived),
        )
    run("team-page-to-ack")
    run("team-page-to-bridge")
    run("team-page-to-bridge-met")
    ack, bridge, met = rollup("team-page-to-ack"), rollup("team-page-to-bridge"), rollup("team-page-to-bridge-met")
    assert (ack.value, ack.n, ack.coverage) == (2.25, 2, 0.667)
    assert (bridge.value, bridge.n, bridge.coverage) == (5.0, 2, 0.667)
    assert (met.value, met.numerator, met.denominator) == (pytest.approx(100 / 3), 1, 3)


def test_g5_two_teams_paged_in_the_same_millisecond_keep_a_sample_each() -> None:
    incident, db_core = IncidentFactory(detected_at=at("09:55")), TeamFactory(slug="db-core")
    TeamPageFactory(incident=incident, team=db_core, paged_at=at("10:00"), arrived_at=at("10:12"))
    TeamPageFactory(incident=incident, team=db_core, paged_at=at("11:00"), arrived_at=at("11:03"))
    net_core = TeamFactory(slug="net-core")
    TeamPageFactory(incident=incident, team=net_core, paged_at=at("10:00"), arrived_at=at("10:02"))
    run("team-page-to-bridge")
    assert sample_values("team-page-to-bridge") == [2.0, 3.0, 12.0]
    db_figure = rollup("team-page-to-bridge", "alarm_level=box3;team=db-core")
    assert (db_figure.value, db_figure.n) == (7.5, 2)
    assert rollup("team-page-to-bridge", "alarm_level=box3;team=net-core").value == 2.0


def test_g5_a_team_called_again_before_it_came_is_one_dispatch() -> None:
    incident, team = IncidentFactory(detected_at=at("09:55")), TeamFactory()
    page = actions.page_team(incident, team, stamp=stamp(when=at("10:00")))
    actions.page_team(incident, team, stamp=stamp(when=at("10:05")))
    actions.record_arrival(incident, page, stamp=stamp(when=at("10:12")))
    run("team-page-to-bridge")
    assert sample_values("team-page-to-bridge") == [12.0]
    assert TeamPage.objects.get().page_count == 2


def promise(incident: object, cut: str, due: str | None) -> None:
    actions.cut_milestone(
        incident,
        title="News",
        body="Work goes on.",
        stamp=stamp(when=at(cut)),
        next_update_eta=due and at(due),
        no_promise_reason="We watch it",
    )


def test_g6_exactly_on_time_is_on_time_and_a_millisecond_late_is_late() -> None:
    incident = IncidentFactory(detected_at=at("09:50"))
    promise(incident, "10:00", "10:30")
    promise(incident, "10:30:00.000", "11:00")
    actions.change_status(incident, "monitoring", stamp=stamp(when=at("10:45")))
    promise(incident, "11:00:00.001", None)
    actions.resolve(incident, summary="Over.", stamp=stamp(when=at("11:45")))
    run("cadence-adherence")
    found = rollup("cadence-adherence")
    assert (found.value, found.numerator, found.denominator, found.n) == (50.0, 1, 2, 2)
    assert sample_values("cadence-adherence") == [50.0]


@pytest.mark.parametrize(
    ("detected", "until", "minutes"),
    [
        ("2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00", 60.0),
        ("2026-11-01T00:30-07:00", "2026-11-01T01:30-08:00", 120.0),
    ],
)
def test_g7_a_duration_over_a_clock_change_is_real_time(detected: str, until: str, minutes: float) -> None:
    resolved(detected, until)
    run("mttr", at("2026-12-01T00:00"))
    assert sample_values("mttr") == [minutes]


@pytest.mark.parametrize(("as_of", "value"), [("09:29", None), ("09:30", None), ("10:00", 0.0)])
def test_g8_silence_is_a_miss_once_the_promise_is_past(as_of: str, value: float | None) -> None:
    promise(IncidentFactory(detected_at=at("08:50")), "09:00", "09:30")
    run("cadence-adherence", at(as_of))
    assert rollup("cadence-adherence", as_of=at(as_of)).value == value


def test_g8_the_final_milestone_delivers_and_promises_nothing() -> None:
    incident = IncidentFactory(detected_at=at("08:50"))
    promise(incident, "09:00", "09:30")
    actions.resolve(incident, summary="Over.", stamp=stamp(when=at("09:20")))
    run("cadence-adherence")
    found = rollup("cadence-adherence")
    assert (found.value, found.n) == (100.0, 1)


def counts(slug: str) -> tuple[int, int, int]:
    found = backfill(KpiDefinition.objects.get(slug=slug), as_of=TOMORROW)
    return found.new, found.changed, found.retired


def history(slug: str) -> list[tuple[int, float | None, bool, str]]:
    rows = KpiObservation.objects.samples().filter(kpi=slug).order_by("revision")
    return list(rows.values_list("revision", "value", "is_current", "retired_reason"))


def test_g16_backfill_appends_revisions_and_retires_what_vanished() -> None:
    page = TeamPageFactory(
        incident=IncidentFactory(detected_at=at("09:55")), paged_at=at("10:00"), arrived_at=at("10:12")
    )
    counts("team-page-to-bridge")
    assert counts("team-page-to-bridge") == (0, 0, 0)
    with unlocked(connection):
        TeamPage.objects.update(arrived_at=at("10:10"))
    assert counts("team-page-to-bridge")[1] > 0
    assert history("team-page-to-bridge") == [(1, 12.0, False, ""), (2, 10.0, True, "")]
    with unlocked(connection):
        page.delete()
    counts("team-page-to-bridge")
    assert history("team-page-to-bridge") == [(1, 12.0, False, ""), (2, 10.0, False, "source_vanished")]


def defined(slug: str, calc: dict[str, object], unit: str, **envelope: object) -> None:
    """Another KPI, active, with its first version."""
    spec = {"schema": "majorops.kpi/1", "subject": None, "group_by": [], "windows": ["all"], "unit": unit, **envelope}
    kpi = KpiDefinition.objects.create(
        slug=slug, name=slug, description="x", formula="x", spec={**spec, "calc": calc}, units=unit, owner="MIM Lead"
    )
    save_version(kpi, by=None, reason="Golden example", now=at("2026-03-01T00:00"))


@pytest.mark.parametrize(
    ("agg", "value"),
    [
        ("median", 67.5),
        ("avg", 156.3),
        ({"p": 95}, 576.0),
        ({"p": 95, "method": "disc"}, 900.0),
        ({"p": 99}, 835.2),
        ({"p": 99, "method": "disc"}, 900.0),
    ],
)
def test_g12_percentiles_of_stored_durations(agg: object, value: float) -> None:
    for minutes in (12, 40, 41, 55, 60, 75, 90, 110, 180, 900):
        IncidentFactory(closed=True, resolved_at=at("12:00") + timedelta(minutes=minutes))
    rows = {"source": "incidents", "where": [{"field": "resolved_at", "op": "not_null"}], "at": "resolved_at"}
    lasted = {"minus": ["resolved_at", "detected_at"], "unit": "minutes"}
    defined("spread", {"kind": "aggregate", "rows": rows, "value": lasted, "agg": agg}, "minutes")
    run("spread")
    assert rollup("spread").value == value


HEALTH = {"security": 65, "compliance": 40, "performance": 78, "business": 25, "operations": 85}
WEIGHTS = (0.25, 0.25, 0.2, 0.2, 0.1)


def health_score(missing: str) -> None:
    for slug in HEALTH:
        defined(slug, {"kind": "reported"}, "score")
    parts = [{"kpi": slug, "weight": weight} for slug, weight in zip(HEALTH, WEIGHTS, strict=True)]
    defined("health-score", {"kind": "composite", "parts": parts, "missing": missing}, "score")


def stated(*but: str) -> None:
    for slug in sorted(HEALTH.keys() - set(but)):
        claim = Claim(value=HEALTH[slug], timestamp=at("10:00"), confidence=1.0)
        record_claim(KpiDefinition.objects.get(slug=slug), None, claim, now=TOMORROW)


def test_g13_a_health_score_of_stated_parts() -> None:
    health_score("null")
    stated()
    run("health-score")
    found = rollup("health-score")
    assert (found.value, found.evidence) == (pytest.approx(55.35), "partial")


@pytest.mark.parametrize(("missing", "value"), [("null", None), ("renormalise", 62.9375)])
def test_g13_a_part_that_nobody_stated(missing: str, value: float | None) -> None:
    health_score(missing)
    stated("business")
    run("health-score")
    assert rollup("health-score").value == (value if value is None else pytest.approx(value))


def test_g11_nothing_to_take_a_share_of_is_no_number() -> None:
    IncidentFactory(detected_at=at("10:00"))
    run("cadence-adherence")
    found = rollup("cadence-adherence")
    assert (found.value, found.reason) == (None, "zero_denominator")


@pytest.mark.parametrize(("known_before", "value"), [(True, 0.0), (False, None)])
def test_g11_a_true_zero_needs_a_source_that_has_spoken(known_before: bool, value: float | None) -> None:
    if known_before:
        IncidentFactory(closed=True, detected_at=at("2026-01-01T10:00"))
    calc = {"kind": "aggregate", "rows": {"source": "incidents", "at": "detected_at"}, "value": "id", "agg": "count"}
    defined("opened", calc, "count", windows=["P28D"])
    run("opened")
    assert KpiObservation.objects.current().get(kpi="opened", window="P28D").value == value
