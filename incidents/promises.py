"""RULES: the promises that an incident's milestones made, and what became of them. Pure.

A promise is the next-update time of a milestone that is not the resolution. The next milestone delivers it,
a resolution too. Exactly on time is on time; a promise that fell due with nothing after it is a miss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar


class Cut(Protocol):
    """What the rule needs of a milestone."""

    @property
    def created_at(self) -> datetime: ...
    @property
    def next_update_eta(self) -> datetime | None: ...
    @property
    def is_resolution(self) -> bool: ...


M = TypeVar("M", bound=Cut)


@dataclass(frozen=True, slots=True)
class Promised(Generic[M]):
    """One promise: who made it, until when, and when it was delivered if it was."""

    made_by: M
    due_at: datetime
    delivered_at: datetime | None
    #: Not due yet, and nothing came yet: not judged.
    is_pending: bool

    @property
    def is_kept(self) -> bool:
        return self.delivered_at is not None and self.delivered_at <= self.due_at


def promises(milestones: Sequence[M], now: datetime) -> Iterator[Promised[M]]:
    """The promises of one incident's milestones, given by sequence, as they stand at `now`."""
    following: list[M | None] = [*milestones[1:], None]
    for milestone, delivery in zip(milestones, following, strict=False):
        due_at = milestone.next_update_eta
        if due_at is None or milestone.is_resolution:
            continue
        delivered_at = delivery.created_at if delivery else None
        yield Promised(milestone, due_at, delivered_at, is_pending=delivered_at is None and now <= due_at)
