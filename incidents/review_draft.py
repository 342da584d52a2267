"""RULES: what a learning review begins with, drawn from the record. Plain text, nothing that is not in the record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from incidents import words
from incidents.review import Prefill

#: A timeline of a long night would bury what mattered.
LINES = 40


@dataclass(frozen=True, slots=True)
class Line:
    """Something that happened, and when."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of an incident that is over."""

    title: str
    severity: str
    detected_at: datetime
    resolved_at: datetime
    issue_time: datetime | None
    customer_impact: str
    customers: int | None
    systems: Sequence[str]
    closing_words: str
    phases: Sequence[Line]
    log: Sequence[Line]
    milestones: Sequence[Line]
    promises_kept: int
    promises_judged: int


def drafted(record: Record) -> dict[str, str]:
    """The text for each way of prefilling a section."""
    return {
        Prefill.SUMMARY: _summary(record),
        Prefill.TIMELINE: _timeline(record),
        Prefill.COMMUNICATION: _communication(record),
    }


def _summary(record: Record) -> str:
    lasted = words.span(record.resolved_at - record.detected_at)
    on = f" on {', '.join(record.systems)}" if record.systems else ""
    sentences = [f"{record.title}: a {record.severity.lower()} incident{on} that lasted {lasted}."]
    if record.issue_time is not None and record.issue_time <= record.detected_at:
        sentences.append(_noticed(record.detected_at - record.issue_time))
    if record.customer_impact:
        sentences.append(record.customer_impact)
    if record.customers is not None:
        sentences.append(f"Customers affected: {words.number(record.customers)}.")
    return "\n\n".join(filter(None, [" ".join(sentences), record.closing_words]))


def _noticed(after: timedelta) -> str:
    return f"It was noticed {words.span(after)} after the alert." if after else "It was noticed with the alert."


def _timeline(record: Record) -> str:
    turns = sorted([*record.phases, *record.log], key=lambda line: line.at)
    kept = turns if len(turns) <= LINES else sorted([*record.phases, *_first(record.log)], key=lambda line: line.at)
    left_out = len(turns) - len(kept)
    rest = [f"- ({words.counted(left_out, 'more line')} in the log)"] if left_out else []
    return "\n".join([*_listed(kept, record.detected_at), *rest])


def _first(log: Sequence[Line]) -> Sequence[Line]:
    return log[:LINES]


def _communication(record: Record) -> str:
    told = _listed(record.milestones, record.detected_at)
    judged = f"Promised updates that came in time: {record.promises_kept} of {record.promises_judged}."
    return "\n".join([*told, *([judged] if record.promises_judged else [])])


def _listed(lines: Iterable[Line], began: datetime) -> list[str]:
    """`- 14:02 UTC  Database paged`, with the day where it is not the first."""
    return [f"- {words.hour(line.at, began)}  {line.text}" for line in lines]
