"""Reads the history of Google's status dashboards: status.cloud.google.com/incidents.json. Pure: bytes in, values out.

    status_impact          severity      status of an update    here
    SERVICE_OUTAGE         high          AVAILABLE              text, and the end where `end` is missing
    SERVICE_DISRUPTION     medium        anything else          text only, told if unknown
    SERVICE_INFORMATION    low
    anything else          what `severity` says (critical, high, medium, low), else medium, told

It began at `begin` and was over at `end`; `created` is only when the dashboard told of it, sometimes days later.
Updates have no ids: they are known again by when they were created.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from incidents.intake import Fate, FileRefused, Problem, printable, told_apart
from incidents.intake.documents import MAX_TITLE, Record, cut, document, label_of, listed, time_of, word
from incidents.lifecycle import Severity
from incidents.past import PastIncident, PastUpdate
from majorops.lib.errors import Invalid
from majorops.lib.times import iso

#: Where the links of the file begin: its `uri` is relative.
SITE = "https://status.cloud.google.com/"
SOURCE = "google-cloud"

IMPACTS = {
    "service_outage": Severity.HIGH,
    "service_disruption": Severity.MEDIUM,
    "service_information": Severity.LOW,
}
SEVERITIES = {severity.value: severity for severity in Severity}
OVER = "available"
SAID_BESIDES = ("number", "status_impact", "severity", "service_name", "created", "modified")
#: Keys that a record of this format has, and one of Statuspage has not.
TELLING = frozenset({"external_desc", "begin", "updates", "most_recent_update", "status_impact", "affected_products"})


def read(content: bytes, *, source: str = SOURCE, site: str = SITE) -> Iterator[PastIncident | Problem]:
    """The incidents of a file in its order, each after what is odd about it. Raises FileRefused."""
    records = _records(document(content))
    return _walk(records, source, site)


def _records(said: object) -> list[object]:
    if isinstance(said, dict):
        said = said["incidents"] if isinstance(said.get("incidents"), list) else [said] if TELLING & set(said) else None
    if not isinstance(said, list):
        raise FileRefused(
            "This JSON is no history of Google Cloud. Expected is a list of incidents with begin and end."
        )
    return said


def _walk(records: list[object], source: str, site: str) -> Iterator[PastIncident | Problem]:
    seen: dict[str, PastIncident] = {}
    for place, said in enumerate(records, start=1):
        label = label_of(said, place, "external_desc")
        if isinstance(said, dict):
            yield from _Reader(said, label, source=source, site=site).read(seen)
        else:
            yield Problem(Fate.REFUSED, label, "It is not an object.")


@dataclass(slots=True)
class _Reader(Record):
    """Reads one record of a Google dashboard."""

    source: str = SOURCE
    site: str = SITE

    def read(self, seen: dict[str, PastIncident]) -> Iterator[PastIncident | Problem]:
        """The incident, after what is odd about it."""
        try:
            past = self._incident()
            self.check_once(past, seen)
        except Invalid as error:
            yield Problem(Fate.REFUSED, self.label, error.message)
            return
        yield from self.told()
        yield past

    def _incident(self) -> PastIncident:
        external_id, name, updates = self.id(), self.name("external_desc", called="external_desc"), self._updates()
        began = self._began(updates)
        ended = self._ended(updates)
        self.note_disorder(began, ended, updates[0].at if updates else None)
        self._note_late(ended)
        return PastIncident(
            external_source=self.source,
            external_id=external_id,
            title=cut(name, MAX_TITLE),
            severity=self._severity(),
            detected_at=began,
            resolved_at=ended,
            updates=updates,
            affected_systems=self._systems(),
            metadata=self._besides(name),
        )

    def _severity(self) -> Severity:
        impact, stated = word(self.said.get("status_impact")), word(self.said.get("severity"))
        if impact in IMPACTS:
            return IMPACTS[impact]
        told = f'Its status_impact "{printable(impact, 30)}" is unknown' if impact else "It states no status_impact"
        if stated in SEVERITIES:
            self.repaired.append(f"{told}; its severity {stated} is used.")
            return SEVERITIES[stated]
        self.kept.append(f"{told}; severity medium is assumed.")
        return Severity.MEDIUM

    def _systems(self) -> tuple[str, ...]:
        products = self.names("affected_products", "title")
        service = self.clean(self.said.get("service_name"))[:120]
        return products or ((service,) if service else ())

    def _besides(self, name: str) -> dict[str, object]:
        found = self.metadata(SAID_BESIDES, name)
        uri = self.clean(self.said.get("uri"))
        if uri:
            found["link"] = uri if uri.startswith("https://") else self.site + uri.lstrip("/")
        places = dict.fromkeys(
            place for key in ("currently_affected_locations", "previously_affected_locations")
            for place in self.names(key, "title")
        )  # fmt: skip
        return {**found, "locations": list(places)} if places else found

    # --- Times ---

    def _began(self, updates: tuple[PastUpdate, ...]) -> datetime:
        if began := time_of(self.said, "begin"):
            return began
        if updates:
            self.repaired.append("begin is missing; the time of its first update is used.")
            return updates[0].at
        if created := time_of(self.said, "created"):
            self.repaired.append("begin is missing; created is used.")
            return created
        raise Invalid("It has no begin, no created and no update, so nobody knows when it began.")

    def _ended(self, updates: tuple[PastUpdate, ...]) -> datetime | None:
        """When it was over; None while the source has it open."""
        ended = time_of(self.said, "end")
        last_trouble = max((place for place, one in enumerate(updates) if one.status != OVER), default=-1)
        over = updates[last_trouble + 1 :]
        if ended is not None:
            if updates and not over:
                last = printable(updates[-1].status, 30)
                self.kept.append(f'Its last update says "{last}", yet it has an end; the end counts.')
            return ended
        if over:
            self.repaired.append("end is missing; the time of its update “AVAILABLE” is used.")
        return over[0].at if over else None

    def _note_late(self, ended: datetime | None) -> None:
        created = time_of(self.said, "created")
        if created and ended and created > ended:
            self.kept.append(f"It was published ({iso(created)}) after it had ended ({iso(ended)}).")

    # --- Updates ---

    def _updates(self) -> tuple[PastUpdate, ...]:
        said = self.said.get("updates")
        if not isinstance(said, list):
            self.kept.append("It has no list of updates; imported without.")
        found = [update for place, entry in enumerate(listed(said), start=1) for update in self._update(place, entry)]
        if odd := sorted({one.status for one in found} - {OVER, *IMPACTS}):
            words = ", ".join(f'"{printable(one, 30)}"' for one in odd)
            self.kept.append(f"Unknown update status {words}; the text is kept.")
        return self.in_order(found)

    def _update(self, place: int, entry: object) -> Iterator[PastUpdate]:
        """The update, or nothing where it cannot be kept."""
        try:
            if not isinstance(entry, dict):
                raise Invalid("it is not an object.")
            at = time_of(entry, "when", "created", "modified")
            if at is None:
                raise Invalid("it has no time.")
            known_by = _known_by(entry)
        except Invalid as error:
            self.left_out.append(f"Update {place} is left out: {error.message}")
            return
        text = self.fitting(self.clean(entry.get("text")))
        update = PastUpdate(known_by, at, text, printable(word(entry.get("status")), 40) or "unknown")
        yield update if known_by else told_apart(update)


def _known_by(entry: Mapping[str, object]) -> str:
    """The moment it was created, or else shown: its text may be edited later. Empty if neither is stated."""
    return iso(time_of(entry, "created", "when")) or ""
