"""Sets `request.user` and `request.identity`, on every request, for sync and async views.

Not a subclass of Django's RemoteUserMiddleware: under ASGI that one reads another header than under WSGI.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils import timezone

from accounts.access import Claim, claim_of, look_alikes
from accounts.audit import record_look_alikes, record_refusal
from accounts.models import ActorKind, User
from accounts.principals import Principal, Service
from accounts.provisioning import note_visit, person_for
from accounts.refusals import refusal, wants_page
from accounts.tokens import service_of_access_client, service_of_bearer
from majorops.lib.errors import DomainError

View = TypeVar("View", bound=Callable[..., Any])
GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

#: Whose session this is: person id and role. Another person's is dropped, another role gets a new key.
OWNER = "owner"
BEARER = "Bearer mo_"


def _mode() -> str:
    return str(settings.MAJOROPS_AUTH_MODE)


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of the sender beside the user row."""

    kind: ActorKind = ActorKind.ANONYMOUS
    #: The browser sends it by itself: needs a CSRF token to write.
    is_ambient: bool = False
    fingerprint: str = ""
    mode: str = field(default_factory=_mode)
    issuer: str = ""
    subject: str = ""


class NotSignedIn(DomainError):
    """The access proxy sent no identity with this request."""

    code = "not_signed_in"
    status = 401


class TwoPrograms(DomainError):
    """The bearer token and the Access service token belong to different integrations. Send those of one."""

    code = "identity_mismatch"
    status = 403


class ProgramsUseTheApi(DomainError):
    """Pages are for people; programs use the API below /api/v1."""

    code = "programs_use_the_api"
    status = 403


def open_to_anyone(view: View) -> View:
    """Marks a view that answers without an identity. All others do not: the door is shut by default."""
    view.open_to_anyone = True  # type: ignore[attr-defined]
    return view


def for_all_alike(view: View) -> View:
    """Marks a view that gives everybody the same. Who asks is not looked at, so it needs no session and no database."""
    view.for_all_alike = True  # type: ignore[attr-defined]
    return open_to_anyone(view)


def is_for_all_alike(request: HttpRequest) -> bool:
    """By the view that will answer, never by how the path begins."""
    try:
        request.resolver_match = resolve(request.path_info)
    except Resolver404:
        return False
    return getattr(request.resolver_match.func, "for_all_alike", False)


def open_to_programs(view: View) -> View:
    """Marks a view outside /api/ that gives programs data where browsers get a page."""
    view.open_to_programs = True  # type: ignore[attr-defined]
    return view


class AccessIdentity:
    """The only place that says who the user is. Sessions carry what a page remembers, not identity."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._acall(request)
        identify(request)
        return _with_owner(request, cast(HttpResponseBase, self.get_response(request)))

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        await sync_to_async(identify, thread_sensitive=True)(request)
        response = self.get_response(request)
        return _with_owner(request, await response if inspect.isawaitable(response) else response)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Health and the like answer whoever asks, also with an identity that is refused elsewhere."""
        if getattr(view, "open_to_anyone", False):
            return None
        if ignored := look_alikes(request):
            record_look_alikes(request, ignored)
        if (error := request.identity_refused) is not None:  # type: ignore[attr-defined]
            if error.status < 500:
                record_refusal(request, error.code, email=request.claimed_email)  # type: ignore[attr-defined]
            return refusal(request, error)
        sender = cast(Principal | AnonymousUser, request.user)
        if isinstance(sender, AnonymousUser):
            return refusal(request, NotSignedIn())
        if isinstance(sender, Service) and not _serves_programs(request, view):
            return refusal(request, ProgramsUseTheApi())
        return None


def identify(request: HttpRequest) -> None:
    """Sets user and identity, or `identity_refused`; afterwards the request belongs to exactly one principal."""
    request.user = AnonymousUser()
    request.identity = Identity()  # type: ignore[attr-defined]
    request.identity_refused = None  # type: ignore[attr-defined]
    request.claimed_email = ""  # type: ignore[attr-defined]
    if is_for_all_alike(request):
        return
    try:
        request.user = _principal(request)  # type: ignore[assignment]
    except DomainError as error:
        request.identity_refused = error  # type: ignore[attr-defined]


def _principal(request: HttpRequest) -> Principal | AnonymousUser:
    """1. The claim is checked, whatever else was sent. 2. A bearer token of ours names a program. 3. So does a
    service token of the access proxy. 4. Else the claim is a person's."""
    now = timezone.now()
    claim = claim_of(request)
    sent = request.headers.get("Authorization", "")
    token = sent.removeprefix("Bearer ") if sent.startswith(BEARER) else ""
    bearer = service_of_bearer(token, now=now) if token else None
    through = service_of_access_client(claim.common_name, now=now) if claim and claim.common_name else None
    if bearer and through and bearer.integration_id != through.integration_id:
        raise TwoPrograms
    if service := bearer or through:
        # No browser adds a bearer token by itself, so it is not ambient.
        proof = Claim(is_ambient=False, fingerprint=hashlib.sha256(token.encode()).hexdigest()[:12])
        _introduce(request, ActorKind.SERVICE, proof if bearer or claim is None else claim)
        return service
    if claim is None:
        return AnonymousUser()
    request.claimed_email = claim.email  # type: ignore[attr-defined]
    _introduce(request, ActorKind.HUMAN, claim)
    person = person_for(claim, request=request)
    _own_session(request, person)
    note_visit(person, request=request, now=now)
    return person


def _introduce(request: HttpRequest, kind: ActorKind, claim: Claim) -> None:
    request.identity = Identity(  # type: ignore[attr-defined]
        kind=kind,
        is_ambient=claim.is_ambient,
        fingerprint=claim.fingerprint,
        issuer=claim.issuer,
        subject=claim.subject,
    )


def _serves_programs(request: HttpRequest, view: Callable[..., Any]) -> bool:
    if request.path.startswith("/api/"):
        return True
    return getattr(view, "open_to_programs", False) and not wants_page(request)


# --- Sessions ---


def owner_mark(person: User) -> list[str]:
    return [person.pk, person.role]


def _own_session(request: HttpRequest, person: User) -> None:
    """Drops the session of somebody else, or one that nobody owns: it may have been planted. One query, and none
    for a browser without a session cookie."""
    if settings.SESSION_COOKIE_NAME not in request.COOKIES or request.session.is_empty():
        return
    mark = request.session.get(OWNER)
    if not isinstance(mark, list) or mark[:1] != [person.pk]:
        request.session.flush()
    elif mark != owner_mark(person):
        request.session.cycle_key()
        request.session[OWNER] = owner_mark(person)


def _with_owner(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """A session that began in this request belongs to its person."""
    session = request.session
    if isinstance(request.user, User) and session.modified and not session.is_empty() and OWNER not in session:
        session[OWNER] = owner_mark(request.user)
    return response
