"""The limit to compare with: a server that only keeps sockets open and writes the same bytes to each when told to.

`python -m benchmarks.live.bare PORT DATABASE_URL`. A POST sets the bytes; a notification on CHANNEL sends them.
"""

from __future__ import annotations

import asyncio
import sys

import psycopg
import uvloop

CHANNEL = "bare_changed"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
BEAT = b"event: beat\ndata: {}\n\n"


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


class Crowd:
    """Who is connected, and what they get next."""

    def __init__(self) -> None:
        self.transports: set[asyncio.Transport] = set()
        self.body = b""

    def send(self) -> None:
        for transport in self.transports:
            transport.write(self.body)


class Connection(asyncio.Protocol):
    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"GET"):
            self.crowd.transports.add(self.transport)
            self.received = b""
            self.transport.write(HEAD + chunk(BEAT))
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) == length:
            self.crowd.body = chunk(body)
            self.received = b""
            self.transport.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.crowd.transports.discard(self.transport)


async def serve(port: int, url: str) -> None:
    crowd = Crowd()
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Connection(crowd), "127.0.0.1", port, backlog=4096)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"LISTEN {CHANNEL}")
        async for _ in connection.notifies():
            crowd.send()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))
