"""The schema speaks the documented contract of the user interface, field by field, and compiles as TypeScript.

tests/contract.json is that contract. It differs from the document in three ways, each told in docs/decisions: ids are
texts, what may be unknown is null, and an optional field is null rather than absent.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.test_api_hostile import resolved, schema_of_the_api

CONTRACT: dict[str, Any] = json.loads((Path(__file__).parent / "contract.json").read_text())
ENUMS = {name: values for name, values in CONTRACT.items() if isinstance(values, list)}
TYPES = {name: fields for name, fields in CONTRACT.items() if isinstance(fields, dict)}
#: What each type is called in the schema.
NAMED = {
    "Incident": "IncidentDetail", "CommandTeam": "CommandShown", "AlertInfo": "AlertShown",
    "TimelineEvent": "EntryShown", "StatusUpdate": "UpdateShown", "Milestone": "MilestoneShown",
    "IncidentMetrics": "MetricsShown",
}  # fmt: skip
TOOLS = ("openapi-typescript@7.13.0", "typescript@5.9.3")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return schema_of_the_api()


@pytest.mark.parametrize("name", TYPES)
def test_type_has_the_fields_of_the_contract(schema: dict[str, Any], name: str) -> None:
    fields = schema["components"]["schemas"][NAMED[name]]["properties"]
    wrong = {
        field: f"{wanted}, not {spelled(schema, fields.get(field))}"
        for field, wanted in TYPES[name].items()
        if not fits(wanted, spelled(schema, fields.get(field)))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    "name", ["Severity", "IncidentStatus", "ExternalImpact", "TimelineEventType", "UpdateVisibility", "RiskLevel"]
)
def test_enum_has_the_values_of_the_contract(schema: dict[str, Any], name: str) -> None:
    known = [set(part["enum"]) for part in schema["components"]["schemas"].values() if "enum" in part]
    assert set(ENUMS[name]) in known


def spelled(schema: dict[str, Any], part: dict[str, Any] | None) -> str:
    """A part of the schema in the words of the contract; an enum by its values."""
    if part is None:
        return "absent"
    if "oneOf" in part:
        return " | ".join(sorted(spelled(schema, each) for each in part["oneOf"]))
    part = resolved(schema, part)
    if "enum" in part:
        values = [value for value in part["enum"] if value is not None]
        return "null" if not values else json.dumps(values)
    kinds = part.get("type", "object")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return " | ".join(_word(schema, part, kind) for kind in sorted(kinds, key=lambda kind: kind == "null"))


def _word(schema: dict[str, Any], part: dict[str, Any], kind: str) -> str:
    if kind == "null":
        return kind
    if kind == "array":
        return f"{spelled(schema, part['items'])}[]"
    if kind == "object":
        return next((name for name, ours in NAMED.items() if schema["components"]["schemas"][ours] is part), "object")
    if kind == "integer" and part.get("minimum") == 1 and part.get("maximum") == 8:
        return json.dumps(ENUMS["PhaseNumber"])
    return {"integer": "number"}.get(kind, "time" if part.get("format") == "date-time" else kind)


def fits(wanted: str, found: str) -> bool:
    words = {json.dumps(sorted(ENUMS[word], key=str)) if word in ENUMS else word for word in wanted.split(" | ")}
    ours = {json.dumps(sorted(json.loads(word), key=str)) if word[0] == "[" else word for word in found.split(" | ")}
    return words == ours


# --- TypeScript ---


def checks() -> str:
    """A program that compiles only if the generated types have what the contract names."""
    lines = ['import type { components } from "./client";', 'type S = components["schemas"];']
    lines += ["type Is<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;"]
    for name, fields in TYPES.items():
        for field, wanted in fields.items():
            found = f'NonNullable<S["{NAMED[name]}"]["{field}"]>'
            nullable = f'null extends S["{NAMED[name]}"]["{field}"] ? true : false'
            lines.append(f"const {name}_{field}: Is<{found}, {typed(wanted)}> = true;")
            lines.append(f"const {name}_{field}_null: Is<{nullable}, {str('null' in wanted).lower()}> = true;")
    return "\n".join([*lines, "export {};"])


def typed(wanted: str) -> str:
    word = wanted.removesuffix(" | null")
    if word.endswith("[]"):
        return f"{typed(word[:-2])}[]"
    if word in NAMED:
        return f'S["{NAMED[word]}"]'
    if word == "PhaseNumber":
        return "number"
    return " | ".join(map(json.dumps, ENUMS[word])) if word in ENUMS else {"time": "string"}.get(word, word)


def test_generated_client_compiles_and_has_the_types_of_the_contract(schema: dict[str, Any], tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not here: the TypeScript client was not compiled")
    (tmp_path / "schema.json").write_text(json.dumps(schema, default=str))
    (tmp_path / "contract.ts").write_text(checks())
    if run(tmp_path, "npm", "install", "--silent", "--no-audit", "--no-fund", *TOOLS).returncode:
        pytest.skip("npm cannot reach its registry: the TypeScript client was not compiled")
    made = run(tmp_path, "npx", "openapi-typescript", "schema.json", "-o", "client.ts")
    assert made.returncode == 0, made.stderr
    compiled = run(tmp_path, "npx", "tsc", "--noEmit", "--strict", "client.ts", "contract.ts")
    assert compiled.returncode == 0, compiled.stdout[:3000]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
