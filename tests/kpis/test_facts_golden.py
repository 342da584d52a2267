"""The printed examples, from stored facts: what was sent as JSON comes out as the figure that the note gives."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from kpis.compute import backfill
from kpis.definitions import check_spec, save_version
from kpis.evaluate import Evaluation, Measurement
from kpis.facts import decisions, ingest, subjects
from kpis.facts.decisions import Decided
from kpis.formulas import references_in, source_names
from kpis.models import KpiDefinition, KpiObservation
from kpis.sources import SHAPES, Scope, load
from kpis.standing import verdict_now
from tests.factories import NOON, IncidentFactory, at
from tests.kpis import DEFINITIONS
from tests.kpis.facts import FIELDS, define, event, send

pytestmark = pytest.mark.django_db


def figure(spec: dict[str, Any], as_of: str, window: str = "") -> Measurement:
    formula = check_spec(spec, spec["unit"])
    tables = load(source_names(formula), Scope(at(as_of)))
    return Evaluation(formula, tables, as_of=at(as_of)).measure(window or formula.windows[0])


def decide(action: str, when: str, *, scope: str = "ops", **payload: str) -> None:
    decided = Decided(scope, action, at(when), payload=payload)
    decisions.record(decided, source="test", now=at("2026-06-01T00:00"))


def test_every_printed_definition_reads_stored_facts() -> None:
    """Those that are made of facts: their names and types are what the kinds declare."""
    define(*FIELDS)
    fit = []
    for slug, spec in DEFINITIONS.items():
        reads = {name for name in _sources(spec) if name.startswith("fact:") or name in ("decisions", "subjects")}
        if reads and not references_in(spec):
            check_spec(spec, spec["unit"])
            fit.append(slug)
            assert figure(spec, "2026-04-01T00:00").value is None
    assert len(fit) == 21


def _sources(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["source"]} if isinstance(value.get("source"), str) else set()
        return own.union(*map(_sources, value.values()))
    return set[str]().union(*map(_sources, value)) if isinstance(value, list) else set()


def test_g9_minutes_from_breach_to_the_first_reply_after_it() -> None:
    define("chatwoot.escalations")
    told = [("c1", "10:00", seen) for seen in ("10:01", "10:06", "10:11")]
    for name, breached, seen in [*told, ("c2", "11:00", "11:01"), ("c3", "12:00", "12:01")]:
        send(event("chatwoot.escalations", seen, conversation_id=name, breached_at=at(breached).isoformat()))
    for name, replied in [("c1", "09:55"), ("c1", "10:20"), ("c2", "11:10")]:
        decide("chatwoot.reply.sent", replied, conversation_id=name)
    found = figure(DEFINITIONS["sla-resolution-time"], "2026-03-03T00:00")
    assert (found.value, found.n, round(found.coverage or 0, 3)) == (15.0, 2, 0.667)


def test_g10_shops_that_decide_within_seven_days() -> None:
    define("dashboard.session.opened")
    first = {"A": "01T12:00", "B": "02T12:00", "C": "03T12:00", "D": "10T12:00", "E": "04T12:00"}
    for shop, day in first.items():
        send(event("dashboard.session.opened", f"2026-03-{day}", shop_domain=shop))
    for shop, day in {"A": "08T12:00", "B": "10T12:00", "D": "11T12:00", "E": "03T12:00"}.items():
        decide("approve", f"2026-03-{day}", shop_domain=shop)
    found = figure(DEFINITIONS["activation-rate"], "2026-03-15T00:00")
    assert (found.value, found.numerator, found.denominator) == (25.0, 1, 4)


def test_g11_nothing_to_take_a_share_of() -> None:
    define("deploy.finished", "api_request", "dashboard.session.opened", "health_check", "deployed")
    shares = ("deployment-success-rate", "error-rate", "activation-rate", "uptime")
    assert {figure(DEFINITIONS[slug], "2026-03-09T00:00").value for slug in shares} == {None}
    assert figure(DEFINITIONS["deployment-frequency"], "2026-03-09T00:00").value is None  # never seen
    send(event("deployed", "2026-01-05T10:00", deploy_id="d", repo="shop", environment="production"))
    assert figure(DEFINITIONS["deployment-frequency"], "2026-03-09T00:00").value == 0.0  # none in four weeks


def test_g14_credentials_within_their_policy() -> None:
    define("key_rotated")
    rows = [("ssh", 90, True), ("token", 30, True), ("never", 30, True), ("old", 30, False)]
    for name, days, is_active in rows:
        subjects.register("credential", name, attributes={"policy_days": days}, is_active=is_active, now=NOON)
    rotated = [("ssh", "2026-01-01T00:00"), ("token", "2026-03-01T00:00")]
    report = send(*({**event("key_rotated", when), "subject": name} for name, when in rotated))
    assert report.inserted == 2
    found = figure(DEFINITIONS["secret-rotation"], "2026-04-01T00:00", "all")
    assert (round(found.value or 0, 3), found.denominator) == (33.333, 3)


SURVEY = {
    "schema": "majorops.kpi/1", "subject": None, "windows": ["all"], "unit": "score",
    "calc": {
        "kind": "aggregate", "value": "score", "agg": "avg",
        "rows": {"source": "fact:survey.answered", "at": "occurred_at", "where": [
            {"field": "score", "op": "gte", "value": 1}, {"field": "score", "op": "lte", "value": 5},
        ]},
    },
}  # fmt: skip


def test_g15_answers_from_one_to_five() -> None:
    define("survey.answered")
    assert figure(SURVEY, "2026-03-03T00:00").value is None
    for minute, score in enumerate([5, 4, 5, 9]):
        send({**event("survey.answered", f"10:0{minute}", score=score), "subject": "01JX"})
    found = figure(SURVEY, "2026-03-03T00:00")
    assert (round(found.value or 0, 4), found.n, sum(found.invalid.values())) == (4.6667, 3, 1)


# --- As sources ---


def count(source: str, at: str = "occurred_at") -> dict[str, Any]:
    calc = {"kind": "aggregate", "rows": {"source": source, "at": at}, "value": "id", "agg": "count"}
    return {"schema": "majorops.kpi/1", "subject": None, "windows": ["all"], "unit": "count", "calc": calc}


def test_a_corrected_fact_is_replaced_by_its_correction() -> None:
    define("story.completed")
    wrong, _ = ingest.append(event("story.completed", "10:00", team="a", points=8), source="test", now=at("11:00"))
    right = {**event("story.completed", "10:00", team="a", points=3), "supersedes": wrong.pk}
    assert send(right).inserted == 1
    assert figure(DEFINITIONS["team-velocity-total"], "2026-03-09T00:00").value == 3


def test_a_prefix_reads_all_kinds_below_it() -> None:
    define("cve.disclosed", "cve.patched")
    send(event("cve.disclosed", "10:00", cve_id="1"), event("cve.patched", "11:00", cve_id="1"))
    assert figure(count("fact:cve.*"), "2026-03-03T00:00").value == 2
    assert "severity" in SHAPES["fact:cve.*"].fields


def test_facts_of_a_restricted_incident_are_in_no_rollup() -> None:
    define("survey.answered")
    for hidden in (False, True):
        incident = IncidentFactory(restricted=hidden)
        send({**event("survey.answered", "10:00", score=5), "subject": incident.pk})
    assert figure(SURVEY, "2026-03-03T00:00").n == 1


def stored(slug: str, spec: dict[str, Any]) -> KpiDefinition:
    kpi = KpiDefinition.objects.create(
        slug=slug, name="x", description="x", formula="x", spec=spec, units=spec["unit"], owner="x"
    )
    save_version(kpi, by=None, reason="Test", now=NOON)
    return kpi


def overall(kpi: KpiDefinition) -> KpiObservation:
    return KpiObservation.objects.current().get(kpi=kpi, dims_key="", window=(kpi.spec or {})["windows"][0])


def test_a_late_fact_changes_the_figure_at_the_next_run() -> None:
    define("story.completed")
    kpi = stored("velocity", DEFINITIONS["team-velocity-total"])
    send(event("story.completed", "10:00", team="a", points=8))
    backfill(kpi, as_of=at("2026-03-09T00:00"))
    assert overall(kpi).value == 8
    send(event("story.completed", "11:00", team="b", points=5))
    backfill(kpi, as_of=at("2026-03-09T00:00"))
    assert (overall(kpi).value, overall(kpi).revision) == (13, 2)


def test_a_kind_says_when_its_silence_is_a_fault() -> None:
    define("story.completed", expected_every="P1D")
    kpi = stored("velocity", count("fact:story.completed"))
    send(event("story.completed", "10:00", team="a", points=8))
    backfill(kpi, as_of=at("2026-03-03T00:00"))
    codes = [[each.code for each in verdict_now(overall(kpi), kpi, now).reasons] for now in _days(3, 5)]
    assert codes == [[], ["stale"]]


def _days(*days: int) -> list[datetime]:
    return [at(f"2026-03-0{day}T00:00") for day in days]


def test_a_conversation_has_a_sample_of_its_own() -> None:
    define("chatwoot.escalations")
    kpi = stored("sla", DEFINITIONS["sla-resolution-time"])
    send(event("chatwoot.escalations", "10:01", conversation_id="c1", breached_at=at("10:00").isoformat()))
    decide("chatwoot.reply.sent", "10:20", conversation_id="c1")
    backfill(kpi, as_of=at("2026-03-03T00:00"))
    (sample,) = KpiObservation.objects.current().samples().filter(kpi=kpi)
    assert (sample.subject_key, sample.value, sample.incident_id) == ("conversation:c1", 20.0, None)
