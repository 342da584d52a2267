"""`mim incident log | update | milestone | promise`: what is written and told."""

from __future__ import annotations

from typing import Annotated

import typer

from incidents import words
from incidents.cli_port import Order, Verb, incidents
from incidents.cli_shared import As, AsJson, At, IncidentId, did, milestone_of, time_in
from incidents.lifecycle import Visibility
from incidents.moments import promised
from majorops.lib.errors import Invalid
from majorops.lib.manner import zone
from majorops.lib.terminal import DryRun, remote_too


@remote_too
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
    did(done, order, told, next_step=following, as_json=as_json)


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
    did(done, order, told, next_step=milestone_of(done), as_json=as_json)


NextUpdate = Annotated[
    str, typer.Option("--next-update", metavar="TIME", help="When the next one comes: 30m, 15:00 (UTC) or a full time.")
]


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
    due = promised(next_update, order.now, zone=zone()) if next_update else None
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
    cut, eta = done.answer, time_in(done.answer["nextUpdateEta"])
    promise = f" Next update {words.hour(eta, order.now, zone())}." if eta else ""
    told = f"Milestone {cut['sequence']} published: {cut['title']}.{promise}"
    did(done, order, told, next_step=f"mim incident show {done.incident['id']}", as_json=as_json)


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
    due = promised(next_update, order.now, zone=zone())
    done = incidents().done(id, Verb.PROMISE, {"next_update_eta": due, "reason": reason}, order)
    told = f"Next update moved to {words.hour(due, order.now, zone())}: {done.incident['title']}"
    did(done, order, told, next_step=milestone_of(done), as_json=as_json)
