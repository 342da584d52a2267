"""Learning: the review of an incident that is over, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from django.conf import settings
from django.db.models import F, Model

from accounts.models import User
from incidents.actions._core import Stamp, action, locked, plain
from incidents.errors import IncidentStillOpen, ReviewChanged, ReviewExists
from incidents.follow_ups import OVER, FollowUpState, FollowUpType, Priority, check_change
from incidents.lifecycle import EventType, Phase, Status
from incidents.models import (
    ContributingFactor,
    FollowUp,
    Incident,
    LearningReview,
    PhaseEntry,
    ReviewRevision,
    ReviewSection,
    TimelineEvent,
)
from incidents.promises import promises
from incidents.review import (
    FACTORS,
    OUTLINES,
    Outline,
    ReviewState,
    Task,
    begun,
    check_move,
    check_text_may_change,
    due_at,
    missing_for,
    rewritten,
    unknown_keys,
)
from incidents.review_draft import Line, Record, drafted
from majorops.lib.errors import Invalid
from majorops.lib.text import clean_text

#: What edit_review takes.
FIELDS = ("owner", "factors", "sections", "public_text")
#: Characters of what anybody reads of a review.
PUBLIC_LENGTH = 5_000
#: What a follow-up is made of.
OF_FOLLOW_UP = ("title", "details", "type", "priority", "owner", "due_on", "state")


@action
def begin_review(incident: Incident, *, stamp: Stamp) -> LearningReview:
    """Begins the review of an incident that was resolved without one, as imported history is. Raises ReviewExists."""
    current = locked(incident)
    if current.status != Status.RESOLVED:
        raise IncidentStillOpen
    if LearningReview.objects.filter(incident=current).exists():
        raise ReviewExists
    return begin(current, stamp, owed_from=stamp)


def begin(incident: Incident, stamp: Stamp, *, owed_from: Stamp | None = None) -> LearningReview:
    """Call with the incident's row locked and resolved. One that is there already only gets its new due time."""
    within = timedelta(hours=settings.MAJOROPS_REVIEW_HOURS)
    due = due_at(owed_from.at if owed_from else incident.resolved_at or stamp.at, within)
    there = LearningReview.objects.select_for_update(no_key=True).filter(incident=incident).first()
    if there is not None:
        if there.state != ReviewState.PUBLISHED:
            _write(there, stamp, {"due_at": due}, reason="Resolved again")
        return there
    review = LearningReview.objects.create(
        incident=incident,
        owner=incident.mim,
        due_at=due,
        sections=begun(_template(), drafted(_record(incident))),
        created_at=stamp.now,
    )
    _note(review, stamp, {})
    return review


def install_template() -> None:
    """The sections and factors to begin with, where there are none: administrators curate them from then on."""
    if not ReviewSection.objects.exists():
        ReviewSection.objects.bulk_create(
            ReviewSection(
                slug=each.key,
                title=each.title,
                help_text=each.help,
                prefill=each.prefill,
                position=10 * place,
                is_required=each.is_required,
            )
            for place, each in enumerate(OUTLINES, 1)
        )
    if not ContributingFactor.objects.exists():
        ContributingFactor.objects.bulk_create(
            ContributingFactor(slug=slug, name=name, help_text=text) for slug, name, text in FACTORS
        )


def _template() -> list[Outline]:
    rows = ReviewSection.objects.filter(is_active=True)
    kept = [Outline(row.slug, row.title, row.help_text, row.prefill, row.is_required) for row in rows]
    return kept or list(OUTLINES)


def _record(incident: Incident) -> Record:
    milestones = list(incident.milestones.order_by("sequence"))
    over_at = incident.resolved_at or incident.detected_at
    moves = incident.promise_moves.all()
    judged = [each for each in promises(milestones, over_at, moves) if each.is_judged]
    entries = PhaseEntry.objects.filter(incident=incident).order_by("entered_at", "pk")
    written = incident.timeline.filter(type__in=(EventType.ACTION, EventType.ALERT), corrects=None, undone_by=None)
    closing = next((each.body for each in reversed(milestones) if each.is_resolution), "")
    return Record(
        title=incident.title,
        severity=incident.get_severity_display(),
        detected_at=incident.detected_at,
        resolved_at=over_at,
        issue_time=incident.issue_time,
        customer_impact=incident.customer_impact_summary,
        customers=incident.customer_count,
        systems=incident.affected_systems,
        closing_words=closing,
        phases=[
            Line(each.entered_at, f"Phase {each.phase_number}: {Phase(each.phase_number).label}") for each in entries
        ],
        log=[_line(each) for each in written.exclude(undoes__isnull=False).prefetch_related("corrections")],
        milestones=[Line(each.created_at, each.title) for each in milestones],
        promises_kept=sum(each.is_kept for each in judged),
        promises_judged=len(judged),
    )


