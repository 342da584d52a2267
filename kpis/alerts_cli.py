"""`mim kpi alert`: check the alert rules, list them, try one, acknowledge one, replay one."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from kpis.cli_port import Document, kpis
from majorops.lib.manner import next_step
from majorops.lib.remote import is_remote
from majorops.lib.terminal import Listing, can_be_tried, listing, remote_too
from majorops.lib.text import near_match

if TYPE_CHECKING:
    from accounts.models import User
    from kpis.models import AlertRule

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Alert rules on KPIs.")
alert = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Alert rules: check, list, ack, replay.")
app.add_typer(alert, name="alert")
#: What stands in `mim alert` beside the alerts of other systems.
checking = typer.Typer(rich_markup_mode=None, help="Alert rules: check them, try one.")


#: The exit code of `check` when something fires.
FIRES = 8
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@checking.command("check")
@alert.command()
@can_be_tried
@remote_too
def check(as_json: AsJson = False) -> None:
    """Checks every rule now. Exit code 8 while something fires that nobody has acknowledged.

    Over the API it tells what the last check of the server found.

    \b
    Example: mim kpi alert check
             mim alert check --json
    """
    from django.utils import timezone

    said = "" if is_remote() else _checked(timezone.now())
    firing = [each for each in kpis().alerts() if each["state"] == "firing"]
    if as_json:
        typer.echo(json.dumps(firing, indent=2, ensure_ascii=False))
    else:
        if said:
            typer.echo(said)
        for each in firing:
            typer.echo(f"FIRING {each['slug']} since {each['since']}. Next: mim kpi alert ack {each['slug']}")
    if firing:
        raise typer.Exit(FIRES)


def _checked(now: datetime) -> str:
    from kpis.alerts import actions

    return str(actions.check(now))


@alert.command("list")
@listing
@remote_too
def list_rules() -> Listing:
    """The rules and how they stand.

    Example: mim kpi alert list
    """
    return Listing(kpis().alerts(), _line, "To look after one that fires: mim kpi alert ack RULE")


def _line(rule: Document) -> str:
    return f"{rule['state']:<13} {rule['severity']:<9} {rule['slug']:<26} {rule['kpi']} {rule['condition']}"


RuleName = Annotated[str, typer.Argument(metavar="RULE", help="The slug of the rule.")]


@alert.command("test")
def try_rule(rule: RuleName) -> None:
    """How often a rule would have fired in the last 90 days. Nothing is written, nobody is told.

    Example: mim kpi alert test velocity-critical
    """
    from django.utils import timezone

    from kpis.alerts.reading import preview

    typer.echo(preview(_rule(rule), timezone.now()))
    next_step("mim kpi alert list")


@checking.command("test")
def try_rule_or_source(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The slug of a rule, or with FILE that of a source.")],
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="A body as the source sends it; - for stdin.")] = "",
    as_json: AsJson = False,
) -> None:
    """How often a rule would have fired; or what a source would make of a body. Nothing is written.

    \b
    Example: mim alert test velocity-critical
             mim alert test prometheus alert.json
    """
    from incidents.alerts_cli import try_out

    if file:
        try_out(name, file, as_json)
    else:
        try_rule(name)


@alert.command()
@can_be_tried
def ack(
    rule: RuleName,
    note: Annotated[str, typer.Option(help="What is done about it.")] = "",
    by: Annotated[str, typer.Option("--by", help="E-mail of who acknowledges. Default: whoever runs this.")] = "",
) -> None:
    """Acknowledges what fires: nobody else is told.

    Example: mim kpi alert ack velocity-critical --note "Two people are ill"
    """
    from django.utils import timezone

    from kpis.alerts import actions

    event = actions.acknowledge(_rule(rule), _person(by), now=timezone.now(), note=note)
    typer.echo(f"Acknowledged {rule} at {event.at:%H:%M} UTC. Next: mim kpi alert list")


@alert.command()
@can_be_tried
def replay(
    rule: RuleName,
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
    next_step("mim kpi alert list")


def _rule(slug: str) -> AlertRule:
    from kpis.models import AlertRule
    from majorops.lib.errors import DomainError

    class NoSuchRule(DomainError):
        """No alert rule has this slug. See: mim kpi alert list"""

        code, status = "not_found", 404

    found = AlertRule.objects.filter(pk=slug).first()
    if found is None:
        hint = near_match(slug, AlertRule.objects.values_list("pk", flat=True))
        raise NoSuchRule(f"No alert rule is called {slug!a}. {hint} See: mim kpi alert list")
    return found


def _person(email: str) -> User:
    from accounts.models import User
    from accounts.permissions import RoleRequired
    from accounts.roles import Can
    from kpis.readiness_cli import _operator
    from majorops.lib.errors import Invalid

    found = User.objects.filter(email=email.lower()).first() if email else _operator()
    if not isinstance(found, User):
        raise Invalid("Say who acknowledges it: --by EMAIL of somebody who has an account.", field="--by")
    if not found.can(Can.COMMAND):
        raise RoleRequired.to(Can.COMMAND)
    return found
