"""The servers that are measured, each a process of its own, and what they cost."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

ROOT = Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
#: By this name the database knows the connections of the server that is measured.
NAME = "majorops-bench"

_KEY = secrets.token_hex(40)
#: Settings of an installation behind a proxy: what DEBUG keeps in memory would count as the viewers'.
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "majorops.settings",
    "DEBUG": "0",
    "SECRET_KEY": _KEY,
    "ALLOWED_HOSTS": "localhost,127.0.0.1",
    "MAJOROPS_AUTH_MODE": "proxy",
    "PROXY_SHARED_SECRET": _KEY,
    "PROXY_TRUSTED_CIDRS": "127.0.0.0/8",
    "TLS_TERMINATED_BY_PROXY": "1",
    "SECURE_SSL_REDIRECT": "0",
}
#: What a page would have got with its form.
CSRF = {"Cookie": f"__Host-csrf={_KEY[:32]}", "X-CSRFToken": _KEY[:32]}


def identity(email: str) -> dict[str, str]:
    """The headers that the proxy adds for this person."""
    return {"Cf-Access-Authenticated-User-Email": email, "X-MajorOps-Proxy-Secret": _KEY}


@dataclass(frozen=True)
class Server:
    """A process that listens on `port`, and its workers."""

    process: subprocess.Popen[bytes]
    port: int

    def workers(self) -> list[int]:
        """The process ids that serve: the children that do, else the process itself."""
        pids = _children(self.process.pid)
        return [pid for pid in pids if b"resource_tracker" not in _command(pid)] or [self.process.pid]

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        spent = 0
        for pid in {self.process.pid, *self.workers()}:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            spent += sum(int(field) for field in fields[11:15])
        return spent / TICK

    def memory(self) -> int:
        """Resident bytes of the workers."""
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE for pid in self.workers())


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in found.split()]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@contextmanager
def clock(url: str) -> Iterator[IO[str]]:
    """What benchmarks/live/clock.py says."""
    command = [sys.executable, "-m", "benchmarks.live.clock", url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            yield cast(IO[str], process.stdout)
        finally:
            process.terminate()


@contextmanager
def bare(url: str) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.live.bare", str(port), url]
    with _running(command, port, dict(os.environ), ready="") as server:
        yield server


@contextmanager
def majorops(url: str, workers: int, application: str = "majorops.asgi:application") -> Iterator[Server]:
    port = free_port()
    command = [str(Path(sys.executable).with_name("uvicorn")), application, "--port", str(port)]
    command += ["--workers", str(workers), "--no-proxy-headers", "--no-access-log", "--backlog", "4096"]
    command += ["--timeout-graceful-shutdown", "5"]
    environment = os.environ | {"DATABASE_URL": url, "LOG_LEVEL": "WARNING", "PYTHONPATH": str(ROOT), "PGAPPNAME": NAME}
    with _running(command, port, environment, ready="Application startup complete", workers=workers) as server:
        yield server


@contextmanager
def _running(
    command: list[str], port: int, environment: dict[str, str], *, ready: str, workers: int = 1
) -> Iterator[Server]:
    """The server, once it listens and every worker has said that it is ready."""
    with tempfile.NamedTemporaryFile("r", prefix="majorops-bench-", suffix=".log") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=sys.stderr, stderr=log.fileno())  # noqa: S603
        try:
            until = time.monotonic() + 60
            while not _answers(port) or (ready and Path(log.name).read_text().count(ready) < workers):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"It did not start: {' '.join(command)}\n{Path(log.name).read_text()}")
                time.sleep(0.1)
            yield Server(process, port)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
            _tell_trouble(Path(log.name).read_text())


def _tell_trouble(log: str) -> None:
    """What a server said beside its usual lines."""
    lines = [line for line in log.splitlines() if not line.startswith("INFO:")]
    print("\n".join(lines[-40:]), file=sys.stderr, end="\n" if lines else "")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
