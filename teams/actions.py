"""THE ONLY WRITER of teams. Admin, the command line and imports call these.

    add_team(name, *, slug, aliases, members, **fields) -> Team
    change_team(team, *, aliases, members, **fields) -> Team, what is not named stays
    switch(teams, *, is_active) -> list[Team], those that changed
    preview_merge(team, into) -> Merge, writes nothing
    merge(team, into) -> Merge

A team that is merged stays as a switched-off row with `merged_into`: calls that were recorded for it are history and
keep their row. Names and figures lead to the other team from then on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.text import slugify

from accounts.models import User
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.text import clean_text
from teams import insight
from teams.models import Membership, NameIsTaken, Team, TeamAlias

FIELDS = frozenset({"name", "rated_box", "on_call_contact", "notification_urls", "is_active"})


class CannotMerge(DomainError):
    """These teams cannot be merged."""

    code = "cannot_merge"


@dataclass(frozen=True, slots=True)
class Merge:
    """What a merge does, in words."""

    team: Team
    into: Team
    names: tuple[str, ...]
    #: Of people who come to the other team. They stay on this one too, so that its incidents stay open to them.
    people: tuple[str, ...]
    #: What apps above know of the team, e.g. "12 calls".
    facts: tuple[str, ...]


def add_team(
    name: str, *, slug: str = "", aliases: Iterable[str] = (), members: Iterable[User] = (), **fields: object
) -> Team:
    """A new team. Raises Invalid or NameIsTaken."""
    called = clean_text(name, field="name", max_length=80, required=True)
    team = Team(name=called, slug=slug or slugify(called)[:64].strip("-"))
    if Team.objects.filter(slug=team.slug).exists():
        raise NameIsTaken(f"There is a team with the slug {team.slug} already.", field="slug")
    with transaction.atomic():
        return _save(team, aliases, members, fields)


def change_team(team: Team, *, aliases: Iterable[str] = (), members: Iterable[User] = (), **fields: object) -> Team:
    """Sets what is named; adds aliases and members. Raises Invalid or NameIsTaken."""
    with transaction.atomic():
        return _save(team, aliases, members, fields)


def _save(team: Team, aliases: Iterable[str], members: Iterable[User], fields: dict[str, object]) -> Team:
    if unknown := sorted(fields.keys() - FIELDS):
        raise Invalid(f"A team has no {', '.join(unknown)} to set.", field=unknown[0])
    for name, value in fields.items():
        setattr(team, name, value)
    if team.merged_into and team.is_active:
        raise Invalid(f"{team.name} was merged into {team.merged_into.name} and stays off.", field="is_active")
    _check(team)
    team.save()
    known = set(TeamAlias.objects.filter(team=team).values_list("alias", flat=True))
    for alias in dict.fromkeys(text.strip().casefold() for text in aliases):
        if alias not in known:
            row = TeamAlias(team=team, alias=alias)
            _check(row)
            row.save()
    team.members.add(*members)
    return team


def _check(row: Team | TeamAlias) -> None:
    try:
        row.full_clean()
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(f"{field.replace('_', ' ')}: {' '.join(messages)}", field=field) from None


def switch(teams: Iterable[Team], *, is_active: bool) -> list[Team]:
    """Teams that can be paged from now on, or not. One that was merged stays off."""
    changing = [team for team in teams if team.is_active != is_active and team.merged_into_id is None]
    Team.objects.filter(pk__in=[team.pk for team in changing]).update(is_active=is_active)
    return changing


def preview_merge(team: Team, into: Team) -> Merge:
    """What `merge` would do. Raises CannotMerge."""
    if team.pk == into.pk:
        raise CannotMerge("A team cannot be merged into itself. Choose another.")
    if into.merged_into:
        raise CannotMerge(f"{into.name} was merged into {into.merged_into.name}. Choose that one.")
    if team.merged_into:
        raise CannotMerge(f"{team.name} was merged into {team.merged_into.name} already.")
    there = set(into.members.values_list("pk", flat=True))
    return Merge(
        team,
        into,
        names=(team.name, team.slug, *team.aliases.values_list("alias", flat=True)),
        people=tuple(person.name for person in team.members.order_by("email") if person.pk not in there),
        facts=tuple(insight.facts_of(team)),
    )


def merge(team: Team, into: Team) -> Merge:
    """`team` answers as `into` from now on: its aliases and people go there, and it can no longer be paged."""
    with transaction.atomic():
        rows = {row.pk: row for row in Team.objects.select_for_update(no_key=True).filter(pk__in=[team.pk, into.pk])}
        if len(rows) < 2 and team.pk != into.pk:
            raise CannotMerge("One of these teams is gone.")
        done = preview_merge(rows[team.pk], rows[into.pk])
        people = Membership.objects.filter(team=team).exclude(user__in=into.members.all())
        Membership.objects.bulk_create(
            Membership(team=into, user_id=person) for person in people.values_list("user", flat=True)
        )
        TeamAlias.objects.filter(team=team).update(team=into)
        Team.objects.filter(merged_into=team).update(merged_into=into)
        Team.objects.filter(pk=team.pk).update(merged_into=into, is_active=False)
    return done
