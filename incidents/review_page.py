"""The pages of learning: one review, all that are owed, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import User
from accounts.permissions import RoleRequired
from accounts.refusals import refusal
from accounts.roles import Can
from incidents import actions, words
from incidents.actions.reviews import missing_of
from incidents.badges import Badge, severity_badge
from incidents.exports import download
from incidents.follow_ups import OVER, FollowUpState, is_overdue
from incidents.forms.core import Form
from incidents.forms.reviews import FollowUpEditForm, FollowUpForm, MoveForm, ReviewForm
from incidents.models import ContributingFactor, FollowUp, Incident, LearningReview, ReviewRevision
from incidents.pages import Page, asked_incident, page, person, stamp
from incidents.review import ReviewDue, ReviewState, due_state
from incidents.review_export import as_text, figures_of
from incidents.similar import similar_to
from incidents.status_page import publish_preview
from incidents.status_read import SHOWN_KINDS, review_needs_a_yes
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible

ON_A_PAGE = 50
SUGGESTED = 100
TONES = {ReviewDue.DONE: "ok", ReviewDue.OPEN: "ok", ReviewDue.SOON: "soon", ReviewDue.OVERDUE: "over"}
MARKS = {"ok": "✓", "soon": "!", "over": "✕"}


def due_of(review: LearningReview, now: datetime) -> Badge:
    """`! due in 5 h`, `✕ overdue by 2 h`, `✓ published 3 h before it was due`."""
    state = due_state(review.due_at, review.published_at, now)
    gap = words.span(abs(review.due_at - (review.published_at or now)))
    if review.published_at:
        late = review.published_at > review.due_at
        return Badge(
            "soon" if late else "ok",
            MARKS["soon" if late else "ok"],
            f"published {gap} late" if late else "published in time",
        )
    tone = TONES[state]
    return Badge(tone, MARKS[tone], f"overdue by {gap}" if state == ReviewDue.OVERDUE else f"due in {gap}")


@dataclass(frozen=True, slots=True)
class ReviewRights:
    """What one person may do with one review."""

    may_edit: bool
    may_publish: bool


def rights(user: User, review: LearningReview) -> ReviewRights:
    """Those who command, and the owner, write; to publish, and to take back, is for those who command."""
    commands = user.can(Can.COMMAND)
    return ReviewRights(may_edit=commands or review.owner_id == user.pk, may_publish=commands)


# --- One review ---


def asked_review(request: HttpRequest, incident_id: str) -> LearningReview:
    """The review, if this person may see it and its incident."""
    review = review_of(asked_incident(request, incident_id), person(request))
    if review is None:
        raise Http404
    return review


def review_of(incident: Incident, user: User) -> LearningReview | None:
    """The review of an incident, as far as this person may see it."""
    seen = visible(LearningReview.objects.select_related("owner"), user)
    review = seen.prefetch_related("factors").filter(incident=incident).first()
    if review is not None:
        review.incident = incident
    return review


@page(Can.READ_INCIDENTS)
@require_http_methods(["GET", "POST"])
def review(request: HttpRequest, incident_id: str) -> HttpResponse:
    """GET shows it; POST saves what was written. Without a review, those who command may begin one."""
    incident, now = asked_incident(request, incident_id), timezone.now()
    shown = review_of(incident, person(request))
    if shown is None:
        return _none_yet(request, incident)
    if request.method == "GET":
        return _review_page(request, shown, now)
    if not rights(person(request), shown).may_edit:
        return refusal(request, RoleRequired.to(Can.COMMAND))
    form = _form(request, shown, now, request.POST)
    if not form.is_valid():
        return _review_page(request, shown, now, form=form, status=422)
    try:
        version = form.cleaned_data["version"]
        actions.edit_review(incident, form.changes, stamp=stamp(request, form), expected_version=version)
    except DomainError as error:
        form.refuse(error)
        return _review_page(request, shown, now, form=form, status=error.status)
    messages.success(request, "Saved.")
    return redirect("incidents:review", incident.pk)


def _none_yet(request: HttpRequest, incident: Incident) -> HttpResponse:
    if not person(request).can(Can.COMMAND):
        raise Http404
    return render(
        request, "incidents/review_none.html", {"incident": incident, "severity": severity_badge(incident.severity)}
    )


def _form(request: HttpRequest, review: LearningReview, now: datetime, data: Any = None) -> ReviewForm:
    factors = visible(ContributingFactor.objects.all(), person(request))
    return ReviewForm(data, now=now, key="review", review=review, factors=factors)


def _review_page(
    request: HttpRequest,
    shown: LearningReview,
    now: datetime,
    *,
    form: ReviewForm | None = None,
    task: FollowUpForm | None = None,
    move: MoveForm | None = None,
    status: int = 200,
) -> HttpResponse:
    user, incident = person(request), shown.incident
    mine = rights(user, shown)
    tasks = visible(shown.follow_ups.select_related("owner"), user)
    history = visible(ReviewRevision.objects.filter(review=shown).select_related("follow_up"), user)
    is_open = shown.state != ReviewState.PUBLISHED
    context = {
        "incident": incident,
        "severity": severity_badge(incident.severity),
        "review": shown,
        "due": due_of(shown, now),
        "now": now,
        "rights": mine,
        "form": form or (_form(request, shown, now) if mine.may_edit and is_open else None),
        "task": task or (FollowUpForm(now=now, key="task") if mine.may_edit else None),
        "tasks": [task_row(each, now) for each in tasks],
        "sections": [each for each in shown.sections if str(each["text"]).strip()],
        "steps": [(each, state_step(each, shown)) for each in ReviewState],
        "move": move,
        "next": _next(shown) if mine.may_edit else None,
        "back": _back(shown) if mine.may_publish else None,
        "missing": missing_of(shown, _next(shown) or ReviewState.PUBLISHED) if mine.may_edit and is_open else [],
        "history": _history(list(history[:100])),
        "figures": figures_of(incident, user),
        "similar": similar_to(incident, user),
        "people": visible(User.objects.all(), user)[:SUGGESTED] if mine.may_edit else [],
    }
    return render(request, "incidents/review.html", context, status=status)


def state_step(state: ReviewState, review: LearningReview) -> str:
    order = list(ReviewState)
    place, current = order.index(state), order.index(ReviewState(review.state))
    return "current" if place == current else "done" if place < current else "ahead"


def _next(review: LearningReview) -> ReviewState | None:
    return {ReviewState.DRAFT: ReviewState.IN_REVIEW, ReviewState.IN_REVIEW: ReviewState.PUBLISHED}.get(
        ReviewState(review.state)
    )


def _back(review: LearningReview) -> ReviewState | None:
    return {ReviewState.IN_REVIEW: ReviewState.DRAFT, ReviewState.PUBLISHED: ReviewState.IN_REVIEW}.get(
        ReviewState(review.state)
    )


@dataclass(frozen=True, slots=True)
class Change:
    """One revision, in words."""

    at: datetime
    actor: str
    text: str
    reason: str


def _history(revisions: list[ReviewRevision]) -> list[Change]:
    return [Change(each.recorded_at, each.actor, told(each), each.reason) for each in reversed(revisions)]


def told(revision: ReviewRevision) -> str:
    """`State: draft → in review`, `Changed the owner and What happened`."""
    about = f"Follow-up “{revision.follow_up.title}”: " if revision.follow_up else ""
    if not revision.changes:
        return "Begun"
    if "state" in revision.changes and revision.changes["state"][0] is not None:
        old, new = (str(each).replace("_", " ") for each in revision.changes["state"])
        return f"{about}{old} → {new}"
    if revision.follow_up and revision.version == 1:
        return f"{about}added"
    names = [name.removeprefix("section:").replace("_", " ") for name in revision.changes]
    return f"{about}changed {', '.join(names)}"


# --- What is done to a review ---


def _writing(*, publish: bool = False) -> Callable[[Callable[..., HttpResponse]], Page]:
    """POST for those who may write the review; `publish`: for those who command."""

    def decorate(view: Callable[..., HttpResponse]) -> Page:
        @page(Can.READ_INCIDENTS)
        @require_POST
        @wraps(view)
        def guarded(request: HttpRequest, incident_id: str, **route: str) -> HttpResponse:
            shown = asked_review(request, incident_id)
            mine = rights(person(request), shown)
            if not (mine.may_publish if publish else mine.may_edit):
                return refusal(request, RoleRequired.to(Can.COMMAND))
            return view(request, shown, timezone.now(), **route)

        return guarded

    return decorate


@page(Can.COMMAND)
@require_POST
def begin(request: HttpRequest, incident_id: str) -> HttpResponse:
    incident, form = asked_incident(request, incident_id), Form(request.POST, now=timezone.now())
    try:
        form.is_valid()
        actions.begin_review(incident, stamp=stamp(request, form))
    except DomainError as error:
        return refusal(request, error)
    messages.success(request, "Begun, with what the record knows.")
    return redirect("incidents:review", incident.pk)


@_writing()
def move(request: HttpRequest, shown: LearningReview, now: datetime) -> HttpResponse:
    form = MoveForm(request.POST, now=now, key="move")
    if not form.is_valid():
        return _review_page(request, shown, now, move=form, status=422)
    said = form.cleaned_data
    publishes = ReviewState.PUBLISHED in (said["state"], shown.state) or said["state"] == ReviewState.DRAFT
    if publishes and not rights(person(request), shown).may_publish:
        return refusal(request, RoleRequired.to(Can.COMMAND))
    goes_public = said["state"] == ReviewState.PUBLISHED and review_needs_a_yes(shown.incident, shown)
    if settings.MAJOROPS_STATUS_PAGE and goes_public and CONFIRMED not in request.POST:
        return _ask_to_publish(request, shown, now)
    try:
        moved = actions.move_review(
            shown.incident,
            said["state"],
            reason=said["reason"],
            stamp=stamp(request, form),
            expected_version=said["version"],
        )
    except DomainError as error:
        form.refuse(error)
        return _review_page(request, shown, now, move=form, status=error.status)
    messages.success(request, f"The review is now: {moved.get_state_display()}.")
    return redirect("incidents:review", shown.incident.pk)


#: What the form sends after the person has seen what anybody will read.
CONFIRMED = "publish_confirmed"


def _ask_to_publish(request: HttpRequest, shown: LearningReview, now: datetime) -> HttpResponse:
    """Shows exactly what the status page will show of the incident with its review. The yes sends the form again."""
    incident, published = shown.incident, copy(shown)
    published.published_at = shown.published_at or now
    context = {
        "incident": incident,
        "severity": severity_badge(incident.severity),
        "kept": [("state", ReviewState.PUBLISHED.value), ("version", shown.version)],
        "confirmed": CONFIRMED,
        "is_drill": incident.kind not in SHOWN_KINDS,
        "action": reverse("incidents:review-move", args=[incident.pk]),
        "back": reverse("incidents:review", args=[incident.pk]),
        "next": "The rest of the review stays inside.",
        **publish_preview(incident, {}, person(request), published),
    }
    return render(request, "status/publish.html", context)


@_writing()
def add_task(request: HttpRequest, shown: LearningReview, now: datetime) -> HttpResponse:
    form = FollowUpForm(request.POST, now=now, key="task")
    if not form.is_valid():
        return _review_page(request, shown, now, task=form, status=422)
    try:
        actions.add_follow_up(shown.incident, stamp=stamp(request, form), **form.cleaned_data)
    except DomainError as error:
        form.refuse(error)
        return _review_page(request, shown, now, task=form, status=error.status)
    messages.success(request, "Follow-up added.")
    return redirect(reverse("incidents:review", args=[shown.incident.pk]) + "#follow-ups")


@page(Can.READ_INCIDENTS)
@require_http_methods(["GET", "POST"])
def edit_task(request: HttpRequest, incident_id: str, follow_up_id: str) -> HttpResponse:
    """For those who write the review, and for whoever the follow-up belongs to."""
    shown, user, now = asked_review(request, incident_id), person(request), timezone.now()
    row = get_object_or_404(visible(shown.follow_ups.select_related("owner"), user), pk=follow_up_id)
    if not (rights(user, shown).may_edit or row.owner_id == user.pk):
        return refusal(request, RoleRequired.to(Can.COMMAND))
    form = FollowUpEditForm(request.POST if request.method == "POST" else None, now=now, follow_up=row)
    if not form.is_valid():
        return _task_page(request, shown, row, form, 422 if form.is_bound else 200)
    said = form.cleaned_data
    try:
        actions.change_follow_up(
            shown.incident,
            row,
            form.changes,
            reason=said["reason"],
            stamp=stamp(request, form),
            expected_version=said["version"],
        )
    except DomainError as error:
        form.refuse(error)
        return _task_page(request, shown, row, form, error.status)
    messages.success(request, "Saved.")
    return redirect(reverse("incidents:review", args=[shown.incident.pk]) + "#follow-ups")


def _task_page(
    request: HttpRequest, shown: LearningReview, row: FollowUp, form: FollowUpEditForm, status: int
) -> HttpResponse:
    people = visible(User.objects.all(), person(request))[:SUGGESTED]
    context = {"incident": shown.incident, "review": shown, "follow_up": row, "form": form, "people": people}
    context["severity"] = severity_badge(shown.incident.severity)
    return render(request, "incidents/follow_up.html", context, status=status)


@page(Can.READ_INCIDENTS)
@require_GET
def as_markdown(request: HttpRequest, incident_id: str) -> HttpResponseBase:
    """The whole review as a file."""
    shown = asked_review(request, incident_id)
    text = as_text(shown, person(request), timezone.now())
    return download(request, iter([text]), f"review-{shown.incident.pk}.md", "text/markdown")


# --- All of them ---


@dataclass(frozen=True, slots=True)
class ReviewRow:
    review: LearningReview
    severity: Badge
    due: Badge


@dataclass(frozen=True, slots=True)
class TaskRow:
    follow_up: FollowUp
    is_overdue: bool
    is_over: bool


def task_row(follow_up: FollowUp, now: datetime) -> TaskRow:
    late = is_overdue(follow_up.due_on, follow_up.state, now.astimezone(UTC).date())
    return TaskRow(follow_up, late, follow_up.state in OVER)


@page(Can.READ_INCIDENTS)
@require_GET
def reviews(request: HttpRequest) -> HttpResponse:
    """Those that are owed, the most urgent first; then what was published."""
    now, user = timezone.now(), person(request)
    seen = visible(LearningReview.objects.select_related("incident", "owner"), user)
    owed = [_review_row(each, now) for each in seen.unpublished()[:200]]
    published = seen.filter(state=ReviewState.PUBLISHED).order_by("-published_at", "pk")
    shown = Paginator(published, ON_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "owed": owed,
        "overdue": sum(row.due.tone == "over" for row in owed),
        "page": shown,
        "published": [_review_row(each, now) for each in shown],
        "now": now,
    }
    return render(request, "incidents/reviews.html", context)


def _review_row(review: LearningReview, now: datetime) -> ReviewRow:
    return ReviewRow(review, severity_badge(review.incident.severity), due_of(review, now))


WHICH = {"open": "Open", "overdue": "Overdue", "mine": "Mine", "over": "Done and dropped"}


@page(Can.READ_INCIDENTS)
@require_GET
def follow_ups(request: HttpRequest) -> HttpResponse:
    """Everything that is to be done because of incidents, what is late first."""
    now, user = timezone.now(), person(request)
    which = request.GET.get("show", "open")
    if which not in WHICH:
        return refusal(request, NoSuchList())
    seen = visible(FollowUp.objects.select_related("owner", "review__incident"), user)
    today = now.astimezone(UTC).date()
    chosen = {
        "open": seen.unfinished(),
        "overdue": seen.overdue(today),
        "mine": seen.unfinished().filter(owner=user),
        "over": seen.filter(state__in=OVER).order_by("-closed_at", "pk"),
    }[which]
    shown = Paginator(chosen, ON_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "which": which,
        "lists": WHICH.items(),
        "page": shown,
        "tasks": [task_row(each, now) for each in shown],
        "overdue": seen.overdue(today).count(),
        "now": now,
        "states": FollowUpState,
    }
    return render(request, "incidents/follow_ups.html", context)


class NoSuchList(DomainError):
    """There is no such list. Choose open, overdue, mine or over."""

    code = "invalid"
    status = 400
