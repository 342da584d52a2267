"""Definitions as files: what goes out comes back the same, and what is no definition is refused where it is wrong."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from accounts.audit import Action
from accounts.models import AuditEvent
from kpis.actions import Edit, Editor, Running, save
from kpis.cli import app
from kpis.exchange import (
    State,
    commit,
    document,
    document_of,
    documents_of,
    plan,
    read,
    to_csv,
    to_json,
    to_markdown,
    to_yaml,
    to_zip,
)
from kpis.models import DefinitionStatus, KpiDefinition, KpiDefinitionVersion
from kpis.targets import Stated
from majorops.lib.errors import DomainError, Invalid
from tests.factories import NOON

pytestmark = pytest.mark.django_db
EDITOR = Editor(None, NOON)
RUNNER = CliRunner()


def whole() -> dict[str, Any]:
    """A new definition as a file states it."""
    mttr = document_of(KpiDefinition.objects.get(slug="mttr")).content()
    return {**mttr, "slug": "mean-outage", "name": "Mean Outage"}


# --- Out and in again ---


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("all.json", lambda documents: to_json(documents).encode()),
        ("all.csv", lambda documents: to_csv(documents).encode()),
        ("all.zip", to_zip),
        ("mttr.yaml", lambda documents: to_yaml(documents[0]).encode()),
    ],
)
def test_what_was_exported_changes_nothing_when_it_is_imported(name: str, write: Any) -> None:
    documents = documents_of(KpiDefinition.objects.order_by("slug"))
    planned = plan(read(name, write(documents)))
    assert [(each.slug, each.state, each.error) for each in planned] == [
        (each.slug, State.SAME, "") for each in (documents if "all" in name else documents[:1])
    ]
    versions = KpiDefinitionVersion.objects.count()
    assert commit(planned, EDITOR, reason="Again.") == []
    assert KpiDefinitionVersion.objects.count() == versions


def test_hard_texts_survive_every_format() -> None:
    mttr = KpiDefinition.objects.get(slug="mttr")
    hard = "=1+1\n- yes: no # 'quoted' \"twice\"\n\ttab, 2026-03-01 \u2028 Ω"
    described = {"description": hard, "name": "on", "owner": "@2026-03-01", "proxy_for": "'null"}
    save(mttr, Edit(described, targets=[Stated("lte", 5, warn_value=4, persona="exec")]), EDITOR, reason="Hard.")
    documents = [document_of(mttr)]
    for name, text in (("a.yaml", to_yaml(documents[0])), ("a.json", to_json(documents)), ("a.csv", to_csv(documents))):
        assert document(read(name, text.encode())[0]) == documents[0], name


def test_the_order_of_keys_does_not_depend_on_the_database() -> None:
    mttr = KpiDefinition.objects.get(slug="mttr")
    first = to_yaml(document_of(mttr))
    KpiDefinition.objects.filter(pk="mttr").update(spec=json.loads(json.dumps(mttr.spec, sort_keys=True)))
    assert to_yaml(document_of(KpiDefinition.objects.get(slug="mttr"))) == first
    assert list(yaml.safe_load(first))[:3] == ["slug", "name", "description"]


def test_a_spreadsheet_computes_nothing_of_a_csv() -> None:
    mttr = KpiDefinition.objects.get(slug="mttr")
    save(mttr, Edit({"owner": '=HYPERLINK("http://evil")', "name": "+1", "proxy_for": "@x"}), EDITOR, reason="Evil.")
    cells = next(csv.DictReader(io.StringIO(to_csv([document_of(mttr)]))))
    assert (cells["owner"], cells["name"], cells["proxy_for"]) == ('\'=HYPERLINK("http://evil")', "'+1", "'@x")
    assert not [cell for cell in cells.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_markdown_shows_texts_as_texts() -> None:
    mttr = KpiDefinition.objects.get(slug="mttr")
    save(mttr, Edit({"owner": "A | B <script>"}), EDITOR, reason="Odd.")
    assert "| Owner | A \\| B \\<script\\> |" in to_markdown([document_of(mttr)])


# --- What an import does ---


def test_a_plan_tells_new_changed_same_and_wrong() -> None:
    mttr = document_of(KpiDefinition.objects.get(slug="mttr")).content()
    mtta = document_of(KpiDefinition.objects.get(slug="mtta")).content()
    planned = plan([whole(), {**mttr, "owner": "Duty lead"}, mtta, {"slug": "broken"}, mtta])
    assert [each.state for each in planned] == ["new", "changed", "same", "error", "error"]
    assert [change.name for change in planned[1].changes] == ["owner"]
    assert "name is needed" in planned[3].error
    assert "twice" in planned[4].error
    with pytest.raises(Invalid, match="Nothing was imported"):
        commit(planned, EDITOR, reason="Try.")
    assert not KpiDefinition.objects.filter(slug="mean-outage").exists()


def test_a_new_definition_waits_as_a_draft_unless_it_is_published_too() -> None:
    commit(plan([whole()]), EDITOR, reason="New.")
    made = KpiDefinition.objects.get(slug="mean-outage")
    assert (made.status, made.spec, made.targets.count()) == (DefinitionStatus.DRAFT, None, 2)
    assert plan([whole()])[0].state is State.SAME
    said = commit(plan([{**whole(), "owner": "X"}]), EDITOR, reason="Go.", publish_too=True)
    made.refresh_from_db()
    assert (made.status, made.spec["unit"], said) == (
        DefinitionStatus.ACTIVE,
        "minutes",
        ["Published v2 of mean-outage."],
    )


def made_of(slug: str, *parts: str) -> dict[str, Any]:
    """A mean of others, by severity as they are."""
    mttr = document_of(KpiDefinition.objects.get(slug="mttr")).content()
    calc = {"kind": "composite", "parts": [{"kpi": part, "weight": 1 / len(parts)} for part in parts]}
    spec = {"schema": "majorops.kpi/1", "subject": None, "group_by": ["severity"], "windows": ["P30D"]}
    return {**mttr, "slug": slug, "units": "score", "targets": [], "spec": {**spec, "unit": "score", "calc": calc}}


@pytest.mark.parametrize("publish_too", [False, True])
def test_a_kpi_comes_with_what_it_is_made_of_in_any_order(publish_too: bool) -> None:
    planned = plan([made_of("total", "mttr", "mean-outage"), whole()])
    assert [(each.slug, each.state, each.error) for each in planned] == [
        ("total", State.NEW, ""),
        ("mean-outage", State.NEW, ""),
    ]
    told = commit(planned, EDITOR, reason="They belong together.", publish_too=publish_too)
    assert [re.search("mean-outage|total", line)[0] for line in told] == ["mean-outage", "total"]  # type: ignore[index]


def test_a_circle_within_a_file_is_refused() -> None:
    planned = plan([made_of("one", "mttr", "two"), made_of("two", "one", "mttr")])
    assert [each.state for each in planned] == [State.ERROR, State.ERROR]
    assert "cannot be made of itself: one -> two -> one" in planned[0].error


def test_a_changed_formula_is_imported_as_a_draft() -> None:
    mttr = KpiDefinition.objects.get(slug="mttr")
    told = json.loads(to_json([document_of(mttr)]).replace('"avg"', '"median"'))
    commit(plan(told), EDITOR, reason="Outliers.")
    stored = KpiDefinition.objects.get(slug="mttr")
    assert (stored.spec["calc"]["agg"], stored.draft.spec["calc"]["agg"]) == ("avg", "median")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vissibility": "exec"}, "There is no field vissibility"),
        ({"status": "active"}, "There is no field status"),
        ({"evidence": "verified"}, "There is no field evidence"),
        ({"visibility": "public"}, "visibility"),
        ({"slug": "../etc"}, "slug"),
        ({"slug": "a" * 65}, "slug"),
        ({"owner": ""}, "owner is needed"),
        ({"owner": 5}, "owner must be text"),
        ({"is_personal": "yes"}, "is_personal is true or false"),
        ({"units": "hours"}, "The formula gives minutes"),
        ({"spec": {"schema": "majorops.kpi/1"}}, "required"),
        ({"spec": {"x": float("nan")}}, "not JSON"),
        ({"targets": {"P9": 5}}, "nothing a target can be for"),
        ({"targets": 5}, "Targets are a list"),
        ({"targets": [{"op": "lte", "value": 1}, {"op": "lte", "value": 2}]}, "could both hold"),
        ({"description": "\0"}, "NUL"),
    ],
)
def test_a_definition_that_cannot_be_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(DomainError) as refused:
        document({**whole(), **change})
    assert says in f"{refused.value.field}: {refused.value.message}"


def bomb() -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.yaml", b" " * 2_000_000)
    return found.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.exe", b"", "ends with none of"),
        ("a.yaml", b"\xff", "not UTF-8"),
        ("a.yaml", b"a: &x [1]\nb: *x", "aliases"),
        ("a.yaml", b"a: 1\na: 2", "twice"),
        ("a.yaml", b"!!python/object/apply:os.system [ls]", "cannot be read"),
        ("a.yaml", b"[" * 5_000, "nested too deeply"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.json", b"{", "cannot be read"),
        ("a.csv", b"slug,spec\nmttr,{", "cannot be read"),
        ("a.zip", b"PK", "no zip archive"),
        ("a.zip", bomb(), "unpacks to more"),
        ("a.json", b" " * 1_000_001, "more than 1,000,000 bytes"),
        ("a.json", b"[" + b"1," * 600 + b"1]", "more than 500 definitions"),
    ],
    ids=lambda value: "content" if isinstance(value, bytes) else None,
)
def test_a_file_that_is_none_is_refused(name: str, content: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        read(name, content)


# --- The command line ---


def test_a_folder_goes_out_and_comes_in(tmp_path: Path) -> None:
    told = RUNNER.invoke(app, ["export", str(tmp_path)])
    assert told.exit_code == 0, told.output
    assert {file.name for file in tmp_path.iterdir()} == {f"{each.slug}.yaml" for each in KpiDefinition.objects.all()}
    assert AuditEvent.objects.get(action=Action.EXPORT).after["format"] == "yaml"
    file = tmp_path / "mttr.yaml"
    file.write_text(file.read_text().replace("Ops Leader", "Duty lead"))
    shown = RUNNER.invoke(app, ["import", str(tmp_path), "--dry-run"]).output
    assert "mttr: changed (owner)" in shown
    assert "mtta: same" in shown
    assert KpiDefinition.objects.get(slug="mttr").owner == "Ops Leader"
    RUNNER.invoke(app, ["import", str(file), "--reason", "From git."])
    assert KpiDefinition.objects.get(slug="mttr").owner == "Duty lead"
    assert "[-Ops-]{+Duty+} [-Leader-]{+lead+}" in RUNNER.invoke(app, ["diff", "mttr"]).output


def test_validate_ends_with_8_for_a_file_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "kpis.json"
    file.write_text(json.dumps([whole(), {**whole(), "slug": "x", "units": "hours"}]))
    told = RUNNER.invoke(app, ["validate", str(file)])
    assert (told.exit_code, "1 of 2 are right" in told.output) == (8, True)


def test_validate_without_a_file_checks_what_is_stored() -> None:
    count = KpiDefinition.objects.count()
    told = RUNNER.invoke(app, ["validate"])
    assert (told.exit_code, told.stdout) == (0, f"{count} of {count} are right.\n")


def test_a_diff_of_two_named_versions() -> None:
    mttr = KpiDefinition.objects.get(slug="mttr")
    save(mttr, Edit(targets=[Stated("lte", 90, severity="critical")]), EDITOR, reason="Fewer.")
    told = RUNNER.invoke(app, ["diff", "mttr", "1", "1.1"]).output
    assert "0.value: 120.0 → 90.0" in told
    assert RUNNER.invoke(app, ["diff", "mttr", "7"]).exit_code == 1


def test_running_is_compared_by_what_it_says() -> None:
    assert Running("a", {"x": 1, "y": 2}, "u") == Running("a", {"y": 2, "x": 1}, "u")
