"""Dispatch credit from real rows: what counts, who sees how much of it, and by which version of the rule."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import AuditEvent, User
from accounts.principals import Service
from incidents import actions
from incidents.models import TeamPage
from kpis.actions import Editor
from kpis.credit_settings import change, in_force, values_in
from kpis.dispatch_credit import DEFAULT, Dispatch, Outcome, Status, Trend, outcome_of
from kpis.errors import SameSetting
from kpis.models import CreditSetting
from kpis.readiness import Asked, NoSuchTeam, Reach, answers_of, asked, board, dispatches, reach_of, sheet
from majorops.lib.errors import Invalid
from teams.actions import merge
from teams.models import Membership, Team
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, TeamFactory, TeamPageFactory, at, stamp

pytestmark = pytest.mark.django_db
AS_OF = at("2026-03-20T00:00")
NOW = Asked(AS_OF)


@pytest.fixture
def database() -> Team:
    return TeamFactory(slug="database", name="Database")


def called(team: Team, minutes: float | None = 4, *, days_ago: float = 5, level: str | None = "box3", **known: object):
    """A dispatch to an incident that is over."""
    paged_at = AS_OF - timedelta(days=days_ago)
    about = {name.removeprefix("incident__"): known.pop(name) for name in list(known) if name.startswith("incident__")}
    incident = IncidentFactory(closed=True, detected_at=paged_at, **about)
    arrived = None if minutes is None else paged_at + timedelta(minutes=minutes)
    told = {"arrived_at": arrived, "alarm_level": level, **known}
    return TeamPageFactory(team=team, incident=incident, paged_at=paged_at, **told)


def record_of(viewer: User, **asked_for: object):
    (found,) = board(viewer, Asked(AS_OF, **asked_for)).records  # type: ignore[arg-type]
    return found


# --- What counts ---


def test_the_golden_rows_from_the_database(database: Team, mim: User) -> None:
    for minutes in (3, 4, 4.5, 5.0, 2.5, 4.9, 6.2, None, 4.2, 3.1):
        called(database, minutes)
    found = record_of(mim)
    assert (found.figures["box3"].credit.points, found.figures["box3"].credit.rating) == (62.72, 4)
    assert (found.overall.rating, found.n, found.met, found.median) == (4, 10, 8, 4.2)


@pytest.mark.parametrize(
    ("known", "outcome", "why"),
    [
        ({"minutes": None, "cancelled_at": AS_OF - timedelta(days=5)}, Outcome.CANCELLED, "stood down in time"),
        ({"incident__kind": "drill"}, None, "a drill or a test"),
        ({"level": None}, None, "no alarm level"),
        ({"minutes": None}, Outcome.NO_SHOW, ""),
        ({"minutes": 5}, Outcome.MET, ""),
        ({"minutes": 5 + 1e-6 / 60}, Outcome.MISSED, ""),
    ],
)
def test_each_dispatch_counts_or_says_why_not(
    database: Team, mim: User, known: dict[str, object], outcome: Outcome | None, why: str
) -> None:
    called(database, **known)
    (case,) = sheet(mim, "database", NOW).cases
    assert (case.outcome, case.why) == (outcome, why)


def test_what_was_not_known_at_the_moment_does_not_count(database: Team, mim: User) -> None:
    """Paged two minutes before: whether the team comes is open, whatever is known since."""
    called(database, 4, days_ago=2 / 1440)
    (case,) = sheet(mim, "database", NOW).cases
    assert (case.outcome, case.arrival, case.why) == (Outcome.PENDING, None, "not judged yet")


def test_void_dispatches_and_those_of_restricted_incidents_are_not_there(database: Team, mim: User) -> None:
    called(database, incident__restricted=True)
    incident = IncidentFactory(detected_at=NOON)
    page = actions.page_team(incident, database, stamp=stamp(mim))
    actions.undo(incident, incident.timeline.latest("recorded_at"), stamp=stamp(mim, NOON + timedelta(seconds=20)))
    assert TeamPage.with_voided.get(pk=page.pk).voided_at
    assert sheet(mim, "database", NOW).cases == ()


def test_the_record_of_a_merged_team_counts_for_the_one_that_answers(database: Team, mim: User) -> None:
    west = TeamFactory(slug="db-west")
    for team, count in ((database, 3), (west, 4)):
        for day in range(1, count + 1):
            called(team, 4, days_ago=day)
    merge(west, database)
    assert (record_of(mim).team, record_of(mim).n) == (database, 7)
    assert sheet(mim, "db-west", NOW).record == sheet(mim, "database", NOW).record


def test_windows_and_trend_look_at_their_own_days(database: Team, mim: User) -> None:
    for days in range(1, 11):
        called(database, 4, days_ago=days)
    for days in range(31, 51):
        called(database, 4 if days % 5 < 2 else 9, days_ago=days)
    found = sheet(mim, "database", NOW)
    assert [record.n for record in found.windows] == [10, 30, 30]
    assert found.record.moved.trend is Trend.BETTER
    assert record_of(mim, days=30).moved == found.record.moved


def test_the_loop_over_rows_is_the_pure_rule(database: Team, mim: User) -> None:
    """The fast way of reading and the rule about whole dispatches give the same outcomes."""
    dice = random.Random(7)  # noqa: S311  (chooses cases, guards nothing)
    for _ in range(60):
        arrival = dice.choice([None, dice.uniform(0, 15)])
        cancel = AS_OF - timedelta(minutes=dice.uniform(0, 4)) if arrival is None and dice.random() < 0.3 else None
        ago = dice.uniform(4, 40) / 1440
        page = called(database, arrival, days_ago=ago, cancelled_at=cancel)
        if dice.random() < 0.5:
            type(page.incident).objects.filter(pk=page.incident_id).update(status="active", phase=3, resolved_at=None)
    cases = {case.id: case for case in sheet(mim, "database", NOW).cases}
    for page in TeamPage.objects.select_related("incident"):
        ended = page.incident.resolved_at
        known = Dispatch(
            page.paged_at,
            arrived_at=_known(page.arrived_at),
            cancelled_at=_known(page.cancelled_at),
            incident_is_over=ended is not None and ended < AS_OF,
        )
        assert cases[page.pk].outcome is outcome_of(known, DEFAULT.levels["box3"], as_of=AS_OF)


def _known(moment: datetime | None) -> datetime | None:
    return moment if moment is not None and moment < AS_OF else None


def test_arrivals_that_people_pressed_themselves_are_surer(database: Team, mim: User) -> None:
    for source in ("self", "observed"):
        called(database, arrival_source=source)
    assert record_of(mim).figures["box3"].confidence == 0.9


# --- Who sees what ---


def test_executives_see_the_class_of_teams_of_three_and_no_dispatch(database: Team, executive: User) -> None:
    few = TeamFactory(slug="few")
    for team, count in ((database, 3), (few, 2)):
        for _ in range(count):
            called(team)
    called(database, level="box2")
    (found,) = board(executive, NOW).records
    assert (found.team, set(found.figures), found.n) == (database, {"box3"}, 3)
    assert found.withheld == {"box2", "box1"}
    assert sheet(executive, "database", NOW).cases == ()
    with pytest.raises(NoSuchTeam):
        sheet(executive, "few", NOW)


def test_members_see_their_own_team_in_full_and_no_other(database: Team, engineer: User) -> None:
    Membership.objects.create(team=database, user=engineer)
    called(database)
    called(TeamFactory(slug="other"))
    assert [record.team for record in board(engineer, NOW).records] == [database]
    assert len(answers_of(engineer, sheet(engineer, "database", NOW).cases)) == 1
    with pytest.raises(NoSuchTeam):
        sheet(engineer, "other", NOW)


def test_an_executive_on_a_team_sees_that_one_in_full(database: Team, executive: User) -> None:
    Membership.objects.create(team=database, user=executive)
    other = TeamFactory()
    assert reach_of(executive) == Reach((database,), (other,))


def test_stakeholders_and_programs_without_the_scope_see_no_team(database: Team, stakeholder: User) -> None:
    program = Service("01", "Reader", frozenset({"incidents:read", "kpis:read"}))
    for viewer in (stakeholder, program, None):
        with pytest.raises(NoSuchTeam):
            board(viewer, NOW)
    assert reach_of(Service("02", "Pager", frozenset({"teams:read"}))).full == (database,)


def test_everybody_who_sees_a_figure_sees_the_same(database: Team, mim: User, executive: User, engineer: User) -> None:
    Membership.objects.create(team=database, user=engineer)
    for minutes in (3, 4, 9):
        called(database, minutes)
    called(database, incident__restricted=True)
    seen = [record_of(viewer).figures["box3"] for viewer in (mim, executive, engineer)]
    assert seen[0] == seen[1] == seen[2]


# --- What is asked ---


@pytest.mark.parametrize("said", [{"window": "7d"}, {"box": "box9"}, {"as_of": "soon"}, {"as_of": "2026-03-21"}])
def test_what_cannot_be_asked_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        asked(AS_OF, **said)


def test_a_day_and_a_window_in_days_are_understood() -> None:
    assert asked(AS_OF, window="30d", box="box2", as_of="2026-03-02") == Asked(at("2026-03-02T00:00"), 30, "box2")
    assert asked(AS_OF) == Asked(AS_OF, 90, "")


def test_an_empty_record_points_at_the_newest_dispatch(database: Team, mim: User) -> None:
    old = called(database, days_ago=400)
    assert board(mim, NOW).newest == old.paged_at
    assert sheet(mim, "database", NOW).newest == old.paged_at


def test_a_board_costs_the_same_queries_however_many_teams(
    mim: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(4):
        called(TeamFactory(), days_ago=number + 1)
    with django_assert_num_queries(3):
        board(mim, NOW)


# --- The versions of the rule ---


def setting(**changes: object) -> CreditSetting:
    return CreditSetting(**{**values_in(DEFAULT), "reason": "Box 3 has a longer way now.", **changes})


def test_the_built_in_setting_is_the_design(database: Team) -> None:
    held = in_force(AS_OF)
    assert (held.settings, held.version, held.since) == (DEFAULT, 1, None)


def test_a_new_version_holds_from_its_moment_on_and_changes_no_earlier_figure(database: Team, mim: User) -> None:
    for _ in range(10):
        called(database, 6)
    made = change(setting(box3_arrival=7), Editor(mim, AS_OF - timedelta(days=1)))
    before = board(mim, Asked(AS_OF - timedelta(days=2)))
    now = board(mim, NOW)
    assert (before.setting.version, before.records[0].met) == (1, 0)
    assert (now.setting.version, now.records[0].met, made.version) == (2, 10, 2)
    assert AuditEvent.objects.get(action="credit_setting_change").after == {"box3_arrival": 7}


def test_the_same_again_is_no_version(mim: User) -> None:
    with pytest.raises(SameSetting):
        change(setting(), Editor(mim, NOON))
    assert not CreditSetting.objects.exists()


def test_administrators_append_a_version_with_a_reason(admin_user: User, mim: User, page_as: Knock) -> None:
    add = "/admin/kpis/creditsetting/add/"
    said = {name: "" if value is None else value for name, value in values_in(DEFAULT).items()} | {"z": 1.645}
    assert page_as(mim).get(add).status_code == 302
    assert page_as(admin_user).post(add, said).status_code == 200
    assert page_as(admin_user).post(add, {**said, "reason": "More cautious."}).status_code == 302
    made = CreditSetting.objects.get()
    assert (made.version, made.z, made.made_by, made.box1_ack) == (2, 1.645, admin_user, None)
    assert page_as(admin_user).get(f"/admin/kpis/creditsetting/{made.pk}/change/").status_code == 200


def test_admin_says_so_when_nothing_is_new(admin_user: User, page_as: Knock) -> None:
    said = {name: "" if value is None else value for name, value in values_in(DEFAULT).items()} | {"reason": "x"}
    shown = page_as(admin_user).post("/admin/kpis/creditsetting/add/", said, follow=True)
    assert "what holds already" in shown.content.decode()


# --- The API ---


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: AS_OF)


def readiness(client: Client, slug: str = "database", **query: str):
    return client.get(f"/api/v1/teams/{slug}/readiness", query)


def test_the_api_gives_figures_with_their_dispatches(database: Team, mim: User, client_as: Knock, frozen: None) -> None:
    page = called(database)
    called(database, incident__kind="drill")
    body = readiness(client_as(mim), window="90d", box="box3").json()
    (level,) = body["levels"]
    assert (level["box"], level["class"], level["n"], level["status"]) == ("box3", None, 1, "unrated")
    assert level["outlook"]["onTime"]["count"] == 4
    assert body["rule"]["version"] == 1
    told = {row["outcome"]: row for row in body["dispatches"]}
    assert told["met"]["incident"] == page.incident_id
    assert told[None]["reason"] == "a drill or a test"


def test_the_api_shows_executives_the_class_only(
    database: Team, executive: User, client_as: Knock, frozen: None
) -> None:
    for _ in range(3):
        called(database)
    body = readiness(client_as(executive)).json()
    assert (body["dispatches"], body["levels"][0]["outlook"], body["withheld"]) == (None, None, ["box1", "box2"])


def test_the_api_knows_no_team_for_others(database: Team, stakeholder: User, mim: User, client_as: Knock) -> None:
    assert readiness(client_as(stakeholder)).status_code == 404
    assert readiness(client_as(mim), "never").status_code == 404
    assert readiness(client_as(mim), window="7d").status_code == 400


def test_a_perfect_quarter_is_class_1_with_acknowledgements(database: Team, mim: User) -> None:
    for number in range(20):
        paged_at = AS_OF - timedelta(days=number + 1)
        called(database, 4.5, days_ago=number + 1, acknowledged_at=paged_at + timedelta(minutes=1))
    found = record_of(mim).figures["box3"]
    assert (found.credit.points, found.credit.rating, found.credit.status) == (93.17, 1, Status.RATED)
    assert len(dispatches([database], AS_OF, DEFAULT)["database"]) == 20
