"""A learning review as Markdown, and the figures that stand beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from accounts.principals import Principal
from incidents import words
from incidents.models import FollowUp, Incident, LearningReview
from majorops.lib.visibility import visible


@dataclass(frozen=True, slots=True)
class ReviewFigure:
    """A KPI of the incident, as its reader sees it."""

    name: str
    value: str


#: What apps above this one measure of an incident: (incident, reader) -> figures.
sources: list[Callable[[Incident, Principal], list[ReviewFigure]]] = []


def figures_of(incident: Incident, reader: Principal) -> list[ReviewFigure]:
    return [figure for source in sources for figure in source(incident, reader)]


def as_text(review: LearningReview, reader: Principal, now: datetime) -> str:
    """The whole text, as far as its reader reads it."""
    tasks = list(visible(review.follow_ups.select_related("owner"), reader))
    return "".join(markdown(review, tasks, figures_of(review.incident, reader), now))


def markdown(
    review: LearningReview, tasks: Iterable[FollowUp], figures: Iterable[ReviewFigure], now: datetime
) -> Iterator[str]:
    """Line by line, for a wiki or a mail."""
    incident = review.incident
    yield f"# Learning review: {_plain(incident.title)}\n\n"
    yield f"- Severity: {incident.get_severity_display()}\n- Detected: {_at(incident.detected_at)}\n"
    yield f"- Resolved: {_at(incident.resolved_at)}\n"
    yield f"- State: {review.get_state_display()}\n- Owner: {review.owner or 'nobody'}\n- Due: {_at(review.due_at)}\n"
    if factors := ", ".join(_plain(each.name) for each in review.factors.all()):
        yield f"- Contributing factors: {factors}\n"
    for section in review.sections:
        yield f"\n## {_plain(str(section['title']))}\n\n{str(section['text']).strip() or '(not written)'}\n"
    if review.public_text:
        yield f"\n## For the public status page\n\n{review.public_text}\n"
    if shown := list(figures):
        yield "\n## Figures\n\n| KPI | Value |\n|---|---|\n"
        yield from (f"| {_cell(each.name)} | {_cell(each.value)} |\n" for each in shown)
    if listed := list(tasks):
        yield "\n## Follow-ups\n\n| What | Kind | Priority | Owner | Due | State |\n|---|---|---|---|---|---|\n"
        yield from (_row(each) for each in listed)
    yield f"\nAs of {_at(now)}.\n"


def _row(task: FollowUp) -> str:
    cells = [
        task.title,
        task.type,
        task.priority,
        str(task.owner or "nobody"),
        str(task.due_on or "none"),
        task.get_state_display(),
    ]
    return f"| {' | '.join(_cell(each) for each in cells)} |\n"


def _at(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else words.UNKNOWN


def _plain(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")
