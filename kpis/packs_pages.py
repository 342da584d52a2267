"""The pages of packs: one for each with its KPIs, what can be claimed, the roadmap, checklists, before and after; the
assignment of anomalies; and the Ops Pulse tile."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounts.permissions import required
from accounts.refusals import refusal
from accounts.roles import Can
from incidents.forms.core import Form
from incidents.pages import page, person
from kpis.evidence import Evidence
from kpis.facts import ingest
from kpis.packs import files, reading, sessions
from kpis.packs import tables as packs_tables
from kpis.packs.files import NoSuchPack, Pack
from kpis.packs.pulse import pulse as felt
from kpis.packs.sessions import ASSIGNED, DISMISSED, PACK, session_opened
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.times import iso

QUARTER = timedelta(days=90)


def _pack(slug: str) -> Pack:
    try:
        return files.pack(slug)
    except NoSuchPack:
        raise Http404 from None


def _frame(pack: Pack, **more: Any) -> dict[str, Any]:
    return {"pack": pack, "is_centre": pack.slug == PACK, **more}


@page(Can.READ_EXEC_KPIS)
@require_GET
def packs(request: HttpRequest) -> HttpResponse:
    """Every pack, and since when it is installed."""
    known = reading.installs(person(request))
    rows = [(pack, len(list(pack.entries)), known.get(pack.slug)) for pack in files.every()]
    return render(request, "kpis/packs.html", {"rows": rows})


@page(Can.READ_EXEC_KPIS)
@require_GET
def pack(request: HttpRequest, pack: str) -> HttpResponse:
    """Every KPI of the pack that this person may read."""
    told, now, user = _pack(pack), timezone.now(), person(request)
    if told.slug == PACK:
        session_opened(request, user, now)
    found = reading.opened(told, user, now)
    proposed = [row for row in found.rows if row.figure.evidence == Evidence.PROPOSED]
    return render(request, "kpis/pack.html", _frame(told, found=found, proposed=proposed, now=now))


@page(Can.READ_EXEC_KPIS)
@require_GET
def claims(request: HttpRequest, pack: str) -> HttpResponse:
    """What can be said today, what only with its doubts, and what must be measured first."""
    told = _pack(pack)
    found = reading.opened(told, person(request), timezone.now())
    uses = {use: [row for row in found.rows if row.use == use] for use in ("now", "doubtful", "needed")}
    return render(request, "kpis/pack_claims.html", _frame(told, found=found, **uses))


@page(Can.READ_EXEC_KPIS)
@require_GET
def tables(request: HttpRequest, pack: str) -> HttpResponse:
    """The KPIs of the pack side by side: by group, by rung, by day."""
    told, now, user = _pack(pack), timezone.now(), person(request)
    if not told.tables:
        raise Http404
    found = reading.opened(told, user, now)
    shown = packs_tables.grids(found, user, now) if found.install else []
    return render(request, "kpis/pack_tables.html", _frame(told, found=found, grids=shown))


@page(Can.READ_EXEC_KPIS)
@require_GET
def roadmap(request: HttpRequest, pack: str) -> HttpResponse:
    """The programme with its days, and what must be measured by when."""
    told = _pack(pack)
    found = reading.opened(told, person(request), timezone.now())
    steps = reading.roadmap(found, found.install.started_on) if found.install else []
    return render(request, "kpis/pack_roadmap.html", _frame(told, found=found, steps=steps))


@page(Can.READ_EXEC_KPIS)
@require_GET
def case_study(request: HttpRequest, pack: str) -> HttpResponse:
    """Some figures before and after. A change is told only where both ends have evidence."""
    told, now, user = _pack(pack), timezone.now(), person(request)
    if told.case_study is None:
        raise Http404
    try:
        after = _moment(request.GET.get("after", ""), "after", now)
        before = _moment(request.GET.get("before", ""), "before", after - QUARTER)
        if before >= after:
            raise Invalid("before must come before after.", field="before")
    except DomainError as error:
        return refusal(request, error)
    pairs = reading.case_study(told.case_study.kpis, user, before=before, after=after, now=now)
    context = _frame(told, study=told.case_study, pairs=pairs, before=before, after=after)
    return render(request, "kpis/pack_case_study.html", context)


def _moment(text: str, field: str, default: datetime) -> datetime:
    """The end of a day."""
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid("This is a day, e.g. 2026-03-31.", field=field) from None
    return datetime.combine(day + timedelta(days=1), time(), UTC) if day else default


@page(Can.READ_INTERNAL_KPIS)
@require_http_methods(["GET", "POST"])
def checklists(request: HttpRequest, pack: str) -> HttpResponse:
    """What is done of each checklist; ticking one writes a fact."""
    told, now, user = _pack(pack), timezone.now(), person(request)
    installed = reading.installs(user).get(told.slug)
    if not told.checklists:
        raise Http404
    if request.method == "POST":
        try:
            said = _tick(request, told, now)
        except DomainError as error:
            return refusal(request, error)
        messages.success(request, said)
        return redirect("kpis:pack-checklists", told.slug)
    shown = reading.checklists(told, installed.started_on, user) if installed else []
    done, listed = sum(each.done for each in shown), sum(len(each.items) for each in shown)
    context = _frame(told, install=installed, checklists=shown, done=done, listed=listed)
    return render(request, "kpis/pack_checklists.html", context)


def _tick(request: HttpRequest, pack: Pack, now: datetime) -> str:
    """Raises Invalid for what is on no checklist."""
    key, is_done = request.POST.get("key", ""), request.POST.get("done") == "1"
    listed = next((each for each in pack.checklists if key in each.items), None)
    if listed is None:
        raise Invalid("This stands on no checklist of the pack.", field="key")
    user = person(request)
    if not user.can(Can.WRITE_FACTS):
        raise required(user, Can.WRITE_FACTS)
    event = {
        "kind": listed.kind,
        "occurredAt": iso(now),
        "subject": key,
        "payload": {"done": is_done},
        "actor": user.email,
        "requestId": str(getattr(request, "request_id", ""))[:80],
    }
    ingest.append(event, source=sessions.SOURCE, now=now)
    return f"{listed.items[key]}: {'done' if is_done else 'not done after all'}."


# --- Anomalies ---


class AssignForm(Form):
    """What is done about an anomaly."""

    action = forms.ChoiceField(
        label="What is done", choices=[(ASSIGNED, "Assigned to somebody"), (DISMISSED, "Nothing to do")]
    )
    note = forms.CharField(
        label="Who, and what they do", max_length=300, required=False, help_text="No e-mail addresses."
    )
    evidence_url = forms.URLField(
        label="Evidence", required=False, assume_scheme="https", help_text="A ticket or document, https."
    )


@page(Can.READ_INTERNAL_KPIS)
@require_GET
def anomalies(request: HttpRequest) -> HttpResponse:
    """Landing pages with unusual visits of the last four weeks, and what was decided about each."""
    now = timezone.now()
    return render(request, "kpis/anomalies.html", {"rows": sessions.anomalies(person(request), now), "now": now})


@page(Can.WRITE_FACTS)
@require_http_methods(["GET", "POST"])
def assign(request: HttpRequest, fact_id: str) -> HttpResponse:
    """One anomaly: the form writes the decision that the response rate counts."""
    now, user = timezone.now(), person(request)
    found = next((each for each in sessions.anomalies(user, now) if each.fact.pk == fact_id), None)
    if found is None:
        raise Http404
    form = AssignForm(request.POST if request.method == "POST" else None, now=now)
    if not form.is_valid():
        return _assign_page(request, found, form, 422 if form.is_bound else 200)
    request_id = str(getattr(request, "request_id", ""))
    try:
        sessions.decide(fact_id, user, request_id=request_id, now=now, **form.cleaned_data)
    except DomainError as error:
        form.refuse(error)
        return _assign_page(request, found, form, error.status)
    messages.success(request, f"Decided for {found.page} of {found.shop}.")
    return redirect("kpis:anomalies")


def _assign_page(request: HttpRequest, found: sessions.Anomaly, form: AssignForm, status: int) -> HttpResponse:
    return render(request, "kpis/assign.html", {"row": found, "form": form}, status=status)


# --- Ops Pulse ---


@page(Can.READ_EXEC_KPIS)
@require_GET
def pulse(request: HttpRequest) -> HttpResponse:
    """The tile on a page of its own; `?wall=1` for a screen on the wall."""
    now, user = timezone.now(), person(request)
    session_opened(request, user, now)
    return render(request, "kpis/pulse.html", {"pulse": felt(user, now), "wall": request.GET.get("wall") == "1"})


@page(Can.READ_EXEC_KPIS)
@require_GET
def pulse_tile(request: HttpRequest) -> HttpResponse:
    """The tile alone, to be put into another page."""
    return render(request, "kpis/_pulse.html", {"pulse": felt(person(request), timezone.now())})
