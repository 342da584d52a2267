"""`mim pages`: sending pages to the addresses of teams."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated

import typer
from django.utils import timezone

from incidents import paging
from incidents.models import Delivery, DeliveryState
from majorops.lib.times import iso

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Sending pages to teams.")

#: How long `--watch` sleeps at most while nothing is due, in seconds.
GLANCE = 2.0


@app.callback()
def pages() -> None:
    """Sending pages to teams."""


@app.command("deliver")
def deliver(
    watch: Annotated[bool, typer.Option("--watch", help="Go on until stopped; several may run at once.")] = False,
) -> None:
    """Sends the pages that are due. What fails is tried again after 10 seconds, 1 minute and 5 minutes.

    Example: mim pages deliver --watch
    """
    while True:
        done = paging.deliver_due(timezone.now())
        if done.sent or done.failed or done.dropped or not watch:
            typer.echo(str(done))
        if not watch:
            break
        time.sleep(_pause(paging.next_try(), timezone.now()))
    if waiting := Delivery.objects.filter(state=DeliveryState.WAITING).count():
        typer.echo(f"{waiting} wait for their next try, the first at {iso(paging.next_try())}.", err=True)


def _pause(due: datetime | None, now: datetime) -> float:
    return GLANCE if due is None else min(GLANCE, max(0.1, (due - now).total_seconds()))
