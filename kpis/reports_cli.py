"""`mim report`: make a report now, list those there are, show one."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import typer

from kpis.cli_port import Document, kpis
from kpis.reports.kinds import in_days
from majorops.lib.manner import hint, next_step
from majorops.lib.terminal import DryRun, Listing, listing, remote_too

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Reports.")
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Mail = Annotated[bool, typer.Option("--mail", help="Mail it to those whom the settings name, too.")]


@app.command()
@remote_too
def weekly(mail: Mail = False, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """The technical report of the last whole week, kept and shown as Markdown.

    Example: mim report weekly --mail
    """
    _make("weekly-technical", mail=mail, dry_run=dry_run, as_json=as_json)


@app.command("exec")
@remote_too
def executive(mail: Mail = False, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """The executive report of the last whole week.

    Example: mim report exec > week.md
    """
    _make("weekly-executive", mail=mail, dry_run=dry_run, as_json=as_json)


@app.command()
@remote_too
def daily(mail: Mail = False, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """The collection of the last whole day.

    Example: mim report daily
    """
    _make("daily", mail=mail, dry_run=dry_run, as_json=as_json)


@app.command("ninety-days")
@remote_too
def ninety_days(mail: Mail = False, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """The last 90 days: what the figures were and what they are.

    Example: mim report ninety-days
    """
    _make("ninety-days", mail=mail, dry_run=dry_run, as_json=as_json)


@app.command()
@remote_too
def metrics(
    pack: Annotated[str, typer.Argument(help="Only this pack, a line for each KPI, e.g. engineering-impact.")] = "",
    as_json: AsJson = False,
) -> None:
    """Every KPI as it stands now, or those of one pack. Nothing is kept.

    Example: mim report metrics engineering-impact
    """
    from kpis.packs import summary
    from kpis.reports.rendering import markdown

    content = kpis().metrics(pack)
    if as_json:
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        typer.echo(summary.text(content) if pack else markdown(content))


@app.command("list")
@listing
@remote_too
def list_reports() -> Listing:
    """The reports there are, the newest first.

    Example: mim report list
    """
    return Listing(kpis().reports(), _line, "One of them: mim report show ID")


def _line(row: Document) -> str:
    begin, end = (datetime.fromisoformat(row[name]) for name in ("beginsAt", "endsAt"))
    return f"{row['id']}  {row['kind']:<17} {in_days(begin, end)}"


@app.command()
@remote_too
def show(report_id: Annotated[str, typer.Argument(metavar="ID", help="Its id.")], as_json: AsJson = False) -> None:
    """One report as it was made.

    Example: mim report show 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E
    """
    from kpis.reports.rendering import markdown

    found = kpis().report(report_id)
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else markdown(found["content"]))
    for each in found["restated"]:
        typer.echo(f"Restated: {each['kpi']} {each['scope']} is {each['value']} by now.", err=True)


def _make(kind: str, *, mail: bool, dry_run: bool, as_json: bool) -> None:
    from kpis.reports.rendering import markdown

    found, mailed = kpis().made(kind, mail=mail, dry_run=dry_run)
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else markdown(found["content"]))
    told = f"ailed to {mailed}. " if mail else ""
    if dry_run:
        typer.echo(f"{told and f'It would be m{told}'}Nothing written (--dry-run).", err=True)
    else:
        hint(f"Kept. {told and f'M{told}'}".rstrip())
        next_step(f"mim report show {found['id']}")
