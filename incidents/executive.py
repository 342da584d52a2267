"""What executives read: the list of what goes on, and one page about each incident. Roles, never names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from accounts.models import User
from accounts.roles import Role, allows
from accounts.visibility import Viewer
from incidents import clock, words
from incidents.audience import Audience, audience
from incidents.badges import Badge, due_badge, severity_badge
from incidents.board import promises_kept
from incidents.brief_rules import Excerpt, excerpt
from incidents.lifecycle import ExternalImpact, Kind, Phase, RiskLevel, Severity, Verb
from incidents.models import ExecSummary, Incident, Milestone, Origin, TimelineEvent
from incidents.summaries import Facts, Said, is_behind
from incidents.viewing import readable_fields
from majorops.lib.times import iso
from majorops.lib.visibility import visible

#: How much of each text one sheet of paper has room for.
IMPACT, SUMMARY, DECISION, LATEST = 420, 1200, 360, 320
#: The newest changes of the risk.
RISKS = 3
RISK_SHAPES = {RiskLevel.HIGH: ("bad", "▲"), RiskLevel.MEDIUM: ("warn", "■"), RiskLevel.LOW: ("good", "●")}


@dataclass(frozen=True, slots=True)
class KpiLine:
    """One KPI that executives read, against its target."""

    name: str
    value: str
    window: str
    target: str
    #: met | at_risk | missed | "" where nothing is judged
    state: str
    n: int
    evidence: str
    #: Why there is no value.
    why: str = ""

    @property
    def judged(self) -> Badge:
        return {
            "met": Badge("good", "✓", "met"),
            "at_risk": Badge("warn", "!", "at risk"),
            "missed": Badge("bad", "✕", "missed"),
        }.get(self.state, Badge("", "", ""))


#: What apps above this one tell executives besides: (reader, incident, now) -> KPIs.
kpi_lines: list[Callable[[User, Incident, datetime], Sequence[KpiLine]]] = []


# --- The list ---


def in_order(incidents: Iterable[Incident], now: datetime) -> list[Incident]:
    """An overdue promise first, the longest one before; then by severity, then the oldest."""
    grave = list(Severity)

    def place(incident: Incident) -> tuple[float, int, datetime]:
        promise = clock.next_update(incident.next_update_eta, now)
        late = promise.gap if promise.state == clock.Promise.OVERDUE and promise.gap else timedelta()
        return -late.total_seconds(), grave.index(Severity(incident.severity)), incident.detected_at

    return sorted(incidents, key=place)


def risk_badge(risk: str) -> Badge:
    tone, shape = RISK_SHAPES[RiskLevel(risk)]
    return Badge(tone, shape, f"Risk {RiskLevel(risk).label}")


@dataclass(frozen=True, slots=True)
class Line:
    """One incident of the list."""

    incident: Incident
    severity: Badge
    risk: Badge
    due: Badge
    elapsed: timedelta
    customers: str
    kind: str


def lines(incidents: Iterable[Incident], now: datetime) -> list[Line]:
    return [
        Line(
            incident=incident,
            severity=severity_badge(incident.severity),
            risk=risk_badge(incident.risk_level),
            due=due_badge(incident.next_update_eta, now),
            elapsed=clock.elapsed(incident.detected_at, now, incident.resolved_at),
            customers=customers(incident),
            kind="" if incident.kind == Kind.REAL else Kind(incident.kind).label,
        )
        for incident in in_order(incidents, now)
    ]


def customers(incident: Incident) -> str:
    """`1,240 confirmed · customers feel it: yes`; not known is said."""
    count = (
        "number not known" if incident.customer_count is None else f"{words.number(incident.customer_count)} confirmed"
    )
    return f"{count} · felt by customers: {ExternalImpact(incident.external_impact).label.lower()}"


# --- One incident ---


@dataclass(frozen=True, slots=True)
class Summary:
    """The accepted summary, by which role, and how it came to be."""

    text: Excerpt
    #: Empty where nobody noted it.
    by: str = ""
    at: datetime | None = None
    how: str = ""
    is_behind: bool = False


@dataclass(frozen=True, slots=True)
class RiskChange:
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class ExecBrief:
    """One page, in the order in which somebody decides whether to act."""

    incident: Incident
    now: datetime
    risk: Badge
    severity: Badge
    kind: str
    business_impact: Excerpt
    customer_impact: Excerpt
    customers: str
    elapsed: timedelta
    phase: Phase
    due: Badge
    summary: Summary
    decision: Excerpt
    latest: Milestone | None
    latest_body: Excerpt
    risks: list[RiskChange]
    kept: int
    judged: int
    kpis: list[KpiLine] = field(default_factory=list)

    @property
    def is_overdue(self) -> bool:
        return self.due.tone == "over" and self.incident.is_open

    @property
    def is_cut(self) -> bool:
        """Something is longer than the page has room for."""
        texts = (self.business_impact, self.customer_impact, self.summary.text, self.decision, self.latest_body)
        return any(text.is_cut for text in texts)


def exec_brief(incident: Incident, viewer: User, now: datetime) -> ExecBrief:
    """The page of an incident from `incidents_for`, for somebody who reads what executives read."""
    milestones = list(visible(incident.milestones.order_by("sequence"), viewer))
    newest = milestones[-1] if milestones else None
    kept, judged = promises_kept(incident, milestones, viewer, now)
    return ExecBrief(
        incident=incident,
        now=now,
        risk=risk_badge(incident.risk_level),
        severity=severity_badge(incident.severity),
        kind="" if incident.kind == Kind.REAL else Kind(incident.kind).label,
        business_impact=excerpt(incident.business_impact, characters=IMPACT),
        customer_impact=excerpt(incident.customer_impact_summary, characters=IMPACT),
        customers=customers(incident),
        elapsed=clock.elapsed(incident.detected_at, now, incident.resolved_at),
        phase=Phase(incident.phase),
        due=due_badge(incident.next_update_eta, now),
        summary=summary_of(incident, viewer, newest),
        decision=excerpt(incident.decision_asked, characters=DECISION),
        latest=newest,
        latest_body=excerpt(newest.body if newest else "", characters=LATEST, lines=4),
        risks=_risks(incident, viewer),
        kept=kept,
        judged=judged,
        kpis=[line for told in kpi_lines for line in told(viewer, incident, now)],
    )


def summary_of(incident: Incident, viewer: User, newest: Milestone | None = None) -> Summary:
    """Who stands for the summary that the incident has: the newest row with these very words, for one may be undone."""
    text = excerpt(incident.exec_summary, characters=SUMMARY, lines=12)
    accepted = visible(ExecSummary.objects.filter(incident=incident, is_accepted=True), viewer)
    row = accepted.filter(body=incident.exec_summary).order_by("recorded_at", "id").last() if text else None
    if row is None:
        return Summary(text)
    how = "" if row.origin == Origin.PERSON else row.get_origin_display().lower()
    return Summary(
        text, row.by_role, row.created_at, how, is_behind(row.created_at, newest.created_at if newest else None)
    )


def _risks(incident: Incident, viewer: User) -> list[RiskChange]:
    changes = visible(TimelineEvent.objects.filter(incident=incident, verb=Verb.RISK, undone_by=None), viewer)
    newest = changes.order_by("-occurred_at", "-id")[:RISKS]
    return [RiskChange(event.occurred_at, event.title.removeprefix("Risk: ")) for event in newest]


def exec_context(incident: Incident, viewer: User, now: datetime) -> dict[str, Any]:
    """What the pushed part of the page is made of: nothing in it is one person's own."""
    return {"incident": incident, "brief": exec_brief(incident, viewer, now), "now": now}


