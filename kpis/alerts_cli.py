"""`mim kpi alert`: check the alert rules, list them, acknowledge one, replay one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from accounts.models import User
    from kpis.models import AlertRule

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Alert rules on KPIs.")
alert = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Alert rules: check, list, ack, replay.")
app.add_typer(alert, name="alert")
#: The exit code of `check` when something fires.
FIRES = 8
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@alert.command()
def check(as_json: AsJson = False) -> None:
    """Checks every rule now. Exit code 8 while something fires that nobody has acknowledged.

    Example: mim kpi alert check
    """
    from django.utils import timezone

    from kpis.alerts import actions

    told = actions.check(timezone.now())
    found = _standings()
    firing = [each for each in found if each["state"] == "firing"]
    typer.echo(json.dumps(firing, indent=2) if as_json else told)
    if not as_json:
        for each in firing:
            typer.echo(f"FIRING {each['slug']} since {each['since']}. Next: mim kpi alert ack {each['slug']}")
    if firing:
        raise typer.Exit(FIRES)


@alert.command("list")
def list_rules(as_json: AsJson = False) -> None:
    """The rules and how they stand.

    Example: mim kpi alert list
    """
    found = _standings()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for each in found:
        typer.echo(f"{each['state']:<13} {each['severity']:<9} {each['slug']:<26} {each['kpi']} {each['condition']}")


@alert.command()
def ack(
    rule: Annotated[str, typer.Argument(help="The slug of the rule.")],
    note: Annotated[str, typer.Option(help="What is done about it.")] = "",
    by: Annotated[str, typer.Option("--by", help="E-mail of who acknowledges. Default: whoever runs this.")] = "",
) -> None:
    """Acknowledges what fires: nobody else is told.

    Example: mim kpi alert ack velocity-critical --note "Two people are ill"
    """
    from django.utils import timezone

    from kpis.alerts import actions

    event = actions.acknowledge(_rule(rule), _person(by), now=timezone.now(), note=note)
    typer.echo(f"Acknowledged {rule} at {event.at:%H:%M} UTC.")


@alert.command()
def replay(
    rule: Annotated[str, typer.Argument(help="The slug of the rule.")],
    begin: Annotated[str, typer.Option("--from", help="A day or a time, e.g. 2026-03-01.")],
) -> None:
    """Replays the figures from then on, in order, and records what the rule would have seen.

    Example: mim kpi alert replay velocity-critical --from 2026-03-01
    """
    from django.utils import timezone

    from kpis.alerts import actions
    from kpis.cli import _moment

    now = timezone.now()
    for event in actions.watch_from(_rule(rule).pk, _moment(begin, "--from") or now, now=now):
        typer.echo(f"{event.at:%Y-%m-%d %H:%M} UTC  {event.kind}  {event.note}".rstrip())


def _standings() -> list[dict[str, object]]:
    from kpis.alerts.reading import standings
    from kpis.alerts_pages import document
    from kpis.readiness_cli import _operator

    return [document(each) for each in standings(_operator())]


def _rule(slug: str) -> AlertRule:
    from kpis.models import AlertRule
    from majorops.lib.errors import DomainError

    class NoSuchRule(DomainError):
        """No alert rule has this slug. See: mim kpi alert list"""

        code, status = "not_found", 404

    found = AlertRule.objects.filter(pk=slug).first()
    if found is None:
        raise NoSuchRule
    return found


def _person(email: str) -> User:
    from accounts.models import User
    from kpis.readiness_cli import _operator
    from majorops.lib.errors import Invalid

    found = User.objects.filter(email=email.lower()).first() if email else _operator()
    if not isinstance(found, User):
        raise Invalid("Say who acknowledges it: --by EMAIL of somebody who has an account.", field="--by")
    return found