def _line(event: TimelineEvent) -> Line:
    """As it reads now: the latest correction counts."""
    corrections = sorted(event.corrections.all(), key=lambda each: (each.recorded_at, each.pk))
    latest = corrections[-1] if corrections else event
    return Line(latest.occurred_at, latest.title)


@action
def edit_review(
    incident: Incident, changes: Mapping[str, object], *, stamp: Stamp, expected_version: int | None = None
) -> LearningReview:
    """Changes texts (`sections`: {key: text}, `public_text`), the owner, or the factors. No change writes nothing.

    Raises ReviewIsPublished, ReviewChanged.
    """
    review = _locked(incident, expected_version)
    if unknown := set(changes) - set(FIELDS):
        raise Invalid(f"{sorted(unknown)[0]} cannot be changed here.", field=sorted(unknown)[0], allowed=list(FIELDS))
    wanted: dict[str, object] = {}
    if "sections" in changes:
        check_text_may_change(ReviewState(review.state))
        wanted["sections"] = _texts(review, changes["sections"])
    if "public_text" in changes:
        check_text_may_change(ReviewState(review.state))
        wanted["public_text"] = clean_text(changes["public_text"], field="public_text", max_length=PUBLIC_LENGTH)
    if "owner" in changes:
        wanted["owner"] = _owner(review, changes["owner"])
    return _write(review, stamp, wanted, factors=_factors(review, changes))


def _texts(review: LearningReview, said: object) -> list[dict[str, object]]:
    texts = dict(said) if isinstance(said, Mapping) else {}
    if strangers := unknown_keys(review.sections, texts):
        known = [str(each["key"]) for each in review.sections]
        raise Invalid(f"This review has no section {strangers[0]}.", field="sections", allowed=known)
    return rewritten(review.sections, {key: clean_text(text, field="sections") for key, text in texts.items()})


def _owner(review: LearningReview, owner: object) -> object:
    if owner is None and review.state != ReviewState.DRAFT:
        raise Invalid("A review beyond draft keeps an owner. Name another one.", field="owner")
    return owner


def _factors(review: LearningReview, changes: Mapping[str, object]) -> list[ContributingFactor] | None:
    if "factors" not in changes:
        return None
    check_text_may_change(ReviewState(review.state))
    wanted = changes["factors"]
    return sorted(wanted, key=lambda each: each.slug) if isinstance(wanted, Iterable) else []


@action
def move_review(
    incident: Incident, to: str, *, stamp: Stamp, reason: str = "", expected_version: int | None = None
) -> LearningReview:
    """To the next state, or back with a reason. The time of the first publication stays."""
    review = _locked(incident, expected_version)
    if to not in ReviewState.values:
        raise Invalid(
            f"state must be one of {', '.join(ReviewState.values)}.", field="state", allowed=ReviewState.values
        )
    wanted, why = ReviewState(to), clean_text(reason, field="reason", max_length=500)
    check_move(ReviewState(review.state), wanted, reason=why, missing=missing_of(review, wanted))
    changes: dict[str, object] = {"state": wanted.value}
    if wanted == ReviewState.PUBLISHED and review.published_at is None:
        changes["published_at"] = stamp.at
    return _write(review, stamp, changes, reason=why)


def missing_of(review: LearningReview, to: ReviewState) -> list[str]:
    """What this review still needs to enter a state. One query."""
    tasks = [
        Task(each.title, each.owner_id is not None, each.due_on is not None)
        for each in review.follow_ups.all()
        if each.state != FollowUpState.DROPPED
    ]
    return missing_for(to, has_owner=review.owner_id is not None, tasks=tasks, sections=review.sections)


@action
def add_follow_up(incident: Incident, *, stamp: Stamp, **fields: object) -> FollowUp:
    """Something to be done because of the incident. Also after publishing: learning does not end with the text."""
    review = _locked(incident, None)
    follow_up = FollowUp(review=review, created_at=stamp.now, **_checked(fields))
    if review.state != ReviewState.DRAFT and (follow_up.owner_id is None or follow_up.due_on is None):
        raise Invalid(
            "Beyond draft, a follow-up has an owner and a due date.", field="due_on" if follow_up.owner_id else "owner"
        )
    follow_up.save(force_insert=True)
    _note(
        review, stamp, {name: [None, plain_of(getattr(follow_up, name))] for name in OF_FOLLOW_UP}, follow_up=follow_up
    )
    return follow_up


@action
def change_follow_up(
    incident: Incident,
    follow_up: FollowUp,
    changes: Mapping[str, object],
    *,
    stamp: Stamp,
    reason: str = "",
    expected_version: int | None = None,
) -> FollowUp:
    """Another state, owner, due date or words. Raises FollowUpIsOver, ReasonMissing, ReviewChanged."""
    review = _locked(incident, None)
    row = FollowUp.objects.select_for_update(no_key=True).get(pk=follow_up.pk, review=review)
    if expected_version is not None and row.version != expected_version:
        raise ReviewChanged(version=row.version)
    wanted = {name: value for name, value in _checked(changes, is_new=False).items() if getattr(row, name) != value}
    why = clean_text(reason, field="reason", max_length=500)
    before, after = FollowUpState(row.state), FollowUpState(str(wanted.get("state", row.state)))
    check_change(before, after, reason=why, changes_words=bool(set(wanted) - {"state"}))
    if review.state != ReviewState.DRAFT and any(wanted.get(name, 0) is None for name in ("owner", "due_on")):
        raise Invalid("Beyond draft, a follow-up keeps its owner and its due date.", field="owner")
    return _write_follow_up(review, row, wanted, after, stamp, why)


