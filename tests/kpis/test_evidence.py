"""The label of a number follows from the data; nobody types it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from kpis.evidence import Evidence, EvidenceInputs, Reason, Standing, Verdict, at_present, derive, min_sample
from tests.kpis import definition, formula

SOUND = EvidenceInputs(
    value=110.0,
    n=5,
    coverage=0.8,
    mean_confidence=0.8,
)
WELL = Standing(age=timedelta(days=2), expected_every=timedelta(days=1), reproduced=True)

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
    ({"is_reported": True, "has_claim": True, "n": 0}, "partial", ["claim_without_rows"]),
    ({"entered": True, "n": 1}, "partial", ["claim_without_rows"]),
    ({"n": 4}, "partial", ["low_n"]),
    ({"n": 99, "min_n": 100}, "partial", ["low_n"]),
    ({"coverage": 0.799}, "partial", ["low_coverage"]),
    ({"coverage": None, "mean_confidence": None}, "verified", []),
    ({"mean_confidence": 0.79}, "partial", ["low_confidence"]),
    ({"renormalised": True}, "partial", ["parts_missing"]),
    ({"parts": (("a", Evidence.VERIFIED),)}, "verified", []),
    (
        {"parts": (("a", Evidence.PARTIAL), ("b", Evidence.UNVERIFIED))},
        "unverified",
        ["part_partial", "part_unverified"],
    ),
    ({"n": 1, "parts": (("a", Evidence.PROPOSED),)}, "proposed", ["low_n", "part_proposed"]),
    ({"n": 1, "coverage": 0.5}, "partial", ["low_n", "low_coverage"]),
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


SINCE = [
    ({}, "verified", []),
    ({"age": timedelta(days=2, seconds=1)}, "unverified", ["stale"]),
    ({"age": timedelta(hours=2, seconds=1), "expected_every": timedelta(hours=1)}, "unverified", ["stale"]),
    ({"age": None}, "verified", []),
    ({"age": timedelta(days=900), "expected_every": None}, "verified", []),
    ({"proxy": "commits for deploys"}, "partial", ["proxy"]),
    ({"proxy": ""}, "verified", []),
    ({"review_due": True}, "partial", ["review_due"]),
    ({"reproduced": False}, "partial", ["not_reproduced"]),
    ({"reproduced": None}, "verified", []),
    ({"overridden": True, "rows_say": 90.0}, "partial", ["override"]),
    ({"parts": ("uptime",)}, "partial", ["part_partial"]),
]


@pytest.mark.parametrize(("difference", "label", "codes"), SINCE)
def test_what_the_clock_and_people_add(difference, label, codes):
    verdict = at_present(derive(SOUND), replace(WELL, **difference))
    assert (verdict.label, [reason.code for reason in verdict.reasons]) == (label, codes)
    assert all(reason.words.endswith(".") for reason in verdict.reasons)


def test_what_passed_is_forgotten_and_what_the_rows_say_stays():
    then = at_present(derive(replace(SOUND, n=1)), replace(WELL, age=timedelta(days=9), review_due=True))
    assert (then.label, [reason.code for reason in then.reasons]) == ("unverified", ["low_n", "stale", "review_due"])
    now = at_present(then, WELL)
    assert (now.label, [reason.code for reason in now.reasons]) == ("partial", ["low_n"])


@pytest.mark.parametrize("difference", [case[0] for case in CASES])
def test_a_stored_verdict_is_read_back_as_it_was(difference):
    """The label follows from the reasons alone, so a reader needs no more than what is stored."""
    verdict = derive(replace(SOUND, **difference))
    assert at_present(verdict, WELL) == verdict


def test_nothing_is_added_to_a_value_that_is_not_there():
    nothing = derive(replace(SOUND, value=None))
    assert at_present(nothing, replace(WELL, review_due=True, age=timedelta(days=9))) == nothing


def test_how_old_the_newest_fact_is_comes_in_words():
    stale = at_present(Verdict(Evidence.VERIFIED, ()), replace(WELL, age=timedelta(days=3)))
    assert stale.reasons == (Reason("stale", "The newest fact is 3 days old; at most 2 days is allowed."),)
