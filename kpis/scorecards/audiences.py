"""Whose scorecards there are, who may open them, and which KPIs stand on each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache

from django.contrib.auth.models import AnonymousUser

from accounts.permissions import required
from accounts.roles import Can
from accounts.visibility import Viewer, may
from kpis.catalog import BUILT_IN
from kpis.models import DefinitionStatus, KpiDefinition, KpiVisibility
from kpis.packs.files import every
from kpis.scorecards.boards import Board, boards
from kpis.scorecards.cards import NO_TARGET, UNKNOWN, Card, cards
from kpis.scorecards.stock import SPANS, Kpi, Stock, with_formulas
from kpis.targets import State
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.visibility import visible


class Name(StrEnum):
    """Whose scorecard it is."""

    EXEC = "exec"
    STAKEHOLDER = "stakeholder"
    READINESS = "readiness"


TITLES = {Name.EXEC: "Executive", Name.STAKEHOLDER: "Stakeholders", Name.READINESS: "Readiness"}
OPEN_TO = {
    Name.EXEC: Can.READ_EXEC_KPIS,
    Name.STAKEHOLDER: Can.READ_INCIDENTS,
    Name.READINESS: Can.READ_EXEC_KPIS,
}
PERSONAS = {Name.EXEC: "exec", Name.STAKEHOLDER: "stakeholder", Name.READINESS: "mim"}


class NoSuchScorecard(DomainError):
    """There is no such scorecard. There are exec, stakeholder and readiness."""

    code = "not_found"
    status = 404


@dataclass(frozen=True, slots=True)
class Section:
    """The cards of one system of KPIs."""

    slug: str
    title: str
    cards: tuple[Card, ...]

    @property
    def summary(self) -> str:
        return summary(self.cards)


@dataclass(frozen=True, slots=True)
class Scorecard:
    name: Name
    days: int
    cards: tuple[Card, ...]
    boards: tuple[Board, ...]

    @property
    def counts(self) -> dict[str, int]:
        return counts(self.cards)

    @property
    def total(self) -> int:
        """Cards with a target: what the counts are of."""
        return with_target(self.cards)

    @property
    def summary(self) -> str:
        return summary(self.cards)

    @property
    def sections(self) -> list[Section]:
        """The cards by the system they belong to: our own KPIs, each pack in its own order, and the rest."""
        found: dict[str, list[Card]] = defaultdict(list)
        for card in sorted(self.cards, key=lambda card: _place(card.kpi.slug)):
            found[_system(card.kpi.slug)].append(card)
        return [Section(slug, title, tuple(found[slug])) for slug, title in _systems().items() if found[slug]]


def counts(cards: Iterable[Card]) -> dict[str, int]:
    found = Counter(card.state for card in cards)
    return {str(state): found[state] for state in (*State, UNKNOWN, NO_TARGET)}


def with_target(cards: Iterable[Card]) -> int:
    return sum(card.state != NO_TARGET for card in cards)


def summary(cards: Sequence[Card]) -> str:
    """`met 4, at risk 1, missed 2, unknown 9 of 16`; `no target set` or `no target is due yet` where none is judged."""
    found, judged = counts(cards), with_target(cards)
    told = ", ".join(f"{state.replace('_', ' ')} {found[state]}" for state in (*State, UNKNOWN))
    if judged:
        return f"{told} of {judged}"
    return "no target is due yet" if any(card.figure.goal for card in cards) else "no target set"


def may_open(viewer: Viewer, name: Name) -> bool:
    return may(viewer, OPEN_TO[name])


def showing(definition: KpiDefinition, viewer: Viewer) -> list[Name]:
    """The scorecards this KPI stands on, of those that the viewer may open. Asks for no row."""
    if definition.status != DefinitionStatus.ACTIVE or definition.is_personal:
        return []
    ((_, formula),) = with_formulas([definition])
    kpi = Kpi(definition, formula, ())
    is_exec = definition.visibility == KpiVisibility.EXEC and not kpi.is_of_teams
    stands = {
        Name.EXEC: is_exec,
        Name.STAKEHOLDER: is_exec and definition.stakeholder_visible,
        Name.READINESS: kpi.is_of_teams and (kpi.is_class or may(viewer, Can.READ_INTERNAL_KPIS)),
    }
    return [name for name in Name if stands[name] and may_open(viewer, name)]


def days_of(text: str | None) -> int:
    """The span that the address asks for; 30 days unless it says so. Raises Invalid."""
    if text is None:
        return SPANS[0]
    if text not in map(str, SPANS):
        raise Invalid("window is 30, 60 or 90 (days).", field="window")
    return int(text)


def opened(name: str, viewer: Viewer, window: str | None, now: datetime) -> Scorecard:
    """The scorecard of that name. Raises NoSuchScorecard, Invalid, and what names the role it takes."""
    try:
        known = Name(name)
    except ValueError:
        raise NoSuchScorecard from None
    if not may_open(viewer, known):
        raise required(viewer or AnonymousUser(), OPEN_TO[known])
    return scorecard(known, viewer, days_of(window), now)


def scorecard(name: Name, viewer: Viewer, days: int, now: datetime) -> Scorecard:
    """The scorecard as this viewer may read it."""
    kpis = _kpis(name, viewer)
    stock = Stock.of(kpis, viewer, now)
    drawn = [card for kpi in kpis for card in cards(kpi, stock, days, PERSONAS[name])]
    of_teams = tuple(boards(kpis, stock)) if name is Name.READINESS else ()
    return Scorecard(name, days, tuple(drawn), of_teams)


def _kpis(name: Name, viewer: Viewer) -> list[Kpi]:
    rows = visible(KpiDefinition.objects.order_by("slug").prefetch_related("targets"), viewer)
    rows = rows.filter(status=DefinitionStatus.ACTIVE, is_personal=False)
    if name is not Name.READINESS:
        rows = rows.filter(visibility=KpiVisibility.EXEC)
    if name is Name.STAKEHOLDER:
        rows = rows.filter(stakeholder_visible=True)
    found = [Kpi(row, formula, tuple(row.targets.all())) for row, formula in with_formulas(list(rows))]
    if name is not Name.READINESS:
        return [kpi for kpi in found if not kpi.is_of_teams]
    return [kpi for kpi in found if kpi.is_of_teams and (kpi.is_class or may(viewer, Can.READ_INTERNAL_KPIS))]


# --- Which system a KPI belongs to ---

OWN, REST = "incidents", "more"


@cache
def _systems() -> dict[str, str]:
    """Their titles, in the order of the page."""
    return {OWN: "Incidents", **{pack.slug: pack.title for pack in every()}, REST: "More KPIs"}


@cache
def _places() -> dict[str, tuple[str, int]]:
    """Of each KPI that comes with the program: its system, and its place in that."""
    ours = {built_in.slug: (OWN, 0) for built_in in BUILT_IN}
    return ours | {entry.slug: (pack.slug, at) for pack in every() for at, entry in enumerate(pack.entries)}


def _system(slug: str) -> str:
    return _places().get(slug, (REST, 0))[0]


def _place(slug: str) -> int:
    return _places().get(slug, (REST, 0))[1]
