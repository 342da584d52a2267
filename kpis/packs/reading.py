"""The KPIs of a pack as one reader may see them: figure, targets, how far to trust it, and what is missing for it.

A source that never spoke gives no number, also where arithmetic would: the share of nothing is not 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from accounts.visibility import Viewer
from kpis.evidence import Evidence, EvidenceInputs, derive
from kpis.models import (
    CLAIMS,
    DefinitionStatus,
    Fact,
    KpiDefinition,
    KpiObservation,
    KpiTarget,
    PackInstall,
)
from kpis.packs.files import Checklist, Entry, Group, Pack, day_of
from kpis.reading import Shown, is_average, review_in_words, shown, target_in_words, with_unit
from kpis.silence import Silence, is_stated
from kpis.standing import Standings
from kpis.targets import State, judge, standing
from kpis.viewing import figures_of, renewed
from majorops.lib.visibility import visible

#: How a reader may use a figure: say it, say it with its doubts, or wait for it.
CLAIMABLE = {Evidence.VERIFIED: "now", Evidence.PARTIAL: "doubtful"}
UNKNOWN, NOT_DUE, NO_TARGET = "unknown", "not_due", "no_target"


@dataclass(frozen=True, slots=True)
class Weight:
    """A part of a composite."""

    slug: str
    name: str
    percent: int
    value: str


@dataclass(frozen=True, slots=True)
class Row:
    """One KPI of a pack."""

    entry: Entry
    kpi: KpiDefinition
    figure: Shown
    targets: tuple[str, ...]
    #: met | at_risk | missed | unknown | not_due (a value, and a target of a later day) | no_target
    state: str
    #: The sources that never said anything.
    missing: tuple[str, ...]
    weights: tuple[Weight, ...] = ()
    value: float | None = None
    #: When somebody last looked at the definition, and when that is due again.
    reviewed: str = ""

    @property
    def use(self) -> str:
        """now | doubtful | needed: whether the figure can be claimed."""
        return CLAIMABLE.get(Evidence(self.figure.evidence), "needed") if self.figure.has_value else "needed"


@dataclass(frozen=True, slots=True)
class Section:
    group: Group
    rows: tuple[Row, ...]

    @property
    def summary(self) -> str:
        return summary(self.rows)


@dataclass(frozen=True, slots=True)
class Opened:
    """A pack as it stands for one reader."""

    pack: Pack
    install: PackInstall | None
    sections: tuple[Section, ...]
    #: KPIs of the pack that this reader does not see, or that are retired.
    hidden: int

    @property
    def rows(self) -> list[Row]:
        return [row for section in self.sections for row in section.rows]

    @property
    def summary(self) -> str:
        return summary(self.rows)

    @property
    def worst(self) -> str:
        """missed, at_risk, met or unknown: the gravest that is known."""
        states = {row.state for row in self.rows}
        return next((str(state) for state in (State.MISSED, State.AT_RISK, State.MET) if state in states), UNKNOWN)


def summary(rows: Iterable[Row]) -> str:
    """`met 4, at risk 1, missed 2, unknown 9 of 16`; `not due yet 3` before `unknown` where there is such a target."""
    found = Counter(row.state for row in rows)
    judged = sum(found.values()) - found[NO_TARGET]
    counted = [*((state.replace("_", " "), found[state]) for state in State), ("not due yet", found[NOT_DUE])]
    told = [f"{words} {count}" for words, count in counted if count or words != "not due yet"]
    return ", ".join([*told, f"unknown {found[UNKNOWN]}"]) + f" of {judged}" if judged else "no target set"


def installs(viewer: Viewer) -> dict[str, PackInstall]:
    return {row.pack: row for row in visible(PackInstall.objects.filter(retired_at=None), viewer)}


def opened(pack: Pack, viewer: Viewer, now: datetime) -> Opened:
    """The pack with what this viewer may read of it. The same few queries however many KPIs it has."""
    entries = {entry.slug: entry for entry in pack.entries}
    rows = visible(KpiDefinition.objects.filter(slug__in=entries, status=DefinitionStatus.ACTIVE), viewer)
    found = {row.slug: row for row in rows.order_by("slug").prefetch_related("targets")}
    drawn = _drawn(found, entries, viewer, now)
    sections = tuple(
        Section(group, tuple(drawn[entry.slug] for entry in group.entries if entry.slug in drawn))
        for group in pack.groups
    )
    return Opened(pack, installs(viewer).get(pack.slug), sections, len(entries) - len(found))


def _drawn(
    found: Mapping[str, KpiDefinition], entries: Mapping[str, Entry], viewer: Viewer, now: datetime
) -> dict[str, Row]:
    standings = Standings(found.values(), now)
    figures = {slug: rows[0] for slug, rows in figures_of(found.values(), viewer, standings).items()}
    silent = standings.silence
    values = {slug: _told(found[slug], figures[slug], silent.of(found[slug].spec, found)) for slug in found}
    return {slug: _row(entries[slug], found[slug], values, silent, found, now) for slug in found}


def _told(definition: KpiDefinition, figure: KpiObservation, missing: tuple[str, ...]) -> KpiObservation:
    """The figure; none where a source is silent and nobody claimed one."""
    if figure.source in CLAIMS and figure.value is not None:
        return figure
    is_reported = is_stated(definition.spec)
    if not missing and not (is_reported and figure.value is None):
        return figure
    verdict = derive(EvidenceInputs(value=None, never_received=missing, is_reported=is_reported))
    return KpiObservation(
        kpi=definition,
        window=figure.window,
        reason="never_received",
        units=definition.units,
        evidence=verdict.label,
        evidence_reasons=[{"code": each.code, "words": each.words} for each in verdict.reasons],
    )


def _row(
    entry: Entry,
    definition: KpiDefinition,
    values: Mapping[str, KpiObservation],
    silent: Silence,
    known: Mapping[str, KpiDefinition],
    now: datetime,
) -> Row:
    figure, targets = values[definition.slug], list(definition.targets.all())
    target = standing(targets, {}, at=now)
    state = NO_TARGET if not targets else UNKNOWN
    if figure.value is not None and targets:
        state = NOT_DUE if target is None else str(judge(figure.value, target))
    return Row(
        entry=entry,
        kpi=definition,
        figure=shown(figure, targets, is_average=is_average(definition)),
        targets=tuple(str(target_in_words(each, definition.units)) for each in in_order(targets)),
        state=state,
        missing=silent.of(definition.spec, known),
        weights=tuple(_weights(definition, values, known)),
        value=figure.value,
        reviewed=_reviewed(definition, now),
    )


def _reviewed(definition: KpiDefinition, now: datetime) -> str:
    words, _ = review_in_words(definition, now)
    last = definition.last_reviewed_at
    return f"reviewed {last.day} {last:%b %Y}, {words}" if last else words


def in_order(targets: Iterable[KpiTarget]) -> list[KpiTarget]:
    """The rungs by the day they are due; first what always holds."""
    return sorted(targets, key=lambda target: (target.due_on or date.min, target.pk))


def _weights(
    definition: KpiDefinition, values: Mapping[str, KpiObservation], known: Mapping[str, KpiDefinition]
) -> Iterable[Weight]:
    calc = (definition.spec or {}).get("calc", {})
    for part in calc.get("parts", ()) if calc.get("kind") == "composite" else ():
        slug, figure = part["kpi"], values.get(part["kpi"])
        name = known[slug].name if slug in known else slug
        value = with_unit(figure.value if figure else None, definition.units)
        yield Weight(slug, name, round(100 * part["weight"]), value)


# --- The programme ---


@dataclass(frozen=True, slots=True)
class StepShown:
    title: str
    begins: date
    ends: date
    tasks: tuple[str, ...]
    #: What nothing measures yet and is due by then.
    due: tuple[tuple[Row, date], ...]


def roadmap(told: Opened, start: date) -> list[StepShown]:
    """The steps with their days, and in each the KPIs that must be measured by its end."""
    waiting = [(row, due) for row in told.rows if row.use == "needed" and (due := _due(row))]
    steps, after = [], date.min
    for step in told.pack.roadmap:
        ends = day_of(step.last, start)
        needed = tuple((row, on) for row, on in waiting if after < on <= ends)
        steps.append(StepShown(step.title, _first_day(step.first, start), ends, step.tasks, needed))
        after = ends
    later = tuple((row, on) for row, on in waiting if on > after)
    return [*steps, StepShown("After that", after, max(on for _, on in later), (), later)] if later else steps


def _due(row: Row) -> date | None:
    return min((target.due_on for target in row.kpi.targets.all() if target.due_on), default=None)


def _first_day(text: str, start: date) -> date:
    """`week 3` begins when two weeks are over."""
    word, _, count = text.partition(" ")
    return day_of(f"{word} {int(count) - 1}", start)


@dataclass(frozen=True, slots=True)
class Ticked:
    key: str
    name: str
    done: bool


@dataclass(frozen=True, slots=True)
class ChecklistShown:
    checklist: Checklist
    due: date | None
    items: tuple[Ticked, ...]

    @property
    def done(self) -> int:
        return sum(item.done for item in self.items)


def checklists(pack: Pack, start: date, viewer: Viewer) -> list[ChecklistShown]:
    """Each checklist with what is done of it, by the newest fact about each item. One query."""
    kinds = {each.kind for each in pack.checklists}
    facts = visible(Fact.objects.standing().filter(kind__in=kinds), viewer).order_by("occurred_at", "id")
    done = {subject: bool(payload.get("done")) for subject, payload in facts.values_list("subject_id", "payload")}
    return [
        ChecklistShown(
            each,
            day_of(each.due, start) if each.due else None,
            tuple(Ticked(key, name, done.get(key, False)) for key, name in each.items.items()),
        )
        for each in pack.checklists
    ]


# --- Before and after ---


@dataclass(frozen=True, slots=True)
class Pair:
    """One KPI at two moments. Without evidence at both there is no change to tell."""

    kpi: KpiDefinition
    before: Shown | None
    after: Shown | None
    change: str
    why: str


def case_study(slugs: Sequence[str], viewer: Viewer, *, before: datetime, after: datetime, now: datetime) -> list[Pair]:
    """The newest headline figures by the one moment and by the other."""
    rows = visible(KpiDefinition.objects.filter(slug__in=slugs, status=DefinitionStatus.ACTIVE), viewer)
    known = {row.slug: row for row in rows.prefetch_related("targets")}
    standings = Standings(known.values(), now)
    then, later = (_figures_by(known, viewer, at) for at in (before, after))
    return [_pair(known[slug], then.get(slug), later.get(slug), standings) for slug in slugs if slug in known]


def _figures_by(known: Mapping[str, KpiDefinition], viewer: Viewer, at: datetime) -> dict[str, KpiObservation]:
    age = Window(RowNumber(), partition_by=["kpi", "window"], order_by=[F("timestamp").desc(), F("id").desc()])
    rows = visible(KpiObservation.objects.current().rollups(), viewer)
    rows = rows.filter(kpi__in=list(known), dims_key="", timestamp__lte=at).annotate(age=age).filter(age=1)
    headline = {slug: ((row.spec or {}).get("windows") or ["all"])[0] for slug, row in known.items()}
    return {row.kpi_id: row for row in rows.defer("inputs") if row.window == headline[row.kpi_id]}


def _pair(
    kpi: KpiDefinition, before: KpiObservation | None, after: KpiObservation | None, standings: Standings
) -> Pair:
    first, last = (shown(row, list(kpi.targets.all())) if row else None for row in (before, after))
    if before is not None and after is not None and before.timestamp == after.timestamp:
        return Pair(kpi, first, None, "", "Both ends are the same figure: nothing was computed in between.")
    proven = [row is not None and row.value is not None and row.evidence in CLAIMABLE for row in (before, after)]
    if before is None or after is None or not all(proven):
        missing = " and ".join(name for name, is_there in zip(("before", "after"), proven, strict=True) if not is_there)
        return Pair(kpi, first, last, "", f"No figure with evidence {missing}.")
    renewed(after, standings)
    return Pair(kpi, first, last, _change(before.value or 0.0, after.value or 0.0, kpi.units), "")


def _change(before: float, after: float, units: str) -> str:
    """`+18 points` for a share, `-82 %` for anything else."""
    if units in ("percent", "score"):
        return f"{after - before:+.3g} points"
    return f"{100 * (after - before) / before:+.3g} %" if before else with_unit(after - before, units)
