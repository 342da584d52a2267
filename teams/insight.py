"""What apps above know about a team. They register it when they start; the directory asks, and knows none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from teams.models import Team

#: (teams, viewer) -> words by the team's primary key, in as few queries as one list may take.
Column = Callable[[Sequence[Team], object], Mapping[str, str]]
#: A sentence about what hangs on one team; empty if nothing does.
Fact = Callable[[Team], str]


@dataclass(frozen=True, slots=True)
class Heading:
    """A column of the directory."""

    title: str
    words: Column


columns: dict[str, Heading] = {}
facts: dict[str, Fact] = {}


def facts_of(team: Team) -> Iterator[str]:
    """What hangs on the team, a sentence each."""
    yield from filter(None, (fact(team) for fact in facts.values()))
