"""Why this number: the rows behind a stored observation, what each adds, and what was left out and why.

The formula of the observation's own version runs again on today's rows, up to the same moment. Rows that the viewer
may not read are counted, never named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Model, QuerySet
from django.urls import reverse

from accounts.roles import Can
from accounts.visibility import Viewer, may
from incidents.models import Incident, Milestone, PhaseEntry, PromiseMove, TeamPage
from incidents.viewing import incidents_for
from kpis.compute import CLAIMS, inputs_hash, part_figures
from kpis.compute.drafts import silent_in, unless_silent
from kpis.compute.store import CREDIT
from kpis.definitions import check_spec
from kpis.evaluate import Evaluation, Explained, Measurement, Place, Row, Share, Told, shares, stable
from kpis.formulas import Formula, in_words, source_names
from kpis.formulas.facts import fields_of
from kpis.models import KpiObservation
from kpis.sources import Scope, load
from majorops.lib.errors import Invalid
from majorops.lib.visibility import readable, visible

#: How many rows of each sort are named; the others are counted.
LONGEST = 200
#: What a row is, by the word before the colon of its ref. Others have no page of their own.
KINDS: Mapping[str, type[Model]] = {
    "incident": Incident,
    "phase_entry": PhaseEntry,
    "milestone": Milestone,
    "promise_move": PromiseMove,
    "team_page": TeamPage,
}
#: Where a formula's name for a field is not the column's.
_COLUMNS = {
    ("phase_entry", "created_at"): "entered_at",
    ("milestone", "due_at"): "next_update_eta",
    ("milestone", "delivered_at"): "next_update_eta",
    ("milestone", "state"): "next_update_eta",
    ("promise_move", "delivered_at"): "due_at",
    ("promise_move", "state"): "due_at",
    ("team_page", "outcome"): "arrived_at",
}


@dataclass(frozen=True, slots=True)
class RowTold:
    """One row that the viewer may read. `reason` says why it was left out; empty for one that was used."""

    ref: str
    label: str
    incident_id: str
    url: str
    place: Place
    reason: str
    facts: tuple[tuple[str, object], ...]
    adds: float | None
    #: Used then and not now, or now and not then: "left since", "new since", or empty.
    since: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one sort: some named, `hidden` for others to read, `further` beyond the first LONGEST."""

    named: tuple[RowTold, ...]
    hidden: int
    hidden_adds: float
    further: int
    further_adds: float

    @property
    def total(self) -> int:
        return len(self.named) + self.hidden + self.further


