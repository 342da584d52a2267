"""The built-in KPI definitions as data. They are the starting point; administrators curate the rows.

Every formula counts real incidents and those entered after the fact; drills and tests are left out. Dispatch credit
is kept in code, which does the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SCHEMA = "majorops.kpi/1"
COUNTED = {"op": "in", "value": ["real", "backfilled"]}
#: Rolling windows of the incident KPIs; "all" shows a freshly imported history at once.
WINDOWS = ["P30D", "P90D", "all"]
#: Teams are read over 30, 60 and 90 days.
TEAM_WINDOWS = ["P90D", "P60D", "P30D", "all"]


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A definition to create where its slug is missing. Targets are (key, what it is, operator, value)."""

    slug: str
    name: str
    description: str
    formula: str
    units: str
    visibility: str
    owner: str
    spec: dict[str, Any]
    targets: tuple[tuple[str, str, str, float], ...] = ()
    is_personal: bool = False
    stakeholder_visible: bool = False
    review_cadence: str = "quarterly"


def _field(name: str, op: str, value: Any = None) -> dict[str, Any]:
    return {"field": name, "op": op, **({} if value is None else {"value": value})}


def _minutes(end: str, start: str) -> dict[str, Any]:
    return {"minus": [end, start], "unit": "minutes"}


def _spec(
    calc: dict[str, Any], *, subject: str | None, group_by: list[str], windows: list[str], unit: str
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "subject": subject,
        "group_by": group_by,
        "windows": windows,
        "unit": unit,
        "calc": calc,
    }


def _page_spec(end: str, *more: dict[str, Any], group_by: list[str]) -> dict[str, Any]:
    """A mean duration from the page to `end`, one sample a dispatch."""
    where = [{"field": "incident_kind", **COUNTED}, _field(end, "not_null"), *more]
    calc = {
        "kind": "aggregate",
        "rows": {"source": "team_pages", "where": where, "at": "paged_at"},
        "value": _minutes(end, "paged_at"),
        "agg": "avg",
    }
    return _spec(calc, subject="team_page", group_by=group_by, windows=TEAM_WINDOWS, unit="minutes")


MTTR = BuiltIn(
    slug="mttr",
    name="Mean Time to Resolve",
    description="How long a major incident lasts, from the moment we knew to the moment it was over.",
    formula="avg(resolved_at - detected_at)",
    units="minutes",
    visibility="exec",
    owner="Ops Leader",
    stakeholder_visible=True,
    spec=_spec(
        {
            "kind": "aggregate",
            "rows": {
                "source": "incidents",
                "where": [{"field": "kind", **COUNTED}, _field("resolved_at", "not_null")],
                "at": "resolved_at",
            },
            "value": _minutes("resolved_at", "detected_at"),
            "agg": "avg",
        },
        subject="incident",
        group_by=["severity"],
        windows=WINDOWS,
        unit="minutes",
    ),
    targets=(("severity", "critical", "lte", 120), ("severity", "high", "lte", 240)),
)

MTTA = BuiltIn(
    slug="mtta",
    name="Mean Time to Acknowledge",
    description="How long an alert waits before the team is being gathered (phase 1 to 2). "
    "The first entry into Gather counts; a later one does not replace it.",
    formula="avg(phase_entered_at(gather) - alert.issueTime)",
    units="minutes",
    visibility="internal",
    owner="MIM Lead",
    spec=_spec(
        {
            "kind": "interval",
            "start": {
                "rows": {
                    "source": "incidents",
                    "where": [{"field": "kind", **COUNTED}, _field("issue_time", "not_null")],
                    "at": "issue_time",
                }
            },
            "end": {
                "rows": {
                    "source": "phase_entries",
                    "where": [_field("phase_number", "eq", 2)],
                    "at": "created_at",
                },
                "pick": "first",
            },
            "on": [["id", "incident_id"]],
            "unit": "minutes",
            "agg": "avg",
        },
        subject="incident",
        group_by=["severity"],
        windows=WINDOWS,
        unit="minutes",
    ),
    targets=(("severity", "critical", "lte", 10), ("severity", "high", "lte", 20)),
)

