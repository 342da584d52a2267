"""Definitions: the built-in ones are the documented ones, and every change leaves a version."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection

from accounts.models import User
from kpis.apps import on_migrated
from kpis.catalog import BUILT_IN
from kpis.definitions import check_spec, create_missing, save_version, targets_of
from kpis.models import KpiDefinition, KpiDefinitionVersion, KpiTarget, SubjectType
from majorops.lib.errors import Invalid
from majorops.lib.ledger import unlocked
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
#: Beside that table: the rate that belongs to the mean arrival, and the class that is its long-term goal.
OURS = {
    "after-action-in-72h": ("percent", "internal", "MIM Lead", {"": ("gte", 100)}),
    "team-page-to-bridge-met": ("percent", "internal", "MIM Lead", {}),
    "dispatch-credit": ("class", "internal", "MIM Lead", {}),
    "alert-acknowledgement-time": ("minutes", "internal", "MIM Lead", {}),
}


@pytest.mark.parametrize("slug", DOCUMENTED | OURS)
def test_the_built_in_definitions_are_the_documented_ones(slug: str) -> None:
    kpi = KpiDefinition.objects.get(slug=slug)
    targets = {target.severity + target.alarm_level: (target.operator, target.value) for target in kpi.targets.all()}
    assert (kpi.units, kpi.visibility, kpi.owner, targets) == (DOCUMENTED | OURS)[slug]
    assert kpi.current_version == 1


def test_nothing_else_is_built_in() -> None:
    assert {built_in.slug for built_in in BUILT_IN} == {*DOCUMENTED, *OURS}


@pytest.mark.parametrize("built_in", BUILT_IN, ids=lambda built_in: built_in.slug)
def test_each_built_in_formula_runs_and_names_the_kinds_it_counts(built_in: object) -> None:
    assert check_spec(built_in.spec, built_in.units).unit == built_in.units
    says = '["real", "backfilled"]' in str(built_in.spec).replace("'", '"')
    is_of_incidents = built_in.slug != "alert-acknowledgement-time"
    assert (
        says or not is_of_incidents or built_in.spec["calc"]["kind"] == "builtin"
    )  # the code leaves drills out: test_dispatch_credit.py


def test_a_database_from_before_gets_what_is_new_and_keeps_the_rest() -> None:
    KpiDefinition.objects.filter(slug="mttr").update(name="Our own name")
    with unlocked(connection):
        KpiDefinitionVersion.objects.filter(definition__in=OURS).delete()
    KpiDefinition.objects.filter(slug__in=OURS).delete()
    assert create_missing(NOON) == [*OURS]
    assert KpiDefinition.objects.get(slug="mttr").name == "Our own name"


def test_creating_again_changes_nothing_an_administrator_wrote() -> None:
    KpiDefinition.objects.filter(slug="mttr").update(name="Our own name")
    KpiTarget.objects.filter(definition="mttr").delete()
    assert create_missing(NOON) == []
    kpi = KpiDefinition.objects.get(slug="mttr")
    assert (kpi.name, kpi.targets.count()) == ("Our own name", 0)


def test_a_change_leaves_a_version_and_no_change_leaves_none(admin_user: User) -> None:
    kpi = KpiDefinition.objects.get(slug="mttr")
    assert save_version(kpi, by=admin_user, reason="looked at it", now=NOON) is None
    kpi.targets.filter(severity="critical").update(value=100)
    kpi.refresh_from_db()
    version = save_version(kpi, by=admin_user, reason="we got faster", now=NOON)
    assert (version.number, version.changed_by, version.reason) == ("1.1", admin_user, "we got faster")
    assert {"when": {"severity": "critical"}, "op": "lte", "value": 100.0} in version.snapshot["targets"]
    assert KpiDefinition.objects.get(slug="mttr").current_version == 1


def test_a_formula_in_another_unit_than_the_definition_is_refused() -> None:
    kpi = KpiDefinition.objects.get(slug="mttr")
    with pytest.raises(Invalid, match="minutes"):
        check_spec(kpi.spec, "hours")


def test_targets_are_rendered_as_documented() -> None:
    rendered = targets_of(KpiDefinition.objects.get(slug="cadence-adherence"))
    assert rendered == [{"when": {}, "op": "gte", "value": 90.0}]


def test_a_migration_that_is_told_to_be_quiet_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    for verbosity, words in ((0, []), (1, ["Declared kinds of facts and subjects: customer"])):
        caplog.clear()
        SubjectType.objects.filter(pk="customer").delete()
        with caplog.at_level("INFO"):
            on_migrated(apps.get_app_config("kpis"), using="default", verbosity=verbosity)
        assert caplog.messages == words
