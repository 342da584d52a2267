"""What is public, read from the database: the board of the anonymous status page.

Rows come through `visible(..., None)`, what somebody unknown may see. Two things are used and never shown: the names of
affected systems, which choose components, and the moves between phases, which become four coarse states.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from copy import copy
from datetime import datetime
from typing import cast

from django.db.models import Q, QuerySet

from accounts.visibility import Viewer
from incidents.lifecycle import Kind, Severity, Verb, Visibility
from incidents.models import Incident, LearningReview, Milestone, StatusComponent, StatusUpdate, TimelineEvent
from incidents.review import ReviewState
from incidents.status_rules import (
    IMPACTS,
    Board,
    Component,
    Move,
    PublicIncident,
    State,
    Word,
    began,
    state_at,
    state_of,
)
from majorops.lib.visibility import visible

#: How many incidents the page knows, the newest.
KEPT = 1000
#: A drill that customers read of is an outage to them.
SHOWN_KINDS = (Kind.REAL, Kind.BACKFILLED)
#: The name of an incident that was given none for the public.
NEUTRAL = "Incident"
#: What stands above the words of a review.
LEARNED = "What we learned"
#: What a change of a published incident puts before everybody's eyes.
PUBLIC_TEXTS = ("publish_status", "public_title", "customer_impact_summary")

COLUMNS = (
    "public_id", "public_title", "severity", "status", "phase", "detected_at", "resolved_at",
    "customer_impact_summary", "next_update_eta", "affected_systems",
)  # fmt: skip


def published() -> Board:
    """The whole board. Six queries, however many incidents there are."""
    rows = list(published_incidents().only(*COLUMNS)[:KEPT])
    components = tuple(known_components())
    said, moved, learned = _said(rows, None), _moved(rows), _learned(rows, None)
    incidents = (_public(row, said[row.pk], moved[row.pk], components, learned.get(row.pk)) for row in rows)
    return Board(tuple(incidents), components)


def published_incidents() -> QuerySet[Incident]:
    """The rows that the page shows, newest first."""
    return visible(Incident.objects.filter(kind__in=SHOWN_KINDS).newest_first(), None)


def preview(
    incident: Incident,
    changes: Mapping[str, object],
    components: Iterable[Component],
    viewer: Viewer,
    review: LearningReview | None = None,
) -> PublicIncident:
    """Exactly what the page will show of this incident, once `changes` are written and it is published, and `review`
    with it."""
    row = copy(incident)
    for name, value in changes.items():
        setattr(row, name, value)
    learned = review or _learned([row], viewer).get(row.pk)
    return _public(row, _said([row], viewer)[row.pk], _moved([row])[row.pk], components, learned)


def known_components() -> list[Component]:
    """The curated list, in its order."""
    rows = visible(StatusComponent.objects.order_by("position", "name"), None)
    return [
        Component(row.pk, row.name, row.group, row.description, row.position, row.created_at, tuple(row.systems))
        for row in rows
    ]


def needs_a_yes(incident: Incident, changes: Mapping[str, object]) -> bool:
    """Whether these changes put words on the internet that were not there."""
    is_public = bool(changes.get("publish_status", incident.publish_status))
    becomes = {name for name in PUBLIC_TEXTS if name in changes and changes[name] != getattr(incident, name)}
    return is_public and bool(becomes) and not changes.get("restricted", incident.restricted)


def review_needs_a_yes(incident: Incident, review: LearningReview) -> bool:
    """Whether publishing this review puts words on the internet."""
    return bool(review.public_text) and incident.publish_status and not incident.restricted


def _public(
    row: Incident,
    words: list[tuple[str, StatusUpdate | Milestone]],
    moves: list[Move],
    known: Iterable[Component],
    review: LearningReview | None,
) -> PublicIncident:
    state = state_of(row.status, row.phase)
    return PublicIncident(
        id=row.public_id,
        name=row.public_title or NEUTRAL,
        summary=row.customer_impact_summary,
        impact=IMPACTS[Severity(row.severity)],
        state=state,
        started_at=row.detected_at,
        resolved_at=row.resolved_at,
        monitoring_at=began(moves, State.MONITORING) if state in (State.MONITORING, State.RESOLVED) else None,
        next_update_at=row.next_update_eta if state != State.RESOLVED else None,
        components=tuple(component.id for component in known if _touches(row.affected_systems, component)),
        words=tuple(_word(row, title, said, moves) for title, said in words),
        review=_review_word(row, review) if review and state == State.RESOLVED else None,
    )


def _touches(systems: Iterable[str], component: Component) -> bool:
    means = {str(name).casefold() for name in (component.name, *component.systems)}
    return any(str(name).casefold() in means for name in systems)


def _word(row: Incident, title: str, said: StatusUpdate | Milestone, moves: list[Move]) -> Word:
    body = said.body if isinstance(said, Milestone) else said.content
    state = state_at(moves, said.created_at)
    # The last milestone is called "Resolved" where nobody called it otherwise: its state says that already.
    headline = "" if title.casefold() == state else title
    return Word(_word_id(row, said), headline, body, state, said.created_at)


def _review_word(row: Incident, review: LearningReview) -> Word:
    """Another text is another word, so that those who read the first are told."""
    learned = hashlib.sha256(f"{row.public_id}/{review.pk}/{review.public_text}".encode()).hexdigest()[:32]
    # What is published says when.
    said_at = cast(datetime, review.published_at)
    return Word(learned, LEARNED, review.public_text, State.POSTMORTEM, said_at)


def _word_id(row: Incident, said: StatusUpdate | Milestone) -> str:
    """Stable, and tells nothing: the row's own id tells when it was written."""
    return hashlib.sha256(f"{row.public_id}/{said.pk}".encode()).hexdigest()[:32]


