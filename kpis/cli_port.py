"""Where `mim kpi`, `report` and `fact` get figures from: the database, or a server. Commands do not know which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from majorops.lib.errors import Invalid
from majorops.lib.remote import connected, is_remote

if TYPE_CHECKING:
    from kpis.facts.ingest import Report

#: A definition, an observation, a report, a fact… as the API shows it.
Document = Mapping[str, Any]


class Kpis(Protocol):
    def definitions(self) -> list[Document]:
        """All of them by slug, with their newest figures."""

    def definition(self, slug: str) -> Document:
        """Raises KpiNotFound."""

    def versions(self, slug: str) -> list[Document]:
        """A definition as it stood after each change, the newest first. Raises KpiNotFound."""

    def observations(self, slug: str, incident: str, limit: int) -> list[Document]:
        """Current values, the newest first: of one incident, or of a KPI for all of them."""

    def why(self, slug: str, incident: str, observation: str) -> Document:
        """The rows behind a value; behind the newest overall figure where none is named."""

    def alerts(self) -> list[Document]:
        """The alert rules and how they stand."""

    def readiness(self, slug: str, **asked: str) -> Document:
        """The dispatch credit of a team. Raises NoSuchTeam."""

    def readiness_of_all(self, **asked: str) -> list[Document]:
        """The dispatch credit of every team, by name."""

    def made(self, kind: str, *, mail: bool, dry_run: bool) -> tuple[Document, int]:
        """A report of the last whole period, kept; and to how many it was mailed."""

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
