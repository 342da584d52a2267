"""RULES: the ten documented alert rules. Each is active once something measures its KPI, and proposed until then."""

from __future__ import annotations

from dataclasses import dataclass

_HOUR, _DAY = 60, 24 * 60


@dataclass(frozen=True, slots=True)
class Standard:
    slug: str
    name: str
    description: str
    kpi_slug: str
    operator: str
    value: float
    severity: str
    respond_minutes: int | None
    #: Who is told, in order: the first at once, each next one when the time to respond is over.
    contacts: tuple[str, ...]
    hold_minutes: int = 0

    @property
    def columns(self) -> dict[str, object]:
        names = ("slug", "name", "description", "kpi_slug", "operator", "value", "severity", "respond_minutes")
        return {name: getattr(self, name) for name in (*names, "hold_minutes")}

    @property
    def ladder(self) -> list[tuple[int, str]]:
        return [(place * (self.respond_minutes or 0), contact) for place, contact in enumerate(self.contacts)]


STANDARD = (
    Standard(
        "health-score-low", "The health score has dropped", "The weighted health score is below 70.",
        "health-score", "lt", 70, "critical", 15, ("Tech Lead", "CTO"),
    ),
    Standard(
        "revenue-at-risk", "Revenue pipeline at risk", "The pipeline has lost more than 1 million USD in seven days.",
        "revenue-pipeline-growth-7d", "lt", -1_000_000, "critical", 30, ("VP Sales", "CEO"),
    ),
    Standard(
        "compliance-violation", "A compliance violation", "Any violation of the day counts.",
        "compliance-violations-day", "gt", 0, "critical", 5, ("Legal", "All executives"),
    ),
    Standard(
        "critical-vulnerability", "A critical vulnerability is open", "Any open finding of critical severity counts.",
        "critical-vulnerabilities", "gt", 0, "critical", 15, ("Security Lead", "CTO"),
    ),
    Standard(
        "velocity-critical", "Team velocity is critical", "The teams together finish fewer than 40 points a week.",
        "team-velocity-total", "lt", 40, "critical", _DAY, ("Tech Lead", "VP Engineering"),
    ),
    Standard(
        "api-latency-high", "The API is slow", "The 99th percentile of API latency is above 100 ms.",
        "platform-latency-p99", "gt", 100, "warning", 4 * _HOUR, ("Team Lead",),
    ),
    Standard(
        "test-coverage-low", "Test coverage is low", "Coverage is below 80 %.",
        "test-coverage-overall", "lt", 80, "warning", 4 * _HOUR, ("Team Lead",),
    ),
    Standard(
        "build-failures", "Builds fail too often", "More than every tenth build fails.",
        "build-failure-rate", "gt", 10, "warning", 2 * _HOUR, ("Team Lead",),
    ),
    Standard(
        "documentation-low", "Documentation coverage is low", "Fewer than 60 % of the APIs are documented.",
        "documentation-coverage", "lt", 60, "warning", 8 * _HOUR, ("Team Lead",),
    ),
    Standard(
        "weekly-targets-missed", "The weekly target is missed",
        "The teams together have been below 60 points a week for seven days.",
        "team-velocity-total", "lt", 60, "warning", None, (), hold_minutes=7 * _DAY,
    ),
)  # fmt: skip
