"""The page of one incident. Each view parses, calls one action, and answers; what is shown is made in board.py."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounts.models import User
from accounts.permissions import RoleRequired
from accounts.refusals import refusal
from accounts.roles import Can
from incidents import actions, live, words
from incidents.actions import Stamp
from incidents.actions.links import reopen_within
from incidents.audience import Audience
from incidents.badges import severity_badge
from incidents.board import board, missing_before_resolve
from incidents.desk import command_page
from incidents.errors import IncidentChanged
from incidents.forms.core import Form
from incidents.forms.entries import CorrectForm, LogForm, ResponderLogForm, UpdateForm
from incidents.forms.facts import EditForm
from incidents.forms.people import AnswerForm, PageForm, RoleForm, StandDownForm
from incidents.forms.phases import AdvanceForm, ReopenForm, ResolveForm, StatusForm
from incidents.forms.promises import MilestoneForm, MoveForm, PromiseForm
from incidents.lifecycle import CommandRole, Phase, Status
from incidents.links import is_same_incident
from incidents.logbook import Reader, entry_of, with_corrections
from incidents.models import ArrivalSource, Incident, Source, TeamPage, TimelineEvent
from incidents.pages import Page, asked_incident, person
from incidents.pages import page as answered_for
from incidents.pages import stamp as stamp_of
from incidents.status_page import publish_preview
from incidents.status_read import SHOWN_KINDS, needs_a_yes
from incidents.viewing import (
    NotCalled,
    arrival_source,
    audience_for,
    check_may_correct,
    check_may_edit,
    incidents_for,
)
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible

# --- One incident ---


@answered_for(Can.READ_INCIDENTS)
@require_GET
def detail(request: HttpRequest, incident_id: str) -> HttpResponse:
    """The page; `?text=` begins an update or a milestone with one of the texts of this phase."""
    return _command_page(request, incident_id, timezone.now(), canned=request.GET.get("text", ""))


def _command_page(
    request: HttpRequest,
    incident_id: str,
    now: datetime,
    *,
    refused: Form | None = None,
    canned: str = "",
    status: int = 200,
) -> HttpResponse:
    """The page of one incident. A refused form stands where it was sent from, with what was typed in it.

    If its place is gone (the incident was resolved, the team has come), it stands on top.
    """
    state = live.state_for(person(request), incident_id, now)
    if state is None:
        raise Http404
    context = command_page(state.incident, person(request), now, refused=refused, canned=canned)
    context["standing"] = state.standing
    return render(request, "incidents/detail.html", context, status=status)


# --- What people do on the page: one address each ---

Act = Callable[..., str]


def _doing(form_class: type[Form], key: str, *, may: str = "may_command") -> Callable[[Act], Page]:
    """An address that takes one form of the command page.

    Parses, calls `act(request, incident, form, stamp)`, and goes back to the page with the sentence it returns.
    What is refused shows the page again, the reason and what was typed in place. A GET leads to the page: people
    reload after a refusal.
    """

    def decorate(act: Act) -> Page:
        @answered_for(Can.READ_INCIDENTS)
        @require_http_methods(["GET", "POST"])
        @wraps(act)
        def view(request: HttpRequest, incident_id: str, **route: str) -> HttpResponse:
            incident = asked_incident(request, incident_id)
            if request.method == "GET":
                return redirect("incidents:detail", incident.pk)
            audience = audience_for(person(request), incident)
            if not getattr(audience, may):
                return refusal(request, NotCalled() if may == "may_post" else RoleRequired.to(Can.COMMAND))
            form = _bound(form_class, request, incident, audience, key="-".join([key, *route.values()]))
            return _carry_out(act, request, incident, form, **route)

        return view

    return decorate


def _bound(form_class: type[Form], request: HttpRequest, incident: Incident, audience: Audience, key: str) -> Form:
    """The form as it was sent, with what it needs to know of the incident."""
    if form_class is LogForm and not audience.may_command:
        form_class = ResponderLogForm
    now = timezone.now()
    needs: dict[str, Any] = {}
    if form_class in (AdvanceForm, EditForm):
        needs["incident"] = incident
    if form_class is MilestoneForm:
        needs["lines"] = board(incident, person(request), audience, now).lines if "lines" in request.POST else ()
        needs["status"] = incident.status
    if form_class is EditForm:
        needs |= {"may_publish": audience.may_publish, "only": request.POST.keys()}
    return form_class(request.POST, now=now, key=key, **needs)


class AsksFirst(Exception):
    """What was sent needs a yes on a page of its own, at this address."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(address)


