"""A POST that is sent again under the same `Idempotency-Key` is answered again, and not carried out again.

    effect(about=None)   one transaction of the request: what it writes, and the row of its key, both or neither.
    Idempotency          the middleware: it answers what was done before, and keeps the first answer for a day.

Whoever writes says `with effect():` where it would say `with transaction.atomic():`. The first effect of a request has
the key in it; a door whose request has several effects puts one around them all. What writes outside of any effect
is not guarded, and no row is left by what was refused: it may be tried again under the same key.

A second request waits in the database for the first to end. If that was rolled back, or its server killed, the second
is carried out; if it was committed, the second does nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files import File
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from rest_framework.exceptions import APIException

from accounts.models import IdempotencyKey
from accounts.principals import Principal, Service
from accounts.refusals import refusal, wants_page
from majorops.lib.errors import DomainError
from majorops.lib.fields import LengthMissing

logger = logging.getLogger(__name__)

HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
#: Visible ASCII, without spaces.
KEY = re.compile(r"[!-~]{1,255}")
#: An answer that is not there by then will not come: the server died after the commit.
ANSWERED_WITHIN = timedelta(seconds=30)
#: Longer answers are not kept, in bytes.
MAX_ANSWER = 64 * 1024
KEPT_HEADERS = ("Content-Type", "Location", "ETag")
#: Fields of forms that tell how something was sent, not what: each page has a token of its own, and a phone adds the
#: time of a tap once the first attempt has failed.
HOW_IT_WAS_SENT = {"csrfmiddlewaretoken", "tapped_at"}


class BadKey(DomainError):
    """An Idempotency-Key has 1 to 255 visible ASCII characters and no space, a UUID for instance."""

    code = "idempotency_key_invalid"
    status = 400


class TooLong(DomainError):
    """A request with an Idempotency-Key may have 1 MiB at most. Send less at once."""

    code = "too_large"
    status = 413


class Mismatch(DomainError):
    """This Idempotency-Key was used for another request. Make a new key for each thing you want done."""

    code = "idempotency_mismatch"
    status = 422


class InProgress(DomainError):
    """This request is being carried out already. Ask again in a moment for its answer."""

    code = "idempotency_in_progress"
    retry_after = 1


class AlreadyDone(DomainError):
    """This request was carried out. Its answer is not kept; read what it changed."""

    code = "already_done"


class Claimed(APIException):
    """Another request with this key was faster. No view catches this; REST framework takes it for a refusal."""

    status_code = 409


@dataclass(slots=True)
class Sent:
    """A request with a key, while it runs."""

    sender: str
    rights: str
    key: str
    digest: str
    #: The row of its key, once this request has done something.
    row: IdempotencyKey | None = None
    #: Another request has done it.
    was_beaten: bool = False


_sent: ContextVar[Sent | None] = ContextVar("keyed_request", default=None)


# --- For those who write ---


@contextmanager
def effect(about: Model | None = None) -> Iterator[None]:
    """A transaction, with the key of the running request in it, if it has one. Raises Claimed; nothing is done then."""
    sent = _sent.get()
    if sent is None or sent.row is not None:
        with transaction.atomic():
            yield
        return
    try:
        with transaction.atomic():
            _claim(sent, about)
            yield
    except BaseException:
        sent.row = None
        raise


def _claim(sent: Sent, about: Model | None) -> None:
    """Inserts the row, before any lock is taken: whoever waits here holds nothing that the other needs."""
    try:
        sent.row = IdempotencyKey.objects.create(
            sender=sent.sender,
            key=sent.key,
            request_sha256=sent.digest,
            rights=sent.rights,
            about=f"{about._meta.label_lower}:{about.pk}" if about else "",
            claimed_at=timezone.now(),
        )
    except IntegrityError:
        sent.was_beaten = True
        raise Claimed from None


# --- Requests ---


class Idempotency:
    """The innermost middleware, so that identity, CSRF and limits are settled, and every answer gets its headers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        sender: object = request.user
        if request.method != "POST" or HEADER not in request.headers or not isinstance(sender, Principal):
            return self.get_response(request)
        try:
            sent = _read(request, sender)
        except DomainError as error:
            return refusal(request, error)
        token = _sent.set(sent)
        try:
            return _settled(request, sent, self.get_response(request))
        finally:
            _sent.reset(token)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        sent = _sent.get()
        row = _row_of(sent) if sent else None
        return _again(request, sent, row) if sent and row else None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Keeps Django from calling it an error of ours; `_settled` puts the answer in its place."""
        return HttpResponse(status=409) if isinstance(error, Claimed) else None


def _read(request: HttpRequest, sender: Principal) -> Sent:
    """Raises BadKey, TooLong, LengthMissing."""
    key = request.headers[HEADER]
    if not KEY.fullmatch(key):
        raise BadKey
    if isinstance(sender, Service):
        return Sent(f"service:{sender.integration_id}", ",".join(sorted(sender.scopes)), key, _digest(request))
    return Sent(f"user:{sender.pk}", sender.role, key, _digest(request))


def _digest(request: HttpRequest) -> str:
    """What was asked for: the address, and the body. Read before CSRF protection takes the body apart."""
    if "Transfer-Encoding" in request.headers and not request.headers.get("Content-Length"):
        raise LengthMissing
    try:
        body = request.body
    except RequestDataTooBig:
        raise TooLong from None
    if request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        body = _fields(request)
    return hashlib.sha256(b"\0".join([request.get_full_path().encode(), body])).hexdigest()


def _fields(request: HttpRequest) -> bytes:
    """What a form says. Its bytes differ from one time to the next."""
    said = sorted((name, values) for name, values in request.POST.lists() if name not in HOW_IT_WAS_SENT)
    files = [(name, file.name, _file(file)) for name in sorted(request.FILES) for file in request.FILES.getlist(name)]
    return json.dumps([said, files]).encode()


def _file(file: File[bytes]) -> str:
    digest = hashlib.sha256(file.read()).hexdigest()
    file.seek(0)
    return digest


def _row_of(sent: Sent) -> IdempotencyKey | None:
    """The request that this key was used for in the last day."""
    row = IdempotencyKey.objects.filter(sender=sent.sender, key=sent.key).first()
    if row is None or row.claimed_at > timezone.now() - _kept_for():
        return row
    forget(timezone.now())
    return None


def _kept_for() -> timedelta:
    return timedelta(hours=settings.MAJOROPS_IDEMPOTENCY_HOURS)


def forget(now: datetime) -> int:
    """Deletes what is too old to be sent again: one statement on an index. How many."""
    deleted, _ = IdempotencyKey.objects.filter(claimed_at__lte=now - _kept_for()).delete()
    return deleted


# --- Answers ---


def _settled(request: HttpRequest, sent: Sent, response: HttpResponseBase) -> HttpResponseBase:
    """The answer, kept if this request has done something."""
    if sent.was_beaten:
        row = _row_of(sent)
        return _again(request, sent, row) if row else refusal(request, InProgress())
    if sent.row is not None and response.status_code < 500:
        _keep(sent.row, response)
    return response


def _keep(row: IdempotencyKey, response: HttpResponseBase) -> None:
    """What was done is done: an answer that cannot be kept is sent all the same."""
    content = response.content if isinstance(response, HttpResponse) else None
    body = content if content is not None and len(content) <= MAX_ANSWER else None
    headers = {name: response[name] for name in KEPT_HEADERS if name in response}
    try:
        IdempotencyKey.objects.filter(pk=row.pk).update(status=response.status_code, headers=headers, body=body)
        forget(timezone.now())
    except DatabaseError:
        logger.exception("The answer to a request with an Idempotency-Key could not be kept.")


def _again(request: HttpRequest, sent: Sent, row: IdempotencyKey) -> HttpResponse:
    """The answer to a request that was carried out before."""
    if row.request_sha256 != sent.digest:
        return refusal(request, Mismatch())
    if row.body is not None and row.rights == sent.rights:
        kept = HttpResponse(bytes(row.body), status=row.status, headers=row.headers)
        kept[REPLAYED] = "true"
        return kept
    if wants_page(request):
        return redirect(_page_about(row))
    if row.status is None and timezone.now() - row.claimed_at < ANSWERED_WITHIN:
        return refusal(request, InProgress())
    model, _, key = row.about.partition(":")
    return refusal(request, AlreadyDone(**({model.rpartition(".")[2]: key} if key else {})))


def _page_about(row: IdempotencyKey) -> str:
    """Where the answer would have led: to the page of what was written. It says there what became of it."""
    app, _, key = row.about.replace(":", ".").partition(".")
    try:
        return reverse(f"{app}:detail", args=[key.rpartition(".")[2]])
    except NoReverseMatch:
        return reverse("home")
