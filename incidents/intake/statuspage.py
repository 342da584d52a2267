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

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import unescape

from incidents.intake import Fate, FileRefused, Problem, printable, told_apart
from incidents.lifecycle import Phase, Severity
from incidents.past import PastIncident, PastUpdate
from majorops.lib.errors import Invalid
from majorops.lib.times import iso, parse_time

MAX_BYTES = 200 * 1024 * 1024
MAX_TITLE = 200
MAX_TEXT = 20_000
MAX_ID = 150
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
MAINTENANCE = ("scheduled", "in_progress", "verifying", "completed")

_PAGE_ID = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE_BREAK = re.compile(r"<br\s*/?>|</(?:p|ul|ol)>", re.IGNORECASE)
_ITEM = re.compile(r"<li\b[^>]*>", re.IGNORECASE)
_LINK = re.compile(r'<a\b[^>]*\bhref="([^"]*)"[^>]*>(.*?)</a>', re.IGNORECASE | re.DOTALL)
#: Named, for "<0.1% of users" is no tag.
_MARKUP = re.compile(r"</?(?:p|ul|ol|li|strong|b|em|i|u|code|pre|span|div|a)\b[^>]*>", re.IGNORECASE)


def read(content: bytes) -> Iterator[PastIncident | Problem]:
    """The incidents of a file in its order, each after what is odd about it. Raises FileRefused."""
    records, planned, page = _records(_json(content))
    return _walk(records, planned, page)


