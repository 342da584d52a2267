"""The label of a number follows from the data; nobody types it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from kpis.evidence import Evidence, EvidenceInputs, derive, min_sample
from tests.kpis import definition, formula

SOUND = EvidenceInputs(
    value=110.0,
    n=5,
    coverage=0.8,
    mean_confidence=0.8,
    age=timedelta(days=2),
    expected_every=timedelta(days=1),
    reproduced=True,
)

CASES = [
    # (what is different, label, codes)
    ({}, "verified", []),
    ({"problem": "no_formula"}, "proposed", ["no_formula"]),
    ({"problem": "formula_invalid", "value": None}, "proposed", ["formula_invalid"]),
    ({"is_reported": True, "value": None}, "proposed", ["no_instrument"]),
    ({"never_received": ("deployed",), "value": None}, "proposed", ["never_received"]),
    ({"value": None, "missing": "zero_denominator"}, "unverified", ["zero_denominator"]),
    ({"value": None, "missing": "all_invalid"}, "unverified", ["all_invalid"]),
    ({"value": None}, "unverified", ["no_samples"]),
    ({"value": 0.0}, "verified", []),
    ({"age": timedelta(days=2, seconds=1)}, "unverified", ["stale"]),
    ({"age": timedelta(hours=2), "freshness": timedelta(hours=1)}, "unverified", ["stale"]),
    ({"age": None}, "verified", []),
    ({"is_reported": True, "has_claim": True, "n": 0}, "partial", ["claim_without_rows"]),
    ({"entered": True, "n": 1}, "partial", ["claim_without_rows"]),
    ({"n": 4}, "partial", ["low_n"]),
    ({"n": 99, "min_n": 100}, "partial", ["low_n"]),
    ({"coverage": 0.799}, "partial", ["low_coverage"]),
    ({"coverage": None, "mean_confidence": None}, "verified", []),
    ({"mean_confidence": 0.79}, "partial", ["low_confidence"]),
    ({"proxy": "commits for deploys"}, "partial", ["proxy"]),
    ({"review_due": True}, "partial", ["review_due"]),
    ({"reproduced": False}, "partial", ["not_reproduced"]),
    ({"reproduced": None}, "verified", []),
    ({"renormalised": True}, "partial", ["parts_missing"]),
    ({"parts": (("a", Evidence.VERIFIED),)}, "verified", []),
    (
        {"parts": (("a", Evidence.PARTIAL), ("b", Evidence.UNVERIFIED))},
        "unverified",
        ["part_partial", "part_unverified"],
    ),
    ({"n": 1, "parts": (("a", Evidence.PROPOSED),)}, "proposed", ["low_n", "part_proposed"]),
    ({"n": 1, "coverage": 0.5, "review_due": True}, "partial", ["low_n", "low_coverage", "review_due"]),
]


@pytest.mark.parametrize(("difference", "label", "codes"), CASES)
def test_label_follows_from_the_facts(difference, label, codes):
    verdict = derive(replace(SOUND, **difference))
    assert (verdict.label, [reason.code for reason in verdict.reasons]) == (label, codes)


@pytest.mark.parametrize("difference", [case[0] for case in CASES if case[2]])
def test_every_reason_is_a_sentence(difference):
    reasons = derive(replace(SOUND, **difference)).reasons
    assert all(
        reason.words[0].isupper() or reason.words[0].isdigit() or reason.code[:4] == "part" for reason in reasons
    )
    assert all(reason.words.endswith(".") for reason in reasons)


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ({"n": 1}, "1 value; at least 5 are needed."),
        ({"coverage": 0.5}, "Only 50% of the rows that should give a value do; 80% are needed."),
        ({"age": timedelta(days=3)}, "The newest fact is 3 days old; at most 2 days is allowed."),
        ({"never_received": ("deployed", "commit.pushed")}, "Never received: deployed, commit.pushed."),
    ],
)
def test_reasons_say_how_much_is_missing(difference, words):
    assert derive(replace(SOUND, **difference)).reasons[0].words == words


@pytest.mark.parametrize(
    ("agg", "expected"),
    [({"p": 99}, 100), ({"p": 95}, 20), ({"p": 90}, 5), ("avg", 5), ("median", 5), ("sum", 0), ("last", 0)],
)
def test_min_sample_depends_on_the_statistic(agg, expected):
    calc = {"kind": "aggregate", "rows": {"source": "events", "at": "at"}, "value": "amount", "agg": agg}
    assert min_sample(formula(calc, unit="points")) == expected


@pytest.mark.parametrize(
    ("slug", "expected"),
    [("dispatch-credit", 10), ("activation-rate", 5), ("secret-rotation", 5), ("health-score", 0), ("nps", 0)],
)
def test_min_sample_of_the_other_kinds(slug, expected):
    assert min_sample(definition(slug)) == expected


@pytest.mark.parametrize("code", ["unrated", "part_missing", "too_little_weight", "division_by_zero", "not_reported"])
def test_every_reason_of_the_evaluator_has_its_own_words(code):
    (reason,) = derive(replace(SOUND, value=None, missing=code)).reasons
    assert (reason.code, reason.words != "There is no value.") == (code, True)


@pytest.mark.parametrize("slug", ["mttr", "mtta", "cadence-adherence"])
def test_min_sample_of_the_seeded_definitions(slug):
    assert min_sample(formula(slug)) == 5
