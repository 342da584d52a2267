"""RULES: the documented targets as an object, e.g. {"P1": "120m", "P2": "240m"} or {"critical": 120}. Pure.

Read on import only; what is written is always the list form of kpis/targets.py, which says more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from incidents.lifecycle import ALARMS, Severity
from kpis.targets import Persona
from majorops.lib.errors import Invalid
from teams.alarm import AlarmLevel

_EVERYTHING = ("", "all", "any", "default")
#: Spelled without blanks, in small letters -> the column of a target and its value.
KEYS: Mapping[str, tuple[str, str]] = {
    **{alarm.priority.lower(): ("severity", severity.value) for severity, alarm in ALARMS.items()},
    **{severity.value: ("severity", severity.value) for severity in Severity},
    **{level.value: ("alarm_level", level.value) for level in AlarmLevel},
    **{persona.value: ("persona", persona.value) for persona in Persona},
}
_OPERATORS = {"≤": "lte", "<=": "lte", "≥": "gte", ">=": "gte", "<": "lt", ">": "gt", "=": "eq", "==": "eq"}
_UNITS = {
    "minutes": ("m", "min", "minutes"),
    "hours": ("h", "hours"),
    "seconds": ("s", "seconds"),
    "days": ("d", "days"),
    "ms": ("ms",),
    "percent": ("%", "percent"),
}
#: Of a length of time, everybody means "at most".
_AT_MOST = ("minutes", "hours", "seconds", "days", "ms")
_TEXT = re.compile(r"(≤|<=|≥|>=|<|>|==?)?\s*(-?[0-9]+(?:\.[0-9]+)?)\s*([a-z%]*)")


def listed(told: object, units: str) -> object:
    """The list form of targets that are an object by key, or text of such JSON; anything else as it is.

    Raises Invalid with the key that cannot be read.
    """
    if isinstance(told, str):
        told = _parsed(told)
    if not isinstance(told, dict):
        return told
    return [_target(str(key), limit, units) for key, limit in told.items()]


def _parsed(text: str) -> object:
    try:
        return json.loads(text) if text.strip() else []
    except (ValueError, RecursionError):
        raise Invalid('Targets are JSON, e.g. {"P1": 120} or [{"op": "lte", "value": 120}].', field="targets") from None


def _target(key: str, limit: object, units: str) -> dict[str, object]:
    spelled, path = re.sub(r"[\s_-]", "", key).lower(), f"targets.{key}"
    if spelled not in KEYS and spelled not in _EVERYTHING:
        known = "P1 to P4, critical to low, Box 3 to Box 1, exec, stakeholder, mim, responder, or all"
        raise Invalid(f"{key!a} is nothing a target can be for. It can be for {known}.", field=path)
    when = dict([KEYS[spelled]]) if spelled in KEYS else {}
    return {"when": when, **_limit(limit, units, path)}


def _limit(told: Any, units: str, path: str) -> dict[str, object]:
    """A number, a text such as "≤ 120m", or an object with op and value."""
    if isinstance(told, dict):
        if "when" in told:
            raise Invalid("The key says already what it is for. Leave when out.", field=path)
        return told
    if isinstance(told, int | float) and not isinstance(told, bool):
        return {"op": _operator("", units, path), "value": told}
    found = _TEXT.fullmatch(told.strip().lower()) if isinstance(told, str) else None
    if found is None:
        raise Invalid('A limit is a number, a text such as "≤ 120", or {"op": "lte", "value": 120}.', field=path)
    sign, number, unit = found.groups(default="")
    if unit and unit not in _UNITS.get(units, (units,)):
        raise Invalid(f"{unit!a} is not the unit of this KPI, which is in {units}.", field=path)
    return {"op": _operator(sign, units, path), "value": float(number)}


def _operator(sign: str, units: str, path: str) -> str:
    if sign:
        return _OPERATORS[sign]
    if units in _AT_MOST:
        return "lte"
    raise Invalid(
        f'Say which side of it is good: "≥ 90" or "≤ 90". In {units} neither goes without saying.', field=path
    )
