"""Whose address counts: what a proxy of ours wrote, and never what came with the request."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.peers import HOPS, client_of

CLIENT, PROXY, INNER, LIAR = "203.0.113.9", "10.1.0.5", "10.1.0.6", "198.51.100.1"


@pytest.fixture(autouse=True)
def _two_proxies(settings: Any) -> None:
    settings.PROXY_CLIENT_HEADER, settings.PROXY_TRUSTED_CIDRS = "X-Forwarded-For", ["10.1.0.0/24", "2001:db8:1::/64"]
    settings.PROXY_UNIX_SOCKET = False


def asks(rf: Any, peer: str, said: str | None, header: str = "HTTP_X_FORWARDED_FOR") -> str:
    return str(client_of(rf.get("/", REMOTE_ADDR=peer, **({} if said is None else {header: said}))))


@pytest.mark.parametrize(
    ("peer", "said", "client"),
    [
        (PROXY, CLIENT, CLIENT),
        (PROXY, f"{LIAR}, {CLIENT}", CLIENT),
        (PROXY, f"{LIAR}, {CLIENT}, {INNER}", CLIENT),
        (PROXY, f"{LIAR},{CLIENT},{INNER},{INNER}", CLIENT),
        # Not from a proxy of ours: what the header says is anybody's to write.
        (CLIENT, LIAR, CLIENT),
        ("10.1.1.5", LIAR, "10.1.1.5"),
        ("", LIAR, "None"),
        # Nothing that is an address: the nearest that is proven.
        (PROXY, None, PROXY),
        (PROXY, "", PROXY),
        (PROXY, "unknown", PROXY),
        (PROXY, f"{LIAR}, nonsense", PROXY),
        (PROXY, f"{LIAR}, nonsense, {INNER}", INNER),
        (PROXY, f"{LIAR}, ", PROXY),
        (PROXY, "203.0.113.9 OR 1=1", PROXY),
        # Only proxies: the first of them asks for itself.
        (PROXY, f"{INNER}, {PROXY}", INNER),
        # How some proxies write it.
        (PROXY, f"{LIAR}, {CLIENT}:4711", CLIENT),
        (PROXY, "[2001:db8:2::7]:4711", "2001:db8:2::7"),
        (PROXY, "2001:db8:2::7", "2001:db8:2::7"),
        (PROXY, f"::ffff:{CLIENT}", CLIENT),
        (f"::ffff:{PROXY}", CLIENT, CLIENT),
        ("2001:db8:1::5", CLIENT, CLIENT),
        (PROXY, ",".join([LIAR] + [INNER] * (HOPS + 5)), INNER),
    ],
)
def test_the_header_counts_as_far_as_our_proxies_wrote_it(rf: Any, peer: str, said: str | None, client: str) -> None:
    assert asks(rf, peer, said) == client


def test_only_the_header_that_is_named_counts(rf: Any, settings: Any) -> None:
    settings.PROXY_CLIENT_HEADER = "Cf-Connecting-IP"
    assert asks(rf, PROXY, CLIENT, "HTTP_CF_CONNECTING_IP") == CLIENT
    assert asks(rf, PROXY, LIAR) == PROXY
    settings.PROXY_CLIENT_HEADER = ""
    assert asks(rf, PROXY, CLIENT) == PROXY


@pytest.mark.parametrize(("declared", "client"), [(True, CLIENT), (False, "None")])
def test_over_a_unix_socket_the_proxy_has_no_address(rf: Any, settings: Any, declared: bool, client: str) -> None:
    settings.PROXY_TRUSTED_CIDRS, settings.PROXY_UNIX_SOCKET = [], declared
    assert asks(rf, "", CLIENT) == client
