"""Claims: stored as said, once; what cannot be true is refused by name and nothing is stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from incidents.models import Incident
from kpis.claims import Claim, record_claim
from kpis.errors import BadClaim, KpiRetired, WrongUnit
from kpis.models import KpiDefinition, KpiObservation
from majorops.lib.errors import Invalid
from tests.factories import NOON, IncidentFactory, TeamPageFactory

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
