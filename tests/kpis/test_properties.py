"""What holds for any rows: of one evaluation, and of any way to cut a backfill."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Q
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from kpis.compute import backfill, runs
from kpis.evaluate import Evaluation, Measurement
from kpis.evidence import Evidence, EvidenceInputs, derive
from kpis.models import KpiDefinition, KpiObservation, KpiRun
from majorops.lib.ledger import unlocked
from tests.factories import IncidentFactory, TeamFactory, TeamPageFactory
from tests.kpis import AS_OF, at, formula, incident, page

START = at("2026-03-01 00:00")
MINUTES = st.integers(min_value=0, max_value=20_000)
ANSWERS = st.none() | st.integers(min_value=-5, max_value=90)


@st.composite
def incidents(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Open, closed, detected in another order than resolved: whatever a table may hold."""
    rows = []
    for n, (began, lasted, severity) in enumerate(
        draw(st.lists(st.tuples(MINUTES, ANSWERS, st.sampled_from(["critical", "high"])), max_size=12))
    ):
        detected = START + timedelta(minutes=began)
        resolved = None if lasted is None else detected + timedelta(minutes=lasted)
        rows.append(incident(f"{n:02}", detected_at=detected, resolved_at=resolved, severity=severity))
    return rows


@st.composite
def pages(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = []
    for n, (paged, took, team) in enumerate(
        draw(st.lists(st.tuples(MINUTES, ANSWERS, st.sampled_from(["db", "net"])), max_size=12))
    ):
        start = START + timedelta(minutes=paged)
        row = page(f"{n:02}", "10:00", team=team, subject_closed_at=AS_OF - timedelta(days=1))
        arrived = None if took is None else start + timedelta(minutes=took)
        rows.append({**row, "paged_at": start, "arrived_at": arrived})
    return rows


TABLES = st.fixed_dictionaries({"incidents": incidents(), "team_pages": pages()})


def said(slug: str, tables: dict[str, list[dict[str, Any]]]) -> list[Any]:
    evaluation = Evaluation(formula(slug), tables, as_of=AS_OF)
    groups = ({}, *evaluation.groups())
    figures = [evaluation.measure(window, dims) for window in ("all", "P7D") for dims in groups]
    return [evaluation.samples(), figures]


@given(tables=TABLES, dice=st.randoms(use_true_random=False), slug=st.sampled_from(["mttr", "team-page-to-bridge"]))
def test_the_order_of_the_rows_never_matters(
    tables: dict[str, list[dict[str, Any]]], dice: random.Random, slug: str
) -> None:
    shuffled = {name: dice.sample(rows, len(rows)) for name, rows in tables.items()}
    assert said(slug, shuffled) == said(slug, tables)


@given(rows=pages())
def test_the_parts_of_the_groups_add_up_to_the_whole(rows: list[dict[str, Any]]) -> None:
    """A share over everyone is the sum of the numerators by the sum of the denominators, not a mean of shares."""
    share = formula(
        {
            "kind": "ratio",
            "of": {"source": "team_pages", "at": "paged_at"},
            "hit": [{"field": "arrived_at", "op": "not_null"}],
        },
        unit="percent",
        group_by=["team"],
    )
    evaluation = Evaluation(share, {"team_pages": rows}, as_of=AS_OF)
    whole, parts = evaluation.measure(), [evaluation.measure("all", dims) for dims in evaluation.groups()]
    assert sum(part.numerator or 0 for part in parts) == (whole.numerator or 0)
    assert sum(part.denominator or 0 for part in parts) == (whole.denominator or 0)
    assert sum(part.n for part in parts) == whole.n
    if whole.value is not None and whole.denominator:
        assert whole.value == pytest.approx(100 * (whole.numerator or 0) / whole.denominator)


# --- Deleting inputs ---
#
# Taking rows away may well raise the label: a row without an answer, once deleted, no longer lowers the coverage. What
# may not be gained by deleting is evidence out of rows that speak for the value: deleting some of those never makes the
# label better, for n and coverage only fall. (A confidence below the limit is left out by giving every row the same.)

RANK = {label: place for place, label in enumerate(Evidence)}


def label(found: Measurement) -> Evidence:
    return derive(
        EvidenceInputs(
            value=found.value,
            missing=found.reason,
            n=found.n,
            coverage=found.coverage,
            mean_confidence=found.mean_confidence,
        )
    ).label


@given(rows=pages(), dice=st.randoms(use_true_random=False))
def test_deleting_rows_that_give_a_value_never_improves_the_evidence(
    rows: list[dict[str, Any]], dice: random.Random
) -> None:
    bridge = formula("team-page-to-bridge")
    before = Evaluation(bridge, {"team_pages": rows}, as_of=AS_OF).measure()
    gone = set(dice.sample(before.used, dice.randint(0, len(before.used))))
    left = [row for row in rows if row["ref"] not in gone]
    after = Evaluation(bridge, {"team_pages": left}, as_of=AS_OF).measure()
    assert RANK[label(after)] >= RANK[label(before)]
    assert after.n == before.n - len(gone)
    assert (after.coverage or 0) <= (before.coverage or 0)


def test_deleting_every_row_leaves_no_number() -> None:
    nothing = Evaluation(formula("team-page-to-bridge"), {"team_pages": []}, as_of=AS_OF).measure()
    assert (nothing.value, label(nothing)) == (None, "unverified")


# --- Cutting a backfill ---

FIGURES = ("kpi_id", "subject_key", "window", "dims_key", "timestamp", "value", "n", "evidence", "result_sha256")


def stored() -> list[tuple[object, ...]]:
    """What is current, but for the figures of other ends than AS_OF, which only a run up to them makes."""
    rows = KpiObservation.objects.current().exclude(~Q(window=""), timestamp__lt=AS_OF)
    return sorted(rows.values_list(*FIGURES), key=repr)


def forget() -> None:
    """Nothing is stored any more."""
    with unlocked(connection):
        KpiObservation.objects.all()._raw_delete(connection.alias)
        KpiRun.objects.all()._raw_delete(connection.alias)


class CutBackfills(TestCase):
    """Whichever way it is cut, what is stored is the same."""

    @examples(max_examples=15)
    @given(
        spells=st.lists(st.tuples(MINUTES, st.integers(1, 90)), min_size=1, max_size=8),
        size=st.integers(min_value=1, max_value=4),
        cuts=st.sets(st.integers(min_value=1, max_value=13), max_size=6),
        slug=st.sampled_from(["mttr", "team-page-to-bridge"]),
    )
    def test_by_day_or_in_ranges_it_is_the_same_as_at_once(
        self, spells: list[tuple[int, int]], size: int, cuts: set[int], slug: str
    ) -> None:
        _plant(spells)
        kpi = KpiDefinition.objects.get(slug=slug)
        backfill(kpi, as_of=AS_OF)
        whole = stored()
        forget()
        start = None
        for day in sorted({*(START + timedelta(days=cut) for cut in cuts), AS_OF}):
            backfill(kpi, as_of=day, start=start)
            start = day
        by_day = stored()
        forget()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runs, "RANGE", size)
            backfill(kpi, as_of=AS_OF)
        in_ranges = stored()
        assert by_day == whole
        assert in_ranges == whole


@transaction.atomic
def _plant(spells: list[tuple[int, int]]) -> None:
    team = TeamFactory()
    for began, lasted in spells:
        detected = START + timedelta(minutes=began)
        found = IncidentFactory(closed=True, detected_at=detected, resolved_at=detected + timedelta(minutes=lasted))
        TeamPageFactory(
            incident=found, team=team, paged_at=detected, arrived_at=detected + timedelta(minutes=lasted / 2)
        )
