"""The calendar of a person: a file to download, and an address that calendar programs ask again and again."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from accounts.middleware import open_to_anyone
from accounts.models import User
from accounts.refusals import refusal
from accounts.roles import Can
from incidents import actions
from incidents.calendar import as_ical, reminders
from incidents.forms.core import Form
from incidents.models import CalendarFeed
from incidents.pages import NothingHere, page, person, stamp
from incidents.survey_links import feed_of, feed_token
from majorops.lib.visibility import visible


@page(Can.READ_INCIDENTS)
@require_http_methods(["GET", "POST"])
def calendar(request: HttpRequest) -> HttpResponse:
    """What is in it, its address, and the button that ends the address."""
    if request.method == "GET":
        feed = visible(CalendarFeed.objects.filter(revoked_at=None), person(request)).first()
        address = _address(request, feed) if feed else ""
        coming = sorted(reminders(person(request)), key=lambda each: str(each.at))
        return render(
            request, "incidents/calendar.html", {"address": address, "coming": coming[:50], "count": len(coming)}
        )
    form = Form(request.POST, now=timezone.now())
    form.is_valid()
    if "revoke" in request.POST:
        actions.revoke_calendar(stamp(request, form))
        messages.success(request, "The address is switched off. Calendars that used it get nothing more.")
    else:
        actions.open_calendar(stamp(request, form))
        messages.success(request, "Here is your address. Whoever has it reads your calendar.")
    return redirect("calendar")


def _address(request: HttpRequest, feed: CalendarFeed) -> str:
    path = reverse("calendar-feed", args=[feed_token(feed)])
    base = settings.MAJOROPS_PUBLIC_URL.rstrip("/")
    return base + path if base else request.build_absolute_uri(path)


@page(Can.READ_INCIDENTS)
@require_GET
def download(request: HttpRequest) -> HttpResponse:
    return _file(person(request))


@open_to_anyone
@never_cache
@require_GET
def feed(request: HttpRequest, token: str) -> HttpResponse:
    """For calendar programs, which have no session. It tells what the person may read now, with their role of now."""
    found = feed_of(token)
    if found is None:
        return refusal(request, NothingHere())
    return _file(found.user)


def _file(user: User) -> HttpResponse:
    headers = {"Content-Disposition": 'attachment; filename="majorops.ics"', "X-Content-Type-Options": "nosniff"}
    content = as_ical(reminders(user), timezone.now())
    return HttpResponse(content, content_type="text/calendar; charset=utf-8", headers=headers)
