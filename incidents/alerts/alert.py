"""RULES: what any alert says, whoever sent it, and how the fields of a payload are read. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from incidents.alerts.kinds import State
from incidents.lifecycle import Severity
from majorops.lib.errors import DomainError
from majorops.lib.times import EARLIEST, LATEST, to_millisecond

KEY_LENGTH = TITLE_LENGTH = 200
TEXT_LENGTH = 4000
LINK_LENGTH = 500
MAX_SYSTEMS = 50
#: What fits an integer column of both databases.
MAX_COUNT = 2**31 - 1
#: How senders write that there is no value.
NOTHING = {"", "none", "null", "n/a"}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
#: Go's zero time and its relatives: no time at all.
_ZERO_TIME = re.compile(r"^0001-01-01")
_DIGITS = re.compile(r"^\d{9,20}(\.\d{1,9})?$")
#: From this many digits on a number counts these per second.
_UNITS = ((18, 10**9), (15, 10**6), (12, 10**3), (0, 1))

#: What most senders mean by their words; a source's own map goes before.
COMMON_SEVERITIES: Mapping[str, Severity] = {
    "p1": Severity.CRITICAL, "p2": Severity.HIGH, "p3": Severity.MEDIUM, "p4": Severity.LOW, "p5": Severity.LOW,
    "1": Severity.CRITICAL, "2": Severity.HIGH, "3": Severity.MEDIUM, "4": Severity.LOW, "5": Severity.LOW,
    "critical": Severity.CRITICAL, "page": Severity.CRITICAL, "emergency": Severity.CRITICAL,
    "fatal": Severity.CRITICAL, "high": Severity.HIGH, "error": Severity.HIGH, "major": Severity.HIGH,
    "medium": Severity.MEDIUM, "warning": Severity.MEDIUM, "warn": Severity.MEDIUM, "minor": Severity.MEDIUM,
    "low": Severity.LOW, "info": Severity.LOW, "informational": Severity.LOW, "none": Severity.LOW,
}  # fmt: skip


class Malformed(DomainError):
    """This cannot be read as an alert."""

    code = "malformed"
    status = 400

    def __init__(self, message: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        #: A JSON pointer in the sender's own words, e.g. /alerts/0/startsAt.
        self.pointer = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert in one state, as its source tells it."""

    #: The same for all that is said of this alert, from its beginning to its end.
    dedup_key: str
    title: str
    state: State
    alert_id: str = ""
    description: str = ""
    #: The source's own word; what it means is decided by the source's map.
    severity_said: str = ""
    #: When this was so at the source: orders what arrives out of order. None: nobody said.
    occurred_at: datetime | None = None
    issue_time: datetime | None = None
    resolve_time: datetime | None = None
    link: str = ""
    affected_systems: tuple[str, ...] = ()
    customer_count: int | None = None
    bridge_url: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a payload says: its alerts, or why there is none in it."""

    alerts: tuple[Alert, ...] = ()
    #: The sender's id of this delivery, the same when it is sent again. Empty: it has none.
    event_id: str = ""
    ignored: str = ""
    #: Alerts that the sender left out of the group.
    truncated: int = 0


def severity_of(said: str, own: Mapping[str, str]) -> Severity | None:
    """What the word means, by the source's own map and then by custom; None for a word that nobody knows."""
    word = said.strip().casefold()
    mine = {str(name).strip().casefold(): value for name, value in own.items()}
    if word in mine and mine[word] in Severity.values:
        return Severity(mine[word])
    return COMMON_SEVERITIES.get(word)


