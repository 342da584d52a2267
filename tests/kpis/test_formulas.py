"""What a definition may say, what it may not, and the sentence that refuses it."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpis.formulas import FormulaError, data_sources, in_words, parse
from tests.kpis import SOURCES, SPECS, formula

COUNT = {"kind": "aggregate", "rows": {"source": "events", "at": "at"}, "agg": "count"}


def changed(slug: str, path: str, value: Any) -> dict[str, Any]:
    """A seeded definition with one thing changed; `path` is dotted, with numbers for places in lists."""
    whole = copy.deepcopy(SPECS[slug])
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    here: Any = whole
    for step in steps:
        here = here[step]
    here[last] = value
    return whole


@pytest.mark.parametrize("slug", SPECS)
def test_seeded_definitions_parse(slug):
    parsed = parse(SPECS[slug], sources=SOURCES)
    assert parsed.unit == SPECS[slug]["unit"]
    assert parse(json.loads(json.dumps(SPECS[slug])), sources=SOURCES) == parsed


NOT_NULL = {"field": "resolved_at", "op": "not_null"}
DEEP: dict[str, Any] = {}
for _ in range(5000):
    DEEP = {"deeper": DEEP}

HOSTILE = {
    # names that reach for more
    "relation": (
        changed("mttr", "calc.rows.where.0.field", "user__password"),
        "calc.rows.where[0].field",
        "not allowed",
    ),
    "private": (changed("mttr", "group_by", ["_state"]), "group_by[0]", "not allowed"),
    "code": (changed("mttr", "calc.value", "__import__('os').system('id')"), "calc.value", "not allowed"),
    "code as aggregate": (changed("mttr", "calc.agg", "eval(1)"), "calc.agg", "is not known here"),
    "newline": (changed("mttr", "calc.rows.at", "resolved_at\n"), "calc.rows.at", "not allowed"),
    "key": (changed("mttr", "calc.sql", "DROP TABLE"), "calc.sql", 'no key "sql"'),
    "near key": (changed("mttr", "calc.rows.wehre", []), "calc.rows.wehre", 'Did you mean "where"'),
    "top key": (changed("mttr", "owner", "me"), "owner", 'no key "owner"'),
    # size and depth
    "17 KiB": (changed("mttr", "calc.rows.where.0.value", "x" * 17 * 1024), "", "bytes"),
    "deep objects": (changed("mttr", "calc.rows", DEEP), "calc.rows.deeper.deeper.deeper.deeper.deeper", "too deep"),
    "deep lists": (changed("mttr", "calc.value", [[[[[[[[1]]]]]]]]), "calc.value[0][0][0][0][0][0]", "too deep"),
    "many windows": (changed("mttr", "windows", ["P1D", "P2D", "P3D", "P4D", "P5D"]), "windows", "at most 4"),
    "no windows": (changed("mttr", "windows", []), "windows", "at least 1"),
    # names that are not there
    "source": (changed("mttr", "calc.rows.source", "incident"), "calc.rows.source", 'Did you mean "incidents"'),
    "field": (changed("mttr", "calc.rows.at", "resolve_at"), "calc.rows.at", 'Did you mean "resolved_at"'),
    "group": (changed("mttr", "group_by", ["team"]), "group_by[0]", 'no field "team"'),
    "key field": (changed("mtta", "calc.on.0.1", "incident"), "calc.on[0][1]", 'Did you mean "incident_id"'),
    "subject": (changed("mttr", "subject", "team_page"), "subject", "Allowed: incident, null"),
    "schema": (changed("mttr", "schema", "majorops.kpi/2"), "schema", "majorops.kpi/1"),
    # types
    "average of text": (
        changed("stakeholder-satisfaction", "calc.value", "incident_id"),
        "calc.value",
        "needs numbers",
    ),
    "percentile of time": (
        changed("mttr", "calc", {**COUNT, "agg": {"p": 95}, "value": "at"}),
        "calc.value",
        "A percentile needs numbers",
    ),
    "percentile 100": (changed("mttr", "calc.agg", {"p": 100}), "calc.agg.p", "less than 100"),
    "minus of text": (changed("mttr", "calc.value.minus", ["severity", "detected_at"]), "calc.value.minus[0]", "time"),
    "minus of one": (changed("mttr", "calc.value.minus", ["resolved_at"]), "calc.value.minus[1]", "required"),
    "count of minus": (changed("mttr", "calc.agg", "count"), "calc.agg", "not a length of time"),
    "at is no time": (changed("mttr", "calc.rows.at", "severity"), "calc.rows.at", "a time is needed"),
    "order of text": (
        changed("mttr", "calc.rows.where", [{"field": "severity", "op": "lt", "value": "high"}]),
        "calc.rows.where[0].op",
        "does not fit text",
    ),
    "text for number": (
        changed("mtta", "calc.end.rows.where.0.value", "2"),
        "calc.end.rows.where[0].value",
        "not a number",
    ),
    "true for number": (
        changed("mtta", "calc.end.rows.where.0.value", True),
        "calc.end.rows.where[0].value",
        "not a number",
    ),
    "null compared": (
        changed("mttr", "calc.rows.where", [{"field": "severity", "op": "eq", "value": None}]),
        "calc.rows.where[0].value",
        "is_null",
    ),
    "time without zone": (
        changed("mttr", "calc.rows.where", [{"field": "detected_at", "op": "gte", "value": "2026-01-01T00:00:00"}]),
        "calc.rows.where[0].value",
        "2026-03-02T10:00:00Z",
    ),
    "other type": (
        changed("cadence-adherence", "calc.hit.0.value.field", "state"),
        "calc.hit[0].value.field",
        "holds a time and",
    ),
    "value of is_null": (
        changed("mttr", "calc.rows.where.0.value", 1),
        "calc.rows.where[0].value",
        "takes no value",
    ),
    "in without list": (
        changed("mttr", "calc.rows.where", [{"field": "severity", "op": "in", "value": "high"}]),
        "calc.rows.where[0].value",
        "a list",
    ),
    "empty any": (changed("mttr", "calc.rows.where", [{"any": []}]), "calc.rows.where[0].any", "at least 2"),
    "nested any": (
        changed("mttr", "calc.rows.where", [{"any": [{"any": [NOT_NULL, NOT_NULL]}, NOT_NULL]}]),
        "calc.rows.where[0].any[0].any",
        'no key "any"',
    ),
    # numbers that are none
    "NaN": (changed("mtta", "calc.end.rows.where.0.value", float("nan")), "calc.end.rows.where[0].value", "finite"),
    "infinity": (
        changed("mtta", "calc.end.rows.where.0.value", float("inf")),
        "calc.end.rows.where[0].value",
        "finite",
    ),
    "huge": (changed("mtta", "calc.end.rows.where.0.value", 10**400), "calc.end.rows.where[0].value", "2^53"),
    "NUL": (changed("mttr", "subject", "inci\x00dent"), "subject", "NUL"),
    "half a character": (changed("mttr", "subject", "\ud800"), "subject", "broken"),
    "no JSON": (changed("mttr", "windows", {"P30D"}), "windows", "no JSON value"),
    # windows and units
    "P0D": (changed("mttr", "windows", ["P0D"]), "windows[0]", "P30D"),
    "month": (changed("mttr", "windows", ["P1M"]), "windows[0]", "calendar-month"),
    "same window": (changed("mttr", "windows", ["P1D", "P1D"]), "windows", "once"),
    "unit": (changed("mttr", "unit", "hours"), "unit", "in minutes"),
    "unit of interval": (changed("mtta", "calc.unit", "hours"), "unit", "in hours"),
    "unit of ratio": (changed("cadence-adherence", "unit", "minutes"), "unit", "percent or ratio"),
    "unit of count": (
        {**changed("mttr", "calc", COUNT), "subject": None, "group_by": []},
        "unit",
        "A count is no minutes",
    ),
    "rate without rate": (
        {**changed("mttr", "calc", {**COUNT, "every": "P7D"}), "subject": None, "unit": "per_day", "group_by": []},
        "unit",
        "every P7D needs",
    ),
    "rate over all time": (
        {
            **changed("mttr", "calc", {**COUNT, "every": "P7D"}),
            "subject": None,
            "unit": "per_week",
            "group_by": [],
            "windows": ["all"],
        },
        "windows[0]",
        "no fixed number",
    ),
    "rate of a subject": (
        {**changed("mttr", "calc", {**COUNT, "every": "P7D"}), "subject": "event", "unit": "per_week", "group_by": []},
        "subject",
        "A rate",
    ),
    # kinds
    "no such kind": (changed("mttr", "calc.kind", "sql"), "calc.kind", "no such kind"),
    "near kind": (changed("mttr", "calc.kind", "agregate"), "calc.kind", 'Did you mean "aggregate"'),
    "no kind": (changed("mttr", "calc", {}), "calc.kind", "required"),
    "calc is text": (changed("mttr", "calc", "JSON object"), "calc", "JSON object"),
    "hit and num": (
        changed("cadence-adherence", "calc.num", {"source": "update_promises", "at": "due_at"}),
        "calc.hit",
        "either",
    ),
    "neither": (changed("cadence-adherence", "calc.hit", []), "calc.hit", "either"),
    "num_value alone": (changed("cadence-adherence", "calc.num_value", "score"), "calc.num_value", "goes with num"),
    "per without then": (changed("mttr", "calc.per", ["severity"]), "calc.then", "together"),
    "sum of nothing": (changed("mttr", "calc", {**COUNT, "agg": "sum"}), "calc.value", "required"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_definition_is_refused_where_it_is_wrong(name):
    hostile, path, words = HOSTILE[name]
    with pytest.raises(FormulaError) as refusal:
        parse(hostile, sources=SOURCES)
    assert (refusal.value.path, words in refusal.value.message) == (path, True), str(refusal.value)[:300]


@pytest.mark.parametrize("spec", [None, 5, [], "avg(resolved_at)", json.dumps(SPECS["mttr"])])
def test_only_an_object_is_a_formula(spec):
    with pytest.raises(FormulaError, match="JSON object"):
        parse(spec, sources=SOURCES)


@pytest.mark.parametrize("key", ["schema", "windows", "unit", "calc"])
def test_required_keys_are_asked_for(key):
    spec = {name: value for name, value in SPECS["mttr"].items() if name != key}
    with pytest.raises(FormulaError, match=f"{key}: This is required"):
        parse(spec, sources=SOURCES)


def test_only_some_times_place_a_row():
    shape = replace(SOURCES["incidents"], time_fields=("detected_at",))
    with pytest.raises(FormulaError, match=r"calc\.rows\.at: resolved_at cannot place a row .* Allowed: detected_at"):
        parse(SPECS["mttr"], sources={"incidents": shape})


def test_deepest_condition_still_fits():
    """An `any` with a field on its other side is as deep as the language goes."""
    either = {"any": [NOT_NULL, {"field": "resolved_at", "op": "gte", "value": {"field": "detected_at"}}]}
    parse(changed("mtta", "calc.start.rows.where", [either]), sources=SOURCES)


def test_formula_cannot_be_changed_after_its_check():
    with pytest.raises(ValueError, match="frozen"):
        formula("mttr").unit = "hours"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "rows", "source", "any", "field"]), inner)
), max_leaves=10), st.sampled_from(["calc", "windows", "group_by", "subject", "unit", "schema"]))  # fmt: skip
def test_any_json_is_parsed_or_refused_in_words(value, key):
    with suppress(FormulaError):  # anything else is a bug
        assert parse({**SPECS["mttr"], key: value}, sources=SOURCES)


def test_data_sources_name_every_field_that_is_read():
    assert data_sources(formula("mtta")) == (
        "incidents.id",
        "incidents.issue_time",
        "incidents.severity",
        "phase_entries.created_at",
        "phase_entries.incident_id",
        "phase_entries.phase_number",
    )
    assert data_sources(formula("cadence-adherence")) == (
        "update_promises.delivered_at",
        "update_promises.due_at",
        "update_promises.state",
    )


WORDS = {
    "mttr": "Average of resolved_at minus detected_at, in minutes, over incidents where resolved_at is known. "
    "Rows count by their resolved_at. One figure is kept for each incident. Also split by severity. "
    "Over the last 30 days.",
    "mtta": "Average time, in minutes, from the first issue_time in incidents where issue_time is known to the first "
    "created_at in phase_entries where phase_number is 2, matched on id = incident_id. An end before its start is "
    "reported as invalid. Rows count by their issue_time. One figure is kept for each incident. "
    "Also split by severity. Over the last 30 days.",
    "cadence-adherence": "Share of update_promises whose delivered_at is at most due_at, in percent. "
    "Judged only when state is not pending. Rows count by their due_at. One figure is kept for each incident. "
    "Over the last 30 days.",
}


@pytest.mark.parametrize("slug", WORDS)
def test_formula_is_told_in_words(slug):
    assert in_words(formula(slug)) == WORDS[slug]


@pytest.mark.parametrize("slug", SPECS)
def test_words_name_every_field_that_is_read(slug):
    assert all(field.split(".")[1] in in_words(formula(slug)) for field in data_sources(formula(slug)))
