"""`/exec/` and `/incidents/<id>/exec`: what executives read, on a screen, on one sheet of paper, as text for mail."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.roles import Can
from incidents import live
from incidents.executive import exec_brief, lines, text_of
from incidents.lifecycle import Status
from incidents.pages import asked_incident, page, person
from incidents.viewing import incidents_for

#: Seconds until a screen on a wall asks again.
KIOSK_SECONDS = 30


@page(Can.READ_EXECUTIVE)
@require_GET
def executive_list(request: HttpRequest) -> HttpResponse:
    """What goes on. `?kiosk=1` is for a screen on a wall: nothing to press, and it asks again by itself."""
    now, incidents = timezone.now(), incidents_for(person(request))
    active = lines(incidents.active(), now)
    resolved = incidents.filter(status=Status.RESOLVED)
    context = {
        "lines": active,
        "overdue": sum(line.due.tone == "over" for line in active),
        "last": None if active else resolved.order_by("-resolved_at", "-id").first(),
        "now": now,
        "kiosk": KIOSK_SECONDS if request.GET.get("kiosk") == "1" else 0,
    }
    return render(request, "incidents/executive_list.html", context)


@page(Can.READ_EXECUTIVE)
@require_GET
def executive_brief(request: HttpRequest, incident_id: str) -> HttpResponse:
    now, user = timezone.now(), person(request)
    state = live.state_for(user, incident_id, now)
    if state is None:
        raise Http404
    brief = exec_brief(state.incident, user, now)
    context = {"incident": state.incident, "brief": brief, "now": now, "standing": state.standing}
    return render(request, "incidents/executive_brief.html", context)


@page(Can.READ_EXECUTIVE)
@require_GET
def as_text(request: HttpRequest, incident_id: str) -> HttpResponse:
    """The same page as plain text, for a mail."""
    brief = exec_brief(asked_incident(request, incident_id), person(request), timezone.now())
    return HttpResponse(text_of(brief), content_type="text/plain; charset=utf-8")
