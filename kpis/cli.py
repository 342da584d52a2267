"""`mim kpi`: definitions, and computing observations."""

from __future__ import annotations

import difflib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from kpis import definitions_cli
from kpis.cli_port import Document, Span, counts_told, kpis
from kpis.errors import KpiNotFound, NothingToVerify, NoValuesOfIncidents
from kpis.explain_cli import explain_one
from majorops.lib.errors import Invalid
from majorops.lib.manner import hint, next_step, progress
from majorops.lib.terminal import Listing, can_be_tried, listing, remote_too
from majorops.lib.times import iso, parse_time

if TYPE_CHECKING:
    from kpis.models import KpiDefinition

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="KPI definitions, and computing observations.")
#: The exit code of `verify` when a stored figure is not what the rows say.
DIFFERS = 8
#: What of a computation is told as JSON.
COUNTS = ("kpi", "version", "new", "changed", "same", "retired", "kept", "withoutValue")
for name in ("why", "explain"):
    app.command(name, hidden=name == "explain")(explain_one)
definitions_cli.register(app)


@app.command("list")
@listing
@remote_too
def list_definitions() -> Listing:
    """The KPI definitions with owner and newest overall figure.

    Example: mim kpi list
    """
    rows = [_summary(definition) for definition in kpis().definitions()]
    return Listing(rows, _summed_up, "One of them: mim kpi show SLUG")


def _summary(definition: Document) -> dict[str, object]:
    figures = definition["figures"]
    overall = next((each for each in figures if each["window"] == "all"), figures[0])
    known = overall["timestamp"] is not None
    return {
        "slug": definition["slug"],
        "name": definition["name"],
        "version": definition["version"],
        "units": definition["units"],
        "visibility": definition["visibility"],
        "owner": definition["owner"],
        "value": overall["value"],
        "n": overall["n"],
        "evidence": overall["evidence"] if known else None,
    }


def _summed_up(row: Document) -> str:
    value = "—" if row["value"] is None else f"{row['value']:.1f}"
    return (
        f"{row['slug']:<26} v{row['version']:<3} {value:>10} {row['units']:<8} n={row['n']:<6} "
        f"{row['evidence'] or 'no figure':<11} {row['owner']}"
    )


@app.command()
@remote_too
def show(
    slug: Annotated[str, typer.Argument(help="The KPI, e.g. mttr.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, as the API gives it.")] = False,
) -> None:
    """One KPI: what it counts, its targets, and its newest figure in each window.

    Example: mim kpi show mttr
    """
    definition = kpis().definition(slug)
    if as_json:
        typer.echo(json.dumps(definition, indent=2, ensure_ascii=False))
        return
    about = f"{definition['slug']} v{definition['version']}, {definition['status']}, {definition['visibility']}"
    typer.echo(f"{definition['name']} ({about})\n{definition['description']}\n{definition['formula']}")
    typer.echo(f"Owner {definition['owner'] or 'nobody'}, reads {', '.join(definition['dataSources']) or 'nothing'}")
    for target in definition["targets"]:
        typer.echo(f"  target {target['readable']}")
    for figure in definition["figures"]:
        value = figure["reason"] if figure["value"] is None else f"{figure['value']:.1f} {definition['units']}"
        typer.echo(f"  {figure['window']:<6} {value}  n={figure['n']}  {figure['evidence']}")
    hint(f"Why: mim kpi why {definition['slug']}")


