"""Where `mim team list` gets teams from: the database, or a server. The command does not know which."""

from __future__ import annotations

from typing import Any, Protocol

from accounts.models import User
from accounts.roles import Role
from majorops.lib.remote import Server, connected, is_remote
from majorops.lib.visibility import visible
from teams.models import Team
from teams.serializers import TeamShown


class Teams(Protocol):
    def all(self) -> list[dict[str, Any]]:
        """By name, those that are switched off too. The database also knows who answers for whom."""


class Local:
    def all(self) -> list[dict[str, Any]]:
        rows = Team.objects.select_related("merged_into").prefetch_related("aliases", "members").order_by("name")
        found = visible(rows, User(role=Role.ADMIN))
        return [
            {**TeamShown(team).data, "mergedInto": team.merged_into.slug if team.merged_into else None}
            for team in found
        ]


class Remote:
    def __init__(self, server: Server) -> None:
        self.server = server

    def all(self) -> list[dict[str, Any]]:
        return sorted(self.server.rows("teams"), key=lambda team: team["name"])


def teams() -> Teams:
    return Remote(connected()) if is_remote() else Local()
