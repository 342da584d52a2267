"""Which target holds, what is met, at risk or missed, and which two contradict each other."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from kpis.targets import State, Stated, check, judge, mistakes, rendered, standing, stated, ties, upcoming
from majorops.lib.errors import Invalid
from tests.factories import NOON

TODAY = NOON.date()
TOMORROW = TODAY + timedelta(days=1)


def target(value: float = 120, operator: str = "lte", **more: Any) -> Stated:
    return Stated(operator, value, **more)


FOR_ALL = target()
CRITICAL = target(60, severity="critical")
CRITICAL_EXEC = target(90, severity="critical", persona="exec")


def test_the_target_that_names_the_most_keys_counts() -> None:
    targets = [FOR_ALL, CRITICAL_EXEC, CRITICAL]
    assert standing(targets, {"severity": "critical"}, at=NOON) is CRITICAL
    assert standing(targets, {"severity": "critical"}, at=NOON, persona="exec") is CRITICAL_EXEC
    assert standing(targets, {"severity": "low", "team": "db"}, at=NOON, persona="exec") is FOR_ALL
    assert standing([CRITICAL], {}, at=NOON) is None


def test_of_the_goals_to_come_the_next_one_is_named() -> None:
    week_4, week_12 = (target(60, due_on=TODAY + timedelta(weeks=weeks)) for weeks in (4, 12))
    assert upcoming([FOR_ALL, week_12, week_4], {}, at=NOON) is week_4
    assert upcoming([FOR_ALL, target(due_on=TODAY)], {}, at=NOON) is None
    assert upcoming([target(severity="critical", due_on=TOMORROW)], {"severity": "high"}, at=NOON) is None


def test_a_target_of_a_statistic_judges_no_other_figure() -> None:
    p95 = target(240, statistic="p95")
    assert standing([FOR_ALL, p95], {}, at=NOON, statistic="p95") is p95
    assert standing([FOR_ALL, p95], {}, at=NOON) is FOR_ALL
    assert standing([FOR_ALL], {}, at=NOON, statistic="p95") is None


@pytest.mark.parametrize(
    ("days", "holds"),
    [
        ({"effective_from": TODAY}, True),
        ({"effective_from": TOMORROW}, False),
        ({"effective_to": TOMORROW}, True),
        ({"effective_to": TODAY}, False),
        ({"due_on": TODAY}, True),
        ({"due_on": TOMORROW}, False),
    ],
)
def test_a_target_holds_from_its_first_day_until_the_day_before_its_end(days: dict[str, date], holds: bool) -> None:
    one = target(**days)
    assert standing([one], {}, at=NOON) is (one if holds else None)


def test_of_a_ladder_the_last_rung_that_is_due_counts() -> None:
    rungs = [target(value, "gte", due_on=TODAY + timedelta(weeks=week)) for value, week in ((95, 8), (80, 0), (90, 4))]
    reached = [standing(rungs, {}, at=NOON + timedelta(weeks=week)) for week in (-1, 0, 4, 7, 8)]
    assert [rung and rung.value for rung in reached] == [None, 80, 90, 90, 95]


@pytest.mark.parametrize(
    ("operator", "limit", "warn", "value", "state"),
    [
        ("lte", 5, None, 5, State.MET),
        ("lte", 5, None, 5.01, State.MISSED),
        ("lte", 120, 100, 100, State.MET),
        ("lte", 120, 100, 100.5, State.AT_RISK),
        ("lte", 120, 100, 120, State.AT_RISK),
        ("lte", 120, 100, 120.5, State.MISSED),
        ("lt", 5, None, 5, State.MISSED),
        ("lt", 5, 4, 4, State.AT_RISK),
        ("gte", 90, 95, 95, State.MET),
        ("gte", 90, 95, 94.9, State.AT_RISK),
        ("gte", 90, None, 89.99, State.MISSED),
        ("gt", 0, None, 0, State.MISSED),
        ("eq", 0.3, None, 0.1 + 0.2, State.MET),
        ("lte", 0.3, None, 0.1 + 0.2, State.MET),
        ("lt", 0.3, None, 0.3 - 1e-12, State.MISSED),
    ],
)
def test_a_value_is_met_at_risk_or_missed(
    operator: str, limit: float, warn: float | None, value: float, state: State
) -> None:
    assert judge(value, target(limit, operator, warn_value=warn)) is state


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"severity": "criticl"}, "severity"),
        ({"alarm_level": "box9"}, "alarm_level"),
        ({"persona": "boss"}, "persona"),
        ({"statistic": "p12"}, "statistic"),
        ({"operator": "about"}, "operator"),
        ({"value": float("nan")}, "value"),
        ({"value": -1e15}, "value"),
        ({"effective_from": TODAY, "effective_to": TODAY}, "effective_to"),
        ({"due_on": TOMORROW, "effective_to": TODAY}, "effective_to"),
        ({"warn_value": 120}, "warn_value"),
        ({"operator": "gte", "warn_value": 119}, "warn_value"),
        ({"operator": "eq", "warn_value": 1}, "warn_value"),
        ({"warn_value": float("-inf")}, "warn_value"),
    ],
)
def test_a_mistake_is_told_at_its_field(more: dict[str, Any], field: str) -> None:
    assert [name for name, _ in mistakes(target(**more))] == [field]


APRIL, MAY = date(2026, 4, 1), date(2026, 5, 1)


@pytest.mark.parametrize(
    ("one", "other", "tied"),
    [
        ({}, {}, True),
        ({"severity": "critical"}, {"severity": "critical"}, True),
        ({"severity": "critical"}, {"severity": "high"}, False),
        ({"severity": "critical"}, {"alarm_level": "box3"}, True),
        ({"severity": "critical"}, {}, False),
        ({"severity": "critical", "persona": "exec"}, {"alarm_level": "box3", "persona": "mim"}, False),
        ({"statistic": "p95"}, {}, False),
        ({"effective_to": MAY}, {"effective_from": MAY}, False),
        ({"effective_to": MAY}, {"effective_from": APRIL}, True),
        ({"effective_from": APRIL}, {"effective_from": MAY}, True),
        ({"due_on": APRIL}, {"due_on": MAY}, False),
        ({"due_on": MAY}, {"due_on": MAY, "effective_from": APRIL}, True),
        ({"due_on": MAY, "effective_from": APRIL}, {"due_on": MAY, "effective_to": MAY + timedelta(days=1)}, True),
    ],
)
def test_two_targets_tie_when_one_value_on_one_day_could_have_both(
    one: dict[str, Any], other: dict[str, Any], tied: bool
) -> None:
    first, second = target(1, **one), target(2, **other)
    assert ties([first, second]) == ([(first, second)] if tied else [])
    assert bool(ties([second, first])) is tied


def test_a_tie_is_refused_with_both_named() -> None:
    with pytest.raises(Invalid, match=r"≤ 60 for critical.*≤ 5 for box3"):
        check([CRITICAL, FOR_ALL, target(5, alarm_level="box3")])


def test_the_documented_json_of_a_target_reads_back_as_it_was() -> None:
    whole = target(120, warn_value=100, severity="critical", persona="exec", statistic="p90", due_on=MAY)
    whole_again = {
        "when": {"severity": "critical", "persona": "exec"},
        "statistic": "p90",
        "op": "lte",
        "value": 120,
        "warn": 100,
        "dueOn": "2026-05-01",
    }
    assert rendered(whole) == whole_again
    assert stated([whole_again, rendered(FOR_ALL)]) == [whole, FOR_ALL]


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ({}, "targets"),
        (["120"], "targets.0"),
        ([{"op": "lte", "value": 1}, {"op": "lte"}], "targets.1.value"),
        ([{"op": "lte", "value": "1"}], "targets.0.value"),
        ([{"op": "lte", "value": True}], "targets.0.value"),
        ([{"op": "lte", "value": 10**400}], "targets.0.value"),
        ([{"op": "lte", "value": 1, "when": {"team": "db"}}], "targets.0.when"),
        ([{"op": "lte", "value": 1, "vaule": 2}], "targets.0"),
        ([{"op": "lte", "value": 1, "dueOn": "May"}], "targets.0.dueOn"),
    ],
)
def test_json_that_is_no_target_is_refused_with_its_path(told: object, path: str) -> None:
    with pytest.raises(Invalid) as refused:
        stated(told)
    assert refused.value.field == path
