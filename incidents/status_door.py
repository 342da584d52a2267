"""The door of the anonymous status page: switched on, alike for everybody, cacheable, open without a database."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.template import loader
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts.middleware import for_all_alike
from accounts.refusals import wants_page
from incidents.status_rules import Board
from incidents.status_snapshot import FRESH, Reading, read
from majorops.lib.errors import DomainError
from majorops.lib.problems import problem_response

Door = Callable[..., HttpResponse]


#: What browsers ask before they let a page of another site ask with an ETag.
TO_ANY_SITE = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "If-None-Match, Cache-Control",
    "Access-Control-Max-Age": "86400",
}


class NothingToShow(DomainError):
    """The status cannot be read at the moment, and was never read before. Try again in a few seconds."""

    code = "status_unavailable"
    status = 503


def status_door(answer: Callable[..., HttpResponse]) -> Door:
    """An address of the status page: `answer(request, reading, **route)` makes the whole answer from a `Reading`.

    Parameters of the query are ignored but for `page` of the history: clients add some against caches, `?_=123`.
    """

    @csrf_exempt  # nothing is written here: another method is refused as what it is
    @for_all_alike
    @require_http_methods(["GET", "HEAD", "OPTIONS"])
    @wraps(answer)
    def door(request: HttpRequest, **route: Any) -> HttpResponse:
        if not settings.MAJOROPS_STATUS_PAGE:
            raise Http404
        if request.method == "OPTIONS":
            return HttpResponse(status=204, headers=TO_ANY_SITE)
        reading = read(timezone.now())
        if reading is None:
            return _nothing(request)
        return _cacheable(request, answer(request, reading, **route), reading)

    return door


def _cacheable(request: HttpRequest, made: HttpResponse, reading: Reading) -> HttpResponse:
    """With its age if it has one, and 304 for those who have it already. The tag is made of the body: whatever is not
    in the body cannot be told from it."""
    if made.status_code == 200:
        made["ETag"] = f'"{hashlib.sha256(made.content).hexdigest()[:32]}"'
    made["Cache-Control"] = f"public, max-age={int(FRESH.total_seconds())}"
    answer = get_conditional_response(request, etag=made.get("ETag"), response=made) or made
    answer["Access-Control-Allow-Origin"] = "*"
    answer["Access-Control-Expose-Headers"] = "ETag, Age"
    if reading.is_stale:
        answer["Age"] = str(int(reading.age.total_seconds()))
        answer["Warning"] = '110 - "Response is Stale"'
    return answer


def _nothing(request: HttpRequest) -> HttpResponse:
    if wants_page(request):
        response = page("status/nothing.html", Board(), status=503)
    else:
        response = problem_response(request, NothingToShow())
    response["Access-Control-Allow-Origin"] = "*"
    response["Retry-After"] = str(int(FRESH.total_seconds()))
    return response


def page(template: str, board: Board, status: int = 200, **context: Any) -> HttpResponse:
    """A page of the status site, without the context of other pages: that asks who is there and what they were told."""
    impact = board.impact.value
    known = {"site": settings.MAJOROPS_STATUS_NAME, "impact": impact, "icon": f"majorops/status-{impact}.svg"}
    return HttpResponse(loader.get_template(template).render(known | context), status=status)


def base_of(request: HttpRequest) -> str:
    """Where this site is found, without a slash at its end."""
    return (settings.MAJOROPS_PUBLIC_URL or request.build_absolute_uri("/")).rstrip("/")
