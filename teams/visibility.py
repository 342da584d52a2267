"""Who sees the directory of teams: those who read team response, and each person the teams they are on."""

from __future__ import annotations

from django.db.models import Model, Q, QuerySet

from accounts.models import User
from accounts.roles import Can
from accounts.visibility import may
from majorops.lib.visibility import Rows, Sight, columns
from teams.models import Membership, Team, TeamAlias

#: What a team is called. Contacts and ratings are for those who page it.
CALLED = frozenset({"slug", "name", "is_active"})
#: Addresses hold the keys of other systems.
SECRET = frozenset({"notification_urls"})


def _on(viewer: object, path: str) -> Q:
    return Q(**{path: viewer}) if isinstance(viewer, User) and viewer.can(Can.READ_INCIDENTS) else Q(pk__in=[])


def _teams(rows: QuerySet[Team], viewer: object) -> QuerySet[Team]:
    if may(viewer, Can.READ_TEAMS):
        return rows
    return rows.filter(_on(viewer, "memberships__user")).distinct()


def _readers(rows: Rows, viewer: object) -> Rows:
    return rows if may(viewer, Can.READ_TEAMS) else rows.none()


def _memberships(rows: QuerySet[Membership], viewer: object) -> QuerySet[Membership]:
    return rows if may(viewer, Can.READ_TEAMS) else rows.filter(_on(viewer, "user"))


def _team_fields(viewer: object, team: Team | None) -> frozenset[str]:
    if may(viewer, Can.ADMINISTER):
        return columns(Team)
    return columns(Team) - SECRET if may(viewer, Can.READ_TEAMS) else CALLED


SIGHTS: dict[type[Model], Sight] = {
    Team: Sight(
        _teams,
        _team_fields,
        # Only those who read all of a team reach its lists (teams/api.py).
        filters=frozenset({"rated_box"}),
        orders=frozenset({"slug"}),
        searches=frozenset({"name"}),
    ),
    TeamAlias: Sight(_readers, lambda viewer, row: columns(TeamAlias)),
    Membership: Sight(_memberships, lambda viewer, row: columns(Membership)),
}