# --- What a draft may be made of ---


def executive_audience() -> Audience:
    """An executive who was not called to the incident."""
    return audience(lambda capability: allows(Role.EXECUTIVE, capability), was_called=False)


#: Field of Facts -> the column it shows.
COLUMNS = {
    "title": "title",
    "severity": "severity",
    "status": "status",
    "phase": "phase",
    "detected_at": "detected_at",
    "resolved_at": "resolved_at",
    "customer_impact": "customer_impact_summary",
    "business_impact": "business_impact",
    "customer_count": "customer_count",
    "external_impact": "external_impact",
    "risk_level": "risk_level",
    "decision_asked": "decision_asked",
    "affected_systems": "affected_systems",
    "next_update_eta": "next_update_eta",
}
MILESTONES = 3


def facts_of(incident: Incident, viewer: Viewer, now: datetime) -> Facts:
    """What a draft is made of: what an executive reads, whoever asks for it, and no name of a person."""
    milestones = list(visible(incident.milestones.order_by("sequence"), viewer))
    kept, judged = promises_kept(incident, milestones, viewer, now)
    seen = readable_fields(executive_audience())
    known: dict[str, Any] = {name: getattr(incident, column) for name, column in COLUMNS.items() if column in seen}
    known["affected_systems"] = tuple(incident.affected_systems)
    newest = reversed(milestones[-MILESTONES:])
    said = tuple(Said(each.created_at, each.title, each.body) for each in newest)
    return Facts(**known, now=now, milestones=said, promises_kept=kept, promises_judged=judged)


