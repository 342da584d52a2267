"""The readiness of a team as programs read it, through the API and the command line."""

from __future__ import annotations

import math
from typing import Any

from accounts.visibility import Viewer
from kpis.credit_settings import LEVELS
from kpis.dispatch_credit import Credit
from kpis.readiness import Sheet, answers_of
from kpis.readiness_rules import Case, Figures, Moved, answers, outlook, within
from kpis.team_reading import dispatches_of, outlook_in_words
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
    settings = sheet.setting.settings
    cases = [case for case in within(sheet.cases, sheet.asked.days) if case.level == level and case.is_judged]
    found = outlook(*answers(cases), settings.levels[level], settings)
    steps = {"onTime": found.on_time, "acknowledged": found.acknowledged, "late": found.late, "noShow": found.no_show}
    return {
        "nextClass": found.goal,
        **{
            name: None if step is None else {"count": step.count, "class": step.rating, "points": step.points}
            for name, step in steps.items()
        },
        "words": outlook_in_words(found, settings.levels[level]),
    }


def _dispatches(sheet: Sheet, viewer: Viewer) -> dict[str, Any]:
    """The newest behind these figures, and those left out with the reason. Incidents only where they may be read."""
    asked = [sheet.asked.level] if sheet.asked.level else list(LEVELS)
    found = {case.id: case for level in asked for case in dispatches_of(sheet, level)}
    cases = sorted(found.values(), key=lambda case: (case.paged_at, case.id), reverse=True)
    rows = answers_of(viewer, cases[:MOST])
    told = [_dispatch(case, rows[case.id].incident_id if case.id in rows else None) for case in cases[:MOST]]
    return {"dispatches": told, "dispatchCount": len(cases)}


def _dispatch(case: Case, incident: str | None) -> dict[str, Any]:
    return {
        "id": case.id,
        "incident": incident,
        "box": case.level or None,
        "pagedAt": iso(case.paged_at),
        "outcome": str(case.outcome) if case.outcome else None,
        "reason": case.why or None,
        "arrivalMinutes": case.arrival,
        "ackMinutes": case.ack,
        "confidence": case.confidence,
    }
