"""Golden examples of the design note (G1-G15), and what holds for every set of rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpis.evaluate import Evaluation, measure, samples, span, stable
from kpis.formulas import parse
from tests.kpis import (
    AS_OF,
    DEFINITIONS,
    REGISTRY,
    at,
    definition,
    event,
    formula,
    incident,
    page,
    phase,
    promise,
    spec,
    survey,
)

BERLIN, LOS_ANGELES = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Los_Angeles")


def figure(slug: str, /, *, as_of: datetime = AS_OF, window: str = "all", **rows: list[dict[str, Any]]) -> Any:
    return measure(formula(slug), rows, as_of=as_of, window=window)


# --- mttr: G1, G7 ---

G1 = [
    incident("A", detected_at=at("10:00"), resolved_at=at("11:30")),
    incident("B", severity="high", detected_at=at("2026-03-03 08:00"), resolved_at=at("2026-03-03 10:10")),
    incident("C", detected_at=at("2026-03-03 09:00")),
]


def test_g1_open_incident_is_left_out_without_harm():
    mttr = figure("mttr", incidents=G1, window="P30D")
    assert (mttr.value, mttr.n, mttr.eligible, mttr.coverage) == (110.0, 2, 2, 1.0)
    assert mttr.excluded == {"resolved_at is empty": 1}
    assert mttr.used == ("incident:A", "incident:B")
    assert mttr.left_out == (("incident:C", "resolved_at is empty"),)


@pytest.mark.parametrize(("severity", "minutes"), [("critical", 90.0), ("high", 130.0), ("low", None)])
def test_g1_by_severity(severity, minutes):
    mttr = measure(formula("mttr"), {"incidents": G1}, as_of=AS_OF, dims={"severity": severity})
    assert mttr.value == minutes
    assert mttr.reason == (None if minutes else "no_samples")


def test_g1_samples_carry_their_group_and_time():
    first, second = samples(formula("mttr"), {"incidents": G1}, as_of=AS_OF)
    assert (first.subject_key, first.incident_id, first.timestamp) == ("incident:A", "A", at("11:30"))
    assert (first.dims, first.measurement.value) == ({"severity": "critical"}, 90.0)
    assert (second.subject_key, second.dims, second.measurement.value) == ("incident:B", {"severity": "high"}, 130.0)


def test_closed_incident_without_a_time_is_a_gap():
    """Status resolved, time never written: that is missing data, not an open incident."""
    mttr = figure("mttr", incidents=[*G1[:1], incident("D", detected_at=at("09:00"), subject_open=False)])
    assert (mttr.value, mttr.n, mttr.eligible, mttr.coverage) == (90.0, 1, 2, 0.5)


def test_what_lies_after_as_of_is_not_known():
    mttr = figure("mttr", incidents=G1, as_of=at("2026-03-03 10:10"))
    assert (mttr.value, mttr.n, mttr.coverage) == (90.0, 1, 1.0)
    assert mttr.excluded == {"resolved_at is empty": 2}
    assert len(samples(formula("mttr"), {"incidents": G1}, as_of=at("2026-03-03 10:10"))) == 1


def test_incident_of_tomorrow_is_not_open_today():
    found = figure("mttr", incidents=[incident("A", detected_at=at("10:00"))], as_of=at("09:00"))
    assert (found.eligible, found.excluded) == (0, {})
    assert found.left_out == (("incident:A", "detected_at is after as_of"),)


def test_drill_of_tomorrow_is_not_counted_today():
    calc = formula("mttr").calc.model_dump(mode="json", exclude_none=True)
    calc["rows"]["where"].append({"field": "kind", "op": "eq", "value": "real"})
    real = formula(calc, unit="minutes")
    drill = incident("A", kind="drill", detected_at=at("10:00"), resolved_at=at("11:00"))
    assert measure(real, {"incidents": [drill]}, as_of=at("10:00")).excluded == {}
    assert measure(real, {"incidents": [drill]}, as_of=at("10:30")).excluded == {"kind is not real": 1}


def test_gap_belongs_to_the_window_its_subject_closed_in():
    row = incident("A", detected_at=at("09:00"), closed="2026-02-01 10:00")
    assert figure("mttr", incidents=[row], window="P90D").eligible == 1
    assert figure("mttr", incidents=[row], window="P30D").eligible == 0


def test_resolved_before_detected_is_invalid():
    row = incident("A", detected_at=at("10:00"), resolved_at=at("09:59"))
    found = figure("mttr", incidents=[row])
    assert (found.value, found.reason, found.invalid) == (None, "all_invalid", {"negative_duration": 1})


BERLIN_SPRING = datetime(2026, 3, 29, 1, 30, tzinfo=BERLIN), datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN)
PACIFIC_AUTUMN = (
    datetime(2026, 11, 1, 0, 30, tzinfo=LOS_ANGELES),
    datetime(2026, 11, 1, 1, 30, tzinfo=LOS_ANGELES, fold=1),
)


@pytest.mark.parametrize(("times", "minutes"), [(BERLIN_SPRING, 60.0), (PACIFIC_AUTUMN, 120.0)])
def test_g7_durations_ignore_the_clocks_that_jump(times, minutes):
    detected, resolved = times
    row = incident("A", detected_at=detected, resolved_at=resolved)
    assert figure("mttr", incidents=[row], as_of=at("2027-01-01 00:00")).value == minutes


def test_g7_comparisons_ignore_them_too():
    """01:40 before the clocks go back is earlier than 01:30 after."""
    due = datetime(2026, 11, 1, 1, 30, tzinfo=LOS_ANGELES, fold=1)
    row = {**promise("A", "10:30", None), "due_at": due, "delivered_at": due.replace(minute=40, fold=0)}
    assert figure("cadence-adherence", update_promises=[row], as_of=at("2027-01-01 00:00")).value == 100.0


def test_mean_comes_with_median_and_p90():
    durations = [12, 40, 41, 55, 60, 75, 90, 110, 180, 900]
    rows = [
        incident(f"{n}", detected_at=at("00:00"), resolved_at=at("00:00") + timedelta(minutes=minutes))
        for n, minutes in enumerate(durations)
    ]
    mttr = figure("mttr", incidents=rows)
    assert (mttr.value, mttr.median, mttr.p90) == (156.3, 67.5, 252.0)


def test_g12_percentile_of_durations_is_exact():
    calc = {**formula("mttr").calc.model_dump(mode="json"), "agg": {"p": 95}}
    rows = [
        incident(f"{n}", detected_at=at("00:00"), resolved_at=at("00:00") + timedelta(minutes=minutes))
        for n, minutes in enumerate([12, 40, 41, 55, 60, 75, 90, 110, 180, 900])
    ]
    p95 = formula(calc, subject="incident", unit="minutes")
    assert measure(p95, {"incidents": rows}, as_of=AS_OF).value == 576.0


# --- mtta: G2, G3 ---

G2 = {
    "incidents": [incident("A", issue_time=at("10:00")), incident("B", issue_time=at("11:00"))],
    "phase_entries": [
        phase("A", 2, "10:04"),
        phase("A", 3, "10:12"),
        phase("A", 2, "10:40"),
        phase("B", 3, "11:00"),
    ],
}


def test_g2_first_gather_counts_and_a_missing_one_is_owed():
    mtta = figure("mtta", **G2)
    assert (mtta.value, mtta.n, mtta.eligible, mtta.coverage) == (4.0, 1, 2, 0.5)
    assert mtta.left_out == (("incident:B", "no matching end"),)
    (sample,) = samples(formula("mtta"), G2, as_of=AS_OF)
    assert (sample.subject_key, sample.timestamp) == ("incident:A", at("10:04"))


def test_incident_without_an_alert_is_not_asked():
    mtta = figure("mtta", incidents=[incident("A")], phase_entries=[phase("A", 2, "10:04")])
    assert (mtta.value, mtta.reason, mtta.eligible, mtta.coverage) == (None, "no_samples", 0, None)
    assert mtta.excluded == {"issue_time is empty": 1}


G3 = {
    "incidents": [incident("A", issue_time=at("10:05"))],
    "phase_entries": [phase("A", 2, "10:03"), phase("A", 2, "10:40")],
}


def test_g3_negative_is_invalid_and_never_replaced():
    mtta = figure("mtta", **G3)
    assert (mtta.value, mtta.reason, mtta.n, mtta.coverage) == (None, "all_invalid", 0, 0.0)
    assert mtta.invalid == {"negative_duration": 1}
    assert samples(formula("mtta"), G3, as_of=AS_OF) == ()


def interval(end_pick: str, start_pick: str = "first", **keys: Any) -> Any:
    calc = formula("mtta").calc.model_dump(mode="json", exclude_none=True)
    calc["start"]["pick"], calc["end"]["pick"] = start_pick, end_pick
    return formula({**calc, **keys}, unit="minutes", subject="incident")


@pytest.mark.parametrize(("pick", "minutes"), [("first_after", 35.0), ("last", 35.0)])
def test_g3_other_picks_are_other_words(pick, minutes):
    assert measure(interval(pick), G3, as_of=AS_OF).value == minutes


def test_negative_may_be_kept_by_name():
    assert measure(interval("first", negative="keep"), G3, as_of=AS_OF).value == -2.0


def test_end_after_as_of_is_not_known():
    assert figure("mtta", **G2, as_of=at("10:04")).value is None
    assert figure("mtta", **G2, as_of=at("10:04:00.001")).value == 4.0


def test_end_is_owed_only_when_its_time_has_passed():
    within = interval("first", within="PT24H")
    young = measure(within, G2, as_of=at("2026-03-03 10:30"))
    assert (young.coverage, young.excluded) == (1.0, {"not judged yet": 1})
    assert measure(within, G2, as_of=at("2026-03-03 11:00")).excluded == {"not judged yet": 1}
    grown = measure(within, G2, as_of=at("2026-03-03 11:00:00.001"))
    assert (grown.coverage, grown.excluded) == (0.5, {"no matching end within PT24H": 1})


SLA = {
    "events": [
        *(event(f"c1-{n}", name="c1") for n in range(3)),
        event("c2", "11:00"),
        event("c3", "12:00"),
    ],
    "replies": [
        {"ref": "reply:1", "name": "c1", "at": at("09:55")},
        {"ref": "reply:2", "name": "c1", "at": at("10:20")},
        {"ref": "reply:3", "name": "c2", "at": at("11:10")},
    ],
}


@pytest.mark.parametrize(("pick", "median", "n", "coverage"), [("first", 15.0, 2, 0.667), ("each", 20.0, 4, 0.8)])
def test_g9_repeated_facts_count_once(pick, median, n, coverage):
    calc = {
        "kind": "interval",
        "start": {"rows": {"source": "events", "at": "at"}, "pick": pick},
        "end": {"rows": {"source": "replies", "at": "at"}, "pick": "first_after"},
        "on": [["name", "name"]],
        "unit": "minutes",
        "agg": "median",
    }
    found = measure(formula(calc, unit="minutes"), SLA, as_of=AS_OF)
    assert (found.value, found.n, found.coverage) == (median, n, coverage)


def test_starts_and_ends_may_be_the_last_of_their_key():
    calc = {
        "kind": "interval",
        "start": {"rows": {"source": "events", "at": "at"}, "pick": "last"},
        "end": {"rows": {"source": "replies", "at": "at"}, "pick": "last"},
        "on": [["name", "name"]],
        "unit": "minutes",
        "agg": "sum",
    }
    rows = {**SLA, "events": [event("c1-early", "09:00", name="c1"), event("c1-late", "10:05", name="c1")]}
    found = measure(formula(calc, unit="minutes"), rows, as_of=AS_OF)
    assert (found.value, found.used) == (15.0, ("event:c1-late", "reply:2"))
    assert found.excluded == {"not the last of its kind": 1}


def test_rows_without_a_key_match_nothing():
    rows = {
        "events": [event("x", name=None), event("y", name=None)],
        "replies": [{"ref": "reply:1", "name": None, "at": at("11:00")}],
    }
    calc = interval("first").calc.model_dump(mode="json", exclude_none=True)
    calc["start"]["rows"], calc["end"]["rows"] = {"source": "events", "at": "at"}, {"source": "replies", "at": "at"}
    found = measure(formula({**calc, "on": [["name", "name"]]}, unit="minutes"), rows, as_of=AS_OF)
    assert (found.n, found.eligible, found.excluded) == (0, 2, {"no matching end": 2})


# --- Team pages: G4, G5 ---

G4 = [
    page("P1", "10:00", "10:04", acked="10:01:30", page_state="met"),
    page("P2", "10:00", "10:06", page_state="missed"),
    page("P3", "10:00", None, acked="10:03", page_state="no_show"),
]


@pytest.mark.parametrize(("slug", "minutes"), [("team-page-to-ack", 2.25), ("team-page-to-bridge", 5.0)])
def test_g4_no_show_lowers_coverage_not_the_mean(slug, minutes):
    found = figure(slug, team_pages=G4, window="P90D")
    assert (found.value, found.n, found.eligible, found.coverage) == (minutes, 2, 3, 0.667)


def test_g4_within_limit_tells_what_the_mean_hides():
    met = figure("team-page-to-bridge-met", team_pages=G4)
    assert stable(met.value) == 33.3333333
    assert (met.numerator, met.denominator, met.coverage) == (1.0, 3.0, 1.0)


def test_page_of_an_open_incident_may_still_arrive():
    waiting = page("P4", "10:00", subject_open=True, subject_closed_at=None)
    found = figure("team-page-to-bridge", team_pages=[*G4, waiting])
    assert (found.eligible, found.coverage, found.excluded) == (3, 0.667, {"arrived_at is empty": 2})


def test_arrival_after_as_of_has_not_happened():
    found = figure("team-page-to-bridge", team_pages=[page("P1", "10:00", "10:04")], as_of=at("10:04"))
    assert (found.value, found.eligible, found.excluded) == (None, 0, {"arrived_at is empty": 1})


def test_cancelled_page_is_not_asked():
    found = figure("team-page-to-bridge", team_pages=[*G4, page("P4", "10:00", cancelled_at=at("10:01"))])
    assert (found.eligible, found.coverage) == (3, 0.667)
    assert found.excluded == {"arrived_at is empty": 1, "cancelled_at is not empty": 1}


G5 = [
    page("P1", "10:00", "10:12"),
    page("P2", "11:00", "11:03"),
    page("P3", "10:00", "10:02", team="net-core"),
]


def test_g5_two_teams_paged_in_one_millisecond_keep_their_samples():
    found = samples(formula("team-page-to-bridge"), {"team_pages": G5}, as_of=AS_OF)
    assert [(one.subject_key, one.timestamp, one.measurement.value) for one in found] == [
        ("team_page:P1", at("10:00"), 12.0),
        ("team_page:P2", at("11:00"), 3.0),
        ("team_page:P3", at("10:00"), 2.0),
    ]
    assert {one.incident_id for one in found} == {"A"}


def test_g5_figures_by_team():
    evaluation = Evaluation(formula("team-page-to-bridge"), {"team_pages": G5}, as_of=AS_OF)
    groups = evaluation.groups("P90D")
    assert [dims["team"] for dims in groups] == ["db-core", "net-core"]
    assert [evaluation.measure("P90D", dims).value for dims in groups] == [7.5, 2.0]


def test_group_of_rows_that_are_not_asked_is_no_group():
    rows = [*G5, page("P4", "10:00", team="storage", cancelled_at=at("10:01"))]
    evaluation = Evaluation(formula("team-page-to-bridge"), {"team_pages": rows}, as_of=AS_OF)
    assert [dims["team"] for dims in evaluation.groups()] == ["db-core", "net-core"]


def test_engineer_response_counts_own_arrivals_only():
    rows = [
        page("P1", "10:00", "10:12", arrival_source="self", user="U1"),
        page("P2", "10:00", "10:01", arrival_source="mim", user="U1"),
        page("P3", "10:00", "10:01", arrival_source="self", user=None),
    ]
    found = figure("engineer-response-time", team_pages=rows)
    assert (found.value, found.n, found.eligible) == (12.0, 1, 1)
    assert found.excluded == {"arrival_source is not self": 1, "user is empty": 1}


# --- Cadence: G6, G8 ---


def test_g6_exactly_on_time_is_on_time():
    rows = [promise("A", "10:30", "10:30"), promise("A", "11:00", "11:00:00.001")]
    cadence = figure("cadence-adherence", update_promises=rows)
    assert (cadence.value, cadence.numerator, cadence.denominator, cadence.coverage) == (50.0, 1.0, 2.0, 1.0)
    (sample,) = samples(formula("cadence-adherence"), {"update_promises": rows}, as_of=AS_OF)
    assert (sample.subject_key, sample.timestamp, sample.measurement.value) == ("incident:A", at("12:00"), 50.0)


@pytest.mark.parametrize(("now", "value"), [("09:29", None), ("09:30", None), ("10:00", 0.0)])
def test_g8_silence_past_the_promise_is_a_miss(now, value):
    rows = [promise("A", "09:30", None, as_of=at(now))]
    assert figure("cadence-adherence", update_promises=rows, as_of=at(now)).value == value


def test_g8_pending_promise_is_not_judged_and_final_update_delivers():
    pending = {**promise("A", "09:30", None), "state": "pending"}
    cadence = figure("cadence-adherence", update_promises=[pending])
    assert (cadence.value, cadence.reason, cadence.excluded) == (None, "zero_denominator", {"not judged yet": 1})
    assert figure("cadence-adherence", update_promises=[promise("B", "09:30", "09:20")]).value == 100.0


def test_ratio_of_an_open_incident_is_not_stored():
    row = {**promise("A", "10:30", "10:30"), "subject_open": True, "subject_closed_at": None}
    assert samples(formula("cadence-adherence"), {"update_promises": [row]}, as_of=AS_OF) == ()
    assert (
        samples(formula("cadence-adherence"), {"update_promises": [promise("A", "10:30", "10:30")]}, as_of=at("11:00"))
        == ()
    )


# --- Surveys: G15 ---


def test_g15_survey_beyond_the_scale_is_invalid():
    found = figure(
        "stakeholder-satisfaction", survey_responses=[survey(f"{n}", n) for n in (5, 4, 9)] + [survey("x", 5)]
    )
    assert (stable(found.value), found.n, found.invalid) == (4.66666667, 3, {"out_of_range": 1})


def test_g15_no_answers_are_no_score():
    found = figure("stakeholder-satisfaction", survey_responses=[])
    assert (found.value, found.reason, found.n, found.coverage) == (None, "no_samples", 0, None)


@pytest.mark.parametrize("score", ["5", True, float("nan"), float("inf")])
def test_what_is_no_number_is_invalid(score):
    found = figure("stakeholder-satisfaction", survey_responses=[survey("A", score)])
    assert (found.value, found.reason) == (None, "all_invalid")
    assert found.invalid == {"not_a_number": 1}


def test_survey_sample_is_stamped_with_the_end_of_its_incident():
    """Stamped with its own time, each later answer would move the key."""
    rows = [survey("A", 5), survey("B", 4, submitted_at=at("14:00"))]
    (sample,) = samples(formula("stakeholder-satisfaction"), {"survey_responses": rows}, as_of=AS_OF)
    assert (sample.timestamp, sample.measurement.value, sample.measurement.n) == (at("12:00"), 4.5, 2)


# --- Other aggregates and ratios, zero and null: G11 ---

EVENTS = {"source": "events", "at": "at"}


def aggregate(agg: Any, value: str | None = "amount", **keys: Any) -> dict[str, Any]:
    return {"kind": "aggregate", "rows": EVENTS, "agg": agg, **({"value": value} if value else {}), **keys}


@pytest.mark.parametrize(
    ("calc", "expected"),
    [
        (aggregate("count", None), 4.0),
        (aggregate("count_distinct", "stream"), 2.0),
        (aggregate("sum"), 10.0),
        (aggregate("min"), 1.0),
        (aggregate("max"), 4.0),
        (aggregate("first"), 4.0),
        (aggregate("last"), 2.0),
        (aggregate("median"), 2.5),
        (aggregate({"p": 90, "method": "disc"}), 4.0),
        (aggregate("last", per=["stream"], then="sum"), 3.0),
    ],
)
def test_aggregates(calc, expected):
    rows = [
        event("a", "10:00", stream="x", amount=4),
        event("b", "11:00", stream="x", amount=1),
        event("c", "10:30", stream="y", amount=3),
        event("d", "11:30", stream="y", amount=2),
    ]
    assert measure(formula(calc, unit="points"), {"events": rows}, as_of=AS_OF).value == expected


WEEKLY = {"windows": ["P28D"], "unit": "per_week"}


def test_g11_zero_needs_a_source_that_has_spoken():
    rate = formula(aggregate("count", None, every="P7D"), **WEEKLY)
    long_ago = [event("old", "2026-01-01 10:00")]
    assert measure(rate, {"events": long_ago}, as_of=AS_OF, window="P28D").value == 0.0
    silent = measure(rate, {"events": []}, as_of=AS_OF, window="P28D")
    assert (silent.value, silent.reason) == (None, "no_samples")


def test_rate_divides_by_the_window():
    rate = formula(aggregate("count", None, every="P7D"), **WEEKLY)
    rows = [event(f"{n}", f"2026-03-{n:02} 10:00") for n in range(1, 11)]
    assert measure(rate, {"events": rows}, as_of=AS_OF, window="P28D").value == 2.5
    assert measure(rate, {"events": rows}, as_of=at("2026-03-09 00:00"), window="calendar-week").value == 7.0
    assert measure(rate, {"events": rows}, as_of=AS_OF).reason == "no_period"


def test_calendar_week_is_one_week_though_it_has_167_hours():
    rate = formula(aggregate("count", None, every="P7D"), **WEEKLY)
    rows = {"events": [event("a", "2026-03-29 10:00")]}
    found = Evaluation(rate, rows, as_of=at("2026-03-29 22:00")).measure("calendar-week", zone=BERLIN)
    assert found.value == 1.0


SHARE = {"kind": "ratio", "of": EVENTS, "hit": [{"field": "ok", "op": "eq", "value": True}]}


@pytest.mark.parametrize(
    ("keys", "unit", "expected"),
    [({}, "percent", 75.0), ({}, "ratio", 0.75), ({"complement": True}, "percent", 25.0)],
)
def test_shares(keys, unit, expected):
    rows = [event(f"{n}", ok=n > 0) for n in range(4)]
    assert measure(formula({**SHARE, **keys}, unit=unit), {"events": rows}, as_of=AS_OF).value == expected


def test_g11_share_of_nothing_is_unknown():
    found = measure(formula(SHARE, unit="percent"), {"events": []}, as_of=AS_OF)
    assert (found.value, found.reason, found.denominator) == (None, "zero_denominator", 0.0)


SUMS = {"kind": "ratio", "of": EVENTS, "num": EVENTS, "num_value": "amount", "of_value": "total"}


def test_sum_ratio_drops_a_row_from_both_sides():
    """With a part but no whole, the share would be too large."""
    rows = [event("a", amount=1, total=4), event("b", amount=1, total=4), event("c", amount=5, total=None)]
    found = measure(formula(SUMS, unit="percent"), {"events": rows}, as_of=AS_OF)
    assert (found.value, found.n, found.eligible, found.coverage) == (25.0, 2, 3, 0.667)
    assert found.left_out == (("event:c", "total is empty"),)


def test_sum_ratio_over_a_part_of_the_rows():
    part = {**EVENTS, "where": [{"field": "ok", "op": "eq", "value": False}]}
    calc = {"kind": "ratio", "of": EVENTS, "num": part}
    rows = [event(f"{n}", ok=n > 0) for n in range(4)]
    found = measure(formula(calc, unit="percent"), {"events": rows}, as_of=AS_OF)
    assert (found.value, found.n, found.numerator, found.denominator) == (25.0, 4, 1.0, 4.0)


def test_sum_ratio_of_two_sources_counts_the_whole():
    calc = {"kind": "ratio", "of": EVENTS, "num": {"source": "replies", "at": "at"}}
    rows = {"events": [event(f"{n}") for n in range(4)], "replies": SLA["replies"][:1]}
    found = measure(formula(calc, unit="percent"), rows, as_of=AS_OF)
    assert (found.value, found.n, found.numerator, found.used[-1]) == (25.0, 4, 1.0, "reply:1")


def test_newest_row_of_each_group_is_asked():
    """An archived repository must not count through an older row."""
    newest = {**EVENTS, "latest_per": ["stream"], "where": [{"field": "ok", "op": "eq", "value": True}]}
    rows = [
        event("a", "10:00", stream="x", ok=True),
        event("b", "11:00", stream="x", ok=False),
        event("c", "10:00", stream="y", ok=True),
    ]
    found = measure(formula({**aggregate("count", None), "rows": newest}), {"events": rows}, as_of=AS_OF)
    assert (found.value, found.used) == (1.0, ("event:c",))
    assert found.left_out == (("event:a", "not the newest of its group"), ("event:b", "ok is not true"))


def test_counting_times_stops_at_as_of():
    row = incident("A", detected_at=at("09:00"), resolved_at=at("10:00"))
    counted = formula(
        {
            "kind": "aggregate",
            "rows": {"source": "incidents", "at": "detected_at"},
            "agg": "count",
            "value": "resolved_at",
        }
    )
    assert [measure(counted, {"incidents": [row]}, as_of=at(when)).n for when in ("10:00", "10:01")] == [0, 1]


def test_too_large_to_add_up_is_unknown():
    rows = [event(f"{n}", amount=1.7e308) for n in range(3)]
    assert measure(formula(aggregate("sum"), unit="points"), {"events": rows}, as_of=AS_OF).reason == "overflow"


# --- Conditions ---


@pytest.mark.parametrize(
    ("condition", "row", "expected"),
    [
        (("amount", "eq", 5), {"amount": 5}, True),
        (("amount", "eq", 1), {"amount": True}, False),
        (("amount", "gte", 5), {"amount": "6"}, False),
        (("amount", "ne", 5), {"amount": None}, False),
        (("amount", "not_in", [5]), {"amount": None}, False),
        (("amount", "not_in", [5]), {"amount": 6}, True),
        (("amount", "in", [5, 6]), {"amount": 6}, True),
        (("amount", "lt", {"field": "total"}), {"amount": 1, "total": 2}, True),
        (("amount", "lt", {"field": "total"}), {"amount": 1, "total": None}, False),
        (("ok", "eq", True), {"ok": 1}, False),
        (("name", "starts_with", "chat"), {"name": "chat.reply"}, True),
        (("name", "is_null", None), {"name": None}, True),
        (("name", "is_null", None), {"name": "x"}, False),
        (("at", "gte", "2026-03-02T11:00:00+01:00"), {}, True),
        (("at", "gt", "2026-03-02T11:00:00+01:00"), {}, False),
    ],
)
def test_conditions(condition, row, expected):
    field, op, value = condition
    where = [{"field": field, "op": op} if value is None else {"field": field, "op": op, "value": value}]
    counted = formula({**aggregate("count", None), "rows": {**EVENTS, "where": where}})
    found = measure(counted, {"events": [{**event("a"), **row}]}, as_of=AS_OF)
    assert (found.n == 1) == expected


def test_any_of_needs_one():
    either = {"any": [{"field": "name", "op": "eq", "value": name} for name in ("a", "b")]}
    counted = formula({**aggregate("count", None), "rows": {**EVENTS, "where": [either]}})
    found = measure(counted, {"events": [event("a"), event("b"), event("c")]}, as_of=AS_OF)
    assert (found.value, found.excluded) == (2.0, {"not (name is a or name is b)": 1})


# --- Confidence, windows, sources that misbehave ---


def test_confidence_is_coverage_times_trust():
    rows = [{**row, "confidence": 0.8} for row in G4]
    found = figure("team-page-to-bridge", team_pages=rows)
    assert (found.mean_confidence, found.confidence) == (0.8, 0.533)
    assert figure("team-page-to-bridge", team_pages=G4).confidence is None


def test_window_takes_its_start_and_not_its_end():
    rows = [event("start", "2026-02-13 00:00"), event("end", "2026-03-15 00:00"), event("old", "2026-02-12 23:59")]
    found = measure(formula(aggregate("count", None)), {"events": rows}, as_of=AS_OF, window="P30D")
    assert (found.value, found.used) == (1.0, ("event:start",))


@pytest.mark.parametrize(
    ("window", "as_of", "start", "end"),
    [
        ("calendar-week", "2026-03-29 22:00", "2026-03-22 23:00", "2026-03-29 22:00"),  # 167 h
        ("calendar-week", "2026-03-25 12:00", "2026-03-22 23:00", "2026-03-29 22:00"),
        ("calendar-day", "2026-03-29 22:00", "2026-03-28 23:00", "2026-03-29 22:00"),
        ("calendar-day", "2026-03-29 22:00:00.000001", "2026-03-29 22:00", "2026-03-30 22:00"),
        ("calendar-month", "2026-03-31 22:00", "2026-02-28 23:00", "2026-03-31 22:00"),
        ("P4W", "2026-03-29 22:00", "2026-03-01 22:00", "2026-03-29 22:00"),
        ("PT24H", "2026-03-29 22:00", "2026-03-28 22:00", "2026-03-29 22:00"),
    ],
)
def test_g7_windows_in_berlin(window, as_of, start, end):
    assert span(window, at(as_of), BERLIN) == (at(start), at(end))


def test_timestamps_keep_milliseconds():
    row = incident("A", detected_at=at("10:00"), resolved_at=at("11:00:00.123987"))
    (sample,) = samples(formula("mttr"), {"incidents": [row]}, as_of=AS_OF)
    assert sample.timestamp == at("11:00:00.123")


def test_row_that_came_twice_is_a_broken_source():
    with pytest.raises(ValueError, match="incident:A came twice"):
        figure("mttr", incidents=[G1[0], G1[0]])


def test_time_without_a_zone_is_a_broken_source():
    naive = at("10:00").replace(tzinfo=None)
    with pytest.raises(ValueError, match="time with a zone"):
        figure("mttr", incidents=[incident("A", detected_at=at("09:00"), resolved_at=naive)])
    with pytest.raises(ValueError, match="as_of needs a time zone"):
        figure("mttr", incidents=[], as_of=naive)


def test_stable_forgets_the_noise_of_floats():
    assert stable(0.1 + 0.2) == 0.3
    assert str(stable(-0.0)) == "0.0"


# --- What holds for every set of rows ---

MINUTES = st.integers(0, 30 * 24 * 60)


@st.composite
def pages(draw: st.DrawFn) -> list[dict[str, Any]]:
    start = AS_OF - timedelta(days=20)
    rows = []
    for number in range(draw(st.integers(0, 8))):
        paged = start + timedelta(minutes=draw(MINUTES))
        arrived = draw(
            st.none() | st.integers(-5, 60).map(lambda minutes, paged=paged: paged + timedelta(minutes=minutes))
        )
        row = page(f"{number}", "10:00", team=draw(st.sampled_from(["db", "net"])), subject_open=draw(st.booleans()))
        state = draw(st.sampled_from(["met", "missed", "pending"]))
        rows.append(
            {
                **row,
                "paged_at": paged,
                "arrived_at": arrived,
                "page_state": state,
                "confidence": draw(st.sampled_from([None, 0.8, 1.0])),
            }
        )
    return rows


@st.composite
def incidents(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Incidents with an alert, and the phases they entered."""
    rows: list[dict[str, Any]] = []
    entered = []
    for name in "ABCD"[: draw(st.integers(0, 4))]:
        minutes = draw(st.lists(st.integers(-30, 60), max_size=3, unique=True))
        rows.append(incident(name, issue_time=draw(st.sampled_from([None, at("10:00")]))))
        for minute in minutes:
            entry = phase(name, draw(st.sampled_from([2, 3])), "10:00")
            entered.append(
                {**entry, "ref": f"{entry['ref']}/{minute}", "created_at": at("10:00") + timedelta(minutes=minute)}
            )
    return {"incidents": rows, "phase_entries": entered}