# --- As text and as data ---


def text_of(brief: ExecBrief) -> str:
    """The page for a mail, in its order."""
    incident, summary = brief.incident, brief.summary
    ends = f"Resolved {_moment(incident.resolved_at)}" if incident.resolved_at else brief.due.text
    kept = f" (promises kept {brief.kept} of {brief.judged})" if brief.judged else ""
    how = f", {summary.how}" if summary.how else ""
    accepted = f"\n(accepted {_moment(summary.at)} by the {summary.by}{how})" if summary.at else ""
    parts = [
        f"MAJOR INCIDENT BRIEF: {incident.title}\nAs of {_moment(brief.now)}",
        f"{brief.risk.text}. {brief.severity.text}.",
        f"Business impact: {brief.business_impact or 'not written yet'}",
        f"Customers: {brief.customer_impact} {brief.customers}".replace(":  ", ": "),
        f"Elapsed: {words.span(brief.elapsed)}, since {_moment(incident.detected_at)}",
        f"Status: {incident.get_status_display()}, phase {brief.phase.value} of 8, {brief.phase.label}",
        f"{ends}{kept}",
        f"Summary: {summary.text or 'none has been accepted yet'}{accepted}",
        f"Decision asked: {brief.decision or 'none'}",
    ]
    if brief.latest:
        when = f"#{brief.latest.sequence}, {_moment(brief.latest.created_at)}"
        parts.append(f"Last milestone ({when}): {brief.latest.title}\n{brief.latest_body}")
    if brief.kpis:
        parts.append("\n".join(["KPIs", *map(_kpi_text, brief.kpis)]))
    return "\n\n".join(parts) + "\n"


def _moment(at: datetime | None) -> str:
    return f"{at.astimezone(UTC).day} {at.astimezone(UTC):%b %Y %H:%M} UTC" if at else words.UNKNOWN


def _kpi_text(line: KpiLine) -> str:
    judged = f", {line.judged.text}" if line.judged.text else ""
    target = f" (target {line.target}{judged})" if line.target else ""
    return f"- {line.name}, {line.window}: {line.why or line.value}{target}, n={line.n}, {line.evidence}"


def as_json(brief: ExecBrief) -> dict[str, Any]:
    """The page for programs, in its order."""
    incident = brief.incident
    return {
        "audience": "executive",
        "id": incident.pk,
        "title": incident.title,
        "asOf": iso(brief.now),
        "riskLevel": RiskLevel(incident.risk_level).label,
        "businessImpact": incident.business_impact,
        "customerImpactSummary": incident.customer_impact_summary,
        "customerCount": incident.customer_count,
        "externalImpact": ExternalImpact(incident.external_impact).label,
        "detectedAt": iso(incident.detected_at),
        "resolvedAt": iso(incident.resolved_at) if incident.resolved_at else None,
        "elapsedMs": brief.elapsed // timedelta(milliseconds=1),
        "severity": Severity(incident.severity).label,
        "status": incident.get_status_display(),
        "phase": incident.phase,
        "phaseLabel": brief.phase.label,
        "nextUpdateEta": iso(incident.next_update_eta) if incident.next_update_eta else None,
        "nextUpdateState": clock.next_update(incident.next_update_eta, brief.now).state,
        "execSummary": {
            "text": incident.exec_summary,
            "acceptedBy": brief.summary.by or None,
            "acceptedAt": iso(brief.summary.at) if brief.summary.at else None,
            "origin": brief.summary.how or None,
        },
        "decisionAsked": incident.decision_asked,
        "promises": {"kept": brief.kept, "judged": brief.judged},
        "riskChanges": [{"at": iso(change.at), "change": change.text} for change in brief.risks],
        "kpis": [_kpi_json(line) for line in brief.kpis],
    }


def _kpi_json(line: KpiLine) -> dict[str, Any]:
    return {
        "name": line.name,
        "value": None if line.why else line.value,
        "window": line.window,
        "target": line.target or None,
        "state": line.state or None,
        "n": line.n,
        "evidence": line.evidence,
        "reason": line.why or None,
    }
