"""RULES: what is new to a reader, when they may ask again, and how much of a text a brief shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from incidents.errors import AskedAlready

#: Whoever comes back after this long comes for a second time. A reload before is the same visit.
VISIT = timedelta(minutes=10)
#: A bookmark is not written more often.
STEADY = timedelta(minutes=1)
#: One question, then the incident manager has time to answer everybody.
ASK_AGAIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Visited:
    """The bookmark as it is to be kept."""

    since: datetime | None


def visited(since: datetime | None, last_seen_at: datetime, now: datetime) -> Visited | None:
    """The bookmark after a look at `now`; None where it can stay as it is.

    What came after the visit before stays new for the whole of this one.
    """
    away = now - last_seen_at
    if away >= VISIT:
        return Visited(last_seen_at)
    return Visited(since) if away >= STEADY else None


def check_may_ask(asked_at: datetime | None, now: datetime) -> None:
    """Raises AskedAlready, which says when one may ask again."""
    if asked_at is None or now - asked_at >= ASK_AGAIN:
        return
    minutes = -(-int((ASK_AGAIN - (now - asked_at)).total_seconds()) // 60)
    raise AskedAlready(
        f"You asked less than {int(ASK_AGAIN.total_seconds()) // 60} minutes ago; the answer comes as an update. "
        f"Ask again in {max(1, minutes)} min."
    )


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A text as a brief has room for it."""

    text: str
    is_cut: bool = False

    def __bool__(self) -> bool:
        return bool(self.text)

    def __str__(self) -> str:
        return self.text


def excerpt(text: str, *, characters: int, lines: int = 6) -> Excerpt:
    """The beginning of a text, cut after a word. Empty lines go: a page has no room for them."""
    kept = [line.strip() for line in text.splitlines() if line.strip()]
    joined = "\n".join(kept[:lines])
    if len(joined) <= characters:
        return Excerpt(f"{joined} …" if len(kept) > lines else joined, len(kept) > lines)
    end = joined.rfind(" ", 0, characters)
    return Excerpt(f"{joined[: end if end > characters // 2 else characters].rstrip()} …", True)
