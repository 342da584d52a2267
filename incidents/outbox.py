"""The outbox: everything that leaves the house, queued with the action that causes it, sent after it by a worker.

THE ONLY WRITER of notices, deliveries and their attempts.

    queue_page(page, now)                           a delivery for each address of a team that is called
    queue_notice(incident, event, ...)              a delivery for each subscriber and endpoint that may hear of it
    queue_message(to=..., title=..., text=...)      an e-mail to each address, about anything
    redeliver(delivery, now=...)                    once more, under the same message id
    send_test(endpoint, now=...)                    what an endpoint would get
    deliver_due(now)                                one round of a worker

Queueing writes within the caller's transaction and sends nothing. A worker (`mim outbox deliver --watch`, a scheduled
job, or a thread of the server) claims a delivery by moving its next try ahead before it sends. One that dies in between
leaves it due again: each delivery is sent at least once, and whoever gets it twice knows it by its message id.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Max, QuerySet
from django.utils import timezone

from accounts.idempotency import effect
from accounts.models import User
from incidents import mail, paging, subscriptions, webhooks
from incidents.lifecycle import Kind
from incidents.models import Delivery, DeliveryAttempt, DeliveryState, Endpoint, Incident, Notice, TeamPage
from incidents.outbox_rules import (
    LAST_WORDS,
    Channel,
    Event,
    Wish,
    is_at_least,
    is_too_late,
    next_try,
    told_of_incident,
)
from incidents.outbox_words import SAID
from majorops.lib import bus
from majorops.lib.errors import DomainError
from majorops.lib.outgoing import AddressRefused, NoAnswer, NotSent
from majorops.lib.times import iso
from teams.addresses import addresses, fingerprint, masked

log = logging.getLogger(__name__)

#: How long a worker has for one try before another one takes it over.
LEASE = timedelta(minutes=2)
BATCH = 50


class StillWaiting(DomainError):
    """This delivery is being sent already. Wait for its outcome."""

    code = "still_waiting"


@dataclass(slots=True)
class Delivered:
    """What one round of the worker did."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0

    def __bool__(self) -> bool:
        return bool(self.sent or self.failed or self.dropped)

    def __str__(self) -> str:
        return f"{self.sent} sent, {self.failed} not sent, {self.dropped} not needed any more."


# --- Queueing ---

