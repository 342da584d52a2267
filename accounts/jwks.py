"""The keys of the access proxy: fetched from the team's own address or read from a file, and kept for a while."""

from __future__ import annotations

import json
import logging
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from accounts.assertion import ALGORITHM, KID
from majorops.lib.errors import DomainError

LIFETIME = 60 * 60
#: Between two tries after a failure, and between two for names of keys that nobody knows.
COOLDOWN = 30
TIMEOUT = 3
MAX_BYTES = 64 * 1024
MIN_BITS = 2048

logger = logging.getLogger(__name__)

Keys = Mapping[str, RSAPublicKey]


class JwksUnavailable(DomainError):
    """Sign-ins cannot be verified just now, for the access proxy's keys cannot be read. Try again in a minute."""

    code = "keys_unavailable"
    status = 503
    #: Seconds, for the Retry-After header.
    retry_after = COOLDOWN


class UnusableKeys(Exception):
    """What was read is not a set of keys to verify with."""


class Keyring(Protocol):
    def key(self, kid: str) -> RSAPublicKey | None:
        """The key of this name, or None. Raises JwksUnavailable where nobody can tell."""


@lru_cache(maxsize=8)
def keyring(team_domain: str, file: str, max_stale: int) -> Keyring:
    """One for the whole process. The address follows from the team domain; a token cannot name another."""
    if file:
        return FileKeys(Path(file), max_stale=max_stale)
    return FetchedKeys(lambda: fetch(certs_url(team_domain)), max_stale=max_stale)


def certs_url(team_domain: str) -> str:
    return f"{team_domain}/cdn-cgi/access/certs"


class FetchedKeys:
    """A key set from the network: an hour old at most while the network answers, `max_stale` while it does not."""

    def __init__(
        self, read: Callable[[], bytes], *, max_stale: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._max_stale = max_stale
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Keys = {}
        self._read_at = self._tried_at = self._asked_at = float("-inf")

    def key(self, kid: str) -> RSAPublicKey | None:
        if self._clock() - self._read_at >= LIFETIME:
            # Whoever comes while another thread fetches goes on with the last good set, if it still counts.
            self._renew(lambda: self._clock() - self._read_at >= LIFETIME, wait=self._is_too_old())
        if self._is_too_old():
            raise JwksUnavailable
        if kid not in self._keys:
            self._renew(lambda: kid not in self._keys and self._may_ask(), wait=True)
        if kid not in self._keys and self._has_failed():
            raise JwksUnavailable  # it may be a new key that we could not fetch
        return self._keys.get(kid)

    def _is_too_old(self) -> bool:
        return self._clock() - self._read_at >= max(LIFETIME, self._max_stale)

    def _renew(self, is_due: Callable[[], bool], *, wait: bool) -> None:
        """Fetch, unless another thread did while this one waited, or the last try failed a moment ago."""
        if not self._lock.acquire(blocking=wait):
            return
        try:
            has_just_failed = self._has_failed() and self._clock() - self._tried_at < COOLDOWN
            if is_due() and not has_just_failed:
                self._fetch(self._clock())
        finally:
            self._lock.release()

    def _fetch(self, now: float) -> None:
        self._tried_at = now
        try:
            self._keys = parse(self._read())
            self._read_at = now
        except UnusableKeys as error:
            logger.warning("The keys of the access proxy cannot be read: %s", error)

    def _may_ask(self) -> bool:
        """Whether a name that nobody knows is worth a fetch; each yes counts."""
        if self._clock() - self._asked_at < COOLDOWN:
            return False
        self._asked_at = self._clock()
        return True

    def _has_failed(self) -> bool:
        return self._tried_at > self._read_at


class FileKeys:
    """A key set from a file, read again when the file changes. A broken file leaves the last good set in place."""

    def __init__(self, path: Path, *, max_stale: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._max_stale = max_stale
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Keys = {}
        self._version: tuple[int, ...] = ()
        self._good_at = float("-inf")

    def key(self, kid: str) -> RSAPublicKey | None:
        is_good = self._refresh()
        if self._clock() - self._good_at > self._max_stale:
            raise JwksUnavailable
        if kid not in self._keys and not is_good:
            raise JwksUnavailable
        return self._keys.get(kid)

    def _refresh(self) -> bool:
        with self._lock:
            try:
                state = self._path.stat()
                version = (state.st_mtime_ns, state.st_size, state.st_ino)
                if version != self._version:
                    self._keys = parse(self._read())
                    self._version = version
            except (OSError, UnusableKeys) as error:
                logger.warning("The key file %s cannot be used: %s", self._path, error)
                return False
            self._good_at = self._clock()
            return True

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            return file.read(MAX_BYTES + 1)


# --- Reading ---


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


def fetch(url: str) -> bytes:
    """The body at `url`, at most one byte too long. Raises UnusableKeys."""
    deadline = time.monotonic() + TIMEOUT
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - ours, not a sender's
    body = b""
    try:
        with _opener.open(request, timeout=TIMEOUT) as response:
            # The timeout is for one piece; a server that sends a byte a second must not hold us for hours.
            while len(body) <= MAX_BYTES and (piece := response.read1(MAX_BYTES + 1 - len(body))):
                body += piece
                if time.monotonic() > deadline:
                    raise UnusableKeys(f"{url} took longer than {TIMEOUT} s")
    except (OSError, HTTPException, ValueError) as error:
        raise UnusableKeys(f"{url}: {error}") from None
    return body


def parse(body: bytes) -> Keys:
    """The RSA keys of a JSON web key set, by name. Raises UnusableKeys if there are none."""
    if len(body) > MAX_BYTES:
        raise UnusableKeys(f"more than {MAX_BYTES} bytes")
    try:
        listed = json.loads(body)["keys"]
        usable = {row["kid"]: key for row in listed if (key := _public_key(row)) is not None}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnusableKeys(f"not a JSON web key set ({type(error).__name__})") from None
    if not usable:
        raise UnusableKeys(f"no RSA key of {MIN_BITS} bits or more in it")
    return usable


def _public_key(row: dict[str, Any]) -> RSAPublicKey | None:
    """The key of one entry, or None for what we do not verify with: symmetric, private, short, or for encryption."""
    kid = row.get("kid")
    if row.get("kty") != "RSA" or "d" in row or not isinstance(kid, str) or not KID.fullmatch(kid):
        return None
    if row.get("alg", ALGORITHM) != ALGORITHM or row.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.algorithms.RSAAlgorithm.from_jwk(row)
    except (jwt.PyJWTError, ValueError):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size >= MIN_BITS else None
