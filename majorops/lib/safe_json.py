"""JSON from outside, read within limits: what comes out, any database can hold and any reader can show.

Refused are: what is not UTF-8 or not JSON, NaN and infinity, integers beyond 64 bits, the same key twice in one
object, U+0000 and halves of surrogate pairs (PostgreSQL cannot store them, and a stored half breaks every list it
is in), and what is nested too deeply or too large.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DEPTH = 32
#: Keys of one object. No payload that a person designed has as many.
MAX_KEYS = 1000
#: What every database and every JSON reader holds exactly enough.
MAX_INTEGER = 2**63 - 1
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class NotJson(ValueError):
    """The body cannot be accepted. `path` leads to the value that caused it; empty: the whole."""

    def __init__(self, message: str, path: tuple[str, ...] = ()) -> None:
        self.message = message
        self.path = path
        super().__init__(message)


class NotFinite(NotJson):
    """A number that no column can hold."""


def parse(body: bytes) -> object:
    """The value in `body`. Raises NotJson, NotFinite."""
    try:
        value = json.loads(body.decode(), object_pairs_hook=_checked, parse_constant=float, parse_int=_integer)
    except UnicodeDecodeError:
        raise NotJson("The body is not UTF-8 text.") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise _too_deep() from None
    _check(value, ())
    return value


def _too_deep() -> NotJson:
    return NotJson(f"The body is nested too deeply: {MAX_DEPTH} levels are allowed.")


def _checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotJson(f"{twice!a} occurs twice in one object. Send it once.")
    if len(found) > MAX_KEYS:
        raise NotJson(f"One object has {len(found)} keys; {MAX_KEYS} are allowed.")
    return found


def _integer(digits: str) -> float:
    """An int, or infinity where it is too large: Python's int() raises beyond some thousand digits."""
    number = int(digits) if len(digits) <= 20 else math.inf
    return number if abs(number) <= MAX_INTEGER else math.inf


def _check(value: object, path: tuple[str, ...]) -> None:
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            where = f"The text at /{'/'.join(path)}" if path else "The text"
            raise NotJson(f"{where} contains a NUL character or half of a surrogate pair. Remove it.", path)
    elif isinstance(value, float):
        if not math.isfinite(value):
            told = "This must be a finite number. If it is not known, leave it out or send null."
            raise NotFinite(told, path)
    elif isinstance(value, dict | list):
        if len(path) == MAX_DEPTH:
            raise _too_deep()
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            _check(str(name), path)
            _check(item, (*path, str(name)))
