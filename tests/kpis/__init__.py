"""The sources as the loaders shape them, the seeded definitions, and builders of rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kpis.formulas import FieldType, Formula, KpiShape, SourceShape, parse, references_in

ID, TEXT, NUMBER, TIME = FieldType.ID, FieldType.TEXT, FieldType.NUMBER, FieldType.TIME
BOOLEAN = FieldType.BOOLEAN


def _shape(name: str, subject: str | None, /, **fields: FieldType) -> SourceShape:
    times = tuple(field for field, kind in fields.items() if kind is TIME)
    return SourceShape(name, fields, times, subject)


SOURCES = {
    shape.name: shape
    for shape in (
        _shape(
            "incidents",
            "incident",
            id=ID,
            severity=TEXT,
            kind=TEXT,
            status=TEXT,
            detected_at=TIME,
            resolved_at=TIME,
            issue_time=TIME,
            resolve_time=TIME,
            customer_count=NUMBER,
        ),
        _shape("phase_entries", "incident", incident_id=ID, phase_number=NUMBER, created_at=TIME),
        _shape("update_promises", "incident", incident_id=ID, due_at=TIME, delivered_at=TIME, state=TEXT),
        _shape(
            "team_pages",
            "team_page",
            incident_id=ID,
            incident_kind=TEXT,
            team=TEXT,
            alarm_level=TEXT,
            paged_at=TIME,
            acknowledged_at=TIME,
            arrived_at=TIME,
            cancelled_at=TIME,
            arrival_source=TEXT,
            user=TEXT,
            page_state=TEXT,
        ),
        _shape("survey_responses", "incident", incident_id=ID, score=NUMBER, submitted_at=TIME),
        _shape("events", "event", name=TEXT, stream=TEXT, ok=BOOLEAN, amount=NUMBER, total=NUMBER, at=TIME),
        _shape("replies", None, name=TEXT, at=TIME),
    )
}


def _fact(kind: str, subject: str | None = None, /, **fields: FieldType) -> SourceShape:
    return _shape(f"fact:{kind}", subject, occurred_at=TIME, **fields)


_SUBJECTS = {"id": ID, "type": TEXT, "active": BOOLEAN, "credential_type": TEXT, "attrs.policy_days": NUMBER}
#: What the 34 definitions of the design note read besides: facts, decisions, and registered subjects.
FACTS = {
    shape.name: shape
    for shape in (
        _shape("decisions", None, scope=TEXT, action=TEXT, shop_domain=TEXT, landing_page=TEXT, conversation_id=ID,
               decided_at=TIME),
        SourceShape("subjects", _SUBJECTS, ()),
        _fact("dashboard.session.opened", shop_domain=TEXT),
        _fact("chatwoot.escalations", "conversation", conversation_id=ID, shop_domain=TEXT, breached_at=TIME),
        _fact("ga.sessions.anomaly", shop_domain=TEXT, landing_page=TEXT),
        _fact("deployed", "deploy", repo=TEXT, sha=ID, environment=TEXT, deploy_id=ID),
        _fact("commit.pushed", "commit", repo=TEXT, sha=ID),
        _fact("pr.merged", "pull_request", repo=TEXT, merged_at=TIME, first_commit_at=TIME),
        _fact("deploy.finished", repo=TEXT, outcome=TEXT),
        _fact("health_check", service=TEXT, ok=BOOLEAN),
        _fact("api_request", service=TEXT, status=NUMBER, latency_ms=NUMBER),
        _fact("key_rotated", subject_id=ID),
        _fact("iam_audit", service=TEXT, admin_count=NUMBER, total_count=NUMBER),
        _fact("cve.disclosed", repo=TEXT, cve_id=ID, severity=TEXT),
        _fact("cve.patched", repo=TEXT, cve_id=ID),
        _fact("repo.security_settings", repo=TEXT, archived=BOOLEAN, secret_scanning=BOOLEAN),
        _fact("resource_usage", service=TEXT, memory_pct=NUMBER),
        _fact("story.completed", team=TEXT, points=NUMBER),
        _fact("revenue.pipeline", stream=TEXT, amount_usd=NUMBER),
        _fact("security.control", control=TEXT, score=NUMBER),
        _fact("ci.coverage", team=TEXT, suite=TEXT, percent=NUMBER),
    )
}  # fmt: skip
REGISTRY = {**SOURCES, **FACTS}
#: Section 2.3 of the design note, verbatim.
DEFINITIONS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "fixtures" / "definitions.json").read_text()
)
#: Parts of its health score that it gives no JSON for.
_UNDEFINED = ("compliance-score", "performance-score", "business-value-score", "operational-score")
KPIS = {
    **{
        slug: KpiShape(slug, one["unit"], "internal", references_in(one), tuple(one["group_by"]))
        for slug, one in DEFINITIONS.items()
    },
    **{slug: KpiShape(slug, "score", "internal") for slug in _UNDEFINED},
}


def definition(slug: str) -> Formula:
    """One of the 34 definitions."""
    return parse(DEFINITIONS[slug], sources=REGISTRY, kpis=KPIS, slug=slug, visibility="internal")


def spec(calc: dict[str, Any], **envelope: Any) -> dict[str, Any]:
    """A definition around `calc`; the envelope is that of a count over all time unless said."""
    return {"schema": "majorops.kpi/1", "subject": None, "windows": ["all"], "unit": "count", **envelope, "calc": calc}


def _pages(*where: dict[str, Any]) -> dict[str, Any]:
    return {"source": "team_pages", "where": list(where), "at": "paged_at"}


def _cond(field: str, op: str, value: Any = None) -> dict[str, Any]:
    return {"field": field, "op": op} if value is None else {"field": field, "op": op, "value": value}


def _average(rows: dict[str, Any], end: str, start: str) -> dict[str, Any]:
    return {"kind": "aggregate", "rows": rows, "value": {"minus": [end, start], "unit": "minutes"}, "agg": "avg"}


ROLLING = ["P90D", "P60D", "P30D"]
BY_TEAM = {"group_by": ["team", "alarm_level"], "windows": ROLLING}
SPECS = {
    "mttr": spec(
        _average(
            {"source": "incidents", "where": [_cond("resolved_at", "not_null")], "at": "resolved_at"},
            "resolved_at",
            "detected_at",
        ),
        subject="incident",
        group_by=["severity"],
        windows=["P30D"],
        unit="minutes",
    ),
    "mtta": spec(
        {
            "kind": "interval",
            "start": {
                "rows": {"source": "incidents", "where": [_cond("issue_time", "not_null")], "at": "issue_time"},
            },
            "end": {
                "rows": {"source": "phase_entries", "where": [_cond("phase_number", "eq", 2)], "at": "created_at"},
                "pick": "first",
            },
            "on": [["id", "incident_id"]],
            "unit": "minutes",
            "agg": "avg",
        },
        subject="incident",
        group_by=["severity"],
        windows=["P30D"],
        unit="minutes",
    ),
    "cadence-adherence": spec(
        {
            "kind": "ratio",
            "of": {"source": "update_promises", "at": "due_at"},
            "judge": [_cond("state", "ne", "pending")],
            "hit": [_cond("delivered_at", "lte", {"field": "due_at"})],
        },
        subject="incident",
        group_by=[],
        windows=["P30D"],
        unit="percent",
    ),
    "stakeholder-satisfaction": spec(
        {
            "kind": "aggregate",
            "rows": {
                "source": "survey_responses",
                "where": [_cond("score", "gte", 1), _cond("score", "lte", 5)],
                "at": "submitted_at",
            },
            "value": "score",
            "agg": "avg",
        },
        subject="incident",
        group_by=[],
        windows=["P90D"],
        unit="score",
    ),
    "team-page-to-bridge": spec(
        _average(_pages(_cond("arrived_at", "not_null"), _cond("cancelled_at", "is_null")), "arrived_at", "paged_at"),
        subject="team_page",
        unit="minutes",
        **BY_TEAM,
    ),
    "team-page-to-ack": spec(
        _average(_pages(_cond("acknowledged_at", "not_null")), "acknowledged_at", "paged_at"),
        subject="team_page",
        unit="minutes",
        **BY_TEAM,
    ),
    "engineer-response-time": spec(
        _average(
            _pages(_cond("arrived_at", "not_null"), _cond("arrival_source", "eq", "self"), _cond("user", "not_null")),
            "arrived_at",
            "paged_at",
        ),
        subject="team_page",
        group_by=["user"],
        windows=["P90D"],
        unit="minutes",
    ),
    "team-page-to-bridge-met": spec(
        {
            "kind": "ratio",
            "of": {"source": "team_pages", "at": "paged_at"},
            "judge": [_cond("page_state", "in", ["met", "missed", "no_show"])],
            "hit": [_cond("page_state", "eq", "met")],
        },
        unit="percent",
        **BY_TEAM,
    ),
}


def formula(stated: str | dict[str, Any], **envelope: Any) -> Formula:
    """A seeded definition by its slug, or the definition around a calc."""
    whole = SPECS[stated] if isinstance(stated, str) else spec(stated, **envelope)
    return parse(whole, sources=SOURCES, kpis=KPIS)


def at(text: str) -> datetime:
    """A time of 2 March 2026 ("10:04", "10:00:00.001"), or of another day ("2026-03-03 08:00"), in UTC."""
    return datetime.fromisoformat(text if "-" in text else f"2026-03-02 {text}").replace(tzinfo=UTC)


AS_OF = at("2026-03-15 00:00")


def incident(name: str, /, *, closed: str | None = None, **fields: Any) -> dict[str, Any]:
    """A row of `incidents`; without `resolved_at` or `closed` it is open."""
    ended = fields.get("resolved_at") or (at(closed) if closed else None)
    key = f"incident:{name}"
    about = {"ref": key, "subject_key": key, "incident_id": name, "id": name, "severity": "critical"}
    return {**about, "detected_at": None, "resolved_at": None, "issue_time": None, **_subject(ended), **fields}


def phase(incident_id: str, number: int, when: str) -> dict[str, Any]:
    ref = f"phase_entry:{incident_id}-{number}-{when}"
    subject = {"subject_key": f"incident:{incident_id}", "incident_id": incident_id}
    return {"ref": ref, **subject, "phase_number": number, "created_at": at(when)}


def promise(incident_id: str, due: str, delivered: str | None, *, as_of: datetime = AS_OF) -> dict[str, Any]:
    """A row of `update_promises`, with the state that its loader derives; the incident is closed at noon."""
    due_at, delivered_at = at(due), at(delivered) if delivered else None
    state = "pending" if delivered_at is None and as_of <= due_at else "due"
    key = f"incident:{incident_id}"
    about = {"ref": f"milestone:{incident_id}-{due}", "subject_key": key, "incident_id": incident_id}
    return {**about, "due_at": due_at, "delivered_at": delivered_at, "state": state, **_subject(at("12:00"))}


def page(name: str, paged: str, arrived: str | None = None, acked: str | None = None, **fields: Any) -> dict[str, Any]:
    """A row of `team_pages` whose dispatch is over."""
    key = f"team_page:{name}"
    times = {"paged_at": at(paged), "arrived_at": at(arrived) if arrived else None}
    times["acknowledged_at"] = at(acked) if acked else None
    about = {"ref": key, "subject_key": key, "incident_id": "A", "team": "db-core", "alarm_level": "box3"}
    return {**about, **times, "cancelled_at": None, **_subject(at("12:00")), **fields}


def survey(name: str, score: object, **fields: Any) -> dict[str, Any]:
    about = {"ref": f"survey:{name}", "subject_key": "incident:A", "incident_id": "A", "score": score}
    return {**about, "submitted_at": at("13:00"), **_subject(at("12:00")), **fields}


def event(name: str, when: str = "10:00", /, **fields: Any) -> dict[str, Any]:
    return {"ref": f"event:{name}", "subject_key": f"event:{name}", "name": name, "at": at(when), **fields}


def _subject(closed_at: datetime | None) -> dict[str, Any]:
    return {"subject_open": closed_at is None, "subject_closed_at": closed_at}
