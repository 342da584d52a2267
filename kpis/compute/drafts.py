"""What the rows of a formula say: observations before they are compared with what is stored.

A draft is a function of definition version, rows, as_of and scope, and of nothing else: the clock, reviews and re-runs
are judged apart (kpis/standing.py), so the same rows give the same hash on any day.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.conf import settings

from kpis.definitions import formula_of
from kpis.dispatch_credit import BUILT_IN
from kpis.evaluate import Dims, Evaluation, Figures, Measurement, Row, stable
from kpis.evaluate.dispatches import credit_of
from kpis.evidence import Evidence, EvidenceInputs, Verdict, derive, min_sample
from kpis.formulas import Composite, Formula, Reported, data_sources, references, source_names
from kpis.formulas.kinds import Builtin, Recency
from kpis.formulas.language import Rows
from kpis.models import CLAIMS, EVERYONE, KpiDefinition, KpiDefinitionVersion, KpiObservation
from kpis.sources import SHAPES, Scope, load

Key = tuple[str, str, str, datetime]
#: What became of each dispatch, as formulas name it.
_OUTCOME = "team_pages.outcome"


class Draft(NamedTuple):
    """An observation as a run finds it, before it is compared with what is stored."""

    subject_key: str
    window: str
    dims: Mapping[str, str | None]
    timestamp: datetime
    incident_id: str | None
    measurement: Measurement
    verdict: Verdict
    #: The newest row that the source had; None for a sample, which does not grow old.
    last_fact_at: datetime | None = None
    #: The version of the dispatch credit setting that judged; None where nothing is judged by it.
    credit: int | None = None

    @property
    def dims_key(self) -> str:
        """Samples have none: a later change of severity must not fork the key."""
        return dims_key(self.dims) if self.window else ""

    @property
    def key(self) -> Key:
        return self.subject_key, self.window, self.dims_key, self.timestamp


def dims_key(dims: Mapping[str, str | None]) -> str:
    """The group as it stands in the key of a rollup: alarm_level=box3;team=db-core. Empty for everyone."""
    return ";".join(f"{name}={quote(value or '', safe='')}" for name, value in sorted(dims.items()))


class Reading:
    """The rows of a formula as they stand, and the observations that follow from them."""

    def __init__(self, definition: KpiDefinition, formula: Formula, scope: Scope) -> None:
        self.definition = definition
        self.formula = formula
        self.scope = scope
        self._parts: dict[tuple[str, timedelta], Reading | None] = {}
        tables = load(source_names(formula), replace(scope, with_outcomes=_OUTCOME in data_sources(formula)))
        self.silent = silent_in(tables, scope.as_of)
        self._newest = _newest_fact(formula, tables, scope.as_of)
        self._credit = _credit_of(formula, tables)
        self._tables = tables
        self.evaluation = Evaluation(formula, tables, as_of=scope.as_of)
        self._verdicts: dict[tuple[object, ...], Verdict] = {}

    def samples(self) -> Iterator[Draft]:
        """None of a single person: what is never stored needs no retention (kpis/personal.py computes it)."""
        if self.definition.is_personal:
            return
        for sample in self.evaluation.samples():
            yield Draft(
                subject_key=sample.subject_key,
                window="",
                dims=sample.dims,
                timestamp=sample.timestamp,
                incident_id=sample.incident_id,
                measurement=sample.measurement,
                verdict=self._sample_verdict(sample.measurement),
                credit=self._credit,
            )

    def went_on(self) -> set[object]:
        """The incidents of which a row tells something later than as_of, such as an arrival after midnight."""
        as_of, found = self.scope.as_of, set()
        for name, rows in self._tables.items():
            fields = (*SHAPES[name].time_fields, "subject_closed_at")
            for row in rows:
                if any((at := row.get(field)) is not None and at >= as_of for field in fields):  # type: ignore[operator]
                    found.add(row["incident_id"])
        return found

    def rollups(self) -> Iterator[Draft]:
        """Overall and per group, for each window; groups are those that ever had a row. None for a reported KPI, nor
        for one of single people."""
        if self.definition.is_personal:
            return
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
                    last_fact_at=self.last_fact_at,
                    credit=self._credit,
                )

    @property
    def last_fact_at(self) -> datetime | None:
        """When the source last spoke; of several parts, the one that has been silent the longest."""
        if self.formula.base is not None:
            return self._newest
        parts = [part.last_fact_at for slug in references(self.formula) if (part := self._part(slug, timedelta(0)))]
        return min((at for at in parts if at is not None), default=None)

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
            found = self._reported(dims)
        else:
            zone = ZoneInfo(settings.MAJOROPS_REPORTING_ZONE)
            found = unless_silent(self.evaluation.measure(window, dims or None, zone, figure_of), self.silent)
        # With a value in spite of them, missing parts are told of by `renormalised`.
        labels = tuple((slug, label) for slug, part, label in parts if found.value is None or part.value is not None)
        return found, self._verdict(found, min_n=min_sample(self.formula), parts=labels)

    def _reported(self, dims: Dims) -> Measurement:
        """The newest value about the group that somebody stated by as_of."""
        stated = KpiObservation.objects.current().filter(kpi=self.definition, subject_key=EVERYONE, source__in=CLAIMS)
        stated = stated.filter(dims_key=dims_key(dims), timestamp__lte=self.scope.as_of)
        row = stated.order_by("-timestamp", "-pk").first()
        nothing = self.evaluation.measure()
        if row is None:
            return nothing
        return nothing._replace(value=row.value, reason=None, n=row.n, confidence=row.confidence)

    def groups(self) -> tuple[Dims, ...]:
        """The groups that ever had a row; those of its parts for a KPI made of others."""
        names = self.formula.group_by
        if self.formula.base is not None or not names:
            return self.evaluation.groups()
        parts = [part for slug in references(self.formula) if (part := self._part(slug, timedelta(0))) is not None]
        found = {tuple(dims[name] for name in names) for part in parts for dims in part.groups()}
        return tuple(dict(zip(names, key, strict=True)) for key in sorted(found, key=repr))

    def _part(self, slug: str, shift: timedelta) -> Reading | None:
        """Another KPI as it stood `shift` before; None if it has no formula that runs."""
        if (slug, shift) not in self._parts:
            definition = KpiDefinition.objects.computable().filter(slug=slug).first()
            formula = formula_of(definition) if definition is not None else None
            earlier = replace(self.scope, as_of=self.scope.as_of - shift)
            found = Reading(definition, formula, earlier) if definition is not None and formula is not None else None
            self._parts[slug, shift] = found
        return self._parts[slug, shift]

    def _sample_verdict(self, found: Measurement) -> Verdict:
        """Most samples are alike in all that a verdict asks about."""
        alike = found.reason, found.n, found.coverage, found.mean_confidence
        if alike not in self._verdicts:
            self._verdicts[alike] = self._verdict(found, min_n=1)
        return self._verdicts[alike]

    def _verdict(self, found: Measurement, *, min_n: int, parts: tuple[tuple[str, Evidence], ...] = ()) -> Verdict:
        is_reported = isinstance(self.formula.calc, Reported)
        return derive(
            EvidenceInputs(
                value=found.value if found.value is None else 0.0,  # which number it is proves nothing
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
            )
        )


def _credit_of(formula: Formula, tables: Mapping[str, Sequence[Row]]) -> int | None:
    """The version of the setting that judged the dispatches, for a formula that asks how they were judged."""
    if not isinstance(formula.calc, Builtin) and _OUTCOME not in data_sources(formula):
        return None
    rows = tables.get("team_pages")
    return credit_of(rows[0]).version if rows else None


def silent_in(tables: Mapping[str, Sequence[Row]], as_of: datetime) -> tuple[str, ...]:
    """The sources without a single row by then."""
    return tuple(name for name, rows in tables.items() if not _has_spoken(name, rows, as_of))


def unless_silent(found: Measurement, silent: Sequence[str]) -> Measurement:
    """The figure; without its value where a kind of fact never came: what nobody told of is not 0 percent."""
    if found.value is None or not any(name.startswith("fact:") or name == "decisions" for name in silent):
        return found
    nothing: dict[str, Any] = dict.fromkeys(("value", "numerator", "denominator", "median", "p90"))
    return found._replace(**nothing, reason="never_received", n=0)


def _has_spoken(source: str, rows: Sequence[Row], as_of: datetime) -> bool:
    """Whether the source had a row by `as_of`: asked next month, the answer is the same."""
    times = SHAPES[source].time_fields
    if not times:
        return bool(rows)
    return any((at := row.get(name)) is not None and at < as_of for row in rows for name in times)  # type: ignore[operator]


def _newest_fact(formula: Formula, tables: Mapping[str, Sequence[Row]], as_of: datetime) -> datetime | None:
    """The latest event before `as_of` of what is counted, or of what is looked for in a register."""
    counted = formula.calc.event if isinstance(formula.calc, Recency) else formula.base
    if not isinstance(counted, Rows):
        return None
    times = (row.get(counted.at) for row in tables.get(counted.source, ()))
    return max((at for at in times if isinstance(at, datetime) and at < as_of), default=None)


def part_figures(
    definition: KpiDefinition, formula: Formula, scope: Scope, window: str, dims: Dims
) -> tuple[Figures, Measurement]:
    """The KPIs that a KPI is made of, to be asked one by one, and its own figure."""
    reading = Reading(definition, formula, scope)

    def figure_of(slug: str, shift: timedelta | None) -> Measurement | None:
        part = reading._part(slug, shift or timedelta(0))
        if part is None:
            return None
        return part.figure(window if window in part.formula.windows else part.formula.windows[0], dims)[0]

    return figure_of, reading.figure(window, dims)[0]


def inputs_hash(used: Sequence[str]) -> str:
    """Which rows a figure was made of, in one word."""
    return _sha(f"[{','.join(map(_word, used))}]")


def result_hash(draft: Draft, version: KpiDefinitionVersion, inputs: str | None = None) -> str:
    """What makes two results the same: figures to 9 digits, counts, units, definition version and inputs.

    `inputs` is the hash of the rows used, for those who have it already.
    """
    return _sha(canonical(draft, version, inputs or inputs_hash(draft.measurement.used)))


def canonical(draft: Draft, version: KpiDefinitionVersion, inputs: str) -> str:
    """What is hashed: JSON with sorted keys and no spaces, as json.dumps would write it. A test compares the two."""
    found = draft.measurement
    figures = (found.value, found.numerator, found.denominator, found.median, found.p90)
    evidence = [_word(draft.verdict.label), *[_word(reason.code) for reason in draft.verdict.reasons]]
    return (
        f'{{"confidence":{_number(found.confidence)},"coverage":{_number(found.coverage)}{_judged_by(draft)}'
        f',"dims":{_sorted(draft.dims)},"evidence":[{",".join(evidence)}],"excluded":{_sorted(found.excluded)}'
        f',"figures":[{",".join([_figure(figure) for figure in figures])}],"inputs":"{inputs}"'
        f',"invalid":{_sorted(found.invalid)},"n":{found.n}'
        f',"reason":{"null" if found.reason is None else _word(found.reason)}'
        f',"units":{_word(version.units)},"version":{version.version}}}'
    )


def _judged_by(draft: Draft) -> str:
    """Nothing for the built-in setting: figures from before there was another keep their hash."""
    return f',"credit":{draft.credit}' if draft.credit not in (None, BUILT_IN) else ""


_word = json.encoder.encode_basestring_ascii
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _figure(figure: float | None) -> str:
    return "null" if figure is None else _number(stable(figure))


def _number(number: float | None) -> str:
    if number is None:
        return "null"
    return repr(number) if type(number) is float and math.isfinite(number) else _encode(number)


def _sorted(mapping: Mapping[str, str | int | None]) -> str:
    return _pairs(tuple(mapping.items())) if mapping else "{}"


@lru_cache(maxsize=4096)  # the same few groups and reasons come again and again
def _pairs(items: tuple[tuple[str, str | int | None], ...]) -> str:
    return _encode(dict(items))


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
