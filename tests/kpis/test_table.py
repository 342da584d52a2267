"""The quick way of appending observations writes what the plain way writes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from ulid import ULID

from kpis.compute import backfill, table
from kpis.compute.drafts import Draft, inputs_hash, result_hash
from kpis.evaluate import Measurement, stable
from kpis.evidence import EvidenceInputs, derive
from kpis.models import KpiDefinition, KpiDefinitionVersion, KpiObservation
from majorops.lib.ledger import unlocked
from majorops.lib.ulid import hex_of, new_ulid, new_ulids, parse_ulid, ulid_of
from tests.factories import IncidentFactory, TeamPageFactory, at

MS = timedelta(milliseconds=1)
TOMORROW = at("2026-03-03T00:00")
NUMBERS = st.none() | st.floats(min_value=-1e14, max_value=1e14)
TIMES = st.integers(978_307_200_000, 4_070_908_800_000).map(lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + ms * MS)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
JSON = st.dictionaries(WORDS, st.integers(0, 9) | WORDS, max_size=3)
CHANGES = st.fixed_dictionaries({
    "value": NUMBERS, "numerator": NUMBERS, "median": NUMBERS, "reason": WORDS, "subject_id": WORDS, "dims": JSON,
    "excluded": JSON, "evidence_reasons": st.lists(st.fixed_dictionaries({"code": WORDS, "words": WORDS}), max_size=2),
    "timestamp": TIMES, "last_fact_at": st.none() | TIMES, "metadata": st.none() | JSON, "is_current": st.booleans(),
})  # fmt: skip


def row_like(observation: KpiObservation, n: int, **changes: Any) -> dict[str, Any]:
    fields = KpiObservation._meta.local_concrete_fields
    plain = {field.attname: getattr(observation, field.attname) for field in fields}
    return {**plain, "id": new_ulid(), "subject_key": f"incident:{n}", **changes}


def stored() -> list[tuple[object, ...]]:
    """Also as the database holds it: text for text, number for number."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM kpi_observations ORDER BY id")
        raw = cursor.fetchall()
    return [*KpiObservation.objects.order_by("id").values_list(), *raw]


def forget() -> None:
    with unlocked(connection):
        KpiObservation.objects.all()._raw_delete(connection.alias)


class BothWays(TestCase):
    @settings(max_examples=40)
    @given(changes=st.lists(CHANGES, min_size=1, max_size=5))
    def test_any_row_is_stored_alike(self, changes: list[dict[str, Any]]) -> None:
        IncidentFactory(closed=True)
        backfill(KpiDefinition.objects.get(slug="mttr"), as_of=TOMORROW)
        like = KpiObservation.objects.samples().get()
        rows = [row_like(like, n, **change) for n, change in enumerate(changes)]
        forget()
        table.append(rows)
        quick = stored()
        forget()
        table.append_by_model(rows)
        assert stored() == quick

    @settings(max_examples=20)
    @given(shared=CHANGES)
    def test_what_rows_share_is_stored_as_if_each_had_it(self, shared: dict[str, Any]) -> None:
        IncidentFactory(closed=True)
        backfill(KpiDefinition.objects.get(slug="mttr"), as_of=TOMORROW)
        rows = [row_like(KpiObservation.objects.samples().get(), n, **shared) for n in range(2)]
        forget()
        table.append([{name: row[name] for name in row if name not in shared} for row in rows], shared)
        quick = stored()
        forget()
        table.append(rows)
        assert stored() == quick


@pytest.mark.django_db
def test_a_backfill_is_stored_alike_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        TeamPageFactory(paged_at=at("10:00"), arrived_at=at("10:00") + timedelta(minutes=n))
    kpi = KpiDefinition.objects.get(slug="team-page-to-bridge")
    figures = ("subject_key", "window", "dims_key", "timestamp", "dims", "value", "evidence_reasons", "inputs",
               "result_sha256", "inputs_sha256", "revision", "last_fact_at", "is_current", "metadata")  # fmt: skip
    backfill(kpi, as_of=TOMORROW)
    quick = sorted(KpiObservation.objects.values_list(*figures), key=repr)
    forget()
    monkeypatch.setattr("kpis.compute.store.append", table.append_by_model)
    backfill(kpi, as_of=TOMORROW)
    assert sorted(KpiObservation.objects.values_list(*figures), key=repr) == quick


@pytest.mark.django_db
def test_the_database_still_refuses_what_cannot_be(db: None) -> None:
    IncidentFactory(closed=True)
    backfill(KpiDefinition.objects.get(slug="mttr"), as_of=TOMORROW)
    like = KpiObservation.objects.samples().get()
    for change in ({"confidence": 1.5}, {"value": 1e15}, {"source": "rumour"}, {"subject_key": like.subject_key}):
        with pytest.raises(IntegrityError), transaction.atomic():
            table.append([row_like(like, 1, **change)])


def test_the_quick_digits_of_a_ulid_are_those_of_the_library() -> None:
    for ulid in (new_ulid(), "0" * 26, "7" + "Z" * 25, "0123456789ABCDEFGHJKMNPQRS"):
        assert hex_of(ulid) == ULID.from_str(ulid).to_uuid().hex
        assert ulid_of(ULID.from_str(ulid).to_uuid()) == ulid


def test_many_ulids_are_different_and_ascend() -> None:
    many = new_ulids(3000)
    assert len(set(many)) == 3000
    assert many == sorted(many)
    assert {parse_ulid(one) for one in many} == set(many)
    assert abs(int(ULID.from_str(many[0]).milliseconds) - int(ULID().milliseconds)) < 60_000


FLOATS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
FIGURES = st.none() | FLOATS | st.integers(0, 9)
COUNTS = st.dictionaries(st.text(max_size=9), st.integers(0, 99), max_size=3)


@given(figures=st.tuples(*[FIGURES] * 5), trusts=st.tuples(*[FIGURES] * 2), n=st.integers(0, 10**6), counts=COUNTS,
       dims=st.dictionaries(st.text(max_size=9), st.none() | st.text(max_size=9), max_size=3),
       reason=st.none() | st.text(max_size=9), used=st.lists(st.text(max_size=9), max_size=3))  # fmt: skip
def test_what_is_hashed_is_what_json_writes(figures: Any, trusts: Any, n: int, counts: Any, dims: Any, reason: Any,
                                            used: list[str]) -> None:  # fmt: skip
    value, numerator, denominator, median, p90 = figures
    coverage, confidence = trusts
    found = Measurement(value, reason, n, n, counts, {}, numerator, denominator, coverage, None, confidence, median,
                        p90, tuple(used), ())  # fmt: skip
    verdict = derive(EvidenceInputs(value=None, missing="no_samples"))
    draft = Draft("org:org", "all", dims, TOMORROW, None, found, verdict)
    version = KpiDefinitionVersion(units="minutes", version=3)
    told = {
        "figures": [None if figure is None else stable(figure) for figure in figures], "reason": reason, "n": n,
        "excluded": counts, "invalid": {}, "coverage": coverage, "confidence": confidence, "dims": dims,
        "evidence": [verdict.label, *(each.code for each in verdict.reasons)], "units": "minutes", "version": 3,
        "inputs": hashed(used),
    }  # fmt: skip
    assert inputs_hash(used) == hashed(used)
    assert result_hash(draft, version) == hashed(told)


def hashed(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
