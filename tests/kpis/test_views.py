"""The KPI pages: generated from the rows, believable figure by figure, and only for those who may read them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from accounts.roles import Role
from incidents import actions
from incidents.models import Incident
from kpis import reading
from kpis.claims import Claim, record_claim
from kpis.compute import backfill
from kpis.definitions import save_version
from kpis.models import KpiDefinition, KpiTarget
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, TeamFactory, TeamPageFactory, UserFactory, at, stamp
from tests.pages import Page

pytestmark = pytest.mark.django_db
TOMORROW = at("2026-03-03T00:00")


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: TOMORROW + timedelta(minutes=5))


@pytest.fixture
def history(mim: User) -> list[Incident]:
    """Six critical incidents of 30 to 180 minutes, two that end before they begin, and one still open."""
    lasted = [30, 60, 90, 120, 150, 180, -5, -5]
    done = [
        IncidentFactory(closed=True, resolved_at=NOON + timedelta(minutes=minutes), title=f"Lasted {minutes}")
        for minutes in lasted
    ]
    IncidentFactory(title="Still running")
    for kpi in KpiDefinition.objects.computable():
        backfill(kpi, as_of=TOMORROW)
    return done


def read(page_as: Knock, user: User, address: str) -> Page:
    answer = page_as(user).get(address)
    assert answer.status_code == 200
    return Page(answer.content.decode())


def card(page: Page, name: str, upto: str) -> str:
    """The part of the catalogue's text about one KPI."""
    return page.text.partition(f"{name} ")[2].partition(upto)[0]


# --- The catalogue ---


def test_catalogue_has_the_documented_fields_of_every_definition(page_as: Knock, mim: User) -> None:
    page = read(page_as, mim, "/kpis")
    assert page.faults == []
    about = card(page, "Mean Time to Resolve", "Stakeholder Signal Score")
    for said in (
        "mttr",
        "How long a major incident lasts",
        "Formula avg(resolved_at - detected_at)",
        "Units minutes",
        "Critical ≤ 120 min High ≤ 240 min",
        "Data sources incidents.detected_at",
        "Owner Ops Leader",
        "Review quarterly · never reviewed",
        "Executive, stakeholders too",
        "version 1",
    ):
        assert said in about
    for definition in KpiDefinition.objects.all():
        assert definition.name in page.text


def test_headline_and_all_time_show_mean_median_n_and_what_was_left_out(
    page_as: Knock, mim: User, history: list[Incident]
) -> None:
    about = card(read(page_as, mim, "/kpis"), "Mean Time to Resolve", "Stakeholder Signal Score")
    assert "Overall · last 30 days 105 min mean median 105 min" in about
    assert "Overall · all time 105 min mean median 105 min" in about
    assert "n = 6" in about
    assert "2 invalid: " in about
    assert "1 left out: resolved at is empty" in about
    assert "as of 3 Mar 2026 00:00 UTC (5 min ago)" in about


def test_group_with_a_target_is_judged(page_as: Knock, mim: User, history: list[Incident]) -> None:
    about = card(read(page_as, mim, "/kpis"), "Mean Time to Resolve", "Stakeholder Signal Score")
    assert "Critical · last 30 days ✓ met ≤ 120 min 105 min" in about
    KpiTarget.objects.filter(severity="critical", definition="mttr").update(value=100)
    about = card(read(page_as, mim, "/kpis"), "Mean Time to Resolve", "Stakeholder Signal Score")
    assert "Critical · last 30 days ✕ missed ≤ 100 min 105 min" in about


def test_no_data_is_a_dash_with_the_reason_never_zero(page_as: Knock, mim: User, history: list[Incident]) -> None:
    about = card(read(page_as, mim, "/kpis"), "Stakeholder Signal Score", "Team Acknowledgment Time")
    assert "Overall · last 90 days — Never received: survey_responses." in about
    assert "proposed" in about
    assert "0 score" not in about
    assert "n = 0" not in about


def test_kpi_that_was_never_computed_says_so(page_as: Knock, mim: User) -> None:
    about = card(read(page_as, mim, "/kpis"), "Mean Time to Resolve", "Stakeholder Signal Score")
    assert "— Not computed yet." in about


