"""A request id on every request: in the log, in the answer, in every problem. And the policy of our pages."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from csp.constants import HEADER as POLICY
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from accounts.refusals import wants_page
from majorops.lib.errors import DomainError
from majorops.lib.problems import problem_response
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


class NotAllowed(MiddlewareMixin):
    """Django answers a method that a view does not know with nothing but `Allow`. Programs read why."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        is_bare = isinstance(response, HttpResponse) and not response.content
        if response.status_code != 405 or not is_bare or wants_page(request):
            return response
        told = problem_response(request, WrongMethod.said(request.method or "", response.get("Allow", "")))
        told["Allow"] = response.get("Allow", "")
        return told


class WrongMethod(DomainError):
    """This address knows other methods."""

    code = "method_not_allowed"
    status = 405

    @classmethod
    def said(cls, method: str, allowed: str) -> WrongMethod:
        return cls(f"{method} is not allowed here. Allowed: {allowed}.")


class ContentSecurityPolicy(CSPMiddleware):
    """django-csp, which writes the header anew for each answer. Where nothing differs, it is written once."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        is_usual = POLICY not in response and not any(name.startswith("_csp") for name in vars(response))
        if settings.DEBUG or not is_usual or hasattr(request, "_csp_nonce"):
            return super().process_response(request, response)
        response[POLICY] = self._usual
        return response

    @cached_property
    def _usual(self) -> str:
        return build_policy()
