"""Dispatch credit's setting decides the KPIs too: each figure by the one of its time, and it says by which."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

import pytest
from django.test import Client

from accounts.models import User
from kpis.actions import Editor
from kpis.compute import backfill, verify
from kpis.credit_settings import change, values_in
from kpis.dispatch_credit import DEFAULT
from kpis.explain import explain
from kpis.models import CreditSetting, KpiDefinition, KpiObservation
from kpis.readiness import Asked, board
from kpis.reasons import documented
from tests.cast import Knock
from tests.factories import IncidentFactory, TeamFactory, TeamPageFactory, at

pytestmark = pytest.mark.django_db
PAGED, CHANGED = at("2026-03-02T10:00"), at("2026-03-10T09:00")
BEFORE, AFTER = at("2026-03-10T00:00"), at("2026-03-11T00:00")


def definition(slug: str) -> KpiDefinition:
    return KpiDefinition.objects.get(slug=slug)


def came_after(minutes: float, count: int = 10) -> None:
    """So many dispatches of one team at Box 3."""
    team = TeamFactory(slug="database")
    for day in range(count):
        paged_at = PAGED - timedelta(days=day)
        arrived = paged_at + timedelta(minutes=minutes)
        incident = IncidentFactory(closed=True, detected_at=paged_at)
        TeamPageFactory(team=team, incident=incident, paged_at=paged_at, arrived_at=arrived)


def shorter(admin_user: User, when: datetime = CHANGED, **values: float) -> None:
    told = values_in(DEFAULT) | {"box3_arrival": 3, "reason": "Three minutes from now on."} | values
    change(CreditSetting(**told), Editor(admin_user, when))


def rating_as_of(when: datetime) -> KpiObservation:
    backfill(definition("dispatch-credit"), as_of=when)
    rows = KpiObservation.objects.current().rollups().filter(kpi="dispatch-credit", window="P90D", timestamp=when)
    return rows.get(dims_key="alarm_level=box3;team=database")


def test_a_class_follows_the_setting_of_its_time(admin_user: User) -> None:
    came_after(4)
    shorter(admin_user)
    earlier, later = rating_as_of(BEFORE), rating_as_of(AFTER)
    assert (earlier.value, earlier.metadata) == (2, {"creditSetting": 1})
    assert (later.value, later.metadata) == (10, {"creditSetting": 2})
    assert board(admin_user, Asked(AFTER)).records[0].figures["box3"].credit.rating == later.value


def test_a_sample_is_judged_anew_and_shows_as_a_revision(admin_user: User) -> None:
    came_after(4, count=1)
    met = definition("team-page-to-bridge-met")
    backfill(met, as_of=BEFORE)
    shorter(admin_user)
    assert backfill(met, as_of=AFTER).changed == 1
    samples = KpiObservation.objects.samples().filter(kpi=met).order_by("revision")
    assert [(row.revision, row.value, row.is_current, row.metadata) for row in samples] == [
        (1, 100, False, {"creditSetting": 1}),
        (2, 0, True, {"creditSetting": 2}),
    ]
    assert not backfill(met, as_of=AFTER).wrote


def test_a_setting_that_changes_no_outcome_is_still_told(admin_user: User) -> None:
    came_after(2, count=1)
    met = definition("team-page-to-bridge-met")
    backfill(met, as_of=BEFORE)
    shorter(admin_user)
    backfill(met, as_of=AFTER)
    row = KpiObservation.objects.current().samples().get(kpi=met)
    assert (row.value, row.revision, row.metadata) == (100, 2, {"creditSetting": 2})


def test_what_is_not_judged_names_no_setting(admin_user: User) -> None:
    came_after(4, count=1)
    bridge = definition("team-page-to-bridge")
    backfill(bridge, as_of=BEFORE)
    shorter(admin_user)
    assert backfill(bridge, as_of=AFTER).changed == 0
    assert {row.metadata for row in KpiObservation.objects.filter(kpi=bridge)} == {None}


def test_the_setting_decides_from_how_many_on_a_class_is_rated(admin_user: User) -> None:
    """The numbers of the formula hold until somebody has made a setting."""
    came_after(2, count=4)
    assert rating_as_of(BEFORE).reason == "unrated"
    shorter(admin_user, min_provisional=2, min_rated=3)
    assert rating_as_of(AFTER).value == 3


def test_a_later_setting_does_not_touch_an_earlier_figure(admin_user: User) -> None:
    came_after(4)
    stored = rating_as_of(BEFORE)
    shorter(admin_user)
    assert rating_as_of(BEFORE).pk == stored.pk
    assert explain(stored, admin_user).today.value == stored.value
    run, differences = verify(definition("dispatch-credit"), dice=Random(1))  # noqa: S311  # dice, not a secret
    assert (run.outcome, differences) == ("same", [])


def test_the_page_of_a_figure_names_its_setting(admin_user: User, page_as: Knock) -> None:
    came_after(4)
    shorter(admin_user)
    stored = rating_as_of(AFTER)
    assert documented(explain(stored, admin_user))["creditSetting"] == 2
    client: Client = page_as(admin_user)
    page = client.get(f"/kpis/dispatch-credit/observations/{stored.pk}").content.decode()
    assert "credit setting 2" in page
