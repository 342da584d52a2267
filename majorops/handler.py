"""Django's ASGI handler on a few threads that stay.

Django's own opens a thread, and with it a database connection, for every request: a few hundred browsers that come at
the same moment, as after a restart, take every connection that PostgreSQL has, and are refused. It also changes the
thread at each middleware. All our middleware and views are synchronous, so a request goes through them in one piece.
"""

from __future__ import annotations

import asyncio
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from time import monotonic
from typing import Any

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connections, reset_queries
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

#: How many requests a process works on at once. Each thread keeps one database connection.
THREADS = 8
#: Seconds. A connection that died since it was asked is one refusal (503), then a new one is opened.
CHECKED_EVERY = 1.0


class Handler(ASGIHandler):
    """Reads the request and sends the answer in the event loop, so that a slow client holds no thread."""

    def __init__(self) -> None:
        super().__init__()
        self.own = threading.local()
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="majorops-request")

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Without the thread of its own that Django opens for each request here."""
        await self.handle(scope, receive, send)

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """Whose view it is was looked for when it was asked who sent it (accounts/middleware.py)."""
        return request.resolver_match or super().resolve_request(request)

    async def get_response_async(self, request: ASGIRequest) -> HttpResponseBase:  # type: ignore[override]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, copy_context().run, self._answer, request)

    def _answer(self, request: ASGIRequest) -> HttpResponseBase:
        """What Django does at the signals around a request, but on the thread that has the connection."""
        reset_queries()
        close_old_connections()
        database: Any = connections[DEFAULT_DB_ALIAS]
        was_checked = database.health_check_done = self._was_checked_lately()
        try:
            return self.get_response(request)
        finally:
            if database.health_check_done and not was_checked:
                self.own.checked_at = monotonic()
            close_old_connections()

    def _was_checked_lately(self) -> bool:
        """Django asks before the first query of each request whether the connection lives; once a second will do."""
        return monotonic() - getattr(self.own, "checked_at", -math.inf) < CHECKED_EVERY