@app.command()
@listing
@remote_too
def observations(
    slug: Annotated[str, typer.Argument(help="One KPI. Default: all.")] = "",
    incident: Annotated[str, typer.Option("--incident", metavar="ID", help="Of this incident.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
) -> Listing:
    """The current values of incidents and dispatches, the newest first.

    Example: mim kpi observations mttr --limit 10
    """
    rows = kpis().observations(slug, incident, limit)
    return Listing(rows, _observed, f"{len(rows)} shown. Why one is what it is: mim kpi why SLUG --observation ID")


def _observed(row: Document) -> str:
    value = row["reason"] if row["value"] is None else f"{row['value']:.1f} {row['units']}"
    return f"{row['id']}  {row['timestamp'][:16]}  {row['kpi']:<26} {value:<20} {row['evidence']:<11} {row['subject']}"


@app.command()
@remote_too
def backfill(
    kpi: Annotated[list[str] | None, typer.Option("--kpi", help="A slug, e.g. mttr. Repeatable.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every active definition with a formula.")] = False,
    incident: Annotated[str, typer.Option("--incident", metavar="ID", help="Only its own values, as of now.")] = "",
    start: Annotated[str | None, typer.Option("--from", help="Samples from this day or time on (UTC).")] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Up to this day or time, exclusive. Default: the last midnight.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, show what would change, write nothing.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run of the same span that broke off, if there is one.")
    ] = False,
    force: Annotated[
        str, typer.Option("--force", metavar="REASON", help="Retire stated values that are in the way, and say why.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The counts as JSON on stdout.")] = False,
) -> None:
    """Recomputes observations from the recorded rows. Running it twice changes nothing.

    Values that somebody stated stay as they are; beside each is kept what the rows say.

    Example: mim kpi backfill --kpi mttr
    """
    if incident and (start or end or resume or force):
        raise Invalid("--incident goes with --kpi, --all and --dry-run alone.", field="incident")
    span = Span(_moment(start, "--from"), _moment(end, "--to"), incident, dry_run, resume, force)
    _check_span(span.start, span.end)
    counted, without = [], []
    for slug in _slugs(kpi or [], every=every):
        try:
            with _resumable(), progress(slug) as advance:
                told = kpis().backfilled(slug, span, advance)
        except NoValuesOfIncidents:
            without.append(slug)
            continue
        counted.append(told)
        for line in [] if as_json else [_line(told), *(f"  changed {change}" for change in told["examples"])]:
            typer.echo(line)
    if as_json:
        typer.echo(json.dumps([{name: each[name] for name in COUNTS} for each in counted], indent=2))
    if without:
        hint(f"No values of single incidents are kept by {', '.join(without)}.")
    if dry_run:
        typer.echo("Nothing written (--dry-run).", err=as_json)
    elif incident:
        next_step(f"mim kpi observations --incident {incident}")
    elif counted and not as_json:
        as_of = parse_time(counted[-1]["asOf"], field="asOf")
        typer.echo(f"Computed as of {as_of:%Y-%m-%d %H:%M} UTC. Next: mim kpi list, or open /kpis")


@contextmanager
def _resumable() -> Iterator[None]:
    """Says how to go on after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        hint("Stopped; what was stored stays. Next: the same command with --resume")
        raise


def _check_span(start: datetime | None, end: datetime | None) -> None:
    """Raises Invalid for a span that cannot hold anything that happened."""
    from django.utils import timezone

    if end is not None and end > timezone.now():
        raise Invalid("--to lies ahead: values are computed of what has happened.", field="to")
    if start is not None and start >= (end or timezone.now()):
        raise Invalid("--from must be before --to, and before now.", field="from")


def _slugs(named: list[str], *, every: bool) -> list[str]:
    """What to compute. Each is looked up before the first is computed. Raises KpiNotFound."""
    if every == bool(named):
        raise Invalid("Name the KPIs with --kpi SLUG, or take all with --all.")
    if every:
        return kpis().computable()
    for slug in named:
        try:
            kpis().definition(slug)
        except KpiNotFound as unknown:
            raise KpiNotFound(f"{unknown.message} Nothing was written.") from None
    return list(dict.fromkeys(named))


@app.command()
@can_be_tried
def nightly(
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=366, help="How many days. Default: MAJOROPS_NIGHTLY_DAYS.")
    ] = None,
) -> None:
    """Computes the last days of every active KPI anew, up to the last midnight: late rows are picked up.

    Example: mim kpi nightly --days 7
    """
    from django.conf import settings
    from django.utils import timezone

    from kpis import histograms
    from kpis.compute import Counts
    from kpis.compute import nightly as run

    now, total = timezone.now(), Counts()
    for definition in _chosen([], every=True):
        with progress(definition.slug) as advance:
            counts = run(definition, now=now, days=days or settings.MAJOROPS_NIGHTLY_DAYS, advance=advance)
        total.add(counts)
        typer.echo(_line(counts_told(definition.slug, definition.current_version, asdict(counts))))
    histograms.extend(now.astimezone(histograms.zone()).date())
    typer.echo(f"Together: {_counted(counts_told('', 0, asdict(total)))}. Next: mim kpi verify")


@app.command()
def verify(
    kpi: Annotated[list[str] | None, typer.Option("--kpi", help="A slug. Repeatable. Default: all.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Choose the same moments again.")] = None,
) -> None:
    """Computes one past moment of each KPI again and compares it with what is stored. Changes no figure.

    Rows that came late change a past figure rightly; a difference says that the stored one is no longer what the
    rows say. Exit code 8 if any differs.

    Example: mim kpi verify --kpi mttr --seed 1
    """
    dice = random.Random(seed)  # noqa: S311  (chooses a day, guards nothing)
    differing = [definition for definition in _chosen(kpi or [], every=not kpi) if not _is_verified(definition, dice)]
    if differing:
        raise typer.Exit(DIFFERS)


def _is_verified(definition: KpiDefinition, dice: random.Random) -> bool:
    from kpis.compute import verify as again

    try:
        run, differences = again(definition, dice=dice)
    except NothingToVerify as nothing:
        typer.echo(nothing.message)
        return True
    when = f"{run.as_of:%Y-%m-%d %H:%M} UTC"
    if not differences:
        typer.echo(f"{definition.slug} v{run.version}  {run.same} figures of {when} came out the same")
        return True
    typer.echo(f"{definition.slug} v{run.version}  {len(differences)} figures of {when} differ:", err=True)
    for difference in differences[:20]:
        typer.echo(f"  {difference}", err=True)
    typer.echo(f"Store them anew: mim kpi backfill --kpi {definition.slug} --to {iso(run.as_of)}", err=True)
    return False


def _chosen(slugs: list[str], *, every: bool) -> list[KpiDefinition]:
    from kpis.models import KpiDefinition

    if every == bool(slugs):
        raise Invalid("Name the KPIs with --kpi SLUG, or take all with --all.")
    if every:
        return list(KpiDefinition.objects.computable())
    found = {definition.slug: definition for definition in KpiDefinition.objects.filter(slug__in=slugs)}
    for slug in slugs:
        if slug not in found:
            raise KpiNotFound(_unknown(slug))
    return [found[slug] for slug in dict.fromkeys(slugs)]


def _unknown(slug: str) -> str:
    from kpis.models import KpiDefinition

    known = list(KpiDefinition.objects.order_by("slug").values_list("slug", flat=True))
    near = difflib.get_close_matches(slug, known, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
    return f'No KPI is called "{slug}". {hint} Nothing was written.'


def _moment(text: str | None, option: str) -> datetime | None:
    """A day (midnight UTC) or a time with a zone."""
    if text is None:
        return None
    return parse_time(f"{text}T00:00:00Z" if len(text) == len("2026-03-02") else text, field=option)


def _line(told: Document) -> str:
    nothing = ", ".join(f"{reason} {count}" for reason, count in sorted(told["withoutValue"].items()))
    suffix = f"  (without a value: {nothing})" if nothing else ""
    return f"{told['kpi']} v{told['version']}  {_counted(told)}{suffix}"


def _counted(told: Document) -> str:
    parts = [f"{told['new']} new", f"{told['changed']} changed", f"{told['same']} same"]
    if told["retired"]:
        parts.append(f"{told['retired']} retired")
    if told["kept"]:
        parts.append(f"{told['kept']} claims kept")
    return ", ".join(parts)
