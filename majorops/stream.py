"""Keeps event streams open, beside Django.

A stream begins as an ordinary request: Django's middleware, view and visibility code decide and answer it, and whatever
is not an event stream goes out as it came. Only then does the connection stay here, as a `Seat`. One thread per process
listens for changes on one database connection, renders once for everyone who sees the same, and hands the bytes to the
event loop. It compares what each seat has with what there is, so a lost notification costs time, never an entry.
"""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from accounts.models import User
from incidents import live
from incidents.live_page import GRANTED, event
from majorops.lib import bus
from majorops.lib.times import iso

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

STREAM = re.compile(r"/incidents/[0-9A-Za-z]{26}/(?:(?:brief|exec)/)?live")
#: A sign of life, and a look whether everybody may still look. In seconds.
BEAT = 5.0
#: How long the thread listens before it looks for new seats.
LISTEN = 0.25
#: A browser comes back by itself, and is then asked again who it is.
LIFETIME = 15 * 60.0
#: How long the blocks wait until new entries are out. In seconds.
PATIENCE = 0.5
#: A browser that takes nothing while this many events wait has to start over.
MAX_WAITING = 32

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Seat:
    """One open stream: who watches what, up to which standing they have it, and what waits to be sent."""

    person: User
    incident_id: str
    standing: str
    #: Which page of it: a key of live.FACES.
    face: str = ""
    since: float = field(default_factory=monotonic)
    waiting: list[bytes] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False

    def push(self, body: bytes) -> None:
        """To be called in the event loop."""
        self.waiting.append(body)
        self.is_over |= len(self.waiting) > MAX_WAITING
        self.wake.set()

    def end(self) -> None:
        self.is_over = True
        self.wake.set()


