"""`mim outbox` and `mim pages`: sending what waits in the outbox."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated

import typer
from django.utils import timezone

from incidents import outbox
from majorops.lib.manner import hint
from majorops.lib.times import iso

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Sending what waits: pages, mail, webhooks, chat.")

#: How long `--watch` sleeps at most while nothing is due, in seconds.
GLANCE = 2.0


@app.callback()
def messages() -> None:
    """Sending what waits: pages of teams, mail, webhooks, chat."""


@app.command("deliver")
def deliver(
    watch: Annotated[bool, typer.Option("--watch", help="Go on until stopped; several may run at once.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell how much is due, send nothing.")] = False,
) -> None:
    """Sends what is due. What fails is tried again, calls of a team three times, all else for 24 hours.

    \b
    Example: mim outbox deliver --watch
             mim pages deliver
    """
    if dry_run:
        typer.echo(f"{outbox.due_count(timezone.now())} are due. Nothing sent (--dry-run).")
        return
    while True:
        done = outbox.deliver_due(timezone.now())
        if done or not watch:
            typer.echo(str(done))
        if not watch:
            break
        time.sleep(_pause(outbox.next_due(), timezone.now()))
    standing = outbox.lag(timezone.now())
    if standing.waiting:
        hint(f"{standing.waiting} wait for their next try, the first at {iso(outbox.next_due())}.")


def _pause(due: datetime | None, now: datetime) -> float:
    return GLANCE if due is None else min(GLANCE, max(0.1, (due - now).total_seconds()))
