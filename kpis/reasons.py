"""An explanation (kpis/explain.py) in the words and shapes of the page, the API and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from incidents import words
from kpis.explain import Explanation, PartTold, Rows, RowTold
from kpis.models import KpiObservation
from kpis.reading import group_in_words, window_in_words, with_unit
from majorops.lib.times import iso

CLASS = "class"


@dataclass(frozen=True, slots=True)
class Fact:
    """`detected at` and a time, or `severity` and a word."""

    name: str
    at: datetime | None
    text: str


@dataclass(frozen=True, slots=True)
class RowShown:
    label: str
    url: str
    facts: tuple[Fact, ...]
    adds: str
    reason: str
    since: str


@dataclass(frozen=True, slots=True)
class Sorted:
    """The rows of one sort, and a sentence for those that are not named."""

    rows: tuple[RowShown, ...]
    total: int
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartShown:
    slug: str
    shift: str
    value: str
    weight: str
    scaled: str
    adds: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One observation, explained."""

    value: str
    about: str
    today: str
    sum: str
    used: Sorted
    left_out: Sorted
    counts: tuple[tuple[int, str], ...]
    parts: tuple[PartShown, ...]


def shown(explanation: Explanation) -> Shown:
    observation = explanation.observation
    units = observation.units
    return Shown(
        value=with_unit(observation.value, units),
        about=about(observation),
        today=with_unit(explanation.today.value, units) if explanation.today else "",
        sum=_sum(explanation),
        used=_sorted(explanation.used, units),
        left_out=_sorted(explanation.left_out, units),
        counts=tuple((count, reason) for reason, count in explanation.counts),
        parts=tuple(_part(part, units) for part in explanation.parts),
    )


def about(observation: KpiObservation) -> str:
    """`Critical · last 30 days`, `Database · Box 3 · one dispatch`."""
    return about_in_words(observation.subject_type, observation.dims, observation.window)


def about_in_words(subject: str, dims: Mapping[str, Any], window: str) -> str:
    what = f"one {subject.replace('_', ' ')}".replace("team page", "dispatch")
    return f"{group_in_words(dims)} · {window_in_words(window) if window else what}"


def _sorted(rows: Rows, units: str) -> Sorted:
    others = []
    if rows.hidden:
        others.append(others_in_words(rows.hidden, "not for you to read", rows.hidden_adds, units))
    if rows.further:
        others.append(others_in_words(rows.further, "not listed here", rows.further_adds, units))
    return Sorted(tuple(_row(row, units) for row in rows.named), rows.total, tuple(others))


def others_in_words(count: int, why: str, adds: float, units: str) -> str:
    told = f"{words.counted(count, 'more row')} {'is' if count == 1 else 'are'} {why}"
    return f"{told}; together {adds_in_words(adds, units)}." if adds else f"{told}."


def _row(row: RowTold, units: str) -> RowShown:
    return RowShown(
        label=row.label,
        url=row.url,
        facts=tuple(_fact(name, value) for name, value in row.facts),
        adds=adds_in_words(row.adds, units) if row.adds is not None else "",
        reason=row.reason,
        since=row.since,
    )


def _fact(name: str, value: object) -> Fact:
    at = value if isinstance(value, datetime) else None
    said = str(value).lower() if isinstance(value, bool) else str(value)
    return Fact(name.replace("_", " "), at, "" if at else said.replace("_", " "))


def adds_in_words(adds: float, units: str) -> str:
    return f"{words.number(adds)} in time" if units == CLASS else with_unit(adds, units)


def _part(part: PartTold, units: str) -> PartShown:
    return PartShown(
        slug=part.slug,
        shift=f"{part.shift_days} days before" if part.shift_days else "",
        value=words.number(part.value),
        weight=words.number(100 * part.weight) + " %" if part.weight is not None else "",
        scaled=words.number(part.scaled) if part.scaled is not None else "",
        adds=with_unit(part.adds, units) if part.adds is not None else "",
    )


def total_of(explanation: Explanation) -> float | None:
    """What all rows or parts add up to; None where there is nothing to add."""
    if explanation.parts:
        adds = [part.adds for part in explanation.parts if part.adds is not None]
        return sum(adds) if adds and all(part.is_known for part in explanation.parts) else None
    if explanation.today is None or explanation.today.value is None:
        return None
    used = explanation.used
    return sum(row.adds or 0.0 for row in used.named) + used.hidden_adds + used.further_adds


def _sum(explanation: Explanation) -> str:
    used = explanation.used.total
    units = explanation.observation.units
    return sum_in_words(total_of(explanation), units, rows=used, of_parts=bool(explanation.parts))


def sum_in_words(total: float | None, units: str, *, rows: int, of_parts: bool) -> str:
    """`7 rows add up to 105 min.`"""
    if total is None:
        return ""
    if of_parts:
        return f"The parts add up to {with_unit(total, units)}."
    count = words.counted(rows, "row")
    if units == CLASS:
        return f"{words.number(total)} of {count} came in time; the class is read from that."
    return f"{count} {'adds' if rows == 1 else 'add'} up to {with_unit(total, units)}."


# --- For programs ---


def documented(explanation: Explanation) -> dict[str, Any]:
    """The explanation as the API and `--json` give it. Unknown is null, never 0."""
    observation, today = explanation.observation, explanation.today
    return {
        "kpi": observation.kpi_id,
        "observation": observation.pk,
        "subject": observation.subject_key,
        "window": observation.window or None,
        "dims": observation.dims,
        "timestamp": iso(observation.timestamp),
        "asOf": iso(explanation.as_of),
        "units": observation.units,
        "definitionVersion": explanation.version,
        "isSuperseded": explanation.is_superseded,
        "creditSetting": explanation.credit_version,
        "formula": explanation.words,
        "how": explanation.how,
        "value": observation.value,
        "reason": observation.reason or None,
        "n": observation.n,
        "evidence": observation.evidence,
        "evidenceReasons": list(observation.evidence_reasons),
        "isClaim": explanation.is_claim,
        "valueToday": today.value if today else None,
        "total": total_of(explanation),
        "problem": explanation.problem or None,
        "changes": list(explanation.changes),
        "used": _rows(explanation.used),
        "leftOut": {**_rows(explanation.left_out), "reasons": dict(explanation.counts)},
        "parts": [_documented_part(part) for part in explanation.parts],
    }


def _rows(rows: Rows) -> dict[str, Any]:
    return {
        "total": rows.total,
        "notReadable": rows.hidden,
        "notReadableAdds": rows.hidden_adds,
        "notListed": rows.further,
        "notListedAdds": rows.further_adds,
        "rows": [_documented_row(row) for row in rows.named],
    }


def _documented_row(row: RowTold) -> dict[str, Any]:
    return {
        "ref": row.ref,
        "label": row.label,
        "incident": row.incident_id or None,
        "url": row.url or None,
        "place": row.place.value,
        "reason": row.reason or None,
        "facts": _facts(row.facts),
        "adds": row.adds,
        "since": row.since or None,
    }


def _facts(facts: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    return {name: iso(value) if isinstance(value, datetime) else value for name, value in facts}


def _documented_part(part: PartTold) -> dict[str, Any]:
    return {
        "kpi": part.slug or None,
        "shiftDays": part.shift_days,
        "value": part.value,
        "n": part.n,
        "weight": part.weight,
        "scaled": part.scaled,
        "adds": part.adds,
    }
