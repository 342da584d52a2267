"""Sends pages to the addresses of their teams: queued with the page, sent after it, tried again when it fails.

THE ONLY WRITER of deliveries. `queue` writes within the transaction of the page and sends nothing; a worker does
(`mim pages deliver --watch`, or a thread of the server), so a page is recorded whether or not anybody can be reached.

A worker claims a delivery by moving its next try ahead before it sends. One that dies in between leaves it due again:
each delivery is sent at least once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from incidents.lifecycle import Kind, Severity
from incidents.models import Delivery, DeliveryAttempt, DeliveryState, Incident, TeamPage
from majorops.lib import bus
from majorops.lib.errors import DomainError
from majorops.lib.outgoing import AddressRefused, only_public
from teams.addresses import addresses, fingerprint, masked

log = logging.getLogger(__name__)

#: How long after each failure the next try comes; after the last one nothing more is tried.
BACKOFF = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5))
#: How long a worker has for one try before another one takes it over.
LEASE = timedelta(minutes=2)
BATCH = 50

#: Sends a title and a text to an address; raises with words for people if it cannot.
Send = Callable[[str, str, str], None]


class NotSent(Exception):
    """The other side did not take it; the words say why."""


class StillWaiting(DomainError):
    """This delivery is being sent already. Wait for its outcome."""

    code = "still_waiting"


@dataclass(slots=True)
class Delivered:
    """What one round of the worker did."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0

    def __str__(self) -> str:
        return f"{self.sent} sent, {self.failed} not sent, {self.dropped} not needed any more."


# --- Queueing ---


def queue(page: TeamPage, now: datetime) -> list[Delivery]:
    """A delivery for each address of the page's team, if pages are sent here at all. Call within the page's action."""
    urls = addresses(page.team.notification_urls) if settings.MAJOROPS_SEND_PAGES else []
    rows = Delivery.objects.bulk_create(_delivery(page, url, now) for url in dict.fromkeys(urls))
    if rows:
        transaction.on_commit(wake, robust=True)
    return rows


def _delivery(page: TeamPage, url: str, now: datetime) -> Delivery:
    return Delivery(
        page=page,
        call=page.page_count,
        address=masked(url),
        fingerprint=fingerprint(url),
        queued_at=now,
        next_try_at=now,
    )


def redeliver(delivery: Delivery, *, now: datetime) -> Delivery:
    """Sends once more what was sent or failed. The earlier delivery keeps its history. Raises StillWaiting."""
    with transaction.atomic():
        current = Delivery.objects.select_for_update(no_key=True).get(pk=delivery.pk)
        pending = current.redelivered.filter(state=DeliveryState.WAITING).exists()
        if current.state == DeliveryState.WAITING or pending:
            raise StillWaiting
        again = Delivery.objects.create(
            page_id=current.page_id,
            call=current.call,
            address=current.address,
            fingerprint=current.fingerprint,
            queued_at=now,
            next_try_at=now,
            redelivers=current,
        )
        transaction.on_commit(wake, robust=True)
    return again


# --- What is sent ---


def message(page: TeamPage) -> tuple[str, str]:
    """Title and text: severity, what it is, where to go. Nothing internal, and of a restricted incident no title."""
    incident = page.incident
    what = "a restricted incident" if incident.restricted else incident.title
    kind = "" if incident.kind == Kind.REAL else f"{Kind(incident.kind).label.upper()}: "
    again = f" (call {page.page_count})" if page.page_count > 1 else ""
    lines = [f"{page.team.name} is called{again}: {what}"]
    if incident.bridge_url and not incident.restricted:
        lines.append(f"Bridge: {incident.bridge_url}")
    if base := settings.MAJOROPS_PUBLIC_URL.rstrip("/"):
        lines.append(f"Say that you are here: {base}/r/{incident.pk}")
    return f"{kind}{Severity(incident.severity).label}: {what}", "\n".join(lines)


def send(url: str, title: str, body: str) -> None:
    """One notification to one address. Raises NotSent or AddressRefused."""
    from apprise import Apprise, AppriseAsset, LogCapture, NotifyFormat

    # Either setting alone would have it send from a thread of its own, which is not guarded.
    target = Apprise(asset=AppriseAsset(async_mode=False, service_timeout=0))
    if not target.add(url):
        raise NotSent("It is no address that pages can be sent to.")
    with LogCapture(level=logging.WARNING, fmt="%(message)s") as said:
        if settings.MAJOROPS_PAGES_TO_PRIVATE:
            was_sent = target.notify(body=body, title=title, body_format=NotifyFormat.TEXT)
        else:
            with only_public():
                was_sent = target.notify(body=body, title=title, body_format=NotifyFormat.TEXT)
        words = said.getvalue()
    if not was_sent:
        raise NotSent(_why(words, url))


