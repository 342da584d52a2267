"""RULES: which target holds for a value, whether it is met, and which two targets contradict each other.

A target names none, one or several of severity, alarm level and persona; what it leaves empty may be anything. Its
statistic says which figure it judges: empty is the KPI's own value, p90 only the 90th percentile.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import combinations
from typing import Any, Protocol, TypeVar

from django.db.models import TextChoices

from incidents.lifecycle import Severity
from majorops.lib.errors import Invalid
from teams.alarm import AlarmLevel


class Operator(TextChoices):
    LTE = "lte", "≤"
    GTE = "gte", "≥"
    LT = "lt", "<"
    GT = "gt", ">"
    EQ = "eq", "="


class Persona(TextChoices):
    """Whose expectation a target is, where audiences expect different things of one KPI."""

    EXEC = "exec", "Executives"
    STAKEHOLDER = "stakeholder", "Stakeholders"
    MIM = "mim", "Incident managers"
    RESPONDER = "responder", "Responders"


class Statistic(TextChoices):
    MEDIAN = "median", "Median"
    P90 = "p90", "90th percentile"
    P95 = "p95", "95th percentile"
    P99 = "p99", "99th percentile"


class State(StrEnum):
    MET = "met"
    AT_RISK = "at_risk"
    MISSED = "missed"


class Judging(Protocol):
    """What judging a value needs of a target."""

    @property
    def operator(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def warn_value(self) -> float | None: ...


class Target(Judging, Protocol):
    """A target: a row of the database, or one that was only read from a file."""

    @property
    def severity(self) -> str: ...
    @property
    def alarm_level(self) -> str: ...
    @property
    def persona(self) -> str: ...
    @property
    def statistic(self) -> str: ...
    @property
    def effective_from(self) -> date | None: ...
    @property
    def effective_to(self) -> date | None: ...
    @property
    def due_on(self) -> date | None: ...


@dataclass(frozen=True, slots=True)
class Stated:
    """A target as a file or a form states it."""

    operator: str
    value: float
    warn_value: float | None = None
    severity: str = ""
    alarm_level: str = ""
    persona: str = ""
    statistic: str = ""
    effective_from: date | None = None
    effective_to: date | None = None
    due_on: date | None = None


T = TypeVar("T", bound=Target)

JUDGES: dict[str, Callable[[float, float], bool]] = {
    Operator.LTE: operator.le,
    Operator.GTE: operator.ge,
    Operator.LT: operator.lt,
    Operator.GT: operator.gt,
    Operator.EQ: operator.eq,
}
#: What was measured in floats cannot be asked for exact equality with a target typed in decimals.
CLOSE = 1e-9
#: Beyond this a float no longer tells whole numbers apart.
LIMIT = 1e15
#: The columns that narrow a target down, and what they may say.
KEYS = ("severity", "alarm_level", "persona")
KNOWN: dict[str, list[str]] = {
    "severity": list(Severity.values),
    "alarm_level": list(AlarmLevel.values),
    "persona": list(Persona.values),
    "statistic": list(Statistic.values),
}


# --- Which target holds ---


def standing(
    targets: Iterable[T], dims: Mapping[str, str | None], *, at: datetime, persona: str = "", statistic: str = ""
) -> T | None:
    """The target that holds for this group on that day; None if there is none.

    The one that names most of the group's keys. Of a ladder of goals, the rung whose day came last.
    """
    day, facts = at.date(), {**dims, "persona": persona}
    holding = [
        target
        for target in targets
        if target.statistic == statistic and holds_on(target, day) and _is_about(target, facts)
    ]
    return max(holding, key=_precedence, default=None)


def upcoming(targets: Iterable[T], dims: Mapping[str, str | None], *, at: datetime) -> T | None:
    """Where none holds for this group yet: the goal that is due first."""
    day = at.date()
    later = [target for target in targets if not target.statistic and _days(target)[0] > day]
    return min((each for each in later if _is_about(each, dims)), key=lambda each: _days(each)[0], default=None)


def holds_on(target: Target, day: date) -> bool:
    """From its first day, and the day it is due, until the day before `effective_to`."""
    first, end = _days(target)
    return first <= day < end


def specificity(target: Target) -> int:
    """How many keys the target states."""
    return sum(bool(getattr(target, key)) for key in KEYS)


def _is_about(target: Target, facts: Mapping[str, str | None]) -> bool:
    return all(not getattr(target, key) or getattr(target, key) == facts.get(key) for key in KEYS)


def _precedence(target: Target) -> tuple[int, date, date]:
    return specificity(target), target.due_on or date.min, target.effective_from or date.min


def _days(target: Target) -> tuple[date, date]:
    """[first, end): the days on which the target holds."""
    first = max(target.effective_from or date.min, target.due_on or date.min)
    return first, target.effective_to or date.max


# --- Whether it is met ---


def judge(value: float, target: Judging) -> State:
    """met, at_risk (met, but beyond the warn value) or missed. Exactly on either value counts as good for ≤ and ≥."""
    if not _passes(value, target.value, target.operator):
        return State.MISSED
    if target.warn_value is None or _passes(value, target.warn_value, target.operator):
        return State.MET
    return State.AT_RISK


def _passes(value: float, limit: float, how: str) -> bool:
    return JUDGES[how](limit if abs(value - limit) < CLOSE else value, limit)


# --- What cannot be ---


def mistakes(target: Target) -> list[tuple[str, str]]:
    """(field, sentence) for all that is wrong with one target by itself."""
    found = [
        (name, f"Choose one of {', '.join(known)}, or leave it empty.")
        for name, known in KNOWN.items()
        if getattr(target, name) and getattr(target, name) not in known
    ]
    if target.operator not in JUDGES:
        found.append(("operator", f"Choose one of {', '.join(JUDGES)}."))
    # The double negation refuses NaN, of which no comparison is true.
    if not abs(target.value) < LIMIT:
        found.append(("value", "A target lies between -1e15 and 1e15."))
    first, end = _days(target)
    if first >= end:
        found.append(("effective_to", f"This must come after {first}, the day it begins."))
    return [*found, *_mistaken_warning(target)]


def _mistaken_warning(target: Target) -> list[tuple[str, str]]:
    if target.warn_value is None:
        return []
    side = {"lte": "below", "lt": "below", "gte": "above", "gt": "above"}.get(target.operator)
    if side is None:
        return [("warn_value", "An exact target is met or missed; it has no value to warn at. Leave this empty.")]
    is_inside = target.warn_value < target.value if side == "below" else target.warn_value > target.value
    if is_inside and abs(target.warn_value) < LIMIT:
        return []
    return [("warn_value", f"To warn before the target is missed, this must lie {side} {target.value:g}.")]


def ties(targets: Sequence[T]) -> list[tuple[T, T]]:
    """Pairs that could hold for one value on one day while neither is the more specific, nor the later rung."""
    return [(one, other) for one, other in combinations(targets, 2) if _is_tie(one, other)]


def _is_tie(one: Target, other: Target) -> bool:
    (first, end), (other_first, other_end) = _days(one), _days(other)
    return (
        one.statistic == other.statistic
        and one.due_on == other.due_on
        and specificity(one) == specificity(other)
        and all(not getattr(one, key) or getattr(other, key) in ("", getattr(one, key)) for key in KEYS)
        and max(first, other_first) < min(end, other_end)
    )


def in_short(target: Target) -> str:
    """`≤ 120 for critical (p90) from 2026-03-01`, without a unit."""
    sign = Operator(target.operator).label if target.operator in JUDGES else target.operator
    keys = " ".join(getattr(target, key) for key in KEYS if getattr(target, key))
    days = [("from", target.effective_from), ("until", target.effective_to), ("by", target.due_on)]
    words = [
        f"{sign} {target.value:g}",
        f"for {keys}" if keys else "",
        f"({target.statistic})" if target.statistic else "",
        *(f"{word} {day}" for word, day in days if day),
    ]
    return " ".join(word for word in words if word)


def check(targets: Sequence[Target]) -> None:
    """Raises Invalid for the first mistake or tie among all targets of one KPI."""
    for target in targets:
        for field, sentence in mistakes(target):
            raise Invalid(f"{in_short(target)}: {sentence}", field=field)
    for one, other in ties(targets):
        raise Invalid(tie_in_words(one, other), field="targets")


def tie_in_words(one: Target, other: Target) -> str:
    return (
        f'"{in_short(one)}" and "{in_short(other)}" could both hold for one value on one day. '
        "Make one of them more specific, or end it the day the other begins."
    )


# --- The documented JSON ---

_NAMES = {"when", "op", "value", "warn", "statistic", "from", "to", "dueOn"}
_DAYS = {"from": "effective_from", "to": "effective_to", "dueOn": "due_on"}


def rendered(target: Target) -> dict[str, object]:
    """`{"when": {"severity": "critical"}, "op": "lte", "value": 120.0}`; the rest only where it is set."""
    days = {name: getattr(target, column) for name, column in _DAYS.items()}
    return {
        "when": {key: getattr(target, key) for key in KEYS if getattr(target, key)},
        **({"statistic": target.statistic} if target.statistic else {}),
        "op": target.operator,
        "value": target.value,
        **({"warn": target.warn_value} if target.warn_value is not None else {}),
        **{name: day.isoformat() for name, day in days.items() if day},
    }


def stated(told: object) -> list[Stated]:
    """The targets of the documented JSON. Raises Invalid with the path of what is wrong."""
    if not isinstance(told, list):
        raise Invalid("Targets are a list, e.g. [{op: lte, value: 120}].", field="targets")
    return [_stated(one, f"targets.{index}") for index, one in enumerate(told)]


def _stated(told: Any, path: str) -> Stated:
    if not isinstance(told, dict):
        raise Invalid("A target is an object, e.g. {when: {severity: critical}, op: lte, value: 120}.", field=path)
    when = told.get("when") or {}
    if unknown := sorted(str(name) for name in {*told} - _NAMES):
        raise Invalid(f"Unknown: {', '.join(unknown)}. A target has {', '.join(sorted(_NAMES))}.", field=path)
    if not isinstance(when, dict) or {*when} - {*KEYS}:
        raise Invalid(f"A target can be for {', '.join(KEYS)}.", field=f"{path}.when")
    return Stated(
        operator=str(told.get("op", "")),
        value=_number(told.get("value"), f"{path}.value"),
        warn_value=None if told.get("warn") is None else _number(told["warn"], f"{path}.warn"),
        severity=str(when.get("severity") or ""),
        alarm_level=str(when.get("alarm_level") or ""),
        persona=str(when.get("persona") or ""),
        statistic=str(told.get("statistic") or ""),
        effective_from=_day(told.get("from"), f"{path}.from"),
        effective_to=_day(told.get("to"), f"{path}.to"),
        due_on=_day(told.get("dueOn"), f"{path}.dueOn"),
    )


def _number(told: object, path: str) -> float:
    if isinstance(told, bool) or not isinstance(told, int | float):
        raise Invalid("This must be a number.", field=path)
    try:
        return float(told)
    except OverflowError:
        raise Invalid("A target lies between -1e15 and 1e15.", field=path) from None


def _day(told: object, path: str) -> date | None:
    if told is None or (isinstance(told, date) and not isinstance(told, datetime)):
        return told
    try:
        return date.fromisoformat(str(told))
    except ValueError:
        raise Invalid("This must be a day, e.g. 2026-03-31.", field=path) from None
