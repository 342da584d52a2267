"""RULES: whether a second incident is probably the first one again. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

#: Words that every second title has.
COMMON = {"a", "an", "and", "are", "at", "down", "error", "errors", "fails", "for", "from", "in", "is", "not", "of"}
COMMON |= {"on", "or", "out", "slow", "the", "to", "unreachable", "with"}


def likeness(title: str, systems: Collection[str], other_title: str, other_systems: Collection[str]) -> str:
    """Why the two look like one: a system they share, or half of the telling words. Empty if they do not."""
    mine, theirs = telling(title), telling(other_title)
    named = {name.casefold() for name in systems}
    shared = [name for name in other_systems if name.casefold() in named or (telling(name) and telling(name) <= mine)]
    if shared:
        return "same system: " + ", ".join(shared)
    if mine and theirs and 2 * len(mine & theirs) >= min(len(mine), len(theirs)):
        return "similar title"
    return ""


def telling(title: str) -> set[str]:
    """The words of a title that tell it from others."""
    return {word for word in re.findall(r"\w+", title.casefold()) if len(word) > 1} - COMMON
