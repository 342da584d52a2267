"""Measures our own requests: how long each took and how it ended. Off unless MAJOROPS_MEASURE_REQUESTS is set.

What is kept is the pattern of the route, never the address, and nobody who asked. The request only leaves a line
(majorops/lib/spool.py); the job `request-facts` makes facts of them (kpis/self_measurement.py).
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from majorops.lib.spool import Spool
from majorops.lib.times import iso

#: Asked by machines every few seconds: they would be most of the sample.
PROBES = frozenset({"healthz", "readyz", "metrics"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SERVER_ERROR = 500


class MeasureRequests:
    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        if not settings.MAJOROPS_MEASURE_REQUESTS:
            raise MiddlewareNotUsed
        self.get_response = get_response
        self.spool = Spool(Path(settings.MAJOROPS_MEASURE_FOLDER), settings.MAJOROPS_MEASURE_PER_HOUR)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        began = time.perf_counter()
        response = self.get_response(request)
        if inspect.isawaitable(response):
            return self._when_ready(request, response, began)
        return self._tell(request, response, began)

    async def _when_ready(
        self, request: HttpRequest, response: Awaitable[HttpResponseBase], began: float
    ) -> HttpResponseBase:
        return self._tell(request, await response, began)

    def _tell(self, request: HttpRequest, response: HttpResponseBase, began: float) -> HttpResponseBase:
        took, at = time.perf_counter() - began, timezone.now()
        told = measured(request, response.status_code, took, at)
        if told is not None:
            self.spool.offer(told, at)
        return response


def measured(request: HttpRequest, status: int, took: float, at: datetime) -> dict[str, object] | None:
    """What is told of a request; None for probes, for files, and for addresses that nobody serves."""
    match = request.resolver_match
    if match is None and status < SERVER_ERROR:
        return None
    if match is not None and match.url_name in PROBES:
        return None
    told: dict[str, object] = {"at": iso(at), "status": status, "latency_ms": round(1000 * took, 3)}
    method = request.method or ""
    return told | {
        "method": method if method in METHODS else "other",
        **({"path": f"/{match.route}"[:200]} if match is not None else {}),
    }
