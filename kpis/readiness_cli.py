"""`mim team readiness`: how reliably teams come when they are called."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from kpis.cli_port import Document, kpis
from majorops.lib.terminal import remote_too

if TYPE_CHECKING:
    from accounts.visibility import Viewer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="How reliably teams come when they are called.")


@app.command()
@remote_too
def readiness(
    slug: Annotated[str, typer.Argument(help="One team. Default: all, a line each.")] = "",
    window: Annotated[str, typer.Option(help="30d, 60d or 90d.")] = "90d",
    box: Annotated[str, typer.Option(help="One alarm level: box3, box2 or box1.")] = "",
    as_of: Annotated[str, typer.Option("--as-of", help="Up to this day or time (UTC). Default: now.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """The dispatch credit of teams: a class from 1 (best) to 10, its points, and what would move it.

    \b
    Example: mim team readiness
             mim team readiness database --box box3 --json
    """
    if slug:
        _one(kpis().readiness(slug, window=window, box=box, as_of=as_of), as_json)
    else:
        _all(kpis().readiness_of_all(window=window, box=box, as_of=as_of), as_json)


def _one(found: Document, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    typer.echo(f"{found['name']}  last {found['window']}, as of {found['asOf']}, rule v{found['rule']['version']}")
    typer.echo(f"  overall  {_class(found['overall']['class'], found['overall']['points'])}  {found['trend']['trend']}")
    for level in found["levels"]:
        rate = "—" if level["withinLimit"] is None else f"{100 * level['withinLimit']:.0f} %"
        typer.echo(
            f"  {level['box']}     {_class(level['class'], level['points'])}  {level['status']:<11} n={level['n']:<5} "
            f"within {level['limitMinutes']:g} min: {rate}"
        )
        for sentence in level["outlook"]["words"]:
            typer.echo(f"           {sentence}")


def _all(found: list[Document], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for told in found:
        classes = " ".join(f"{level} {rating or '—'}" for level, rating in told["classes"].items())
        rate = "—" if told["withinLimit"] is None else f"{100 * told['withinLimit']:.0f} %"
        typer.echo(
            f"{told['team']:<26} {_class(told['class'], told['points'])}  {classes}  "
            f"n={told['n']:<5} {rate:>5}  {told['trend']}"
        )


def _operator() -> Viewer:
    """Whoever has a shell and the database password may look at everything. Nobody is stored under this name."""
    from accounts.models import User
    from accounts.roles import Role

    return User(email="operator@localhost.invalid", role=Role.ADMIN)


def _class(rating: int | None, points: float | None) -> str:
    return "no class yet    " if rating is None or points is None else f"class {rating:<2} {points:>6.2f}"