@dataclass(frozen=True, slots=True)
class PartTold:
    """Another KPI that this one is made of."""

    slug: str
    is_known: bool
    shift_days: int
    value: float | None
    n: int
    weight: float | None
    scaled: float | None
    adds: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything behind one observation. `problem` says why there is nothing to show."""

    observation: KpiObservation
    words: str
    as_of: datetime | None
    #: The figure as the formula gives it today.
    today: Measurement | None
    used: Rows
    left_out: Rows
    counts: tuple[tuple[str, int], ...]
    parts: tuple[PartTold, ...]
    problem: str
    is_claim: bool
    #: What became of the rows since; empty when nothing did.
    changes: tuple[str, ...]
    how: str

    @property
    def version(self) -> int:
        return self.observation.definition_version.version

    @property
    def credit_version(self) -> int | None:
        """Which dispatch credit setting judged; None where nothing was judged by one."""
        return None if self.is_claim else (self.observation.metadata or {}).get(CREDIT)

    @property
    def is_superseded(self) -> bool:
        """The definition has changed since: its newest version would compute otherwise."""
        return self.version != self.observation.kpi.current_version


NOTHING = Rows((), 0, 0.0, 0, 0.0)


def explain(observation: KpiObservation, viewer: Viewer) -> Explanation:
    """The rows of an observation (with its kpi, version and run) as this viewer may read them."""
    formula = _formula(observation)
    if formula is None:
        return _without_rows(observation, "This version of the definition has no formula that runs.")
    as_of = observation.run.as_of if observation.run else observation.created_at
    scope = Scope(as_of, observation.incident_id or None)
    if formula.base is None:
        return _of_parts(observation, formula, scope, viewer)
    explained = _again(observation, formula, scope)
    teller = _Teller(viewer, formula, observation)
    return Explanation(
        observation=observation,
        words=in_words(formula),
        as_of=as_of,
        today=explained.measurement,
        used=teller.tell(explained.used),
        left_out=teller.tell(explained.left_out),
        counts=_counts(explained.left_out),
        parts=(),
        problem="",
        is_claim=observation.source in CLAIMS,
        changes=() if observation.source in CLAIMS else tuple(_changes(observation, explained.measurement)),
        how=_how(formula),
    )


def _formula(observation: KpiObservation) -> Formula | None:
    """The formula as it was when the observation was made."""
    version = observation.definition_version
    if version.spec is None:
        return None
    try:
        return check_spec(version.spec, version.units, slug=observation.kpi_id)
    except Invalid:  # a source it read is gone, or a KPI it is made of
        return None


def _again(observation: KpiObservation, formula: Formula, scope: Scope) -> Explained:
    """The same computation on the rows as they are today."""
    tables = load(source_names(formula), scope)
    evaluation = Evaluation(formula, tables, as_of=scope.as_of)
    if not observation.window:
        return evaluation.explain_subject(observation.subject_key)
    zone = ZoneInfo(settings.MAJOROPS_REPORTING_ZONE)
    found = evaluation.explain(observation.window, observation.dims or None, zone)
    return replace(found, measurement=unless_silent(found.measurement, silent_in(tables, scope.as_of)))


def _without_rows(observation: KpiObservation, problem: str) -> Explanation:
    is_claim = observation.source in CLAIMS
    return Explanation(
        observation, "", None, None, NOTHING, NOTHING, (), (), "" if is_claim else problem, is_claim, (), ""
    )


# --- KPIs made of KPIs ---


def _of_parts(observation: KpiObservation, formula: Formula, scope: Scope, viewer: Viewer) -> Explanation:
    figures, today = part_figures(observation.kpi, formula, scope, observation.window, observation.dims)
    parts = shares(formula, figures)
    known = _known_slugs(observation, parts, viewer)
    is_claim = observation.source in CLAIMS
    return Explanation(
        observation=observation,
        words=in_words(formula),
        as_of=scope.as_of,
        today=today,
        used=NOTHING,
        left_out=NOTHING,
        counts=(),
        parts=tuple(_part(share, share.slug in known) for share in parts),
        problem="" if parts or is_claim else "Nothing is computed: the value is only ever reported.",
        is_claim=is_claim,
        changes=() if is_claim else tuple(_changes(observation, today)),
        how=_how(formula),
    )


def _known_slugs(observation: KpiObservation, parts: Iterable[Share], viewer: Viewer) -> set[str]:
    """The parts whose definition the viewer may read; the others are counted."""
    definitions = type(observation.kpi).objects.filter(slug__in={share.slug for share in parts})
    return set(visible(definitions, viewer).values_list("slug", flat=True))


def _part(share: Share, is_known: bool) -> PartTold:
    found = share.measurement
    return PartTold(
        slug=share.slug if is_known else "",
        is_known=is_known,
        shift_days=share.shift.days if share.shift else 0,
        value=found.value if found and is_known else None,
        n=found.n if found and is_known else 0,
        weight=share.weight,
        scaled=share.scaled if is_known else None,
        adds=share.adds if is_known else None,
    )


# --- Rows, as far as the viewer may read them ---


class _Teller:
    """Names the rows of one observation for one viewer."""

    def __init__(self, viewer: Viewer, formula: Formula, observation: KpiObservation) -> None:
        self.viewer = viewer
        self.fields = fields_of(formula)
        self.groups = [name for name in formula.group_by if name != "user"]
        is_whole = len(observation.inputs) == 0 or len(observation.inputs) < LONGEST
        self.then = frozenset(observation.inputs) if is_whole and observation.source not in CLAIMS else None

    def tell(self, rows: Sequence[Told]) -> Rows:
        shown, beyond = rows[:LONGEST], rows[LONGEST:]
        known = _Known.of(self.viewer, shown)
        named = [(row, known.readable_columns(row.entry.row)) for row in shown]
        hidden = [row for row, columns in named if columns is None]
        return Rows(
            named=tuple(self._named(row, columns, known) for row, columns in named if columns is not None),
            hidden=len(hidden),
            hidden_adds=sum(row.adds or 0.0 for row in hidden),
            further=len(beyond),
            further_adds=sum(row.adds or 0.0 for row in beyond),
        )

    def _named(self, told: Told, columns: frozenset[str], known: _Known) -> RowTold:
        row = told.entry.row
        kind = told.entry.ref.partition(":")[0]
        facts = [
            (name, row[name])
            for name in (*self.groups, *self.fields)
            if row.get(name) is not None and _COLUMNS.get((kind, name), _of_incident(name)) in columns
        ]
        if told.entry.end is not None:
            facts += known.facts_of_end(told.entry.end, self.fields)
        return RowTold(
            ref=told.entry.ref,
            label=known.label(row),
            incident_id=str(row.get("incident_id") or ""),
            url=known.url(row),
            place=told.place,
            reason=told.reason.replace("_", " "),
            facts=tuple(dict.fromkeys(facts)),
            adds=told.adds,
            since=self._since(told),
        )

    def _since(self, told: Told) -> str:
        if self.then is None:
            return ""
        was_used = told.entry.ref in self.then
        if was_used == (told.place is Place.USED):
            return ""
        return "left since" if was_used else "new since" if told.place is Place.USED else ""


def _of_incident(name: str) -> str:
    """The column of an incident that a row repeats under another name."""
    return name.removeprefix("incident_") if name != "incident_id" else name


@dataclass(frozen=True, slots=True)
class _Known:
    """Of the rows to be named, those that exist for the viewer."""

    viewer: Viewer
    incidents: Mapping[str, Incident]
    own: Mapping[tuple[str, str], Model]

    @classmethod
    def of(cls, viewer: Viewer, rows: Iterable[Told]) -> _Known:
        refs: dict[str, set[str]] = defaultdict(set)
        about: set[str] = set()
        for row in (row for told in rows for row in told.entry.rows):
            kind, _, key = str(row["ref"]).partition(":")
            refs[kind].add(key)
            about.add(str(row.get("incident_id") or ""))
        incidents = {one.pk: one for one in incidents_for(viewer).filter(pk__in=about - {""})}
        own = {
            (kind, one.pk): one
            for kind, keys in refs.items()
            if kind in KINDS and kind != "incident"
            for one in visible(_rows(kind, keys), viewer)
        }
        return cls(viewer, incidents, own)

    def readable_columns(self, row: Row) -> frozenset[str] | None:
        """The columns of the row and its incident that the viewer reads; None when it is not for them to see."""
        kind, _, key = str(row["ref"]).partition(":")
        incident = self.incidents.get(str(row.get("incident_id") or ""))
        if row.get("incident_id") and incident is None:
            return None
        columns = readable(Incident, self.viewer, incident) if incident is not None else frozenset()
        if kind == "incident":
            return columns
        if kind not in KINDS:  # a fact or a survey answer: rows without a page, for those who read all KPIs
            return columns | frozenset(row) if may(self.viewer, Can.READ_INTERNAL_KPIS) else None
        found = self.own.get((kind, key))
        return columns | readable(KINDS[kind], self.viewer, found) if found is not None else None

    def facts_of_end(self, end: Row, fields: Sequence[str]) -> list[tuple[str, object]]:
        columns = self.readable_columns(end) or frozenset()
        kind = str(end["ref"]).partition(":")[0]
        return [
            (name, end[name])
            for name in fields
            if end.get(name) is not None and _COLUMNS.get((kind, name), name) in columns
        ]

    def label(self, row: Row) -> str:
        """`Checkout is slow`, `Database, Checkout is slow`."""
        kind, _, key = str(row["ref"]).partition(":")
        incident = self.incidents.get(str(row.get("incident_id") or ""))
        title = incident.title if incident else str(row["ref"])
        found = self.own.get((kind, key))
        match found:
            case TeamPage():
                return f"{found.team.name}, {title}"
            case Milestone():
                return f"Promise of milestone {found.sequence}, {title}"
            case PromiseMove():
                return f"Promise that was moved, {title}"
        return title

    def url(self, row: Row) -> str:
        incident_id, kind = row.get("incident_id"), str(row["ref"]).partition(":")[0]
        if incident_id not in self.incidents:
            return ""
        page = reverse("incidents:log" if kind == "phase_entry" else "incidents:detail", args=[incident_id])
        return page + {"team_page": "#teams", "milestone": "#milestones-title"}.get(kind, "")


def _rows(kind: str, keys: set[str]) -> QuerySet[Model]:
    rows: QuerySet[Model] = KINDS[kind]._default_manager.filter(pk__in=keys)
    return rows.select_related("team") if kind == "team_page" else rows


# --- Since then ---


def _counts(rows: Iterable[Told]) -> tuple[tuple[str, int], ...]:
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row.reason.replace("_", " ")] += 1
    return tuple(counts.items())


def _changes(stored: KpiObservation, today: Measurement) -> list[str]:
    """What is not as it was when the value was stored, in sentences."""
    said = []
    if inputs_hash(today.used) != stored.inputs_sha256:
        said.append(_changed_rows(stored, today))
    elif _figures(stored) != _figures(today):
        said.append("The same rows are used, and a time or value in them was corrected.")
    then = sum(stored.excluded.values()) + sum(stored.invalid.values())
    now = sum(today.excluded.values()) + sum(today.invalid.values())
    if then != now:
        said.append(f"{then} rows were left out then; {now} are today.")
    return said


def _changed_rows(stored: KpiObservation, today: Measurement) -> str:
    then, now = set(stored.inputs), set(today.used)
    if len(then) >= LONGEST:
        return f"Other rows are used: {len(now)} today."
    return f"The rows changed: {len(now - then)} new, {len(then - now)} no longer used."


def _figures(found: KpiObservation | Measurement) -> tuple[float | None, ...]:
    figures = (found.value, found.numerator, found.denominator, found.median, found.p90)
    return tuple(None if figure is None else stable(figure) for figure in figures)


# --- In words ---

_HOW = {
    "avg": "Each row adds its own value divided by the number of rows.",
    "sum": "Each row adds its own value.",
    "count": "Each row adds one.",
    "count_distinct": "Each value adds one, at the first row that has it.",
    "median": "The middle row, or half of each of the middle two, is the figure; the other rows only place it.",
    "min": "The lowest row is the figure.",
    "max": "The highest row is the figure.",
    "first": "The first row is the figure.",
    "last": "The last row is the figure.",
    "ratio": "Each row that counts adds an equal part of the whole; the others add nothing.",
    "conversion": "Each row that was followed in time adds an equal part; the others add nothing.",
    "recency": "Each one that is recent enough adds an equal part; the others add nothing.",
    "builtin": "Each dispatch that came in time adds one to the count that the class is read from.",
    "composite": "Each part adds its score times its weight, divided by the weight that is known.",
    "derived": "The parts are put into the formula above.",
    "reported": "Somebody states it.",
}


def _how(formula: Formula) -> str:
    """How the rows add up to the figure."""
    calc = formula.calc
    agg = getattr(calc, "agg", calc.kind)
    if isinstance(agg, str):
        return _HOW.get(agg, "")
    return "The row at that rank, or the two beside it by their distance, is the figure."