def key_of(*parts: str) -> str:
    """One key of several parts. A long one keeps its beginning and a hash of the whole."""
    key = ":".join(part for part in parts if part)
    if len(key) <= KEY_LENGTH:
        return key
    return f"{key[:160]}~{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def short_hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Node:
    """A place in a payload. What is absent reads as nothing; what has the wrong type raises Malformed with its name."""

    value: object
    path: tuple[str, ...] = ()

    def at(self, *names: str) -> Node:
        """The value under these names, one within the other; nothing where one of them is absent."""
        node = self
        for name in names:
            found: object = None
            if isinstance(node.value, dict):
                found = node.value.get(name)
            elif isinstance(node.value, list) and name.isascii() and name.isdigit() and len(name) < 6:
                found = node.value[int(name)] if int(name) < len(node.value) else None
            node = Node(found, (*node.path, name))
        return node

    def first(self, *names: str) -> Node:
        """The first of these that is there; the first of all where none is."""
        return next((self.at(name) for name in names if self.at(name).is_there), self.at(names[0]))

    @property
    def is_there(self) -> bool:
        """Whether somebody gave a value: `null`, "" and "None" are none."""
        return self.value is not None and not (isinstance(self.value, str) and self.value.strip().lower() in NOTHING)

    def has(self, *names: str) -> bool:
        return isinstance(self.value, dict) and any(name in self.value for name in names)

    def wrong(self, must: str) -> Malformed:
        name = self.path[-1] if self.path else "The body"
        return Malformed(f"{name} must be {must}.", self.path)

    def object(self) -> Node:
        if not isinstance(self.value, dict):
            raise self.wrong("a JSON object")
        return self

    def items(self) -> Iterator[Node]:
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        return (Node(item, (*self.path, str(number))) for number, item in enumerate(self.value))

    def names(self) -> Iterator[str]:
        """The keys of an object; none where there is no object."""
        return iter(self.value if isinstance(self.value, dict) else ())

    def text(self, length: int = TITLE_LENGTH) -> str:
        """Text, cut to `length`. A number is text here: senders change their minds about ids."""
        if self.value is None:
            return ""
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | float):
            raise self.wrong("text")
        text = _CONTROL.sub("", str(self.value)).strip()
        return text if len(text) <= length else text[: length - 1].rstrip() + "…"

    def needed(self, length: int = TITLE_LENGTH) -> str:
        if not self.is_there:
            raise self.wrong("given")
        return self.text(length) or self._blank()

    def _blank(self) -> str:
        raise self.wrong("more than blanks")

    def key(self) -> str:
        """Text that tells one thing from all others: never cut, but hashed where it is too long."""
        return key_of(self.text(10**6))

    def one_of(self, *allowed: str) -> str:
        """One of a closed set, in any letter case."""
        said = self.text().casefold()
        if said not in allowed:
            raise self.wrong(f"one of {', '.join(allowed)}")
        return said

    def count(self) -> int | None:
        """A number of things, if it is a whole one from 0 upwards."""
        if not self.is_there:
            return None
        text = self.text(20)
        if not text.isascii() or not text.isdigit() or int(text) > MAX_COUNT:
            raise self.wrong(f"a whole number from 0 to {MAX_COUNT}")
        return int(text)

    def link(self) -> str:
        """An address for people to follow; anything else is left out."""
        text = self.value if isinstance(self.value, str) else ""
        is_link = text.startswith(("https://", "http://")) and len(text) <= LINK_LENGTH
        return text if is_link and not re.search(r"[\x00-\x20<>\"\\]", text) else ""

    def time(self) -> datetime | None:
        """An instant: ISO 8601, or a number since 1970 in seconds, ms, µs or ns, told apart by its size.

        Without a zone it is UTC. The year 0001, 0 and nothing are None.
        """
        if not self.is_there:
            return None
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | float):
            raise self.wrong("a time")
        text = str(self.value).strip()
        if _ZERO_TIME.match(text) or text == "0":
            return None
        moment = self._from_number(text) if isinstance(self.value, int | float) or _DIGITS.match(text) else _iso(text)
        if moment is None:
            raise self.wrong("a time such as 2026-03-02T10:00:00Z, or a number since 1970")
        return self._bounded(moment)

    def _from_number(self, text: str) -> datetime | None:
        number = float(text)
        if not 0 < number < 10**21 or not math.isfinite(number):
            return None
        digits = len(str(int(number)))
        per_second = next(unit for least, unit in _UNITS if digits >= least)
        try:
            return datetime.fromtimestamp(number / per_second, UTC)
        except (OverflowError, OSError, ValueError):
            return None

    def _bounded(self, moment: datetime) -> datetime:
        try:
            is_inside = EARLIEST <= moment < LATEST
        except OverflowError:  # 0001-01-01T00:00+14:00 is before year 1 in UTC
            is_inside = False
        if not is_inside:
            raise self.wrong("a time between the years 2000 and 2099")
        return to_millisecond(moment)


def _iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def systems(*names: str) -> tuple[str, ...]:
    """Names of systems, each once."""
    told = (name.strip()[:120] for name in names)
    return tuple(dict.fromkeys(name for name in told if name))[:MAX_SYSTEMS]