PAGE_KPIS = st.sampled_from(["team-page-to-bridge", "team-page-to-bridge-met"]).map(formula)


@given(st.data(), pages(), PAGE_KPIS)
def test_order_of_pages_never_matters(data, rows, kpi):
    shuffled = data.draw(st.permutations(rows))
    for window in ("all", "P30D", "calendar-week"):
        before = measure(kpi, {"team_pages": rows}, as_of=AS_OF, window=window)
        assert measure(kpi, {"team_pages": shuffled}, as_of=AS_OF, window=window) == before
    assert samples(kpi, {"team_pages": shuffled}, as_of=AS_OF) == samples(kpi, {"team_pages": rows}, as_of=AS_OF)


@given(st.data(), incidents(), st.sampled_from(["first", "last", "first_after"]), st.sampled_from(["first", "each"]))
def test_order_of_events_never_matters(data, rows, end, start):
    shuffled = {source: data.draw(st.permutations(held)) for source, held in rows.items()}
    kpi = interval(end, start)
    assert measure(kpi, shuffled, as_of=AS_OF) == measure(kpi, rows, as_of=AS_OF)
    assert samples(kpi, shuffled, as_of=AS_OF) == samples(kpi, rows, as_of=AS_OF)


def only(rows: dict[str, list[dict[str, Any]]], refs: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    return {source: [row for row in held if row["ref"] in refs] for source, held in rows.items()}


@given(pages(), PAGE_KPIS)
def test_used_pages_alone_give_the_value(rows, kpi):
    found = measure(kpi, {"team_pages": rows}, as_of=AS_OF)
    proof = measure(kpi, only({"team_pages": rows}, found.used), as_of=AS_OF)
    assert (proof.value, proof.n, proof.left_out) == (found.value, found.n, ())


@given(incidents(), st.sampled_from(["first", "last", "first_after"]))
def test_used_events_alone_give_the_value(rows, end):
    found = measure(interval(end), rows, as_of=AS_OF)
    proof = measure(interval(end), only(rows, found.used), as_of=AS_OF)
    assert (proof.value, proof.n, proof.coverage) == (found.value, found.n, 1.0 if found.n else None)


@given(pages(), PAGE_KPIS)
def test_every_row_is_used_or_left_out_with_a_reason(rows, kpi):
    found = measure(kpi, {"team_pages": rows}, as_of=AS_OF)
    refs = [*found.used, *(ref for ref, _ in found.left_out)]
    assert sorted(refs) == sorted(row["ref"] for row in rows)
    assert all(reason for _, reason in found.left_out)
    later = [ref for ref, reason in found.left_out if reason.endswith("after as_of")]
    assert len(found.left_out) == sum(found.excluded.values()) + sum(found.invalid.values()) + len(later)
    assert (found.value is None) == (found.reason is not None)


@given(pages())
def test_losing_a_hit_never_raises_a_share(rows):
    kpi = formula("team-page-to-bridge-met")
    whole = measure(kpi, {"team_pages": rows}, as_of=AS_OF)
    for hit in [row for row in rows if row["page_state"] == "met" and row["ref"] in whole.used]:
        rest = measure(kpi, {"team_pages": [row for row in rows if row is not hit]}, as_of=AS_OF)
        assert rest.value is None or rest.value <= whole.value


@given(pages(), PAGE_KPIS)
def test_groups_add_up_to_the_whole(rows, kpi):
    evaluation = Evaluation(kpi, {"team_pages": rows}, as_of=AS_OF)
    parts = [evaluation.measure("P30D", dims) for dims in evaluation.groups("P30D")]
    whole = evaluation.measure("P30D")
    assert sum(part.n for part in parts) == whole.n
    assert sum(part.eligible for part in parts) == whole.eligible


def known_by(as_of: datetime, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as a loader would have given them at `as_of`."""
    known = [dict(row) for row in rows if row["paged_at"] < as_of]
    for row in known:
        row["subject_open"] = row["subject_open"] or row["subject_closed_at"] >= as_of
        for field in ("arrived_at", "subject_closed_at"):
            row[field] = row[field] if row[field] and row[field] < as_of else None
    return known


@given(pages(), PAGE_KPIS, MINUTES)
def test_figure_of_the_past_comes_out_the_same_today(rows, kpi, minutes):
    """Else each nightly re-run of an old window would append a revision."""
    as_of = AS_OF - timedelta(minutes=minutes)
    found = measure(kpi, {"team_pages": rows}, as_of=as_of)
    then = measure(kpi, {"team_pages": known_by(as_of, rows)}, as_of=as_of)
    left_out = tuple((ref, reason) for ref, reason in found.left_out if reason != "paged_at is after as_of")
    assert found._replace(left_out=left_out) == then


@given(pages())
def test_later_facts_change_no_earlier_sample(rows):
    """A nightly run must hit the same keys as the run of the day."""
    kpi = formula("team-page-to-bridge")
    early = samples(kpi, {"team_pages": rows}, as_of=AS_OF - timedelta(days=10))
    late = samples(kpi, {"team_pages": rows}, as_of=AS_OF + timedelta(days=30))
    assert {(one.subject_key, one.timestamp, one.measurement.value) for one in early} <= {
        (one.subject_key, one.timestamp, one.measurement.value) for one in late
    }


# --- The other kinds, as the design note states them: G9, G10, G11, G13, G14 ---


def fact(ref: str, when: str | None = None, /, **fields: Any) -> dict[str, Any]:
    occurred = {"occurred_at": at(when)} if when else {}
    return {"ref": f"fact:{ref}", **occurred, **fields}


def decided(ref: str, when: str, /, **fields: Any) -> dict[str, Any]:
    return {"ref": f"decision:{ref}", "scope": "ops", "decided_at": at(when), **fields}


def stated(slug: str, rows: dict[str, list[dict[str, Any]]], as_of: datetime = AS_OF, window: str = "all") -> Any:
    return measure(definition(slug), rows, as_of=as_of, window=window)


def test_g9_from_the_definition():
    breach = {"c1": ("10:00", 3), "c2": ("11:00", 1), "c3": ("12:00", 1)}
    facts = [
        fact(f"{name}-{number}", "12:30", conversation_id=name, breached_at=at(when))
        for name, (when, times) in breach.items()
        for number in range(times)
    ]
    replies = [("c1", "09:55"), ("c1", "10:20"), ("c2", "11:10")]
    rows = [decided(f"{n}", when, conversation_id=name, action="chatwoot.reply.sent")
            for n, (name, when) in enumerate(replies)]  # fmt: skip
    found = stated("sla-resolution-time", {"fact:chatwoot.escalations": facts, "decisions": rows})
    assert (found.value, found.n, found.coverage) == (15.0, 2, 0.667)


OPENED = "fact:dashboard.session.opened"
G10_SESSIONS = {"A": "2026-03-01 12:00", "B": "2026-03-02", "C": "2026-03-03", "D": "2026-03-10", "E": "2026-03-04"}
G10_DECISIONS = {"A": "2026-03-08 12:00", "B": "2026-03-10", "D": "2026-03-11", "E": "2026-03-03"}
G10 = {
    OPENED: [fact(f"{shop}", when, shop_domain=shop) for shop, when in G10_SESSIONS.items()],
    "decisions": [decided(shop, when, shop_domain=shop) for shop, when in G10_DECISIONS.items()],
}


def test_g10_activation():
    found = stated("activation-rate", G10, window="P28D")
    assert (found.value, found.numerator, found.denominator, found.coverage) == (25.0, 1.0, 4.0, 1.0)
    assert found.used == ("decision:A", "fact:A", "fact:B", "fact:C", "fact:E")
    assert found.left_out == (("fact:D", "not judged yet"),)


@pytest.mark.parametrize(("decision", "value"), [("2026-03-08 12:00:00.000001", 0.0), ("2026-03-01 12:00", 25.0)])
def test_conversion_has_from_the_event_to_the_limit(decision, value):
    rest = [row for row in G10["decisions"] if row["shop_domain"] != "A"]
    rows = {**G10, "decisions": [*rest, decided("A", decision, shop_domain="A")]}
    assert stated("activation-rate", rows).value == value


def test_conversion_matures_a_moment_after_its_limit():
    """At the limit itself the converting event may still come."""
    rows = {OPENED: G10[OPENED][:1]}
    assert stated("activation-rate", rows, as_of=at("2026-03-08 12:00")).reason == "zero_denominator"
    assert stated("activation-rate", rows, as_of=at("2026-03-08 12:00:00.000001")).value == 0.0


def test_conversion_counts_a_shop_once_or_each_session():
    again = fact("A2", "2026-03-07", shop_domain="A")
    rows = {**G10, OPENED: [*G10[OPENED], again]}
    once = stated("activation-rate", rows)
    assert (once.value, once.excluded) == (25.0, {"not judged yet": 1, "not the first of its kind": 1})
    each = DEFINITIONS["activation-rate"]["calc"] | {"entity": "each"}
    found = measure(parse(spec(each, unit="ratio"), sources=REGISTRY), rows, as_of=AS_OF)
    assert (found.value, found.denominator) == (0.4, 5.0)


def test_conversion_of_a_key_that_is_not_known_is_none():
    rows = {
        OPENED: [fact("x", "2026-03-02", shop_domain=None)],
        "decisions": [decided("x", "2026-03-02", shop_domain=None)],
    }
    assert stated("activation-rate", rows).value == 0.0


LIMITS = [
    (1, "valid"),
    (None, "missed"),
    ("7", "invalid"),
    (-1, "invalid"),
    (10**9, "invalid"),
    (float("nan"), "invalid"),
]


@pytest.mark.parametrize(("days", "fate"), LIMITS)
def test_length_of_a_field_is_a_number_of_days(days, fate):
    calc = {
        "kind": "conversion", "base": EVENTS, "convert": {"source": "replies", "at": "at"}, "on": [["name", "name"]],
        "within": {"field": "amount"},
    }  # fmt: skip
    rows = {"events": [event("c1", amount=days)], "replies": [SLA["replies"][1]]}
    found = measure(formula(calc, unit="percent"), rows, as_of=AS_OF)
    assert (found.value == 100.0, found.eligible - found.n, sum(found.invalid.values())) == (
        fate == "valid", int(fate != "valid"), int(fate == "invalid"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "slug", ["deployment-success-rate", "error-rate", "activation-rate", "uptime", "secret-rotation"]
)
def test_g11_share_of_no_rows_is_unknown(slug):
    found = stated(slug, {})
    assert (found.value, found.reason, found.n) == (None, "zero_denominator", 0)


def test_g11_no_deploys_this_week():
    old = fact("1", "2025-12-01", environment="production", deploy_id="1", repo="api")
    assert stated("deployment-frequency", {"fact:deployed": [old]}, window="P28D").value == 0.0
    assert stated("deployment-frequency", {}, window="P28D").value is None


def test_g11_composite_with_such_a_part_is_unknown():
    empty = stated("activation-rate", {})
    found = health({**G13, "business-value-score": empty})
    assert (found.value, found.reason, found.coverage) == (None, "part_missing", 0.8)
    assert found.left_out == (("kpi:business-value-score", "zero_denominator"),)


G14_AS_OF = at("2026-04-01")


def credential(name: str, days: Any, /, **fields: Any) -> dict[str, Any]:
    return {
        "ref": f"subject:{name}",
        "id": name,
        "type": "credential",
        "active": True,
        "attrs.policy_days": days,
        **fields,
    }


G14 = {
    "subjects": [
        credential("ssh", 90, credential_type="ssh"),
        credential("token", 30, credential_type="token"),
        credential("new-token", 30, credential_type="token"),
        credential("retired", 30, credential_type="ssh", active=False),
    ],
    "fact:key_rotated": [
        fact("ssh", "2026-01-01", subject_id="ssh"),
        fact("ssh-before", "2025-01-01", subject_id="ssh"),
        fact("token", "2026-03-01", subject_id="token"),
        fact("retired", "2026-03-31", subject_id="retired"),
    ],
}


def test_g14_rotation_exactly_at_the_limit_counts():
    found = stated("secret-rotation", G14, as_of=G14_AS_OF)
    assert (stable(found.value), found.numerator, found.denominator) == (33.3333333, 1.0, 3.0)
    assert found.left_out == (("subject:retired", "active is not true"),)
    assert stated("secret-rotation", G14, as_of=G14_AS_OF + timedelta(microseconds=1)).value == 0.0


def test_g14_by_type_and_over_every_window():
    evaluation = Evaluation(definition("secret-rotation"), G14, as_of=G14_AS_OF)
    assert [(dims, evaluation.measure("all", dims).value) for dims in evaluation.groups()] == [
        ({"credential_type": "ssh"}, 100.0),
        ({"credential_type": "token"}, 0.0),
    ]
    assert evaluation.measure("P30D") == evaluation.measure("all")


@pytest.mark.parametrize(("age", "share"), [("P90D", 66.6666667), ("P89D", 33.3333333), ("P4W", 0.0)])
def test_one_age_may_hold_for_all(age, share):
    calc = DEFINITIONS["secret-rotation"]["calc"] | {"max_age": age}
    found = measure(parse(spec(calc, unit="percent"), sources=REGISTRY), G14, as_of=G14_AS_OF)
    assert stable(found.value) == share


def test_rotation_of_tomorrow_is_not_known():
    tomorrow = {**G14, "fact:key_rotated": [*G14["fact:key_rotated"], fact("t2", "2026-04-01", subject_id="token")]}
    assert stated("secret-rotation", tomorrow, as_of=G14_AS_OF) == stated("secret-rotation", G14, as_of=G14_AS_OF)


def test_credential_without_a_policy_is_a_gap():
    rows = {**G14, "subjects": [*G14["subjects"], credential("x", None)]}
    found = stated("secret-rotation", rows, as_of=G14_AS_OF)
    assert (found.n, found.coverage, found.excluded["attrs.policy_days is empty"]) == (3, 0.75, 1)


# --- Figures made of figures ---

NOTHING = stated("nps", {})
G13 = {
    "security-score": 65, "compliance-score": 40, "performance-score": 78, "business-value-score": 25,
    "operational-score": 85,
}  # fmt: skip


def given_figures(figures: dict[Any, Any]) -> Any:
    """Figures by slug, or by (slug, shift in days); a number stands for a measurement of it."""

    def figure_of(slug: str, shift: timedelta | None) -> Any:
        found = figures.get((slug, shift.days) if shift else slug)
        return NOTHING._replace(value=found, reason=None, confidence=0.9) if isinstance(found, int | float) else found

    return figure_of


def health(figures: dict[Any, Any], **keys: Any) -> Any:
    calc = {**DEFINITIONS["health-score"]["calc"], **keys}
    return measure(formula(calc, unit="score"), {}, as_of=AS_OF, figures=given_figures(figures))


def test_g13_composite():
    found = health(G13)
    assert (found.value, found.n, found.coverage, found.confidence) == (55.35, 5, 1.0, 0.9)
    assert found.used[:2] == ("kpi:business-value-score", "kpi:compliance-score")


def test_g13_missing_part_is_unknown_unless_asked_for():
    known = {slug: value for slug, value in G13.items() if slug != "business-value-score"}
    assert (health(known).value, health(known).reason) == (None, "part_missing")
    found = health(known, missing="renormalise")
    assert (found.value, found.coverage, found.denominator) == (62.9375, 0.8, 0.8)
    assert found.left_out == (("kpi:business-value-score", "no_figure"),)


@pytest.mark.parametrize(("least", "reason"), [(0.8, None), (0.81, "too_little_weight")])
def test_renormalised_needs_enough_weight(least, reason):
    known = {slug: value for slug, value in G13.items() if slug != "business-value-score"}
    assert health(known, missing="renormalise", min_weight=least).reason == reason


def test_composite_of_nothing_is_unknown():
    assert health({}, missing="renormalise").reason == "part_missing"


@pytest.mark.parametrize(("minutes", "score"), [(240, 0.0), (300, 0.0), (120, 50.0), (0, 100.0), (-5, 100.0)])
def test_scale_runs_from_worst_to_best_and_stops_there(minutes, score):
    parts = [{"kpi": "mttr", "weight": 1, "worst": 240, "best": 0}]
    assert health({"mttr": minutes}, parts=parts).value == score


@given(st.data(), st.lists(st.floats(-50, 150), min_size=5, max_size=5))
def test_order_of_parts_never_matters(data, values):
    figures = dict(zip(G13, values, strict=True))
    parts = data.draw(st.permutations(DEFINITIONS["health-score"]["calc"]["parts"]))
    assert health(figures, parts=parts) == health(figures)
    assert 0 <= health(figures).value <= 100


def derived(slug: str, figures: dict[Any, Any]) -> Any:
    return measure(definition(slug), {}, as_of=AS_OF, figures=given_figures(figures))


@pytest.mark.parametrize(("rate", "left"), [(0.05, 50.0), (0.0, 100.0), (0.1, 0.0), (0.25, -150.0)])
def test_error_budget_may_be_overspent(rate, left):
    assert derived("error-budget-left", {"error-rate": rate}).value == left


def test_growth_compares_with_a_week_before():
    found = derived("revenue-pipeline-growth-7d", {"revenue-pipeline": 120.5, ("revenue-pipeline", 7): 100})
    assert (found.value, found.n) == (20.5, 2)
    assert found.used == ("kpi:revenue-pipeline", "kpi:revenue-pipeline@-P7D")


def test_unknown_argument_makes_the_whole_unknown():
    found = derived("revenue-pipeline-growth-7d", {"revenue-pipeline": 120.5, ("revenue-pipeline", 7): NOTHING})
    assert (found.value, found.reason, found.coverage) == (None, "part_missing", 0.5)
    assert found.left_out == (("kpi:revenue-pipeline@-P7D", "not_reported"),)


def operation(op: str, *args: Any) -> Any:
    return formula({"kind": "derived", "expr": {"op": op, "args": list(args)}}, unit="points")


A, B = {"kpi": "security-score"}, {"kpi": "compliance-score"}


@pytest.mark.parametrize(
    ("op", "args", "value"),
    [
        ("add", (A, B, 0.2), 7.3), ("sub", (A, B), 3.1), ("mul", (A, B, 2), 20.4), ("div", (A, B), 2.55),
        ("min", (A, B, 3), 2.0), ("max", (A, B, 3), 5.1),
    ],
)  # fmt: skip
def test_operations(op, args, value):
    figures = given_figures({"security-score": 5.1, "compliance-score": 2})
    assert stable(measure(operation(op, *args), {}, as_of=AS_OF, figures=figures).value) == stable(value)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "min", "max"])
@pytest.mark.parametrize("missing", ["security-score", "compliance-score"])
def test_every_operation_needs_all_its_arguments(op, missing):
    figures = given_figures({"security-score": 5, "compliance-score": 2, missing: None})
    assert measure(operation(op, A, B), {}, as_of=AS_OF, figures=figures).value is None


def test_division_by_zero_is_unknown():
    figures = given_figures({"security-score": 5, "compliance-score": 0})
    found = measure(operation("div", A, B), {}, as_of=AS_OF, figures=figures)
    assert (found.value, found.reason) == (None, "division_by_zero")


def test_too_large_a_product_is_unknown():
    figures = given_figures({"security-score": 1e300, "compliance-score": 1e300})
    assert measure(operation("mul", A, B), {}, as_of=AS_OF, figures=figures).reason == "overflow"


def test_parts_must_be_given():
    with pytest.raises(ValueError, match="security-score is a part"):
        measure(operation("add", A, B), {}, as_of=AS_OF)


def test_reported_is_never_computed():
    assert (NOTHING.value, NOTHING.reason, NOTHING.n) == (None, "not_reported", 0)
    assert samples(definition("nps"), {}, as_of=AS_OF) == ()


# --- Dispatch credit from rows ---

ARRIVALS = [3, 4, 4.5, 5.0, 2.5, 4.9, 6.2, None, 4.2, 3.1]


def credit_pages(arrivals: list[float | None], prefix: str = "P", **fields: Any) -> list[dict[str, Any]]:
    start = at("10:00")
    return [
        page(f"{prefix}{n}", "10:00", incident_kind="real", **fields)
        | {"arrived_at": None if one is None else start + timedelta(minutes=one)}
        for n, one in enumerate(arrivals)
    ]


def test_dispatch_credit_of_one_team_and_level():
    others = [
        *credit_pages([None] * 10, "D", team="db-core"),
        page("drill", "10:00", incident_kind="drill"),
        page("early", "10:00", "09:59", incident_kind="real"),
        page("down", "10:00", incident_kind="real", cancelled_at=at("10:02")),
        page("low", "10:00", incident_kind="real", alarm_level=None),
    ]
    rows = {"team_pages": [*credit_pages(ARRIVALS, team="net"), *others]}
    evaluation = Evaluation(definition("dispatch-credit"), rows, as_of=AS_OF)
    found = evaluation.measure("P90D", {"team": "net", "alarm_level": "box3"})
    assert (found.value, found.numerator, found.denominator, found.median, found.p90) == (4.0, 8.0, 10.0, 4.2, 6.2)
    assert evaluation.measure("P90D", {"team": "db-core", "alarm_level": "box3"}).value == 10.0
    whole = evaluation.measure("P90D")
    assert whole.invalid == {"negative_duration": 1}
    assert whole.excluded == {"a drill or a test": 1, "no alarm level": 1, "stood down in time": 1}


def test_dispatch_credit_of_too_few_is_unrated_never_the_worst():
    found = stated("dispatch-credit", {"team_pages": credit_pages([None] * 4)}, window="P90D")
    assert (found.value, found.reason, found.n) == (None, "unrated", 4)


def test_dispatch_credit_over_levels_is_capped_by_box_3():
    rows = [*credit_pages(ARRIVALS), *credit_pages([5.0] * 60, "B", alarm_level="box2")]
    assert stated("dispatch-credit", {"team_pages": rows}, window="P90D").value == 4.0


CONVERSIONS = st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 20)), max_size=6)


@given(st.data(), CONVERSIONS, CONVERSIONS)
def test_order_never_matters_and_losing_a_conversion_never_helps(data, sessions, decisions):
    start = at("2026-02-20")
    rows = {
        OPENED: [{"ref": f"s{n}", "shop_domain": shop, "occurred_at": start + timedelta(days=day)}
                 for n, (shop, day) in enumerate(sessions)],
        "decisions": [{"ref": f"d{n}", "scope": "ops", "shop_domain": shop, "decided_at": start + timedelta(days=day)}
                      for n, (shop, day) in enumerate(decisions)],
    }  # fmt: skip
    whole = stated("activation-rate", rows)
    assert stated("activation-rate", {name: data.draw(st.permutations(held)) for name, held in rows.items()}) == whole
    assert stated("activation-rate", only(rows, whole.used)).value == whole.value
    for decision in rows["decisions"]:
        rest = stated(
            "activation-rate", {**rows, "decisions": [one for one in rows["decisions"] if one is not decision]}
        )
        assert (rest.value is None) == (whole.value is None)
        assert whole.value is None or rest.value <= whole.value


@given(st.data())
def test_order_of_rotations_never_matters(data):
    shuffled = {name: data.draw(st.permutations(held)) for name, held in G14.items()}
    assert stated("secret-rotation", shuffled, as_of=G14_AS_OF) == stated("secret-rotation", G14, as_of=G14_AS_OF)