CADENCE = BuiltIn(
    slug="cadence-adherence",
    name="Update Cadence Adherence",
    description="The share of promised updates that came in time. Every milestone may promise when the next one "
    "comes; a promise that fell due without one is a miss, so silence counts. The first milestone and promises not "
    "yet due are not judged.",
    formula="on-time milestones / promises that have come due",
    units="percent",
    visibility="exec",
    owner="Comms Lead",
    stakeholder_visible=True,
    spec=_spec(
        {
            "kind": "ratio",
            "of": {"source": "update_promises", "where": [{"field": "incident_kind", **COUNTED}], "at": "due_at"},
            "judge": [_field("state", "ne", "pending")],
            "hit": [{"field": "delivered_at", "op": "lte", "value": {"field": "due_at"}}],
        },
        subject="incident",
        group_by=[],
        windows=WINDOWS,
        unit="percent",
    ),
    targets=(("", "", "gte", 90),),
)

SATISFACTION = BuiltIn(
    slug="stakeholder-satisfaction",
    name="Stakeholder Signal Score",
    description="How well people felt informed, on a scale of 1 to 5, asked after each incident.",
    formula="avg(survey_score)",
    units="score",
    visibility="exec",
    owner="Customer Ops",
    stakeholder_visible=True,
    spec=_spec(
        {
            "kind": "aggregate",
            "rows": {
                "source": "survey_responses",
                "where": [
                    {"field": "incident_kind", **COUNTED},
                    _field("score", "gte", 1),
                    _field("score", "lte", 5),
                ],
                "at": "submitted_at",
            },
            "value": "score",
            "agg": "avg",
        },
        subject="incident",
        group_by=[],
        windows=["P90D", "all"],
        unit="score",
    ),
    targets=(("", "", "gte", 4.5),),
)

AFTER_ACTION = BuiltIn(
    slug="after-action-in-72h",
    name="After Action within 72 hours",
    description="The share of learning reviews that were published by the time they were due, 72 hours after the "
    "incident was resolved unless the installation says otherwise. A review that is not yet due is not judged.",
    formula="reviews published in time / reviews that have come due",
    units="percent",
    visibility="internal",
    owner="MIM Lead",
    spec=_spec(
        {
            "kind": "ratio",
            "of": {"source": "learning_reviews", "where": [{"field": "incident_kind", **COUNTED}], "at": "due_at"},
            "judge": [_field("state", "ne", "pending")],
            "hit": [{"field": "published_at", "op": "lte", "value": {"field": "due_at"}}],
        },
        subject="incident",
        group_by=[],
        windows=WINDOWS,
        unit="percent",
    ),
    targets=(("", "", "gte", 100),),
)

PAGE_TO_BRIDGE = BuiltIn(
    slug="team-page-to-bridge",
    name="Team Bridge Arrival Time",
    description="How long a paged team needs to reach the bridge, one value per dispatch. "
    "Teams that never came are not in the mean, so read it beside the coverage.",
    formula="avg(arrived_at - paged_at) per team",
    units="minutes",
    visibility="internal",
    owner="MIM Lead",
    spec=_page_spec("arrived_at", _field("cancelled_at", "is_null"), group_by=["team", "alarm_level"]),
    targets=(
        ("alarm_level", "box3", "lte", 5),
        ("alarm_level", "box2", "lte", 10),
        ("alarm_level", "box1", "lte", 20),
    ),
)

PAGE_TO_ACK = BuiltIn(
    slug="team-page-to-ack",
    name="Team Acknowledgment Time",
    description="How long a paged team needs to say it is coming. Computed only where it said so; "
    "the coverage tells how often that was.",
    formula="avg(acknowledged_at - paged_at) per team",
    units="minutes",
    visibility="internal",
    owner="MIM Lead",
    spec=_page_spec("acknowledged_at", group_by=["team", "alarm_level"]),
    targets=(("alarm_level", "box3", "lte", 2), ("alarm_level", "box2", "lte", 5)),
)

