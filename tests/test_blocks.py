"""What of Markdown a mail shows as more than text."""

from __future__ import annotations

import pytest

from majorops.lib.blocks import Block, blocks_of


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("## KPIs", Block(text="KPIs", level=2)),
        ("- one\n- two", Block(items=("one", "two"))),
        ("| A | B |\n| --- | --- |\n| a \\| b |  |", Block(head=("A", "B"), rows=(("a | b", ""),))),
        ("| A | B |\n| a | b |\n| c | d |", Block(text="| A | B |\n| a | b |\n| c | d |")),
        ("#1 is down", Block(text="#1 is down")),
        ("- one\nand two", Block(text="- one\nand two")),
    ],
)
def test_headings_lists_and_tables_are_known_and_the_rest_is_text(text: str, block: Block) -> None:
    assert list(blocks_of(f"\n\n{text}\n\n")) == [block]


def test_parts_are_told_apart_by_empty_lines() -> None:
    assert [block.text for block in blocks_of("one\n\n  \ntwo\nlines\n")] == ["one", "two\nlines"]
    assert list(blocks_of("")) == []
