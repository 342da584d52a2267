"""Connections to addresses that people typed: to public ones only.

The address is judged when a socket connects, by Python's own audit event, so that neither a name that resolves
differently the second time nor a redirect leads into the network of this server.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

#: IPv6 that stands for an IPv4 address: NAT64, 6to4, Teredo. Which one is behind it, nobody can tell for sure.
_DISGUISED = [ipaddress.ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]
_RESERVED = ipaddress.ip_network("192.0.0.0/24")
_CONNECTING = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_RUNNING = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"}

#: How long posting may take, in seconds: until connected and between two pieces of an answer, and altogether.
CONNECT_WITHIN, ANSWER_WITHIN = 5.0, 10.0
#: So much of an answer is read; the rest is nobody's business.
MAX_ANSWER = 64 * 1024

_guard = threading.local()
_hooked = threading.Event()
_hooking = threading.Lock()


class NotSent(Exception):
    """The other side did not take it; the words say why."""


class NoAnswer(NotSent):
    """The other side kept us waiting. What else is for it can wait too."""


class AddressRefused(Exception):
    """A connection to an address that is not public. Not an OSError: libraries would try the next one."""


def is_public(host: str) -> bool:
    """Whether a numeric address belongs to the open internet."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped or any(address in net for net in _DISGUISED):
            return False
    elif address in _RESERVED:
        return False
    return address.is_global and not address.is_multicast


@contextmanager
def only_public() -> Iterator[None]:
    """In this thread, connections to private addresses and other programs are refused: AddressRefused."""
    with _hooking:
        if not _hooked.is_set():
            sys.addaudithook(_judge)  # it stays for the life of the process, and is quick where nothing is guarded
            _hooked.set()
    _guard.on, _guard.refused = True, ""
    try:
        yield
    finally:
        _guard.on = False
    if _guard.refused:  # some libraries swallow every exception
        raise AddressRefused(_guard.refused)


def _judge(event: str, arguments: tuple[object, ...]) -> None:
    if not getattr(_guard, "on", False):
        return
    if event in _CONNECTING:
        target = arguments[1] if len(arguments) > 1 else None
        host = target[0] if isinstance(target, tuple) and target else ""
        if target is not None and not (isinstance(host, str) and is_public(host)):
            _refuse("The address leads into a private network, which is not allowed (MAJOROPS_PAGES_TO_PRIVATE).")
    elif event in _RUNNING:
        _refuse("The address would start a program here.")


def _refuse(told: str) -> None:
    _guard.refused = told
    raise AddressRefused(told)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side answered; of the body no more than was asked for."""

    status: int
    kind: str
    body: bytes


def post(url: str, body: bytes, headers: Mapping[str, str], *, guarded: bool = True) -> None:
    """Posts to an address that somebody typed. Anything but 2xx is NotSent; a redirect is not followed.

    Raises NotSent, NoAnswer, AddressRefused. `guarded=False` lets it lead into private networks.
    """
    status = exchange(url, body, headers, guarded=guarded, within=ANSWER_WITHIN).status
    if not 200 <= status < 300:
        hint = " Redirects are not followed." if 300 <= status < 400 else ""
        raise NotSent(f"It answered {status}.{hint}")


def get(url: str, *, guarded: bool = True, within: float = ANSWER_WITHIN, most: int = MAX_ANSWER) -> Answer:
    """Asks, and returns what was answered, whatever its status. Raises NotSent, NoAnswer, AddressRefused."""
    return exchange(url, None, {}, guarded=guarded, within=within, most=most, method="GET")


def exchange(
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    guarded: bool = True,
    within: float = ANSWER_WITHIN,
    patient: bool = False,
    most: int = MAX_ANSWER,
    method: str = "POST",
) -> Answer:
    """Posts, and returns what was answered, whatever its status. Raises NotSent, NoAnswer, AddressRefused.

    `patient`: the other side may say nothing for as long as the whole may take, because it thinks.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=min(CONNECT_WITHIN, within))
    connection._create_connection = _connected  # type: ignore[attr-defined]  # socket's own leaks what is refused
    target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    with only_public() if guarded else nullcontext(), _at_most(within, connection) as ran_out:
        try:
            connection.request(method, target, body, dict(headers))
            if patient and connection.sock:
                connection.sock.settimeout(within)
            answer = connection.getresponse()
            read = answer.read(most)
        except TimeoutError:
            raise NoAnswer("It did not answer in time.") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            if ran_out.is_set():
                raise NoAnswer("It did not answer in time.") from None
            raise NotSent(f"It could not be reached ({type(error).__name__}).") from None
        finally:
            connection.close()
    if ran_out.is_set():
        raise NoAnswer("It did not answer in time.")
    return Answer(answer.status, answer.headers.get_content_type(), read)


def _connected(address: tuple[str, int], timeout: float, source: object = None) -> socket.socket:
    """A socket to the first address of the name that answers. Raises OSError, AddressRefused."""
    failure: OSError | None = None
    for family, kind, protocol, _, where in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
        reached = socket.socket(family, kind, protocol)
        try:
            reached.settimeout(timeout)
            reached.connect(where)
        except OSError as error:
            reached.close()
            failure = error
        except BaseException:
            reached.close()
            raise
        else:
            return reached
    raise failure or OSError("The name leads nowhere.")


@contextmanager
def _at_most(seconds: float, connection: http.client.HTTPConnection) -> Iterator[threading.Event]:
    """Ends the connection after so long: a peer that sends a byte now and then never runs into a timeout."""
    ran_out = threading.Event()

    def end() -> None:
        ran_out.set()
        if connection.sock:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield ran_out
    finally:
        timer.cancel()
