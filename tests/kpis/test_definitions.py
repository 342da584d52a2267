"""Definitions: the built-in ones are the documented ones, and every change leaves a version."""

from __future__ import annotations

import pytest

from accounts.models import User
from kpis.catalog import BUILT_IN
from kpis.definitions import check_spec, create_missing, save_version, targets_of
from kpis.models import KpiDefinition, KpiTarget
from majorops.lib.errors import Invalid
from tests.factories import NOON

pytestmark = pytest.mark.django_db

#: The source of truth's table: units, visibility, owner, targets.
DOCUMENTED = {
    "mttr": ("minutes", "exec", "Ops Leader", {"critical": ("lte", 120), "high": ("lte", 240)}),
    "mtta": ("minutes", "internal", "MIM Lead", {"critical": ("lte", 10), "high": ("lte", 20)}),
    "cadence-adherence": ("percent", "exec", "Comms Lead", {"": ("gte", 90)}),
    "stakeholder-satisfaction": ("score", "exec", "Customer Ops", {"": ("gte", 4.5)}),
    "team-page-to-bridge": (
        "minutes", "internal", "MIM Lead", {"box3": ("lte", 5), "box2": ("lte", 10), "box1": ("lte", 20)},
    ),
    "team-page-to-ack": ("minutes", "internal", "MIM Lead", {"box3": ("lte", 2), "box2": ("lte", 5)}),
    "engineer-response-time": ("minutes", "internal", "MIM Lead", {}),
}  # fmt: skip


@pytest.mark.parametrize("slug", DOCUMENTED)
def test_the_built_in_definitions_are_the_documented_ones(slug: str) -> None:
    kpi = KpiDefinition.objects.get(slug=slug)
    targets = {target.match_value: (target.operator, target.value) for target in kpi.targets.all()}
    assert (kpi.units, kpi.visibility, kpi.owner, targets) == DOCUMENTED[slug]
    assert kpi.current_version == 1


def test_nothing_else_is_built_in() -> None:
    assert {built_in.slug for built_in in BUILT_IN} == set(DOCUMENTED)


@pytest.mark.parametrize("built_in", BUILT_IN, ids=lambda built_in: built_in.slug)
def test_each_built_in_formula_runs_and_names_the_kinds_it_counts(built_in: object) -> None:
    assert check_spec(built_in.spec, built_in.units).unit == built_in.units
    assert '["real", "backfilled"]' in str(built_in.spec).replace("'", '"')


def test_creating_again_changes_nothing_an_administrator_wrote() -> None:
    KpiDefinition.objects.filter(slug="mttr").update(name="Our own name")
    KpiTarget.objects.filter(definition="mttr").delete()
    assert create_missing(NOON) == []
    kpi = KpiDefinition.objects.get(slug="mttr")
    assert (kpi.name, kpi.targets.count()) == ("Our own name", 0)


def test_a_change_leaves_a_version_and_no_change_leaves_none(admin_user: User) -> None:
    kpi = KpiDefinition.objects.get(slug="mttr")
    assert save_version(kpi, by=admin_user, reason="looked at it", now=NOON) is None
    kpi.targets.filter(match_value="critical").update(value=100)
    kpi.refresh_from_db()
    version = save_version(kpi, by=admin_user, reason="we got faster", now=NOON)
    assert (version.version, version.changed_by, version.reason) == (2, admin_user, "we got faster")
    assert {"when": {"severity": "critical"}, "op": "lte", "value": 100.0} in version.snapshot["targets"]
    assert KpiDefinition.objects.get(slug="mttr").current_version == 2


def test_a_formula_in_another_unit_than_the_definition_is_refused() -> None:
    kpi = KpiDefinition.objects.get(slug="mttr")
    with pytest.raises(Invalid, match="minutes"):
        check_spec(kpi.spec, "hours")


def test_targets_are_rendered_as_documented() -> None:
    rendered = targets_of(KpiDefinition.objects.get(slug="cadence-adherence"))
    assert rendered == [{"when": {}, "op": "gte", "value": 90.0}]
