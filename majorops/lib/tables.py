"""Rows as CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence

import orjson

#: What a spreadsheet takes for a formula, also behind white space and in the wide letters of East Asia.
FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")


def cell(value: object) -> object:
    """Numbers as they are, nothing as nothing, a list as JSON; a text never begins like a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return f"'{text}" if FORMULA.match(text) else text


def flat(row: Mapping[str, object], under: str = "") -> dict[str, object]:
    """One level of names: `{"alert": {"alertId": 1}}` as `{"alert.alertId": 1}`."""
    return dict(_pairs(row, under))


def _pairs(row: Mapping[str, object], under: str) -> Iterator[tuple[str, object]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _pairs(value, f"{under}{name}.")
        else:
            yield f"{under}{name}", value


def csv_text(rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()) -> str:
    """A header of every name that a row has, in the order they first come, and a line for each row."""
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    written = io.StringIO()
    lines = csv.writer(written)
    lines.writerow(map(cell, names))
    lines.writerows([cell(row.get(name)) for name in names] for row in rows)
    return written.getvalue()
