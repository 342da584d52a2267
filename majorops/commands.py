"""The tree of `mim` as a table for docs/cli.md. Write it anew with: python -m majorops.commands"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from majorops.cli import Later, app, start_django

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
BEGIN, END = "<!-- commands: begin -->", "<!-- commands: end -->"
#: Options that every table row would repeat.
SHAPES = {"--json", "--csv", "--jq-lines", "--dry-run"}


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its whole name, hidden ones left out."""
    start_django()
    yield from _walk(get_command(app), "mim")


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    command = command.loaded() if isinstance(command, Later) else command
    inner = getattr(command, "commands", {})
    if not inner:
        yield name, command
    for each, found in inner.items():
        if not found.hidden:
            yield from _walk(found, f"{name} {each}")


def is_remote_too(command: Any) -> bool:
    return bool(getattr(command.callback, "works_remotely", False))


def table() -> str:
    """One row a command: what it does, in which shapes, and whether over the API."""
    rows = [
        f"| `{name}` | {_first_line(command)} | {_shapes(command)} | {'yes' if is_remote_too(command) else ''} |"
        for name, command in commands()
    ]
    return "\n".join(["| command | what it does | shapes | over the API |", "|---|---|---|---|", *rows])


def _first_line(command: Any) -> str:
    return inspect.cleandoc(command.help or "").partition("\n")[0].replace("|", "\\|")


def _shapes(command: Any) -> str:
    given = {option for parameter in command.params for option in parameter.opts}
    return " ".join(f"`{option}`" for option in sorted(given & SHAPES))


def written(document: str) -> str:
    """The document with the table as it is now."""
    head, _, rest = document.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