def _carry_out(act: Act, request: HttpRequest, incident: Incident, form: Form, **route: str) -> HttpResponse:
    if not form.is_valid():
        return _command_page(request, incident.pk, form.now, refused=form, status=422)
    try:
        done = act(request, incident, form, stamp_of(request, form), **route)
    except AsksFirst as question:
        return redirect(question.address)
    except DomainError as error:
        if error.status == 403:
            return refusal(request, error)
        form.refuse(error)
        if isinstance(form, EditForm):
            form = _over(form, incidents_for(person(request)).get(pk=incident.pk))
        return _command_page(request, incident.pk, form.now, refused=form, status=error.status)
    _told(request, incident, form, done + _backdated(form))
    return redirect("incidents:detail", incident.pk)


def _over(form: EditForm, incident: Incident) -> EditForm:
    """The refused edit over the row as it is by now, with both values where two people changed one."""
    form.incident = incident
    conflicts, refusals = form.conflicts, form.errors
    if not conflicts:
        return form
    again = form.merged(conflicts)
    for name, sentences in refusals.items():
        again.add_error(None if name == NON_FIELD_ERRORS else name, sentences)
    return again


def _told(request: HttpRequest, incident: Incident, form: Form, sentence: str) -> None:
    """Says what was done, with a way to undo it for as long as there is one."""
    offers = actions.undoable(incident, person(request), form.now)
    newest = next((offer for offer in offers if offer.event.recorded_at >= form.now), None)
    address = reverse("incidents:undo", args=[incident.pk, newest.event.pk]) if newest else ""
    messages.success(request, sentence, extra_tags=address)


def _backdated(form: Form) -> str:
    """Says back what a typed time was understood as."""
    return f" Recorded for {words.hour(form.at, form.now)}." if form.at != form.now else ""


@_doing(LogForm, "post", may="may_post")
def post(request: HttpRequest, incident: Incident, form: Form, stamp: Stamp) -> str:
    title, description = form.cleaned_data["text"]
    audience = {"visibility": form.cleaned_data["visibility"]} if "visibility" in form.fields else {}
    actions.post_entry(incident, title, description=description, stamp=stamp, **audience)
    return "Posted to the log."


@_doing(UpdateForm, "update")
def update(request: HttpRequest, incident: Incident, form: Form, stamp: Stamp) -> str:
    audience = form.cleaned_data["visibility"]
    actions.post_update(incident, form.cleaned_data["content"], visibility=audience, stamp=stamp)
    return f"Update published ({audience})."


@_doing(MilestoneForm, "milestone")
def milestone(request: HttpRequest, incident: Incident, form: MilestoneForm, stamp: Stamp) -> str:
    said = form.cleaned_data
    cut = actions.cut_milestone(
        incident,
        title=said["title"],
        body=said["body"],
        next_update_eta=form.promise,
        no_promise_reason=said.get("no_promise_reason", ""),
        entries=form.entries,
        stamp=stamp,
    )
    promise = f" Next update promised for {words.hour(cut.next_update_eta, form.now)}." if cut.next_update_eta else ""
    return f"Milestone {cut.sequence} published.{promise}"


@_doing(PromiseForm, "promise")
def promise(request: HttpRequest, incident: Incident, form: PromiseForm, stamp: Stamp) -> str:
    """Keeps the promise by saying that there is nothing new, and when to hear more."""
    reason = form.cleaned_data["reason"]
    cut = actions.publish_no_change(incident, next_update_eta=form.promise, reason=reason, stamp=stamp)
    due = words.hour(cut.next_update_eta or form.now, form.now)
    return f"Milestone {cut.sequence} published: no change. Next update promised for {due}."