ENGINEER_RESPONSE = BuiltIn(
    slug="engineer-response-time",
    name="Engineer Response Time",
    description="From the page to the engineer's own \"I'm here\". An input to rotations, not a judgement of people: "
    "seen by the person, never ranked, nothing shown below five answers.",
    formula="avg(arrived_at - paged_at) per user",
    units="minutes",
    visibility="internal",
    owner="MIM Lead",
    is_personal=True,
    spec=_page_spec(
        "arrived_at", _field("arrival_source", "eq", "self"), _field("user", "not_null"), group_by=["user"]
    ),
)

BRIDGE_MET = BuiltIn(
    slug="team-page-to-bridge-met",
    name="Team Bridge Arrival Within Limit",
    description="The share of dispatches that reach the bridge within the limit of their alarm level: 5 minutes at "
    "Box 3, 10 at Box 2, 20 at Box 1. A team that never came counts as a miss, so read this beside the mean arrival "
    "time, which leaves it out.",
    formula="arrivals within the limit / dispatches that can be judged",
    units="percent",
    visibility="internal",
    owner="MIM Lead",
    spec=_spec(
        {
            "kind": "ratio",
            "of": {
                "source": "team_pages",
                "where": [{"field": "incident_kind", **COUNTED}, _field("alarm_level", "not_null")],
                "at": "paged_at",
            },
            "judge": [_field("outcome", "in", ["met", "missed", "no_show"])],
            "hit": [_field("outcome", "eq", "met")],
        },
        subject="team_page",
        group_by=["team", "alarm_level"],
        windows=TEAM_WINDOWS,
        unit="percent",
    ),
)

DISPATCH_CREDIT = BuiltIn(
    slug="dispatch-credit",
    name="Dispatch Credit",
    description="How reliably a team comes when it is paged, as a class from 1 (best) to 10, per alarm level and over "
    "30, 60 and 90 days. Below five judged dispatches a team has no class yet, never the worst one. Teams have a "
    "class; single people never do. Drills and tests are left out.",
    formula="class of the points for arrivals in time, acknowledgements in time and the slowest tenth",
    units="class",
    visibility="internal",
    owner="MIM Lead",
    spec=_spec(
        {
            "kind": "builtin",
            "name": "dispatch_credit",
            "version": 1,
            "params": {"min_rated": 10, "min_provisional": 5},
        },
        subject=None,
        group_by=["team", "alarm_level"],
        windows=["P90D", "P60D", "P30D"],
        unit="class",
    ),
)

ALERT_ACK = BuiltIn(
    slug="alert-acknowledgement-time",
    name="Alert Acknowledgement Time",
    description="How long an alert on a KPI fires until somebody acknowledges it, on average. It begins when the alert "
    "was noticed. One that nobody has acknowledged is not in it: the page of the alerts lists it.",
    formula="avg(acknowledged_at - fired_at)",
    units="minutes",
    visibility="internal",
    owner="MIM Lead",
    spec=_spec(
        {
            "kind": "aggregate",
            "rows": {
                "source": "kpi_alerts",
                "where": [{"field": "acknowledged_at", "op": "not_null"}],
                "at": "acknowledged_at",
            },
            "value": {"minus": ["acknowledged_at", "fired_at"], "unit": "minutes"},
            "agg": "avg",
        },
        subject=None,
        group_by=["severity"],
        windows=["P30D", "P90D"],
        unit="minutes",
    ),
)

BUILT_IN = (
    MTTR,
    MTTA,
    CADENCE,
    SATISFACTION,
    AFTER_ACTION,
    PAGE_TO_BRIDGE,
    BRIDGE_MET,
    PAGE_TO_ACK,
    ENGINEER_RESPONSE,
    DISPATCH_CREDIT,
    ALERT_ACK,
)
