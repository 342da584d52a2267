"""Connections to addresses that people typed: to public ones only.

The address is judged when a socket connects, by Python's own audit event, so that neither a name that resolves
differently the second time nor a redirect leads into the network of this server.
"""

from __future__ import annotations

import ipaddress
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: IPv6 that stands for an IPv4 address: NAT64, 6to4, Teredo. Which one is behind it, nobody can tell for sure.
_DISGUISED = [ipaddress.ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]
_RESERVED = ipaddress.ip_network("192.0.0.0/24")
_CONNECTING = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_RUNNING = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"}

_guard = threading.local()
_hooked = threading.Event()
_hooking = threading.Lock()


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
