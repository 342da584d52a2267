"""`mim user response-times`: the same doors from the server, with the same rules and the same audit trail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from majorops.lib.manner import next_step
from majorops.lib.terminal import can_be_tried

if TYPE_CHECKING:
    from accounts.models import User

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Response times of single people.")
EMAIL = typer.Argument(help="E-mail address.")
JSON = typer.Option("--json", help="JSON on stdout.")


@app.command("response-times")
def response_times(
    email: Annotated[str, EMAIL],
    looks: Annotated[str, typer.Option("--as", help="Who looks: the person, or somebody who was granted it.")],
    reason: Annotated[str, typer.Option(help="What it is needed for, when it is somebody else's.")] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Response times of one person: all of one's own, or one figure of somebody else's, which is audited.

    \b
    Example: mim user response-times kim@example.com --as kim@example.com --json
             mim user response-times kim@example.com --as lead@example.com --reason "Rota for April"
    """
    from django.utils import timezone

    from kpis import personal
    from kpis.actions import Editor

    viewer, now = _person(looks), timezone.now()
    if viewer == _person(email):
        found = personal.export(viewer, now)
        typer.echo(json.dumps(found, indent=2) if as_json else _all(found))
        return
    whom, figure = personal.look(Editor(viewer, now), email, reason=reason)
    told = personal.documented(figure)
    typer.echo(json.dumps({"person": whom.email, "figure": told}, indent=2) if as_json else _line(told))


@app.command("grant-response-times")
@can_be_tried
def grant(email: Annotated[str, EMAIL], reason: Annotated[str, typer.Option(help="What they need it for.")]) -> None:
    """Lets one person look at the response times of others.

    Example: mim user grant-response-times lead@example.com --reason "Plans the rota"
    """
    from django.utils import timezone

    from kpis import personal
    from kpis.actions import Editor
    from kpis.models import PersonalGrant

    personal.grant(PersonalGrant(person=_person(email), reason=reason), Editor(None, timezone.now()))
    typer.echo(f"{email} may look at response times now. Every look is in the audit trail.")
    next_step(f"mim user response-times PERSON --as {email} --reason WHY")


@app.command("revoke-response-times")
@can_be_tried
def revoke(email: Annotated[str, EMAIL]) -> None:
    """Ends what grant-response-times began.

    Example: mim user revoke-response-times lead@example.com
    """
    from django.utils import timezone

    from kpis import personal
    from kpis.actions import Editor

    ended = [personal.end(row, Editor(None, timezone.now())) for row in personal.grants_of(_person(email))]
    typer.echo(f"{email} may no longer look." if any(ended) else f"{email} had no such grant.")
    next_step("mim user list")


def _person(email: str) -> User:
    from kpis import personal

    return personal.known_person(email)


def _all(found: dict[str, object]) -> str:
    lines = [_line(figure) for figure in found["figures"]]  # type: ignore[attr-defined]
    lines += [f"  {one['pagedAt']}  {one['minutes']:.1f} min" for one in found["answers"]]  # type: ignore[attr-defined]
    return "\n".join(lines)


def _line(figure: dict[str, object]) -> str:
    if figure["reason"]:
        return f"{figure['window']}  no figure: {figure['reason']}"
    return (
        f"{figure['window']}  mean {figure['meanMinutes']:.1f} min, median {figure['medianMinutes']:.1f}, "
        f"p90 {figure['p90Minutes']:.1f}, n={figure['n']}"
    )
