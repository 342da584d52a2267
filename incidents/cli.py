"""`mim incident`: run an incident from a terminal, and import histories. Every verb is one action."""

from __future__ import annotations

import json
import time
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer
from django.utils import timezone

from incidents import words
from incidents.cli_port import Document, Done, Order, Verb, Which, incidents
from incidents.lifecycle import Kind, Phase, Severity, Status, Visibility, allowed_moves
from incidents.moments import promised
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.tables import csv_text
from majorops.lib.terminal import DryRun, Listing, listing, near_match, remote_too
from majorops.lib.times import iso, parse_time
from teams.alarm import AlarmLevel

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Declare, run, resolve and import incidents.")
log = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The log of an incident.")

#: Exit code: some records were refused, the others are in.
PARTLY_DONE = 7
#: Seconds between two looks of `watch`, and the lines of the log that `show` and `tail` begin with.
GLANCE, SHOWN = 2.0, 20

IncidentId = Annotated[str, typer.Argument(metavar="ID", help="The incident's ULID, as the list shows it.")]
TeamName = Annotated[str, typer.Argument(metavar="TEAM", help="Slug, name or alias of the team.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
As = Annotated[str, typer.Option("--as", metavar="EMAIL", envvar="MIM_AS", help="Who does it. Default: the name CLI.")]
At = Annotated[
    str, typer.Option("--at", metavar="TIME", help="When it happened: -7m, 14:02 (UTC) or 2026-03-02T14:02Z.")
]


class PageNotFound(DomainError):
    """This team was not paged for this incident."""

    code = "not_found"
    status = 404


# --- Reading ---


@app.command("list")
@listing
@remote_too
def list_incidents(
    status: Annotated[Which, typer.Option(help="Which ones.")] = Which.OPEN,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
) -> Listing:
    """Incidents, the newest first. Open ones unless told otherwise.

    Example: mim incident list --status resolved --json
    """
    found, now = incidents().found(status, limit + 1), timezone.now()
    rows = found[:limit]
    more = f"and there are more: --limit {2 * limit}. " if len(found) > limit else ""
    return Listing(
        rows, lambda row: _line(row, now), f"{len(rows)} {status.value}, {more}one of them: mim incident show ID"
    )


def _line(incident: Document, now: datetime) -> str:
    lasted = words.span((_time(incident["resolvedAt"]) or now) - _known(incident["detectedAt"]))
    phase = f"{incident['phase']} {Phase(incident['phase']).label:<22}"
    state = f"{incident['severity'].lower():<8} {incident['status'].lower():<10} {phase}"
    return f"{incident['id']}  {state} {lasted:>12}  {incident['title']}"


def _time(text: str | None) -> datetime | None:
    return parse_time(text, field="time") if text else None


def _known(text: str) -> datetime:
    return parse_time(text, field="time")


@app.command()
@remote_too
def show(id: IncidentId, as_json: AsJson = False) -> None:
    """One incident and the end of its log.

    Example: mim incident show 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E
    """
    incident = incidents().one(id)
    if as_json:
        _as_json(incident)
        return
    typer.echo(f"{incident['title']}\n{incident['severity']}, {incident['status']}, {_phase(incident)}")
    typer.echo(f"Detected {_when(incident['detectedAt'])}, resolved {_when(incident['resolvedAt'])}")
    typer.echo(f"MIM {incident['command']['mim'] or 'unclaimed'}, next update {_when(incident['nextUpdateEta'])}")
    for entry in incident["timeline"][-SHOWN:]:
        typer.echo(f"  {_entry(entry)}")
    if incident["status"] != Status.RESOLVED.label:
        following = allowed_moves(Phase(incident["phase"]))[0]
        typer.echo(f"Next phase: mim incident phase {incident['id']} {following}", err=True)


def _as_json(document: Document) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _phase(incident: Document) -> str:
    return f"phase {incident['phase']} ({Phase(incident['phase']).label})"


def _when(text: str | None) -> str:
    at = _time(text)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "—"


def _entry(entry: Document) -> str:
    return f"{_when(entry['timestamp'])}  {entry['actor']}: {entry['title']}"


@app.command()
@remote_too
def watch(
    id: IncidentId,
    once: Annotated[bool, typer.Option("--once", help="Look once, do not wait.")] = False,
) -> None:
    """Follows the log of an incident until it is resolved. Ctrl-C ends it.

    Example: mim incident watch 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E
    """
    incident = incidents().one(id)
    typer.echo(f"{incident['title']}: {incident['severity']}, {incident['status']}, {_phase(incident)}", err=True)
    _follow(id, SHOWN, forever=not once)


def _follow(id: str, count: int, *, forever: bool) -> None:
    seen: set[str] = set()
    while True:
        incident = incidents().one(id)
        new = [entry for entry in incident["timeline"] if entry["id"] not in seen]
        for entry in new if seen else new[-count:]:
            typer.echo(_entry(entry))
        seen |= {entry["id"] for entry in new}
        if not forever or incident["status"] == Status.RESOLVED.label:
            return
        time.sleep(GLANCE)


@log.command("tail")
@remote_too
def tail_log(
    id: IncidentId,
    count: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many lines.")] = SHOWN,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it is resolved.")] = False,
    as_lines: Annotated[bool, typer.Option("--jq-lines", help="One JSON object a line.")] = False,
) -> None:
    """The end of the log, the oldest line first.

    Example: mim log tail 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E -n 5 --follow
    """
    if as_lines and follow:
        raise Invalid("--jq-lines shows what there is; leave --follow out.", field="follow")
    if not as_lines:
        _follow(id, count, forever=follow)
        return
    for entry in incidents().one(id)["timeline"][-count:]:
        typer.echo(json.dumps(entry, ensure_ascii=False))


