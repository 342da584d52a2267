"""`/incidents/<id>/milestone/compose`: a milestone from chosen log entries, as each audience will see it.

What is typed is kept as a draft that only its writer reads. It publishes when that person says so, never by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.roles import Can, Role, allows
from incidents import actions, words
from incidents.audience import Audience, audience
from incidents.badges import Badge, due_badge, severity_badge
from incidents.board import ENTRIES_SHOWN, IMPACT, Fact, Line, canned_texts, facts, quotable, quoted_line
from incidents.forms.promises import MilestoneForm
from incidents.logbook import Reader, entry_of, with_corrections
from incidents.models import Incident, MilestoneDraft
from incidents.pages import asked_incident, page, person, stamp
from incidents.viewing import PUBLISHED, audience_for, readable_fields
from majorops.lib.errors import DomainError
from majorops.lib.ulid import parse_ulid
from majorops.lib.visibility import visible

#: Fields of the form that a draft keeps.
KEPT = ("title", "body", "lines", "next_update", "next_update_at", "zone", "no_promise_reason", "happened")


@dataclass(frozen=True, slots=True)
class Preview:
    """The milestone as one audience will read it, with what stands beside it there."""

    name: str
    label: str
    due: Badge
    facts: list[Fact]
    headline: str
    number: int
    is_signed_in: bool = True
    #: Why this audience gets nothing, if it does not.
    why_not: str = ""


@page(Can.COMMAND)
@require_http_methods(["GET", "POST"])
def compose(request: HttpRequest, incident_id: str) -> HttpResponse:
    """GET shows the draft and the previews, `?entry=` adds entries; POST keeps, throws away or publishes it."""
    now, incident, user = timezone.now(), asked_incident(request, incident_id), person(request)
    if request.method == "GET":
        draft = visible(MilestoneDraft.objects.filter(incident=incident, user=user), user).first()
        return _shown(request, incident, draft, now)
    what = request.POST.get("do", "publish")
    if what == "discard":
        actions.forget_draft(incident, user)
        messages.success(request, "Draft thrown away. Nothing was published.")
        return redirect("incidents:detail", incident.pk)
    if what == "keep":
        return _keep(request, incident, user, now)
    return _publish(request, incident, user, now)


def _keep(request: HttpRequest, incident: Incident, user: User, now: datetime) -> HttpResponse:
    typed = {name: request.POST.getlist(name) for name in KEPT if name in request.POST}
    try:
        actions.keep_draft(incident, user, typed, now=now)
    except DomainError as error:
        return _form(request, incident, now, _bound(request.POST, incident, user, now), error=error)
    return redirect(reverse("incidents:compose", args=[incident.pk]) + "#previews")


def _publish(request: HttpRequest, incident: Incident, user: User, now: datetime) -> HttpResponse:
    form = _bound(request.POST, incident, user, now)
    if not form.is_valid():
        return _form(request, incident, now, form)
    said = form.cleaned_data
    try:
        cut = actions.cut_milestone(
            incident,
            title=said["title"],
            body=said["body"],
            next_update_eta=form.promise,
            no_promise_reason=said.get("no_promise_reason", ""),
            entries=form.entries,
            stamp=stamp(request, form),
        )
    except DomainError as error:
        return _form(request, incident, now, form, error=error)
    due = f" Next update promised for {words.hour(cut.next_update_eta, now)}." if cut.next_update_eta else ""
    messages.success(request, f"Milestone {cut.sequence} published.{due}")
    return redirect("incidents:detail", incident.pk)


# --- The form, and what it will look like ---


def _bound(typed: Any, incident: Incident, user: User, now: datetime) -> MilestoneForm:
    lines = _lines(incident, user, typed.getlist("lines"))
    return MilestoneForm(typed, now=now, key="compose", lines=lines, status=incident.status)


def _lines(incident: Incident, user: User, chosen: list[str]) -> list[Line]:
    """What may be quoted, oldest first: what people wrote since the last milestone, and what was chosen besides."""
    reader = Reader(user, audience_for(user, incident))
    originals = visible(incident.timeline.filter(corrects=None), user)
    newest = [entry_of(event, reader) for event in with_corrections(originals, user)[:ENTRIES_SHOWN]]
    last = visible(incident.milestones.order_by("-sequence"), user).first()
    offered = {line.id: line for line in quotable(newest, last.created_at if last else None)}
    picked = [entry_of(event, reader) for event in with_corrections(originals.filter(pk__in=_ids(chosen)), user)]
    offered |= {entry.id: quoted_line(entry) for entry in picked}
    return sorted(offered.values(), key=lambda line: (line.at, line.id))


def _ids(texts: list[str]) -> list[str]:
    """Those of them that are ids."""
    found = []
    for text in texts:
        try:
            found.append(parse_ulid(text))
        except ValueError:
            continue
    return found


def _shown(request: HttpRequest, incident: Incident, draft: MilestoneDraft | None, now: datetime) -> HttpResponse:
    """The form as it was left, with the entries that were chosen just now."""
    user, typed = person(request), QueryDict(mutable=True)
    for name, values in (draft.typed if draft else {}).items():
        typed.setlist(name, values)
    chosen = [*typed.getlist("lines"), *_ids(request.GET.getlist("entry"))]
    lines = _lines(incident, user, chosen)
    initial: dict[str, Any] = {name: typed[name] for name in typed if name != "lines"}
    if chosen or draft:
        initial["lines"] = chosen
    for text in canned_texts(incident, user):
        if text.key == request.GET.get("text"):
            initial["body"] = text.text
    form = MilestoneForm(now=now, key="compose", lines=lines, status=incident.status, initial=initial)
    checked = MilestoneForm(_as_sent(form), now=now, key="compose", lines=lines, status=incident.status)
    return _form(request, incident, now, form, checked=checked, draft=draft)


def _as_sent(form: MilestoneForm) -> QueryDict:
    """What a browser would send if the person pressed the button now."""
    sent = QueryDict(mutable=True)
    for field in form:
        value = field.value()
        sent.setlist(field.html_name, value if isinstance(value, list) else [value or ""])
    return sent


def _form(
    request: HttpRequest,
    incident: Incident,
    now: datetime,
    form: MilestoneForm,
    *,
    checked: MilestoneForm | None = None,
    draft: MilestoneDraft | None = None,
    error: DomainError | None = None,
) -> HttpResponse:
    if error is not None:
        form.refuse(error)
    user = person(request)
    ready = checked if checked is not None else form
    is_ready = ready.is_valid()
    context = {
        "incident": incident,
        "severity": severity_badge(incident.severity),
        "form": form,
        "draft": draft,
        "canned": [text for text in canned_texts(incident, user) if text.form == "milestone"],
        "said": {**ready.cleaned_data, "eta": ready.promise, "by": user.name} if is_ready else None,
        "missing": [] if is_ready or checked is None else ready.sentences,
        "previews": previews(incident, user, ready, now) if is_ready else [],
        "now": now,
    }
    status = error.status if error else 422 if form.is_bound else 200
    return render(request, "incidents/compose.html", context, status=status)


def previews(incident: Incident, user: User, form: MilestoneForm, now: datetime) -> list[Preview]:
    """The milestone as each audience will read it, were it published now."""
    number = visible(incident.milestones.all(), user).count() + 1
    due, headline = due_badge(form.promise, now), form.cleaned_data["title"]
    public = readable_public()
    why_not = "" if incident.publish_status and not incident.restricted else "This incident is not on the status page."
    return [
        Preview(role.value, f"{role.label}s", due, facts(incident, IMPACT, seen_by(role)), headline, number)
        for role in (Role.STAKEHOLDER, Role.EXECUTIVE)
    ] + [
        Preview(
            "public", "Public status page", due, facts(incident, IMPACT, public), headline, number,
            is_signed_in=False, why_not=why_not,
        )
    ]  # fmt: skip


def seen_by(role: Role) -> frozenset[str]:
    """The columns of an incident that people of this role read, who were not called to it."""
    reader: Audience = audience(partial(allows, role), was_called=False)
    return readable_fields(reader)


def readable_public() -> frozenset[str]:
    """The columns that anybody reads on the status page."""
    return PUBLISHED
