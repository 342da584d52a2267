"""`mim team`: the directory of teams from a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from majorops.lib.errors import DomainError
from majorops.lib.terminal import Listing, listing, remote_too
from majorops.lib.text import near_match
from teams import actions
from teams.cli_port import teams
from teams.models import Team

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Teams: who is called, and histories of calls.")


class TeamNotFound(DomainError):
    """No team is called that."""

    code = "unknown_team"
    status = 404


Name = Annotated[str, typer.Argument(metavar="TEAM", help="Slug, name or alias.")]


@app.command("list")
@listing
@remote_too
def list_teams() -> Listing:
    """All teams by name, those that are switched off too.

    Example: mim team list
    """
    return Listing(teams().all(), _line, "How reliably one comes: mim team readiness TEAM")


def _line(team: Mapping[str, Any]) -> str:
    merged = team.get("mergedInto")
    state = f"  merged into {merged}" if merged else "" if team["isActive"] else "  off"
    return f"{team['slug']:<32} {team['ratedBox'] or '—':<5} {len(team['members']):>3} members  {team['name']}{state}"


@app.command("merge")
def merge_teams(
    team: Name,
    into: Annotated[str, typer.Option("--into", metavar="TEAM", help="The team that answers from now on.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would move, write nothing.")] = False,
) -> None:
    """Lets one team answer for another. Its row and its history stay; its names lead to the other team.

    Example: mim team merge db-west --into database --dry-run
    """
    do = actions.preview_merge if dry_run else actions.merge
    done = do(_named(team), _named(into))
    typer.echo(f"{done.team.name} answers as {done.into.name}: {', '.join(done.names)}.")
    typer.echo(f"Joins it: {', '.join(done.people) or 'nobody'}.")
    for fact in done.facts:
        typer.echo(fact)
    typer.echo("Nothing written (--dry-run)." if dry_run else "Next: mim kpi histograms")


def _named(text: str) -> Team:
    """The row itself: a team that was merged is not looked through."""
    team = Team.objects.filter(slug=text.strip().lower()).first() or Team.objects.called(text)
    if team is None:
        hint = near_match(text, Team.objects.values_list("slug", flat=True))
        raise TeamNotFound(f'No team is called "{text[:80]}". {hint}')
    return team
