"""What the readers of JSON histories share: the document, and a record whose oddities are told. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from incidents.intake import Fate, FileRefused, Problem, printable, told_apart
from incidents.past import PastIncident, PastUpdate
from majorops.lib.errors import Invalid
from majorops.lib.times import iso, parse_time

MAX_BYTES = 200 * 1024 * 1024
MAX_TITLE = 200
MAX_TEXT = 20_000
MAX_ID = 150
MAX_SYSTEMS = 200

_SURROGATE = re.compile("[\ud800-\udfff]")


def text_of(content: bytes) -> str:
    """The file as text. Bytes that are not UTF-8 become lone surrogates, so that what they stand in can be named."""
    if len(content) > MAX_BYTES:
        raise FileRefused(f"The file has {len(content):,} bytes; {MAX_BYTES:,} can be read at once. Split it.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileRefused("The file is UTF-16 text. Save it as UTF-8.")
    text = content.decode("utf-8-sig", errors="surrogateescape")
    if not text.strip():
        raise FileRefused("The file is empty.")
    return text


def document(content: bytes) -> object:
    """What a JSON file says. Raises FileRefused."""
    text = text_of(content)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise FileRefused(_why_not_json(text, error)) from None
    except (RecursionError, ValueError):
        raise FileRefused("The file is nested too deeply, or its numbers are too long, for a history.") from None


def _why_not_json(text: str, error: json.JSONDecodeError) -> str:
    breaks_off = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    if text.lstrip()[0] in "[{" and breaks_off:
        return "The file breaks off in the middle. Fetch it again; nothing was imported."
    return f"The file is not JSON: line {error.lineno}, column {error.colno}: {error.msg}."


def listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def word(value: object) -> str:
    """A state as the tables of the readers spell it."""
    return value.strip().lower().replace(" ", "_") if isinstance(value, str) else ""


def time_of(said: Mapping[str, object], *keys: str) -> datetime | None:
    """The first of these times that is stated. Raises Invalid."""
    stated = ((key, said.get(key)) for key in keys)
    return next((parse_time(value, field=key) for key, value in stated if value not in (None, "")), None)


def label_of(said: object, place: int, name: str) -> str:
    """The id and name of a record for the report, or its place in the file. `name` is the key that has the name."""
    texts = [said.get(key) for key in ("id", name)] if isinstance(said, dict) else []
    known = [printable(text, 40) for text in texts if isinstance(text, str) and text.strip()]
    return f"{known[0]} ({known[1]})" if len(known) == 2 else " ".join([f"record {place}", *known])


@dataclass(slots=True)
class Record:
    """One record, and what is odd about it. Its methods raise Invalid for what cannot be kept."""

    said: Mapping[str, object]
    label: str
    kept: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def told(self) -> Iterator[Problem]:
        """One line for each part left out, one for all that was repaired, one for all that is odd but kept."""
        for sentence in self.left_out:
            yield Problem(Fate.REFUSED, self.label, sentence)
        for fate, sentences in ((Fate.REPAIRED, self.repaired), (Fate.KEPT, self.kept)):
            if sentences:
                yield Problem(fate, self.label, " ".join(dict.fromkeys(sentences)))

    def check_once(self, past: PastIncident, seen: dict[str, PastIncident]) -> None:
        """The same incident again may add to itself; of two incidents with one id, only the first is believed."""
        first = seen.setdefault(past.external_id, past)
        if first is past:
            return
        if first.title != past.title and first.detected_at != past.detected_at:
            raise Invalid("Another incident in this file has the same id and came first. Correct the id.")
        self.kept.append("Its id appears again in this file; updates that the repetition adds are merged.")

    # --- Texts ---

    def clean(self, value: object) -> str:
        """Text that a database can hold; what cannot be held is replaced and told."""
        text = value if isinstance(value, str) else ""
        if "\0" in text:
            self.repaired.append("NUL characters were removed from its text.")
        if _SURROGATE.search(text):
            self.repaired.append("Bytes that are not UTF-8 show as �.")
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\0", "")).strip()

    def id(self) -> str:
        value = self.said.get("id")
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(text, str) or not text.strip():
            raise Invalid("It has no id, so a second import could not know it again.")
        if len(text) > MAX_ID or not text.isprintable():
            raise Invalid(f"Its id must be at most {MAX_ID} printable characters.")
        return text.strip()

    def name(self, key: str, *, called: str) -> str:
        """Its whole name in one line; only MAX_TITLE characters of it become the title."""
        name = " ".join(self.clean(self.said.get(key)).split())
        if not name:
            raise Invalid(f"It has no {called}.")
        if len(name) > MAX_TITLE:
            self.kept.append(f"Its {called} has {len(name)} characters; {MAX_TITLE} fit, the whole is in its metadata.")
        return name

    def names(self, key: str, name: str) -> tuple[str, ...]:
        """The names that a list of objects holds, each once."""
        found = [self.clean(one.get(name))[:120] for one in listed(self.said.get(key)) if isinstance(one, dict)]
        return tuple(dict.fromkeys(one for one in found if one))[:MAX_SYSTEMS]

    def fitting(self, text: str) -> str:
        """The text of an update, as long as one may be."""
        if not text:
            self.kept.append("An update without text shows as “(no text)”.")
            return "(no text)"
        if len(text) > MAX_TEXT:
            self.repaired.append(f"An update has {len(text)} characters; it is cut to {MAX_TEXT}.")
        return cut(text, MAX_TEXT)

    def metadata(self, keys: tuple[str, ...], name: str) -> dict[str, object]:
        """What it says besides, and its name where that is too long for a title."""
        found = {key: self.clean(self.said.get(key))[:500] for key in keys}
        found["title"] = name[:MAX_TEXT] if len(name) > MAX_TITLE else ""
        return {key: text for key, text in found.items() if text}

    # --- Updates ---

    def in_order(self, found: list[PastUpdate]) -> tuple[PastUpdate, ...]:
        """The oldest first, at equal times in the order of the source, which may list them the other way round."""
        if found and found[0].at > found[-1].at:
            found = found[::-1]
        return tuple(self._distinct(sorted(found, key=lambda update: update.at)))

    def _distinct(self, updates: list[PastUpdate]) -> Iterator[PastUpdate]:
        seen: dict[str, PastUpdate] = {}
        for update in updates:
            first = seen.get(update.external_id)
            if first is not None and (first.at, first.text) != (update.at, update.text):
                self.repaired.append(
                    f'Several updates have the id "{printable(update.external_id, 30)}"; all are kept.'
                )
                update = told_apart(update)
            if update.external_id not in seen:
                seen[update.external_id] = update
                yield update

    def note_disorder(self, started: datetime, resolved: datetime | None, first: datetime | None) -> None:
        """Times that cannot be right are kept: nobody here knows which of them is wrong."""
        if resolved is not None and resolved < started:
            told = f"It was resolved ({iso(resolved)}) before it started ({iso(started)})"
            self.kept.append(f"{told}; both times are kept, and its duration will count as invalid.")
        elif first is not None and (started - first).total_seconds() > 60:
            self.kept.append(f"Its first update ({iso(first)}) is older than its start ({iso(started)}).")


def cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
