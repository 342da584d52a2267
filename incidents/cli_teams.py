"""`mim incident page | ack | arrive`, and the same of `mim team`: who was called, and who came."""

from __future__ import annotations

from typing import Annotated

import typer

from incidents.cli_port import Order, Verb, incidents
from incidents.cli_shared import As, AsJson, At, IncidentId, TeamName, did
from majorops.lib.errors import DomainError
from majorops.lib.terminal import DryRun, remote_too
from majorops.lib.text import near_match
from teams.alarm import AlarmLevel


class PageNotFound(DomainError):
    """This team was not paged for this incident."""

    code = "not_found"
    status = 404


@remote_too
def page_team(
    id: IncidentId,
    team: TeamName,
    contact: Annotated[str, typer.Option(help="Who was called, a member or not. Default: the on-call contact.")] = "",
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Records that a team was called, at the alarm level of the severity.

    \b
    Example: mim incident page 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E database
             mim team page 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E database
    """
    order = Order.given(at, acting, dry_run=dry_run)
    done = incidents().done(id, Verb.PAGE, {"team": team, "contact_name": contact}, order)
    call = done.answer
    level = f" at {AlarmLevel(call['alarmLevel']).label}" if call["alarmLevel"] else ""
    again = f", call {call['pageCount']}" if call["pageCount"] > 1 else ""
    told = f"{call['teamName']} paged{level}{again}: {done.incident['title']}"
    following = f"mim incident arrive {done.incident['id']} {call['team']}"
    did(done, order, told, next_step=following, as_json=as_json)


@remote_too
def acknowledge(
    id: IncidentId, team: TeamName, at: At = "", acting: As = "", dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Records that a paged team said it is coming.

    \b
    Example: mim incident ack 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E database --at -2m
             mim team ack 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E database --at -2m
    """
    order = Order.given(at, acting, dry_run=dry_run)
    done = incidents().done(id, Verb.ACKNOWLEDGE, {"page": _page_of(id, team)}, order)
    told = f"{done.answer['teamName']} acknowledged: {done.incident['title']}"
    following = f"mim incident arrive {done.incident['id']} {done.answer['team']}"
    did(done, order, told, next_step=following, as_json=as_json)


@remote_too
def arrive(
    id: IncidentId, team: TeamName, at: At = "", acting: As = "", dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Records that a paged team is on the bridge.

    \b
    Example: mim incident arrive 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E database --at -2m
             mim team arrived 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E database --at -2m
    """
    order = Order.given(at, acting, dry_run=dry_run)
    done = incidents().done(id, Verb.ARRIVE, {"page": _page_of(id, team)}, order)
    told = f"{done.answer['teamName']} is on the bridge: {done.incident['title']}"
    did(done, order, told, next_step=f"mim incident show {done.incident['id']}", as_json=as_json)


def _page_of(id: str, team: str) -> str:
    """The newest page of this team. Raises PageNotFound."""
    pages, wanted = incidents().pages(id), team.strip().casefold()
    for page in pages:
        if wanted in (page["team"], page["teamName"].casefold()):
            return str(page["id"])
    hint = near_match(wanted, (page["team"] for page in pages)) if pages else f"Page it: mim incident page {id} {team}"
    raise PageNotFound(f'No team "{team}" was paged for this incident. {hint}')