def _why(words: str, url: str) -> str:
    """The first line that the library said, without any part of the address that may be secret."""
    line = next((part.strip() for part in words.splitlines() if part.strip()), "The other side did not answer.")
    for part in sorted({*url.replace("?", "/").replace("&", "/").replace("@", "/").replace(":", "/").split("/")}):
        for spelling in {part, unquote(part)}:
            if len(spelling) > 5:
                line = line.replace(spelling, "...")
    return " ".join(line.split())


# --- The worker ---


def deliver_due(now: datetime, *, by: Send = send) -> Delivered:
    """Tries everything that is due, each in a transaction of its own."""
    done = Delivered()
    due = Delivery.objects.filter(state=DeliveryState.WAITING, next_try_at__lte=now).order_by("next_try_at", "pk")
    for key in list(due.values_list("pk", flat=True)[:BATCH]):
        if _claim(key, now):
            _deliver(Delivery.objects.select_related("page__team", "page__incident").get(pk=key), now, done, by)
    return done


def _claim(key: str, now: datetime) -> bool:
    """Whether this worker has it: only one of several finds it still due."""
    due = Delivery.objects.filter(pk=key, state=DeliveryState.WAITING, next_try_at__lte=now)
    return bool(due.update(next_try_at=now + LEASE, attempts=F("attempts") + 1))


def _deliver(delivery: Delivery, now: datetime, done: Delivered, by: Send) -> None:
    page = _current(delivery.page)
    if page is None:
        _finish(delivery, DeliveryState.DROPPED)
        done.dropped += 1
        return
    error = _tried(delivery, page, by)
    if not error:
        done.sent += 1
        _record(delivery, now, "", DeliveryState.SENT)
    elif delivery.attempts <= len(BACKOFF):
        _record(delivery, now, error, DeliveryState.WAITING, again=now + BACKOFF[delivery.attempts - 1])
    else:
        done.failed += 1
        log.warning("Page not sent to %s after %d tries: %s", delivery.address, delivery.attempts, error)
        _record(delivery, now, error, DeliveryState.FAILED)


def _current(page: TeamPage) -> TeamPage | None:
    """The page, if its team is still awaited."""
    is_answered = page.acknowledged_at or page.arrived_at or page.cancelled_at or page.voided_at
    return None if is_answered or not page.incident.is_open else page


def _tried(delivery: Delivery, page: TeamPage, by: Send) -> str:
    """Why it was not sent; empty if it was."""
    urls = {fingerprint(url): url for url in addresses(page.team.notification_urls)}
    url = urls.get(delivery.fingerprint)
    if url is None:
        return "The address was taken off the team."
    try:
        by(url, *message(page))
    except (NotSent, AddressRefused) as error:
        return str(error)[:300]
    except Exception as error:
        # A library of a hundred services fails in its own ways; the page must be tried again all the same.
        log.exception("Sending a page to %s broke", delivery.address)
        return f"It broke ({type(error).__name__}); the server's log says where."
    return ""


def _record(delivery: Delivery, now: datetime, error: str, state: DeliveryState, again: datetime | None = None) -> None:
    with transaction.atomic():
        DeliveryAttempt.objects.create(
            delivery=delivery, number=delivery.attempts, tried_at=now, was_sent=not error, error=error
        )
        _finish(delivery, state, again)


def _finish(delivery: Delivery, state: DeliveryState, again: datetime | None = None) -> None:
    Delivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts).update(state=state, next_try_at=again)
    incident: Incident = delivery.page.incident
    transaction.on_commit(lambda: bus.publish(incident.pk), robust=True)


def next_try() -> datetime | None:
    """When something is due again; None if nothing waits."""
    waiting = Delivery.objects.filter(state=DeliveryState.WAITING)
    return waiting.order_by("next_try_at").values_list("next_try_at", flat=True).first()


# --- The thread of a small installation ---

_news = threading.Event()
_starting = threading.Lock()
_thread: threading.Thread | None = None


def wake() -> None:
    """Has a thread of this process send what is due, where that is wanted. It ends when nothing waits any more."""
    global _thread
    if not settings.MAJOROPS_DELIVER_IN_PROCESS:
        return
    with _starting:
        _news.set()
        if _thread is None or not _thread.is_alive():  # it may have been killed by what broke
            _thread = threading.Thread(target=_drain, name="pages", daemon=True)
            _thread.start()


def _may_end() -> bool:
    """Whether nobody woke the thread since it looked. Whoever does so from now on starts another one."""
    global _thread
    with _starting:
        if not _news.is_set():
            _thread = None
        return _thread is None


def _drain() -> None:
    try:
        while True:
            _news.clear()
            deliver_due(timezone.now())
            due = next_try()
            if due is None and _may_end():
                return
            _news.wait(max(0.2, min(60.0, (due - timezone.now()).total_seconds())) if due else 0)
    except Exception:
        log.exception("The thread that sends pages broke. The next page starts it again.")
    finally:
        connection.close()
