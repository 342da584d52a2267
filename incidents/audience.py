"""RULES: what a viewer reads and may do on one incident, from their rights and whether they were called to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from accounts.roles import Can


@dataclass(frozen=True, slots=True)
class Audience:
    """What one viewer gets of one incident. Templates and serializers ask this, nothing else."""

    reads_internal: bool
    reads_executive: bool
    reads_teams: bool
    may_command: bool
    may_post: bool
    #: May write what stakeholders read. A called engineer writes internal entries only.
    may_publish: bool


def audience(can: Callable[[Can], bool], *, was_called: bool) -> Audience:
    """A paged engineer or invited person reads and writes the log of that incident, whatever their role."""
    return Audience(
        reads_internal=can(Can.READ_INTERNAL) or was_called,
        reads_executive=can(Can.READ_EXECUTIVE),
        reads_teams=can(Can.READ_TEAMS) or was_called,
        may_command=can(Can.COMMAND),
        may_post=can(Can.COMMAND) or can(Can.POST) or was_called,
        may_publish=can(Can.PUBLISH),
    )
