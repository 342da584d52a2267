"""`mim team`: the directory of teams from a terminal."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from majorops.lib.errors import DomainError
from teams import actions
from teams.models import Team

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Teams: who is called, and histories of calls.")


class TeamNotFound(DomainError):
    """No team is called that."""

    code = "unknown_team"
    status = 404


Name = Annotated[str, typer.Argument(metavar="TEAM", help="Slug, name or alias.")]


@app.command("list")
def list_teams(as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False) -> None:
    """All teams by name, those that are switched off too.

    Example: mim team list
    """
    teams = Team.objects.select_related("merged_into").prefetch_related("aliases", "members").order_by("name")
    if as_json:
        typer.echo(json.dumps([_row(team) for team in teams], indent=2))
        return
    for team in teams:
        state = f"  merged into {team.merged_into.slug}" if team.merged_into else "" if team.is_active else "  off"
        typer.echo(
            f"{team.slug:<32} {team.rated_box or '—':<5} {len(team.members.all()):>3} members  {team.name}{state}"
        )


def _row(team: Team) -> dict[str, object]:
    return {
        "slug": team.slug,
        "name": team.name,
        "ratedBox": team.rated_box,
        "isActive": team.is_active,
        "mergedInto": team.merged_into.slug if team.merged_into else None,
        "aliases": [row.alias for row in team.aliases.all()],
        "members": [person.email for person in team.members.all()],
    }


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
    if dry_run:
        typer.echo("Nothing written (--dry-run).")


def _named(text: str) -> Team:
    """The row itself: a team that was merged is not looked through."""
    team = Team.objects.filter(slug=text.strip().lower()).first() or Team.objects.called(text)
    if team is None:
        raise TeamNotFound(f'No team is called "{text[:80]}". See: mim team list')
    return team
