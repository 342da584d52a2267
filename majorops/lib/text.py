"""Text that any database can hold and any page can show."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from majorops.lib.errors import Invalid


def clean_text(value: object, *, field: str, max_length: int = 20_000, required: bool = False) -> str:
    """`value` without outer white space. Raises Invalid naming the field.

    PostgreSQL cannot store U+0000, and a lone surrogate that SQLite stores breaks every list it is in.
    """
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise Invalid(f"{field} must be text.", field=field)
    text = value.strip()
    if "\0" in text:
        raise Invalid(f"{field} contains a NUL character. Remove it.", field=field)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(f"{field} contains half of a character (a lone surrogate). Remove it.", field=field) from None
    if len(text) > max_length:
        raise Invalid(f"{field} has {len(text)} characters; {max_length} fit.", field=field)
    if required and not text:
        raise Invalid(f"{field} is needed.", field=field)
    return text


def near_match(text: str, known: Iterable[str]) -> str:
    """`Did you mean database?`, or the names there are."""
    names = sorted(set(known))
    near = difflib.get_close_matches(text.lower(), names, n=3)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names) or 'none yet'}."
