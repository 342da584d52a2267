"""`mim incident` and `mim log`: run an incident from a terminal. Every verb that writes is one action."""

from __future__ import annotations

from collections.abc import Callable

import typer

from incidents import cli_course, cli_reading, cli_teams, cli_words

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Declare, run, resolve and import incidents.")
log = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The log of an incident.")

#: In the order of the help. Hidden are the names that the guides began with.
COMMANDS: dict[str, Callable[..., None]] = {
    "list": cli_reading.list_incidents,
    "show": cli_reading.show,
    "watch": cli_reading.watch,
    "export": cli_reading.export,
    "declare": cli_course.open_incident,
    "open": cli_course.open_incident,
    "phase": cli_course.advance,
    "advance": cli_course.advance,
    "status": cli_course.change_status,
    "log": cli_words.add_entry,
    "update": cli_words.update,
    "milestone": cli_words.milestone,
    "promise": cli_words.move_promise,
    "page": cli_teams.page_team,
    "ack": cli_teams.acknowledge,
    "arrive": cli_teams.arrive,
    "resolve": cli_course.resolve,
    "reopen": cli_course.reopen,
}
for name, command in COMMANDS.items():
    app.command(name, hidden=name in ("open", "advance"))(command)
log.command("tail")(cli_reading.tail_log)
log.command("add")(cli_words.add_entry)