def test_newest_figure_counts(page_as: Knock, mim: User, history: list[Incident]) -> None:
    IncidentFactory(closed=True, resolved_at=NOON + timedelta(minutes=420))
    backfill(KpiDefinition.objects.get(slug="mttr"), as_of=TOMORROW + timedelta(minutes=1))
    about = card(read(page_as, mim, "/kpis"), "Mean Time to Resolve", "Stakeholder Signal Score")
    assert "150 min mean median 120 min" in about
    assert "105 min mean" not in about


def test_figures_of_single_people_are_shown_nowhere(page_as: Knock, mim: User) -> None:
    kim = UserFactory(display_name="A. Kim")
    dispatch = TeamPageFactory(
        incident=IncidentFactory(closed=True), arrived_at=at("12:04"), arrival_source="self", user=kim
    )
    kpi = KpiDefinition.objects.get(slug="engineer-response-time")
    backfill(kpi, as_of=TOMORROW)
    assert not kpi.observations.exists()
    for address in ("/kpis", "/kpis/engineer-response-time", f"/incidents/{dispatch.incident.pk}/kpis"):
        page = read(page_as, mim, address)
        assert kim.pk not in page.text
        assert kim.pk.capitalize() not in page.text
    assert "Figures of single people are not shown." in read(page_as, mim, "/kpis/engineer-response-time").text


@pytest.mark.parametrize(
    ("role", "sees"),
    [
        (Role.STAKEHOLDER, {"cadence-adherence", "mttr", "stakeholder-satisfaction"}),
        (Role.EXECUTIVE, {"cadence-adherence", "dispatch-credit", "mttr", "stakeholder-satisfaction"}),
    ],
)
def test_others_see_only_what_is_shown_to_their_role(page_as: Knock, role: str, sees: set[str]) -> None:
    person = UserFactory(role=role)
    links = read(page_as, person, "/kpis").links
    assert {slug for slug in KpiDefinition.objects.values_list("slug", flat=True) if f"/kpis/{slug}" in links} == sees
    assert page_as(person).get("/kpis/mtta").status_code == 404
    assert page_as(person).get("/kpis/mttr").status_code == 200


def test_executive_kpi_is_hidden_from_stakeholders_unless_it_says_otherwise(page_as: Knock, stakeholder: User) -> None:
    KpiDefinition.objects.update(stakeholder_visible=False)
    assert "No KPI is visible to your role." in read(page_as, stakeholder, "/kpis").text


def test_nothing_defined_is_told_apart_from_nothing_visible(page_as: Knock, mim: User) -> None:
    KpiTarget.objects.all().delete()
    KpiDefinition.objects.update(status="draft")
    assert "No KPI is visible to your role." in read(page_as, mim, "/kpis").text


