"""The readiness of teams as programs read it: through the API and the command line, and as files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from accounts.visibility import Viewer
from kpis.credit_settings import LEVELS
from kpis.credit_words import outlook_in_words
from kpis.dispatch_credit import Credit
from kpis.readiness import Board, Record, Sheet, answers_of
from kpis.readiness_rules import Case, Figures, Moved
from majorops.lib.times import iso

#: As many dispatches as an observation names.
MOST = 200


def documented(sheet: Sheet, viewer: Viewer) -> dict[str, Any]:
    """One team in one window: each level it has, or the one that was asked for."""
    record, setting = sheet.record, sheet.setting
    levels = [level for level in LEVELS if level in record.figures and sheet.asked.level in ("", level)]
    return {
        "team": record.team.slug,
        "name": record.team.name,
        "ratedBox": record.team.rated_box,
        "asOf": iso(sheet.asked.as_of),
        "window": f"{sheet.asked.days}d",
        "rule": {"version": setting.version, "since": iso(setting.since), "reason": setting.reason},
        "overall": _credit(record.overall),
        "trend": _trend(record.moved),
        "levels": [_level(record.figures[level], sheet) for level in levels],
        "withheld": sorted(record.withheld),
        **(_dispatches(sheet, viewer) if sheet.is_full else {"dispatches": None, "dispatchCount": None}),
    }


def beside(record: Record) -> dict[str, Any]:
    """One team in a line beside the others."""
    return {
        "team": record.team.slug,
        "name": record.team.name,
        "class": record.overall.rating,
        "points": record.overall.points,
        "classes": {level: one.credit.rating for level, one in record.figures.items()},
        "n": record.n,
        "withinLimit": record.rate,
        "medianMinutes": record.median,
        "trend": str(record.moved.trend),
    }


def _credit(found: Credit) -> dict[str, Any]:
    return {"class": found.rating, "points": found.points, "status": str(found.status)}


def _trend(moved: Moved) -> dict[str, Any]:
    spans = (("recent", moved.recent, moved.recent_interval), ("before", moved.before, moved.before_interval))
    return {
        "trend": str(moved.trend),
        **{
            name: {"n": one.n, "met": one.met, "interval": list(reach) if reach else None} for name, one, reach in spans
        },
    }


def _level(found: Figures, sheet: Sheet) -> dict[str, Any]:
    limit = sheet.setting.settings.levels[found.level]
    p90 = found.counts.p90
    return {
        "box": found.level,
        **_credit(found.credit),
        "limitMinutes": limit.arrival,
        "ackLimitMinutes": limit.ack,
        "n": found.n,
        "outcomes": {str(outcome): count for outcome, count in sorted(found.outcomes.items())},
        "withinLimit": found.rate,
        "meanMinutes": found.mean,
        "medianMinutes": found.median,
        "p90Minutes": p90 if math.isfinite(p90) else None,
        "acknowledged": {"n": found.counts.ack_n, "met": found.counts.ack_met},
        "parts": [
            {"part": part.name, "points": round(part.points, 2), "of": round(part.most, 2), "share": part.share}
            for part in found.parts
        ],
        "rolling": [_rolling(record.figures[found.level]) for record in sheet.windows if found.level in record.figures],
        "coverage": found.coverage,
        "ackCoverage": found.ack_coverage,
        "confidence": found.confidence,
        "evidence": str(found.evidence.label),
        "reasons": [reason.words for reason in found.evidence.reasons],
        "outlook": _outlook(found.level, sheet) if sheet.is_full else None,
    }


def _rolling(found: Figures) -> dict[str, Any]:
    return {
        "days": found.days,
        "meanMinutes": found.mean,
        "withinLimit": found.rate,
        "n": found.n,
        **_credit(found.credit),
    }


def _outlook(level: str, sheet: Sheet) -> dict[str, Any]:
    """What would move the class; `count` is null where it is out of reach."""
    found = sheet.outlook(level)
    steps = {"onTime": found.on_time, "acknowledged": found.acknowledged, "late": found.late, "noShow": found.no_show}
    return {
        "nextClass": found.goal,
        **{
            name: None if step is None else {"count": step.count, "class": step.rating, "points": step.points}
            for name, step in steps.items()
        },
        "words": outlook_in_words(found, sheet.setting.settings.levels[level]),
    }


def _dispatches(sheet: Sheet, viewer: Viewer) -> dict[str, Any]:
    """The newest behind these figures, and those left out with the reason. Incidents only where they may be read."""
    cases = sheet.dispatches(sheet.asked.level)
    return {"dispatches": _told(cases[:MOST], viewer), "dispatchCount": len(cases)}


def _told(cases: Sequence[Case], viewer: Viewer) -> list[dict[str, Any]]:
    rows = answers_of(viewer, cases)
    return [
        {
            "id": case.id,
            "incident": rows[case.id].incident_id if case.id in rows else None,
            "box": case.level or None,
            "pagedAt": iso(case.paged_at),
            "outcome": str(case.outcome) if case.outcome else None,
            "reason": case.why or None,
            "arrivalMinutes": case.arrival,
            "ackMinutes": case.ack,
            "confidence": case.confidence,
        }
        for case in cases
    ]


# --- Files ---

TEAM_COLUMNS = (
    "team", "name", "box", "class", "points", "status", "n", "met", "withinLimit", "meanMinutes", "medianMinutes",
    "coverage", "confidence", "evidence", "trend", "asOf", "days", "rule",
)  # fmt: skip
DISPATCH_COLUMNS = (
    "id", "incident", "box", "pagedAt", "outcome", "reason", "arrivalMinutes", "ackMinutes", "confidence",
)  # fmt: skip


def team_lines(board: Board) -> list[dict[str, Any]]:
    """A line for each team and level that is shown."""
    return [
        {
            "team": record.team.slug,
            "name": record.team.name,
            "box": level,
            "class": found.credit.rating,
            "points": found.credit.points,
            "status": str(found.credit.status),
            "n": found.n,
            "met": found.counts.met,
            "withinLimit": found.rate,
            "meanMinutes": found.mean,
            "medianMinutes": found.median,
            "coverage": found.coverage,
            "confidence": found.confidence,
            "evidence": found.evidence.label.value,
            "trend": str(record.moved.trend),
            "asOf": iso(board.asked.as_of),
            "days": board.asked.days,
            "rule": board.setting.version,
        }
        for record in board.records
        for level, found in record.figures.items()
    ]


def dispatch_lines(sheet: Sheet, viewer: Viewer) -> list[dict[str, Any]]:
    """Every dispatch in the window; none for who sees the class alone."""
    return _told(sheet.dispatches(sheet.asked.level), viewer) if sheet.is_full else []
