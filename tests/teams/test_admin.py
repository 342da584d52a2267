"""The team directory in admin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from accounts.models import User
from teams.models import Team, TeamAlias
from tests.cast import Knock
from tests.factories import TeamFactory, UserFactory

pytestmark = pytest.mark.django_db

TEAMS = "/admin/teams/team/"


def page_of(team: Team) -> str:
    return f"{TEAMS}{team.pk}/change/"


def filled(
    team: Team | None = None, *, aliases: Sequence[str] = (), members: Sequence[User] = (), **changes: str
) -> dict[str, str]:
    """What the form of a team sends."""
    form = {"name": "Database", "slug": "database", "rated_box": "box3", "is_active": "on", **changes}
    for prefix, field, values in (("aliases", "alias", aliases), ("memberships", "user", [m.pk for m in members])):
        form |= {f"{prefix}-TOTAL_FORMS": str(len(values)), f"{prefix}-INITIAL_FORMS": "0"}
        for index, value in enumerate(values):
            form[f"{prefix}-{index}-{field}"] = value
            form[f"{prefix}-{index}-team"] = team.pk if team else ""
    return form


def test_the_list_and_a_team_are_bounded(admin_user: User, page_as: Knock, django_assert_max_num_queries: Any) -> None:
    teams = TeamFactory.create_batch(30)
    for person in UserFactory.create_batch(30):
        teams[0].members.add(person)
    browser = page_as(admin_user)
    with django_assert_max_num_queries(10):
        browser.get(TEAMS)
    with django_assert_max_num_queries(15):
        assert "person" in browser.get(page_of(teams[0])).content.decode()


def test_the_list_counts_members(admin_user: User, mim: User, page_as: Knock) -> None:
    TeamFactory().members.add(mim, admin_user)
    [row] = page_as(admin_user).get(TEAMS).context["cl"].result_list
    assert row.members_counted == 2


def test_a_team_is_added_with_aliases_and_members(admin_user: User, mim: User, page_as: Knock) -> None:
    page_as(admin_user).post(f"{TEAMS}add/", filled(aliases=["DBA", "DB West"], members=[mim]))
    team = Team.objects.get()
    assert Team.objects.called("dba") == Team.objects.called("db west") == team
    assert list(team.members.all()) == [mim]


def test_a_slug_stays_once_it_is_used(admin_user: User, page_as: Knock) -> None:
    team = TeamFactory(slug="database")
    page_as(admin_user).post(page_of(team), filled(team, name="Databases", slug="other"))
    team.refresh_from_db()
    assert (team.slug, team.name) == ("database", "Databases")


@pytest.mark.parametrize(
    "wrong",
    [{"slug": "Not A Slug"}, {"slug": "taken"}, {"name": ""}, {"rated_box": "box9"}, {"aliases": ["Taken"]}],
)
def test_a_team_that_cannot_be_is_refused_at_the_form(admin_user: User, page_as: Knock, wrong: dict[str, Any]) -> None:
    TeamFactory(slug="taken")
    answer = page_as(admin_user).post(f"{TEAMS}add/", filled(**wrong))
    assert (answer.status_code, Team.objects.count()) == (200, 1)


def test_two_spellings_of_one_alias_are_refused_at_the_form(admin_user: User, page_as: Knock) -> None:
    answer = page_as(admin_user).post(f"{TEAMS}add/", filled(aliases=["DBA", " dba"]))
    assert (answer.status_code, TeamAlias.objects.count()) == (200, 0)


def test_a_person_is_on_a_team_once(admin_user: User, mim: User, page_as: Knock, settings: Any) -> None:
    settings.ZEAL_ALLOWLIST = [{"model": "accounts.User", "field": "get()"}]  # Django asks for each chosen person
    answer = page_as(admin_user).post(f"{TEAMS}add/", filled(members=[mim, mim]))
    assert (answer.status_code, Team.objects.count()) == (200, 0)


def test_a_member_is_not_added_again(admin_user: User, mim: User, page_as: Knock) -> None:
    team = TeamFactory(slug="database")
    team.members.add(mim)
    row = {
        "memberships-0-id": str(team.memberships.get().pk),
        "memberships-0-team": team.pk,
        "memberships-1-user": mim.pk,
    }
    sent = filled(team) | row | {"memberships-TOTAL_FORMS": "2", "memberships-INITIAL_FORMS": "1"}
    answer = page_as(admin_user).post(page_of(team), sent)
    assert (answer.status_code, team.memberships.count()) == (200, 1)


def test_a_team_is_switched_off_not_deleted_and_twice_changes_nothing(admin_user: User, page_as: Knock) -> None:
    team = TeamFactory(name="Database")
    browser = page_as(admin_user)
    for says in ("Deactivated: Database.", "Nothing to change."):
        answer = browser.post(TEAMS, {"action": "deactivate", "_selected_action": team.pk}, follow=True)
        assert says in answer.content.decode()
    team.refresh_from_db()
    assert not team.is_active
    browser.post(TEAMS, {"action": "activate", "_selected_action": team.pk})
    team.refresh_from_db()
    assert team.is_active


def test_the_change_is_in_the_admin_log(admin_user: User, page_as: Knock) -> None:
    team = TeamFactory()
    page_as(admin_user).post(TEAMS, {"action": "deactivate", "_selected_action": team.pk})
    assert "Deactivated" in page_as(admin_user).get(f"{TEAMS}{team.pk}/history/").content.decode()


def test_a_member_can_leave(admin_user: User, mim: User, page_as: Knock) -> None:
    team = TeamFactory(slug="database")
    team.members.add(mim)
    row = {
        "memberships-0-id": str(team.memberships.get().pk),
        "memberships-0-team": team.pk,
        "memberships-0-DELETE": "on",
    }
    sent = filled(team) | row | {"memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "1"}
    page_as(admin_user).post(page_of(team), sent)
    assert not team.members.exists()


def test_members_are_picked_by_typing_not_from_a_list_of_everyone(admin_user: User, page_as: Knock) -> None:
    UserFactory(email="needle@example.com")
    browser = page_as(admin_user)
    assert "needle@example.com" not in browser.get(f"{TEAMS}add/").content.decode()
    asked = {"app_label": "teams", "model_name": "membership", "field_name": "user", "term": "needle"}
    assert browser.get("/admin/autocomplete/", asked).json()["results"]
