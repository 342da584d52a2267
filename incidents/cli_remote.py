"""`mim incident` over the API: the same questions and answers, by a program with a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from incidents.cli_port import (
    OF_A_PAGE,
    AlertNotFound,
    Document,
    Done,
    IncidentNotFound,
    Order,
    ReviewNotFound,
    TeamNotFound,
    Verb,
    Verdict,
    Which,
)
from incidents.review import ReviewState
from majorops.lib.errors import DomainError
from majorops.lib.remote import Answer, DatabaseOnly, Refused, Server
from majorops.lib.ulid import parse_ulid

Said = Mapping[str, Any]
_STATUSES = {Which.OPEN: "active,monitoring", Which.ALL: ""}


@dataclass(frozen=True, slots=True)
class Remote:
    server: Server

    def found(self, which: Which, limit: int) -> list[Document]:
        return self.server.rows("incidents", limit, status=_STATUSES.get(which, which.value))

    def one(self, id: str) -> Document:
        try:
            return dict(self.server.get(f"incidents/{parse_ulid(id)}"))
        except ValueError:
            raise IncidentNotFound.called(id) from None
        except Refused as refused:
            raise _instead(refused, IncidentNotFound.called(id)) from None

    def pages(self, id: str) -> list[Document]:
        return self.server.rows(f"incidents/{self.one(id)['id']}/team-pages")

    def owed_reviews(self) -> list[Document]:
        rows = [row for row in self.server.rows("reviews") if row["state"] != ReviewState.PUBLISHED]
        return [{**row, "title": self.one(row["incident"])["title"]} for row in rows]

    def review(self, id: str) -> str:
        try:
            return str(self.server.get(f"incidents/{parse_ulid(id)}/review/text")["markdown"])
        except ValueError:
            raise ReviewNotFound.called(id) from None
        except Refused as refused:
            raise _instead(refused, ReviewNotFound.called(id)) from None

    def follow_ups(self, limit: int) -> list[Document]:
        return self.server.rows("follow-ups", limit)

    def candidates(self) -> list[Document]:
        return self.server.rows("alerts")

    def decided(self, id: str, verdict: Verdict, said: Mapping[str, str], order: Order) -> Document:
        _check(order)
        if "incident" in said:
            said = {"incident": self.one(said["incident"])["id"]}
        try:
            place = f"alerts/{parse_ulid(id)}/{verdict}"
            return dict(self.server.post(place, {name: value for name, value in said.items() if value}).document)
        except ValueError:
            raise AlertNotFound from None
        except Refused as refused:
            raise _instead(refused, AlertNotFound()) from None

    def opened(self, said: Said, order: Order) -> Done:
        _check(order)
        named = {name: value for name, value in said.items() if value not in ("", [])}
        answer = self.server.post("incidents", {**named, **({"detected_at": order.at} if order.at else {})})
        return Done(order.at or answer.at, answer.document, answer.document)

    def done(self, id: str, verb: Verb, said: Said, order: Order) -> Done:
        _check(order)
        before = self.one(id)
        address = f"incidents/{before['id']}"
        rest = {name: value for name, value in said.items() if name != "page" and value not in ("", None, [])}
        place = f"{address}/team-pages/{said['page']}/{verb}" if verb in OF_A_PAGE else f"{address}/{verb}"
        try:
            answer = self._sent(place, rest, order)
        except Refused as refused:
            raise self._unknown_team(refused, said) or refused from None
        shown = self.one(id) if verb == Verb.PROMISE else answer.document  # it answers with its ledger
        return Done(order.at or answer.at, before, shown)

    def _sent(self, place: str, said: Said, order: Order) -> Answer:
        return self.server.post(place, {**said, **({"at": order.at} if order.at else {})})

    def _unknown_team(self, refused: Refused, said: Said) -> DomainError | None:
        """In the words of the command line, if that is what was refused and the token reads teams."""
        if refused.field != "team" or refused.details["errors"].get("code") != TeamNotFound.code:  # type: ignore[attr-defined]
            return None
        try:
            teams = self.server.rows("teams")
        except Refused:
            return TeamNotFound(refused.message)
        return TeamNotFound.called(str(said["team"]), ((team["slug"], team["name"]) for team in teams))


def _instead(refused: Refused, missing: DomainError) -> DomainError:
    """What is not there is told in the words of the command line; any other refusal as it came."""
    return missing if refused.status == missing.status else refused


def _check(order: Order) -> None:
    """Raises DatabaseOnly for what a token cannot ask for."""
    if order.acting:
        raise DatabaseOnly.said("--as (or MIM_AS), acting in the name of a person,")
    if order.dry_run:
        raise DatabaseOnly.said("--dry-run of a change")
