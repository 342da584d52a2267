"""The incident pages. Each view parses, calls one action, and answers; what is shown is made in board.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import wraps
from typing import Any, cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounts.models import User
from accounts.permissions import RoleRequired
from accounts.refusals import refusal
from accounts.roles import Can
from incidents import actions, words
from incidents.actions import Stamp
from incidents.audience import Audience
from incidents.board import Board, board, missing_before_resolve, rows, severity_badge
from incidents.errors import AlreadyOpen
from incidents.forms import (
    AdvanceForm,
    AnswerForm,
    CorrectForm,
    DeclareForm,
    EditForm,
    Form,
    LogFilter,
    LogForm,
    MilestoneForm,
    PageForm,
    ReopenForm,
    ResolveForm,
    ResponderLogForm,
    RoleForm,
    SearchForm,
    StatusForm,
    UpdateForm,
)
from incidents.lifecycle import CommandRole, Phase, Severity, Status
from incidents.logbook import Reader, entry_of, log_rows, with_corrections
from incidents.models import ArrivalSource, Incident, IncidentQuerySet, Source, TeamPage, TimelineEvent
from incidents.pages import Page
from incidents.pages import page as answered_for
from incidents.viewing import NotCalled, arrival_source, audience_for, check_may_correct, incidents_for
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible

PAGE_SIZE = 50
LOG_PAGE_SIZE = 200
#: How many people the browser suggests; any other can be typed.
SUGGESTED = 100

_BY_SEVERITY = list(Severity)


# --- Lists ---


@answered_for(Can.READ_INCIDENTS)
@require_GET
def incident_list(request: HttpRequest) -> HttpResponse:
    now, asked = timezone.now(), SearchForm(request.GET)
    if not asked.is_valid():
        return render(request, "incidents/list.html", {"filters": asked, "now": now}, status=400)
    found = _matching(incidents_for(_user(request)), asked.cleaned_data)
    active = sorted(found.active(), key=lambda incident: _BY_SEVERITY.index(Severity(incident.severity)))
    resolved = found.filter(status=Status.RESOLVED)
    history = Paginator(resolved.newest_first(), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "filters": asked,
        "now": now,
        "active": rows(active, now),
        "history": rows(history, now),
        "page": history,
        "last": None if active else resolved.order_by("-resolved_at").first(),
    }
    return render(request, "incidents/list.html", context)


def _matching(incidents: IncidentQuerySet, wanted: dict[str, str]) -> IncidentQuerySet:
    exact = {name: wanted[name] for name in ("severity", "kind") if wanted[name]}
    found = incidents.filter(**exact)
    if wanted["status"]:
        found = (
            found.exclude(status=Status.RESOLVED)
            if wanted["status"] == "open"
            else found.filter(status=wanted["status"])
        )
    return found.filter(title__icontains=wanted["q"]) if wanted["q"] else found


@answered_for(Can.COMMAND)
@require_http_methods(["GET", "POST"])
def declare(request: HttpRequest) -> HttpResponse:
    """Title and severity; the rest may come prefilled in the link of an alert."""
    now = timezone.now()
    if request.method == "GET":
        said = {name: request.GET[name] for name in DeclareForm.base_fields if name in request.GET}
        return render(request, "incidents/new.html", {"form": DeclareForm(now=now, initial=said)})
    form, existing = DeclareForm(request.POST, now=now), None
    try:
        if form.is_valid():
            incident = actions.open_incident(stamp=_stamp(request, form), **form.said)
            messages.success(request, "Declared. The clock is running.")
            return redirect("incidents:detail", incident.pk)
    except DomainError as error:
        form.refuse(error)
        existing = error.details.get("incident_id") if isinstance(error, AlreadyOpen) else None
        return render(request, "incidents/new.html", {"form": form, "existing": existing}, status=error.status)
    return render(request, "incidents/new.html", {"form": form}, status=422)


# --- One incident ---


@answered_for(Can.READ_INCIDENTS)
@require_GET
def detail(request: HttpRequest, incident_id: str) -> HttpResponse:
    return _command_page(request, _incident(request, incident_id), timezone.now())


@answered_for(Can.READ_INCIDENTS)
@require_GET
def log(request: HttpRequest, incident_id: str) -> HttpResponse:
    """The whole log, newest first, filtered by what stands in the address."""
    now, user, asked = timezone.now(), _user(request), LogFilter(request.GET)
    incident = _incident(request, incident_id)
    reader = Reader(user, audience_for(user, incident))
    context = {"incident": incident, "severity": severity_badge(incident.severity), "filters": asked, "now": now}
    if not asked.is_valid():
        return render(request, "incidents/log.html", context, status=400)
    internal = reader.audience.reads_internal
    events = with_corrections(asked.matching(visible(incident.timeline.filter(corrects=None), user)), user)
    page = Paginator(events, LOG_PAGE_SIZE).get_page(request.GET.get("page"))
    entries = [entry_of(event, reader) for event in page]
    visits = list(visible(incident.phase_entries.order_by("entered_at", "id"), user)) if internal else []
    quiet_until = entries[0].at if entries and internal and not asked.is_narrowed else None
    context |= {"page": page, "log": log_rows(entries, visits, silence_until=quiet_until)}
    return render(request, "incidents/log.html", context)


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _incident(request: HttpRequest, incident_id: str) -> Incident:
    """The incident, if this person may see it; otherwise it does not exist."""
    return get_object_or_404(incidents_for(_user(request)), pk=incident_id)


def _stamp(request: HttpRequest, form: Form) -> Stamp:
    return Stamp(by=_user(request), at=form.at, now=form.now, source=Source.WEB)


def _command_page(
    request: HttpRequest, incident: Incident, now: datetime, *, refused: Form | None = None, status: int = 200
) -> HttpResponse:
    """The page of one incident. A refused form stands where it was sent from, with what was typed in it.

    If its place is gone (the incident was resolved, the team has come), it stands on top.
    """
    user = _user(request)
    audience = audience_for(user, incident)
    shown = board(incident, user, audience, now)
    forms = _forms(incident, audience, now) | _answers(shown, now)
    if refused and refused.key in forms:
        forms[refused.key] = refused
    context = {
        "board": replace(shown, teams=[replace(row, form=forms.get(f"answer-{row.id}")) for row in shown.teams]),
        "stray": refused if refused and refused.key not in forms else None,
        "incident": incident,
        "forms": forms,
        "now": now,
        "people": visible(User.objects.all(), user)[:SUGGESTED] if audience.may_command else [],
        "next_status": Status.ACTIVE if incident.status == Status.MONITORING else Status.MONITORING,
    }
    return render(request, "incidents/detail.html", context, status=status)


def _forms(incident: Incident, audience: Audience, now: datetime) -> dict[str, Form]:
    """The empty forms this person gets."""
    forms: dict[str, Form] = {}
    if audience.may_post:
        forms["post"] = (LogForm if audience.may_command else ResponderLogForm)(now=now, key="post")
    if audience.may_command and incident.is_open:
        forms["update"] = UpdateForm(now=now, key="update")
        forms["milestone"] = MilestoneForm(now=now, key="milestone")
        forms["advance"] = AdvanceForm(now=now, key="advance", incident=incident)
        forms["page"] = PageForm(now=now, key="page")
        forms["role"] = RoleForm(now=now, key="role")
    return forms


def _answers(shown: Board, now: datetime) -> dict[str, Form]:
    """A small form for each team that is still awaited."""
    keys = [f"answer-{row.id}" for row in shown.teams if row.may_answer]
    return {key: AnswerForm(now=now, key=key) for key in keys}


# --- What people do on the page: one address each ---

Act = Callable[..., str]


def _doing(
    form_class: type[Form], key: str, *, may: str = "may_command"
) -> Callable[[Act], Callable[..., HttpResponse]]:
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
            incident = _incident(request, incident_id)
            if request.method == "GET":
                return redirect("incidents:detail", incident.pk)
            audience = audience_for(_user(request), incident)
            if not getattr(audience, may):
                return refusal(request, NotCalled() if may == "may_post" else RoleRequired.to(Can.COMMAND))
            form = _bound(form_class, request, incident, audience, key="-".join([key, *route.values()]))
            return _carry_out(act, request, incident, form, **route)

        return view

    return decorate


def _bound(form_class: type[Form], request: HttpRequest, incident: Incident, audience: Audience, key: str) -> Form:
    if form_class is LogForm and not audience.may_command:
        form_class = ResponderLogForm
    needs = {"incident": incident} if form_class is AdvanceForm else {}
    return form_class(request.POST, now=timezone.now(), key=key, **needs)


def _carry_out(act: Act, request: HttpRequest, incident: Incident, form: Form, **route: str) -> HttpResponse:
    if not form.is_valid():
        return _command_page(request, incident, form.now, refused=form, status=422)
    try:
        done = act(request, incident, form, _stamp(request, form), **route)
    except DomainError as error:
        if error.status == 403:
            return refusal(request, error)
        form.refuse(error)
        as_it_is = incidents_for(_user(request)).get(pk=incident.pk)
        return _command_page(request, as_it_is, form.now, refused=form, status=error.status)
    messages.success(request, done + _backdated(form))
    return redirect("incidents:detail", incident.pk)


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
        incident, title=said["title"], body=said["body"], next_update_eta=form.promise, stamp=stamp
    )
    promise = f" Next update promised for {words.hour(cut.next_update_eta, form.now)}." if cut.next_update_eta else ""
    return f"Milestone {cut.sequence} published.{promise}"


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
    arrival_source(_user(request), dispatch)
    actions.acknowledge_page(incident, dispatch, stamp=stamp)
    return f"{dispatch.team.name} acknowledged."


@_doing(AnswerForm, "answer", may="may_post")
def arrive(request: HttpRequest, incident: Incident, form: Form, stamp: Stamp, page_id: str) -> str:
    dispatch = _dispatch(request, incident, page_id)
    source: ArrivalSource = arrival_source(_user(request), dispatch)
    actions.record_arrival(incident, dispatch, arrival_source=source, stamp=stamp)
    return f"{dispatch.team.name} on the bridge."


def _dispatch(request: HttpRequest, incident: Incident, page_id: str) -> TeamPage:
    pages = visible(incident.team_pages.select_related("team"), _user(request))
    return get_object_or_404(pages, pk=page_id)


@_doing(RoleForm, "role")
def role(request: HttpRequest, incident: Incident, form: Form, stamp: Stamp) -> str:
    said = form.cleaned_data
    actions.assign_role(incident, said["role"], user=said["user"], name=said["name"], stamp=stamp)
    holder = said["user"].name if said["user"] else said["name"]
    label = CommandRole(said["role"]).label
    return f"{holder} is {label}." if holder else f"{label} is unclaimed."


# --- Forms with a page of their own ---


def _commanding(view: Page) -> Page:
    """For people who command: GET shows the form, POST sends it."""

    @answered_for(Can.COMMAND)
    @require_http_methods(["GET", "POST"])
    @wraps(view)
    def guarded(request: HttpRequest, incident_id: str, **route: str) -> HttpResponse:
        return view(request, _incident(request, incident_id), timezone.now(), **route)

    return guarded


def _form_page(request: HttpRequest, template: str, incident: Incident, form: Form, **more: Any) -> HttpResponse:
    status = more.pop("status", 422 if form.is_bound else 200)
    context = {"incident": incident, "severity": severity_badge(incident.severity), "form": form, "now": form.now}
    return render(request, template, context | more, status=status)


def _done(request: HttpRequest, incident: Incident, sentence: str) -> HttpResponse:
    messages.success(request, sentence)
    return redirect("incidents:detail", incident.pk)


@_commanding
def edit(request: HttpRequest, incident: Incident, now: datetime) -> HttpResponse:
    """Writes what the person changed. A field that somebody else changed meanwhile shows both values."""
    if request.method == "GET":
        return _form_page(request, "incidents/edit.html", incident, EditForm(now=now, incident=incident))
    form = EditForm(request.POST, now=now, incident=incident)
    if not form.is_valid():
        return _form_page(request, "incidents/edit.html", incident, form)
    if theirs := form.conflicts:
        return _form_page(request, "incidents/edit.html", incident, form.merged(theirs), is_conflict=True, status=409)
    try:
        actions.edit_incident(incident, form.changes, stamp=_stamp(request, form), expected_version=incident.version)
    except DomainError as error:
        form.refuse(error)
        return _form_page(request, "incidents/edit.html", incident, form, status=error.status)
    return _done(request, incident, "Saved." if form.changes else "Nothing was changed.")


@_commanding
def resolve(request: HttpRequest, incident: Incident, now: datetime) -> HttpResponse:
    """Shows what is still missing, and resolves all the same if the person says so."""
    form = ResolveForm(request.POST if request.method == "POST" else None, now=now)
    gaps = missing_before_resolve(incident, _user(request))
    if not form.is_valid():
        return _form_page(request, "incidents/resolve.html", incident, form, gaps=gaps)
    try:
        actions.resolve(incident, summary=form.cleaned_data["summary"], stamp=_stamp(request, form))
    except DomainError as error:
        form.refuse(error)
        return _form_page(request, "incidents/resolve.html", incident, form, gaps=gaps, status=error.status)
    return _done(request, incident, "Resolved. The clocks have stopped." + _backdated(form))


@_commanding
def reopen(request: HttpRequest, incident: Incident, now: datetime) -> HttpResponse:
    form = ReopenForm(request.POST if request.method == "POST" else None, now=now)
    if not form.is_valid():
        return _form_page(request, "incidents/reopen.html", incident, form)
    said = form.cleaned_data
    try:
        actions.reopen(incident, reason=said["reason"], to=said["phase"], stamp=_stamp(request, form))
    except DomainError as error:
        form.refuse(error)
        return _form_page(request, "incidents/reopen.html", incident, form, status=error.status)
    return _done(request, incident, "Reopened. The clocks run again." + _backdated(form))


@answered_for(Can.READ_INCIDENTS)
@require_http_methods(["GET", "POST"])
def correct(request: HttpRequest, incident_id: str, entry_id: str) -> HttpResponse:
    """Appends a corrected copy; the original stays, struck through."""
    now, incident, user = timezone.now(), _incident(request, incident_id), _user(request)
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
    return _done(request, incident, "Corrected. The original stays in the log, struck through.")


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
