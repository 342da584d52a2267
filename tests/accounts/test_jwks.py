"""Keys of the access proxy: rotation without a failed login, floods, bad answers, and a proxy that is down."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts import jwks
from accounts.jwks import COOLDOWN, LIFETIME, FetchedKeys, FileKeys, JwksUnavailable, UnusableKeys, certs_url, fetch
from tests.identity import Answer, KeyServer, body, jwk, key_set

DAY = 24 * 60 * 60


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(key_server: KeyServer, clock: Clock) -> FetchedKeys:
    return FetchedKeys(lambda: fetch(f"{key_server.url}/certs"), max_stale=DAY, clock=clock)


def down(handler: Any) -> None:
    handler.connection.close()


def test_the_address_follows_from_the_team_alone() -> None:
    assert certs_url("https://example.cloudflareaccess.com") == (
        "https://example.cloudflareaccess.com/cdn-cgi/access/certs"
    )


def test_one_fetch_serves_an_hour(keys: FetchedKeys, key_server: KeyServer, clock: Clock) -> None:
    for clock.now in (1000, 1001, 1000 + LIFETIME - 1):
        assert keys.key("key-1")
    assert len(key_server.hits) == 1
    clock.now = 1000 + LIFETIME
    assert keys.key("key-1")
    assert len(key_server.hits) == 2


def test_a_rotation_fails_no_login(keys: FetchedKeys, key_server: KeyServer, clock: Clock) -> None:
    assert keys.key("key-1")
    clock.now += COOLDOWN + 1
    key_server.answer = body(key_set(jwk("key-1"), jwk("key-2")))
    assert keys.key("key-2")
    assert keys.key("key-1")
    assert len(key_server.hits) == 2


def test_a_key_that_left_the_set_is_gone_after_the_refresh(
    keys: FetchedKeys, key_server: KeyServer, clock: Clock
) -> None:
    assert keys.key("key-1")
    key_server.answer = body(key_set(jwk("key-2")))
    clock.now += LIFETIME
    assert keys.key("key-1") is None


def test_a_flood_of_unknown_names_costs_two_fetches(keys: FetchedKeys, key_server: KeyServer, clock: Clock) -> None:
    def flood(start: int) -> None:
        for number in range(start, start + 125):
            assert keys.key(f"nobody-{number}") is None

    threads = [threading.Thread(target=flood, args=(125 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(key_server.hits) == 2
    clock.now += COOLDOWN
    flood(0)
    assert len(key_server.hits) == 3


BAD_ANSWERS: dict[str, Answer] = {
    "html": body(b"<html>Sign in</html>"),
    "500": body(key_set(), 500),
    "redirect": body(b"", 302, Location="/elsewhere"),
    "100 MB": body(key_set() + b" " * 200_000),
    "RSA of 512 bits": body(key_set(jwk("key-1", n="y" * 86))),
    "RSA of 1024 bits": body(key_set(jwk("short", bits=1024))),
    "symmetric": body(key_set({"kty": "oct", "kid": "key-1", "k": "c2VjcmV0", "alg": "HS256"})),
    "private": body(key_set(jwk("key-1", d="AQAB"))),
    "for encryption": body(key_set(jwk("key-1", use="enc"))),
    "other algorithm": body(key_set(jwk("key-1", alg="RS512"))),
    "no keys": body(b'{"keys": []}'),
    "not a set": body(b'{"keys": 7}'),
    "a list": body(b"[]"),
    "rows that are not": body(b'{"keys": [1, null]}'),
    "deep": body(b"[" * 60_000),
    "bytes": body(b"\xff\xfe\x00"),
    "n is not a number": body(key_set(jwk("key-1", n="!"))),
    "nothing": down,
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_bad_answer_gives_no_keys_and_takes_none(
    answer: Answer, keys: FetchedKeys, key_server: KeyServer, clock: Clock
) -> None:
    """Case 85: nothing to verify with is 503; what was good before stays."""
    good, key_server.answer = key_server.answer, answer
    with pytest.raises(JwksUnavailable):
        keys.key("key-1")
    clock.now += COOLDOWN
    key_server.answer = good
    assert keys.key("key-1")
    clock.now += LIFETIME
    key_server.answer = answer
    assert keys.key("key-1")
    assert set(key_server.hits) == {"/certs"}


def test_a_name_is_not_called_unknown_while_nobody_can_tell(
    keys: FetchedKeys, key_server: KeyServer, clock: Clock
) -> None:
    keys.key("key-1")
    key_server.answer = down
    clock.now += COOLDOWN
    with pytest.raises(JwksUnavailable):
        keys.key("key-2")


def test_the_last_good_keys_count_for_a_day(keys: FetchedKeys, key_server: KeyServer, clock: Clock) -> None:
    keys.key("key-1")
    key_server.answer = down
    clock.now += DAY - 1
    assert keys.key("key-1")
    clock.now += 1
    with pytest.raises(JwksUnavailable):
        keys.key("key-1")


def test_a_server_that_is_down_is_asked_twice_a_minute(keys: FetchedKeys, key_server: KeyServer, clock: Clock) -> None:
    key_server.answer = down
    for _ in range(60):
        with pytest.raises(JwksUnavailable):
            keys.key("key-1")
        clock.now += 1
    assert len(key_server.hits) == 2


def test_nobody_waits_for_a_fetch_while_good_keys_are_there(clock: Clock) -> None:
    fetching, release = threading.Event(), threading.Event()

    def slowly() -> bytes:
        fetching.set()
        release.wait(5)
        return key_set()

    answers: Iterator[Any] = iter([key_set, slowly])
    keys = FetchedKeys(lambda: next(answers)(), max_stale=DAY, clock=clock)
    keys.key("key-1")
    clock.now += LIFETIME
    slow = threading.Thread(target=keys.key, args=("key-1",))
    slow.start()
    fetching.wait(5)
    assert keys.key("key-1")
    assert slow.is_alive()
    release.set()
    slow.join()


def test_a_slow_answer_is_given_up(key_server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(handler: Any) -> None:
        body(b"")(handler)
        for _ in range(40):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)

    key_server.answer = drip
    monkeypatch.setattr(jwks, "TIMEOUT", 0.3)
    with pytest.raises(UnusableKeys, match="longer than"):
        fetch(key_server.url)


def test_the_body_is_not_read_to_its_end(key_server: KeyServer) -> None:
    key_server.answer = body(b" " * 1_000_000)
    assert len(fetch(key_server.url)) == jwks.MAX_BYTES + 1


# --- file ---


def write(path: Path, content: bytes, when: int) -> None:
    path.write_bytes(content)
    os.utime(path, (when, when))


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    write(path, key_set(jwk("key-1")), 1)
    keys = FileKeys(path, max_stale=DAY)
    assert keys.key("key-1")
    write(path, key_set(jwk("key-2")), 2)
    assert (keys.key("key-1"), keys.key("key-2") is not None) == (None, True)


def test_a_file_that_is_missing_or_broken_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    keys = FileKeys(path, max_stale=DAY)
    for content in (None, b"broken"):
        if content:
            write(path, content, 1)
        with pytest.raises(JwksUnavailable) as refused:
            keys.key("key-1")
    assert (refused.value.status, refused.value.retry_after) == (503, COOLDOWN)


def test_a_broken_file_leaves_the_last_good_keys_for_a_day(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "jwks.json"
    write(path, key_set(), 1)
    keys = FileKeys(path, max_stale=DAY, clock=clock)
    keys.key("key-1")
    write(path, b"half a fi", 2)
    clock.now += DAY
    assert keys.key("key-1")
    clock.now += 1
    with pytest.raises(JwksUnavailable):
        keys.key("key-1")
