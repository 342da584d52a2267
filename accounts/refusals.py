"""How a refusal leaves the house: a page for people, problem+json for programs."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode

from accounts.tokens import InvalidToken
from majorops.lib.errors import DomainError
from majorops.lib.problems import problem_response


def wants_page(request: HttpRequest) -> bool:
    """Browsers name text/html; programs and curl do not. Everything below /api/ is for programs."""
    return not request.path.startswith("/api/") and "text/html" in request.headers.get("Accept", "")


def refusal(request: HttpRequest, error: DomainError) -> HttpResponse:
    response: HttpResponse
    if not wants_page(request):
        response = problem_response(request, error)
    elif error.status == 401 and settings.MAJOROPS_AUTH_MODE == "dev":
        return redirect(f"{reverse('who')}?{urlencode({'next': request.get_full_path()})}")
    else:
        response = render(request, "refused.html", {"error": error}, status=error.status)
    if error.status == 401:
        response["WWW-Authenticate"] = _challenge(request, error)
    if (seconds := getattr(error, "retry_after", None)) is not None:
        response["Retry-After"] = str(seconds)
    return response


def _challenge(request: HttpRequest, error: DomainError) -> str:
    """How to prove who one is: RFC 6750 for a bearer token that is refused, or that is none of ours."""
    scheme = request.headers.get("Authorization", "").partition(" ")[0].lower()
    if scheme == "bearer" and (isinstance(error, InvalidToken) or error.code == "not_signed_in"):
        return 'Bearer error="invalid_token"'
    return 'Proxy realm="MajorOps"'
