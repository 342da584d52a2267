"""The rows of a figure, named: they add up to it, and each that was left out says why. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpis.evaluate import Evaluation, Explained, Place, shares
from tests.kpis import AS_OF, DEFINITIONS, at, definition, event, formula, incident, page, phase
from tests.kpis.test_evaluate import G13, PAGE_KPIS, fact, given_figures, incidents, interval, pages

AGGREGATES = ["count", "sum", "avg", "min", "max", "median", "first", "last", "count_distinct",
              {"p": 90}, {"p": 95, "method": "disc"}]  # fmt: skip
AMOUNTS = st.lists(st.integers(-5, 9) | st.floats(-50, 50), max_size=12)


def explained(kpi: Any, rows: dict[str, list[dict[str, Any]]], window: str = "all") -> Explained:
    return Evaluation(kpi, rows, as_of=AS_OF).explain(window)


def adds_up(found: Explained) -> None:
    """The rows re-add to the value; without a value no row adds anything."""
    if found.measurement.value is None:
        assert all(row.adds is None for row in found.rows)
    else:
        assert sum(row.adds or 0 for row in found.used) == pytest.approx(found.measurement.value, abs=1e-9)


def places(found: Explained) -> dict[str, Place]:
    return {row.entry.ref: row.place for row in found.rows}


@given(AMOUNTS, st.sampled_from(AGGREGATES))
def test_rows_of_every_aggregate_add_up(amounts, agg):
    calc = {"kind": "aggregate", "rows": {"source": "events", "at": "at"}, "value": "amount", "agg": agg}
    rows = [event(str(number), amount=amount) for number, amount in enumerate(amounts)]
    adds_up(explained(formula(calc, unit="points"), {"events": rows}))


@given(AMOUNTS, st.sampled_from(["last", "sum", "avg"]), st.sampled_from(["sum", "avg", "max", "median", "count"]))
def test_rows_of_groups_of_groups_add_up(amounts, agg, then):
    rows_of = {"source": "events", "at": "at"}
    calc = {"kind": "aggregate", "rows": rows_of, "value": "amount", "agg": agg, "per": ["stream"], "then": then}
    rows = [event(str(number), amount=amount, stream="abc"[number % 3]) for number, amount in enumerate(amounts)]
    adds_up(explained(formula(calc, unit="points"), {"events": rows}))


@given(pages(), PAGE_KPIS, st.sampled_from(["all", "P7D", "calendar-week"]))
def test_rows_of_durations_and_shares_add_up(rows, kpi, window):
    adds_up(explained(kpi, {"team_pages": rows}, window))


@given(incidents(), st.sampled_from(["first", "last", "first_after"]))
def test_rows_of_intervals_add_up(rows, end):
    adds_up(explained(interval(end), rows))


@given(st.lists(st.integers(0, 12), max_size=8), st.booleans())
def test_rows_of_conversions_add_up(days, one_each):
    calc = DEFINITIONS["activation-rate"]["calc"] | {"entity": "first" if one_each else "each"}
    kpi = definition("activation-rate").model_copy(
        update={"calc": type(definition("activation-rate").calc).model_validate(calc)}
    )
    opened = [fact(f"s{n}", f"2026-03-{1 + day:02} 12:00", shop_domain="abc"[n % 3]) for n, day in enumerate(days)]
    decided = [{"ref": "decision:1", "scope": "ops", "shop_domain": "a", "decided_at": at("2026-03-03 12:00")}]
    found = explained(kpi, {"fact:dashboard.session.opened": opened, "decisions": decided})
    adds_up(found)
    assert set(places(found).values()) <= {Place.USED, Place.DUPLICATE, Place.NOT_JUDGED}


@given(st.lists(st.integers(0, 200), max_size=6))
def test_rows_of_recency_add_up(ages):
    about = {"type": "credential", "active": True, "credential_type": "ssh", "attrs.policy_days": 90}
    universe = [{"ref": f"subject:{n}", "id": str(n), **about} for n in range(len(ages))]
    rotated = [
        {"ref": f"fact:{n}", "subject_id": str(n), "occurred_at": AS_OF - timedelta(days=age, minutes=1)}
        for n, age in enumerate(ages)
    ]
    adds_up(explained(definition("secret-rotation"), {"subjects": universe, "fact:key_rotated": rotated}))


def test_a_class_is_read_from_the_rows_that_came_in_time():
    rows = [page(str(n), "10:00", "10:04" if n % 4 else "10:09", incident_kind="real") for n in range(12)]
    found = explained(definition("dispatch-credit"), {"team_pages": rows})
    assert sum(row.adds or 0 for row in found.used) == found.measurement.numerator == 9
    assert len(found.used) == found.measurement.denominator


@given(st.lists(st.none() | st.floats(-50, 150), min_size=5, max_size=5))
def test_parts_of_a_composite_add_up(values):
    figures = given_figures({slug: value for slug, value in zip(G13, values, strict=True) if value is not None})
    kpi = formula({**DEFINITIONS["health-score"]["calc"], "missing": "renormalise"}, unit="score")
    value = Evaluation(kpi, {}, as_of=AS_OF).measure(figures=figures).value
    adds = [part.adds for part in shares(kpi, figures) if part.adds is not None]
    assert sum(adds) == pytest.approx(value or 0, abs=1e-9)
    assert len(adds) == sum(value is not None for value in values)


def test_parts_of_arithmetic_are_named_with_their_shift():
    figures = given_figures({"revenue-pipeline": 120.5, ("revenue-pipeline", 7): 100})
    found = shares(definition("revenue-pipeline-growth-7d"), figures)
    told = {part.ref: part.measurement.value for part in found if part.measurement}
    assert told == {"kpi:revenue-pipeline": 120.5, "kpi:revenue-pipeline@-P7D": 100}


def test_every_reason_has_its_place():
    rows = [
        page("came", "10:00", "10:04"),
        page("never", "10:00"),
        page("running", "10:00", subject_open=True, subject_closed_at=None),
        page("before", "10:00", "09:50"),
        page("stood-down", "10:00", "10:02", cancelled_at=at("10:01")),
        page("tomorrow", "2026-03-16 10:00", "2026-03-16 10:02"),
        page("long-ago", "2025-11-01 10:00", "2025-11-01 10:02"),
    ]
    found = explained(formula("team-page-to-bridge"), {"team_pages": rows}, "P30D")
    assert {ref.removeprefix("team_page:"): str(place) for ref, place in places(found).items()} == {
        "came": "used", "never": "missing", "running": "open", "before": "negative_duration",
        "stood-down": "cancelled", "tomorrow": "later", "long-ago": "outside",
    }  # fmt: skip
    assert [row.place for row in found.left_out][:2] == [Place.NEGATIVE, Place.MISSING]


def test_g2_the_second_gather_is_no_end_and_silence_is_missing():
    rows = {
        "incidents": [incident("A", issue_time=at("10:00")), incident("B", issue_time=at("11:00"))],
        "phase_entries": [
            phase("A", 2, "10:04"),
            phase("A", 3, "10:12"),
            phase("A", 2, "10:40"),
            phase("B", 3, "11:00"),
        ],
    }
    found = explained(formula("mtta"), rows)
    assert [(row.entry.ref, row.adds, row.entry.end["ref"]) for row in found.used] == [
        ("incident:A", 4.0, "phase_entry:A-2-10:04")
    ]
    assert [(row.entry.ref, row.place) for row in found.left_out] == [("incident:B", Place.MISSING)]


def test_g9_a_repeated_breach_is_a_duplicate():
    about = {"subject_key": "conversation:c1", "conversation_id": "c1", "shop_domain": "s"}
    breaches = [fact(f"e{n}", "10:00", breached_at=at("10:00"), **about) for n in range(3)]
    reply = {"ref": "decision:1", "action": "chatwoot.reply.sent", "conversation_id": "c1", "decided_at": at("10:20")}
    found = explained(definition("sla-resolution-time"), {"fact:chatwoot.escalations": breaches, "decisions": [reply]})
    assert [str(row.place) for row in found.rows] == ["used", "duplicate", "duplicate"]
    assert found.used[0].adds == 20.0


def test_a_subject_is_explained_by_its_own_rows():
    rows = [page("one", "10:00", "10:04"), page("two", "10:00", "10:09")]
    found = Evaluation(formula("team-page-to-bridge"), {"team_pages": rows}, as_of=AS_OF).explain_subject(
        "team_page:two"
    )
    assert (found.measurement.value, list(places(found))) == (9.0, ["team_page:two"])
