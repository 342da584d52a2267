"""What holds of a stored figure now: its rows as they were, the clock and people as they are."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from typer.testing import CliRunner

from accounts.models import User
from kpis.actions import Edit, Editor, publish, running_of, save
from kpis.cli import app
from kpis.compute import backfill
from kpis.models import KpiDefinition, KpiObservation
from kpis.standing import Standings, verdict_now
from tests.cast import Knock
from tests.factories import IncidentFactory, at

pytestmark = pytest.mark.django_db
TOMORROW = at("2026-03-03T00:00")


@pytest.fixture
def mttr(db: None) -> KpiDefinition:
    for hour in range(5):
        IncidentFactory(closed=True, detected_at=at(f"{10 + hour}:00"))
    kpi = KpiDefinition.objects.get(slug="mttr")
    backfill(kpi, as_of=TOMORROW)
    return kpi


def overall() -> KpiObservation:
    return KpiObservation.objects.current().get(kpi="mttr", window="all", dims_key="")


def codes(kpi: KpiDefinition, days: float = 0) -> list[str]:
    return [reason.code for reason in verdict_now(overall(), kpi, TOMORROW + timedelta(days=days)).reasons]


def test_a_figure_remembers_the_newest_row_of_its_source(mttr: KpiDefinition) -> None:
    assert overall().last_fact_at == at("15:30")
    assert KpiObservation.objects.samples().filter(last_fact_at=None).count() == 5


def test_nobody_expects_an_incident_so_silence_is_no_fault(mttr: KpiDefinition) -> None:
    assert codes(mttr, days=900) == []


def test_a_source_that_should_speak_goes_stale_after_twice_its_time(mttr: KpiDefinition, settings: Any) -> None:
    settings.MAJOROPS_EXPECTED_EVERY = {"incidents": "P7D"}
    newest = (TOMORROW - at("15:30")) / timedelta(days=1)
    assert codes(mttr, days=14 - newest) == []
    assert codes(mttr, days=14.01 - newest) == ["stale"]
    assert verdict_now(overall(), mttr, TOMORROW + timedelta(days=15)).label == "unverified"


def test_the_label_is_stored_as_it_was_at_the_time(mttr: KpiDefinition, settings: Any) -> None:
    settings.MAJOROPS_EXPECTED_EVERY = {"incidents": "P7D"}
    later = TOMORROW + timedelta(days=30)
    backfill(mttr, as_of=later)
    found = KpiObservation.objects.current().get(kpi=mttr, window="all", dims_key="", timestamp=later)
    assert [reason["code"] for reason in found.evidence_reasons] == ["stale"]


def test_a_review_that_is_due_lowers_the_label_and_a_review_restores_it(mttr: KpiDefinition) -> None:
    mttr.last_reviewed_at = TOMORROW - timedelta(days=400)
    assert codes(mttr) == ["review_due"]
    mttr.last_reviewed_at = TOMORROW
    assert codes(mttr) == []


def test_a_proxy_says_what_it_measures_instead(mttr: KpiDefinition) -> None:
    mttr.proxy_for = "time to close the ticket"
    assert codes(mttr) == ["proxy"]


def test_a_figure_of_an_earlier_formula_says_so_until_it_is_computed_anew(mttr: KpiDefinition) -> None:
    edit = Edit({}, replace(running_of(mttr), spec={**mttr.spec, "windows": ["all"]}), None)
    editor = Editor(None, TOMORROW)
    save(mttr, edit, editor, reason="One window")
    publish(mttr, editor, reason="One window")
    mttr.refresh_from_db()
    (reason,) = verdict_now(overall(), mttr, TOMORROW).reasons
    assert reason.words == "It was computed by version 1; another formula has been published since."
    backfill(mttr, as_of=TOMORROW)
    assert codes(mttr) == []


def test_a_kpi_that_is_made_of_a_doubted_one_is_doubted(mttr: KpiDefinition) -> None:
    whole = KpiDefinition.objects.create(
        slug="whole", name="Whole", description="x", formula="x", units="score", owner="x",
        spec={"calc": {"kind": "composite", "parts": [{"kpi": "mttr"}, {"kpi": "mtta"}]}},
    )  # fmt: skip
    KpiDefinition.objects.filter(slug="mttr").update(last_reviewed_at=TOMORROW - timedelta(days=400))
    figure = KpiObservation(kpi=whole, value=1.0, evidence="verified", evidence_reasons=[])
    verdict = verdict_now(figure, whole, TOMORROW)
    assert (verdict.label, [reason.words for reason in verdict.reasons]) == (
        "partial",
        ["mttr, a part of it, is partial."],
    )


def test_many_figures_cost_no_more_queries_than_one(mttr: KpiDefinition, django_assert_max_num_queries: Any) -> None:
    figures = list(KpiObservation.objects.current().select_related("kpi"))
    with django_assert_max_num_queries(3):
        standings = Standings(KpiDefinition.objects.all(), TOMORROW)
        assert [standings.verdict(figure).label for figure in figures]


# --- Wherever a figure is read, its label is that of now ---


@pytest.fixture
def overdue(mttr: KpiDefinition) -> KpiObservation:
    """A sample stored as verified, of a definition whose review has fallen due since."""
    KpiDefinition.objects.filter(slug="mttr").update(last_reviewed_at=at("2020-01-01T00:00"))
    sample = KpiObservation.objects.current().samples().filter(kpi="mttr").first()
    assert sample is not None
    assert (sample.evidence, sample.evidence_reasons) == ("verified", [])
    return sample


@pytest.mark.parametrize("address", ["/incidents/{incident}/", "/incidents/{incident}/kpis", "why"])
def test_the_pages_renew_the_label(overdue: KpiObservation, mim: User, page_as: Knock, address: str) -> None:
    why = reverse("kpis:observation", args=["mttr", overdue.pk])
    path = why if address == "why" else address.format(incident=overdue.incident_id)
    assert 'class="evidence partial"' in page_as(mim).get(path).content.decode()


def test_the_samples_of_a_definition_are_renewed(overdue: KpiObservation, mim: User, page_as: Knock) -> None:
    text = page_as(mim).get("/kpis/mttr").content.decode()
    assert 'class="evidence verified"' not in text.partition('id="samples-title"')[2]


def test_the_api_renews_the_label(overdue: KpiObservation, mim: User, client_as: Knock) -> None:
    of_incident = client_as(mim).get(f"/incidents/{overdue.incident_id}/kpis").json()["results"]
    mttr = next(each for each in of_incident if each["kpi"] == "mttr")
    why = client_as(mim).get(f"/api/v1/kpis/mttr/observations/{overdue.pk}/rows").json()
    told = [(each["evidence"], each["evidenceReasons"][0]["code"]) for each in (mttr, why)]
    assert told == [("partial", "review_due")] * 2


def test_the_command_line_renews_the_label(overdue: KpiObservation) -> None:
    told = CliRunner().invoke(app, ["explain", "mttr", "--observation", overdue.pk])
    listed = json.loads(CliRunner().invoke(app, ["list", "--json"]).output)
    assert "partial: The review of the definition is overdue." in told.output
    assert next(each for each in listed if each["slug"] == "mttr")["evidence"] == "partial"


def test_what_is_stored_keeps_the_label_of_its_day(overdue: KpiObservation, mim: User, client_as: Knock) -> None:
    client_as(mim).get(f"/incidents/{overdue.incident_id}/kpis")
    overdue.refresh_from_db()
    assert overdue.evidence == "verified"
