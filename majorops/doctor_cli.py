"""`mim doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from majorops.lib.remote import connected, is_remote
from majorops.lib.terminal import Listing, listing, remote_too

app = typer.Typer(rich_markup_mode=None, subcommand_metavar="", invoke_without_command=True)

#: Exit code: a check failed.
FOUND = 8


@app.callback()
@listing
@remote_too
def doctor() -> Listing:
    """Looks at the whole installation: one line a check, and what to do. Exit code 8 if one of them fails.

    Over the API it looks at the connection, the token and the clock.

    Example: mim doctor
    """
    from django.utils import timezone

    from majorops.doctor import State, examine, examine_from_afar

    found = examine_from_afar(connected()) if is_remote() else examine(timezone.now())
    rows = [
        {"check": each.check, "state": each.state.value, "told": each.told, "next": each.next_step} for each in found
    ]
    failed = sum(each.state == State.FAIL for each in found)
    weak = sum(each.state == State.WARN for each in found)
    footer = f"{len(found)} looked at, {weak} weak, {failed} failed."
    return Listing(rows, _line, footer, code=FOUND if failed else 0)


def _line(row: Mapping[str, Any]) -> str:
    return f"{row['state']:<4} {row['check']:<12} {row['told']}" + (f" Next: {row['next']}" if row["next"] else "")
