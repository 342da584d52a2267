"""The documented targets as an object: by P-level, severity, box or persona."""

from __future__ import annotations

from typing import Any

import pytest

from kpis.exchange import document, document_of, plan
from kpis.models import KpiDefinition
from kpis.target_maps import listed
from kpis.targets import in_short, rendered, stated
from majorops.lib.errors import Invalid


def read(told: object, units: str = "minutes") -> list[str]:
    return [in_short(target) for target in stated(listed(told, units))]


@pytest.mark.parametrize(
    "told",
    [
        {"P1": "120m", "P2": "240m"},
        {"P1": 120, "P2": 240},
        {"p1": "≤ 120", "p2": "<=240 min"},
        {"critical": 120, "high": 240},
        {"Critical": {"op": "lte", "value": 120}, "High": {"op": "lte", "value": 240}},
        '{"P1": 120, "P2": 240}',
    ],
)
def test_the_documented_targets_of_mttr_read_the_same_in_every_form(told: object) -> None:
    assert read(told) == ["≤ 120 for critical", "≤ 240 for high"]


def test_boxes_personas_and_all() -> None:
    assert read({"Box3": "≤5m", "Box 2": "≤10m", "box1": 20}) == ["≤ 5 for box3", "≤ 10 for box2", "≤ 20 for box1"]
    assert read({"all": "≥90%", "exec": "≥ 95"}, "percent") == ["≥ 90", "≥ 95 for exec"]
    assert read({}) == read("") == []


@pytest.mark.parametrize(
    ("told", "units", "path", "says"),
    [
        ({"P7": 120}, "minutes", "targets.P7", "P1 to P4, critical to low"),
        ({"P1": "two hours"}, "minutes", "targets.P1", "A limit is a number"),
        ({"P1": "2h"}, "minutes", "targets.P1", "not the unit of this KPI, which is in minutes"),
        ({"P1": True}, "minutes", "targets.P1", "A limit is a number"),
        ({"P1": None}, "minutes", "targets.P1", "A limit is a number"),
        ({"all": 90}, "percent", "targets.all", "Say which side of it is good"),
        ({"P1": {"when": {}, "op": "lte", "value": 1}}, "minutes", "targets.P1", "Leave when out"),
        ("{P1: 120}", "minutes", "targets", "Targets are JSON"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_key(told: object, units: str, path: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(told, units)
    assert (refused.value.field, says in refused.value.message) == (path, True)


def stated_as(targets: object) -> dict[str, Any]:
    return {**document_of(KpiDefinition.objects.get(slug="mttr")).content(), "targets": targets}


@pytest.mark.django_db
@pytest.mark.parametrize("targets", [{"P1": "120m", "P2": "240m"}, {"critical": 120, "high": 240}])
def test_an_import_of_the_documented_form_changes_nothing_and_is_written_as_a_list(targets: object) -> None:
    (planned,) = plan([stated_as(targets)])
    assert (planned.state, planned.changes) == ("same", ())
    written = [rendered(target) for target in document(stated_as(targets)).targets]
    assert written[0] == {"when": {"severity": "critical"}, "op": "lte", "value": 120.0}


@pytest.mark.django_db
def test_one_severity_under_two_names_is_a_tie() -> None:
    (planned,) = plan([stated_as({"P1": 120, "critical": 90})])
    assert planned.state == "error"
    assert "could both hold for one value" in planned.error
