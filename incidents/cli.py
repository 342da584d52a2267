"""`mim incident`: run an incident from a terminal, and import histories. Every verb is one action."""

from __future__ import annotations

import difflib
import json
from datetime import datetime
from enum import StrEnum
from types import SimpleNamespace
from typing import Annotated, Any

import typer
from django.utils import timezone
from rest_framework.serializers import Serializer

from accounts.cli import PersonNotFound
from accounts.emails import canonical_email
from accounts.models import User
from accounts.permissions import RoleRequired
from accounts.roles import Can, Role
from incidents import actions, words
from incidents.actions import Stamp
from incidents.lifecycle import Kind, Phase, Severity, Status, Visibility, allowed_moves
from incidents.models import Incident, IncidentQuerySet, Source
from incidents.moments import happened, promised
from incidents.serializers import IncidentDetail, IncidentShown
from incidents.viewing import incidents_for
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.times import iso, to_millisecond
from majorops.lib.ulid import parse_ulid
from teams.models import Team

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Open, run, resolve and import incidents.")

#: Exit code: some records were refused, the others are in.
PARTLY_DONE = 7

IncidentId = Annotated[str, typer.Argument(metavar="ID", help="The incident's ULID, as the list shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
As = Annotated[str, typer.Option("--as", metavar="EMAIL", envvar="MIM_AS", help="Who does it. Default: the name CLI.")]
At = Annotated[
    str, typer.Option("--at", metavar="TIME", help="When it happened: -7m, 14:02 (UTC) or 2026-03-02T14:02Z.")
]


class IncidentNotFound(DomainError):
    """No incident has this id."""

    code = "not_found"
    status = 404


class TeamNotFound(DomainError):
    """No team is called that."""

    code = "unknown_team"
    status = 404


class Which(StrEnum):
    OPEN = "open"
    ACTIVE = Status.ACTIVE.value
    MONITORING = Status.MONITORING.value
    RESOLVED = Status.RESOLVED.value
    ALL = "all"


# --- Reading ---


@app.command("list")
def list_incidents(
    status: Annotated[Which, typer.Option(help="Which ones.")] = Which.OPEN,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Incidents, the newest first. Open ones unless told otherwise.

    Example: mim incident list --status resolved --json
    """
    chosen = _chosen(status)
    rows = list(chosen[:limit])
    if as_json:
        typer.echo(_documented(IncidentShown, rows))
        return
    now = timezone.now()
    for incident in rows:
        lasted = words.span((incident.resolved_at or now) - incident.detected_at)
        state = f"{incident.severity:<8} {incident.status:<10} {incident.phase} {Phase(incident.phase).label:<22}"
        typer.echo(f"{incident.pk}  {state} {lasted:>12}  {incident.title}")
    shown = f"{len(rows)} of {chosen.count()}" if len(rows) == limit else str(len(rows))
    typer.echo(f"{shown} {status.value}. One of them: mim incident show ID", err=True)


def _chosen(status: Which) -> IncidentQuerySet:
    seen = incidents_for(_operator())
    match status:
        case Which.OPEN:
            return seen.active()
        case Which.ALL:
            return seen.newest_first()
        case _:
            return seen.filter(status=status.value).newest_first()


def _documented(shape: type[Serializer[Any]], rows: Incident | list[Incident]) -> str:
    """As the API shows it to an administrator: whoever runs commands on the server reads the database anyway."""
    data = shape(rows, many=isinstance(rows, list), context={"request": SimpleNamespace(user=_operator())}).data
    return json.dumps(data, indent=2)


def _operator() -> User:
    return User(role=Role.ADMIN)


@app.command()
def show(id: IncidentId, as_json: AsJson = False) -> None:
    """One incident and the end of its log.

    Example: mim incident show 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E
    """
    incident = _incident(id)
    if as_json:
        typer.echo(_documented(IncidentDetail, incident))
        return
    typer.echo(
        f"{incident.title}\n{incident.get_severity_display()}, {incident.get_status_display()}, {_phase(incident)}"
    )
    typer.echo(f"Detected {_when(incident.detected_at)}, resolved {_when(incident.resolved_at)}")
    typer.echo(f"MIM {incident.mim or 'unclaimed'}, next update {_when(incident.next_update_eta)}")
    for entry in list(incident.timeline.newest_first()[:20])[::-1]:
        typer.echo(f"  {_when(entry.occurred_at)}  {entry.actor}: {entry.title}")
    if incident.is_open:
        typer.echo(
            f"Next phase: mim incident advance {incident.pk} {allowed_moves(Phase(incident.phase))[0]}", err=True
        )


def _phase(incident: Incident) -> str:
    return f"phase {incident.phase} ({Phase(incident.phase).label})"


def _when(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "—"


def _incident(text: str) -> Incident:
    try:
        return incidents_for(_operator()).get(pk=parse_ulid(text))
    except (ValueError, Incident.DoesNotExist):
        raise IncidentNotFound(f'No incident has the id "{text}". List them: mim incident list --status all') from None


# --- Acting ---


def _stamp(email: str, at: str) -> Stamp:
    """Who and when. A back-dated action keeps the time it is written down beside it."""
    now = to_millisecond(timezone.now())
    return Stamp(by=_person(email), at=happened(at, now, field="at"), now=now, source=Source.CLI, name="CLI")


def _person(email: str) -> User | None:
    if not email:
        return None
    person = User.objects.filter(email=canonical_email(email)).first()
    if person is None:
        raise PersonNotFound(f"Nobody has the address {email}. See: mim user list")
    if not person.can(Can.COMMAND):
        raise RoleRequired.to(Can.COMMAND)
    return person


def _done(stamp: Stamp, what: str, *, next_step: str = "") -> None:
    typer.echo(f"{iso(stamp.at)}  {what}")
    if next_step:
        typer.echo(f"Next: {next_step}", err=True)


@app.command("open")
def open_incident(
    title: Annotated[str, typer.Argument(help="A short label, e.g. prod-west-db-01 unreachable.")],
    severity: Annotated[Severity, typer.Option("--severity", "-s", help="Sets targets and alarm level.")],
    description: Annotated[str, typer.Option(help="The problem in a few sentences.")] = "",
    system: Annotated[list[str] | None, typer.Option(help="An affected system. Repeatable.")] = None,
    bridge: Annotated[str, typer.Option(help="Conference link, https only.")] = "",
    kind: Annotated[Kind, typer.Option(help="Drills and tests are left out of KPIs.")] = Kind.REAL,
    at: At = "",
    acting: As = "",
) -> None:
    """Opens an incident, detected now or at --at.

    Example: mim incident open "prod-west-db-01 unreachable" --severity critical --at -7m
    """
    stamp = _stamp(acting, at)
    incident = actions.open_incident(
        title=title,
        severity=severity.value,
        stamp=stamp,
        kind=kind.value,
        description=description,
        affected_systems=system or [],
        bridge_url=bridge,
    )
    _done(stamp, f"Opened {incident.pk}: {incident.title}", next_step=f"mim incident page {incident.pk} TEAM")


@app.command()
def advance(
    id: IncidentId,
    phase: Annotated[int, typer.Argument(min=1, max=8, help="2 Gather … 7 Validation.")],
    reason: Annotated[str, typer.Option(help="Needed to go back into 2 or 3.")] = "",
    at: At = "",
    acting: As = "",
) -> None:
    """Moves to a later phase, or back into Gather (2) or Assess (3) with a reason.

    Example: mim incident advance 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E 5
    """
    incident, stamp = _incident(id), _stamp(acting, at)
    moved = actions.advance_phase(incident, phase, stamp=stamp, reason=reason)
    _done(stamp, f"{Phase(incident.phase).label} → {Phase(moved.phase).label}: {moved.title}")


@app.command()
def update(
    id: IncidentId,
    text: Annotated[str, typer.Argument(help="What to tell.")],
    public: Annotated[bool, typer.Option("--public/--internal", help="For stakeholders, or for responders.")] = False,
    at: At = "",
    acting: As = "",
) -> None:
    """Posts an update, internal unless told otherwise. It keeps no promise: milestones do.

    Example: mim incident update 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E "Failover is running." --public
    """
    incident, stamp = _incident(id), _stamp(acting, at)
    audience = Visibility.PUBLIC if public else Visibility.INTERNAL
    actions.post_update(incident, text, visibility=audience, stamp=stamp)
    _done(stamp, f"{audience.label} update posted: {incident.title}")


NextUpdate = Annotated[
    str, typer.Option("--next-update", metavar="TIME", help="When the next one comes: 30m, 15:00 (UTC) or a full time.")
]


@app.command()
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
) -> None:
    """Publishes a milestone to stakeholders and executives, and promises the next update.

    \b
    Example: mim incident milestone 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E "Fault found" --body "We move traffic." --next-update 30m
             mim incident milestone 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E --no-change
    """
    incident, stamp = _incident(id), _stamp(acting, at)
    due = promised(next_update, stamp.now) if next_update else None
    if no_change and (title or body):
        raise Invalid("With --no-change the words are given: leave out the headline and --body.", field="no_change")
    if no_change:
        cut = actions.publish_no_change(incident, next_update_eta=due, reason=reason, stamp=stamp)
    else:
        said = {"title": title, "body": body, "no_promise_reason": reason, "entries": _entries(entry or [])}
        cut = actions.cut_milestone(incident, next_update_eta=due, stamp=stamp, **said)  # type: ignore[arg-type]
    promise = f" Next update {words.hour(cut.next_update_eta, stamp.now)}." if cut.next_update_eta else ""
    _done(stamp, f"Milestone {cut.sequence} published: {cut.title}.{promise}")


def _entries(texts: list[str]) -> list[str]:
    try:
        return [parse_ulid(text) for text in texts]
    except ValueError as error:
        raise Invalid(str(error), field="entry") from None


@app.command("promise")
def move_promise(
    id: IncidentId,
    next_update: Annotated[str, typer.Argument(metavar="TIME", help="30m, 15:00 (UTC) or a full time.")],
    reason: Annotated[str, typer.Option(help="Why it takes longer. Stakeholders read it.")],
    acting: As = "",
) -> None:
    """Moves the promised next update. One that is overdue already stays missed.

    Example: mim incident promise 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E 15:00 --reason "The vendor is still looking"
    """
    incident, stamp = _incident(id), _stamp(acting, "")
    moved = actions.move_promise(incident, promised(next_update, stamp.now), reason=reason, stamp=stamp)
    _done(stamp, f"Next update moved to {words.hour(moved.due_at, stamp.now)}: {incident.title}")


@app.command("page")
def page_team(
    id: IncidentId,
    team: Annotated[str, typer.Argument(help="Slug, name or alias of the team.")],
    contact: Annotated[str, typer.Option(help="Who was called. Default: the team's on-call contact.")] = "",
    at: At = "",
    acting: As = "",
) -> None:
    """Records that a team was called, at the alarm level of the severity.

    Example: mim incident page 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E database
    """
    incident, stamp = _incident(id), _stamp(acting, at)
    page = actions.page_team(incident, _team(team), stamp=stamp, contact_name=contact)
    level = f" at {page.get_alarm_level_display()}" if page.alarm_level else ""
    again = f", call {page.page_count}" if page.page_count > 1 else ""
    _done(stamp, f"{page.team.name} paged{level}{again}: {incident.title}")


def _team(text: str) -> Team:
    team = Team.objects.called(text)
    if team is None:
        names = {
            name: slug for slug, known in Team.objects.values_list("slug", "name") for name in (slug, known.lower())
        }
        near = {names[match] for match in difflib.get_close_matches(text.lower(), names, n=3)}
        hint = (
            f"Did you mean {' or '.join(sorted(near))}?"
            if near
            else f"Known: {', '.join(sorted(set(names.values())))}."
        )
        raise TeamNotFound(f'No single team is called "{text}". {hint}')
    return team


@app.command()
def resolve(
    id: IncidentId,
    summary: Annotated[str, typer.Option(help="The final milestone: what was wrong, and that it is over.")],
    at: At = "",
    acting: As = "",
) -> None:
    """Closes the incident with a final milestone.

    Example: mim incident resolve 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E --summary "Database failed over. All orders are in."
    """
    incident, stamp = _incident(id), _stamp(acting, at)
    closed = actions.resolve(incident, summary=summary, stamp=stamp)
    lasted = words.span(stamp.at - closed.detected_at)
    _done(stamp, f"Resolved after {lasted}: {closed.title}", next_step=f"mim incident show {closed.pk}")


@app.command()
def reopen(
    id: IncidentId,
    reason: Annotated[str, typer.Option(help="Why it is taken up again; the log keeps it.")],
    phase: Annotated[int, typer.Option(min=2, max=7, help="Where it goes on.")] = Phase.ASSESS.value,
    at: At = "",
    acting: As = "",
) -> None:
    """Takes a resolved incident up again; if that was too long ago, opens a new one that is linked to it.

    Example: mim incident reopen 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E --reason "It is back."
    """
    incident, stamp = _incident(id), _stamp(acting, at)
    taken_up = actions.reopen(incident, reason=reason, to=phase, stamp=stamp)
    said = "Reopened" if taken_up.pk == incident.pk else f"Too late to reopen. Opened the new incident {taken_up.pk}"
    _done(stamp, f"{said}: {taken_up.title}", next_step=f"mim incident show {taken_up.pk}")