def test_catalogue_costs_the_same_for_many(
    page_as: Knock, mim: User, history: list[Incident], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    browser = page_as(mim)
    browser.get("/kpis")
    for number in range(5):
        kpi = KpiDefinition.objects.get(slug="mttr")
        kpi.slug = f"mttr-{number}"
        kpi.save(force_insert=True)
        KpiTarget.objects.create(definition=kpi, operator="lte", value=number)
    with django_assert_max_num_queries(7):
        browser.get("/kpis")


# --- One definition ---


def test_definition_shows_words_spec_targets_and_samples_with_their_incidents(
    page_as: Knock, mim: User, history: list[Incident]
) -> None:
    page = read(page_as, mim, "/kpis/mttr")
    assert page.faults == []
    assert "Average of resolved_at minus detected_at, in minutes" in page.text
    assert '"schema": "majorops.kpi/1"' in page.text
    for incident in history[:6]:
        assert f"/incidents/{incident.pk}/" in page.links
    assert "180 min ✕ missed" in page.text
    assert "120 min ✓ met" in page.text


def test_definition_shows_what_each_version_changed(page_as: Knock, admin_user: User) -> None:
    kpi = KpiDefinition.objects.get(slug="mttr")
    kpi.owner = "R. Okafor"
    kpi.save()
    save_version(kpi, by=admin_user, reason="New owner", now=TOMORROW)
    text = read(page_as, admin_user, "/kpis/mttr").text
    assert "Version 1.1 3 Mar 2026 00:00 UTC (5 min ago) · S. Lindqvist New owner owner Ops Leader R. Okafor" in text


def test_broken_formula_does_not_break_the_pages(page_as: Knock, mim: User) -> None:
    KpiDefinition.objects.filter(slug="mttr").update(spec={"schema": "majorops.kpi/1", "calc": 7})
    assert "Nothing runs yet" in read(page_as, mim, "/kpis/mttr").text
    assert "Mean Time to Resolve" in read(page_as, mim, "/kpis").text


def test_definition_costs_the_same_for_many_samples(
    page_as: Knock, mim: User, history: list[Incident], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    IncidentFactory.create_batch(40, closed=True)
    backfill(KpiDefinition.objects.get(slug="mttr"), as_of=TOMORROW)
    browser = page_as(mim)
    browser.get("/kpis/mttr")
    with django_assert_max_num_queries(13):
        text = browser.get("/kpis/mttr").content.decode()
    assert text.count('<td class="main">') == 20 + 1  # and the row of the worked example


def test_definition_that_is_none_is_not_found(page_as: Knock, mim: User) -> None:
    answer = page_as(mim).get("/kpis/nope")
    assert (answer.status_code, "Not found" in answer.content.decode()) == (404, True)


def test_program_gets_data_at_the_same_address(client_as: Knock, mim: User) -> None:
    assert client_as(mim).get("/kpis")["Content-Type"].startswith("application/json")


# --- One incident ---


@pytest.fixture
def answered(mim: User) -> Incident:
    """A team that came in four minutes and was allowed five."""
    incident = actions.open_incident(title="Lag", severity="critical", stamp=stamp(mim))
    page = actions.page_team(incident, TeamFactory(name="Database", slug="database"), stamp=stamp(mim, at("12:01")))
    actions.record_arrival(incident, page, stamp=stamp(mim, at("12:05")))
    backfill(KpiDefinition.objects.get(slug="team-page-to-bridge"), as_of=TOMORROW)
    return incident


@pytest.mark.parametrize("rest", ["kpis", ""])
def test_incident_shows_its_figures_against_their_targets(
    page_as: Knock, mim: User, answered: Incident, rest: str
) -> None:
    page = read(page_as, mim, f"/incidents/{answered.pk}/{rest}")
    assert page.faults == []
    about = page.text.partition("Team Bridge Arrival Time")[2]
    assert "Database · Box 3" in about
    assert "≤ 5 min" in about
    assert "4 min" in about
    assert "✓ met" in about


@pytest.mark.parametrize("rest", ["kpis", ""])
def test_internal_figures_are_not_for_stakeholders(
    page_as: Knock, stakeholder: User, answered: Incident, rest: str
) -> None:
    text = read(page_as, stakeholder, f"/incidents/{answered.pk}/{rest}").text
    assert "Team Bridge Arrival Time" not in text
    assert "Database" not in text


def test_team_response_is_for_its_readers_even_in_an_open_kpi(
    page_as: Knock, stakeholder: User, mim: User, answered: Incident
) -> None:
    KpiDefinition.objects.filter(slug="team-page-to-bridge").update(visibility="exec", stakeholder_visible=True)
    assert "Database" in read(page_as, mim, "/kpis/team-page-to-bridge").text
    text = read(page_as, stakeholder, "/kpis/team-page-to-bridge").text
    assert "Overall 4 min" in text
    assert "Database" not in text
    assert f"/incidents/{answered.pk}/" not in read(page_as, stakeholder, "/kpis/team-page-to-bridge").links


def test_claim_says_that_nothing_proves_it(page_as: Knock, mim: User, answered: Incident) -> None:
    claim = Claim(value=4.5, timestamp=NOON, source="ui", by=mim)
    record_claim(KpiDefinition.objects.get(slug="stakeholder-satisfaction"), answered, claim, now=TOMORROW)
    text = read(page_as, mim, f"/incidents/{answered.pk}/kpis").text
    assert "The value was entered by a person; no rows prove it." in text
    assert "✓ met ≥ 4.5" in text


# --- How figures are said ---


@pytest.mark.parametrize(
    ("window", "said"),
    [("P30D", "last 30 days"), ("PT24H", "last 24 hours"), ("P4W", "last 4 weeks"), ("all", "all time")],
)
def test_windows_in_words(window: str, said: str) -> None:
    assert reading.window_in_words(window) == said
