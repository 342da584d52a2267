"""Where does a request come from? The address that connected, or the one that a proxy of ours says it speaks for.

A header is believed only from PROXY_TRUSTED_CIDRS or a unix socket, only the one that PROXY_CLIENT_HEADER names, and
only as far as our proxies wrote it: read from its end, to the first address that is none of theirs. What stands before
that came with the request, and anybody can write it.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address
#: Proxies in a row that are looked through.
HOPS = 16


def client_of(request: HttpRequest) -> Address | None:
    """Who asks, as far as it is proven. None on a unix socket without a believed header."""
    found = peer_of(request)
    if not settings.PROXY_CLIENT_HEADER or not comes_from_a_proxy(request):
        return found
    for text in reversed(request.META.get(meta_key(settings.PROXY_CLIENT_HEADER), "").rsplit(",", HOPS)):
        hop = address(text)
        if hop is None:
            break
        found = hop
        if not is_in(hop, settings.PROXY_TRUSTED_CIDRS):
            break
    return found


def peer_of(request: HttpRequest) -> Address | None:
    """The address that connected."""
    return address(request.META.get("REMOTE_ADDR", ""))


def comes_from_a_proxy(request: HttpRequest) -> bool:
    """Whether what connected is a proxy of ours."""
    if settings.PROXY_UNIX_SOCKET and request.META.get("REMOTE_ADDR", "") in ("", "unix:"):
        return True
    return is_in(peer_of(request), settings.PROXY_TRUSTED_CIDRS)


def is_in(found: Address | None, networks: list[str]) -> bool:
    return found is not None and _is_in(found, tuple(networks))


def address(text: str) -> Address | None:
    """Also with a port, as some proxies write it: `203.0.113.9:4711`, `[2001:db8::1]:4711`. An IPv4 address that is
    written as IPv6 is the IPv4 address."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def meta_key(header: str) -> str:
    """Where Django keeps a header."""
    return "HTTP_" + header.upper().replace("-", "_")


@lru_cache(maxsize=1024)  # the peers of a server are few: its proxies
def _is_in(found: Address, networks: tuple[str, ...]) -> bool:
    return any(found in ip_network(network) for network in networks)
