"""The team directory in admin."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.models import User
from kpis.compute.runs import backfill
from kpis.models import KpiDefinition
from majorops.lib.errors import Invalid
from teams import actions, exchange
from teams.models import NameIsTaken, Team, TeamAlias
from tests.cast import Knock
from tests.factories import TeamFactory, TeamPageFactory, UserFactory

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


@pytest.mark.parametrize("wrong", [{"slug": "dba"}, {"name": " DBA "}])
def test_a_new_team_cannot_take_the_alias_of_another(admin_user: User, page_as: Knock, wrong: dict[str, str]) -> None:
    TeamFactory(name="Database West").aliases.create(alias="dba")
    answer = page_as(admin_user).post(f"{TEAMS}add/", filled(**wrong))
    assert "dba is an alias of team Database West already." in answer.content.decode()
    assert Team.objects.count() == 1


def test_an_alias_cannot_be_the_name_of_another_team(admin_user: User, page_as: Knock) -> None:
    TeamFactory(name="DB West", slug="west")
    for alias in ("db west", "West"):
        answer = page_as(admin_user).post(f"{TEAMS}add/", filled(aliases=[alias]))
        assert "is already the name of team DB West." in answer.content.decode()
    assert Team.objects.count() == 1


def test_a_name_that_is_taken_is_refused_behind_the_form_too() -> None:
    TeamFactory(name="Database West").aliases.create(alias="dba")
    with pytest.raises(NameIsTaken, match="dba is an alias of team Database West already"):
        Team.objects.create(name="DBA", slug="other")
    with pytest.raises(NameIsTaken, match="database west is already the name of team Database West"):
        TeamFactory().aliases.create(alias="Database West")


def test_a_team_may_have_its_own_name_as_an_alias() -> None:
    team = TeamFactory(name="Database", slug="database")
    team.aliases.create(alias="database")
    team.save()
    assert Team.objects.called("Database") == team


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


# --- Addresses ---

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


def test_the_form_shows_no_secret_and_keeps_an_address_that_is_left_alone(admin_user: User, page_as: Knock) -> None:
    team = TeamFactory(name="Database", slug="database", notification_urls=SLACK)
    browser = page_as(admin_user)
    answer = browser.get(page_of(team))
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in answer.content.decode()
    shown = answer.context["adminform"].form.initial["notification_urls"]
    sent = filled(team, notification_urls=f"{shown}\njson://hooks.example.com/page")
    assert browser.post(page_of(team), sent).status_code == 302
    team.refresh_from_db()
    assert team.notification_urls == f"{SLACK}\njson://hooks.example.com/page"


def test_an_address_that_cannot_be_is_refused_at_the_form(admin_user: User, page_as: Knock) -> None:
    answer = page_as(admin_user).post(f"{TEAMS}add/", filled(notification_urls="syslog://"))
    assert "Address 1: syslog:// rings on the server" in answer.content.decode()
    assert not Team.objects.exists()


# --- Merge ---


def test_a_merge_is_shown_first_and_leaves_history_where_it_is(admin_user: User, mim: User, page_as: Knock) -> None:
    team, into = TeamFactory(name="DB West", slug="db-west"), TeamFactory(name="Database")
    team.aliases.create(alias="dba")
    team.members.add(mim)
    call = TeamPageFactory(team=team)
    browser, url = page_as(admin_user), f"{TEAMS}{team.pk}/merge/"
    assert "Recorded calls: 1." in browser.post(url, {"into": into.pk}).content.decode()
    assert Team.objects.called("dba") == team
    browser.post(url, {"into": into.pk, "confirmed": "yes"})
    assert Team.objects.called("dba") == Team.objects.called("db-west") == into
    assert list(into.members.all()) == [mim]
    call.refresh_from_db()
    team.refresh_from_db()
    assert (call.team, team.is_active, team.merged_into) == (team, False, into)


def test_a_merge_that_cannot_be_says_why() -> None:
    team, into, third = TeamFactory.create_batch(3)
    actions.merge(team, into)
    for one, other in ((into, into), (team, third), (third, team)):
        with pytest.raises(actions.CannotMerge):
            actions.merge(one, other)


def test_a_merged_team_stays_off() -> None:
    team, into = TeamFactory.create_batch(2)
    actions.merge(team, into)
    team.refresh_from_db()
    assert actions.switch([team], is_active=True) == []
    with pytest.raises(Invalid, match="stays off"):
        actions.change_team(team, is_active=True)


# --- Files ---


def imported(browser: Any, text: str) -> Any:
    return browser.post(f"{TEAMS}import/", {"file": SimpleUploadedFile("teams.csv", text.encode())})


def test_a_file_is_shown_row_by_row_before_anything_is_written(admin_user: User, page_as: Knock) -> None:
    TeamFactory(name="Database", slug="database", on_call_contact="old")
    browser, text = page_as(admin_user), "slug,name,on_call_contact\ndatabase,Database,new\nnetwork,Network,\n"
    answer = imported(browser, text)
    assert [line.fate.value for line in answer.context["lines"]] == ["changed", "new"]
    assert answer.context["lines"][0].changes == (("on_call_contact", "old", "new"),)
    assert Team.objects.get().on_call_contact == "old"
    assert browser.post(f"{TEAMS}import/", {"text": text}).status_code == 302
    assert dict(Team.objects.values_list("slug", "on_call_contact")) == {"database": "new", "network": ""}


def test_a_file_with_one_wrong_row_is_not_imported(admin_user: User, page_as: Knock) -> None:
    text = "slug,name,members\ndatabase,Database,\nnetwork,Network,nobody@example.com\n"
    answer = page_as(admin_user).post(f"{TEAMS}import/", {"text": text})
    assert "Nobody here has the address nobody@example.com." in answer.content.decode()
    assert not Team.objects.exists()


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_file_of_another_spreadsheet_is_read_too(separator: str) -> None:
    rows = [["slug", "name", "aliases"], ["network", "Network", '"net; lan"']]
    [line] = exchange.compare("\ufeff" + "\r\n".join(separator.join(cells) for cells in rows))
    assert (line.fate, line.slug, line.changes[-1]) == (exchange.Fate.NEW, "network", ("aliases", "", "lan; net"))


@pytest.mark.parametrize("row", ["network", "network,Network,extra"])
def test_a_row_with_another_number_of_cells_is_refused_by_its_line(row: str) -> None:
    with pytest.raises(Invalid, match="Line 3"):
        exchange.compare(f"slug,name\nstorage,Storage\n{row}\n")


def test_an_export_changes_nothing_when_it_comes_back(admin_user: User, mim: User, page_as: Knock) -> None:
    team = TeamFactory(name="Database", on_call_contact="=1+1", notification_urls=SLACK)
    team.aliases.create(alias="dba")
    team.members.add(mim)
    browser = page_as(admin_user)
    text = browser.get(f"{TEAMS}export/").content.decode()
    assert "slack" not in text
    assert "'=1+1" in text
    assert [line.fate.value for line in imported(browser, text).context["lines"]] == ["same"]


def test_only_administrators_merge_and_move_files(mim: User, page_as: Knock) -> None:
    team = TeamFactory()
    for path in ("import/", "export/", f"{team.pk}/merge/"):
        assert page_as(mim).get(f"{TEAMS}{path}").status_code in (302, 403)


# --- Figures ---


def test_the_list_shows_the_median_against_its_limit_and_n(mim: User, admin_user: User, page_as: Knock) -> None:
    team = TeamFactory(name="Database", slug="database")
    now = timezone.now()
    TeamPageFactory(
        incident__detected_at=now - timedelta(hours=3), team=team, alarm_level="box3",
        paged_at=now - timedelta(hours=2), arrived_at=now - timedelta(hours=2) + timedelta(minutes=4),
        arrival_source="observed",
    )  # fmt: skip
    backfill(KpiDefinition.objects.get(slug="team-page-to-bridge"), as_of=now)
    assert "Box 3: 4.0 min (limit 5, n 1)" in page_as(admin_user).get(TEAMS).content.decode()