class Streams:
    """ASGI: event streams here, everything else to Django."""

    def __init__(self, django: Application) -> None:
        self.django = django
        self.hub = Hub()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif _asks_for_a_stream(scope):
            await self._stream(scope, receive, send)
        else:
            await self.django(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Starts and stops with the server."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                _before_the_server_stops(self.hub.end_all)
                await send({"type": "lifespan.startup.complete"})
            else:
                self.hub.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        granted: list[live.Watch] = []
        await self.django({**scope, GRANTED: granted}, receive, _Opening(send, granted))
        if not granted:
            return
        watch = granted[0]
        seat = Seat(watch.person, watch.incident_id, watch.standing, watch.face)
        self.hub.join(seat)
        pump = asyncio.create_task(_pump(seat, send))
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self.hub.leave(seat)
            pump.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await pump


def _asks_for_a_stream(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET" or not STREAM.fullmatch(scope["path"]):
        return False
    return any(name == b"accept" and b"text/event-stream" in value for name, value in scope["headers"])


class _Opening:
    """Django's answer on its way out: kept open if it grants a watch."""

    def __init__(self, send: Send, granted: list[live.Watch]) -> None:
        self.send = send
        self.granted = granted

    async def __call__(self, message: Message) -> None:
        if self.granted:
            if message["type"] == "http.response.start":
                message["headers"] = [pair for pair in message["headers"] if pair[0].lower() != b"content-length"]
            else:
                message["more_body"] = True
        await self.send(message)


async def _pump(seat: Seat, send: Send) -> None:
    while not seat.is_over:
        await seat.wake.wait()
        seat.wake.clear()
        bodies, seat.waiting = seat.waiting, []
        if bodies:
            await send({"type": "http.response.body", "body": b"".join(bodies), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _before_the_server_stops(act: Callable[[], None]) -> None:
    """The server waits for open streams before it says that it stops, so we hear of it by the signal itself."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        if not callable(before):
            continue

        def stop(signum: int, frame: Any, before: Callable[..., Any] = before) -> None:
            with suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(act)
            before(signum, frame)

        signal.signal(number, stop)


class Hub:
    """The seats of this process. Seats join, leave and get their bytes in the event loop."""

    def __init__(self) -> None:
        self.seats: set[Seat] = set()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.watcher: Watcher | None = None

    def join(self, seat: Seat) -> None:
        self.loop = asyncio.get_running_loop()
        self.seats.add(seat)
        if self.watcher is None or not self.watcher.is_alive():
            self.watcher = Watcher(self)
            self.watcher.start()
        self.watcher.look_at(seat.incident_id)

    def leave(self, seat: Seat) -> None:
        self.seats.discard(seat)

    def end_all(self) -> None:
        for seat in self.seats:
            seat.end()

    def close(self) -> None:
        self.end_all()
        if self.watcher is not None:
            self.watcher.stopped.set()

    def present(self) -> list[Seat]:
        """For the watcher's thread: the seats as they are at this moment."""
        while True:
            with suppress(RuntimeError):  # somebody joined meanwhile
                return list(self.seats)

    def hand_out(self, body: bytes, seats: Iterable[Seat]) -> threading.Event:
        """For the watcher's thread. The event is set once the bytes went to every connection."""
        return self._in_loop(seats, lambda seat: seat.push(body))

    def end(self, seats: Iterable[Seat]) -> None:
        """For the watcher's thread."""
        self._in_loop(seats, Seat.end)

    def _in_loop(self, seats: Iterable[Seat], act: Callable[[Seat], None]) -> threading.Event:
        loop, done = self.loop, threading.Event()

        def on_each() -> None:
            for seat in seats:
                act(seat)
            asyncio.get_running_loop().call_soon(done.set)  # behind the pumps, which were woken before

        if loop is not None:
            with suppress(RuntimeError):  # the loop is closed: there is nobody left to tell
                loop.call_soon_threadsafe(on_each)
        return done


@dataclass(frozen=True, slots=True)
class Shown:
    """What a group of people that see the same was shown last: which state, and how each block looked."""

    state: live.State
    blocks: dict[str, str]


class Watcher(threading.Thread):
    """Brings every seat up to date. The only user of its database connection."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(name="majorops-live", daemon=True)
        self.hub = hub
        self.stopped = threading.Event()
        self._ear: bus.Ear
        self._asked: set[str] = set()
        self._shown: dict[tuple[str, ...], Shown] = {}
        self._beat_at = monotonic() + BEAT

    def look_at(self, incident_id: str) -> None:
        """For the event loop: somebody new watches it, who may have missed something on the way."""
        self._asked.add(incident_id)

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                with bus.listening() as self._ear:
                    self._bring_up_to_date({bus.ANYTHING})  # what was missed while nobody listened
                    self._watch()
            except (DatabaseError, InterfaceError) as error:
                log.warning("Live updates wait for the database: %s", error)
                self.stopped.wait(1)
            except Exception:
                log.exception("Live updates failed; they start again.")
                self.stopped.wait(1)
            finally:
                connection.close()

    def _watch(self) -> None:
        while not self.stopped.is_set():
            changed = self._ear.heard(LISTEN)
            while self._asked:
                changed.add(self._asked.pop())
            if changed:
                self._bring_up_to_date(changed)
            if monotonic() >= self._beat_at:
                self._beat_at = monotonic() + BEAT
                self._beat()

    def _beat(self) -> None:
        """A sign of life to all. Those who may no longer look, or have looked for long, have to come in again."""
        self._bring_up_to_date({bus.ANYTHING})  # promises fall due by themselves, and a notification may have been lost
        seats = self._those_who_still_may(self.hub.present())
        known = set(User.objects.filter(pk__in={seat.person.pk for seat in seats}).values_list("pk", flat=True))
        old = [seat for seat in seats if seat.person.pk not in known or monotonic() - seat.since > LIFETIME]
        self.hub.end(old)
        watched = {seat.incident_id for seat in seats}
        self._shown = {key: shown for key, shown in self._shown.items() if key[0] in watched}
        self.hub.hand_out(event("beat", {"now": iso(timezone.now())}), seats)

    def _those_who_still_may(self, seats: list[Seat]) -> list[Seat]:
        """Ends the streams of people who were switched off or got another role since. One query.

        Thousands may watch, most in one role: whoever is not active in it is asked for, not everyone by name.
        """
        if not seats:
            return []
        usual = (Counter(seat.person.role for seat in seats).most_common(1)[0][0], True)
        others = User.objects.exclude(role=usual[0], is_active=True).values_list("pk", "role", "is_active")
        rights = {pk: (role, is_active) for pk, role, is_active in others}
        allowed: list[Seat] = []
        ended: list[Seat] = []
        for seat in seats:
            is_same = rights.get(seat.person.pk, usual) == (seat.person.role, seat.person.is_active)
            (allowed if is_same else ended).append(seat)
        self.hub.end(ended)
        return allowed

    def _bring_up_to_date(self, changed: set[str]) -> None:
        watched: dict[tuple[str, str], list[Seat]] = defaultdict(list)
        for seat in self.hub.present():
            if seat.incident_id in changed or bus.ANYTHING in changed:
                watched[seat.incident_id, seat.face].append(seat)
        for (incident_id, face), seats in sorted(watched.items(), key=lambda pair: pair[0]):
            self._show(incident_id, face, seats)

    def _show(self, incident_id: str, face: str, seats: list[Seat]) -> None:
        of_person: dict[str, list[Seat]] = defaultdict(list)
        people: dict[str, User] = {}
        for seat in seats:
            people[seat.person.pk] = seat.person
            of_person[seat.person.pk].append(seat)
        groups = live.sharers(incident_id, people.values())
        # Most people first: each rendering takes its time, and those who are named in an incident have their own.
        largest = sorted(groups.items(), key=lambda pair: len(pair[1]), reverse=True)
        theirs = {key: [seat for person in group for seat in of_person[person.pk]] for key, group in largest}
        everyone = [((incident_id, face, *key), group[0], theirs[key]) for key, group in largest]
        self._tell_all_ahead(everyone)
        for key, looker, seats_of_group in everyone:
            self._show_group(key, looker, seats_of_group)
            if self._hears_of(incident_id):
                self._tell_all_ahead(everyone)

    def _tell_all_ahead(self, everyone: Iterable[tuple[tuple[str, ...], User, list[Seat]]]) -> None:
        for key, looker, seats in everyone:
            self._tell_ahead(key, looker, seats)

    def _hears_of(self, incident_id: str) -> bool:
        """Whether something new came meanwhile. Drawing for a dozen groups takes a second, and a new line must not wait
        for it; the blocks follow in the next round."""
        heard = self._ear.heard(0)
        self._asked |= heard
        return bool(heard & {incident_id, bus.ANYTHING})

    def _tell_ahead(self, key: tuple[str, ...], looker: User, seats: list[Seat]) -> None:
        """What was written since goes out at once, before any block is drawn. It moves nobody's standing."""
        shown = None if key[1] else self._shown.get(key)  # only the command page has a log
        ready = [seat for seat in seats if shown and seat.standing == shown.state.standing]
        entries = live.written_since(shown.state, looker) if shown and ready else {}
        if entries and live.may_watch(looker, key[0]):
            told = {"now": iso(timezone.now()), "entries": entries}
            # Drawing the blocks meanwhile would take its turns from the thread that sends.
            self.hub.hand_out(event("entries", told), self._those_who_still_may(ready)).wait(PATIENCE)

    def _show_group(self, key: tuple[str, ...], looker: User, seats: list[Seat]) -> None:
        """Everyone of a group gets what they lack: most only the blocks that changed since what they have."""
        now = timezone.now()
        state = live.state_for(looker, key[0], now)
        behind = [] if state is None else [seat for seat in seats if seat.standing != state.standing]
        if state is not None and not behind:
            if (shown := self._shown.get(key)) is None or shown.state.standing != state.standing:
                self._shown[key] = Shown(state, {})  # they have it from the page itself
            return
        blocks = live.blocks_for(looker, state.incident, now, key[1]) if state is not None else {}
        # Asked again after the page was drawn: what was written after somebody lost sight of it must not reach them.
        if state is None or not live.may_watch(looker, key[0]):
            self.hub.end(seats)
            return
        self._tell(self._those_who_still_may(behind), key, state, blocks, now)

    def _tell(
        self, seats: list[Seat], key: tuple[str, ...], state: live.State, blocks: dict[str, str], now: datetime
    ) -> None:
        shown, standing = self._shown.get(key), state.standing
        before, known = (shown.state.standing, shown.blocks) if shown else ("", {})
        changed = {name: html for name, html in blocks.items() if known.get(name) != html}
        self._shown[key] = Shown(state, blocks)
        for told, wanted in (
            (changed, [seat for seat in seats if before and seat.standing == before]),
            (blocks, [seat for seat in seats if not before or seat.standing != before]),
        ):
            if wanted:
                self.hub.hand_out(event("blocks", {"now": iso(now), "blocks": told}, id=standing), wanted)
        for seat in seats:
            seat.standing = standing
