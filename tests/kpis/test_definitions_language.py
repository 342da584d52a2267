"""All nine kinds: what they may say, what is refused where, and how they are told in words."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from kpis.compute import backfill, recompute_incident
from kpis.definitions import audience_of, formula_of, save_version
from kpis.formulas import FormulaError, KpiShape, data_sources, in_words, parse, references, references_in, source_names
from kpis.models import KpiDefinition, KpiObservation
from majorops.lib.errors import Invalid
from tests.factories import NOON, IncidentFactory
from tests.factories import at as time_of_day
from tests.kpis import DEFINITIONS, KPIS, REGISTRY, definition, spec


@pytest.mark.parametrize("slug", DEFINITIONS)
def test_each_definition_of_the_note_is_valid(slug):
    found = definition(slug)
    assert (found.calc.kind, found.unit) == (DEFINITIONS[slug]["calc"]["kind"], DEFINITIONS[slug]["unit"])


def test_there_are_34_of_nine_kinds():
    assert len(DEFINITIONS) == 34
    assert len({one["calc"]["kind"] for one in DEFINITIONS.values()}) == 9


def changed(slug: str, path: str, value: Any) -> dict[str, Any]:
    """A definition with one thing changed; `path` is dotted, with numbers for places in lists."""
    whole = copy.deepcopy(DEFINITIONS[slug])
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    here: Any = whole
    for step in steps:
        here = here[step]
    here[last] = value
    return whole


def tree(op: str, *args: Any) -> dict[str, Any]:
    return spec({"kind": "derived", "expr": {"op": op, "args": list(args)}}, unit="percent")


RATE, NPS, MTTR = {"kpi": "error-rate"}, {"kpi": "nps"}, {"kpi": "mttr"}
DEEP = tree("add", 1, RATE)
for _ in range(5):
    DEEP = tree("add", 1, DEEP["calc"]["expr"])

HOSTILE = {
    # conversion
    "conversion in minutes": (changed("activation-rate", "unit", "minutes"), "unit", "A conversion is in percent"),
    "within a text": (
        changed("activation-rate", "calc.within", {"field": "shop_domain"}), "calc.within.field", "a number"
    ),
    "within nothing": (changed("activation-rate", "calc.within", "P0D"), "calc.within", "Write a period"),
    "within code": (changed("activation-rate", "calc.within", "7*24"), "calc.within", "Write a period"),
    "convert without source": (
        changed("activation-rate", "calc.convert.source", "decision"), "calc.convert.source", 'Did you mean "decisions"'
    ),
    "relation in keys": (
        changed("activation-rate", "calc.on", [["shop_domain", "user__password"]]), "calc.on[0][1]", "not allowed"
    ),
    "keys that never match": (
        changed("activation-rate", "calc.on", [["shop_domain", "decided_at"]]), "calc.on[0]", "never match"
    ),
    "no keys": (changed("activation-rate", "calc.on", []), "calc.on", "at least 1"),
    "what is open counts": (changed("activation-rate", "calc.open", "count"), "calc.open", "Allowed: exclude"),
    "last of its kind": (changed("activation-rate", "calc.entity", "last"), "calc.entity", "Allowed: each, first"),
    "rows that convert themselves": (
        changed("activation-rate", "calc.convert", DEFINITIONS["activation-rate"]["calc"]["base"]),
        "calc.convert", "convert itself",
    ),
    # recency
    "recency as score": (changed("secret-rotation", "unit", "score"), "unit", "A recency is in percent or ratio"),
    "age of a text": (changed("secret-rotation", "calc.max_age", {"field": "type"}), "calc.max_age.field", "a number"),
    "age of no field": (
        changed("secret-rotation", "calc.max_age.field", "attrs.days"), "calc.max_age.field", "no field"
    ),
    "universe in time": (changed("secret-rotation", "calc.universe.at", "id"), "calc.universe.at", 'no key "at"'),
    "universe of nothing": (
        changed("secret-rotation", "calc.universe.source", "fact:*"), "calc.universe.source", "no source"
    ),
    "universe by a relation": (
        changed("secret-rotation", "calc.universe.where.0.field", "owner__token"),
        "calc.universe.where[0].field", "not allowed",
    ),
    # composite
    "composite in percent": (changed("health-score", "unit", "percent"), "unit", "A composite is a score"),
    "weights": (changed("health-score", "calc.parts.0.weight", 0.3), "calc.parts", "add up to 1.05"),
    "weight below zero": (changed("health-score", "calc.parts.0.weight", -1), "calc.parts[0].weight", "greater than 0"),
    "light weights": (changed("health-score", "calc.parts.0.weight", 0.2), "calc.parts", "add up to 0.95"),
    "no parts": (changed("health-score", "calc.parts", []), "calc.parts", "at least 1"),
    "part twice": (changed("health-score", "calc.parts.1.kpi", "security-score"), "calc.parts[1].kpi", "already"),
    "unknown part": (changed("health-score", "calc.parts.2.kpi", "performance"), "calc.parts[2].kpi", "no KPI"),
    "part of itself": (
        changed("health-score", "calc.parts.0.kpi", "health-score"), "calc.parts[0].kpi", "made of itself"
    ),
    "part by a path": (changed("health-score", "calc.parts.0.kpi", "../passwd"), "calc.parts[0].kpi", "by its slug"),
    "flat scale": (changed("health-score", "calc.parts.0.worst", 100), "calc.parts[0].best", "another number"),
    "missing as zero": (changed("health-score", "calc.missing", "zero"), "calc.missing", "Allowed: null, renormalise"),
    "min_weight alone": (changed("health-score", "calc.min_weight", 0.5), "calc.min_weight", "goes with"),
    "sample of a composite": (changed("health-score", "subject", "incident"), "subject", "no samples"),
    "composite by team": (changed("health-score", "group_by", ["team"]), "group_by[0]", "not split by team"),
    # derived
    "text to run": (
        spec({"kind": "derived", "expr": "100 - error-rate"}, unit="percent"), "calc.expr", "Write a number"
    ),
    "call": (tree("__import__", RATE, 1), "calc.expr.op", "Allowed: add, div, max, min, mul, sub"),
    "power": (tree("pow", 9, 9), "calc.expr.op", "not known here"),
    "one argument": (tree("sub", RATE), "calc.expr.args", "at least 2"),
    "three for sub": (tree("sub", RATE, 1, 2), "calc.expr.args", "sub takes two"),
    "by zero": (tree("div", RATE, 0), "calc.expr.args[1]", "divided by 0"),
    "only numbers": (tree("add", 1, 2), "calc.expr", "made of others"),
    "true as number": (tree("add", RATE, True), "calc.expr.args[1]", "Write a number here, not true"),
    "unknown in a tree": (tree("add", 1, tree("mul", 2, {"kpi": "errors"})["calc"]["expr"]),
                          "calc.expr.args[1].args[1].kpi", "no KPI"),
    "minutes and percent": (tree("sub", MTTR, RATE), "calc.expr.args", "minutes and percent"),
    "minutes as percent": (tree("max", MTTR, 5), "unit", "in minutes"),
    "shift into the future": (tree("sub", RATE, {**RATE, "shift": "-P7D"}), "calc.expr.args[1].shift", "a period"),
    "derived of itself": (
        changed("error-budget-left", "calc.expr.args.1.args.1.args.0.kpi", "error-budget-left"),
        "calc.expr.args[1].args[1].args[0].kpi", "made of itself",
    ),
    "deep tree": (DEEP, "calc.expr.args[1].args[1].args[1].args[1].args[1]", "too deep"),
    # reported and builtin
    "reported with a formula": (changed("nps", "calc.expr", 5), "calc.expr", 'no key "expr"'),
    "reported by team": (changed("nps", "group_by", ["team"]), "group_by", "as a whole"),
    "reported of nothing": (changed("nps", "subject", "anything"), "subject", "Allowed: "),
    "function": (changed("dispatch-credit", "calc.name", "os.system"), "calc.name", "Allowed: dispatch_credit"),
    "version to come": (changed("dispatch-credit", "calc.version", 2), "calc.version", "equal to 1"),
    "version that is true": (changed("dispatch-credit", "calc.version", True), "calc.version", "Write a number"),
    "own weights": (
        changed("dispatch-credit", "calc.params.arrival_points", 90), "calc.params.arrival_points", "no key"
    ),
    "rated at once": (changed("dispatch-credit", "calc.params.min_rated", 0), "calc.params.min_rated", "greater than"),
    "rated before provisional": (
        changed("dispatch-credit", "calc.params.min_rated", 4), "calc.params.min_provisional", "before a rated one"
    ),
    "class in percent": (changed("dispatch-credit", "unit", "percent"), "unit", "gives a class"),
    "credit by user": (changed("dispatch-credit", "subject", "team_page"), "subject", "no samples"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_definition_is_refused_where_it_is_wrong(name):
    hostile, path, words = HOSTILE[name]
    own = next((slug for slug in ("error-budget-left", "health-score") if slug in str(hostile["calc"])), None)
    with pytest.raises(FormulaError) as refusal:
        parse(hostile, sources=REGISTRY, kpis=KPIS, slug=own)
    assert (refusal.value.path, words in refusal.value.message) == (path, True), str(refusal.value)[:300]


# --- KPIs made of other KPIs ---


def chain(*slugs: str, visibility: str = "internal") -> dict[str, KpiShape]:
    """KPIs in percent, each made of the next."""
    return {
        slug: KpiShape(slug, "percent", visibility, slugs[index + 1 : index + 2]) for index, slug in enumerate(slugs)
    }


def uses(kpi: str, kpis: dict[str, KpiShape], *, slug: str | None = None, visibility: str | None = None) -> None:
    parse(tree("mul", 2, {"kpi": kpi}), sources=REGISTRY, kpis=kpis, slug=slug, visibility=visibility)


def test_a_circle_is_found_however_long():
    kpis = {**chain("a", "b", "c"), "c": KpiShape("c", "percent", "internal", ("top",))}
    with pytest.raises(FormulaError, match=r"calc\.expr\.args\[1\]\.kpi: .* top -> a -> b -> c -> top"):
        uses("a", kpis, slug="top")


def test_a_circle_among_others_is_no_endless_search():
    kpis = {**chain("a", "b"), "b": KpiShape("b", "percent", "internal", ("a",))}
    with pytest.raises(FormulaError, match="a -> b -> a"):
        uses("a", kpis, slug="top")


def test_two_ways_to_one_kpi_are_no_circle():
    kpis = {**chain("b", "d"), **chain("c", "d"), "d": KpiShape("d", "percent", "internal")}
    parse(tree("add", {"kpi": "b"}, {"kpi": "c"}), sources=REGISTRY, kpis=kpis, slug="a")


def test_a_chain_has_at_most_five_links():
    uses("a", chain(*"abcde"), slug="top")
    with pytest.raises(FormulaError, match="more than 5 KPIs"):
        uses("a", chain(*"abcdef"), slug="top")


@pytest.mark.parametrize(
    ("part", "whole", "is_fine"),
    [
        ("internal", "internal", True),
        ("exec", "internal", True),
        ("stakeholder", "exec", True),
        ("internal", "exec", False),
        ("exec", "stakeholder", False),
        ("personal", "internal", False),
    ],
)
def test_the_whole_is_seen_by_no_more_people_than_its_parts(part, whole, is_fine):
    kpis = chain("a", visibility=part)
    if is_fine:
        uses("a", kpis, visibility=whole)
    else:
        with pytest.raises(FormulaError, match=rf"args\[1\]\.kpi: a is {part}; a KPI that is {whole} would show"):
            uses("a", kpis, visibility=whole)


def test_without_other_kpis_there_is_none_to_name():
    with pytest.raises(FormulaError, match='no KPI "a"'):
        parse(tree("mul", 2, {"kpi": "a"}), sources=REGISTRY)


def test_references_of_a_formula_and_of_its_json_are_the_same():
    for slug, stated in DEFINITIONS.items():
        assert references(definition(slug)) == references_in(stated)
    assert references(definition("revenue-pipeline-growth-7d")) == ("revenue-pipeline",)
    assert len(references(definition("health-score"))) == 5


@pytest.mark.parametrize("draft", [None, 5, [], {"calc": None}, {"calc": {"kind": "derived"}}, {"calc": {"kpi": "a"}}])
def test_a_draft_that_says_nothing_refers_to_nothing(draft):
    assert references_in(draft) == ()


# --- In words ---

WORDS = {
    "activation-rate": "Share of fact:dashboard.session.opened that a row of decisions where scope is ops follows by "
    "its decided_at within 7 days, in percent, matched on shop_domain = shop_domain. Of fact:dashboard.session.opened "
    "only the first row of its key counts. Rows whose time is not over yet are left out, even if they were followed "
    "already. Rows count by their occurred_at. Over the last 28 days.",
    "secret-rotation": "Share of subjects where type is credential and active is true whose newest occurred_at in "
    "fact:key_rotated is at most the days that attrs.policy_days says old, in percent, matched on id = subject_id. "
    "What never had one is too old. Also split by credential_type. Over all time.",
    "health-score": "Weighted mean, from 0 to 100, of security-score (25 %), compliance-score (25 %), "
    "performance-score (20 %), business-value-score (20 %), operational-score (10 %). "
    "What lies beyond a scale counts as its end. When a part has no value, neither has this. Over each day.",
    "error-budget-left": "100 - (100 x (error-rate / 0.1)). When one of them has no value, neither has this. "
    "Also split by service. Over the last 30 days.",
    "revenue-pipeline-growth-7d": "revenue-pipeline - revenue-pipeline 7 days before. When one of them has no value, "
    "neither has this. Over all time.",
    "nps": "Nothing is computed; the value is the one that people or other systems report. Over the last 90 days.",
}


@pytest.mark.parametrize("slug", WORDS)
def test_formula_is_told_in_words(slug):
    assert in_words(definition(slug)) == WORDS[slug]


@pytest.mark.parametrize("slug", DEFINITIONS)
def test_words_name_everything_that_is_read(slug):
    told = in_words(definition(slug))
    for source in source_names(definition(slug)):
        fields = [
            one.removeprefix(f"{source}.") for one in data_sources(definition(slug)) if one.startswith(f"{source}.")
        ]
        assert source in told
        assert fields
        assert [field for field in fields if field not in told] == []
    assert all(kpi in told for kpi in references(definition(slug)))


def test_sources_of_facts_keep_their_dots():
    assert source_names(definition("sla-resolution-time")) == ("decisions", "fact:chatwoot.escalations")
    assert data_sources(definition("secret-rotation")) == (
        "fact:key_rotated.occurred_at",
        "fact:key_rotated.subject_id",
        "subjects.active",
        "subjects.attrs.policy_days",
        "subjects.credential_type",
        "subjects.id",
        "subjects.type",
    )
    assert data_sources(definition("revenue-pipeline-growth-7d")) == ("kpi:revenue-pipeline",)
    assert (data_sources(definition("nps")), source_names(definition("nps"))) == ((), ())


# --- Definitions as rows: what they may be made of, and what a run makes of them ---


def define(slug: str, calc: dict[str, Any], *, unit: str = "minutes", **fields: Any) -> KpiDefinition:
    stands = {"name": slug, "description": slug, "formula": slug, "owner": "MIM Lead", "visibility": "internal"}
    envelope = {"windows": ["P30D"], "unit": unit, **fields.pop("envelope", {})}
    kpi = KpiDefinition.objects.create(slug=slug, units=unit, spec=spec(calc, **envelope), **{**stands, **fields})
    save_version(kpi, by=None, reason="for a test", now=NOON)
    return kpi


def double(kpi: str) -> dict[str, Any]:
    return {"kind": "derived", "expr": {"op": "mul", "args": [2, {"kpi": kpi}]}}


def overall(kpi: KpiDefinition) -> KpiObservation:
    return KpiObservation.objects.current().get(kpi=kpi, dims_key="")


TOMORROW = time_of_day("2026-03-03T00:00")


@pytest.mark.django_db
def test_run_of_a_derived_kpi_computes_its_parts_at_the_same_moment() -> None:
    IncidentFactory(closed=True)
    kpi = define("twice", double("mttr"), envelope={"group_by": ["severity"]})
    backfill(kpi, as_of=TOMORROW)
    assert overall(kpi).value == 180.0
    assert overall(kpi).inputs == ["kpi:mttr"]
    assert list(KpiObservation.objects.filter(kpi=kpi).exclude(dims_key="").values_list("dims_key", "value")) == [
        ("severity=critical", 180.0)
    ]
    assert (backfill(kpi, as_of=TOMORROW).same, backfill(kpi, as_of=TOMORROW).changed) == (2, 0)


@pytest.mark.django_db
def test_evidence_of_the_whole_is_that_of_its_worst_part() -> None:
    IncidentFactory(closed=True)
    calc = {"kind": "composite", "missing": "renormalise", "parts": [
        {"kpi": "mttr", "weight": 0.6, "worst": 180, "best": 0},
        {"kpi": "stakeholder-satisfaction", "weight": 0.4, "worst": 1, "best": 5},
    ]}  # fmt: skip
    kpi = define("health", calc, unit="score")
    backfill(kpi, as_of=TOMORROW)
    codes = {reason["code"] for reason in overall(kpi).evidence_reasons}
    assert (overall(kpi).value, overall(kpi).coverage, overall(kpi).evidence) == (50.0, 0.6, "partial")
    assert codes == {"low_coverage", "parts_missing", "part_partial"}
    kpi.spec["calc"]["missing"] = "null"
    kpi.save()
    backfill(kpi, as_of=TOMORROW)
    assert (overall(kpi).value, overall(kpi).reason, overall(kpi).evidence) == (None, "part_missing", "proposed")


@pytest.mark.django_db
def test_reported_kpi_is_what_was_stated_last() -> None:
    kpi = define("nps", {"kind": "reported"}, unit="score")
    whole = define("twice", double("nps"), unit="score")
    assert backfill(kpi, as_of=TOMORROW).new == 0
    backfill(whole, as_of=TOMORROW)
    assert (overall(whole).value, overall(whole).evidence) == (None, "proposed")
    stands = {"kpi": kpi, "subject_type": "org", "subject_id": "org", "subject_key": "org:org", "window": "P30D",
              "timestamp": NOON, "revision": 1, "units": "score", "n": 1, "source": "import", "evidence": "partial",
              "definition_version": kpi.versions.get()}  # fmt: skip
    KpiObservation.objects.create(value=42, created_at=NOON, result_sha256="0" * 64, **stands)
    backfill(whole, as_of=TOMORROW)
    assert (overall(whole).value, overall(whole).evidence) == (84.0, "partial")


@pytest.mark.django_db
def test_dispatch_credit_runs_on_stored_pages() -> None:
    kpi = define("credit-again", DEFINITIONS["dispatch-credit"]["calc"], unit="class",
                 envelope={"group_by": ["team", "alarm_level"], "windows": ["P90D"]})  # fmt: skip
    counts = backfill(kpi, as_of=TOMORROW)
    assert (counts.new, counts.without_value) == (1, {"no_samples": 1})


@pytest.mark.django_db
def test_incident_action_asks_nothing_of_kpis_without_samples() -> None:
    incident = IncidentFactory(closed=True)
    with CaptureQueriesContext(connection) as before:
        recompute_incident(incident.pk, now=TOMORROW)
    define("twice", double("mttr"))
    recompute_incident(incident.pk, now=TOMORROW)
    with CaptureQueriesContext(connection) as after:
        recompute_incident(incident.pk, now=TOMORROW)
    assert not [query for query in after.captured_queries if "twice" in query["sql"]]
    assert len(after) <= len(before)


@pytest.mark.django_db
def test_definition_is_checked_against_the_others() -> None:
    first = define("first", double("mttr"))
    define("second", double("first"))
    first.spec = spec(double("second"), windows=["P30D"], unit="minutes")
    with pytest.raises(Invalid, match="first -> second -> first"):
        formula_of(first)
    open_to_all = define("open", double("mtta"), visibility="exec")
    with pytest.raises(Invalid, match="mtta is internal; a KPI that is exec would show"):
        formula_of(open_to_all)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "audience"),
    [
        ({"visibility": "exec", "stakeholder_visible": True}, "stakeholder"),
        ({"visibility": "exec"}, "exec"),
        ({"visibility": "internal", "stakeholder_visible": True}, "internal"),
        ({"visibility": "exec", "is_personal": True}, "personal"),
    ],
)
def test_audience_of_a_definition(fields: dict[str, Any], audience: str) -> None:
    assert audience_of(KpiDefinition(slug="x", **fields)) == audience