@_doing(MoveForm, "move")
def move(request: HttpRequest, incident: Incident, form: MoveForm, stamp: Stamp) -> str:
    """Another time for the promise that stands. What is overdue already stays missed."""
    moved = actions.move_promise(incident, form.promise or form.now, reason=form.cleaned_data["reason"], stamp=stamp)
    late = " The promise was overdue and counts as missed." if moved.recorded_at > moved.was_due_at else ""
    return f"Next update moved to {words.hour(moved.due_at, form.now)}.{late}"


@_doing(AdvanceForm, "advance")
def advance(request: HttpRequest, incident: Incident, form: Form, stamp: Stamp) -> str:
    said = form.cleaned_data
    moved = actions.advance_phase(incident, said["phase"], reason=said["reason"], stamp=stamp)
    return f"Now in phase {moved.phase} ({Phase(moved.phase).label})."


@_doing(StatusForm, "status")
def status(request: HttpRequest, incident: Incident, form: Form, stamp: Stamp) -> str:
    changed = actions.change_status(incident, form.cleaned_data["status"], stamp=stamp)
    return f"Status is {Status(changed.status).label}."


@_doing(PageForm, "page")
def page(request: HttpRequest, incident: Incident, form: Form, stamp: Stamp) -> str:
    said = form.cleaned_data
    sent = actions.page_team(incident, said["team"], contact_name=said["contact_name"], stamp=stamp)
    return f"{sent.team.name} paged." if sent.page_count == 1 else f"{sent.team.name} called again ({sent.page_count})."


@_doing(AnswerForm, "answer", may="may_post")
def acknowledge(request: HttpRequest, incident: Incident, form: Form, stamp: Stamp, page_id: str) -> str:
    dispatch = _dispatch(request, incident, page_id)
    arrival_source(person(request), dispatch)
    actions.acknowledge_page(incident, dispatch, stamp=stamp)
    return f"{dispatch.team.name} acknowledged."


@_doing(AnswerForm, "answer", may="may_post")
def arrive(request: HttpRequest, incident: Incident, form: Form, stamp: Stamp, page_id: str) -> str:
    dispatch = _dispatch(request, incident, page_id)
    source: ArrivalSource = arrival_source(person(request), dispatch)
    actions.record_arrival(incident, dispatch, arrival_source=source, stamp=stamp)
    return f"{dispatch.team.name} on the bridge."


@_doing(StandDownForm, "down")
def stand_down(request: HttpRequest, incident: Incident, form: Form, stamp: Stamp, page_id: str) -> str:
    dispatch = _dispatch(request, incident, page_id)
    actions.stand_down(incident, dispatch, reason=form.cleaned_data["reason"], stamp=stamp)
    return f"{dispatch.team.name} stood down."


@_doing(StandDownForm, "down")
def wrong_team(request: HttpRequest, incident: Incident, form: Form, stamp: Stamp, page_id: str) -> str:
    dispatch = _dispatch(request, incident, page_id)
    actions.wrong_team(incident, dispatch, reason=form.cleaned_data["reason"], stamp=stamp)
    return f"The call of {dispatch.team.name} is taken back. It counts for nobody."


def _dispatch(request: HttpRequest, incident: Incident, page_id: str) -> TeamPage:
    pages = visible(incident.team_pages.select_related("team"), person(request))
    return get_object_or_404(pages, pk=page_id)


@_doing(RoleForm, "role")
def role(request: HttpRequest, incident: Incident, form: Form, stamp: Stamp) -> str:
    """Taking a role from somebody else asks first; so it does again if by then it is somebody else's."""
    said, user = form.cleaned_data, person(request)
    taker = user if said["take"] else said["user"]
    holder = incident.holder(CommandRole(said["role"]))
    if holder and holder != user and said["instead_of"] != _name_of(holder):
        query = {"role": said["role"], "who": taker.email if taker else said["name"], "release": said["release"] or ""}
        raise AsksFirst(f"{reverse('incidents:takeover', args=[incident.pk])}?{urlencode(query)}")
    actions.assign_role(incident, said["role"], user=taker, name=said["name"], stamp=stamp)
    label, now_held = CommandRole(said["role"]).label, taker.name if taker else said["name"]
    return f"{now_held} is {label}." if now_held else f"{label} is unclaimed."


