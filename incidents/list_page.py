"""The list of incidents: the active ones first, then the past, filtered by what stands in the address."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts import audit
from accounts.roles import Can
from incidents import exports
from incidents.board import rows
from incidents.lifecycle import Severity, Status
from incidents.pages import page, person
from incidents.searches import SearchForm
from incidents.viewing import incidents_for

PAGE_SIZE = 50

_BY_SEVERITY = list(Severity)


@page(Can.READ_INCIDENTS)
@require_GET
def incident_list(request: HttpRequest) -> HttpResponse:
    now, user = timezone.now(), person(request)
    asked = SearchForm(request.GET, viewer=user, now=now)
    if not asked.is_valid():
        return render(request, "incidents/list.html", {"filters": asked, "now": now}, status=400)
    found = asked.matching(incidents_for(user))
    active = sorted(found.active(), key=lambda incident: _BY_SEVERITY.index(Severity(incident.severity)))
    running = rows(active, now)
    resolved = found.filter(status=Status.RESOLVED)
    history = Paginator(resolved.newest_first(), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "filters": asked,
        "now": now,
        "active": running,
        "overdue": sum(row.due.tone == "over" for row in running),
        "history": rows(history, now),
        "page": history,
        "last": None if active or asked.is_narrowed else resolved.order_by("-resolved_at").first(),
    }
    return render(request, "incidents/list.html", context)


@page(Can.READ_INCIDENTS)
@require_GET
def as_csv(request: HttpRequest) -> HttpResponseBase:
    """Every incident that the page finds for the same filters, newest first."""
    now, user = timezone.now(), person(request)
    asked = SearchForm(request.GET, viewer=user, now=now)
    if not asked.is_valid():
        return render(request, "incidents/list.html", {"filters": asked, "now": now}, status=400)
    what = {"what": "incidents", "format": "csv", "filter": asked.wanted}
    audit.record(audit.Action.EXPORT, request=request, after=what)
    found = asked.matching(incidents_for(user)).newest_first().iterator(chunk_size=exports.CHUNK)
    return exports.download(request, exports.incidents_csv(found, now), "incidents.csv", "text/csv")
