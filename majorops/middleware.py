"""A request id on every request: in the log, in the answer, in every problem."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from majorops.lib.ulid import new_ulid

#: What is taken over from a sender; anything else could forge a line of the log.
_SAFE = re.compile(r"[A-Za-z0-9-]{8,64}")
HEADER = "X-Request-Id"


class RequestId:
    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        sent = request.headers.get(HEADER, "")
        request.request_id = sent if _SAFE.fullmatch(sent) else new_ulid()  # type: ignore[attr-defined]
        response = self.get_response(request)
        if inspect.isawaitable(response):
            return self._when_ready(request, response)
        return self._mark(request, response)

    async def _when_ready(self, request: HttpRequest, response: Awaitable[HttpResponseBase]) -> HttpResponseBase:
        return self._mark(request, await response)

    def _mark(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response[HEADER] = request.request_id  # type: ignore[attr-defined]
        if getattr(request, "user", None) is not None and request.user.is_authenticated:
            response.setdefault("Cache-Control", "private, no-store")
        return response
