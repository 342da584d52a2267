"""A name and an alias that are saved at the same moment. Both databases."""

from __future__ import annotations

import pytest

from teams.models import Team, TeamAlias
from tests.factories import TeamFactory
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_a_team_and_an_alias_that_want_one_name_at_once_only_one_kind_gets_it() -> None:
    owner = TeamFactory(name="Database West")

    def act(number: int) -> None:
        if number % 2:
            Team.objects.create(name="DBA", slug=f"dba-{number}")
        else:
            TeamAlias.objects.get_or_create(team=owner, alias="dba")

    told = race(act)
    teams, aliases = Team.objects.filter(name="DBA").count(), TeamAlias.objects.count()
    assert sorted((bool(teams), bool(aliases))) == [False, True]
    assert told == {"won": 4, "name_is_taken": 4}
