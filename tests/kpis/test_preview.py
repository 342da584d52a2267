"""A preview says what a formula would change, and changes nothing."""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from typer.testing import CliRunner

from accounts.models import ThrottleBucket, User
from incidents import actions
from incidents.models import Incident
from kpis import preview as module
from kpis.actions import Running, running_of
from kpis.compute import backfill
from kpis.errors import TooMuchToPreview
from kpis.exchange import document_of
from kpis.models import KpiDefinition
from kpis.preview import Preview, preview
from kpis.targets import Stated
from majorops.cli import app
from majorops.lib.errors import Invalid
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, stamp
from tests.kpis.test_admin import KPIS, filled

pytestmark = pytest.mark.django_db

NOW = NOON + timedelta(days=2)
TARGETS = [Stated("lte", 60)]


@pytest.fixture
def mttr(mim: User) -> KpiDefinition:
    """Twelve critical incidents of 10, 20, ... 120 minutes, one more that is open."""
    for number in range(1, 13):
        began = NOON + timedelta(minutes=number)
        incident = IncidentFactory(title=f"Outage {number}", detected_at=began, phase_entered_at=began)
        actions.resolve(incident, summary="Over.", stamp=stamp(mim, began + timedelta(minutes=10 * number)))
    IncidentFactory(title="Still on", detected_at=NOON + timedelta(hours=3), phase_entered_at=NOON)
    definition = KpiDefinition.objects.get(slug="mttr")
    definition.targets.all().delete()
    return definition


def with_agg(definition: KpiDefinition, agg: str) -> Running:
    spec = deepcopy(definition.spec)
    spec["calc"]["agg"] = agg
    return Running(definition.formula, spec, definition.units)


def look(definition: KpiDefinition, running: Running, viewer: User, targets: list[Stated] = TARGETS) -> Preview:
    return preview(definition, running, targets, viewer=viewer, now=NOW)


def test_figures_are_shown_as_they_are_and_as_they_would_be(mttr: KpiDefinition, admin_user: User) -> None:
    found = look(mttr, with_agg(mttr, "max"), admin_user)
    everything = next(row for row in found.totals if row.window == "all" and not row.dims)
    assert (everything.now.value, everything.draft.value, everything.delta) == (65, 120, 55)
    assert (everything.now.rows, everything.draft.rows) == (12, 12)
    assert {"all", "P30D", "P90D"} == {row.window for row in found.totals}


def test_a_file_is_tried_from_the_command_line(mttr: KpiDefinition, tmp_path: Path) -> None:
    told = document_of(mttr).content()
    spec = with_agg(mttr, "max").spec
    (tmp_path / "mttr.json").write_text(json.dumps([{**told, "spec": spec}]))
    shown = CliRunner().invoke(app, ["kpi", "preview", "mttr", "--file", str(tmp_path / "mttr.json"), "--json"])
    everything = next(row for row in json.loads(shown.stdout) if row["window"] == "all" and not row["dims"])
    assert (everything["now"]["value"], everything["draft"]["value"], everything["delta"]) == (65, 120, 55)
    assert KpiDefinition.objects.get(pk="mttr").spec == mttr.spec


def test_without_a_draft_the_command_line_asks_for_a_file(mttr: KpiDefinition) -> None:
    told = CliRunner().invoke(app, ["kpi", "preview", "mttr"])
    assert (told.exit_code, "mttr has no draft" in told.stderr) == (5, True)


def test_the_last_ten_are_named_with_a_reason_where_there_is_no_value(mttr: KpiDefinition, admin_user: User) -> None:
    spec = deepcopy(mttr.spec)
    spec["calc"]["rows"]["where"].append({"field": "severity", "op": "eq", "value": "low"})
    found = look(mttr, Running(mttr.formula, spec, mttr.units), admin_user)
    assert len(found.subjects) == 10
    newest = next(row for row in found.subjects if row.label == "Outage 12")
    assert (newest.now.value, newest.draft.value, newest.delta) == (120, None, None)
    assert newest.draft.reason


