"""What docs/kpis.md says is so: its examples are formulas, and it leaves no kind, operator or command out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.main import get_command

from kpis.cli import app
from kpis.definitions import check_spec
from kpis.evidence import Evidence
from kpis.formulas.kinds import AggName
from kpis.formulas.language import KINDS, Operator
from kpis.target_maps import listed

TEXT = (Path(__file__).parents[2] / "docs" / "kpis.md").read_text()
EXAMPLES: list[dict[str, Any]] = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]


@pytest.mark.django_db
@pytest.mark.parametrize("spec", EXAMPLES, ids=lambda spec: spec["calc"]["kind"])
def test_every_example_is_a_formula_that_can_be_saved(spec: dict[str, Any]) -> None:
    assert check_spec(spec, spec["unit"]).calc.kind == spec["calc"]["kind"]


def test_there_is_one_example_of_each_kind() -> None:
    assert [spec["calc"]["kind"] for spec in EXAMPLES] == list(KINDS)


@pytest.mark.parametrize("word", [*get_args(Operator), *get_args(AggName)])
def test_every_operator_and_aggregate_is_named(word: str) -> None:
    assert f"`{word}`" in TEXT


def test_every_label_and_every_command_is_told() -> None:
    assert [label for label in Evidence if f"| {label} |" not in TEXT] == []
    commands = get_command(app).commands  # type: ignore[attr-defined]
    told = [name for name, each in commands.items() if not each.hidden]
    assert [name for name in told if f"mim kpi {name}" not in TEXT] == []


def test_the_targets_it_shows_are_read() -> None:
    shown = re.findall(r"^\| `(\{.*?\})` \|", TEXT, re.MULTILINE)
    assert len(shown) == 4
    for text in shown:
        assert listed(text, "percent" if "%" in text else "minutes")