def _name_of(holder: User | str) -> str:
    return holder.email if isinstance(holder, User) else holder


@_doing(EditForm, "facts")
def field(request: HttpRequest, incident: Incident, form: EditForm, stamp: Stamp) -> str:
    """One fact, changed where it stands."""
    check_may_edit(person(request), form.editable)
    if settings.MAJOROPS_STATUS_PAGE and needs_a_yes(incident, form.changes):
        raise AsksFirst(reverse("incidents:edit", args=[incident.pk]))
    if form.conflicts:
        raise IncidentChanged("Somebody changed this meanwhile. Both values are below: choose one.")
    actions.edit_incident(incident, form.changes, stamp=stamp, expected_version=incident.version)
    return "Saved." if form.changes else "Nothing was changed."


@_doing(Form, "undo", may="may_post")
def undo(request: HttpRequest, incident: Incident, form: Form, stamp: Stamp, entry_id: str) -> str:
    event = get_object_or_404(visible(incident.timeline.all(), person(request)), pk=entry_id)
    return actions.undo(incident, event, stamp=stamp).title + "."


# --- Forms with a page of their own ---


def _commanding(view: Page) -> Page:
    """For people who command: GET shows the form, POST sends it."""

    @answered_for(Can.COMMAND)
    @require_http_methods(["GET", "POST"])
    @wraps(view)
    def guarded(request: HttpRequest, incident_id: str, **route: str) -> HttpResponse:
        return view(request, asked_incident(request, incident_id), timezone.now(), **route)

    return guarded


def _form_page(request: HttpRequest, template: str, incident: Incident, form: Form, **more: Any) -> HttpResponse:
    status = more.pop("status", 422 if form.is_bound else 200)
    context = {"incident": incident, "severity": severity_badge(incident.severity), "form": form, "now": form.now}
    return render(request, template, context | more, status=status)


def _done(request: HttpRequest, incident: Incident, form: Form, sentence: str) -> HttpResponse:
    _told(request, incident, form, sentence)
    return redirect("incidents:detail", incident.pk)


@_commanding
def edit(request: HttpRequest, incident: Incident, now: datetime) -> HttpResponse:
    """Writes what the person changed. A field that somebody else changed meanwhile shows both values."""
    may_publish = audience_for(person(request), incident).may_publish
    data = request.POST if request.method == "POST" else None
    form = EditForm(data, now=now, incident=incident, may_publish=may_publish)
    if not form.is_valid():
        return _form_page(request, "incidents/edit.html", incident, form)
    if theirs := form.conflicts:
        return _form_page(request, "incidents/edit.html", incident, form.merged(theirs), is_conflict=True, status=409)
    if settings.MAJOROPS_STATUS_PAGE and needs_a_yes(incident, form.changes) and CONFIRMED not in request.POST:
        return _ask_to_publish(request, incident, form)
    try:
        actions.edit_incident(incident, form.changes, stamp=stamp_of(request, form), expected_version=incident.version)
    except DomainError as error:
        form.refuse(error)
        return _form_page(request, "incidents/edit.html", incident, form, status=error.status)
    return _done(request, incident, form, "Saved." if form.changes else "Nothing was changed.")


#: What the form sends after the person has seen what anybody will read.
CONFIRMED = "publish_confirmed"
FROM_NOW_ON = (
    "Every milestone and every public update that you publish from now on is added to it at once, and what the "
    "learning review says for the public once that is published."
)


def _ask_to_publish(request: HttpRequest, incident: Incident, form: EditForm) -> HttpResponse:
    """Shows exactly what the status page will show. The yes sends the same form again."""
    shown = publish_preview(incident, form.changes, person(request))
    kept = [(name, value) for name, values in request.POST.lists() for value in values if name != "csrfmiddlewaretoken"]
    context = {"kept": kept, "confirmed": CONFIRMED, "is_drill": incident.kind not in SHOWN_KINDS, **shown}
    back = reverse("incidents:edit", args=[incident.pk])
    context |= {"action": back, "back": back, "next": FROM_NOW_ON}
    return _form_page(request, "status/publish.html", incident, form, status=200, **context)


