"""How much one sender may ask of us in a minute.

Token buckets in the database, so that all processes count together. What it costs:

integrations      every request; a process takes a handful of permits at a time (LEASE), so that most
                  requests cost no query. An answer "not modified" is free.
people            unsafe methods only, which write anyway. Reading a page costs nothing here.
status page       by address (accounts/peers.py), counted in the process alone: it must answer without a
                  database.
wrong tokens      by address. Only the refusal changes, to 429: many senders may share an address, so a
                  valid token is never turned away for the failures of others.

A bucket that is empty is read, never written: a flood of refused requests writes nothing.
"""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_network
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.permissions import SAFE_METHODS

from accounts.models import ThrottleBucket, User
from accounts.peers import client_of
from accounts.principals import Service
from accounts.refusals import refusal
from majorops.lib.errors import DomainError

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

#: A bucket this old is full again, which is the same as none.
FORGOTTEN_AFTER = timedelta(hours=1)
#: Permits that a process takes at once: what the limit gives in this time. It keeps them no longer either.
LEASE = timedelta(seconds=1)
#: Each lost swap means that another request was admitted, so this many rarely happen.
SWAPS = 50


@dataclass(frozen=True, slots=True)
class Limit:
    """`per_minute` permits come back each minute, and at most that many are saved up."""

    per_minute: int
    #: What is limited, for the sentence in the refusal.
    what: str

    def after(self, span: timedelta) -> float:
        """Permits that come back in this time."""
        return self.per_minute * max(span.total_seconds(), 0.0) / 60

    def seconds_for(self, permits: float) -> int:
        """How long this many take to come back, in whole seconds, at least one."""
        return max(1, math.ceil(permits * 60 / self.per_minute))


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a bucket gave, and how much it holds now."""

    limit: Limit
    granted: int
    left: float

    @property
    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers-07 and before spelled them; Reset is when the bucket is full."""
        told = {
            "RateLimit-Limit": str(self.limit.per_minute),
            "RateLimit-Remaining": str(max(0, int(self.left))),
            "RateLimit-Reset": str(self.limit.seconds_for(self.limit.per_minute - self.left)),
        }
        return told if self.granted else {**told, "Retry-After": str(self.limit.seconds_for(1 - self.left))}


class TooManyRequests(DomainError):
    """You ask too much at once. Wait a moment."""

    code = "too_many_requests"
    status = 429

    @classmethod
    def beyond(cls, allowance: Allowance) -> TooManyRequests:
        limit, wait = allowance.limit, allowance.headers["Retry-After"]
        return cls(f"At most {limit.per_minute} {limit.what} a minute. Wait {wait} s, then try again.")


# --- The bucket ---


def take(key: str, limit: Limit, now: datetime, *, wanted: int = 1) -> Allowance:
    """Up to `wanted` permits from the bucket `key`. Nobody gets one twice: a lost swap is tried again."""
    left = 0.0
    for _ in range(SWAPS):
        held, since = _read(key, limit, now)
        left = min(float(limit.per_minute), held + limit.after(now - since))
        # A sender who waited exactly as told may come back a rounding error too early.
        granted = min(wanted, int(left + 1e-6))
        if not granted:
            return Allowance(limit, 0, left)
        swapped = ThrottleBucket.objects.filter(pk=key, tokens=held, updated_at=since)
        # The clocks of two machines differ: time in a bucket never runs backwards.
        if swapped.update(tokens=left - granted, updated_at=max(now, since)):
            return Allowance(limit, granted, left - granted)
    return Allowance(limit, 0, min(left, 0.0))


def _read(key: str, limit: Limit, now: datetime) -> tuple[float, datetime]:
    row = ThrottleBucket.objects.filter(pk=key).values_list("tokens", "updated_at").first()
    if row is not None:
        return row
    ThrottleBucket.objects.filter(updated_at__lt=now - FORGOTTEN_AFTER).delete()
    full = {"tokens": float(limit.per_minute), "updated_at": now}
    bucket, _ = ThrottleBucket.objects.get_or_create(pk=key, defaults=full)
    return bucket.tokens, bucket.updated_at


# --- Permits this process has taken and not yet used ---


@dataclass(slots=True)
class _Leased:
    permits: int
    left: float
    until: datetime


@dataclass(slots=True)
class _Spared:
    """Permits that were given back."""

    permits: int
    left: float
    since: datetime


_leases: dict[str, _Leased] = {}
_spared: dict[str, _Spared] = {}
_lock = threading.Lock()
MAX_LEASES = 1000


def admit(key: str, limit: Limit, now: datetime) -> Allowance:
    """One permit, from those at hand if there are any."""
    if spared := _use_spared(key, limit, now):
        return spared
    if leased := _use(key, now):
        return Allowance(limit, 1, leased.left + leased.permits)
    wanted = max(1, int(limit.after(LEASE)))
    allowance = take(key, limit, now, wanted=wanted)
    if allowance.granted > 1:
        _keep(key, _Leased(allowance.granted - 1, allowance.left, now + LEASE))
    return Allowance(limit, min(allowance.granted, 1), allowance.left + max(0, allowance.granted - 1))