def test_verdicts_that_turn_are_listed(mttr: KpiDefinition, admin_user: User) -> None:
    mttr.targets.create(operator="lte", value=70)
    turned = look(mttr, running_of(mttr), admin_user).turned
    assert {(row.now.state, row.draft.state) for row in turned} == {("met", "missed")}
    assert any(row.window == "all" and not row.dims for row in turned)
    assert not look(mttr, running_of(mttr), admin_user, [Stated("lte", 70)]).turned


def test_restricted_incidents_are_named_to_those_who_see_them_only(
    mttr: KpiDefinition, admin_user: User, stakeholder: User
) -> None:
    Incident.objects.filter(title="Outage 12").update(restricted=True)
    assert "Outage 12" in {row.label for row in look(mttr, running_of(mttr), admin_user).subjects}
    assert "Outage 12" not in {row.label for row in look(mttr, running_of(mttr), stakeholder).subjects}


def everything_stored() -> dict[str, tuple[int, str]]:
    """Count and hash of every table but the one in which the door counts requests."""
    found = {}
    for model in set(apps.get_models()) - {ThrottleBucket}:
        rows = sorted(json.dumps(row, default=str) for row in model._default_manager.values_list())
        found[model._meta.db_table] = (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
    return found


def test_the_button_posts_the_unsaved_form_and_nothing_is_written(
    mttr: KpiDefinition, admin_user: User, page_as: Knock
) -> None:
    backfill(mttr, as_of=NOW)
    spec = json.dumps(with_agg(mttr, "max").spec)
    browser = page_as(admin_user)
    browser.get(f"{KPIS}mttr/change/")
    before = everything_stored()
    answer = browser.post(f"{KPIS}mttr/preview/", filled(mttr, spec=spec, reason=""))
    assert "Outage 12" in answer.content.decode()
    assert everything_stored() == before


def test_the_database_itself_refuses_to_write_meanwhile(mttr: KpiDefinition) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), module._limited():
        KpiDefinition.objects.update(owner="Somebody")
    assert KpiDefinition.objects.filter(pk="mttr").update(owner="Writable again") == 1


def test_an_unsaved_mistake_is_told_with_its_path(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    spec = json.dumps(mttr.spec).replace('"incidents"', '"incidens"')
    said = page_as(admin_user).post(f"{KPIS}mttr/preview/", filled(mttr, spec=spec)).content.decode()
    assert "calc.rows.source: " in said
    assert "incidents" in said


def test_a_formula_that_reads_too_many_rows_is_stopped(
    mttr: KpiDefinition, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 5)
    with pytest.raises(TooMuchToPreview, match="more than 5"):
        look(mttr, running_of(mttr), admin_user)


def test_a_query_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 0.1)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(TooMuchToPreview, match="stopped"), module._limited(), connection.cursor() as cursor:
        cursor.execute(endless)
    assert KpiDefinition.objects.exists()


def test_figures_of_single_people_are_not_previewed(admin_user: User, page_as: Knock) -> None:
    personal = KpiDefinition.objects.get(slug="engineer-response-time")
    answer = page_as(admin_user).post(f"{KPIS}{personal.pk}/preview/", filled(personal))
    assert "shown to nobody" in answer.context["problem"]


def test_a_formula_that_cannot_run_is_refused(mttr: KpiDefinition, admin_user: User) -> None:
    with pytest.raises(Invalid):
        look(mttr, Running("x", {"schema": "majorops.kpi/1"}, "minutes"), admin_user)


def test_a_kpi_of_kpis_is_previewed_too(mttr: KpiDefinition, admin_user: User) -> None:
    expr = {"op": "div", "args": [{"kpi": "mttr"}, 60]}
    calc: dict[str, Any] = {"kind": "derived", "expr": expr}
    spec = {**mttr.spec, "subject": None, "group_by": [], "unit": "hours", "calc": calc}
    proposed = KpiDefinition.objects.create(
        slug="mttr-hours", name="H", description="D", formula="F", units="hours", owner="O", created_at=timezone.now()
    )
    found = look(proposed, Running("F", spec, "hours"), admin_user)
    assert {row.now.reason for row in found.totals} == {"no formula"}
    assert {row.draft.value for row in found.totals} >= {65 / 60}
