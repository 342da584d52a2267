"""ULIDs: sortable by creation time, 26 characters wherever people or programs see them.

PostgreSQL keeps them in its native `uuid` column (16 bytes), other databases as the text itself.
Both sort alike. Python always holds the 26-character string.
"""

from __future__ import annotations

import re
import secrets
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.urls import register_converter
from ulid import ULID

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Two digits of each ten bits.
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
#: Crockford base 32 without I, L, O, U; the first digit cannot exceed 7 in 128 bits.
PATTERN = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
_ULID = re.compile(PATTERN)


def new_ulid() -> str:
    """A new ULID; within one process each is greater than the one before."""
    return str(ULID())


def new_ulids(count: int) -> list[str]:
    """Many new ULIDs in ascending order, at a tenth of the price of as many calls of `new_ulid`."""
    if not 20 < count <= 1 << 19:  # a few, in their order with all others of this process
        return [new_ulid() for _ in range(count)]
    # 48 bits of time, 60 of chance, and 20 that count on from half a million of chance.
    bits, first = secrets.randbits(60), secrets.randbelow(1 << 19)
    head = new_ulid()[:10] + "".join([_PAIRS[bits >> shift & 1023] for shift in range(50, -1, -10)])
    return [head + _PAIRS[n >> 10] + _PAIRS[n & 1023] for n in range(first, first + count)]


def new_hex_ulids(count: int) -> list[str]:
    """The same as the hexadecimal digits that a `uuid` column reads."""
    if not 20 < count <= 1 << 19:
        return [hex_of(pk) for pk in new_ulids(count)]
    head, first = f"{hex_of(new_ulid())[:12]}{secrets.randbits(60):015x}", secrets.randbelow(1 << 19)
    return [head + _THREE[n >> 8] + _TWO[n & 255] for n in range(first, first + count)]


#: Two and three hexadecimal digits.
_TWO, _THREE = [f"{n:02x}" for n in range(1 << 8)], [f"{n:03x}" for n in range(1 << 12)]


def parse_ulid(text: str) -> str:
    """The canonical (upper-case) form. Raises ValueError for anything that is no ULID."""
    canonical = text.upper()
    if not _ULID.fullmatch(canonical):
        raise ValueError(f"{text!r} is not a ULID (26 characters, 0-9 and A-Z without I, L, O, U).")
    return canonical


#: Crockford's digits in the order of Python's own base 32.
_PYTHON_DIGITS = str.maketrans("ABCDEFGHJKMNPQRSTVWXYZ", "abcdefghijklmnopqrstuv")


def hex_of(ulid: str) -> str:
    """The 32 hexadecimal digits of a canonical ULID, as a `uuid` column reads them; quick, for millions of rows."""
    return f"{int(ulid.translate(_PYTHON_DIGITS), 32):032x}"


def ulid_of(value: UUID) -> str:
    """The ULID in a `uuid`; quick, for millions of rows."""
    bits = value.int
    return _DIGITS[bits >> 125] + _DIGITS[bits >> 120 & 31] + "".join([_PAIRS[bits >> n & 1023] for n in _TENS])


_TENS = range(110, -1, -10)


class ULIDField(models.Field):
    """A ULID column. `ULIDField(primary_key=True, default=new_ulid)` is the usual use."""

    description = "ULID (26 characters)"
    empty_strings_allowed = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_length"] = 26
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_length"]
        return name, path, list(args), dict(kwargs)

    def get_internal_type(self) -> str:
        return "ULIDField"

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "uuid" if connection.vendor == "postgresql" else "char(26)"

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        text = self.to_python(value)
        if text is None or connection.vendor != "postgresql":
            return text
        return UUID(hex_of(text))

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> str | None:
        return ulid_of(value) if isinstance(value, UUID) else value

    def to_python(self, value: Any) -> str | None:
        if value is None or value == "":
            return None
        if isinstance(value, UUID):
            return str(ULID.from_uuid(value))
        try:
            return parse_ulid(str(value))
        except ValueError as error:
            raise ValidationError(str(error), code="invalid") from None

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"max_length": 26, **kwargs})


class ULIDConverter:
    """`<ulid:id>` in a route. Lower case is accepted, as people type it, and canonicalised."""

    regex = "[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}"

    def to_python(self, value: str) -> str:
        return value.upper()

    def to_url(self, value: str) -> str:
        return value


register_converter(ULIDConverter, "ulid")
