"""From JSON to a formula that can be trusted, or to one clear refusal."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from kpis.formulas.checks import check_names
from kpis.formulas.kinds import Formula
from kpis.formulas.language import (
    KINDS,
    PERIOD_PATTERN,
    SLUG_PATTERN,
    WINDOW_PATTERN,
    FormulaError,
    SourceShape,
    did_you_mean,
)
from kpis.formulas.references import KpiShape, check_references
from kpis.formulas.units import check_units

MAX_BYTES = 16 * 1024
MAX_DEPTH = 6
MAX_NUMBER = 2**53


def parse(
    spec: object,
    *,
    sources: Mapping[str, SourceShape],
    kpis: Mapping[str, KpiShape] | None = None,
    slug: str | None = None,
    visibility: str | None = None,
) -> Formula:
    """The formula that the decoded JSON `spec` states. Raises FormulaError with the first thing that is wrong.

    `kpis` are those it may be made of. `slug` and `visibility` are the KPI's own: without them a circle through
    itself, or a part that fewer people may see, goes unnoticed.
    """
    _check_json(spec)
    try:
        formula = Formula.model_validate(spec)
    except ValidationError as refusal:
        raise _in_our_words(refusal.errors(include_url=False)[0]) from None
    check_names(formula, sources)
    check_units(formula)
    check_references(formula, kpis or {}, slug, visibility)
    return formula


# --- Before the shape: plain JSON, small and shallow ---


def _check_json(spec: object) -> None:
    if not isinstance(spec, dict):
        raise FormulaError("", 'A formula is a JSON object: {"schema": "majorops.kpi/1", ...}.')
    _check_json_value(spec, "", 0)
    size = len(json.dumps(spec, ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_BYTES:
        raise FormulaError("", f"The formula has {size} bytes; at most {MAX_BYTES} are allowed.")


def _check_json_value(value: object, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise FormulaError(path, f"Nested too deep; at most {MAX_DEPTH} levels are allowed.")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_text(key, path)
            _check_json_value(inner, f"{path}.{key}".lstrip("."), depth + isinstance(inner, dict))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_json_value(inner, f"{path}[{index}]", depth + isinstance(inner, dict | list))
    elif isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, int | float):
        if abs(value) > MAX_NUMBER or not math.isfinite(value):
            raise FormulaError(path, "Numbers are finite and not above 2^53.")
    elif value is not None:
        raise FormulaError(path, f"{type(value).__name__} is no JSON value.")


def _check_text(text: object, path: str) -> None:
    try:
        broken = not isinstance(text, str) or b"\x00" in text.encode()
    except UnicodeEncodeError:
        broken = True
    if broken:  # PostgreSQL stores neither NUL nor half a surrogate pair
        raise FormulaError(path, "Keys and texts are text, without NUL or broken characters.")


# --- What pydantic found, in our words ---


def _in_our_words(error: ErrorDetails) -> FormulaError:
    path, context = _path(error["loc"]), error.get("ctx", {})
    if error["type"] == "unknown_key":
        return FormulaError(f"{path}.{context['key']}".lstrip("."), context["why"])
    if error["type"] == "union_tag_not_found":
        return FormulaError(f"{path}.kind", f"This is required. {did_you_mean('', KINDS)}")
    if error["type"] == "union_tag_invalid":
        return FormulaError(f"{path}.kind", f"There is no such kind. {did_you_mean(context['tag'], KINDS)}")
    return FormulaError(path, _sentence(error, context))


def _sentence(error: ErrorDetails, context: Mapping[str, Any]) -> str:
    given = json.dumps(error["input"], ensure_ascii=False)[:60]
    match error["type"]:
        case "model_type" | "model_attributes_type":
            return f"Write a JSON object here, not {given}."
        case "missing":
            return "This is required."
        case "int_type" | "float_type":
            return f"Write a number here, not {given}."
        case "literal_error":
            allowed = re.findall(r"'([^']+)'", context["expected"])
            return f"{given} is not known here. {did_you_mean(error['input'], allowed)}"
        case "string_pattern_mismatch":
            return f"{given} is not allowed. {_PATTERNS.get(context['pattern'], _NAMES)}"
        case "too_short" | "too_long":
            bound = "at least" if error["type"] == "too_short" else "at most"
            count = context["min_length"] if error["type"] == "too_short" else context["max_length"]
            return f"Give {bound} {count}; here are {context['actual_length']}."
        case _:
            return f"{error['msg']}; {given} was given."


_NAMES = "Names are lower-case words joined by a single underscore or a dot, such as resolved_at."
_PATTERNS = {
    WINDOW_PATTERN: 'Write "all", P30D, P4W, PT24H, calendar-day, calendar-week or calendar-month.',
    SLUG_PATTERN: "A KPI is named by its slug, such as cadence-adherence.",
    rf"^({PERIOD_PATTERN})$": "Write a period: P7D, P4W or PT24H.",
}


def _path(location: tuple[int | str, ...]) -> str:
    """Pydantic's location as calc.rows.where[0].field. Tags of unions are in no key of the JSON, so they go."""
    tags = (*KINDS, "int", "float")
    steps = [step for step in location if not str(step).startswith("<") and step not in tags]
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
