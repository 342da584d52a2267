"""Kinds of facts as operators, builders and survey writers send them, and how to send them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from kpis.facts import ingest, kinds
from kpis.facts.ingest import Report
from kpis.models import FactKind
from tests.factories import NOON, at

TEXT = {"type": "string"}
FIELDS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "dashboard.session.opened": ("shop", {"shop_domain": {**TEXT, "required": True}, "operator": {"type": "person"}}),
    "chatwoot.escalations": (
        "conversation",
        {"conversation_id": {**TEXT, "required": True}, "shop_domain": TEXT, "breached_at": {"type": "time"}},
    ),
    "ga.sessions.anomaly": ("", {"shop_domain": TEXT, "landing_page": TEXT}),
    "deployed": (
        "deploy",
        {"repo": TEXT, "sha": TEXT, "environment": TEXT,
         "deploy_id": {**TEXT, "required": True}},
    ),
    "commit.pushed": ("commit", {"repo": TEXT, "sha": {**TEXT, "required": True}}),
    "pr.merged": ("pull_request", {"repo": TEXT, "pr": TEXT, "merged_at": {"type": "time"},
                                   "first_commit_at": {"type": "time"}}),
    "deploy.finished": ("", {"repo": TEXT, "outcome": {"type": "enum", "enum": ["success", "failure", "rolled_back"]}}),
    "health_check": ("service", {"service": TEXT, "ok": {"type": "bool", "required": True}}),
    "api_request": ("", {"service": TEXT, "status": {"type": "int"}, "latency_ms": {"type": "duration", "unit": "ms"}}),
    "key_rotated": ("credential", {}),
    "iam_audit": ("", {"service": TEXT, "admin_count": {"type": "int"}, "total_count": {"type": "int"}}),
    "cve.disclosed": ("", {"repo": TEXT, "cve_id": TEXT, "severity": TEXT}),
    "cve.patched": ("", {"repo": TEXT, "cve_id": TEXT}),
    "repo.security_settings": ("", {"repo": TEXT, "archived": {"type": "bool"}, "secret_scanning": {"type": "bool"}}),
    "resource_usage": ("", {"service": TEXT, "memory_pct": {"type": "number"}}),
    "story.completed": ("", {"team": TEXT, "points": {"type": "number"}}),
    "revenue.pipeline": ("", {"stream": TEXT, "amount_usd": {"type": "number"}}),
    "security.control": ("", {"control": TEXT, "score": {"type": "number"}}),
    "ci.coverage": ("", {"team": TEXT, "suite": TEXT, "percent": {"type": "number"}}),
    "survey.answered": ("incident", {"score": {"type": "int", "required": True}}),
}  # fmt: skip
SUBJECT_FIELDS = {
    "dashboard.session.opened": "shop_domain",
    "chatwoot.escalations": "conversation_id",
    "deployed": "deploy_id",
    "commit.pushed": "sha",
    "pr.merged": "pr",
    "health_check": "service",
}


def define(*keys: str, **changes: Any) -> FactKind:
    """These of the kinds above; the last one is given back."""
    for key in keys:
        subject, fields = FIELDS[key]
        columns: dict[str, Any] = {
            "key": key, "description": "A test's.", "fields": fields, "owner": "Test", "subject_type": subject,
            "subject_field": SUBJECT_FIELDS.get(key, ""), **changes,
        }  # fmt: skip
        row = kinds.define(kinds.Kind(**columns), by=None, reason="Test", now=NOON)
    return row


def event(kind: str, when: str, /, **payload: Any) -> dict[str, Any]:
    """An event of 2 March 2026 ("10:04"), or of another day ("2026-03-03T08:00")."""
    return {"kind": kind, "occurredAt": at(when).isoformat(), "payload": payload}


def send(*events: Mapping[str, Any], now: str = "2026-06-01T00:00", source: str = "test") -> Report:
    return ingest.append_lines(ndjson(events), source=source, now=at(now))


def ndjson(events: Iterable[Mapping[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, events)).encode()
