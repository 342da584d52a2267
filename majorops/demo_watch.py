"""What watches over the demo: an alert source with two alerts that wait, three rules about KPIs, and two reports."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from accounts.models import User
from incidents.alerts import inbox, setup
from incidents.alerts.inbox import Delivery
from incidents.alerts.kinds import Policy, SourceKind
from kpis.actions import Editor
from kpis.alerts import actions
from kpis.models import AlertRule, AlertStep
from kpis.reports import making
from kpis.reports.kinds import Kind
from majorops.lib.times import iso

#: Minutes ago, severity, and what it says.
WAITING: tuple[tuple[int, str, dict[str, str], dict[str, str]], ...] = (
    (
        14,
        "critical",
        {"alertname": "HighErrorRate", "service": "search", "instance": "search-3"},
        {
            "summary": "Search answers every eighth request with an error",
            "description": "5xx share of search is 12.4 % over 10 minutes; the limit is 2 %.",
        },
    ),
    (
        6,
        "warning",
        {"alertname": "CertificateExpiresSoon", "service": "edge", "instance": "edge-porto"},
        {
            "summary": "Certificate of edge-porto expires in 6 days",
            "description": "The renewal has failed three times. Its last answer: DNS challenge not found.",
        },
    ),
)
#: What a rule begins with, and who looks after it.
RULES: tuple[tuple[dict[str, Any], str], ...] = (
    (
        {
            "slug": "customers-wait",
            "name": "Customers wait too long for an answer",
            "description": "A conversation broke its promise and is still open. Answer it, or tell the customer when.",
            "kpi_slug": "sla-breaches-open",
            "operator": "gt",
            "value": 0,
            "severity": "critical",
            "respond_minutes": 60,
        },
        "Support lead",
    ),
    (
        {
            "slug": "changes-slow",
            "name": "Changes reach production slowly",
            "description": "Half of all commits take longer than half an hour to production. Look at the build queue.",
            "kpi_slug": "cycle-time",
            "operator": "gt",
            "value": 30,
            "severity": "warning",
            "respond_minutes": 240,
        },
        "Tech Lead",
    ),
    (
        {
            "slug": "core-down",
            "name": "Core services are down too often",
            "description": "Of the last month's health checks, too many failed. Ship nothing but repairs.",
            "kpi_slug": "uptime-core",
            "operator": "lt",
            "value": 98.5,
            "severity": "critical",
            "respond_minutes": 30,
        },
        "Tech Lead",
    ),
)
WATCHED = tuple(str(rule["kpi_slug"]) for rule, _ in RULES)
#: So many midnights they have watched.
NIGHTS = 5
ACKNOWLEDGED = "customers-wait"


def alerts_wait(cast: Mapping[str, User], now: datetime) -> None:
    """Prometheus said two things that belong to no open incident."""
    made = setup.create(
        slug="prometheus", name="Prometheus", kind=SourceKind.ALERTMANAGER, by=cast["admin"],
        now=now - timedelta(days=60), policy=Policy.CANDIDATE,
    )  # fmt: skip
    for minutes, severity, labels, notes in WAITING:
        at = now - timedelta(minutes=minutes)
        inbox.receive(made.source, Delivery(_body(at, {**labels, "severity": severity}, notes)), now=at)


def _body(at: datetime, labels: Mapping[str, str], notes: Mapping[str, str]) -> bytes:
    """As Alertmanager sends it."""
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": notes,
        "startsAt": iso(at - timedelta(minutes=10)),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://prometheus.example.com/graph",
        "fingerprint": hashlib.sha256(labels["alertname"].encode()).hexdigest()[:16],
    }
    group = {"version": "4", "receiver": "majorops", "status": "firing", "alerts": [alert], "truncatedAlerts": 0}
    return json.dumps(group).encode()


def rules(cast: Mapping[str, User], now: datetime) -> None:
    """They have watched the last nights; somebody looks after what the first one found."""
    began = now - timedelta(days=NIGHTS)
    for columns, contact in RULES:
        rule = AlertRule(**columns)
        actions.save(rule, Editor(cast["admin"], began))
        AlertStep.objects.create(rule=rule, after_minutes=0, contact=contact)
    actions.check(now - timedelta(hours=2))
    rule = AlertRule.objects.get(pk=ACKNOWLEDGED)
    note = "Both shops were called; the answers go out today."
    actions.acknowledge(rule, cast["mim"], now=now - timedelta(minutes=95), note=note)
    actions.check(now)


def reports(cast: Mapping[str, User], now: datetime) -> None:
    making.make(Kind.WEEKLY_EXECUTIVE, now=now)
    making.make(Kind.DAILY, now=now, by=cast["mim"])