def _write_follow_up(
    review: LearningReview,
    row: FollowUp,
    wanted: dict[str, object],
    after: FollowUpState,
    stamp: Stamp,
    reason: str,
) -> FollowUp:
    if not wanted:
        return row
    told = {name: [plain_of(getattr(row, name)), plain_of(value)] for name, value in wanted.items()}
    if "state" in wanted:
        wanted["closed_at"] = (row.closed_at or stamp.at) if after in OVER else None
    _swap(row, wanted)
    _note(review, stamp, told, follow_up=row, reason=reason)
    return row


def _checked(fields: Mapping[str, object], *, is_new: bool = True) -> dict[str, object]:
    """The fields of a follow-up as the columns take them. Raises Invalid naming the field."""
    if unknown := set(fields) - set(OF_FOLLOW_UP):
        raise Invalid(f"A follow-up has no {sorted(unknown)[0]}.", field=sorted(unknown)[0])
    cleaned = dict(fields)
    if is_new or "title" in fields:
        cleaned["title"] = clean_text(fields.get("title"), field="title", max_length=200, required=True)
    if "details" in fields:
        cleaned["details"] = clean_text(fields["details"], field="details")
    for name, choices in (("type", FollowUpType), ("priority", Priority), ("state", FollowUpState)):
        if (is_new and name == "type") or name in fields:
            if fields.get(name) not in choices.values:
                raise Invalid(f"{name} must be one of {', '.join(choices.values)}.", field=name, allowed=choices.values)
            cleaned[name] = str(fields[name])
    return cleaned


# --- What every change here is made of ---


def _locked(incident: Incident, expected_version: int | None) -> LearningReview:
    review = LearningReview.objects.select_for_update(no_key=True).get(incident=incident)
    if expected_version is not None and review.version != expected_version:
        changes = [
            {"by": each.actor, "changes": sorted(each.changes)}
            for each in review.revisions.filter(follow_up=None, version__gt=expected_version)
        ]
        raise ReviewChanged(version=review.version, changes=changes)
    return review


def _write(
    review: LearningReview,
    stamp: Stamp,
    wanted: Mapping[str, object],
    *,
    factors: list[ContributingFactor] | None = None,
    reason: str = "",
) -> LearningReview:
    """Row and revision, or nothing where nothing changes."""
    changed = {name: value for name, value in wanted.items() if getattr(review, name) != value}
    told = _told(review, changed)
    before = sorted(each.slug for each in review.factors.all()) if factors is not None else []
    after = [each.slug for each in factors or []]
    if factors is not None and before != after:
        told["factors"] = [before, after]
    if not told:
        return review
    _swap(review, changed)
    if factors is not None and before != after:
        review.factors.set(factors)
    _note(review, stamp, told, reason=reason)
    return review


def _told(review: LearningReview, changed: Mapping[str, object]) -> dict[str, object]:
    told: dict[str, object] = {
        name: [plain_of(getattr(review, name)), plain_of(value)]
        for name, value in changed.items()
        if name != "sections"
    }
    now = changed.get("sections")
    if isinstance(now, list):
        pairs = zip(review.sections, now, strict=True)
        told |= {f"section:{new['key']}": [old["text"], new["text"]] for old, new in pairs if old != new}
    return told


def _swap(row: LearningReview | FollowUp, changed: Mapping[str, object]) -> None:
    """Compare-and-swap on the version."""
    rows = type(row).objects.filter(pk=row.pk, version=row.version)
    if not rows.update(version=F("version") + 1, **changed):
        raise ReviewChanged
    row.version += 1
    for name, value in changed.items():
        setattr(row, name, value)


def _note(
    review: LearningReview,
    stamp: Stamp,
    changes: Mapping[str, object],
    *,
    follow_up: FollowUp | None = None,
    reason: str = "",
) -> None:
    ReviewRevision.objects.create(
        review=review,
        follow_up=follow_up,
        version=(follow_up or review).version,
        changes=dict(changes),
        reason=reason[:500],
        actor=stamp.actor,
        actor_user=stamp.by,
        recorded_at=stamp.now,
        source=stamp.source,
    )


def plain_of(value: object) -> object:
    """A value as the history keeps it."""
    if isinstance(value, date) and not hasattr(value, "hour"):
        return value.isoformat()
    return value.name if isinstance(value, User) else str(value) if isinstance(value, Model) else plain(value)
