"""The printed examples, installed with their packs and computed from facts that were sent."""

# The rows of a table are read across.
# ruff: noqa: E501
from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from kpis.claims import Claim, record_claim
from kpis.compute import backfill
from kpis.facts import decisions, subjects
from kpis.facts.decisions import Decided
from kpis.models import KpiDefinition, KpiObservation, ObservationSource
from kpis.packs import files
from kpis.packs.install import install
from tests.factories import at
from tests.kpis import DEFINITIONS
from tests.kpis.facts import event, send
from tests.kpis.test_packs import EDITOR, START

pytestmark = pytest.mark.django_db
AS_OF = at("2026-03-03T00:00")


def installed(*slugs: str) -> None:
    for slug in slugs or files.slugs():
        install(files.pack(slug), EDITOR, start=START)


def compute(slug: str, as_of: str = "2026-03-03T00:00") -> KpiObservation:
    kpi = KpiDefinition.objects.get(pk=slug)
    backfill(kpi, as_of=at(as_of))
    window = (kpi.spec or {})["windows"][0]
    return KpiObservation.objects.current().get(kpi=kpi, window=window, dims_key="", timestamp=at(as_of))


def decide(action: str, when: str, **payload: str) -> None:
    decisions.record(Decided("ops", action, at(when), payload=payload), source="test", now=at("2026-06-01T00:00"))


def repeat(kind: str, *payloads: dict[str, Any]) -> list[dict[str, Any]]:
    return [event(kind, f"10:{number:02d}", **payload) for number, payload in enumerate(payloads)]


LATENCIES = (12, 40, 41, 55, 60, 75, 90, 110, 180, 900)
DEPLOY = {"repo": "shop", "environment": "production"}
#: slug -> (facts, figure)
FROM_FACTS: dict[str, tuple[list[dict[str, Any]], float]] = {
    "deployment-frequency": (repeat("deployed", *({**DEPLOY, "deploy_id": str(n)} for n in (1, 2, 2, 3, 4))), 1.0),
    "cycle-time": (
        [event("commit.pushed", "10:00", repo="shop", sha="a"), event("deployed", "10:08", **DEPLOY, deploy_id="1", sha="a")],
        8.0,
    ),
    "cycle-time-p95": (
        [event("commit.pushed", "10:00", repo="shop", sha="a"), event("commit.pushed", "10:10", repo="shop", sha="b"),
         event("deployed", "10:10", **DEPLOY, deploy_id="1", sha="a"), event("deployed", "10:40", **DEPLOY, deploy_id="2", sha="b")],
        29.0,
    ),
    "lead-time": (
        [event("pr.merged", "12:00", pr="1", repo="shop", merged_at=at("12:00").isoformat(), first_commit_at=at("10:30").isoformat())],
        1.5,
    ),
    "deployment-success-rate": (
        repeat("deploy.finished", *({"deploy_id": str(n), "repo": "shop", "outcome": one} for n, one in enumerate(("success", "success", "success", "rolled_back")))),
        75.0,
    ),
    "uptime": (repeat("health_check", *({"service": "api", "ok": ok} for ok in (True, True, True, False))), 75.0),
    "error-rate": (
        repeat("api_request", *({"service": "api", "status": status, "latency_ms": 5} for status in (200, 404, 200, 500))),
        25.0,
    ),
    "error-budget-left": (
        repeat("api_request", *({"service": "api", "status": 500 if n == 0 else 200, "latency_ms": n} for n in range(50))),
        -1900.0,
    ),
    "least-privilege-admin-share": (
        repeat("iam_audit", {"service": "a", "admin_count": 5, "total_count": 5}, {"service": "a", "admin_count": 1, "total_count": 6},
               {"service": "b", "admin_count": 0, "total_count": 4}),
        10.0,
    ),
    "critical-cve-in-24h": (
        [event("cve.disclosed", "2026-02-20T10:00", repo="shop", cve_id=one, severity="critical") for one in ("1", "2")]
        + [event("cve.patched", "2026-02-21T10:00", repo="shop", cve_id="1"), event("cve.patched", "2026-02-21T10:01", repo="shop", cve_id="2")],
        50.0,
    ),
    "secret-scan-coverage": (
        repeat("repo.security_settings", {"repo": "a", "archived": False, "secret_scanning": True},
               {"repo": "b", "archived": False, "secret_scanning": False}, {"repo": "c", "archived": True, "secret_scanning": False}),
        50.0,
    ),
    "api-latency-p95": (repeat("api_request", *({"service": "api", "status": 200, "latency_ms": ms} for ms in LATENCIES)), 576.0),
    "memory-budget-adherence": (
        repeat("resource_usage", *({"service": "api", "memory_pct": used, "cpu_pct": 1} for used in (79, 80, 10, 99))), 50.0,
    ),
    "health-score": (
        repeat("category.score", *({"category": one, "score": score} for one, score in
               (("compliance", 40), ("performance", 78), ("business_value", 25), ("operational", 85))))
        + repeat("security.control", {"control": "all", "score": 65}),
        55.35,
    ),
    "team-velocity": (repeat("story.completed", {"team": "security", "points": 8}, {"team": "financial", "points": 5}), 13.0),
    "team-velocity-total": (repeat("story.completed", {"team": "security", "points": 8}, {"team": "financial", "points": 5}), 13.0),
    "revenue-pipeline": (
        repeat("revenue.pipeline", {"stream": "a", "amount_usd": 5}, {"stream": "a", "amount_usd": 700}, {"stream": "b", "amount_usd": 300}),
        1000.0,
    ),
    "revenue-pipeline-growth-7d": (
        [event("revenue.pipeline", "2026-02-01T10:00", stream="a", amount_usd=400), event("revenue.pipeline", "10:00", stream="a", amount_usd=700)],
        300.0,
    ),
    "security-score": (repeat("security.control", {"control": "a", "score": 4}, {"control": "b", "score": 6}, {"control": "c", "score": 1}), 11.0),
    "test-coverage": (repeat("ci.coverage", {"team": "security", "suite": "unit", "percent": 40}, {"team": "security", "suite": "e2e", "percent": 9}), 40.0),
}  # fmt: skip


