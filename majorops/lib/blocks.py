"""RULES: the few marks of Markdown that our own messages use, as blocks that a template can show.

Headings, lists and tables; everything else is text, and nothing in it means anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

Row = tuple[str, ...]
_HEADING = re.compile(r"(#{1,3}) +(.+)")
_ITEM = re.compile(r"- +(.+)")
_CELL = re.compile(r"(?<!\\)\|")
_ESCAPED = re.compile(r"\\([\\|])")


@dataclass(frozen=True, slots=True)
class Block:
    """One of: a heading of a level, the items of a list, a table, or text."""

    text: str = ""
    level: int = 0
    items: tuple[str, ...] = ()
    head: Row = ()
    rows: tuple[Row, ...] = ()


def blocks_of(text: str) -> Iterator[Block]:
    """The parts between empty lines."""
    for part in re.split(r"\n\s*\n", text.strip()):
        if part:
            yield _block(part)


def _block(part: str) -> Block:
    lines = part.split("\n")
    if match := _HEADING.fullmatch(part):
        return Block(text=match[2], level=len(match[1]))
    if all(found := [_ITEM.fullmatch(line) for line in lines]):
        return Block(items=tuple(match[1] for match in found if match))
    if len(lines) > 2 and all(line.startswith("| ") and line.endswith(" |") for line in lines):
        head, below, *rows = map(_cells, lines)
        if set(below) == {"---"}:
            return Block(head=head, rows=tuple(rows))
    return Block(text=part)


def _cells(line: str) -> Row:
    return tuple(_ESCAPED.sub(r"\1", cell).strip() for cell in _CELL.split(line)[1:-1])
