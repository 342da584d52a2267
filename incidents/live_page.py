"""`/incidents/<id>/live`: the parts of the command page that change, as JSON to poll or as a stream of events.

Behind majorops/stream.py the stream stays open. On any other server it ends after its first event, and browsers ask
again by themselves every five seconds, saying what they have.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags
from django.views.decorators.http import require_GET

from accounts.permissions import RoleRequired
from accounts.refusals import refusal
from accounts.roles import Can
from incidents import live
from incidents.pages import page, person
from majorops.lib.times import iso

#: In the ASGI scope of a server that keeps streams open: a list, which gets the watch that is granted.
GRANTED = "majorops.granted"
#: Milliseconds until a browser asks again.
RETRY = 5000


def event(kind: str, data: dict[str, Any], *, id: str = "") -> bytes:
    """One server-sent event. JSON keeps the lines of the markup out of the way of the protocol's."""
    head = f"id: {id}\n" if id else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


@page(Can.READ_INCIDENTS)
@require_GET
def blocks(request: HttpRequest, incident_id: str, face: str = "") -> HttpResponseBase:
    """What changed since the standing that the caller names: nothing, or every block of the page they have."""
    user, now = person(request), timezone.now()
    if face == "exec" and not user.can(Can.READ_EXECUTIVE):
        return refusal(request, RoleRequired.to(Can.READ_EXECUTIVE))
    is_stream = request.accepts("text/event-stream") and "text/event-stream" in request.headers.get("Accept", "")
    granted: list[live.Watch] | None = getattr(request, "scope", {}).get(GRANTED)
    if is_stream and granted is not None:
        response = _kept_open(request, incident_id, now, granted, face)
    elif (state := live.state_for(user, incident_id, now)) is None:
        raise Http404
    else:
        response = _stream(request, state, now, face) if is_stream else _answer(request, state, now, face)
    response["Cache-Control"] = "no-store" if is_stream else "private, no-cache"
    patch_vary_headers(response, ["Accept", "Cookie"])
    return response


def _answer(request: HttpRequest, state: live.State, now: datetime, face: str) -> HttpResponse:
    tag = f'W/"{state.standing}"'
    response: HttpResponse
    if tag in parse_etags(request.headers.get("If-None-Match", "")):
        response = HttpResponseNotModified()
    else:
        shown = live.blocks_for(person(request), state.incident, now, face)
        told = {"standing": state.standing, "now": iso(now), "role": person(request).role, "blocks": shown}
        response = JsonResponse(told)
    response["ETag"] = tag
    return response


def _kept_open(
    request: HttpRequest, incident_id: str, now: datetime, granted: list[live.Watch], face: str
) -> HttpResponse:
    """Only the first word: who keeps the stream open sends what is missing, rendered once for all that come at once."""
    if not live.may_watch(person(request), incident_id):
        raise Http404
    granted.append(live.Watch(person(request), incident_id, _has(request), face))
    return _events(_opening(request, now))


def _stream(request: HttpRequest, state: live.State, now: datetime, face: str) -> HttpResponse:
    body = _opening(request, now)
    if _has(request) != state.standing:
        shown = live.blocks_for(person(request), state.incident, now, face)
        body += event("blocks", {"now": iso(now), "blocks": shown}, id=state.standing)
    return _events(body)


def _has(request: HttpRequest) -> str:
    """Up to which standing the browser has the page. It is kept as long as the stream, so not longer than one is."""
    return (request.headers.get("Last-Event-ID") or request.GET.get("has", ""))[:26]


def _opening(request: HttpRequest, now: datetime) -> bytes:
    """Who is watching comes first: a page that was made for another role takes nothing in."""
    viewer = event("viewer", {"role": person(request).role})
    return f"retry: {RETRY}\n\n".encode() + viewer + event("beat", {"now": iso(now)})


def _events(body: bytes) -> HttpResponse:
    response = HttpResponse(body, content_type="text/event-stream")
    # Proxies would keep the events until there are enough of them.
    response["X-Accel-Buffering"] = "no"
    return response