class ExportFormat(StrEnum):
    JSON = "json"
    CSV = "csv"


@app.command()
@remote_too
def export(
    id: IncidentId,
    format: Annotated[ExportFormat, typer.Option(help="json: all of it. csv: its log.")] = ExportFormat.JSON,
) -> None:
    """One incident with its log, updates and milestones, to take along.

    Example: mim incident export 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E > incident.json
    """
    incident = incidents().one(id)
    if format == ExportFormat.JSON:
        _as_json(incident)
    else:
        typer.echo(csv_text(incident["timeline"]).replace("\r\n", "\n"), nl=False)


# --- Acting ---


def _did(done: Done, order: Order, what: str, *, next_step: str = "", as_json: bool = False) -> None:
    """Tells what was done, or shows the answer to a program, and what comes next."""
    if as_json:
        _as_json(done.answer)
    else:
        typer.echo(f"{iso(done.at)}  {what}")
    if order.dry_run:
        typer.echo("Nothing written (--dry-run).", err=as_json)
    elif next_step:
        typer.echo(f"Next: {next_step}", err=True)


def open_incident(
    title: Annotated[str, typer.Argument(help="A short label, e.g. prod-west-db-01 unreachable.")],
    severity: Annotated[Severity, typer.Option("--severity", "-s", help="Sets targets and alarm level.")],
    description: Annotated[str, typer.Option(help="The problem in a few sentences.")] = "",
    system: Annotated[list[str] | None, typer.Option(help="An affected system. Repeatable.")] = None,
    bridge: Annotated[str, typer.Option(help="Conference link, https only.")] = "",
    kind: Annotated[Kind, typer.Option(help="Drills and tests are left out of KPIs.")] = Kind.REAL,
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Declares an incident, detected now or at --at.

    Example: mim incident declare "prod-west-db-01 unreachable" --severity critical --at -7m
    """
    order = Order.given(at, acting, dry_run=dry_run)
    said = {
        "title": title,
        "severity": severity.value,
        "kind": kind.value,
        "description": description,
        "affected_systems": system or [],
        "bridge_url": bridge,
    }
    done = incidents().opened(said, order)
    made = done.answer
    _did(
        done,
        order,
        f"Opened {made['id']}: {made['title']}",
        next_step=f"mim incident page {made['id']} TEAM",
        as_json=as_json,
    )


def advance(
    id: IncidentId,
    phase: Annotated[int, typer.Argument(min=1, max=8, help="2 Gather … 7 Validation.")],
    reason: Annotated[str, typer.Option(help="Needed to go back into 2 or 3.")] = "",
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Moves to a later phase, or back into Gather (2) or Assess (3) with a reason.

    Example: mim incident phase 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E 5
    """
    order = Order.given(at, acting, dry_run=dry_run)
    done = incidents().done(id, Verb.PHASE, {"phase": phase, "reason": reason}, order)
    before, after = Phase(done.incident["phase"]), Phase(done.answer["phase"])
    told = f"{before.label} → {after.label}: {done.incident['title']}"
    _did(done, order, told, next_step=_milestone_of(done), as_json=as_json)


# The names that the guides began with stay.
for name, command in (("declare", open_incident), ("open", open_incident), ("phase", advance), ("advance", advance)):
    app.command(name, hidden=name in ("open", "advance"))(remote_too(command))


def _milestone_of(done: Done) -> str:
    return f'mim incident milestone {done.incident["id"]} "HEADLINE" --body "…" --next-update 30m'


class StatusWord(StrEnum):
    ACTIVE = Status.ACTIVE.value
    MONITORING = Status.MONITORING.value


@app.command("status")
@remote_too
def change_status(
    id: IncidentId,
    status: Annotated[StatusWord, typer.Argument(help="active, or monitoring once the mitigation holds.")],
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Active, or Monitoring: the mitigation holds and is watched.

    Example: mim incident status 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E monitoring
    """
    order = Order.given(at, acting, dry_run=dry_run)
    done = incidents().done(id, Verb.STATUS, {"status": status.value}, order)
    told = f"{done.incident['status']} → {done.answer['status']}: {done.incident['title']}"
    following = f'mim incident resolve {done.incident["id"]} --summary "…"' if status == StatusWord.MONITORING else ""
    _did(done, order, told, next_step=following or _milestone_of(done), as_json=as_json)


def add_entry(
    id: IncidentId,
    text: Annotated[str, typer.Argument(help="What happened, in a line.")],
    description: Annotated[str, typer.Option(help="More about it.")] = "",
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Writes a line in the log, for the responders.

    \b
    Example: mim log add 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E "Failover started" --at -7m
             mim incident log 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E "Failover started"
    """
    order = Order.given(at, acting, dry_run=dry_run)
    done = incidents().done(id, Verb.LOG, {"title": text, "description": description}, order)
    told, following = f"Logged: {done.answer['title']}", f"mim log tail {done.incident['id']}"
    _did(done, order, told, next_step=following, as_json=as_json)


log.command("add")(remote_too(add_entry))
app.command("log")(add_entry)


@app.command()
@remote_too
def update(
    id: IncidentId,
    text: Annotated[str, typer.Argument(help="What to tell.")],
    public: Annotated[bool, typer.Option("--public/--internal", help="For stakeholders, or for responders.")] = False,
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Posts an update, internal unless told otherwise. It keeps no promise: milestones do.

    Example: mim incident update 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E "Failover is running." --public
    """
    order = Order.given(at, acting, dry_run=dry_run)
    audience = Visibility.PUBLIC if public else Visibility.INTERNAL
    done = incidents().done(id, Verb.UPDATE, {"content": text, "visibility": audience.value}, order)
    told = f"{audience.label} update posted: {done.incident['title']}"
    _did(done, order, told, next_step=_milestone_of(done), as_json=as_json)


NextUpdate = Annotated[
    str, typer.Option("--next-update", metavar="TIME", help="When the next one comes: 30m, 15:00 (UTC) or a full time.")
]


@app.command()
@remote_too
def milestone(
    id: IncidentId,
    title: Annotated[str, typer.Argument(help="The headline. Not needed with --no-change.")] = "",
    body: Annotated[str, typer.Option(help="What changed, what comes next.")] = "",
    next_update: NextUpdate = "",
    no_change: Annotated[bool, typer.Option("--no-change", help="Say that nothing is new.")] = False,
    reason: Annotated[str, typer.Option(help="Why nothing changed; in Monitoring, why no next update.")] = "",
    entry: Annotated[list[str] | None, typer.Option(help="A log entry it was made from. Repeatable.")] = None,
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Publishes a milestone to stakeholders and executives, and promises the next update.

    \b
    Example: mim incident milestone 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E "Fault found" --body "We move traffic." --next-update 30m
             mim incident milestone 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E --no-change
    """
    order = Order.given(at, acting, dry_run=dry_run)
    due = promised(next_update, order.now) if next_update else None
    if no_change and (title or body):
        raise Invalid("With --no-change the words are given: leave out the headline and --body.", field="no_change")
    if no_change:
        done = incidents().done(id, Verb.NO_CHANGE, {"next_update_eta": due, "reason": reason}, order)
    else:
        said = {
            "title": title,
            "body": body,
            "next_update_eta": due,
            "no_promise_reason": reason,
            "entries": entry or [],
        }
        done = incidents().done(id, Verb.MILESTONE, said, order)
    cut, eta = done.answer, _time(done.answer["nextUpdateEta"])
    promise = f" Next update {words.hour(eta, order.now)}." if eta else ""
    told = f"Milestone {cut['sequence']} published: {cut['title']}.{promise}"
    _did(done, order, told, next_step=f"mim incident show {done.incident['id']}", as_json=as_json)


@app.command("promise")
@remote_too
def move_promise(
    id: IncidentId,
    next_update: Annotated[str, typer.Argument(metavar="TIME", help="30m, 15:00 (UTC) or a full time.")],
    reason: Annotated[str, typer.Option(help="Why it takes longer. Stakeholders read it.")],
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Moves the promised next update. One that is overdue already stays missed.

    Example: mim incident promise 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E 15:00 --reason "The vendor is still looking"
    """
    order = Order.given("", acting, dry_run=dry_run)
    due = promised(next_update, order.now)
    done = incidents().done(id, Verb.PROMISE, {"next_update_eta": due, "reason": reason}, order)
    told = f"Next update moved to {words.hour(due, order.now)}: {done.incident['title']}"
    _did(done, order, told, next_step=_milestone_of(done), as_json=as_json)


def page_team(
    id: IncidentId,
    team: TeamName,
    contact: Annotated[str, typer.Option(help="Who was called. Default: the team's on-call contact.")] = "",
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
    _did(done, order, told, next_step=following, as_json=as_json)


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
    _did(done, order, told, next_step=following, as_json=as_json)


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
    _did(done, order, told, next_step=f"mim incident show {done.incident['id']}", as_json=as_json)


def _page_of(id: str, team: str) -> str:
    """The newest page of this team. Raises PageNotFound."""
    pages, wanted = incidents().pages(id), team.strip().casefold()
    for page in pages:
        if wanted in (page["team"], page["teamName"].casefold()):
            return str(page["id"])
    hint = near_match(wanted, (page["team"] for page in pages)) if pages else f"Page it: mim incident page {id} {team}"
    raise PageNotFound(f'No team "{team}" was paged for this incident. {hint}')


app.command("page")(remote_too(page_team))
app.command("ack")(remote_too(acknowledge))
app.command("arrive")(remote_too(arrive))


@app.command()
@remote_too
def resolve(
    id: IncidentId,
    summary: Annotated[str, typer.Option(help="The final milestone: what was wrong, and that it is over.")],
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Closes the incident with a final milestone.

    Example: mim incident resolve 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E --summary "Database failed over. All orders are in."
    """
    order = Order.given(at, acting, dry_run=dry_run)
    done = incidents().done(id, Verb.RESOLVE, {"summary": summary}, order)
    closed = done.answer
    lasted = words.span(_known(closed["resolvedAt"]) - _known(closed["detectedAt"]))
    told = f"Resolved after {lasted}: {closed['title']}"
    _did(done, order, told, next_step=f"mim review open {closed['id']}", as_json=as_json)


@app.command()
@remote_too
def reopen(
    id: IncidentId,
    reason: Annotated[str, typer.Option(help="Why it is taken up again; the log keeps it.")],
    phase: Annotated[int, typer.Option(min=2, max=7, help="Where it goes on.")] = Phase.ASSESS.value,
    at: At = "",
    acting: As = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Takes a resolved incident up again; if that was too long ago, opens a new one that is linked to it.

    Example: mim incident reopen 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E --reason "It is back."
    """
    order = Order.given(at, acting, dry_run=dry_run)
    done = incidents().done(id, Verb.REOPEN, {"reason": reason, "phase": phase}, order)
    taken_up = done.answer
    late = f"Too late to reopen. Opened the new incident {taken_up['id']}"
    told = f"{'Reopened' if taken_up['id'] == done.incident['id'] else late}: {taken_up['title']}"
    _did(done, order, told, next_step=f"mim incident show {taken_up['id']}", as_json=as_json)