@_commanding
def takeover(request: HttpRequest, incident: Incident, now: datetime) -> HttpResponse:
    """Asks before a role is taken from somebody; the yes goes to `role`."""
    said = RoleForm(request.GET, now=now)
    if not said.is_valid() or not incident.is_open:
        return redirect("incidents:detail", incident.pk)
    asked = said.cleaned_data
    holder = incident.holder(CommandRole(asked["role"]))
    if holder is None:
        return redirect("incidents:detail", incident.pk)
    context = {
        "role": CommandRole(asked["role"]),
        "holder": str(holder),
        "instead_of": _name_of(holder),
        "taker": asked["user"].name if asked["user"] else asked["name"],
        "who": request.GET.get("who", ""),
        "release": asked["release"],
    }
    return _form_page(request, "incidents/takeover.html", incident, said, **context)


@_commanding
def resolve(request: HttpRequest, incident: Incident, now: datetime) -> HttpResponse:
    """Shows what is still missing, and resolves all the same if the person says so."""
    gaps = missing_before_resolve(incident, person(request))
    form = ResolveForm(request.POST if request.method == "POST" else None, now=now, has_gaps=bool(gaps))
    if not form.is_valid():
        return _form_page(request, "incidents/resolve.html", incident, form, gaps=gaps)
    try:
        said = form.cleaned_data
        actions.resolve(incident, summary=said["summary"], reason=said.get("reason", ""), stamp=stamp_of(request, form))
    except DomainError as error:
        form.refuse(error)
        return _form_page(request, "incidents/resolve.html", incident, form, gaps=gaps, status=error.status)
    return _done(request, incident, form, "Resolved. The clocks have stopped." + _backdated(form))


@_commanding
def reopen(request: HttpRequest, incident: Incident, now: datetime) -> HttpResponse:
    form = ReopenForm(request.POST if request.method == "POST" else None, now=now)
    if not form.is_valid():
        late = incident.resolved_at is not None and not is_same_incident(incident.resolved_at, now, reopen_within())
        return _form_page(request, "incidents/reopen.html", incident, form, is_too_late=late)
    said = form.cleaned_data
    try:
        taken_up = actions.reopen(incident, reason=said["reason"], to=said["phase"], stamp=stamp_of(request, form))
    except DomainError as error:
        form.refuse(error)
        return _form_page(request, "incidents/reopen.html", incident, form, status=error.status)
    if taken_up.pk != incident.pk:
        return _done(request, taken_up, form, "A new incident, linked to the resolved one. Its clock is running.")
    return _done(request, incident, form, "Reopened. The clocks run again." + _backdated(form))


@answered_for(Can.READ_INCIDENTS)
@require_http_methods(["GET", "POST"])
def correct(request: HttpRequest, incident_id: str, entry_id: str) -> HttpResponse:
    """Appends a corrected copy; the original stays, struck through."""
    now, incident, user = timezone.now(), asked_incident(request, incident_id), person(request)
    reader = Reader(user, audience_for(user, incident))
    if not reader.audience.may_post:
        return refusal(request, NotCalled())
    entry = get_object_or_404(with_corrections(visible(incident.timeline.all(), user), user), pk=entry_id)
    try:
        check_may_correct(user, incident, entry)
    except DomainError as error:
        return refusal(request, error)
    shown = entry_of(entry, reader)
    said = shown.latest or shown
    initial = {"title": said.title, "description": said.description}
    form = CorrectForm(request.POST if request.method == "POST" else None, now=now, initial=initial)
    if not form.is_valid():
        return _form_page(request, "incidents/correct.html", incident, form, entry=shown)
    try:
        _correct(incident, entry, form, user)
    except DomainError as error:
        form.refuse(error)
        return _form_page(request, "incidents/correct.html", incident, form, entry=shown, status=error.status)
    return _done(request, incident, form, "Corrected. The original stays in the log, struck through.")


def _correct(incident: Incident, entry: TimelineEvent, form: CorrectForm, user: User) -> None:
    said = form.cleaned_data
    actions.correct_entry(
        incident,
        entry,
        title=said["title"],
        description=said["description"],
        occurred_at=said["happened"],
        stamp=Stamp(by=user, at=form.now, now=form.now, source=Source.WEB),
    )
