"""The demo: what somebody sees who has just begun."""

from __future__ import annotations

import pytest
from django.utils import timezone
from typer.testing import CliRunner

from accounts.models import User
from incidents.alerts.kinds import Standing
from incidents.models import SourceAlert
from kpis.alerts.reading import standings
from kpis.models import CLAIMS, KpiObservation, Report
from kpis.packs import files, reading
from kpis.packs.pulse import pulse
from kpis.packs.sessions import anomalies
from majorops import demo_facts
from majorops.cli import app

runner = CliRunner()
pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> User:
    assert runner.invoke(app, ["demo", "load"]).exit_code == 0
    return User.objects.get(email="mim@example.com")


def test_the_demo_loads_once_and_shows_every_part_of_the_product_alive(reader: User) -> None:
    now = timezone.now()
    for slug in demo_facts.PACKS:
        measured = [row for row in reading.opened(files.pack(slug), reader, now).rows if row.value is not None]
        assert len(measured) >= 9
    states = {row.state for row in reading.opened(files.pack("engineering-impact"), reader, now).rows}
    assert {"met", "not_due", "unknown", "no_target"} <= states
    assert {each.word for each in standings(reader)} >= {"acknowledged", "firing", "ok", "proposed"}
    assert SourceAlert.objects.filter(standing=Standing.WAITING).count() == 2
    assert set(Report.objects.values_list("kind", flat=True)) == {"weekly-executive", "daily"}
    waiting = [each for each in anomalies(reader, now) if each.decision is None]
    assert len(waiting) == 2
    felt = pulse(reader, now)
    assert (felt.is_installed, felt.is_stale, len(felt.rates)) == (True, False, 3)
    assert all(row.value is not None for row in felt.rates)
    # No number is stated: each comes of its rows.
    assert not KpiObservation.objects.filter(source__in=CLAIMS).exists()
    assert "not loaded again" in runner.invoke(app, ["demo", "load"]).stdout
