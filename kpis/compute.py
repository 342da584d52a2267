"""From rows to stored observations. A run is a pure function of definition version, rows, as_of and scope.

What a run finds is compared with what is stored, in one transaction: the same writes nothing, another value
appends a revision, a value whose source is gone is retired. People's claims are never replaced by a run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from incidents.models import Incident
from kpis.definitions import formula_of
from kpis.errors import NothingToCompute
from kpis.evaluate import Dims, Evaluation, Measurement, stable
from kpis.evidence import Evidence, EvidenceInputs, Verdict, derive, min_sample
from kpis.formulas import Composite, Formula, Reported, references, source_names
from kpis.models import (
    DefinitionStatus,
    KpiDefinition,
    KpiDefinitionVersion,
    KpiObservation,
    KpiRun,
    ObservationSource,
)
from kpis.sources import Scope, load
from majorops.lib.times import iso, to_millisecond

#: Values that people or other systems claim; a computed one never takes their place.
CLAIMS = (ObservationSource.UI, ObservationSource.IMPORT, ObservationSource.API)
#: How many inputs an observation names; the hash covers them all.
MAX_INPUTS = 200
#: The subject of every rollup: its groups are in `dims`.
EVERYONE = "org:org"


@dataclass(frozen=True, slots=True)
class Draft:
    """An observation as a run finds it, before it is compared with what is stored."""

    subject_key: str
    window: str
    dims: dict[str, str | None]
    timestamp: datetime
    incident_id: str | None
    measurement: Measurement
    verdict: Verdict

    @property
    def dims_key(self) -> str:
        """Samples have none: a later change of severity must not fork the key."""
        if not self.window:
            return ""
        return ";".join(f"{name}={quote(value or '', safe='')}" for name, value in sorted(self.dims.items()))

    @property
    def key(self) -> tuple[str, str, str, datetime]:
        return self.subject_key, self.window, self.dims_key, self.timestamp


@dataclass(slots=True)
class Counts:
    """What a run did. `kept` are claims that it left alone."""

    new: int = 0
    changed: int = 0
    same: int = 0
    retired: int = 0
    kept: int = 0
    #: Rows that gave no value: reason and count.
    without_value: dict[str, int] = field(default_factory=dict)

    @property
    def wrote(self) -> bool:
        return bool(self.new or self.changed or self.retired)


def backfill(
    definition: KpiDefinition,
    *,
    as_of: datetime,
    start: datetime | None = None,
    trigger: str = "backfill",
    dry_run: bool = False,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Counts:
    """Computes every sample in [start, as_of) and the rollups at `as_of`. `advance(done, total)` reports progress.

    Raises NothingToCompute for a definition without a formula.
    """
    formula = formula_of(definition)
    if formula is None or definition.status != DefinitionStatus.ACTIVE:
        raise NothingToCompute(f"{definition.slug} has no formula that runs, so there is nothing to compute.")
    as_of = to_millisecond(as_of)
    reading = everyone = _Reading(definition, formula, Scope(as_of))
    if formula.subject is not None and Incident.objects.filter(restricted=True).exists():
        reading = _Reading(definition, formula, Scope(as_of, with_restricted=True))
    drafts = [
        *(draft for draft in reading.samples() if start is None or draft.timestamp >= start),
        *everyone.rollups(),
    ]
    samples = Q(window="", timestamp__lt=as_of) & (Q(timestamp__gte=start) if start else Q())
    in_scope = samples | (~Q(window="") & Q(timestamp=as_of))
    scope = {"from": iso(start), "to": iso(as_of)}
    return _store(
        definition, drafts, in_scope, as_of=as_of, scope=scope, trigger=trigger, dry_run=dry_run, advance=advance
    )


def recompute_incident(incident_id: str, *, now: datetime) -> None:
    """Brings the samples of one incident up to date, for every KPI that keeps some."""
    for definition in KpiDefinition.objects.computable():
        if (definition.spec or {}).get(
            "subject"
        ) is None:  # before the parse, which asks for other KPIs when it names some
            continue
        formula = formula_of(definition)
        if formula is None:
            continue
        drafts = list(_Reading(definition, formula, Scope(now, incident_id)).samples())
        mine = Q(window="", incident_id=incident_id)
        scope = {"incident": incident_id}
        _store(definition, drafts, mine, as_of=to_millisecond(now), scope=scope, trigger="event")


class _Reading:
    """The rows of a formula as they stand, and the observations that follow from them."""

    def __init__(self, definition: KpiDefinition, formula: Formula, scope: Scope) -> None:
        self.definition = definition
        self.formula = formula
        self.scope = scope
        self._parts: dict[tuple[str, timedelta], _Reading | None] = {}
        tables = load(source_names(formula), scope)
        self.silent = tuple(name for name, rows in tables.items() if not rows)
        self.evaluation = Evaluation(formula, tables, as_of=scope.as_of)

    def samples(self) -> Iterator[Draft]:
        for sample in self.evaluation.samples():
            yield Draft(
                subject_key=sample.subject_key,
                window="",
                dims=dict(sample.dims),
                timestamp=sample.timestamp,
                incident_id=sample.incident_id,
                measurement=sample.measurement,
                verdict=self._verdict(sample.measurement, min_n=1),
            )

    def rollups(self) -> Iterator[Draft]:
        """Overall and per group, for each window; groups are those that ever had a row. None for a reported KPI."""
        groups = self.groups()
        for window in self.formula.windows if not isinstance(self.formula.calc, Reported) else ():
            for dims in ({}, *groups):
                measurement, verdict = self.figure(window, dims)
                yield Draft(
                    subject_key=EVERYONE,
                    window=window,
                    dims=dict(dims),
                    timestamp=self.evaluation.as_of,
                    incident_id=None,
                    measurement=measurement,
                    verdict=verdict,
                )

    def figure(self, window: str, dims: Dims) -> tuple[Measurement, Verdict]:
        """One figure and how far it can be trusted. What it is made of is computed from rows as well, at its as_of."""
        parts: list[tuple[str, Measurement, Evidence]] = []

        def figure_of(slug: str, shift: timedelta | None) -> Measurement | None:
            part = self._part(slug, shift or timedelta(0))
            if part is None:
                return None
            found, verdict = part.figure(window if window in part.formula.windows else part.formula.windows[0], dims)
            parts.append((slug, found, verdict.label))
            return found

        if isinstance(self.formula.calc, Reported):
            found = self._reported()
        else:
            zone = ZoneInfo(settings.MAJOROPS_REPORTING_ZONE)
            found = self.evaluation.measure(window, dims or None, zone, figure_of)
        # With a value in spite of them, missing parts are told of by `renormalised`.
        labels = tuple((slug, label) for slug, part, label in parts if found.value is None or part.value is not None)
        return found, self._verdict(found, min_n=min_sample(self.formula), parts=labels)

    def _reported(self) -> Measurement:
        """The newest value about everyone that somebody stated by as_of."""
        stated = KpiObservation.objects.current().filter(kpi=self.definition, subject_key=EVERYONE, source__in=CLAIMS)
        row = stated.filter(timestamp__lte=self.scope.as_of).order_by("-timestamp", "-pk").first()
        nothing = self.evaluation.measure()
        if row is None:
            return nothing
        return replace(nothing, value=row.value, reason=None, n=row.n, confidence=row.confidence)

    def groups(self) -> tuple[Dims, ...]:
        """The groups that ever had a row; those of its parts for a KPI made of others."""
        names = self.formula.group_by
        if self.formula.base is not None or not names:
            return self.evaluation.groups()
        parts = [part for slug in references(self.formula) if (part := self._part(slug, timedelta(0))) is not None]
        found = {tuple(dims[name] for name in names) for part in parts for dims in part.groups()}
        return tuple(dict(zip(names, key, strict=True)) for key in sorted(found, key=repr))

    def _part(self, slug: str, shift: timedelta) -> _Reading | None:
        """Another KPI as it stood `shift` before; None if it has no formula that runs."""
        if (slug, shift) not in self._parts:
            definition = KpiDefinition.objects.computable().filter(slug=slug).first()
            formula = formula_of(definition) if definition is not None else None
            earlier = replace(self.scope, as_of=self.scope.as_of - shift)
            found = _Reading(definition, formula, earlier) if definition is not None and formula is not None else None
            self._parts[slug, shift] = found
        return self._parts[slug, shift]

    def _verdict(self, found: Measurement, *, min_n: int, parts: tuple[tuple[str, Evidence], ...] = ()) -> Verdict:
        review_due_at = self.definition.review_due_at
        is_reported = isinstance(self.formula.calc, Reported)
        return derive(
            EvidenceInputs(
                value=found.value,
                missing=found.reason,
                never_received=self.silent,
                is_reported=is_reported,
                has_claim=is_reported and found.value is not None,
                parts=parts,
                renormalised=isinstance(self.formula.calc, Composite)
                and found.value is not None
                and bool(found.left_out),
                n=found.n,
                min_n=min_n,
                coverage=found.coverage,
                mean_confidence=found.mean_confidence,
                proxy=self.definition.proxy_for or None,
                review_due=review_due_at is not None and review_due_at < self.evaluation.as_of,
            )
        )


@transaction.atomic
def _store(
    definition: KpiDefinition,
    drafts: list[Draft],
    in_scope: Q,
    *,
    as_of: datetime,
    scope: Mapping[str, str | None],
    trigger: str,
    dry_run: bool = False,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Counts:
    """Writes the difference between `drafts` and what is current in scope."""
    locked = KpiDefinition.objects.select_for_update(no_key=True).get(pk=definition.pk)
    version = locked.versions.get(version=locked.current_version)
    current = {
        (row.subject_key, row.window, row.dims_key, row.timestamp): row
        for row in definition.observations.current().filter(in_scope)
    }
    diff = _Diff(version, drafts, current)
    if not dry_run and (diff.counts.wrote or trigger == "backfill"):
        diff.write(_run(definition, version, diff.counts, as_of=as_of, scope=scope, trigger=trigger), advance)
    return diff.counts


def _run(
    definition: KpiDefinition,
    version: KpiDefinitionVersion,
    counts: Counts,
    *,
    as_of: datetime,
    scope: Mapping[str, str | None],
    trigger: str,
) -> KpiRun:
    now = timezone.now()
    return KpiRun.objects.create(
        definition=definition,
        version=version.version,
        as_of=as_of,
        scope=scope,
        trigger=trigger,
        started_at=now,
        ended_at=now,
        new=counts.new,
        changed=counts.changed,
        same=counts.same,
        retired=counts.retired,
    )


class _Diff:
    """What has to be written so that the stored observations say what the drafts say."""

    def __init__(
        self,
        version: KpiDefinitionVersion,
        drafts: list[Draft],
        current: dict[tuple[str, str, str, datetime], KpiObservation],
    ) -> None:
        self.version = version
        self.counts = Counts()
        self.appended: list[tuple[Draft, str]] = []
        self.superseded: list[str] = []
        vanished = dict(current)
        for draft in drafts:
            self._compare(draft, vanished.pop(draft.key, None))
        self.vanished = [row.pk for row in vanished.values() if row.source not in CLAIMS]
        self.counts.retired = len(self.vanished)

    def _compare(self, draft: Draft, stored: KpiObservation | None) -> None:
        if draft.measurement.value is None:
            reason = draft.measurement.reason or "no value"
            self.counts.without_value[reason] = self.counts.without_value.get(reason, 0) + 1
        sha = result_hash(draft, self.version)
        if stored is None:
            self.counts.new += 1
            self.appended.append((draft, sha))
        elif stored.source in CLAIMS:
            self.counts.kept += 1
        elif stored.result_sha256 == sha:
            self.counts.same += 1
        else:
            self.counts.changed += 1
            self.superseded.append(stored.pk)
            self.appended.append((draft, sha))

    def write(self, run: KpiRun, advance: Callable[[int, int], None]) -> None:
        now = run.started_at
        _move(self.superseded, is_current=False)
        _move(self.vanished, is_current=False, retired_at=now, retired_reason="source_vanished")
        last = _last_revisions(self.version, [draft for draft, _ in self.appended])
        total = len(self.appended)
        for done in range(0, total, 500):
            batch = self.appended[done : done + 500]
            KpiObservation.objects.bulk_create(
                _observation(draft, sha, last.get(draft.key, 0) + 1, self.version, run) for draft, sha in batch
            )
            advance(done + len(batch), total)


def _move(pks: list[str], **changes: object) -> None:
    for at in range(0, len(pks), 500):
        KpiObservation.objects.filter(pk__in=pks[at : at + 500]).update(**changes)


def _last_revisions(version: KpiDefinitionVersion, drafts: list[Draft]) -> dict[tuple[str, str, str, datetime], int]:
    """The newest revision per key, retired ones included: a value that comes back goes on counting."""
    subjects = {draft.subject_key for draft in drafts}
    rows = KpiObservation.objects.filter(kpi=version.definition_id, is_current=False)
    if len(subjects) <= 500:
        rows = rows.filter(subject_key__in=subjects)
    last: dict[tuple[str, str, str, datetime], int] = {}
    for subject, window, dims, at, revision in rows.values_list(
        "subject_key", "window", "dims_key", "timestamp", "revision"
    ):
        key = (subject, window, dims, at)
        last[key] = max(revision, last.get(key, 0))
    return last


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def result_hash(draft: Draft, version: KpiDefinitionVersion) -> str:
    """What makes two results the same: figures to 9 digits, counts, units, definition version and inputs."""
    found = draft.measurement
    figures = (found.value, found.numerator, found.denominator, found.median, found.p90)
    return _hash(
        {
            "figures": [None if figure is None else stable(figure) for figure in figures],
            "reason": found.reason,
            "n": found.n,
            "excluded": dict(found.excluded),
            "invalid": dict(found.invalid),
            "coverage": found.coverage,
            "confidence": found.confidence,
            "dims": draft.dims,
            "evidence": [draft.verdict.label, *(reason.code for reason in draft.verdict.reasons)],
            "units": version.units,
            "version": version.version,
            "inputs": _hash(found.used),
        }
    )


def _observation(draft: Draft, sha: str, revision: int, version: KpiDefinitionVersion, run: KpiRun) -> KpiObservation:
    found = draft.measurement
    subject_type, _, subject_id = draft.subject_key.partition(":")
    return KpiObservation(
        kpi_id=version.definition_id,
        subject_type=subject_type,
        subject_id=subject_id,
        subject_key=draft.subject_key,
        window=draft.window,
        dims_key=draft.dims_key,
        dims=draft.dims,
        timestamp=draft.timestamp,
        revision=revision,
        incident_id=draft.incident_id,
        value=found.value,
        reason=found.reason or "",
        units=version.units,
        numerator=found.numerator,
        denominator=found.denominator,
        n=found.n,
        median=found.median,
        p90=found.p90,
        excluded=dict(found.excluded),
        invalid=dict(found.invalid),
        coverage=found.coverage,
        confidence=found.confidence,
        evidence=draft.verdict.label,
        evidence_reasons=[asdict(reason) for reason in draft.verdict.reasons],
        source=ObservationSource.CLI if run.trigger == "backfill" else ObservationSource.WORKER,
        definition_version=version,
        run=run,
        inputs=list(found.used[:MAX_INPUTS]),
        inputs_sha256=_hash(found.used),
        result_sha256=sha,
        created_at=run.started_at,
    )
