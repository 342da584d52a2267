"""Claims: stored as said, once; what cannot be true is refused by name and nothing is stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from incidents.models import Incident
from kpis.claims import Claim, record_claim
from kpis.compute import backfill
from kpis.errors import BadClaim, KpiRetired, WrongUnit
from kpis.models import KpiDefinition, KpiObservation
from kpis.standing import verdict_now
from majorops.lib.errors import Invalid
from tests.factories import NOON, IncidentFactory, TeamPageFactory, at

pytestmark = pytest.mark.django_db
CLAIM = Claim(value=42.0, timestamp=NOON)


@pytest.fixture
def incident(db: None) -> Incident:
    return IncidentFactory()


@pytest.fixture
def kpi(db: None) -> KpiDefinition:
    return KpiDefinition.objects.get(slug="mttr")


def test_a_claim_is_partial_evidence_and_copies_the_units(kpi: KpiDefinition, incident: Incident) -> None:
    row, verdict = record_claim(kpi, incident, CLAIM, now=NOON)
    assert (verdict, row.revision, row.units, row.evidence, row.confidence) == ("new", 1, "minutes", "partial", 0.4)


def test_the_same_claim_twice_is_one_row_and_another_value_a_revision(kpi: KpiDefinition, incident: Incident) -> None:
    verdicts = [record_claim(kpi, incident, replace(CLAIM, value=value), now=NOON)[1] for value in (42.0, 42.0, 43.0)]
    assert verdicts == ["new", "same", "changed"]
    rows = KpiObservation.objects.order_by("revision").values_list("revision", "value", "is_current")
    assert list(rows) == [(1, 42.0, False), (2, 43.0, True)]


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"value": float("nan")}, BadClaim, "value"),
        ({"value": float("inf")}, BadClaim, "value"),
        ({"value": 1e15}, BadClaim, "value"),
        ({"units": "hours"}, WrongUnit, "units"),
        ({"confidence": 1.01}, BadClaim, "confidence"),
        ({"confidence": -0.1}, BadClaim, "confidence"),
        ({"confidence": float("nan")}, BadClaim, "confidence"),
        ({"timestamp": NOON + timedelta(minutes=6)}, BadClaim, "timestamp"),
        ({"source": "rumour"}, BadClaim, "source"),
    ],
)
def test_what_cannot_be_true(
    kpi: KpiDefinition, incident: Incident, change: dict[str, object], error: type[Invalid], field: str
) -> None:
    with pytest.raises(error) as refused:
        record_claim(kpi, incident, replace(CLAIM, **change), now=NOON)
    assert refused.value.field == field
    assert not KpiObservation.objects.exists()


def test_a_retired_kpi_takes_no_more(kpi: KpiDefinition, incident: Incident) -> None:
    kpi.status = "retired"
    with pytest.raises(KpiRetired):
        record_claim(kpi, incident, CLAIM, now=NOON)


def test_a_dispatch_must_belong_to_the_incident(kpi: KpiDefinition, incident: Incident) -> None:
    mine, other = TeamPageFactory(incident=incident), TeamPageFactory()
    row, _ = record_claim(kpi, incident, replace(CLAIM, team_page_id=mine.pk), now=NOON)
    assert row.subject_key == f"team_page:{mine.pk}"
    for page_id in (other.pk, "nonsense"):
        with pytest.raises(BadClaim):
            record_claim(kpi, incident, replace(CLAIM, team_page_id=page_id), now=NOON)


# --- A run beside a claim ---

TOMORROW = at("2026-03-03T00:00")


@pytest.fixture
def stated(kpi: KpiDefinition) -> KpiObservation:
    """75 minutes were stated where the rows say 90."""
    incident = IncidentFactory(closed=True)
    return record_claim(kpi, incident, Claim(value=75.0, timestamp=incident.resolved_at), now=TOMORROW)[0]


def reasons(row: KpiObservation, kpi: KpiDefinition) -> list[str]:
    return [reason.code for reason in verdict_now(row, kpi, TOMORROW).reasons]


def test_a_run_leaves_beside_a_claim_what_it_would_have_said(kpi: KpiDefinition, stated: KpiObservation) -> None:
    counts = backfill(kpi, as_of=TOMORROW)
    assert (counts.kept, counts.shadowed) == (1, 1)
    (shadow,) = stated.shadows.all()
    assert (shadow.value, shadow.is_current, shadow.revision, shadow.source) == (90.0, False, 2, "cli")
    stated.refresh_from_db()
    assert (stated.value, stated.is_current) == (75.0, True)
    verdict = verdict_now(stated, kpi, TOMORROW)
    assert verdict.label == "partial"
    assert "A stated value stands in place of the computed one. The rows say 90." in [r.words for r in verdict.reasons]


def test_the_same_run_again_leaves_no_second_shadow(kpi: KpiDefinition, stated: KpiObservation) -> None:
    for _ in range(2):
        counts = backfill(kpi, as_of=TOMORROW)
    assert (counts.kept, counts.shadowed, stated.shadows.count()) == (1, 0, 1)


def test_a_claim_that_no_run_has_met_overrides_nothing(kpi: KpiDefinition, stated: KpiObservation) -> None:
    assert "override" not in reasons(stated, kpi)


def test_a_claim_in_the_place_of_a_computed_value_says_so(kpi: KpiDefinition) -> None:
    incident = IncidentFactory(closed=True)
    backfill(kpi, as_of=TOMORROW)
    row, _ = record_claim(kpi, incident, Claim(value=75.0, timestamp=incident.resolved_at), now=TOMORROW)
    assert [reason["code"] for reason in row.evidence_reasons] == ["claim_without_rows", "low_confidence", "override"]


def test_a_claim_after_a_shadow_goes_on_counting(kpi: KpiDefinition, stated: KpiObservation) -> None:
    backfill(kpi, as_of=TOMORROW)
    row, _ = record_claim(kpi, stated.incident, Claim(value=80.0, timestamp=stated.timestamp), now=TOMORROW)
    assert (row.revision, row.is_current) == (3, True)
    assert backfill(kpi, as_of=TOMORROW).shadowed == 1


def test_by_force_the_claim_is_retired_with_the_reason(kpi: KpiDefinition, stated: KpiObservation) -> None:
    backfill(kpi, as_of=TOMORROW)
    backfill(kpi, as_of=TOMORROW, forced_because="typed in by mistake")
    stated.refresh_from_db()
    assert (stated.is_current, stated.retired_reason) == (False, "forced: typed in by mistake")
    row = KpiObservation.objects.current().samples().get(kpi=kpi)
    assert (row.value, row.revision, row.source) == (90.0, 3, "cli")


# --- About everyone ---


@pytest.fixture
def satisfaction(db: None) -> KpiDefinition:
    """A KPI that is only ever stated."""
    kpi = KpiDefinition.objects.get(slug="stakeholder-satisfaction")
    kpi.spec = {
        "schema": "majorops.kpi/1", "subject": None, "group_by": [], "windows": ["P90D", "all"],
        "unit": kpi.units, "calc": {"kind": "reported"},
    }  # fmt: skip
    kpi.save()
    return kpi


def test_a_figure_about_everyone_is_stated_for_the_headline_window(satisfaction: KpiDefinition) -> None:
    row, told = record_claim(satisfaction, None, Claim(value=4.5, timestamp=NOON), now=NOON)
    assert (told, row.subject_key, row.window, row.dims_key, row.incident) == ("new", "org:org", "P90D", "", None)
    assert row.evidence == "partial"


def test_each_window_and_group_is_a_figure_of_its_own(kpi: KpiDefinition) -> None:
    window = kpi.spec["windows"][-1]
    record_claim(kpi, None, CLAIM, now=NOON)
    record_claim(kpi, None, replace(CLAIM, window=window, dims={"severity": "high"}), now=NOON)
    found = KpiObservation.objects.current().rollups().order_by("dims_key")
    assert [(row.window, row.dims_key, row.dims) for row in found] == [
        (kpi.spec["windows"][0], "", {}),
        (window, "severity=high", {"severity": "high"}),
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"window": "P7D"}, "window"),
        ({"dims": {"team": "db-core"}}, "dims"),
        ({"dims": {"severity": "x" * 200}}, "dims"),
    ],
)
def test_a_figure_the_definition_does_not_have(kpi: KpiDefinition, change: dict[str, object], field: str) -> None:
    with pytest.raises(BadClaim) as refused:
        record_claim(kpi, None, replace(CLAIM, **change), now=NOON)
    assert refused.value.field == field


def test_a_value_about_an_incident_has_no_window(kpi: KpiDefinition, incident: Incident) -> None:
    with pytest.raises(BadClaim, match="no window"):
        record_claim(kpi, incident, replace(CLAIM, window="all"), now=NOON)


def test_a_stated_rollup_is_not_replaced_by_a_run(kpi: KpiDefinition) -> None:
    IncidentFactory(closed=True)
    claim = Claim(value=60.0, timestamp=TOMORROW, window="all")
    stated, _ = record_claim(kpi, None, claim, now=TOMORROW)
    assert backfill(kpi, as_of=TOMORROW).kept == 1
    assert KpiObservation.objects.current().get(kpi=kpi, window="all", dims_key="").value == 60.0
    assert stated.shadows.get().value == 90.0