def give_back(key: str, allowance: Allowance, now: datetime) -> None:
    """The permit of an answer that cost little. It waits here for the next request: polling costs no query either."""
    most = max(1, int(allowance.limit.after(LEASE)))
    with _lock:
        if len(_spared) >= MAX_LEASES:
            _spared.clear()
        kept = _spared.get(key)
        _spared[key] = _Spared(min(most, kept.permits + 1 if kept else 1), allowance.left + 1, now)


def _use_spared(key: str, limit: Limit, now: datetime) -> Allowance | None:
    with _lock:
        kept = _spared.get(key)
        if kept is None or not kept.permits:
            return None
        kept.permits -= 1
    left = min(float(limit.per_minute), kept.left + limit.after(now - kept.since))
    return Allowance(limit, 1, max(0.0, left - 1))


def _use(key: str, now: datetime) -> _Leased | None:
    with _lock:
        leased = _leases.get(key)
        if leased is None or not leased.permits or not leased.until - LEASE <= now < leased.until:
            return None
        leased.permits -= 1
        return leased


def _keep(key: str, leased: _Leased) -> None:
    with _lock:
        if len(_leases) >= MAX_LEASES:
            _leases.clear()
        _leases[key] = leased


# --- Buckets of this process alone ---

_buckets: dict[str, tuple[float, datetime]] = {}


def take_here(key: str, limit: Limit, now: datetime) -> Allowance:
    """One permit from a bucket that this process keeps in memory, without a query."""
    with _lock:
        if len(_buckets) >= MAX_LEASES:
            _buckets.clear()
        held, since = _buckets.get(key, (float(limit.per_minute), now))
        left = min(float(limit.per_minute), held + limit.after(now - since))
        granted = min(1, int(left + 1e-6))
        _buckets[key] = (left - granted, max(now, since))
    return Allowance(limit, granted, left - granted)


# --- Requests ---


class Throttle:
    """Around AccessIdentity: it counts whom that let in, and how often that refused a token."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._acall(request)
        response = cast(HttpResponseBase, self.get_response(request))
        return _told(request, _counted(request, response) if _refused_token(request, response) else response)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        answer = await response if inspect.isawaitable(response) else response
        if _refused_token(request, answer):
            answer = await sync_to_async(_counted, thread_sensitive=True)(request, answer)
        return _told(request, answer)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        if getattr(view, "for_all_alike", False):
            return _unless_flooded(request)
        bucket = bucket_of(request)
        if bucket is None:
            return None
        allowance = admit(*bucket, timezone.now())
        request.allowance, request.bucket = allowance, bucket[0]  # type: ignore[attr-defined]
        return None if allowance.granted else refusal(request, TooManyRequests.beyond(allowance))


def bucket_of(request: HttpRequest) -> tuple[str, Limit] | None:
    """The bucket this request takes from; None where it is free."""
    sender: object = request.user
    if isinstance(sender, Service):
        key = f"token:{sender.token_id}" if sender.token_id else f"service:{sender.integration_id}"
        return key, Limit(settings.MAJOROPS_TOKEN_REQUESTS_PER_MINUTE, "requests with one token")
    if isinstance(sender, User) and request.method not in SAFE_METHODS:
        return f"user:{sender.pk}", Limit(settings.MAJOROPS_PERSON_WRITES_PER_MINUTE, "changes by one person")
    return None


def _unless_flooded(request: HttpRequest) -> HttpResponse | None:
    """A refusal, for an address that asks too often. Others are not told what is left: caches keep their answers."""
    limit = Limit(settings.MAJOROPS_STATUS_REQUESTS_PER_MINUTE, "requests from one address")
    if limit.per_minute <= 0:
        return None
    allowance = take_here(f"open:{_network(request)}", limit, timezone.now())
    if allowance.granted:
        return None
    request.allowance = allowance  # type: ignore[attr-defined]
    return refusal(request, TooManyRequests.beyond(allowance))


def _refused_token(request: HttpRequest, response: HttpResponseBase) -> bool:
    return response.status_code == 401 and "Authorization" in request.headers


def _counted(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """A refused token counts against its address."""
    limit = Limit(settings.MAJOROPS_TOKEN_FAILURES_PER_MINUTE, "refused tokens from one address")
    allowance = take(f"refused:{_network(request)}", limit, timezone.now())
    request.allowance = allowance  # type: ignore[attr-defined]
    return response if allowance.granted else refusal(request, TooManyRequests.beyond(allowance))


def _told(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """The answer with what is left."""
    allowance: Allowance | None = getattr(request, "allowance", None)
    if allowance and response.status_code == 304:
        give_back(request.bucket, allowance, timezone.now())  # type: ignore[attr-defined]
        allowance = replace(allowance, left=allowance.left + 1)
    for name, value in allowance.headers.items() if allowance else ():
        response[name] = value
    return response


def _network(request: HttpRequest) -> str:
    """The client's address; of IPv6 the /64 that one subscriber has, or there would be a bucket for each address."""
    client = client_of(request)
    if isinstance(client, IPv6Address):
        return str(ip_network((client, 64), strict=False).network_address)
    return str(client) if client else "unknown"
