"""People who watch an incident, as raw sockets: one process holds thousands of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import perf_counter

from benchmarks.live.servers import identity

#: What shows a new entry: it alone, ahead, or the parts of the page that changed.
TELLING = (b"event: entries", b"event: blocks")
BEAT = b"event: beat"
#: The end of an event that is the end of a chunk too.
END = b"\n\n\r\n"


@dataclass(frozen=True, slots=True)
class Pass:
    """Who looks, and up to which standing they have the page."""

    email: str
    standing: str = ""


@dataclass
class Crowd:
    """All viewers of one server, and when each got the event that is awaited now."""

    port: int
    path: str
    viewers: set[Viewer] = field(default_factory=set)
    opened: int = 0
    refused: list[bytes] = field(default_factory=list)
    got: list[float] = field(default_factory=list)
    size: int = 0
    expected: int = 0
    turn: int = 0
    #: What the awaited event must say to count.
    wanted: bytes = b""
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self, passes: Iterable[Pass], at_once: int) -> list[float]:
        """Seconds until each stream said its first word."""
        loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(at_once)

        async def enter(entry: Pass) -> float:
            async with gate:
                begun = perf_counter()
                _, viewer = await loop.create_connection(lambda: Viewer(self, entry), "127.0.0.1", self.port)
                await asyncio.wait_for(viewer.opened, 120)
                return perf_counter() - begun

        return list(await asyncio.gather(*[enter(entry) for entry in passes]))

    def await_event(self, expected: int = 0, wanted: bytes = b"") -> None:
        """From now on the first such event of each viewer counts."""
        self.got, self.expected, self.complete = [], expected or len(self.viewers), asyncio.Event()
        self.turn, self.wanted = self.turn + 1, wanted

    async def everyone(self, seconds: float) -> None:
        await asyncio.wait_for(self.complete.wait(), seconds)

    def received(self, viewer: Viewer) -> None:
        if viewer.turn == self.turn or not viewer.has_found:
            return
        viewer.turn, self.size = self.turn, viewer.size
        self.got.append(perf_counter())
        if len(self.got) == self.expected:
            self.complete.set()

    async def leave(self) -> None:
        for viewer in list(self.viewers):
            viewer.transport.abort()
        while self.viewers:
            await asyncio.sleep(0.01)


class Viewer(asyncio.Protocol):
    """One stream. It reads every byte, and looks only for the ends of events."""

    __slots__ = ("crowd", "entry", "has_found", "inside", "opened", "size", "tail", "transport", "turn")

    def __init__(self, crowd: Crowd, entry: Pass) -> None:
        self.crowd, self.entry = crowd, entry
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.inside, self.tail, self.size, self.turn, self.has_found = False, b"", 0, 0, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.crowd.viewers.add(self)
        headers = identity(self.entry.email) | {"Host": "localhost", "Accept": "text/event-stream"}
        lines = [f"GET {self.crowd.path}?has={self.entry.standing} HTTP/1.1", *map(": ".join, headers.items())]
        self.transport.write("\r\n".join([*lines, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self._opening(data)
            return
        if not self.inside:
            seen = self.tail + data
            if not any(kind in seen for kind in TELLING):
                self.tail = data[-len(TELLING[0]) :]
                return
            self.inside, self.tail, self.size, self.has_found = True, b"", 0, False
            data = seen
        self.size += len(data)
        self.has_found |= self.crowd.wanted in data
        end = data[-len(END) :] if len(data) >= len(END) else self.tail + data
        self.tail = end
        if end.endswith(END):
            self.inside, self.tail = False, b""
            self.crowd.received(self)

    def _opening(self, data: bytes) -> None:
        self.tail += data
        if b"\r\n\r\n" in self.tail and not self.tail.startswith(b"HTTP/1.1 200"):
            self.crowd.refused.append(self.tail[:200])
            self.opened.set_exception(ConnectionError(self.tail[:200].decode()))
        elif BEAT in self.tail and self.tail.endswith(END):
            self.tail = b""
            self.crowd.opened += 1
            self.opened.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.crowd.viewers.discard(self)
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(f"closed before it opened: {error}"))
