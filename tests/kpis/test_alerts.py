"""Alert rules on stored figures: what is recorded, who is told, who may acknowledge it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from typer.testing import CliRunner

from accounts.models import User
from incidents.models import Delivery
from kpis.actions import Editor
from kpis.alerts import actions
from kpis.alerts.reading import preview, standings
from kpis.alerts.standard import STANDARD
from kpis.compute import backfill
from kpis.models import AlertEvent, AlertRule, AlertStep, KpiDefinition, KpiObservation, KpiVisibility
from kpis.packs.inventory import lines
from majorops.cli import app
from tests.cast import Knock
from tests.factories import NOON, UserFactory
from tests.kpis.figures import figure

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, settings: object) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOON)
    settings.MAJOROPS_SEND_MAIL = True  # type: ignore[attr-defined]


def rule(**columns: object) -> AlertRule:
    """Cadence below 80, watched for a month."""
    told = {"slug": "cadence-low", "name": "Cadence is low", "kpi_slug": "cadence-adherence", "operator": "lt",
            "value": 80, "severity": "critical", "respond_minutes": 15, "watches_from": NOON - 30 * DAY}  # fmt: skip
    return AlertRule.objects.create(**{**told, **columns})


def seen(*values: float | None, last: datetime = NOON) -> list[KpiObservation]:
    """One figure a day, the last one at `last`."""
    return [
        figure("cadence-adherence", last - (len(values) - 1 - place) * DAY, value) for place, value in enumerate(values)
    ]


def recorded(of: AlertRule) -> list[str]:
    return list(AlertEvent.objects.filter(rule=of).order_by("id").values_list("kind", flat=True))


def state(of: AlertRule, viewer: User) -> str:
    return next(each.word for each in standings(viewer) if each.rule == of)


def test_a_backfill_is_replayed_in_order(mim: User) -> None:
    watched = rule()
    seen(90, 70, 75, 95, 60)
    actions.evaluate(watched.pk, NOON)
    told = AlertEvent.objects.filter(rule=watched).order_by("id").values_list("kind", "at", "value")
    assert list(told) == [
        ("firing", NOON - 3 * DAY, 70), ("resolved", NOON - DAY, 95), ("firing", NOON, 60),
    ]  # fmt: skip
    assert state(watched, mim) == "firing"


def test_checking_twice_records_nothing_twice() -> None:
    watched = rule()
    seen(70)
    assert len(actions.evaluate(watched.pk, NOON)) == 1
    assert actions.evaluate(watched.pk, NOON + DAY) == []


def test_figures_that_come_late_withdraw_what_never_was(mim: User) -> None:
    watched = rule()
    seen(90, 70)
    actions.evaluate(watched.pk, NOON)
    seen(90, 85)
    actions.evaluate(watched.pk, NOON + DAY)
    assert recorded(watched) == ["firing", "withdrawn"]
    assert state(watched, mim) == "ok"


def test_no_value_resolves_nothing(mim: User) -> None:
    watched = rule()
    seen(70, None)
    actions.evaluate(watched.pk, NOON)
    assert state(watched, mim) == "firing"


def test_the_ladder_is_climbed_until_somebody_acknowledges(mim: User) -> None:
    watched = rule()
    for after, email in ((0, "lead@example.com"), (15, "cto@example.com"), (30, "ceo@example.com")):
        AlertStep.objects.create(rule=watched, after_minutes=after, contact=email[:4], emails=email)
    seen(70)
    for minutes in (0, 5, 15, 16):
        actions.evaluate(watched.pk, NOON + timedelta(minutes=minutes))
    assert list(Delivery.objects.order_by("pk").values_list("address", flat=True)) == [
        "lead@example.com", "cto@example.com",
    ]  # fmt: skip
    actions.acknowledge(watched, mim, now=NOON + timedelta(minutes=20), note="On it")
    actions.evaluate(watched.pk, NOON + timedelta(minutes=45))
    assert Delivery.objects.count() == 2
    seen(70, 90, last=NOON + DAY)
    actions.evaluate(watched.pk, NOON + DAY)
    assert Delivery.objects.filter(notice__title__startswith="Over").count() == 2


def test_nobody_is_told_of_what_is_over_already_nor_of_a_figure() -> None:
    watched = rule()
    AlertStep.objects.create(rule=watched, contact="Lead", emails="lead@example.com")
    seen(71.25, 90)
    actions.evaluate(watched.pk, NOON)
    assert not Delivery.objects.exists()
    seen(90, 71.25, last=NOON + DAY)
    actions.evaluate(watched.pk, NOON + DAY)
    assert "71" not in Delivery.objects.get().notice.text


def test_only_what_fires_is_acknowledged_and_only_once(mim: User) -> None:
    watched = rule()
    with pytest.raises(actions.NotFiring):
        actions.acknowledge(watched, mim, now=NOON)
    seen(70)
    actions.evaluate(watched.pk, NOON)
    actions.acknowledge(watched, mim, now=NOON + DAY)
    with pytest.raises(actions.AlreadyAcknowledged, match="Okafor"):
        actions.acknowledge(watched, mim, now=NOON + DAY)


def test_changed_terms_end_what_is_open_and_begin_anew(mim: User, admin_user: User) -> None:
    watched = rule()
    seen(70)
    actions.evaluate(watched.pk, NOON)
    watched.value = 60
    actions.save(watched, Editor(admin_user, NOON + DAY))
    actions.evaluate(watched.pk, NOON + 2 * DAY)
    assert (recorded(watched), watched.version, state(watched, mim)) == (["firing", "resolved"], 2, "ok")


def test_the_preview_says_how_often_it_would_have_fired() -> None:
    watched = rule()
    seen(90, 70, 90, 70, 70, None)
    assert preview(watched, NOON) == "It would have fired 2 times in the last 90 days, over 5 figures."
    silence = rule(slug="silent", no_data="fire")
    assert preview(silence, NOON) == "It would have fired 2 times in the last 90 days, over 6 figures."
    assert "There is no KPI health-score yet" in preview(rule(slug="x", kpi_slug="health-score"), NOON)


def test_the_ten_documented_rules_are_installed_and_wait_for_their_kpis(mim: User) -> None:
    found = {each.rule.slug: each.word for each in standings(mim)}
    assert len(STANDARD) == 10
    assert {found[each.slug] for each in STANDARD} == {"proposed"}
    assert actions.install_missing(NOON) == []


def test_they_are_those_of_the_inventory() -> None:
    watched = {line.slugs[0] for line in lines() if line.is_alert}
    assert {each.kpi_slug for each in STANDARD} == watched


def test_the_time_to_acknowledge_is_a_kpi(mim: User) -> None:
    watched = rule()
    seen(70)
    actions.evaluate(watched.pk, NOON)
    actions.acknowledge(watched, mim, now=NOON + timedelta(minutes=12))
    backfill(KpiDefinition.objects.get(pk="alert-acknowledgement-time"), as_of=NOON + DAY)
    found = KpiObservation.objects.current().get(kpi="alert-acknowledgement-time", window="P30D", dims_key="")
    assert (found.value, found.n) == (12, 1)


# --- Doors ---


def test_executives_read_rules_of_executive_kpis_only(executive: User, stakeholder: User) -> None:
    rule()
    rule(slug="mtta-high", kpi_slug="mtta")
    rule(slug="one-team", dims_key="team=database")
    assert [each.rule.slug for each in standings(executive)] == ["cadence-low"]
    assert standings(stakeholder) == []
    KpiDefinition.objects.filter(pk="cadence-adherence").update(visibility=KpiVisibility.INTERNAL)
    assert standings(executive) == []


def test_the_page_shows_what_fires_and_takes_the_acknowledgement(mim: User, page_as: Knock) -> None:
    watched, browser = rule(), page_as(mim)
    seen(70)
    actions.evaluate(watched.pk, NOON)
    assert "Acknowledge" in browser.get("/kpi-alerts/").content.decode()
    answer = browser.post("/kpi-alerts/cadence-low/acknowledge", {"note": "On it"}, follow=True)
    assert "On it" in answer.content.decode()
    assert state(watched, mim) == "acknowledged"


def test_an_empty_page_says_that_nothing_fires(executive: User, page_as: Knock) -> None:
    assert "Nothing fires" in page_as(executive).get("/kpi-alerts/").content.decode()


def test_the_api_lists_and_acknowledges(mim: User, executive: User, client_as: Knock) -> None:
    watched = rule()
    seen(70)
    actions.evaluate(watched.pk, NOON)
    [found] = client_as(executive).get("/api/v1/kpi-alerts").json()["results"]
    assert (found["state"], found["value"], found["condition"]) == ("firing", 70, "< 80 %")
    post = {"content_type": "application/json"}
    assert client_as(executive).post("/api/v1/kpi-alerts/cadence-low/acknowledge", "{}", **post).status_code == 403
    program: Client = client_as(mim)
    assert program.post("/api/v1/kpi-alerts/cadence-low/acknowledge", "{}", **post).json()["by"] == "R. Okafor"
    assert program.post("/api/v1/kpi-alerts/cadence-low/acknowledge", "{}", **post).status_code == 409


def test_the_page_asks_the_same_few_queries_however_many_rules(
    mim: User, page_as: Knock, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for place in range(20):
        rule(slug=f"rule-{place}")
    seen(70)
    actions.check(NOON)
    browser = page_as(mim)
    browser.get("/kpi-alerts/")
    with django_assert_max_num_queries(14):
        browser.get("/kpi-alerts/")


def test_the_command_line_checks_lists_and_acknowledges() -> None:
    UserFactory(email="mim@example.com", role="mim")
    rule()
    seen(70)
    checked = CliRunner().invoke(app, ["kpi", "alert", "check"])
    assert (checked.exit_code, "FIRING cadence-low" in checked.output) == (8, True)
    UserFactory(email="reader@example.com", role="stakeholder")
    for email, ended in (("reader@example.com", 3), ("mim@example.com", 0)):
        done = CliRunner().invoke(app, ["kpi", "alert", "ack", "cadence-low", "--by", email])
        assert done.exit_code == ended, done.output
    listed = json.loads(CliRunner().invoke(app, ["kpi", "alert", "list", "--json"]).output)
    assert listed[0]["state"] == "acknowledged"
    assert CliRunner().invoke(app, ["kpi", "alert", "check"]).exit_code == 0


def test_admin_shows_the_rehearsal_and_refuses_what_is_no_address(admin_user: User, page_as: Knock) -> None:
    watched, browser = rule(), page_as(admin_user)
    seen(90, 70)
    address = f"/admin/kpis/alertrule/{watched.pk}/change/"
    assert "It would have fired 1 time " in browser.get(address).content.decode()
    form = {"name": "Low", "kpi_slug": "cadence-adherence", "operator": "lt", "value": "60", "hold_minutes": "0",
            "severity": "warning", "no_data": "keep", "is_enabled": "on", "steps-TOTAL_FORMS": "1",
            "steps-INITIAL_FORMS": "0", "steps-0-after_minutes": "0", "steps-0-contact": "Lead",
            "steps-0-emails": "nobody"}  # fmt: skip
    assert "nobody is no e-mail address" in browser.post(address, form).content.decode()
    assert browser.post(address, {**form, "steps-0-emails": "lead@example.com"}).status_code == 302
    watched.refresh_from_db()
    assert (watched.value, watched.version, watched.steps.count()) == (60, 2, 1)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("window", "P31D", "cadence-adherence has no window P31D. It has: "),
        ("dims_key", "colour=red", "cadence-adherence has no such group. "),
        ("hold_minutes", "99999999999", "Ten years at most."),
    ],
)
def test_a_rule_that_could_never_fire_is_refused(
    admin_user: User, page_as: Knock, column: str, value: str, told: str
) -> None:
    form = {"slug": "low", "name": "Low", "kpi_slug": "cadence-adherence", "operator": "lt", "value": "60",
            "hold_minutes": "0", "severity": "warning", "no_data": "keep", "is_enabled": "on",
            "steps-TOTAL_FORMS": "0", "steps-INITIAL_FORMS": "0"}  # fmt: skip
    address = "/admin/kpis/alertrule/add/"
    assert told in page_as(admin_user).post(address, {**form, column: value}).content.decode()
    assert page_as(admin_user).post(address, form).status_code == 302
