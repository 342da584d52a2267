"""Writes a difference to the observations: appends rows, and moves what a row may move."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from kpis.compute.diff import Addition, Diff
from kpis.compute.drafts import Draft, Key
from kpis.compute.table import append
from kpis.evidence import Standing, Verdict, at_present
from kpis.models import KpiObservation, KpiRun, ObservationSource
from majorops.lib.ulid import new_ulids

#: How many inputs an observation names; the hash covers them all.
MAX_INPUTS = 200
#: The key in `metadata` under which a figure names the dispatch credit setting that counted.
CREDIT = "creditSetting"


def write(diff: Diff, run: KpiRun, standing: Standing, *, now: datetime, forced_because: str = "") -> None:
    """Appends what is new. `standing` is what holds of the KPI beside its rows."""
    _move(diff.superseded, is_current=False)
    _move(diff.vanished, is_current=False, retired_at=now, retired_reason="source_vanished")
    _move(diff.forced, is_current=False, retired_at=now, retired_reason=f"forced: {forced_because}"[:200])
    if diff.appended:
        last, row = _last_revisions(diff), _Row(standing)
        ids = new_ulids(len(diff.appended))
        rows = [row.of(each, pk, last.get(each.key, 0) + 1) for each, pk in zip(diff.appended, ids, strict=True)]
        append(rows, _shared(diff, run, now))


def _move(pks: Sequence[str], **changes: object) -> None:
    for at in range(0, len(pks), 500):
        KpiObservation.objects.filter(pk__in=pks[at : at + 500]).update(**changes)


def _last_revisions(diff: Diff) -> dict[Key, int]:
    """The newest revision per key, retired ones included: a value that comes back goes on counting."""
    rows = KpiObservation.objects.filter(kpi=diff.version.definition_id, is_current=False, **_span(diff.appended))
    last = dict(diff.revisions)
    for *key, revision in rows.order_by().values_list("subject_key", "window", "dims_key", "timestamp", "revision"):
        found: Key = tuple(key)  # type: ignore[assignment]
        last[found] = max(revision, last.get(found, 0))
    return last


def _span(appended: Iterable[Addition]) -> dict[str, datetime]:
    times = [each.draft.timestamp for each in appended]
    return {"timestamp__gte": min(times), "timestamp__lte": max(times)}


def _shared(diff: Diff, run: KpiRun, now: datetime) -> dict[str, Any]:
    """The columns that all rows of a run have in common."""
    return {
        "kpi_id": diff.version.definition_id,
        "units": diff.version.units,
        "source": ObservationSource.CLI if run.trigger == "backfill" else ObservationSource.WORKER,
        "definition_version_id": diff.version.pk,
        "run_id": run.pk,
        "created_at": now,
        "retired_at": None,
        "retired_reason": "",
    }


class _Row:
    """Makes rows of additions; labels that many rows share are made once."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        #: By identity: to hash a verdict for each of 100,000 rows costs more than to label it.
        self._labels: dict[tuple[int, timedelta | None], tuple[Verdict, str, list[dict[str, str]]]] = {}

    def of(self, addition: Addition, pk: str, revision: int) -> dict[str, Any]:
        """Every other column of the observation, by its attribute."""
        draft, found = addition.draft, addition.draft.measurement
        subject_type, _, subject_id = draft.subject_key.partition(":")
        label, reasons = self._label(draft)
        return {
            "id": pk,
            "subject_type": subject_type,
            "subject_id": subject_id,
            "subject_key": draft.subject_key,
            "window": draft.window,
            "dims_key": addition.key[2],
            "dims": dict(draft.dims),
            "timestamp": draft.timestamp,
            "revision": revision,
            "is_current": addition.claim is None,
            "incident_id": draft.incident_id,
            "value": found.value,
            "reason": found.reason or "",
            "numerator": found.numerator,
            "denominator": found.denominator,
            "n": found.n,
            "median": found.median,
            "p90": found.p90,
            "excluded": dict(found.excluded),
            "invalid": dict(found.invalid),
            "coverage": found.coverage,
            "confidence": found.confidence,
            "evidence": label,
            "evidence_reasons": reasons,
            "claim_id": addition.claim,
            "last_fact_at": draft.last_fact_at,
            "inputs": list(found.used[:MAX_INPUTS]),
            "inputs_sha256": addition.inputs_sha,
            "result_sha256": addition.sha,
            "metadata": {CREDIT: draft.credit} if draft.credit is not None else None,
        }

    def _label(self, draft: Draft) -> tuple[str, list[dict[str, str]]]:
        """The label as it is stored. Most samples share one."""
        age = draft.timestamp - draft.last_fact_at if draft.last_fact_at is not None else None
        known = self._labels.get((id(draft.verdict), age))
        if known is None or known[0] is not draft.verdict:
            verdict = at_present(draft.verdict, replace(self.standing, age=age))
            known = draft.verdict, verdict.label.value, [asdict(reason) for reason in verdict.reasons]
            self._labels[id(draft.verdict), age] = known
        return known[1:]
