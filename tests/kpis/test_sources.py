"""Where rows come from: each name a formula may use, and what happens with those it may not use yet."""

from __future__ import annotations

from typing import Any

import pytest

from incidents.models import Participant
from kpis.compute import backfill
from kpis.definitions import check_spec, save_version
from kpis.models import KpiDefinition, KpiObservation
from kpis.sources import SOURCES, Scope, load
from majorops.lib.errors import Invalid
from tests.factories import IncidentFactory, UserFactory, at

pytestmark = pytest.mark.django_db
TOMORROW = at("2026-03-03T00:00")


def counting(source: str, time: str, **envelope: Any) -> dict[str, Any]:
    rows = {"source": source, "at": time}
    calc = {"kind": "aggregate", "rows": rows, "value": "id", "agg": "count"}
    return {"schema": "majorops.kpi/1", "subject": None, "windows": ["all"], "unit": "count", **envelope, "calc": calc}


def defined(spec: dict[str, Any]) -> KpiDefinition:
    kpi = KpiDefinition.objects.create(
        slug="counted", name="x", description="x", formula="x", spec=spec, units="count", owner="MIM Lead"
    )
    save_version(kpi, by=None, reason="Test", now=at("2026-03-01T00:00"))
    return kpi


def overall() -> KpiObservation:
    return KpiObservation.objects.current().get(kpi="counted", window="all", dims_key="")


def test_a_row_has_every_field_that_is_declared() -> None:
    Participant.objects.create(incident=IncidentFactory(), user=UserFactory(), created_at=at("12:00"))
    IncidentFactory()
    for name in ("incidents", "participants"):
        (row, *_) = load([name], Scope(TOMORROW))[name]
        assert set(row) >= set(SOURCES[name].shape.fields)
        assert {"ref", "subject_key", "incident_id", "subject_open", "subject_closed_at", "confidence"} <= set(row)


def test_people_who_joined_are_counted() -> None:
    incident = IncidentFactory()
    for joined in (at("12:05"), None):
        Participant.objects.create(incident=incident, user=UserFactory(), created_at=at("12:00"), joined_at=joined)
    joined = counting("participants", "created_at")
    joined["calc"]["rows"]["where"] = [{"field": "joined_at", "op": "not_null"}]
    backfill(defined(joined), as_of=TOMORROW)
    assert overall().value == 1.0


def test_participants_of_restricted_incidents_are_in_no_rollup() -> None:
    incident = IncidentFactory(restricted=True)
    Participant.objects.create(incident=incident, user=UserFactory(), created_at=at("12:00"))
    backfill(defined(counting("participants", "created_at")), as_of=TOMORROW)
    assert overall().n == 0


def test_without_a_decision_a_kpi_of_them_is_proposed() -> None:
    backfill(defined(counting("decisions", "decided_at")), as_of=TOMORROW)
    assert (overall().value, overall().evidence) == (None, "proposed")
    assert overall().evidence_reasons[0]["words"] == "Never received: decisions."


@pytest.mark.parametrize("source", ["fact:undeclared", "fact:undeclared.*", "auth_user"])
def test_a_source_that_nothing_declares_is_refused_when_the_formula_is_saved(source: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_spec(counting(source, "occurred_at"), "count")
    assert refused.value.field is not None
    assert "source" in refused.value.field
