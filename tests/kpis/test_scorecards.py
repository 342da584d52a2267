"""Scorecards: what each role reads, no number without data, trends only where they mean something."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, date, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from incidents.models import Incident
from kpis import charts, trends
from kpis.charts import Plot
from kpis.compute import backfill
from kpis.models import KpiDefinition, KpiTarget
from kpis.scorecards import Card, Name, Scorecard, scorecard
from tests.cast import Knock
from tests.factories import IncidentFactory, TeamFactory, TeamPageFactory, at
from tests.pages import Page

TOMORROW = at("2026-03-03T00:00")
NOW = TOMORROW + timedelta(minutes=5)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


def lasted(minutes: int, days_ago: int, severity: str = "critical", **columns: object) -> Incident:
    begun = TOMORROW - timedelta(days=days_ago, hours=12)
    return IncidentFactory(
        closed=True, severity=severity, detected_at=begun, resolved_at=begun + timedelta(minutes=minutes), **columns
    )


def computed(*slugs: str) -> None:
    for slug in slugs or ("mttr", "cadence-adherence", "stakeholder-satisfaction"):
        backfill(KpiDefinition.objects.get(slug=slug), as_of=TOMORROW)


def card_of(found: Scorecard, key: str) -> Card:
    return next(card for card in found.cards if card.key == key)


@pytest.fixture
def history(db: None) -> None:
    """Six critical incidents of two hours a month ago, six of one hour since; computed."""
    for day in range(6):
        lasted(60, 2 + 4 * day)
        lasted(120, 32 + 4 * day)
    computed()


# --- Figures ---


def test_a_group_with_a_target_is_a_card_and_is_judged(history: None, mim: User) -> None:
    found = card_of(scorecard(Name.EXEC, mim, 30, NOW), "mttr-critical")
    assert (found.value, found.figure.n, found.state, found.figure.target) == (60.0, 6, "met", "≤ 120 min")
    assert found.figure.id  # the stored rollup, so that its rows can be asked for


@pytest.mark.parametrize(
    ("columns", "told"), [({"due_on": date(2027, 1, 1)}, "no target is due yet"), (None, "no target set")]
)
def test_a_target_of_a_later_day_is_not_called_none(
    history: None, mim: User, columns: dict[str, object] | None, told: str
) -> None:
    rows = KpiTarget.objects.all()
    rows.delete() if columns is None else rows.update(**columns)
    assert scorecard(Name.EXEC, mim, 30, NOW).summary == told


def test_the_change_is_told_where_both_spans_have_enough(history: None, mim: User) -> None:
    change = card_of(scorecard(Name.EXEC, mim, 30, NOW), "mttr-critical").change
    assert (change.arrow, change.sense) == ("↘", "better")
    assert change.words == "−50 % on the 30 days before (120 min, n = 6)"


@pytest.mark.django_db
def test_no_arrow_from_too_few(mim: User) -> None:
    for day in (2, 6, 32, 36):
        lasted(60, day)
    computed()
    change = card_of(scorecard(Name.EXEC, mim, 30, NOW), "mttr-critical").change
    assert (change.arrow, change.before) == ("", 60.0)
    assert "Too few to compare" in change.words


def test_a_span_that_no_run_stores_is_made_of_samples(history: None, mim: User) -> None:
    found = card_of(scorecard(Name.EXEC, mim, 60, NOW), "mttr-critical")
    assert (found.value, found.figure.n, found.figure.median, found.figure.id) == (90.0, 12, "90 min", "")


def test_no_data_is_unknown_with_its_reason_and_never_green(history: None, mim: User) -> None:
    found = scorecard(Name.EXEC, mim, 30, NOW)
    survey = card_of(found, "stakeholder-satisfaction")
    assert (survey.value, survey.state, survey.figure.value, survey.figure.state) == (None, "unknown", "—", "")
    assert survey.figure.why.startswith("Never received")
    assert (survey.figure.evidence, survey.spark.is_empty) == ("proposed", True)
    assert found.summary == "met 1, at risk 0, missed 0, unknown 3 of 4"


@pytest.mark.django_db
def test_what_was_never_computed_says_so(mim: User) -> None:
    found = card_of(scorecard(Name.EXEC, mim, 30, NOW), "mttr-critical")
    assert (found.state, found.figure.why) == ("unknown", "Not computed yet.")


def test_at_risk_is_counted_by_itself(history: None, mim: User) -> None:
    KpiTarget.objects.filter(definition="mttr", severity="critical").update(warn_value=50)
    found = scorecard(Name.EXEC, mim, 30, NOW)
    assert found.counts["at_risk"] == 1
    assert found.counts["met"] == 0


def test_restricted_incidents_are_in_no_trend_of_anybody(history: None, mim: User, executive: User) -> None:
    lasted(900, 3, restricted=True)
    computed()
    for days in (30, 60):
        mine, theirs = (card_of(scorecard(Name.EXEC, who, days, NOW), "mttr-critical") for who in (mim, executive))
        assert (mine.value, mine.weeks, mine.change) == (theirs.value, theirs.weeks, theirs.change)
    assert 900.0 not in [week.raw for week in mine.weeks]


# --- Who reads which ---


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "open_to"),
    [
        ("stakeholder", ["stakeholder"]),
        ("executive", ["exec", "stakeholder", "readiness"]),
        ("mim", ["exec", "stakeholder", "readiness"]),
        ("admin_user", ["exec", "stakeholder", "readiness"]),
    ],
)
def test_each_role_opens_its_scorecards(
    role: str, open_to: list[str], page_as: Knock, request: pytest.FixtureRequest
) -> None:
    client = page_as(request.getfixturevalue(role))
    for name in Name:
        page = client.get(f"/scorecards/{name}")
        assert page.status_code == (200 if name in open_to else 403), name
        assert Page(page.content.decode()).faults == []
    assert client.get("/scorecards")["Location"] == f"/scorecards/{open_to[0]}"
    assert "/scorecards" in Page(client.get("/kpis").content.decode()).links


@pytest.fixture
def dispatches(db: None) -> None:
    team = TeamFactory(slug="database")
    for day in range(1, 7):
        incident = lasted(60, day)
        paged = incident.detected_at
        TeamPageFactory(incident=incident, team=team, paged_at=paged, arrived_at=paged + timedelta(minutes=4))
    computed("team-page-to-bridge", "team-page-to-ack")


def test_readiness_has_each_team_over_three_spans(dispatches: None, page_as: Knock, mim: User) -> None:
    found = scorecard(Name.READINESS, mim, 30, NOW)
    (team,) = next(board for board in found.boards if board.kpi.slug == "team-page-to-bridge").teams
    assert (team.name, team.level) == ("Database", "Box 3")
    assert [figure.value for figure in team.figures if figure] == ["4 min"] * 3
    assert card_of(found, "team-page-to-bridge-box3").state == "met"
    assert "Database Box 3 4 min ✓ met ≤ 5 min" in Page(page_as(mim).get("/scorecards/readiness").content.decode()).text


def test_executives_read_no_times_of_teams(dispatches: None, executive: User) -> None:
    found = scorecard(Name.READINESS, executive, 30, NOW)
    assert {card.kpi.slug for card in found.cards} <= {"dispatch-credit"}
    assert {board.kpi.slug for board in found.boards} <= {"dispatch-credit"}


def test_executives_read_the_classes_of_teams_with_three_dispatches(dispatches: None, executive: User) -> None:
    small = TeamFactory(slug="small")
    for incident in Incident.objects.all()[:2]:
        TeamPageFactory(incident=incident, team=small, paged_at=incident.detected_at)
    computed("dispatch-credit")
    (board,) = scorecard(Name.READINESS, executive, 30, NOW).boards
    assert [(team.name, team.figures[-1].value) for team in board.teams if team.figures[-1]] == [
        ("Database", "2 class")
    ]


def test_single_people_are_on_no_scorecard(dispatches: None, admin_user: User) -> None:
    cards = [card for name in Name for card in scorecard(name, admin_user, 30, NOW).cards]
    assert not [card for card in cards if card.kpi.is_personal]


def test_wrong_window_and_name_are_refused(client_as: Knock, mim: User) -> None:
    client = client_as(mim)
    answer = client.get("/api/v1/scorecards/exec?window=45")
    assert (answer.status_code, answer.json()["detail"]) == (400, "window is 30, 60 or 90 (days).")
    assert client.get("/api/v1/scorecards/health").status_code == 404


# --- Its doors ---


def test_the_address_answers_browsers_and_programs(history: None, page_as: Knock, client_as: Knock, mim: User) -> None:
    page = page_as(mim).get("/scorecards/exec?window=60")
    assert "met 1, at risk 0, missed 0, unknown 3 of 4" in Page(page.content.decode()).text
    told = client_as(mim).get("/scorecards/exec?window=60")
    assert told.json() == client_as(mim).get("/api/v1/scorecards/exec?window=60").json()
    assert (told.json()["window"], told.json()["counts"]["unknown"]) == ("P60D", 3)
    survey = next(card for card in told.json()["cards"] if card["kpi"] == "stakeholder-satisfaction")
    assert (survey["value"], survey["targetState"], survey["evidence"]) == (None, "unknown", "proposed")
    assert "Accept" in page["Vary"]


def test_charts_are_folded_but_of_what_missed_its_target(history: None, page_as: Knock, mim: User) -> None:
    KpiTarget.objects.filter(severity="critical").update(value=1)
    html = page_as(mim).get("/scorecards/exec?window=60").content.decode()
    folds = re.findall(r'<details class="card run"( open)?><summary><h3 id="([^"]+)-chart"', html)
    missed = {each.key for each in scorecard(Name.EXEC, mim, 60, NOW).cards if each.state == "missed"}
    assert {key for is_open, key in folds if is_open} == missed == {"mttr-critical"}
    assert len(folds) > len(missed)


def test_a_chart_is_well_formed_without_inline_style(history: None, page_as: Knock, mim: User) -> None:
    answer = page_as(mim).get("/scorecards/exec/charts/mttr-critical")
    assert answer["Content-Type"].startswith("image/svg+xml")
    drawn = ElementTree.fromstring(answer.content)  # noqa: S314  our own
    assert {child.tag.rpartition("}")[2] for child in drawn} >= {"title", "desc", "line", "text", "circle", "rect"}
    assert not [element for element in drawn.iter() if "style" in element.attrib or element.tag.endswith("style")]
    assert page_as(mim).get("/scorecards/exec/charts/nothing").status_code == 404


def test_weeks_come_as_csv_with_empty_cells_for_gaps(history: None, page_as: Knock, mim: User) -> None:
    answer = page_as(mim).get("/scorecards/exec/charts/mttr-critical?format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    found = card_of(scorecard(Name.EXEC, mim, 30, NOW), "mttr-critical")
    assert [row["value"] for row in rows] == ["" if week.raw is None else str(week.raw) for week in found.weeks]
    assert "" in [row["value"] for row in rows]


@pytest.mark.parametrize("name", list(Name))
def test_more_data_costs_no_more_queries(
    name: Name, page_as: Knock, mim: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for day in range(1, 40):
        incident = lasted(60, day, severity="high" if day % 2 else "critical")
        TeamPageFactory(incident=incident, paged_at=incident.detected_at, arrived_at=incident.resolved_at)
    computed("mttr", "team-page-to-bridge")
    with django_assert_max_num_queries(12):
        assert page_as(mim).get(f"/scorecards/{name}").status_code == 200


# --- Targets for a median or a percentile ---


@pytest.fixture
def slowest(history: None) -> None:
    """Nine in ten critical incidents are to be over in 50 minutes; half of them in 70."""
    mttr = KpiDefinition.objects.get(slug="mttr")
    for statistic, value in (("p90", 50), ("median", 70), ("p99", 80)):
        KpiTarget.objects.create(definition=mttr, severity="critical", statistic=statistic, operator="lte", value=value)


def test_a_percentile_with_a_target_is_a_card_of_its_own(slowest: None, mim: User) -> None:
    found = scorecard(Name.EXEC, mim, 30, NOW)
    told = {key: card_of(found, f"mttr-critical{key}") for key in ("", "-median", "-p90", "-p99")}
    assert [(card.value, card.state) for card in told.values()] == [
        (60.0, "met"), (60.0, "met"), (60.0, "missed"), (None, "unknown"),
    ]  # fmt: skip
    assert (told["-p90"].group, told["-p90"].figure.target) == ("Critical · 90th percentile", "≤ 50 min")
    assert "cannot be judged" in told["-p99"].figure.why


def test_the_chart_of_a_percentile_shows_the_percentile(history: None, mim: User) -> None:
    lasted(600, 1)
    KpiTarget.objects.create(definition_id="mttr", severity="critical", statistic="p90", operator="lte", value=50)
    computed()
    found = scorecard(Name.EXEC, mim, 30, NOW)
    own, p90 = (
        max(week.raw or 0 for week in card_of(found, key).weeks) for key in ("mttr-critical", "mttr-critical-p90")
    )
    assert own < p90


def test_the_definition_judges_the_percentile_beside_the_mean(slowest: None, page_as: Knock, mim: User) -> None:
    text = Page(page_as(mim).get("/kpis/mttr").content.decode()).text
    assert "90th percentile 60 min ✕ missed ≤ 50 min" in text
    assert "99th percentile not kept target ≤ 80 min" in text


# --- A figure that no run has stored leads to its samples ---


def test_a_rebuilt_figure_leads_to_exactly_its_samples(history: None, page_as: Knock, mim: User) -> None:
    lasted(45, 3, severity="high")
    lasted(900, 3, restricted=True)
    computed()
    found = card_of(scorecard(Name.EXEC, mim, 60, NOW), "mttr-critical")
    page = page_as(mim).get(f"/kpis/mttr?{found.samples}").content.decode().partition('id="samples-title"')[2]
    assert page.startswith(">Samples of 60 days up to 2026-03-03: Critical</h2>")
    assert page.count('<td class="main">') == found.figure.n == 12


@pytest.mark.parametrize(
    "query", ["samples=0", "samples=60", "samples=60&until=x", "samples=x&until=2026-03-03T00:00Z"]
)
def test_a_span_that_is_none_shows_the_last_samples(history: None, page_as: Knock, mim: User, query: str) -> None:
    answer = page_as(mim).get(f"/kpis/mttr?{query}")
    assert (answer.status_code, ">Last samples</h2>" in answer.content.decode()) == (200, True)


def test_a_stored_figure_has_its_own_proof(history: None, mim: User) -> None:
    found = card_of(scorecard(Name.EXEC, mim, 30, NOW), "mttr-critical")
    assert (bool(found.figure.id), found.samples) == (True, "")


# --- Trends and charts: pure ---


@given(st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(-1e6, 1e6))
def test_the_target_is_written_beside_every_line(values: list[float | None], target: float) -> None:
    drawn = charts.run_chart(Plot(labels=["x"] * len(values), values=values, target=target))
    assert all(dot.x < drawn.right for dot in drawn.dots)
    assert drawn.width - drawn.right >= 90


def test_limits_come_from_twelve_values_on_by_the_moving_range() -> None:
    values = [10.0, 12.0] * 6
    assert trends.limits(values[:11]) is None
    found = trends.limits(values)
    assert found
    assert (found.mean, found.high) == (11.0, pytest.approx(11 + 2.66 * 2))
    assert found.low == pytest.approx(11 - 2.66 * 2)


def test_limits_of_what_cannot_be_negative_stop_at_zero() -> None:
    found = trends.limits([0.0, 10.0] * 6)
    assert found
    assert found.low == 0.0


def test_limits_of_a_share_stop_at_the_whole() -> None:
    found = trends.limits([0.0, 100.0] * 6, 100.0)
    assert found
    assert found.high == 100.0
    drawn = charts.run_chart(Plot(labels=["x"] * 2, values=[90.0, 100.0], limits=found, most=100.0))
    assert drawn.grid[-1].label == "100"


def test_weeks_begin_on_monday_in_the_reporting_zone() -> None:
    assert trends.mondays(at("2026-03-02T00:00"), UTC, 2) == [date(2026, 2, 16), date(2026, 2, 23)]
    assert trends.mondays(at("2026-03-02T00:01"), UTC, 2)[-1] == date(2026, 3, 2)


def test_the_line_breaks_at_gaps_and_a_lonely_point_is_a_dot() -> None:
    drawn = charts.run_chart(Plot(labels=list("abcde"), values=[1.0, 2.0, None, 3.0, None]))
    assert len(drawn.lines) == 1
    assert len(drawn.lines[0].split()) == 2
    assert [dot.label for dot in drawn.dots] == ["a", "b", "d"]


@given(st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=30), st.none() | st.floats(-1e6, 1e6))
def test_everything_lies_inside_the_chart(values: list[float | None], target: float | None) -> None:
    drawn = charts.run_chart(Plot(labels=["x"] * len(values), values=values, target=target, good="below"))
    assert all(0 <= dot.x <= drawn.width and 0 <= dot.y <= drawn.bottom for dot in drawn.dots)
    assert len(drawn.dots) == sum(value is not None for value in values)
    assert all(0 <= mark.at <= drawn.bottom for mark in drawn.grid)


def test_a_share_over_weeks_is_weighed_by_its_rows() -> None:
    from tests.kpis import formula

    one, other = trends.Sampled(NOW, 100.0, 1, 1, 1), trends.Sampled(NOW, 0.0, 9, 0, 9)
    assert trends.together(formula("cadence-adherence"), [one, other]).value == 10.0
