"""Histories of other systems. A reader turns a file into past incidents; history.py has them written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

from incidents.past import PastUpdate
from majorops.lib.errors import Invalid
from majorops.lib.times import iso


class Fate(StrEnum):
    """What becomes of an odd record."""

    #: Imported as it stands, or as far as it makes sense; the sentence says what is odd.
    KEPT = "kept"
    #: Imported after something was looked up elsewhere in the record, or mended; the sentence says what and how.
    REPAIRED = "repaired"
    #: Well-formed, but not an incident.
    SKIPPED = "skipped"
    #: Left out, in whole or in part.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is odd about one record, in a sentence for whoever exported the file."""

    fate: Fate
    #: How to find the record: its id and name, or its place in the file.
    record: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.fate}: {self.record}: {self.sentence}"


class FileRefused(Invalid):
    """This file cannot be imported."""

    code = "file_refused"


def printable(text: str, length: int = 60) -> str:
    """`text` for one line of a report: no control characters, for a terminal would obey them."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def told_apart(update: PastUpdate) -> PastUpdate:
    """The update under an id of its own that a second import finds again, where its id names another update."""
    said = hashlib.sha256(f"{iso(update.at)} {update.text}".encode()).hexdigest()[:12]
    return replace(update, external_id=f"{update.external_id}#{said}")
