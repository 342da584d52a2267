"""Which format a file is, by what it says and not by its name. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum

from incidents.intake import FileRefused, googlecloud, postmortem, servicenow, snapshots, volvo
from incidents.intake.documents import document, text_of

#: What CSV is known by: the columns of its header.
_HEADERS = {"servicenow": servicenow.COLUMNS, "volvo": volvo.COLUMNS}
#: Keys of a record of Statuspage that one of Google has not.
_STATUSPAGE = frozenset(
    {"incident_updates", "impact", "shortlink", "started_at", "resolved_at", "monitoring_at", "components", "page_id"}
)
#: How much of a file is looked at before it is read as JSON.
HEAD = 64 * 1024


class Format(StrEnum):
    """The histories that can be read."""

    STATUSPAGE = "statuspage"
    SNAPSHOTS = "snapshots"
    GOOGLE_CLOUD = "google-cloud"
    SERVICENOW = "servicenow"
    VOLVO = "volvo"
    POSTMORTEM = "postmortem"


WHAT = {
    Format.STATUSPAGE: "JSON of Statuspage v2",
    Format.SNAPSHOTS: "JSON lines, each a look at a Statuspage",
    Format.GOOGLE_CLOUD: "JSON of Google's status dashboards",
    Format.SERVICENOW: "a ServiceNow change log as CSV",
    Format.VOLVO: "a VINST change log as CSV",
    Format.POSTMORTEM: "a timeline in Markdown",
}


class FormatUnknown(FileRefused):
    """This file is of no format that is known."""

    code = "format_unknown"

    def __init__(self) -> None:
        known = "; ".join(f"{format.value} ({what})" for format, what in WHAT.items())
        super().__init__(f"It is of no format that is known. Known are: {known}. If it is one of them, say --format.")


def recognise(content: bytes) -> Format:
    """The format of a file. Raises FileRefused for one that is empty, broken or of no known format."""
    text = text_of(content)
    if found := _by_header(text[:HEAD]):
        return found
    if text.lstrip()[0] in "[{":
        return _by_looks(text) or _by_records(document(content))
    if text.lstrip()[0] == "<":
        raise FileRefused(
            "It is XML or HTML: perhaps a page that asks to sign in, or an event log as XES, of which the CSV is read."
        )
    if postmortem.looks_like(text):
        return Format.POSTMORTEM
    raise FormatUnknown


def _by_header(head: str) -> Format | None:
    """A CSV with at least half of the columns that one of the logs needs: what is missing, its reader tells."""
    header = head.lstrip("\r\n").splitlines()[:1]
    names = {name.strip(" \"'").casefold() for name in _split(header[0] if header else "")}
    for format, columns in _HEADERS.items():
        wanted = {name.casefold() for name in columns.required}
        if len(wanted & names) * 2 >= len(wanted):
            return Format(format)
    return None


def _split(header: str) -> list[str]:
    for delimiter in ";\t|":
        header = header.replace(delimiter, ",")
    return header.split(",")


def _by_looks(text: str) -> Format | None:
    """Several lines that are each a document, and one of the first is a look."""
    lines = [line for line in text[: HEAD * 32].split("\n") if line.strip()][:10]
    return Format.SNAPSHOTS if len(lines) > 1 and any(snapshots.is_look(_json(line)) for line in lines) else None


def _json(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _by_records(said: object) -> Format:
    if isinstance(said, dict):
        if snapshots.is_look(said) and "body" in said:
            return Format.SNAPSHOTS
        listed = said.get("incidents")
        records = listed if isinstance(listed, list) else [said.get("incident", said)]
        if isinstance(said.get("scheduled_maintenances"), list) or (listed == [] and "page" in said):
            return Format.STATUSPAGE
    else:
        records = said if isinstance(said, list) else []
    if any(snapshots.is_look(one) for one in records[:10]):
        return Format.SNAPSHOTS
    return _by_keys(one for one in records[:50] if isinstance(one, dict))


def _by_keys(records: Iterable[dict[str, object]]) -> Format:
    google = statuspage = 0
    for record in records:
        google += len(googlecloud.TELLING & set(record))
        statuspage += len(_STATUSPAGE & set(record))
    if google == statuspage == 0:
        raise FormatUnknown
    return Format.GOOGLE_CLOUD if google > statuspage else Format.STATUSPAGE
