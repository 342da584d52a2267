"""Reports: what stands in them, who reads them, and that they stay as they were made."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries
from typer.testing import CliRunner

from accounts.models import User
from incidents.mail import message_of
from incidents.models import Delivery
from kpis import tasks
from kpis.models import KpiDefinition, KpiVisibility, Report
from kpis.reports import making
from kpis.reports.kinds import Kind, in_days
from kpis.reports.reading import opened, reports_for
from majorops.cli import app
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, UserFactory, at
from tests.kpis.figures import figure

pytestmark = pytest.mark.django_db
#: A Monday morning; its report is about the week until midnight.
MONDAY, MIDNIGHT = at("2026-03-02T09:00"), at("2026-03-02T00:00")
WEEK = timedelta(days=7)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, settings: object) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: MONDAY)
    settings.MAJOROPS_SEND_MAIL = True  # type: ignore[attr-defined]


def of(report: Report, slug: str, scope: str = "") -> dict[str, object]:
    return next(each for each in report.content["figures"] if (each["kpi"], each["scope"]) == (slug, scope))


def test_each_report_is_about_whole_days_that_have_ended() -> None:
    assert Kind.WEEKLY_EXECUTIVE.period(MONDAY) == (MIDNIGHT - WEEK, MIDNIGHT)
    assert Kind.WEEKLY_EXECUTIVE.period(MONDAY + timedelta(days=4))[1] == MIDNIGHT
    assert Kind.DAILY.period(MONDAY) == (MIDNIGHT - timedelta(days=1), MIDNIGHT)


@pytest.mark.parametrize(
    ("begin", "end", "told"),
    [
        ("2026-03-01T00:00", "2026-03-02T00:00", "1 Mar 2026"),
        ("2026-03-02T00:00", "2026-03-09T00:00", "2 Mar to 8 Mar 2026"),
        ("2025-12-29T00:00", "2026-01-05T00:00", "29 Dec 2025 to 4 Jan 2026"),
    ],
)
def test_a_period_is_told_by_its_first_and_last_day(begin: str, end: str, told: str) -> None:
    assert in_days(at(begin), at(end)) == told


def test_every_figure_has_its_definition_n_evidence_and_what_it_was_before() -> None:
    figure("mttr", MIDNIGHT - WEEK, 120.0)
    row = figure("mttr", MIDNIGHT, 96.0, n=7)
    found = of(making.make(Kind.WEEKLY_EXECUTIVE, now=MONDAY), "mttr")
    assert (found["value"], found["n"], found["version"], found["observation"]) == (96.0, 7, "1", row.pk)
    assert found["evidence"]
    assert found["before"]["said"] == "120 min"  # type: ignore[index]


def test_what_has_no_value_says_why_and_counts_as_unknown() -> None:
    report = making.make(Kind.WEEKLY_EXECUTIVE, now=MONDAY)
    found = of(report, "mttr")
    assert (found["value"], found["said"], found["why"]) == (None, "—", "Not computed yet.")
    assert report.content["counts"] == {"met": 0, "at_risk": 0, "missed": 0, "unknown": len(report.content["figures"])}


def test_a_figure_of_another_definition_version_is_not_compared() -> None:
    before = figure("mttr", MIDNIGHT - WEEK, 120.0)
    figure("mttr", MIDNIGHT, 96.0)
    version = before.definition_version
    newer = type(version).objects.create(
        definition_id="mttr", version=2, formula="x", spec_sha256="0" * 64, units="minutes", snapshot={},
        changed_at=NOON,
    )  # fmt: skip
    figure("mttr", MIDNIGHT, 96.0)
    type(before).objects.filter(kpi="mttr", timestamp=MIDNIGHT, is_current=True).update(is_current=False)
    row = figure("mttr", MIDNIGHT - timedelta(hours=1), 90.0)
    assert row.definition_version == newer
    assert of(making.make(Kind.WEEKLY_EXECUTIVE, now=MONDAY), "mttr")["before"] is None


def test_executives_get_no_internal_figure_and_the_house_gets_groups_with_a_target() -> None:
    figure("mtta", MIDNIGHT, 4.0)
    figure("mtta", MIDNIGHT, 5.0, dims={"severity": "critical"})
    executive = making.make(Kind.WEEKLY_EXECUTIVE, now=MONDAY).content["figures"]
    assert "mtta" not in {each["kpi"] for each in executive}
    assert of(making.make(Kind.WEEKLY_TECHNICAL, now=MONDAY), "mtta", "severity=critical")["state"] == "met"


def test_incidents_are_counted_without_drills_and_restricted_ones() -> None:
    inside = MIDNIGHT - timedelta(days=2)
    IncidentFactory(severity="critical", detected_at=inside)
    IncidentFactory(severity="critical", detected_at=inside, restricted=True)
    IncidentFactory(severity="critical", detected_at=inside, kind="drill")
    IncidentFactory(severity="critical", detected_at=MIDNIGHT)
    assert making.make(Kind.WEEKLY_EXECUTIVE, now=MONDAY).content["incidents"]["began"] == 1


def test_a_later_recompute_is_shown_beside_the_frozen_figure(executive: User, page_as: Knock) -> None:
    figure("mttr", MIDNIGHT, 96.0)
    report = making.make(Kind.WEEKLY_EXECUTIVE, now=MONDAY)
    address = f"/reports/{report.pk}"
    assert "restated" not in page_as(executive).get(address).content.decode()
    figure("mttr", MIDNIGHT, 101.0)
    text = page_as(executive).get(address).content.decode()
    assert "96 min" in text
    assert "restated: 101 min" in text
    report.refresh_from_db()
    assert of(report, "mttr")["value"] == 96.0


def test_a_figure_that_was_computed_anew_to_the_same_number_is_not_restated(mim: User) -> None:
    figure("mttr", MIDNIGHT, 96.0)
    report = making.make(Kind.WEEKLY_EXECUTIVE, now=MONDAY)
    figure("mttr", MIDNIGHT, 96.0)
    assert opened(report, mim).restated == {}


def test_a_report_is_read_by_whom_it_is_for(executive: User, stakeholder: User, mim: User, page_as: Knock) -> None:
    inside = making.make(Kind.WEEKLY_TECHNICAL, now=MONDAY)
    assert (reports_for(executive), reports_for(stakeholder), reports_for(mim)) == ([], [], [inside])
    assert page_as(executive).get(f"/reports/{inside.pk}").status_code == 404
    assert page_as(stakeholder).get("/reports/").status_code == 403
    assert "There is no report yet" in page_as(executive).get("/reports/").content.decode()


def test_a_definition_made_internal_since_takes_its_figures_out(executive: User, mim: User, page_as: Knock) -> None:
    figure("mttr", MIDNIGHT, 96.5)
    report = making.make(Kind.WEEKLY_EXECUTIVE, now=MONDAY)
    KpiDefinition.objects.filter(pk="mttr").update(visibility=KpiVisibility.INTERNAL)
    browser = page_as(executive)
    assert "96.5" in page_as(mim).get(f"/reports/{report.pk}").content.decode()
    for form in ("", "?format=md"):
        assert "96.5" not in browser.get(f"/reports/{report.pk}{form}").content.decode()
    assert "1 figure of it is not for your role" in browser.get(f"/reports/{report.pk}").content.decode()


def test_the_schedule_makes_and_mails_each_report_once(settings: object) -> None:
    UserFactory(email="cto@example.com", role="executive")
    UserFactory(email="other@example.com", role="stakeholder")
    settings.MAJOROPS_REPORT_RECIPIENTS = [  # type: ignore[attr-defined]
        "weekly-executive:cto@example.com", "weekly-executive:other@example.com", "weekly-technical:cto@example.com",
        "weekly-executive:nobody@example.com",
    ]  # fmt: skip
    assert "weekly-executive made, weekly-technical made" in tasks.weekly_reports(MONDAY)
    assert "nothing" in tasks.weekly_reports(MONDAY + timedelta(hours=1))
    assert [delivery.address for delivery in Delivery.objects.all()] == ["cto@example.com"]
    mailed = Delivery.objects.get()
    assert "# Weekly executive report" in mailed.notice.text
    html = str(message_of(mailed, mailed.notice).alternatives[0][0])
    assert "<h2>KPIs</h2>" in html
    assert "<td>Mean Time to Resolve</td>" in html


def test_a_report_that_somebody_made_for_themselves_keeps_nobody_from_getting_theirs(settings: object) -> None:
    UserFactory(email="cto@example.com", role="executive")
    settings.MAJOROPS_REPORT_RECIPIENTS = ["weekly-executive:cto@example.com"]  # type: ignore[attr-defined]
    made = making.make(Kind.WEEKLY_EXECUTIVE, now=MONDAY)
    for hours in (1, 2):
        tasks.weekly_reports(MONDAY + timedelta(hours=hours))
    assert [delivery.notice.path for delivery in Delivery.objects.all()] == [f"/reports/{made.pk}"]
    assert Report.objects.filter(kind="weekly-executive").count() == 1


def test_the_report_of_ninety_days_comes_every_ninety_days() -> None:
    made = [tasks.ninety_days_report(MONDAY + place * WEEK) for place in range(14)]
    assert [place for place, told in enumerate(made) if "made" in told] == [0, 13]


def test_markdown_holds_the_same_figures(mim: User, page_as: Knock) -> None:
    figure("mttr", MIDNIGHT, 96.0, n=7)
    report = making.make(Kind.WEEKLY_EXECUTIVE, now=MONDAY)
    answer = page_as(mim).get(f"/reports/{report.pk}?format=md")
    assert answer["Content-Type"].startswith("text/markdown")
    assert "| 96 min |" in answer.content.decode()
    assert "mttr v1" in answer.content.decode()


def test_the_api_tells_the_frozen_content(executive: User, client_as: Knock) -> None:
    figure("mttr", MIDNIGHT, 96.0)
    report = making.make(Kind.WEEKLY_EXECUTIVE, now=MONDAY)
    figure("mttr", MIDNIGHT, 101.0)
    program = client_as(executive)
    assert [each["id"] for each in program.get("/api/v1/reports").json()["results"]] == [report.pk]
    found = program.get(f"/api/v1/reports/{report.pk}").json()
    assert found["sha256"] == report.content_sha256
    assert [(each["kpi"], each["value"]) for each in found["restated"]] == [("mttr", "101 min")]


def test_one_command_shows_every_kpi_and_keeps_nothing() -> None:
    figure("mttr", MONDAY - timedelta(hours=1), 96.0)
    told = CliRunner().invoke(app, ["report", "metrics"])
    assert "| Mean Time to Resolve | Overall | 96 min |" in told.output
    assert not Report.objects.exists()


@pytest.mark.parametrize("command", ["weekly", "exec", "daily", "ninety-days"])
def test_each_report_can_be_made_by_hand(command: str) -> None:
    told = CliRunner().invoke(app, ["report", command, "--json"])
    assert told.exit_code == 0, told.output
    kept = Report.objects.get()
    assert json.loads(told.stdout)["id"] == kept.pk
    assert kept.pk in CliRunner().invoke(app, ["report", "list"]).output
    assert CliRunner().invoke(app, ["report", "show", kept.pk]).exit_code == 0
    assert CliRunner().invoke(app, ["report", "show", "nothing"]).exit_code == 4


def test_a_report_asks_the_same_few_queries_however_many_figures(
    mim: User, page_as: Knock, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for definition in KpiDefinition.objects.computable().filter(is_personal=False):
        figure(definition.pk, MIDNIGHT, 5.0)
    report = making.make(Kind.WEEKLY_TECHNICAL, now=MONDAY)
    browser = page_as(mim)
    browser.get(f"/reports/{report.pk}")
    with django_assert_max_num_queries(12):
        browser.get(f"/reports/{report.pk}")
