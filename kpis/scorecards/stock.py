"""What a scorecard is made of: the KPIs with their formulas, and what is stored of them, in three queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber

from accounts.visibility import Viewer
from kpis import trends
from kpis.definitions import kpi_shapes
from kpis.formulas import Formula, FormulaError, parse, references_in
from kpis.formulas.kinds import Builtin
from kpis.models import KpiDefinition, KpiObservation, KpiTarget
from kpis.sources import SHAPES
from kpis.standing import Standings
from kpis.viewing import renewed
from majorops.lib.visibility import visible

#: The windows a scorecard can be switched to, in days.
SPANS = (30, 60, 90)
_TEAM_SOURCE = "team_pages"


@dataclass(frozen=True, slots=True)
class Kpi:
    """A definition with its formula, None while nothing can run, and its targets."""

    definition: KpiDefinition
    formula: Formula | None
    targets: tuple[KpiTarget, ...]

    @property
    def slug(self) -> str:
        return self.definition.slug

    @property
    def is_of_teams(self) -> bool:
        base = self.formula.base if self.formula else None
        return base is not None and base.source == _TEAM_SOURCE

    @property
    def is_class(self) -> bool:
        return self.formula is not None and isinstance(self.formula.calc, Builtin)


def with_formulas(definitions: list[KpiDefinition]) -> Iterable[tuple[KpiDefinition, Formula | None]]:
    """Each with its formula; those made of other KPIs share one look at them."""
    shapes = kpi_shapes() if any(references_in(each.spec) for each in definitions) else {}
    for each in definitions:
        try:
            formula = parse(each.spec, sources=SHAPES, kpis=shapes, slug=each.slug) if each.spec else None
        except FormulaError:
            formula = None
        yield each, formula


@dataclass(frozen=True, slots=True)
class Stock:
    """The newest rollups, the samples and the weekly history of rollups of all KPIs of a page."""

    now: datetime
    #: (slug, window, dims_key) -> the newest rollup.
    newest: Mapping[tuple[str, str, str], KpiObservation]
    samples: Mapping[str, list[tuple[trends.Sampled, Mapping[str, str | None]]]]
    #: (slug, dims_key) -> the headline rollups by time.
    past: Mapping[tuple[str, str], list[trends.Sampled]]
    standings: Standings

    @classmethod
    def of(cls, kpis: Sequence[Kpi], viewer: Viewer, now: datetime) -> Stock:
        slugs = [kpi.slug for kpi in kpis]
        rebuilt = [kpi.slug for kpi in kpis if kpi.formula and trends.can_rebuild(kpi.formula)]
        since = now - max(trends.WEEKS * trends.WEEK, 2 * timedelta(days=SPANS[-1])) - trends.WEEK
        return cls(
            now,
            _newest(slugs, viewer),
            _samples(rebuilt, viewer, since),
            _past([kpi for kpi in kpis if kpi.slug not in rebuilt], viewer, since),
            Standings([kpi.definition for kpi in kpis], now),
        )

    def renewed(self, figure: KpiObservation) -> KpiObservation:
        """With the evidence that holds now: a stored label does not grow old by itself."""
        return renewed(figure, self.standings)

    def is_computed(self, slug: str) -> bool:
        return any(kpi == slug for kpi, _, _ in self.newest)

    def as_of(self, slug: str) -> datetime:
        """Up to when the figures of a KPI reach: its newest rollup, so that all its numbers are of one moment."""
        times = [row.timestamp for (kpi, _, _), row in self.newest.items() if kpi == slug]
        return max(times, default=self.now)

    def of_group(self, slug: str, dims: Mapping[str, str | None]) -> list[trends.Sampled]:
        rows = self.samples.get(slug, ())
        return [sample for sample, of in rows if all(of.get(name) == value for name, value in dims.items())]


def _newest(slugs: list[str], viewer: Viewer) -> dict[tuple[str, str, str], KpiObservation]:
    age = Window(
        RowNumber(), partition_by=["kpi", "window", "dims_key"], order_by=[F("timestamp").desc(), F("id").desc()]
    )
    rows = visible(KpiObservation.objects.current().rollups(), viewer).filter(kpi__in=slugs)
    found = rows.annotate(age=age).filter(age=1).defer("inputs", "metadata")
    return {(row.kpi_id, row.window, row.dims_key): row for row in found}


def _samples(
    slugs: list[str], viewer: Viewer, since: datetime
) -> dict[str, list[tuple[trends.Sampled, Mapping[str, str | None]]]]:
    rows = visible(KpiObservation.objects.current().samples(), viewer)
    rows = rows.filter(Q(incident=None) | Q(incident__restricted=False), kpi__in=slugs, timestamp__gte=since)
    columns = ("kpi_id", "dims", "timestamp", "value", "n", "numerator", "denominator")
    found: dict[str, list[tuple[trends.Sampled, Mapping[str, str | None]]]] = defaultdict(list)
    for slug, dims, *figures in rows.exclude(value=None).order_by("timestamp", "pk").values_list(*columns):
        found[slug].append((trends.Sampled(*figures), dims))
    return found


def _past(kpis: Sequence[Kpi], viewer: Viewer, since: datetime) -> dict[tuple[str, str], list[trends.Sampled]]:
    """Of KPIs that samples cannot rebuild: the headline figure as it stood each time it was computed."""
    asked = Q(pk__in=())
    for kpi in kpis:
        if kpi.formula is not None:
            asked |= Q(kpi=kpi.slug, window=kpi.formula.windows[0])
    rows = visible(KpiObservation.objects.current().rollups(), viewer).filter(asked, dims_key="", timestamp__gte=since)
    found: dict[tuple[str, str], list[trends.Sampled]] = defaultdict(list)
    columns = ("kpi_id", "dims_key", "timestamp", "value", "n")
    for slug, group, *figures in rows.exclude(value=None).order_by("timestamp", "pk").values_list(*columns):
        found[slug, group].append(trends.Sampled(*figures))
    return found