_is_quiet: ContextVar[bool] = ContextVar("is_quiet", default=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Within it nothing is queued: for history that is told once more, as the demo's."""
    before = _is_quiet.set(True)
    try:
        yield
    finally:
        _is_quiet.reset(before)


def queue_page(page: TeamPage, now: datetime) -> list[Delivery]:
    """A delivery for each address of the page's team, if pages are sent here at all. Call within the page's action."""
    urls = addresses(page.team.notification_urls) if settings.MAJOROPS_SEND_PAGES else []
    call = {"channel": Channel.PAGE, "page": page, "call": page.page_count}
    return _queue(
        [_delivery(now, address=masked(url), fingerprint=fingerprint(url), **call) for url in dict.fromkeys(urls)]
    )


def queue_notice(
    incident: Incident,
    event: Event,
    *,
    now: datetime,
    happened_at: datetime,
    title: str = "",
    text: str = "",
) -> Notice | None:
    """Tells those who want to hear of it and may. Call within the action, after it has written the incident.

    Title and text must be public. What happened long ago is told to nobody, and None is returned if nobody listens.
    """
    if incident.kind == Kind.BACKFILLED or _is_quiet.get():
        return None
    people = subscriptions.hearers(incident, event) if settings.MAJOROPS_SEND_MAIL else []
    listening = _listening(incident, event)
    if not people and not listening:
        return None
    notice = Notice.objects.create(
        incident=incident,
        sequence=_next_sequence(incident),
        event=event,
        title=title[:300],
        text=text,
        path=f"/incidents/{incident.pk}/",
        said={name: _plain(getattr(incident, name)) for name in SAID},
        happened_at=happened_at,
        created_at=now,
    )
    _queue(
        [_mail(notice, person.email, person, now) for person in people]
        + [_post(notice, each, now) for each in listening]
    )
    return notice


def queue_message(
    *, to: Iterable[str], title: str, text: str, now: datetime, path: str = "", happened_at: datetime | None = None
) -> list[Delivery]:
    """An e-mail to each address, about anything. `path` is where to read more within this site.

    An address of somebody who has an account gets nothing once that account is switched off.
    """
    people = {person.email: person for person in User.objects.filter(email__in=[each.lower() for each in to])}
    wanted = dict.fromkeys(each.lower() for each in to) if settings.MAJOROPS_SEND_MAIL else {}
    if not wanted or _is_quiet.get():
        return []
    with transaction.atomic():
        notice = Notice.objects.create(
            event=Event.MESSAGE, title=title[:300], text=text, path=path, happened_at=happened_at or now, created_at=now
        )
        return _queue([_mail(notice, address, people.get(address), now) for address in wanted])


def send_test(endpoint: Endpoint, *, now: datetime) -> Delivery:
    """Queues a message that says what it is. Also to an endpoint that is switched off: to try it before."""
    with effect(endpoint):
        notice = Notice.objects.create(
            event=Event.TEST,
            title="Test of MajorOps",
            text=f"If you read this, {endpoint.name} receives what MajorOps sends.",
            happened_at=now,
            created_at=now,
        )
        [delivery] = _queue([_post(notice, endpoint, now)])
    return delivery


def redeliver(delivery: Delivery, *, now: datetime) -> Delivery:
    """Sends once more what was sent or failed, under the same message id. The earlier delivery keeps its history.

    Raises StillWaiting.
    """
    with effect(delivery):
        current = Delivery.objects.select_for_update(no_key=True).get(pk=delivery.pk)
        pending = current.redelivered.filter(state=DeliveryState.WAITING).exists()
        if current.state == DeliveryState.WAITING or pending:
            raise StillWaiting
        kept = ("channel", "message_id", "page_id", "call", "notice_id", "person_id", "endpoint_id")
        same = {name: getattr(current, name) for name in (*kept, "address", "fingerprint")}
        [again] = _queue([_delivery(now, redelivers=current, **same)])
    return again


def _listening(incident: Incident, event: Event) -> list[Endpoint]:
    """The endpoints that are told: of what they chose, and of the end of whatever they were told about."""
    active = Endpoint.objects.filter(is_active=True).order_by("pk")
    listening = [each for each in active if webhooks.hears_kind(each, incident.kind)]
    heard = subscriptions.has_heard(incident) if listening and event in LAST_WORDS else set()
    return [
        each
        for each in listening
        if told_of_incident(None, by_rule=_chose(each, incident, event), event=event, has_heard=each.pk in heard)
        and subscriptions.may_hear(webhooks.viewer_of(each), incident.pk)
    ]


def _chose(endpoint: Endpoint, incident: Incident, event: Event) -> bool:
    is_wanted = not endpoint.event_types or event in endpoint.event_types
    return is_wanted and is_at_least(incident.severity, endpoint.min_severity)


def _next_sequence(incident: Incident) -> int:
    """Under the incident's lock, so that there is no gap and no double."""
    Incident.objects.select_for_update(no_key=True).filter(pk=incident.pk).values_list("pk").first()
    last: int | None = Notice.objects.filter(incident=incident).aggregate(last=Max("sequence"))["last"]
    return (last or 0) + 1


def _plain(value: object) -> object:
    return iso(value) if isinstance(value, datetime) else value


def _mail(notice: Notice, address: str, person: User | None, now: datetime) -> Delivery:
    mark = fingerprint(f"mailto:{address}")
    return _delivery(now, channel=Channel.EMAIL, notice=notice, person=person, address=address, fingerprint=mark)


def _post(notice: Notice, endpoint: Endpoint, now: datetime) -> Delivery:
    where = {"address": webhooks.masked(endpoint.url)[:300], "fingerprint": fingerprint(endpoint.url)}
    return _delivery(now, channel=endpoint.kind, notice=notice, endpoint=endpoint, **where)


def _delivery(now: datetime, **columns: Any) -> Delivery:
    return Delivery(queued_at=now, next_try_at=now, **columns)


def _queue(rows: list[Delivery]) -> list[Delivery]:
    if rows:
        Delivery.objects.bulk_create(rows)
        transaction.on_commit(wake, robust=True)
    return rows


# --- The worker ---


def deliver_due(now: datetime, *, by: paging.Send = paging.send) -> Delivered:
    """Tries everything that is due, each in a transaction of its own. `by` sends the pages of teams.

    An endpoint that kept us waiting is left for the next round, so that it delays nobody else.
    """
    done, silent = Delivered(), set[str]()
    due = _due(now).order_by("next_try_at", "pk")
    for key, endpoint in list(due.values_list("pk", "endpoint")[:BATCH]):
        if endpoint not in silent and _claim(key, now):
            related = Delivery.objects.select_related("page__team", "page__incident", "notice__incident", "person")
            delivery = related.select_related("endpoint").get(pk=key)
            if not _deliver(delivery, now, done, by) and endpoint:
                silent.add(endpoint)
    return done


def _due(now: datetime) -> QuerySet[Delivery]:
    return Delivery.objects.filter(state=DeliveryState.WAITING, next_try_at__lte=now)


def due_count(now: datetime) -> int:
    """How many would be tried now."""
    return _due(now).count()


def _claim(key: str, now: datetime) -> bool:
    """Whether this worker has it: only one of several finds it still due."""
    due = _due(now).filter(pk=key)
    return bool(due.update(next_try_at=now + LEASE, attempts=F("attempts") + 1))


def _deliver(delivery: Delivery, now: datetime, done: Delivered, by: paging.Send) -> bool:
    """One try. False if the other side kept us waiting."""
    if dropped := _why_not(delivery):
        _record(delivery, now, dropped, DeliveryState.DROPPED)
        done.dropped += 1
        return True
    late = is_too_late(delivery.queued_at, now)
    error, answered = (
        ("It waited for more than 24 hours; it would be no news any more.", True) if late else _tried(delivery, now, by)
    )
    if not error:
        done.sent += 1
        _record(delivery, now, "", DeliveryState.SENT)
        return True
    # Counted by what was tried, not by claims: a worker that was killed has used up nothing.
    failures = DeliveryAttempt.objects.filter(delivery=delivery).count() + 1
    again = None if late else next_try(delivery.channel, failures, delivery.queued_at, now)
    if again:
        _record(delivery, now, error, DeliveryState.WAITING, again=again)
    else:
        done.failed += 1
        log.warning("%s not sent to %s: %s", delivery.get_channel_display(), delivery.address, error)
        _record(delivery, now, error, DeliveryState.FAILED)
    return answered


def _why_not(delivery: Delivery) -> str:
    """Why it need not, or must not, be sent any more; empty if it is to be sent. Asked again before each try."""
    if delivery.page:
        return "" if paging.is_awaited(delivery.page) else "Nobody waits for this team any more."
    notice, person, endpoint = delivery.notice, delivery.person, delivery.endpoint
    if person and not (person.is_active and person.role):
        return "This person has no access any more."
    if endpoint and not endpoint.is_active and notice and notice.event != Event.TEST:
        return "The endpoint is switched off."
    if notice is None or notice.incident is None:
        return ""
    viewer = webhooks.viewer_of(endpoint) if endpoint else person
    if not subscriptions.may_hear(viewer, notice.incident.pk):
        return "They may not know of this incident any more."
    if person and subscriptions.wish_of(notice.incident, person) == Wish.NOTHING:
        return "They want to hear nothing more of it."
    return ""


def _tried(delivery: Delivery, now: datetime, by: paging.Send) -> tuple[str, bool]:
    """Why it was not sent, empty if it was; and whether the other side answered at all."""
    try:
        _send(delivery, now, by)
    except NoAnswer as error:
        return str(error)[:300], False
    except (NotSent, AddressRefused) as error:
        return str(error)[:300], True
    except Exception as error:
        # A library of a hundred services fails in its own ways; the message must be tried again all the same.
        log.exception("Sending to %s broke", delivery.address)
        return f"It broke ({type(error).__name__}); the server's log says where.", True
    return "", True


def _send(delivery: Delivery, now: datetime, by: paging.Send) -> None:
    if delivery.page:
        urls = {fingerprint(url): url for url in addresses(delivery.page.team.notification_urls)}
        if delivery.fingerprint not in urls:
            raise NotSent("The address was taken off the team.")
        by(urls[delivery.fingerprint], *paging.message(delivery.page))
    elif delivery.notice and delivery.endpoint:
        webhooks.send(delivery, delivery.endpoint, delivery.notice, now)
    elif delivery.notice:
        mail.send(delivery, delivery.notice)


def _record(delivery: Delivery, now: datetime, error: str, state: DeliveryState, again: datetime | None = None) -> None:
    """Writes what came of the try, unless another worker has taken the delivery over by now and says so itself."""
    with transaction.atomic():
        DeliveryAttempt.objects.create(
            delivery=delivery, number=delivery.attempts, tried_at=now, was_sent=state == DeliveryState.SENT, error=error
        )
        Delivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts, state=DeliveryState.WAITING).update(
            state=state, next_try_at=again
        )
        if delivery.page:
            incident: str = delivery.page.incident_id
            transaction.on_commit(lambda: bus.publish(incident), robust=True)


