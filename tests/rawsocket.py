"""Requests as bytes, to a server started as the README starts it: what a client library would never send."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.run import ROOT


@dataclass(frozen=True)
class Server:
    port: int

    def ask(self, *headers: bytes, path: bytes = b"/api/v1/users/me", timeout: int = 60) -> tuple[int, bytes]:
        """Status and body; status 0 if the server hung up without an answer."""
        lines = [b"GET " + path + b" HTTP/1.1", b"Host: localhost", b"Connection: close", *headers]
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
            answer = _all(connection)
        status = re.match(rb"HTTP/1\.[01] (\d+)", answer)
        return (int(status[1]) if status else 0), answer.partition(b"\r\n\r\n")[2]


def _all(connection: socket.socket) -> bytes:
    received = b""
    try:
        while piece := connection.recv(65_536):
            received += piece
    except ConnectionError:
        pass
    return received


@contextmanager
def uvicorn(folder: Path, **environment: str) -> Iterator[Server]:
    """As `make run` starts it, on a database of its own with mim@example.com in it."""
    url = f"sqlite:///{folder / 'probe.sqlite3'}"
    told = {**os.environ, "DEBUG": "1", "SECRET_KEY": "k" * 60, "DATABASE_URL": url, **environment}
    subprocess.run([sys.executable, "-c", PREPARE], env=told, cwd=ROOT, check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = ["-m", "uvicorn", "majorops.asgi:application", "--no-proxy-headers", "--fd", str(listener.fileno())]
        process = subprocess.Popen(
            [sys.executable, *command], env=told, cwd=ROOT, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL
        )
        try:
            _wait_for(Server(port))
            yield Server(port)
        finally:
            process.terminate()
            process.wait(20)


PREPARE = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "majorops.settings"
django.setup()
from django.core.management import call_command
from accounts.models import User
call_command("migrate", verbosity=0)
User.objects.create_user("mim@example.com", role="mim")
"""


def _wait_for(server: Server) -> None:
    """The socket listens before the server does, so the first question waits for its start."""
    if server.ask(path=b"/healthz", timeout=120)[0] != 200:
        raise RuntimeError("the server did not start")
