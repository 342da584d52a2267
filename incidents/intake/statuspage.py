"""Reads Statuspage v2 histories: what /api/v2/incidents.json and its imitators say. Pure: bytes in, values out.

    impact              severity      status of an update     here
    critical            critical      investigating           stays in Alert
    major               high          identified              phase 5, Isolation
    minor               medium        monitoring              phase 7, Validation
    none, maintenance   low           resolved, postmortem    closed
    anything else       medium, told  anything else           text only, told

A stated time is taken as stated, even where it makes no sense, unless the record itself states another one. A missing
time is looked up where the format has it a second time, and never made up. Scheduled maintenance is no incident.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import unescape

from incidents.intake import Fate, FileRefused, Problem, printable, told_apart
from incidents.intake.documents import MAX_ID, MAX_TITLE, Record, cut, document, label_of, listed, time_of, word
from incidents.lifecycle import Phase, Severity
from incidents.past import PastIncident, PastUpdate
from majorops.lib.errors import Invalid
from majorops.lib.times import iso

#: How far resolved_at may lie from the update that says so. In sound histories they agree to the second.
CONTRADICTION = timedelta(days=1)

SEVERITIES = {
    "critical": Severity.CRITICAL,
    "major": Severity.HIGH,
    "minor": Severity.MEDIUM,
    "none": Severity.LOW,
    "maintenance": Severity.LOW,
}
PHASES = {"identified": Phase.ISOLATION, "monitoring": Phase.VALIDATION}
OPEN = ("investigating", "identified", "monitoring")
CLOSED = ("resolved", "postmortem")
SAID_BESIDES = ("impact", "status", "shortlink", "created_at", "updated_at", "monitoring_at", "resolved_at")
MAINTENANCE = ("scheduled", "in_progress", "verifying", "completed")

_PAGE_ID = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_LINE_BREAK = re.compile(r"<br\s*/?>|</(?:p|ul|ol)>", re.IGNORECASE)
_ITEM = re.compile(r"<li\b[^>]*>", re.IGNORECASE)
_LINK = re.compile(r'<a\b[^>]*\bhref="([^"]*)"[^>]*>(.*?)</a>', re.IGNORECASE | re.DOTALL)
#: Named, for "<0.1% of users" is no tag.
_MARKUP = re.compile(r"</?(?:p|ul|ol|li|strong|b|em|i|u|code|pre|span|div|a)\b[^>]*>", re.IGNORECASE)


def read(content: bytes) -> Iterator[PastIncident | Problem]:
    """The incidents of a file in its order, each after what is odd about it. Raises FileRefused."""
    records, planned, page = _records(document(content))
    return _walk(records, planned, page)


def _records(said: object) -> tuple[list[object], list[object], str]:
    """The incident records, the maintenance records, and the id of their page."""
    if isinstance(said, list):
        return said, [], ""
    if isinstance(said, dict):
        page = said.get("page")
        page_of = page_id(page.get("id")) if isinstance(page, dict) else ""
        incidents, planned = said.get("incidents"), said.get("scheduled_maintenances")
        if isinstance(incidents, list) or isinstance(planned, list):
            return listed(incidents), listed(planned), page_of
        one = said.get("incident", said)
        if isinstance(one, dict) and "id" in one and "incident_updates" in one:
            return [one], [], page_of
    raise FileRefused(
        'This JSON is no Statuspage history. Expected is an object with a list "incidents", a list of incidents, '
        "or one incident with its incident_updates."
    )


def page_id(value: object) -> str:
    """The id of a page if it can be part of a source, else empty."""
    return value if isinstance(value, str) and _PAGE_ID.fullmatch(value) else ""


def _walk(records: list[object], planned: list[object], page: str) -> Iterator[PastIncident | Problem]:
    seen: dict[str, PastIncident] = {}
    for place, said in enumerate(records, start=1):
        yield from read_record(said, place, page, seen)
    for place, said in enumerate(planned, start=1):
        yield Problem(Fate.SKIPPED, label_of(said, place, "name"), PLANNED)


def read_record(said: object, place: int, page: str, seen: dict[str, PastIncident]) -> Iterator[PastIncident | Problem]:
    """One record, after what is odd about it. `seen` has the incidents of the file before it."""
    label = label_of(said, place, "name")
    if isinstance(said, dict):
        yield from _Reader(said, label, page=page).read(seen)
    else:
        yield Problem(Fate.REFUSED, label, "It is not an object.")


PLANNED = "Scheduled maintenance is no incident."


class _Planned(Invalid):
    """Planned work, which is no incident."""


@dataclass(slots=True)
class _Reader(Record):
    """Reads one record of Statuspage."""

    page: str = ""

    def read(self, seen: dict[str, PastIncident]) -> Iterator[PastIncident | Problem]:
        """The incident, after one line for all that is odd but kept, and one for each part left out."""
        try:
            past = self._incident()
            self.check_once(past, seen)
        except Invalid as error:
            yield Problem(Fate.SKIPPED if isinstance(error, _Planned) else Fate.REFUSED, self.label, error.message)
            return
        yield from self.told()
        yield past

    def _incident(self) -> PastIncident:
        if word(self.said.get("status")) in MAINTENANCE or self.said.get("scheduled_for") is not None:
            raise _Planned(PLANNED)
        external_id, title, updates = self.id(), self.name("name", called="name"), self._updates()
        started = self._started(updates)
        resolved = self._resolved(updates)
        self.note_disorder(started, resolved, updates[0].at if updates else None)
        page = page_id(self.said.get("page_id")) or self.page
        return PastIncident(
            external_source=f"statuspage:{page}" if page else "statuspage",
            external_id=external_id,
            title=cut(title, MAX_TITLE),
            severity=self._severity(),
            detected_at=started,
            resolved_at=resolved,
            updates=updates,
            phases=_phases(updates, started, resolved),
            is_monitoring=word(self.said.get("status")) == "monitoring",
            affected_systems=self.names("components", "name"),
            metadata=self.metadata(SAID_BESIDES, title),
        )

    def _severity(self) -> Severity:
        impact = word(self.said.get("impact"))
        if impact not in SEVERITIES:
            told = f'Its impact "{printable(impact, 30)}" is unknown' if impact else "It states no impact"
            self.kept.append(f"{told}; severity medium is assumed.")
        return SEVERITIES.get(impact, Severity.MEDIUM)

    # --- Times ---

    def _started(self, updates: tuple[PastUpdate, ...]) -> datetime:
        if started := time_of(self.said, "started_at"):
            return started
        if created := time_of(self.said, "created_at"):
            self.repaired.append("started_at is missing; created_at is used.")
            return created
        if not updates:
            raise Invalid("It has no started_at, no created_at and no update, so nobody knows when it began.")
        self.repaired.append("started_at and created_at are missing; the time of its first update is used.")
        return updates[0].at

    def _resolved(self, updates: tuple[PastUpdate, ...]) -> datetime | None:
        """When it was over; None while the source has it open."""
        status = word(self.said.get("status"))
        told = f'Its status "{printable(status, 30)}"' if status else "Its missing status"
        closing = [update.at for update in updates if update.status == "resolved"]
        if status not in (*OPEN, *CLOSED):
            self.kept.append(f"{told} is unknown; its times decide whether it is resolved.")
        if stated := time_of(self.said, "resolved_at"):
            if status in OPEN:
                self.repaired.append(f"{told} contradicts its resolved_at; it counts as resolved.")
            return self._confirmed(stated, closing)
        if status in CLOSED and not closing:
            raise Invalid("It is said to be resolved, but neither resolved_at nor an update says when.")
        if status in CLOSED:
            self.repaired.append("resolved_at is missing; the time of its update “resolved” is used.")
            return closing[-1]
        if closing and closing[-1] == updates[-1].at:
            self.repaired.append(
                f"{told} contradicts its last update, which says resolved; it counts as resolved then."
            )
            return closing[-1]
        return None

    def _confirmed(self, stated: datetime, closing: list[datetime]) -> datetime:
        """An export that lost the year of resolved_at was seen; where it has an update “resolved”, that one tells."""
        if not closing or min(abs(stated - at) for at in closing) <= CONTRADICTION:
            return stated
        told = f"resolved_at ({iso(stated)}) contradicts its update “resolved” ({iso(closing[-1])})"
        self.repaired.append(f"{told}; the update's time is used, the stated one is in its metadata.")
        return closing[-1]

    # --- Updates ---

    def _updates(self) -> tuple[PastUpdate, ...]:
        """The oldest first, at equal times in the order of the source, which may list them the other way round."""
        said = self.said.get("incident_updates")
        if not isinstance(said, list):
            self.kept.append("It has no list of incident_updates; imported without.")
        found = [update for place, entry in enumerate(listed(said), start=1) for update in self._update(place, entry)]
        if odd := sorted({update.status for update in found} - {*OPEN, *CLOSED}):
            words = ", ".join(f'"{printable(one, 30)}"' for one in odd)
            self.kept.append(f"Unknown update status {words}; the text is kept, it moves no phase.")
        return self.in_order(found)

    def _update(self, place: int, entry: object) -> Iterator[PastUpdate]:
        """The update, or nothing where it cannot be kept."""
        try:
            if not isinstance(entry, dict):
                raise Invalid("it is not an object.")
            # `displayed_at` is how some exports spell it.
            at = time_of(entry, "display_at", "displayed_at", "created_at")
            if at is None:
                raise Invalid("it has no time.")
        except Invalid as error:
            self.left_out.append(f"Update {place} is left out: {error.message}")
            return
        status = printable(word(entry.get("status")), 40) or "unknown"
        update = PastUpdate(_update_id(entry), at, self._body(entry), status)
        yield update if update.external_id else told_apart(update)

    def _body(self, entry: Mapping[str, object]) -> str:
        return self.fitting(_plain(self.clean(entry.get("body"))))


def _update_id(entry: Mapping[str, object]) -> str:
    """Its id within the incident; empty if it has none that could be kept."""
    value = entry.get("id")
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return text.strip() if text.isprintable() and len(text) <= MAX_ID else ""


def _plain(body: str) -> str:
    """Text for reading: Statuspage bodies carry a little HTML."""
    text = _LINK.sub(r"\2 (\1)", body)
    text = _ITEM.sub("\n- ", _LINE_BREAK.sub("\n", text))
    text = unescape(_MARKUP.sub("", text)).replace("\0", "")
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _phases(
    updates: tuple[PastUpdate, ...], started: datetime, resolved: datetime | None
) -> tuple[tuple[Phase, datetime], ...]:
    """The first entry into each phase, in time order. The source may go back (monitoring, then identified): only its
    way forward is phases here, the rest is in the log."""
    entered: list[tuple[Phase, datetime]] = []
    for update in updates:
        phase = PHASES.get(update.status)
        during = started <= update.at and (resolved is None or update.at <= resolved)
        if phase and during and (not entered or phase > entered[-1][0]):
            entered.append((phase, update.at))
    return tuple(entered)
