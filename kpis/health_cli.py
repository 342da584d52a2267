"""`mim health`: ask services whether they are well, and take up what the servers measured of themselves."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from django.utils import timezone

from kpis import health, self_measurement
from majorops.lib.manner import next_step
from majorops.lib.terminal import can_be_tried

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measuring services, and ourselves.")


@app.command()
@can_be_tried
def check(
    services: Annotated[list[str] | None, typer.Argument(help="Only these. Default: all that are named.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Asks the services of MAJOROPS_HEALTH_CHECKS and writes a health_check fact for each. A timeout is a failure.

    Example: mim health check api
    """
    asked = health.check(timezone.now(), services or ())
    if as_json:
        told = [{"service": one.service.name, "tier": one.service.tier, "ok": one.is_well, "said": one.said}
                for one in asked]  # fmt: skip
        typer.echo(json.dumps(told))
        return
    for each in asked:
        typer.echo(f"{each.service.name:24} {'well' if each.is_well else 'NOT WELL':9} {each.said}")
    typer.echo(f"{health.in_words(asked)} Next: mim kpi nightly" if asked else health.in_words(asked))


@app.command()
def requests() -> None:
    """Makes facts of the requests that the servers of this machine measured in hours that are over.

    Example: mim health requests
    """
    typer.echo(self_measurement.take_up(timezone.now()))
    next_step("mim kpi nightly")
