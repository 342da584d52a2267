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
def weekly(mail: Mail = False, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """The technical report of the last whole week, kept and shown as Markdown.

    Example: mim report weekly --mail
    """
    _make("weekly-technical", mail=mail, dry_run=dry_run, as_json=as_json)


@app.command("exec")
def executive(mail: Mail = False, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """The executive report of the last whole week.

    Example: mim report exec > week.md
    """
    _make("weekly-executive", mail=mail, dry_run=dry_run, as_json=as_json)


@app.command()
def daily(mail: Mail = False, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """The collection of the last whole day.

    Example: mim report daily
    """
    _make("daily", mail=mail, dry_run=dry_run, as_json=as_json)


@app.command("ninety-days")
def ninety_days(mail: Mail = False, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """The last 90 days: what the figures were and what they are.

    Example: mim report ninety-days
    """
    _make("ninety-days", mail=mail, dry_run=dry_run, as_json=as_json)


@app.command()
def metrics(
    pack: Annotated[str, typer.Argument(help="Only this pack, a line for each KPI, e.g. engineering-impact.")] = "",
    as_json: AsJson = False,
) -> None:
    """Every KPI as it stands now, or those of one pack. Nothing is kept.

    Example: mim report metrics engineering-impact
    """
    from django.utils import timezone

    if pack:
        _summarise(pack, as_json=as_json)
        return

    from kpis.reports.kinds import Kind
    from kpis.reports.making import collect
    from kpis.reports.rendering import markdown

    now = timezone.now()
    content = collect(Kind.METRICS, *Kind.METRICS.period(now), now)
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False) if as_json else markdown(content))


def _summarise(slug: str, *, as_json: bool) -> None:
    from django.utils import timezone

    from kpis.packs import files, summary
    from kpis.packs.reading import opened
    from kpis.readiness_cli import _operator

    content = summary.summarised(opened(files.pack(slug), _operator(), timezone.now()))
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False) if as_json else summary.text(content))


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
    from contextlib import nullcontext

    from django.utils import timezone

    from kpis.readiness_cli import _operator
    from kpis.reports import making
    from kpis.reports.kinds import Kind
    from kpis.reports.reading import opened
    from kpis.reports.rendering import markdown
    from kpis.reports_pages import document
    from majorops.lib.terminal import taken_back

    now = timezone.now()
    with taken_back() if dry_run else nullcontext():
        report = making.make(Kind(kind), now=now)
        to = making.send(report, now=now) if mail else []
        found = opened(report, _operator())
    typer.echo(json.dumps(document(found), indent=2, ensure_ascii=False) if as_json else markdown(found.content))
    mailed = f"Mailed to {len(to)}. " if mail else ""
    if dry_run:
        typer.echo(f"{mailed.replace('Mailed', 'It would be mailed')}Nothing written (--dry-run).", err=True)
    else:
        hint(f"Kept. {mailed}".rstrip())
        next_step(f"mim report show {report.pk}")
