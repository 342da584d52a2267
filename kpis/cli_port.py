"""Where `mim kpi`, `report` and `fact` get figures from: the database, or a server. Commands do not know which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from majorops.lib.errors import Invalid
from majorops.lib.remote import connected, is_remote

if TYPE_CHECKING:
    from kpis.facts.ingest import Report

#: A definition, an observation, a report, a fact… as the API shows it.
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """What to compute anew: the samples between two moments, or those of one incident."""

    start: datetime | None = None
    #: None: the last midnight.
    end: datetime | None = None
    incident: str = ""
    dry_run: bool = False
    resume: bool = False
    forced_because: str = ""


#: (done, total)
Advance = Callable[[int, int], None]


class Kpis(Protocol):
    def definitions(self) -> list[Document]:
        """All of them by slug, with their newest figures."""

    def definition(self, slug: str) -> Document:
        """Raises KpiNotFound."""

    def versions(self, slug: str) -> list[Document]:
        """A definition as it stood after each change, the newest first. Raises KpiNotFound."""

    def contents(self, slugs: Sequence[str]) -> list[Document]:
        """These definitions, or all, by slug, as files have them. Raises KpiNotFound."""

    def written_for(self, form: str, slugs: Sequence[str]) -> str:
        """These definitions, or all, in the words of another tool. Raises KpiNotFound."""

    def planned(self, definitions: Sequence[Any]) -> list[Document]:
        """What importing each would do."""

    def imported(self, definitions: Sequence[Any], *, reason: str, publish: bool) -> list[str]:
        """Imports them, all or nothing, and says what became of each."""

    def previewed(self, slug: str, told: Mapping[str, Any] | None) -> Document:
        """The figures as they are and as this definition of a file, or the draft, would have them."""

    def computable(self) -> list[str]:
        """Slugs of the active definitions with a formula."""

    def backfilled(self, slug: str, span: Span, advance: Advance) -> Document:
        """Counts of what was computed anew, with `asOf`, and with `examples` of a dry run.

        Raises KpiNotFound, NothingToCompute, NoValuesOfIncidents.
        """

    def observations(self, slug: str, incident: str, limit: int) -> list[Document]:
        """Current values, the newest first: of one incident, or of a KPI for all of them."""

    def why(self, slug: str, incident: str, observation: str) -> Document:
        """The rows behind a value; behind the newest overall figure where none is named."""

    def dwell(self, window: str) -> Document:
        """How long incidents stay in each phase."""

    def alerts(self) -> list[Document]:
        """The alert rules and how they stand."""

    def readiness(self, slug: str, **asked: str) -> Document:
        """The dispatch credit of a team. Raises NoSuchTeam."""

    def readiness_of_all(self, **asked: str) -> list[Document]:
        """The dispatch credit of every team, by name."""

    def made(self, kind: str, *, mail: bool, dry_run: bool) -> tuple[Document, int]:
        """A report of the last whole period, kept; and to how many it was mailed."""

    def metrics(self, pack: str) -> Document:
        """Every KPI as it stands now; or with `pack` those of one. Raises NoSuchPack, NotInUse."""

    def reports(self) -> list[Document]:
        """The newest first, without their content."""

    def report(self, id: str) -> Document:
        """Raises NoSuchReport."""

    def facts(self, kind: str, count: int) -> list[Document]:
        """The newest, in the order they came in."""

    def append(self, event: Mapping[str, Any], source: str) -> tuple[Document, bool]:
        """One fact, and whether it is new."""

    def append_many(self, records: Sequence[tuple[int, Mapping[str, Any] | Invalid]], source: str) -> Report:
        """Events of a file, each under its number; the ones that are refused are counted and told."""

    def valued(self, kind: str, fields: Sequence[tuple[str, str]]) -> dict[str, object]:
        """Typed texts as the values that this kind of fact has."""


def kpis() -> Kpis:
    from kpis.cli_local import Local
    from kpis.cli_remote import Remote

    return Remote(connected()) if is_remote() else Local()


def by_slug(text: str, known: Iterable[str]) -> str:
    """What to say of a slug that nothing has."""
    from majorops.lib.text import near_match

    return f'No KPI is called "{text}". {near_match(text, known)}'


def no_draft(slug: str) -> Invalid:
    """What to say where nothing waits to be tried."""
    return Invalid(f"{slug} has no draft. Save one in /admin/, or name a file: --file {slug}.yaml", field="file")


def counts_told(slug: str, version: int, counted: Mapping[str, Any]) -> Document:
    """Counts as every way of computing tells them."""
    named = {name: counted[name] for name in ("new", "changed", "same", "retired", "kept")}
    about = {"kpi": slug, "version": version, **named, "withoutValue": counted["without_value"]}
    return {**about, "examples": counted.get("examples", []), "asOf": counted.get("as_of")}
