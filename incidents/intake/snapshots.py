"""Reads looks at a Statuspage: one line for each time somebody fetched /api/v2/summary.json. Pure.

A look is {"fetched_at": TIME, "body": what the page said}, or what the page said alone (its time is page.updated_at).
An incident is what the last look says of it, with the updates of all looks. A page lists only what is open: an incident
that is gone from a later look is over since some moment between the two, and that moment is not known; it is closed at
the later look, and its end counts as unknown. An empty look says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from incidents.intake import Fate, FileRefused, Problem, printable, statuspage
from incidents.intake.documents import label_of, listed, text_of, time_of
from incidents.past import GONE_AT, PastIncident
from majorops.lib.errors import Invalid
from majorops.lib.times import iso

#: How the time of a look is called.
TIMES = ("fetched_at", "captured_at", "polled_at", "timestamp")
#: How what the page said is called.
BODIES = ("body", "summary", "response")


@dataclass(frozen=True, slots=True)
class Look:
    """What the page said at one moment."""

    line: int
    at: datetime
    page: str
    incidents: list[object]
    planned: list[object]


@dataclass(slots=True)
class _Sighting:
    """All that was seen of one incident."""

    first: Look
    last: Look
    said: Mapping[str, object]
    #: By id, the latest wording of each; what has no id is known by its text.
    updates: dict[str, object] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    edited: int = 0
    looks: int = 0


def read(content: bytes) -> Iterator[PastIncident | Problem]:
    """Each incident once, after what is odd about it and about the looks. Raises FileRefused."""
    found = list(_looks(content))
    looks = sorted((one for one in found if isinstance(one, Look)), key=lambda look: (look.at, look.line))
    if not looks:
        raise FileRefused("No line of this file is a look at a Statuspage: an object with fetched_at and body.")
    return _walk(looks, [one for one in found if isinstance(one, Problem)])


def is_look(said: object) -> bool:
    """Whether a line is a look, empty or not."""
    if not isinstance(said, dict):
        return False
    return (_body_key(said) in said and any(key in said for key in TIMES)) or _is_page(said)


def _is_page(said: object) -> bool:
    return isinstance(said, dict) and isinstance(said.get("incidents"), list) and isinstance(said.get("page"), dict)


def _body_key(said: Mapping[str, object]) -> str:
    return next((key for key in BODIES if key in said), BODIES[0])


def _looks(content: bytes) -> Iterator[Look | Problem]:
    text = text_of(content)
    for line, part in _lines(text):
        try:
            yield from _look(line, json.loads(part) if isinstance(part, str) else part)
        except Invalid as error:
            yield Problem(Fate.REFUSED, f"line {line}", error.message)
        except (ValueError, RecursionError):
            yield Problem(
                Fate.REFUSED, f"line {line}", "It is no JSON; perhaps it breaks off. The other lines are read."
            )


def _lines(text: str) -> Iterator[tuple[int, object]]:
    """The looks, one a line; or those of one JSON list."""
    if text.lstrip().startswith("["):
        try:
            yield from enumerate(listed(json.loads(text)), start=1)
            return
        except (ValueError, RecursionError):
            raise FileRefused("The list of looks cannot be read. Write one look a line.") from None
    for line, part in enumerate(text.split("\n"), start=1):
        if part.strip():
            yield line, part


def _look(line: int, said: object) -> Iterator[Look | Problem]:
    if not isinstance(said, dict):
        raise Invalid("It is not an object.")
    body = said if _is_page(said) else said.get(_body_key(said))
    if isinstance(body, str) and body.strip():
        body = json.loads(body)
    if not body:
        yield Problem(Fate.SKIPPED, f"line {line}", "The look is empty. It says nothing, not even that all is well.")
        return
    if not isinstance(body, dict) or not isinstance(body.get("incidents"), list):
        raise Invalid("Its body has no list of incidents.")
    page = body.get("page")
    page = page if isinstance(page, dict) else {}
    at = time_of(said, *TIMES) or time_of(page, "updated_at")
    if at is None:
        raise Invalid("It has no fetched_at, so nobody knows when the page said this.")
    yield Look(
        line, at, statuspage.page_id(page.get("id")), body["incidents"], listed(body.get("scheduled_maintenances"))
    )


def _walk(looks: list[Look], problems: list[Problem]) -> Iterator[PastIncident | Problem]:
    sightings: dict[tuple[str, str], _Sighting] = {}
    odd: dict[str, Problem] = {}
    for look in looks:
        for place, said in enumerate(look.incidents, start=1):
            key = said.get("id") if isinstance(said, dict) else None
            if isinstance(said, dict) and isinstance(key, str) and key.strip():
                _see(sightings, (look.page, key.strip()), look, said)
            else:
                sentence = "It has no id, so nobody knows it again in the next look."
                odd.setdefault(label_of(said, place, "name"), Problem(Fate.REFUSED, f"line {look.line}", sentence))
        for place, said in enumerate(look.planned, start=1):
            label = label_of(said, place, "name")
            odd.setdefault(label, Problem(Fate.SKIPPED, label, statuspage.PLANNED))
    yield from problems
    yield from odd.values()
    for (page, _), sighting in sightings.items():
        yield from _incident(sighting, page, [look for look in looks if look.page == page])


def _see(
    sightings: dict[tuple[str, str], _Sighting], key: tuple[str, str], look: Look, said: dict[str, object]
) -> None:
    seen = sightings.setdefault(key, _Sighting(look, look, said))
    seen.last, seen.said = look, said
    seen.looks += 1
    name = said.get("name")
    if isinstance(name, str) and name not in seen.names[-1:]:
        seen.names.append(name)
    for update in listed(said.get("incident_updates")):
        known = _update_key(update)
        before = seen.updates.get(known)
        seen.edited += (
            isinstance(before, dict) and isinstance(update, dict) and before.get("body") != update.get("body")
        )
        seen.updates[known] = update


def _update_key(update: object) -> str:
    known = update.get("id") if isinstance(update, dict) else None
    return known if isinstance(known, str) and known else json.dumps(update, sort_keys=True)


def _incident(seen: _Sighting, page: str, looks: list[Look]) -> Iterator[PastIncident | Problem]:
    """The incident as one record of Statuspage, and what only the looks tell."""
    told = list(_told(seen, looks))
    updates = sorted(seen.updates.values(), key=_shown_at)
    for item in statuspage.read_record({**seen.said, "incident_updates": updates}, 1, page, {}):
        if isinstance(item, PastIncident):
            yield from (Problem(Fate.KEPT, label_of(seen.said, 1, "name"), sentence) for sentence in told)
            yield _with_looks(item, seen, looks)
        else:
            yield item


def _shown_at(update: object) -> str:
    """For the order of updates of one moment, which all looks list the newest first."""
    times = [update.get(key) for key in ("display_at", "created_at")] if isinstance(update, dict) else []
    return next((time for time in times if isinstance(time, str)), "")


def _told(seen: _Sighting, looks: list[Look]) -> Iterator[str]:
    if len(seen.names) > 1:
        names = ", then ".join(f'"{printable(name, 60)}"' for name in seen.names)
        yield f"Its name changed: {names}. The last one is its title."
    if seen.edited:
        yield f"{seen.edited} times an update read differently in a later look; the last wording is kept."
    missing = [look for look in looks if seen.first.at < look.at < seen.last.at and not _lists(look, seen)]
    if missing:
        yield f"{len(missing)} looks in between do not list it (first {iso(missing[0].at)}); it came back, and is one."


def _lists(look: Look, seen: _Sighting) -> bool:
    return any(isinstance(one, dict) and one.get("id") == seen.said.get("id") for one in look.incidents)


def _with_looks(past: PastIncident, seen: _Sighting, looks: list[Look]) -> PastIncident:
    metadata = {
        **past.metadata,
        "first_seen_at": iso(seen.first.at),
        "last_seen_at": iso(seen.last.at),
        "looks": seen.looks,
        "names": [printable(name, 200) for name in seen.names],
    }
    gone = next((look for look in looks if look.at > seen.last.at), None)
    if past.resolved_at is not None or gone is None:
        return replace(past, metadata=metadata)
    unknown = (
        f"It vanished without a resolution between {iso(seen.last.at)} and {iso(gone.at)}, so its end is unknown. It "
        "is closed, and no figure counts with its end. A later file that knows the end puts it right."
    )
    return replace(past, resolved_at=gone.at, metadata={**metadata, GONE_AT: iso(gone.at)}, unknown_end=unknown)