def _json(content: bytes) -> object:
    if len(content) > MAX_BYTES:
        raise FileRefused(f"The file has {len(content):,} bytes; {MAX_BYTES:,} can be read at once. Split it.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileRefused("The file is UTF-16 text. Save it as UTF-8.")
    # Bytes that are not UTF-8 become lone surrogates here, so that the record they stand in can be named.
    text = content.decode("utf-8-sig", errors="surrogateescape")
    if not text.strip():
        raise FileRefused("The file is empty.")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise FileRefused(_why_not_json(text, error)) from None
    except (RecursionError, ValueError):
        raise FileRefused(
            "The file is nested too deeply, or its numbers are too long, for a Statuspage history."
        ) from None


def _why_not_json(text: str, error: json.JSONDecodeError) -> str:
    breaks_off = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    if text.lstrip()[0] in "[{" and breaks_off:
        return "The file breaks off in the middle. Fetch it again; nothing was imported."
    return f"The file is not JSON: line {error.lineno}, column {error.colno}: {error.msg}."


def _records(document: object) -> tuple[list[object], list[object], str]:
    """The incident records, the maintenance records, and the id of their page."""
    if isinstance(document, list):
        return document, [], ""
    if isinstance(document, dict):
        page = document.get("page")
        page_id = _page_id(page.get("id")) if isinstance(page, dict) else ""
        incidents, planned = document.get("incidents"), document.get("scheduled_maintenances")
        if isinstance(incidents, list) or isinstance(planned, list):
            return _list(incidents), _list(planned), page_id
        if "id" in document and "incident_updates" in document:
            return [document], [], page_id
    raise FileRefused(
        'This JSON is no Statuspage history. Expected is an object with a list "incidents", a list of incidents, '
        "or one incident with its incident_updates."
    )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _page_id(value: object) -> str:
    return value if isinstance(value, str) and _PAGE_ID.fullmatch(value) else ""


def _walk(records: list[object], planned: list[object], page: str) -> Iterator[PastIncident | Problem]:
    seen: dict[str, PastIncident] = {}
    for place, said in enumerate(records, start=1):
        if isinstance(said, dict):
            yield from _Reader(said, _label(said, place), page).read(seen)
        else:
            yield Problem(Fate.REFUSED, _label(said, place), "It is not an object.")
    for place, said in enumerate(planned, start=1):
        yield Problem(Fate.SKIPPED, _label(said, place), str(_Planned()))


def _label(said: object, place: int) -> str:
    """The id and name of a record for the report, or its place in the file."""
    texts = [said.get(key) for key in ("id", "name")] if isinstance(said, dict) else []
    known = [printable(text, 40) for text in texts if isinstance(text, str) and text.strip()]
    return f"{known[0]} ({known[1]})" if len(known) == 2 else " ".join([f"record {place}", *known])


class _Planned(Invalid):
    """Scheduled maintenance is no incident."""


@dataclass(slots=True)
class _Reader:
    """Reads one record, and keeps what is odd about it. Its methods raise Invalid for what cannot be kept."""

    said: Mapping[str, object]
    label: str
    page: str
    kept: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def read(self, seen: dict[str, PastIncident]) -> Iterator[PastIncident | Problem]:
        """The incident, after one line for all that is odd but kept, and one for each part left out."""
        try:
            past = self._incident()
            self._check_once(past, seen)
        except Invalid as error:
            yield Problem(Fate.SKIPPED if isinstance(error, _Planned) else Fate.REFUSED, self.label, error.message)
            return
        for sentence in self.left_out:
            yield Problem(Fate.REFUSED, self.label, sentence)
        if self.kept:
            yield Problem(Fate.KEPT, self.label, " ".join(dict.fromkeys(self.kept)))
        yield past

    def _check_once(self, past: PastIncident, seen: dict[str, PastIncident]) -> None:
        """The same incident again may add to itself; of two incidents with one id, only the first is believed."""
        first = seen.setdefault(past.external_id, past)
        if first is past:
            return
        if first.title != past.title and first.detected_at != past.detected_at:
            raise Invalid("Another incident in this file has the same id and came first. Correct the id.")
        self.kept.append("Its id appears again in this file; updates that the repetition adds are merged.")

    def _incident(self) -> PastIncident:
        if _word(self.said.get("status")) in MAINTENANCE or self.said.get("scheduled_for") is not None:
            raise _Planned
        external_id, title, updates = self._id(), self._title(), self._updates()
        started = self._started(updates)
        resolved = self._resolved(updates)
        self._note_disorder(started, resolved, updates)
        page = _page_id(self.said.get("page_id")) or self.page
        return PastIncident(
            external_source=f"statuspage:{page}" if page else "statuspage",
            external_id=external_id,
            title=title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1] + "…",
            severity=self._severity(),
            detected_at=started,
            resolved_at=resolved,
            updates=updates,
            phases=_phases(updates, started, resolved),
            is_monitoring=_word(self.said.get("status")) == "monitoring",
            affected_systems=self._systems(),
            metadata=self._metadata(title),
        )

    # --- Texts ---

    def _clean(self, value: object) -> str:
        """Text that a database can hold; what cannot be held is replaced and told."""
        text = value if isinstance(value, str) else ""
        if "\0" in text:
            self.kept.append("NUL characters were removed from its text.")
        if _SURROGATE.search(text):
            self.kept.append("Bytes that are not UTF-8 show as �.")
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\0", "")).strip()

    def _id(self) -> str:
        value = self.said.get("id")
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(text, str) or not text.strip():
            raise Invalid("It has no id, so a second import could not know it again.")
        if len(text) > MAX_ID or not text.isprintable():
            raise Invalid(f"Its id must be at most {MAX_ID} printable characters.")
        return text.strip()

    def _title(self) -> str:
        title = " ".join(self._clean(self.said.get("name")).split())
        if not title:
            raise Invalid("It has no name.")
        if len(title) > MAX_TITLE:
            self.kept.append(f"Its name has {len(title)} characters; {MAX_TITLE} fit, the whole is in its metadata.")
        return title

    def _severity(self) -> Severity:
        impact = _word(self.said.get("impact"))
        if impact not in SEVERITIES:
            told = f'Its impact "{printable(impact, 30)}" is unknown' if impact else "It states no impact"
            self.kept.append(f"{told}; severity medium is assumed.")
        return SEVERITIES.get(impact, Severity.MEDIUM)

    def _systems(self) -> tuple[str, ...]:
        components = [part.get("name") for part in _list(self.said.get("components")) if isinstance(part, dict)]
        names = [self._clean(name)[:120] for name in components]
        return tuple(dict.fromkeys(name for name in names if name))[:200]

    def _metadata(self, title: str) -> dict[str, object]:
        keys = ("impact", "status", "shortlink", "created_at", "updated_at", "monitoring_at", "resolved_at")
        found = {key: self._clean(self.said.get(key))[:500] for key in keys}
        found["title"] = title[:MAX_TEXT] if len(title) > MAX_TITLE else ""
        return {key: text for key, text in found.items() if text}

    # --- Times ---

    def _started(self, updates: tuple[PastUpdate, ...]) -> datetime:
        if started := _time(self.said, "started_at"):
            return started
        if created := _time(self.said, "created_at"):
            self.kept.append("started_at is missing; created_at is used.")
            return created
        if not updates:
            raise Invalid("It has no started_at, no created_at and no update, so nobody knows when it began.")
        self.kept.append("started_at and created_at are missing; the time of its first update is used.")
        return updates[0].at

    def _resolved(self, updates: tuple[PastUpdate, ...]) -> datetime | None:
        """When it was over; None while the source has it open."""
        status = _word(self.said.get("status"))
        told = f'Its status "{printable(status, 30)}"' if status else "Its missing status"
        closing = [update.at for update in updates if update.status == "resolved"]
        if status not in (*OPEN, *CLOSED):
            self.kept.append(f"{told} is unknown; its times decide whether it is resolved.")
        if stated := _time(self.said, "resolved_at"):
            if status in OPEN:
                self.kept.append(f"{told} contradicts its resolved_at; it counts as resolved.")
            return self._confirmed(stated, closing)
        if status in CLOSED and not closing:
            raise Invalid("It is said to be resolved, but neither resolved_at nor an update says when.")
        if status in CLOSED:
            self.kept.append("resolved_at is missing; the time of its update “resolved” is used.")
            return closing[-1]
        if closing and closing[-1] == updates[-1].at:
            self.kept.append(f"{told} contradicts its last update, which says resolved; it counts as resolved then.")
            return closing[-1]
        return None

    def _confirmed(self, stated: datetime, closing: list[datetime]) -> datetime:
        """An export that lost the year of resolved_at was seen; where it has an update “resolved”, that one tells."""
        if not closing or min(abs(stated - at) for at in closing) <= CONTRADICTION:
            return stated
        told = f"resolved_at ({iso(stated)}) contradicts its update “resolved” ({iso(closing[-1])})"
        self.kept.append(f"{told}; the update's time is used, the stated one is in its metadata.")
        return closing[-1]

    def _note_disorder(self, started: datetime, resolved: datetime | None, updates: tuple[PastUpdate, ...]) -> None:
        if resolved is not None and resolved < started:
            told = f"It was resolved ({iso(resolved)}) before it started ({iso(started)})"
            self.kept.append(f"{told}; both times are kept, and its duration will count as invalid.")
        elif updates and updates[0].at < started - timedelta(minutes=1):
            self.kept.append(f"Its first update ({iso(updates[0].at)}) is older than its start ({iso(started)}).")

    # --- Updates ---

    def _updates(self) -> tuple[PastUpdate, ...]:
        """The oldest first, at equal times in the order of the source, which may list them the other way round."""
        said = self.said.get("incident_updates")
        if not isinstance(said, list):
            self.kept.append("It has no list of incident_updates; imported without.")
        found = [update for place, entry in enumerate(_list(said), start=1) for update in self._update(place, entry)]
        if found and found[0].at > found[-1].at:
            found.reverse()
        if odd := sorted({update.status for update in found} - {*OPEN, *CLOSED}):
            words = ", ".join(f'"{printable(word, 30)}"' for word in odd)
            self.kept.append(f"Unknown update status {words}; the text is kept, it moves no phase.")
        return tuple(self._distinct(sorted(found, key=lambda update: update.at)))

    def _update(self, place: int, entry: object) -> Iterator[PastUpdate]:
        """The update, or nothing where it cannot be kept."""
        try:
            if not isinstance(entry, dict):
                raise Invalid("it is not an object.")
            # `displayed_at` is how some exports spell it.
            at = _time(entry, "display_at", "displayed_at", "created_at")
            if at is None:
                raise Invalid("it has no time.")
        except Invalid as error:
            self.left_out.append(f"Update {place} is left out: {error.message}")
            return
        status = printable(_word(entry.get("status")), 40) or "unknown"
        update = PastUpdate(_update_id(entry), at, self._body(entry), status)
        yield update if update.external_id else told_apart(update)

    def _body(self, entry: Mapping[str, object]) -> str:
        text = _plain(self._clean(entry.get("body")))
        if not text:
            self.kept.append("An update without text shows as “(no text)”.")
            return "(no text)"
        if len(text) > MAX_TEXT:
            self.kept.append(f"An update has {len(text)} characters; it is cut to {MAX_TEXT}.")
        return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"

    def _distinct(self, updates: list[PastUpdate]) -> Iterator[PastUpdate]:
        seen: dict[str, PastUpdate] = {}
        for update in updates:
            first = seen.get(update.external_id)
            if first is not None and (first.at, first.text) != (update.at, update.text):
                self.kept.append(f'Several updates have the id "{printable(update.external_id, 30)}"; all are kept.')
                update = told_apart(update)
            if update.external_id not in seen:
                seen[update.external_id] = update
                yield update


def _time(said: Mapping[str, object], *keys: str) -> datetime | None:
    """The first of these times that is stated. Raises Invalid."""
    stated = ((key, said.get(key)) for key in keys)
    return next((parse_time(value, field=key) for key, value in stated if value not in (None, "")), None)


def _update_id(entry: Mapping[str, object]) -> str:
    """Its id within the incident; empty if it has none that could be kept."""
    value = entry.get("id")
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return text.strip() if text.isprintable() and len(text) <= MAX_ID else ""


def _word(value: object) -> str:
    """A state as the tables above spell it."""
    return value.strip().lower().replace(" ", "_") if isinstance(value, str) else ""


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
