"""RULES: how a learning review goes from draft to published, what it needs for each step, and when it is due. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import TextChoices

from incidents.errors import ReasonMissing, ReviewCannotMove, ReviewIncomplete, ReviewIsPublished

#: A review that is due within this time shows as due soon.
DUE_SOON = timedelta(hours=24)


class ReviewState(TextChoices):
    DRAFT = "draft", "Draft"
    IN_REVIEW = "in_review", "In review"
    PUBLISHED = "published", "Published"


#: Where each state leads. Going back is how a published review is opened again.
MOVES: dict[ReviewState, tuple[ReviewState, ...]] = {
    ReviewState.DRAFT: (ReviewState.IN_REVIEW,),
    ReviewState.IN_REVIEW: (ReviewState.PUBLISHED, ReviewState.DRAFT),
    ReviewState.PUBLISHED: (ReviewState.IN_REVIEW,),
}


class Prefill(TextChoices):
    """What a section begins with, drawn from the record of the incident."""

    NOTHING = "", "Nothing"
    SUMMARY = "summary", "What happened, in short"
    TIMELINE = "timeline", "Phases, and what was written in the log"
    COMMUNICATION = "communication", "Milestones, and promises kept"


@dataclass(frozen=True, slots=True)
class Outline:
    """One section of a review that begins now."""

    key: str
    title: str
    help: str
    prefill: str = ""
    is_required: bool = False


#: What administrators start from; they curate the rows.
OUTLINES = (
    Outline(
        "summary",
        "What happened",
        "Two or three sentences that somebody who was not there understands. Name systems and events, not people at "
        "fault.",
        Prefill.SUMMARY,
        is_required=True,
    ),
    Outline(
        "timeline",
        "Timeline",
        "Drawn from the log. Shorten it to the turns that mattered, and say what people knew at each of them.",
        Prefill.TIMELINE,
        is_required=True,
    ),
    Outline(
        "causes",
        "How it came about",
        "Several things had to come together. Ask how each made sense at the time, not who should have known better.",
        is_required=True,
    ),
    Outline(
        "communication",
        "How people were kept informed",
        "Which promises were kept, and what those who waited missed.",
        Prefill.COMMUNICATION,
    ),
    Outline("went_well", "What went well", "What shortened it or kept it small, and should happen again."),
    Outline(
        "hindered", "What made it harder", "What was missing, unclear or slow: tools, knowledge, access, contacts."
    ),
    Outline("decisions", "Decisions", "What was decided, on what was known then, and what else was on the table."),
)


#: Contributing factors to begin with: (slug, name, when to tick it).
FACTORS = (
    ("change", "A change", "A release, a migration or a setting came shortly before."),
    ("capacity", "Capacity", "Something was full, slow or out of connections."),
    ("dependency", "A dependency", "Something that others run failed or changed."),
    ("monitoring-gap", "Gap in monitoring", "Nothing told, or it told too late or too much."),
    ("unclear-ownership", "Unclear ownership", "It took time to find out whose it is."),
    ("missing-documentation", "Missing or outdated documentation", "The steps had to be found out anew."),
    ("access", "Missing access", "Somebody who could help could not get in."),
    ("known-risk", "A known risk", "It was known and had not been worth fixing yet."),
)


class ReviewDue(StrEnum):
    DONE = "done"
    OPEN = "open"
    SOON = "soon"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Task:
    """What the rule needs to know of a follow-up."""

    title: str
    has_owner: bool
    has_due_date: bool


def due_at(resolved_at: datetime, within: timedelta) -> datetime:
    return resolved_at + within


def due_state(due: datetime, published_at: datetime | None, now: datetime) -> ReviewDue:
    """Whether it is late. Due at the very moment is not late."""
    if published_at is not None:
        return ReviewDue.DONE
    if now > due:
        return ReviewDue.OVERDUE
    return ReviewDue.SOON if due - now <= DUE_SOON else ReviewDue.OPEN


def allowed_moves(state: ReviewState) -> tuple[ReviewState, ...]:
    return MOVES[state]


def check_text_may_change(state: ReviewState) -> None:
    """Raises ReviewIsPublished: what people have read does not change under their eyes."""
    if state == ReviewState.PUBLISHED:
        raise ReviewIsPublished


def check_move(state: ReviewState, to: ReviewState, *, reason: str, missing: Iterable[str]) -> None:
    """Raises ReviewCannotMove, ReviewIncomplete (naming what is missing), ReasonMissing for a step back."""
    if to not in MOVES[state]:
        allowed = [each.value for each in MOVES[state]]
        names = " or ".join(each.label for each in MOVES[state])
        raise ReviewCannotMove(
            f"A review that is {state.label.lower()} goes on to {names}.", field="state", allowed=allowed
        )
    if _is_back(state, to):
        if not reason.strip():
            raise ReasonMissing("Say why the review goes back.", field="reason")
        return
    if gaps := list(missing):
        raise ReviewIncomplete(f"Before this review goes on: {'; '.join(gaps)}.", field="state", missing=gaps)


def _is_back(state: ReviewState, to: ReviewState) -> bool:
    order = list(ReviewState)
    return order.index(to) < order.index(state)


def missing_for(
    to: ReviewState, *, has_owner: bool, tasks: Iterable[Task], sections: Iterable[Mapping[str, object]]
) -> list[str]:
    """What a review still needs to enter a state. Nothing for a step back to draft."""
    if to == ReviewState.DRAFT:
        return []
    gaps = [] if has_owner else ["give it an owner"]
    for task in tasks:
        lacks = [
            word for word, is_there in (("an owner", task.has_owner), ("a due date", task.has_due_date)) if not is_there
        ]
        if lacks:
            gaps.append(f"give the follow-up “{task.title}” {' and '.join(lacks)}")
    if to == ReviewState.PUBLISHED:
        gaps += [f"write “{title}”" for title in unwritten(sections)]
    return gaps


def unwritten(sections: Iterable[Mapping[str, object]]) -> list[str]:
    """Titles of the sections that must be written and are not."""
    return [str(each["title"]) for each in sections if each.get("required") and not str(each["text"]).strip()]


def begun(outlines: Iterable[Outline], texts: Mapping[str, str]) -> list[dict[str, object]]:
    """The sections of a new review as they are stored: the template is copied, so that it may change later."""
    return [
        {
            "key": each.key,
            "title": each.title,
            "help": each.help,
            "required": each.is_required,
            "text": texts.get(each.prefill, "") if each.prefill else "",
        }
        for each in outlines
    ]


def rewritten(sections: Iterable[Mapping[str, object]], texts: Mapping[str, str]) -> list[dict[str, object]]:
    """The sections with other texts, by key; those that `texts` does not name stay."""
    return [{**each, "text": texts.get(str(each["key"]), each["text"])} for each in sections]


def unknown_keys(sections: Iterable[Mapping[str, object]], keys: Collection[str]) -> list[str]:
    return sorted(set(keys) - {str(each["key"]) for each in sections})
