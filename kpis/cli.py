"""`mim kpi`: definitions, and computing observations."""

from __future__ import annotations

import difflib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from kpis import definitions_cli
from kpis.cli_port import Document, kpis
from kpis.errors import KpiNotFound, NothingToVerify
from kpis.explain_cli import explain_one
from majorops.lib.errors import Invalid
from majorops.lib.manner import hint, next_step, progress
from majorops.lib.terminal import Listing, can_be_tried, listing, remote_too, taken_back
from majorops.lib.times import iso

if TYPE_CHECKING:
    from kpis.compute import Change, Counts
    from kpis.models import KpiDefinition

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="KPI definitions, and computing observations.")
#: The exit code of `verify` when a stored figure is not what the rows say.
DIFFERS = 8
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
    from django.utils import timezone

    from kpis.compute import backfill as run
    from kpis.compute import last_midnight

    definitions = _chosen(kpi or [], every=every)
    if incident:
        if start or end or resume or force:
            raise Invalid("--incident goes with --kpi, --all and --dry-run alone.", field="incident")
        _backfill_incident(definitions, incident, dry_run=dry_run, as_json=as_json)
        return
    as_of = _moment(end, "--to") or last_midnight(timezone.now())
    first, counted = _moment(start, "--from"), []
    for definition in definitions:
        changes: list[Change] = []
        with _resumable(), progress(definition.slug) as advance:
            counts = run(
                definition,
                as_of=as_of,
                start=first,
                dry_run=dry_run,
                examples=changes,
                resume=resume,
                forced_because=force,
                advance=advance,
            )
        counted.append(_counts(definition, counts))
        for line in [] if as_json else [_line(definition, counts), *(f"  changed {change}" for change in changes)]:
            typer.echo(line)
    if as_json:
        typer.echo(json.dumps(counted, indent=2))
    if dry_run:
        typer.echo("Nothing written (--dry-run).", err=as_json)
    elif not as_json:
        typer.echo(f"Computed as of {as_of:%Y-%m-%d %H:%M} UTC. Next: mim kpi list, or open /kpis")


@contextmanager
def _resumable() -> Iterator[None]:
    """Says how to go on after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        hint("Stopped; what was stored stays. Next: the same command with --resume")
        raise


def _backfill_incident(definitions: list[KpiDefinition], id: str, *, dry_run: bool, as_json: bool) -> None:
    """What one incident gives; figures about all of them are left to the next night."""
    from django.utils import timezone

    from incidents.cli_local import incident_called
    from kpis.compute import recompute_incident

    found, now = incident_called(id), timezone.now()
    with taken_back() if dry_run else nullcontext():
        counts = recompute_incident(found.pk, now=now, only=[each.slug for each in definitions])
    kept = [definition for definition in definitions if definition.slug in counts]
    if as_json:
        typer.echo(json.dumps([_counts(each, counts[each.slug]) for each in kept], indent=2))
    for definition in [] if as_json else kept:
        typer.echo(_line(definition, counts[definition.slug]))
    if others := [definition.slug for definition in definitions if definition not in kept]:
        hint(f"No values of single incidents are kept by {', '.join(others)}.")
    if dry_run:
        typer.echo("Nothing written (--dry-run).", err=as_json)
    else:
        next_step(f"mim kpi observations --incident {found.pk}")


def _counts(definition: KpiDefinition, counts: Counts) -> dict[str, object]:
    named = ("new", "changed", "same", "retired", "kept")
    told = {"kpi": definition.slug, "version": definition.current_version}
    return {**told, **{name: getattr(counts, name) for name in named}, "withoutValue": counts.without_value}


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
        typer.echo(_line(definition, counts))
    histograms.extend(now.astimezone(histograms.zone()).date())
    typer.echo(f"Together: {_counted(total)}. Next: mim kpi verify")


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
    from majorops.lib.times import parse_time

    if text is None:
        return None
    return parse_time(f"{text}T00:00:00Z" if len(text) == len("2026-03-02") else text, field=option)


def _line(definition: KpiDefinition, counts: Counts) -> str:
    nothing = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.without_value.items()))
    suffix = f"  (without a value: {nothing})" if nothing else ""
    return f"{definition.slug} v{definition.current_version}  {_counted(counts)}{suffix}"


def _counted(counts: Counts) -> str:
    parts = [f"{counts.new} new", f"{counts.changed} changed", f"{counts.same} same"]
    if counts.retired:
        parts.append(f"{counts.retired} retired")
    if counts.kept:
        parts.append(f"{counts.kept} claims kept")
    return ", ".join(parts)
