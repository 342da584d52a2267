"""Where `mim incident` gets incidents from: the database, or a server far away. Commands do not know which."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from django.utils import timezone

from incidents.lifecycle import Status
from incidents.moments import happened
from majorops.lib.errors import DomainError
from majorops.lib.manner import zone
from majorops.lib.remote import connected, is_remote
from majorops.lib.times import to_millisecond

#: An incident, an entry, a milestone… as the API shows it.
Document = Mapping[str, Any]


class IncidentNotFound(DomainError):
    """No incident has this id."""

    code = "not_found"
    status = 404

    @classmethod
    def called(cls, text: str) -> IncidentNotFound:
        return cls(f'No incident has the id "{text}". List them: mim incident list --status all')


class ReviewNotFound(DomainError):
    """No incident of this id has a learning review."""

    code = "not_found"
    status = 404

    @classmethod
    def called(cls, text: str) -> ReviewNotFound:
        return cls(f'No incident "{text}" has a learning review. See: mim review due')


class AlertNotFound(DomainError):
    """No candidate has this id. See: mim alert list"""

    code = "alert_not_found"
    status = 404


class TeamNotFound(DomainError):
    """No team is called that."""

    code = "unknown_team"
    status = 404

    @classmethod
    def called(cls, text: str, known: Iterable[tuple[str, str]]) -> TeamNotFound:
        """`known` are the slugs and names there are; the hint names slugs."""
        slugs = {name: slug for slug, named in known for name in (slug, named.lower())}
        near = {slugs[match] for match in difflib.get_close_matches(text.lower(), slugs, n=3)}
        meant, there = " or ".join(sorted(near)), ", ".join(sorted(set(slugs.values()))) or "none yet"
        return cls(f'No single team is called "{text}". {f"Did you mean {meant}?" if near else f"Known: {there}."}')


class Which(StrEnum):
    OPEN = "open"
    ACTIVE = Status.ACTIVE.value
    MONITORING = Status.MONITORING.value
    RESOLVED = Status.RESOLVED.value
    ALL = "all"


class Verb(StrEnum):
    """What can be done to an incident, as the API's addresses name it."""

    PHASE = "phase"
    STATUS = "status"
    LOG = "timeline"
    UPDATE = "updates"
    MILESTONE = "milestones"
    NO_CHANGE = "no-change"
    PROMISE = "promises"
    PAGE = "team-pages"
    ACKNOWLEDGE = "acknowledge"
    ARRIVE = "arrive"
    RESOLVE = "resolve"
    REOPEN = "reopen"


#: They are said of the page of one team.
OF_A_PAGE = frozenset({Verb.ACKNOWLEDGE, Verb.ARRIVE})


class Verdict(StrEnum):
    """What can be made of a candidate, as the API's addresses name it."""

    ACCEPT = "accept"
    ATTACH = "attach"
    DISMISS = "dismiss"


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants it done, for which moment, and whether only to see what would happen."""

    now: datetime
    #: None: now, by the clock of whoever writes it down.
    at: datetime | None
    #: The address of a person; empty for the name CLI, or for the program that the token belongs to.
    acting: str = ""
    dry_run: bool = False

    @classmethod
    def given(cls, at: str, acting: str, *, dry_run: bool = False) -> Order:
        now = to_millisecond(timezone.now())
        return cls(now, happened(at, now, zone=zone(), field="at") if at.strip() else None, acting, dry_run)


@dataclass(frozen=True, slots=True)
class Done:
    """What was done: when, the incident as it was before, and the answer."""

    at: datetime
    incident: Document
    answer: Document


class Incidents(Protocol):
    def found(self, which: Which, limit: int) -> list[Document]:
        """The newest first, at most so many."""

    def one(self, id: str) -> Document:
        """In full, with its log. Raises IncidentNotFound."""

    def pages(self, id: str) -> list[Document]:
        """Which teams were called, the newest first."""

    def owed_reviews(self) -> list[Document]:
        """Learning reviews that are not published, the most urgent first, each with the title of its incident."""

    def review(self, id: str) -> str:
        """The learning review of an incident as Markdown. Raises ReviewNotFound."""

    def follow_ups(self, limit: int) -> list[Document]:
        """The newest first, at most so many."""

    def candidates(self) -> list[Document]:
        """Alerts that wait for somebody to decide on them, the oldest first."""

    def decided(self, id: str, verdict: Verdict, said: Mapping[str, str], order: Order) -> Document:
        """What was decided on a candidate: its incident, or itself where it is none. Raises AlertNotFound."""

    def opened(self, said: Mapping[str, Any], order: Order) -> Done:
        """A new incident."""

    def done(self, id: str, verb: Verb, said: Mapping[str, Any], order: Order) -> Done:
        """One thing done to an incident. `said` has the names of the API, in snake_case."""


def incidents() -> Incidents:
    from incidents.cli_local import Local
    from incidents.cli_remote import Remote

    return Remote(connected()) if is_remote() else Local()
