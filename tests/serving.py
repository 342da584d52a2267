"""The site as `make run` serves it, in a process of its own, on the database of the running test. It can be killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from django.db import connection

from accounts.models import User
from tests.run import ROOT

IDENTITY = "Cf-Access-Authenticated-User-Email"


def database_url() -> str:
    """What a second process needs to reach the database of this test."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


@dataclass
class Site:
    """Always at the same port, also after it was killed and started again."""

    listener: socket.socket
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        told = {**os.environ, "DEBUG": "1", "MAJOROPS_AUTH_MODE": "dev", "DATABASE_URL": database_url()}
        told |= self.settings
        command = [
            "-m",
            "uvicorn",
            "majorops.asgi:application",
            "--no-proxy-headers",
            "--fd",
            str(self.listener.fileno()),
        ]
        self.processes.append(
            subprocess.Popen(
                [sys.executable, *command, "--timeout-graceful-shutdown", "5"],
                env=told,
                cwd=ROOT,
                pass_fds=[self.listener.fileno()],
                stderr=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        )
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as asked:
            asked.request("GET", "/healthz")
            if asked.getresponse().status != 200:
                raise RuntimeError("the server did not start")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        process = self.processes.pop()
        process.send_signal(how)
        return process.wait(20)

    def ask(self, person: User, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Status and decoded JSON of one request."""
        said = {IDENTITY: person.email, "Accept": "application/json", "Content-Type": "application/json", **headers}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as asked:
            asked.request(method, path, json.dumps(body) if body is not None else None, said)
            answer = asked.getresponse()
            text = answer.read()
        return answer.status, json.loads(text) if text else None

    def watch(self, person: User, path: str, **headers: str) -> Stream:
        asked = HTTPConnection("127.0.0.1", self.port, timeout=20)
        asked.request("GET", path, headers={IDENTITY: person.email, "Accept": "text/event-stream", **headers})
        self.streams.append(Stream(asked, asked.getresponse()))
        return self.streams[-1]


@dataclass
class Event:
    kind: str
    data: Any
    id: str = ""


class Ended(Exception):
    """The stream ended before such an event came."""


@dataclass
class Stream:
    """One open event stream."""

    connection: HTTPConnection
    response: HTTPResponse

    @property
    def status(self) -> int:
        return self.response.status

    def next(self, *kinds: str) -> Event:
        """The next event of these kinds, blocks unless told.

        Raises Ended, and TimeoutError after 20 s of silence or 60 s of other events.
        """
        told: dict[str, str] = {}
        until = monotonic() + 60
        while line := self.response.readline():
            if monotonic() > until:
                raise TimeoutError(f"nothing of {kinds} came for a minute")
            text = line.decode().rstrip("\n")
            if text:
                name, _, value = text.partition(": ")
                told[name] = value
            elif told.get("event") in (kinds or ("blocks",)):
                return Event(told["event"], json.loads(told["data"]), told.get("id", ""))
            else:
                told = {}
        raise Ended

    def close(self) -> None:
        self.response.close()
        self.connection.close()


@contextmanager
def serving(**settings: str) -> Iterator[Site]:
    """A running site for the time of the block, with these settings besides."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        site = Site(listener, settings=settings)
        site.start()
        try:
            yield site
        finally:
            for stream in site.streams:
                stream.close()
            while site.processes:
                site.stop(signal.SIGKILL)
