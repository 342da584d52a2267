"""`mim kpi import-slo`: goals of other tools, as KPIs that wait to be measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from majorops.lib.manner import next_step

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Goals of other tools.")


@app.callback()
def goals() -> None:
    """Goals of other tools."""


@app.command("import-slo")
def import_slo(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="OpenSLO, Sloth, slo-generator...")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is in them, save nothing.")] = False,
) -> None:
    """Imports service level goals as drafts with a target. All files are read before anything is saved.

    Alert rules of Prometheus are listed only: what they count is not here.

    Example: mim kpi import-slo slo.yaml --dry-run
    """
    from django.utils import timezone

    from kpis.actions import Editor
    from kpis.monitoring.slo_files import BadFile, read
    from kpis.monitoring.slo_import import take_over

    found = []
    for file in files:
        try:
            found.append(read(file.read_bytes()))
        except BadFile as error:
            raise BadFile(f"{file.name}, {error.message[0].lower()}{error.message[1:]} Nothing was saved.") from None
    for goal in (goal for contents in found for goal in contents.goals):
        typer.echo(f"{goal.slug:<52} ≥ {goal.share * 100:g} %  {goal.window:<5} {goal.form}")
    watches = sum(len(contents.watches) for contents in found)
    if watches:
        typer.echo(f"{watches} alert rules of Prometheus were read and are not imported: they watch what is not here.")
    if dry_run:
        typer.echo("Nothing written (--dry-run).")
        return
    goals = [goal for contents in found for goal in contents.goals]
    told = take_over(goals, Editor(None, timezone.now()))
    new = sum(told.values())
    typer.echo(f"{new} new, {len(told) - new} there already. They are drafts: say in admin what measures them.")
    next_step("mim kpi list")
