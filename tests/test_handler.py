"""Requests share a few threads, so that a crowd cannot take every database connection."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from django.http import HttpRequest, HttpResponse
from pytest_django import Settings

from majorops.handler import THREADS, Handler

used: set[int] = set()


def noting_the_thread(request: HttpRequest) -> HttpResponse:
    used.add(threading.get_ident())
    time.sleep(0.01)  # long enough for the next one to need another thread
    return HttpResponse("here")


class _Urls:
    from django.urls import path

    urlpatterns = [path("", noting_the_thread)]


async def _ask(handler: Handler) -> int:
    """The status of one GET of /."""
    told: list[dict[str, Any]] = []
    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return asked.pop() if asked else await asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "http_version": "1.1"}
    await handler(scope, receive, send)
    return int(told[0]["status"])


async def _crowd(handler: Handler, size: int) -> list[int]:
    return list(await asyncio.gather(*[_ask(handler) for _ in range(size)]))


def test_a_crowd_is_served_on_a_few_threads(settings: Settings) -> None:
    settings.ROOT_URLCONF, settings.MIDDLEWARE = _Urls, []
    used.clear()
    assert asyncio.run(_crowd(Handler(), 100)) == [200] * 100
    assert 1 <= len(used) <= THREADS
    assert threading.get_ident() not in used