def next_due() -> datetime | None:
    """When something is due again; None if nothing waits."""
    waiting = Delivery.objects.filter(state=DeliveryState.WAITING)
    return waiting.order_by("next_try_at").values_list("next_try_at", flat=True).first()


@dataclass(frozen=True, slots=True)
class Lag:
    """How the outbox stands: for administrators and monitors."""

    waiting: int
    #: Given up since then.
    failed: int
    oldest: datetime | None


def lag(since: datetime) -> Lag:
    """What waits, since when, and what was given up since a moment."""
    waiting = Delivery.objects.filter(state=DeliveryState.WAITING)
    failed = Delivery.objects.filter(state=DeliveryState.FAILED, queued_at__gte=since).exclude(
        redelivered__state=DeliveryState.SENT
    )
    oldest = waiting.order_by("queued_at").values_list("queued_at", flat=True).first()
    return Lag(waiting.count(), failed.count(), oldest)


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
            _thread = threading.Thread(target=_drain, name="outbox", daemon=True)
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
            due = next_due()
            if due is None and _may_end():
                return
            _news.wait(max(0.2, min(60.0, (due - timezone.now()).total_seconds())) if due else 0)
    except Exception:
        log.exception("The thread that sends messages broke. The next message starts it again.")
    finally:
        connection.close()
