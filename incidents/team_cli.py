"""`mim team import`: histories of calls, brought in as dispatches."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from incidents.cli_shared import PARTLY_DONE
from incidents.cli_teams import acknowledge, arrive, page_team
from incidents.import_cli import run_records
from incidents.intake import Fate, FileRefused, dispatches
from incidents.intake.dispatches import DispatchMapping
from majorops.lib.errors import Invalid
from majorops.lib.manner import next_step
from majorops.lib.ulid import new_ulid
from teams.actions import add_team
from teams.models import Team

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Teams and the calls they get.")
imports = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Brings in histories.")
app.add_typer(imports, name="import")
for name, command in (("page", page_team), ("ack", acknowledge), ("arrived", arrive)):
    app.command(name)(command)


@dataclass(slots=True)
class Directory:
    """Finds teams by name, each once; adds those that are missing, if that is wanted."""

    adds: bool
    dry_run: bool
    found: dict[str, str | None] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)

    def find(self, name: str) -> str | None:
        key = name.casefold()
        if key not in self.found:
            team = Team.objects.called(name[:80])
            self.found[key] = team.pk if team else self._added(name)
        return self.found[key]

    def _added(self, name: str) -> str | None:
        if not self.adds:
            return None
        self.added.append(name)
        return new_ulid() if self.dry_run else add_team(name).pk


@imports.callback()
def import_commands() -> None:
    """Brings in histories."""


@imports.command("dispatches")
def import_dispatches(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV, a row per call.")],
    format: Annotated[str, typer.Option(help=f"A known kind of file: {', '.join(dispatches.FORMATS)}.")] = "",
    mapping: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, readable=True, help="TOML or JSON: which column holds what."),
    ] = None,
    create_teams: Annotated[
        bool, typer.Option("--create-teams", help="Add teams that are not known. Otherwise their rows are refused.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report only, write nothing.")] = False,
) -> None:
    """Imports calls of teams: paged, acknowledged, arrived. A second run adds only what is new.

    Each row that is odd is told by its line: kept (imported), skipped, or refused (left out).
    Mappings: docs/howto/import-history.md.

    \b
    Example: mim team import dispatches turnouts.csv --format dublin-fire --create-teams
             mim team import dispatches calls.csv --mapping calls.toml --dry-run
    """
    directory = Directory(create_teams, dry_run)
    with file.open("rb") as opened:
        try:
            count, records = dispatches.read(opened, _mapping(format, mapping), directory.find)
        except FileRefused as error:
            raise FileRefused(f"{file.name}: {error.message}") from None
        report = run_records(records, count, dry_run=dry_run)
    for problem in report.problems:
        typer.echo(str(problem))
    if directory.added:
        typer.echo(f"Teams added: {', '.join(directory.added)}.")
    typer.echo(f"{file.name}: {report}")
    if dry_run:
        typer.echo("Nothing written (--dry-run).")
    elif report.new or report.grown:
        next_step("mim kpi backfill --all")
    if report.count(Fate.REFUSED):
        raise typer.Exit(PARTLY_DONE)


def _mapping(format: str, file: Path | None) -> DispatchMapping:
    if bool(format) == bool(file):
        raise Invalid("Name either a --format or a --mapping.", field="format")
    if file:
        return dispatches.mapping_from(file.read_text(encoding="utf-8", errors="replace"))
    if format not in dispatches.FORMATS:
        raise Invalid(
            f"--format is {', '.join(dispatches.FORMATS)}; for other files write a --mapping.", field="format"
        )
    return dispatches.FORMATS[format]
