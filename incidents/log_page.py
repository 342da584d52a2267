"""The whole log of an incident: a page, a lasting address for every entry, and files to take along."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts import audit
from accounts.roles import Can
from incidents import exports
from incidents.badges import severity_badge
from incidents.logbook import Reader, entry_of, log_rows, with_corrections
from incidents.models import EntryQuerySet, Incident, PhaseEntry, TimelineEvent
from incidents.pages import asked_incident, page, person
from incidents.searches import LogFilter
from incidents.viewing import audience_for
from majorops.lib.visibility import visible

PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class Log:
    """What one person reads of the log, and what of it they asked for."""

    incident: Incident
    reader: Reader
    visits: list[PhaseEntry]
    filters: LogFilter

    @classmethod
    def asked(cls, request: HttpRequest, incident: Incident) -> Log:
        user = person(request)
        reader = Reader(user, audience_for(user, incident))
        internal = reader.audience.reads_internal
        visits = list(visible(incident.phase_entries.order_by("entered_at", "id"), user)) if internal else []
        actors = visible(incident.timeline.order_by("actor"), user).values_list("actor", flat=True).distinct()
        filters = LogFilter(request.GET, viewer=user, actors=actors, visits=visits if internal else None)
        return cls(incident, reader, visits, filters)

    @property
    def events(self) -> EntryQuerySet:
        """The entries asked for, each with its corrections, in the order asked for."""
        found = with_corrections(self.filters.matching(originals(self.incident, self.reader)), self.reader.user)
        return found.order_by("occurred_at", "id") if self.filters.is_oldest_first else found

    def silence_until(self, shown: Page[TimelineEvent], now: datetime) -> datetime | None:
        """What stands next to the first entry of the page; None where a filter makes silences meaningless."""
        if self.filters.is_narrowed or not self.reader.audience.reads_internal or not len(shown):
            return None
        if shown.has_previous():
            times = self.events.prefetch_related(None).values_list("occurred_at", flat=True)
            return times[shown.start_index() - 2]
        is_going_on = self.incident.is_open and not self.filters.is_oldest_first
        return now if is_going_on else shown[0].occurred_at

    def frame(self, now: datetime) -> dict[str, Any]:
        badge = severity_badge(self.incident.severity)
        may_compose = self.reader.audience.may_command and self.incident.is_open
        return {
            "incident": self.incident,
            "severity": badge,
            "filters": self.filters,
            "may_compose": may_compose,
            "now": now,
        }

    def refused(self, request: HttpRequest, now: datetime) -> HttpResponse:
        """The page with the filters as they were asked for, and what is wrong with them."""
        return render(request, "incidents/log.html", self.frame(now), status=400)


def originals(incident: Incident, reader: Reader) -> EntryQuerySet:
    """The entries that are no corrections of others."""
    return visible(incident.timeline.filter(corrects=None), reader.user)


@page(Can.READ_INCIDENTS)
@require_GET
def log(request: HttpRequest, incident_id: str) -> HttpResponse:
    now, incident = timezone.now(), asked_incident(request, incident_id)
    asked = Log.asked(request, incident)
    context = {
        "incident": incident,
        "severity": severity_badge(incident.severity),
        "filters": asked.filters,
        "now": now,
    }
    if not asked.filters.is_valid():
        return render(request, "incidents/log.html", context, status=400)
    shown = Paginator(asked.events, PAGE_SIZE).get_page(request.GET.get("page"))
    rows = log_rows(
        [entry_of(event, asked.reader) for event in shown],
        asked.visits,
        silence_until=asked.silence_until(shown, now),
        is_oldest_first=asked.filters.is_oldest_first,
    )
    return render(request, "incidents/log.html", asked.frame(now) | {"page": shown, "log": rows})


@page(Can.READ_INCIDENTS)
@require_GET
def entry(request: HttpRequest, incident_id: str, entry_id: str) -> HttpResponse:
    """Leads to the entry, on whatever page of the log it stands by now. A correction stands with its original."""
    incident = asked_incident(request, incident_id)
    user = person(request)
    asked_for = get_object_or_404(visible(incident.timeline.all(), user), pk=entry_id)
    events = originals(incident, Reader(user, audience_for(user, incident)))
    found = get_object_or_404(events, pk=asked_for.corrects_id or asked_for.pk)
    later = Q(occurred_at__gt=found.occurred_at) | Q(occurred_at=found.occurred_at, pk__gt=found.pk)
    number = events.filter(later).count() // PAGE_SIZE + 1
    query = f"?page={number}" if number > 1 else ""
    return redirect(f"{reverse('incidents:log', args=[incident.pk])}{query}#e-{found.pk}")


Writer = Callable[[exports.LogFile, Iterable[TimelineEvent]], Iterator[str]]


def export(form: str, content_type: str, write: Writer) -> Callable[..., HttpResponseBase]:
    """An address that hands out, as a file, exactly what the page shows for the same filters."""

    @page(Can.READ_INCIDENTS)
    @require_GET
    def view(request: HttpRequest, incident_id: str) -> HttpResponseBase:
        incident = asked_incident(request, incident_id)
        asked = Log.asked(request, incident)
        if not asked.filters.is_valid():
            return asked.refused(request, timezone.now())
        what = {"what": "log", "format": form, "filter": asked.filters.wanted}
        audit.record(audit.Action.EXPORT, request=request, obj=incident, after=what)
        file = exports.LogFile(
            incident, asked.reader, asked.visits, asked.filters.wanted, timezone.now(), asked.filters.is_oldest_first
        )
        events = asked.events.iterator(chunk_size=exports.CHUNK)
        return exports.download(request, write(file, events), f"incident-{incident.pk}-log.{form}", content_type)

    return view


as_csv = export("csv", "text/csv", exports.log_csv)
as_markdown = export("md", "text/markdown", exports.log_markdown)
as_json = export("json", "application/json", exports.log_json)
