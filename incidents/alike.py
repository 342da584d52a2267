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


def alikeness(
    title: str,
    systems: Collection[str],
    alert: tuple[str, str],
    other_title: str,
    other_systems: Collection[str],
    other_alert: tuple[str, str],
) -> tuple[str, int]:
    """Why a past incident may be the same trouble again, and how strongly: an alert weighs more than a system,
    a system more than words. ("", 0) if it does not look like it."""
    if alert[1] and alert == other_alert:
        return "same alert", 3
    why = likeness(title, systems, other_title, other_systems)
    return (why, 2 if why.startswith("same system") else 1) if why else ("", 0)