def _said(rows: list[Incident], viewer: Viewer) -> dict[str, list[tuple[str, StatusUpdate | Milestone]]]:
    """Public updates and milestones by incident, newest first, each with its title."""
    ids = [row.pk for row in rows]
    updates = visible(StatusUpdate.objects.filter(incident__in=ids, visibility=Visibility.PUBLIC), viewer)
    milestones = visible(Milestone.objects.filter(incident__in=ids), viewer)
    found: dict[str, list[tuple[str, StatusUpdate | Milestone]]] = defaultdict(list)
    for update in updates.only("incident_id", "content", "created_at"):
        found[update.incident_id].append(("", update))
    for milestone in milestones.only("incident_id", "title", "body", "created_at"):
        found[milestone.incident_id].append((milestone.title, milestone))
    for words in found.values():
        words.sort(key=lambda pair: (pair[1].created_at, pair[1].pk), reverse=True)
    return found


def _learned(rows: list[Incident], viewer: Viewer) -> dict[str, LearningReview]:
    """The published review of each incident that has words for the public."""
    reviews = visible(LearningReview.objects.filter(incident__in=[row.pk for row in rows]), viewer)
    public = reviews.filter(state=ReviewState.PUBLISHED).exclude(public_text="")
    return {each.incident_id: each for each in public.only("incident_id", "public_text", "published_at")}


def _moved(rows: list[Incident]) -> dict[str, list[Move]]:
    """The moves of each incident that were not taken back, oldest first."""
    told = Q(phase_number__isnull=False) | Q(verb__in=(Verb.STATUS, Verb.RESOLVED, Verb.REOPENED))
    entries = TimelineEvent.objects.filter(told, incident__in=[row.pk for row in rows], undone_by=None, corrects=None)
    found: dict[str, list[Move]] = defaultdict(list)
    for entry in entries.order_by("recorded_at", "pk").only("incident_id", "occurred_at", "phase_number", "changes"):
        status = (entry.changes or {}).get("status") or [None]
        found[entry.incident_id].append(Move(entry.occurred_at, entry.phase_number, status[-1]))
    return found