def test_printed_examples_are_computed_from_stored_facts() -> None:
    installed()
    found = {}
    for slug, (facts, _) in FROM_FACTS.items():
        with transaction.atomic():
            assert send(*facts).errors == [], slug
            found[slug] = compute(slug).value
            transaction.set_rollback(True)
    assert found == {slug: pytest.approx(expected, abs=1e-9) for slug, (_, expected) in FROM_FACTS.items()}


def test_the_three_of_operators_are_computed_from_facts_and_decisions() -> None:
    installed("operator-control-centre")
    send(
        event("dashboard.session.opened", "2026-02-10T12:00", shop_domain="a"),
        event("dashboard.session.opened", "2026-02-11T12:00", shop_domain="b"),
    )
    decide("approve", "2026-02-12T12:00", shop_domain="a")
    send(event("chatwoot.escalations", "10:01", conversation_id="c", breached_at=at("10:00").isoformat()))
    decide("chatwoot.reply.sent", "10:20", conversation_id="c")
    send(event("ga.sessions.anomaly", "2026-02-20T10:00", shop_domain="a", landing_page="/x"))
    decide("seo.assignment.assigned", "2026-02-21T10:00", shop_domain="a", landing_page="/x")
    found = {slug: compute(slug).value for slug in ("activation-rate", "sla-resolution-time", "anomaly-response-rate")}
    assert found == {"activation-rate": 50.0, "sla-resolution-time": 20.0, "anomaly-response-rate": 100.0}


def test_rotation_counts_credentials_by_their_policy() -> None:
    installed("engineering-impact")
    subjects.register("credential", "ssh", attributes={"policy_days": 90, "credential_type": "ssh"}, now=at("10:00"))
    subjects.register("credential", "new", attributes={"policy_days": 30, "credential_type": "token"}, now=at("10:00"))
    send({**event("key_rotated", "2026-01-10T10:00"), "subject": "ssh"})
    assert compute("secret-rotation").value == 50.0


def test_a_stated_score_and_two_sums_of_the_tracker() -> None:
    """The avoided cost is the one table of that document whose sums are right."""
    installed("success-tracker")
    claim = Claim(61, at("10:00"), source=ObservationSource.IMPORT)
    found, _ = record_claim(KpiDefinition.objects.get(pk="nps"), None, claim, now=AS_OF)
    assert (found.value, found.evidence) == (61, "partial")

    risks = (
        ("tcpa", 6_000_000, 0, 0.999),
        ("gdpr", 2_000_000, 0.2, 0.95),
        ("security", 1_000_000, 0.6, 0.99),
        ("operations", 500_000, 0.5, 0.9),
    )
    send(
        *repeat(
            "risk.exposure",
            *(
                {"category": one, "exposure_usd": usd, "current_share": now, "target_share": goal}
                for one, usd, now, goal in risks
            ),
        )
    )
    assert compute("cost-avoidance").value == pytest.approx(8_084_000)

    send(
        *repeat(
            "control.status",
            *({"law": "gdpr", "requirement": str(n), "percent": one} for n, one in enumerate((30, 60, 0, 0, 0, 0))),
        )
    )
    assert compute("gdpr-score").value == 15


INCIDENT_KPIS = {
    "mttr", "mtta", "cadence-adherence", "stakeholder-satisfaction", "team-page-to-bridge", "team-page-to-ack",
    "engineer-response-time", "dispatch-credit", "team-page-to-bridge-met",
}  # fmt: skip


def test_the_others_are_built_in_and_come_from_incidents() -> None:
    """Their figures: tests/kpis/test_golden.py."""
    mine = {*FROM_FACTS, "activation-rate", "sla-resolution-time", "anomaly-response-rate", "secret-rotation", "nps"}
    assert (len(DEFINITIONS), set(DEFINITIONS)) == (34, mine | INCIDENT_KPIS)
