"""What has served its time goes."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module

from django.conf import settings

from accounts import idempotency
from majorops.lib.jobs import job


@job("forget-requests", when="every 1 hour")
def forget_requests(now: datetime) -> str:
    """Deletes the answers kept for requests that are sent again, once they are too old for it."""
    return f"{idempotency.forget(now)} deleted."


@job("forget-sessions", when="daily 03:10")
def forget_sessions(now: datetime) -> None:
    """Deletes the sessions that have ended."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
