"""How far a stored figure can be trusted now: its label when it was stored, and what clock and people did since.

Readers call `verdict_now(observation, definition, now)` for one figure, or keep a `Standings` for many: its few queries
are asked once for all KPIs. Neither writes anything; the label stored with the observation stays as history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from kpis.definitions import formula_of
from kpis.evidence import Evidence, EvidenceInputs, Reason, Standing, Verdict, at_present, derive
from kpis.formulas import references_in
from kpis.formulas.kinds import Recency
from kpis.formulas.language import Rows
from kpis.models import CLAIMS, KpiDefinition, KpiDefinitionVersion, KpiObservation, KpiRun, RunOutcome
from kpis.silence import Silence, asked_by, is_stated
from kpis.sources import expected_every
from majorops.lib.errors import Invalid


def verdict_now(observation: KpiObservation, definition: KpiDefinition, now: datetime) -> Verdict:
    """The label that the figure deserves now, with every reason."""
    return Standings([definition], now).verdict(observation)


class Standings:
    """What holds of these KPIs beside their rows at `now`. Three queries, however many KPIs and figures; one more once
    a formula was changed."""

    def __init__(self, definitions: Iterable[KpiDefinition], now: datetime) -> None:
        self.now = now
        self._known = _with_parts(definitions)
        self._failed = not_reproduced(self._known)
        self._shadows: dict[str, float | None] | None = None
        self._earlier: dict[str, int] | None = None

    def verdict(self, observation: KpiObservation) -> Verdict:
        """The stored label, renewed. A figure made without rows (not saved, or of an unknown KPI) keeps its own."""
        standing = self.of(observation.kpi_id)
        if observation.last_fact_at is not None:
            standing = replace(standing, age=self.now - observation.last_fact_at)
        if observation.source in CLAIMS and observation.pk in self._rows_say():
            standing = replace(standing, overridden=True, rows_say=self._rows_say()[observation.pk])
        if observation.source not in CLAIMS:  # a stated value comes of no formula
            earlier = self._earlier_versions().get(observation.definition_version_id)
            standing = replace(standing, earlier_version=earlier)
        return at_present(stored_verdict(observation), standing)

    @cached_property
    def silence(self) -> Silence:
        """Which sources have spoken, ever: one query, asked where a figure is missing."""
        return Silence.read()

    def nothing(self, definition: KpiDefinition, missing: str) -> tuple[str, Verdict]:
        """Why the KPI has no figure that a run has stored, and its label. That nothing can measure it comes first."""
        asks = definition.spec is not None and asked_by(definition.spec, self._known)
        verdict = derive(
            EvidenceInputs(
                value=None,
                missing=missing,
                problem="no_formula" if definition.spec is None else None,
                is_reported=is_stated(definition.spec),
                never_received=self.silence.of(definition.spec, self._known) if asks else (),
            )
        )
        return verdict.reasons[0].code, verdict

    def of(self, slug: str) -> Standing:
        """What holds of every figure of the KPI."""
        definition = self._known.get(slug)
        if definition is None:
            return Standing()
        parts = references_in(definition.spec)
        return Standing(
            expected_every=self._expected_every(definition),
            proxy=definition.proxy_for or None,
            review_due=definition.review_due_at is not None and definition.review_due_at < self.now,
            reproduced=False if slug in self._failed else None,
            parts=tuple(part for part in parts if part != slug and self.of(part).is_doubted),
        )

    def _expected_every(self, definition: KpiDefinition) -> timedelta | None:
        """How often its source should speak; of several parts, the most frequent."""
        parts = [self._known[slug] for slug in references_in(definition.spec) if slug in self._known]
        found = [self._expected_every(part) for part in parts] or [_cadence(definition)]
        return min((each for each in found if each is not None), default=None)

    def _earlier_versions(self) -> dict[str, int]:
        if self._earlier is None:
            self._earlier = _superseded(self._known.values())
        return self._earlier

    def _rows_say(self) -> dict[str, float | None]:
        """claim -> what the newest run would have said in its place, where it had anything to say."""
        if self._shadows is None:
            rows = KpiObservation.objects.filter(kpi__in=self._known, claim__is_current=True).order_by("revision")
            newest = dict(rows.values_list("claim_id", "value"))
            self._shadows = {claim: value for claim, value in newest.items() if value is not None}
        return self._shadows


def _superseded(definitions: Collection[KpiDefinition]) -> dict[str, int]:
    """The number of each version whose formula is no longer the one that runs. No query while none has changed."""
    changed = [definition.slug for definition in definitions if definition.current_version > 1]
    if not changed:
        return {}
    rows = KpiDefinitionVersion.objects.filter(definition__in=changed, version__lt=F("definition__current_version"))
    return dict(rows.values_list("pk", "version"))


def stored_verdict(observation: KpiObservation) -> Verdict:
    """The label and reasons as they were stored with the observation."""
    reasons = tuple(Reason(each["code"], each["words"]) for each in observation.evidence_reasons)
    return Verdict(Evidence(observation.evidence or Evidence.UNVERIFIED), reasons)


def not_reproduced(slugs: Iterable[str]) -> set[str]:
    """The KPIs whose last re-run gave another figure than the stored one, and which nobody has computed since."""
    age = Window(RowNumber(), partition_by=["definition"], order_by=[F("id").desc()])
    again = KpiRun.objects.filter(definition__in=list(slugs), trigger="verify").exclude(outcome="")
    last = again.annotate(age=age).filter(age=1)
    failed = {run.definition_id: run for run in last if run.outcome == RunOutcome.DIFFERS}
    return failed.keys() - _mended(failed)


def _mended(failed: Mapping[str, KpiRun]) -> set[str]:
    """Those for which a run that ended after the last re-run has stored that figure anew."""
    if not failed:
        return set()
    later = KpiRun.objects.filter(definition__in=failed, outcome=RunOutcome.DONE).exclude(trigger="event")
    later = later.filter(id__gt=min(run.pk for run in failed.values()))
    return {run.definition_id for run in later if _mends(run, failed[run.definition_id])}


def _mends(run: KpiRun, last: KpiRun) -> bool:
    return run.pk > last.pk and run.as_of == last.as_of


def _with_parts(definitions: Iterable[KpiDefinition]) -> Mapping[str, KpiDefinition]:
    """The definitions by slug, and those that they are made of, one level after the other."""
    known = {definition.slug: definition for definition in definitions}
    missing = _references(known.values()) - known.keys()
    while missing:
        found = {definition.slug: definition for definition in KpiDefinition.objects.filter(slug__in=missing)}
        known |= found
        missing = _references(found.values()) - known.keys()
    return known


def _references(definitions: Iterable[KpiDefinition]) -> set[str]:
    return {slug for definition in definitions for slug in references_in(definition.spec)}


def _cadence(definition: KpiDefinition) -> timedelta | None:
    try:
        formula = formula_of(definition)
    except Invalid:  # a draft: nothing comes of it yet
        return None
    if formula is None:
        return None
    counted = formula.calc.event if isinstance(formula.calc, Recency) else formula.base
    return expected_every(counted.source) if isinstance(counted, Rows) else None
