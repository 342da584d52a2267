"""Pages of no single app: landing, who are you, health, and what went wrong."""

from __future__ import annotations

import sys
from typing import cast

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template import loader
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from accounts.access import DEV_SESSION_KEY, refuse_strangers
from accounts.middleware import OWNER, open_to_anyone, owner_mark
from accounts.models import User
from accounts.refusals import refusal, wants_page
from accounts.roles import Can, Role
from incidents.viewing import audience_for, incidents_for
from majorops.lib.errors import DomainError
from majorops.lib.grants import rewritable
from majorops.lib.ledger import missing_guards
from majorops.lib.problems import problem_response


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Each role begins on its own page; what is going on now comes first."""
    person = cast(User, request.user)
    if person.can(Can.ADMINISTER):
        return redirect("admin:index")
    if person.role == Role.EXECUTIVE:
        return redirect("executive")
    running = [row for row in incidents_for(person).active() if audience_for(person, row).may_post]
    return redirect("incidents:detail", running[0].pk) if len(running) == 1 else redirect("incidents:list")


@open_to_anyone
@require_http_methods(["GET", "POST"])
def logout(request: HttpRequest) -> HttpResponse:
    """Forgets the session, then goes where the settings say: the identity itself is the access proxy's to end."""
    if request.method == "GET":
        return render(request, "logout.html")
    request.session.flush()
    return redirect(settings.LOGOUT_URL)


@open_to_anyone
@require_http_methods(["GET", "POST"])
def who(request: HttpRequest) -> HttpResponse:
    """Development mode only: pick who you are with one click."""
    if settings.MAJOROPS_AUTH_MODE != "dev":
        raise Http404
    try:
        refuse_strangers(request)
    except DomainError as error:
        return refusal(request, error)
    people = User.objects.filter(is_active=True).exclude(role="").order_by("role", "email")
    target = _inside(request, request.GET.get("next", ""))
    if request.method == "GET":
        return render(request, "who.html", {"people": people, "next": target})
    picked = people.filter(email=request.POST.get("email", "")).first()
    if picked is None:
        return render(request, "who.html", {"people": people, "next": target, "unknown": True}, status=422)
    request.session.flush()
    request.session[DEV_SESSION_KEY] = picked.email
    request.session[OWNER] = owner_mark(picked)
    return redirect(_inside(request, request.POST.get("next", "")))


def _inside(request: HttpRequest, target: str) -> str:
    """`target` if it leads to this site, else the front page."""
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if safe and target.startswith("/") else "/"


@csrf_exempt
@open_to_anyone
@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. No database, no version."""
    return HttpResponse("ok\n", content_type="text/plain")


@csrf_exempt
@open_to_anyone
@require_GET
def readyz(request: HttpRequest) -> HttpResponse:
    """The database answers, and its ledgers are guarded. An administrator is also told what is wrong, or weak."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        missing = missing_guards(connection)
        ready, details = not missing, _weaknesses(request, missing)
    except DatabaseError:
        ready, details = False, []
    told = {"ready": ready, **({"details": details} if details else {})}
    return JsonResponse(told) if ready else JsonResponse(told, status=503, headers={"Retry-After": "5"})


def _weaknesses(request: HttpRequest, missing: list[str]) -> list[str]:
    """What lets history be rewritten; nothing for anybody but an administrator."""
    if not (isinstance(request.user, User) and request.user.can(Can.ADMINISTER)):
        return []
    return [*(f"The guard {name} is missing. Run migrate." for name in missing), *rewritable(connection)]


class NotFound(DomainError):
    """There is nothing here, or nothing you may see."""

    code = "not_found"
    status = 404


class CsrfFailed(DomainError):
    """The page was open too long, or the request came from another site. Go back, reload, and send it again."""

    code = "csrf_failed"
    status = 403


class Forbidden(DomainError):
    """You may not do this."""

    code = "forbidden"
    status = 403


class BadRequest(DomainError):
    """The request could not be read."""

    code = "bad_request"
    status = 400


class BadHost(DomainError):
    """This server does not answer to the name in the Host header. An administrator sets ALLOWED_HOSTS."""

    code = "bad_host"
    status = 400


class Broken(DomainError):
    """Something broke on our side. Nothing you sent was half-stored. Try again, and report the request id."""

    code = "internal_error"
    status = 500


def _failed(request: HttpRequest, error: DomainError) -> HttpResponse:
    if wants_page(request):
        return render(request, "refused.html", {"error": error}, status=error.status)
    return problem_response(request, error)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _failed(request, NotFound())


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, DisallowedHost):
        return problem_response(request, BadHost())  # a page would ask who is there, which nobody knows by then
    return _failed(request, BadRequest())


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _failed(request, Forbidden())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _failed(request, CsrfFailed())


class Unavailable(DomainError):
    """The database does not answer. Nothing was stored. Try again in a moment."""

    code = "unavailable"
    status = 503


def broken(request: HttpRequest) -> HttpResponse:
    """No template context processors here: whatever broke may break them too."""
    # Django asks for this answer while it handles what broke.
    is_away = isinstance(sys.exception(), OperationalError | InterfaceError)
    if wants_page(request):
        page = loader.get_template("broken.html")
        response = HttpResponse(page.render({"request_id": getattr(request, "request_id", "")}))
    else:
        response = problem_response(request, Unavailable() if is_away else Broken())
    response.status_code = 503 if is_away else 500
    if is_away:
        response["Retry-After"] = "5"
    return response
