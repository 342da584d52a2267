"""`mim kpi`: definitions, and computing observations."""

from __future__ import annotations

import difflib
import json
import sys
from datetime import datetime, time
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from kpis.errors import KpiNotFound
from majorops.lib.errors import Invalid

if TYPE_CHECKING:
    from kpis.compute import Counts
    from kpis.models import KpiDefinition

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="KPI definitions, and computing observations.")
errors = Console(stderr=True)


@app.command("list")
def list_definitions(as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False) -> None:
    """The KPI definitions with owner and newest overall figure.

    Example: mim kpi list
    """
    from kpis.models import KpiDefinition

    rows = [_summary(definition) for definition in KpiDefinition.objects.order_by("slug")]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        value = "—" if row["value"] is None else f"{row['value']:.1f}"
        typer.echo(
            f"{row['slug']:<26} v{row['version']:<3} {value:>10} {row['units']:<8} n={row['n']:<6} {row['owner']}"
        )


def _summary(definition: KpiDefinition) -> dict[str, object]:
    everyone = definition.observations.current().filter(window="all", dims_key="").order_by("-timestamp")
    latest = everyone.first() if not definition.is_personal else None
    return {
        "slug": definition.slug,
        "name": definition.name,
        "version": definition.current_version,
        "units": definition.units,
        "visibility": definition.visibility,
        "owner": definition.owner,
        "value": latest.value if latest else None,
        "n": latest.n if latest else 0,
        "evidence": latest.evidence if latest else None,
    }


@app.command()
def backfill(
    kpi: Annotated[list[str] | None, typer.Option("--kpi", help="A slug, e.g. mttr. Repeatable.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every active definition with a formula.")] = False,
    start: Annotated[str | None, typer.Option("--from", help="Samples from this day or time on (UTC).")] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Up to this day or time, exclusive. Default: the last midnight.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only, write nothing.")] = False,
) -> None:
    """Recomputes observations from the recorded rows. Running it twice changes nothing.

    Example: mim kpi backfill --kpi mttr
    """
    from django.utils import timezone

    definitions = _chosen(kpi or [], every=every)
    as_of = _moment(end, "--to") or _last_midnight(timezone.now())
    for definition in definitions:
        counts = _backfill_one(definition, as_of=as_of, start=_moment(start, "--from"), dry_run=dry_run)
        typer.echo(_line(definition, counts))
    if dry_run:
        typer.echo("Nothing written (--dry-run).")
    else:
        typer.echo(f"Computed as of {as_of:%Y-%m-%d %H:%M} UTC. Next: mim kpi list, or open /kpis")


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


def _last_midnight(now: datetime) -> datetime:
    """The start of today in the reporting zone: the same all day, so that a second run finds the same keys."""
    from django.conf import settings

    zone = ZoneInfo(settings.MAJOROPS_REPORTING_ZONE)
    return datetime.combine(now.astimezone(zone).date(), time.min, zone).astimezone(ZoneInfo("UTC"))


def _backfill_one(definition: KpiDefinition, *, as_of: datetime, start: datetime | None, dry_run: bool) -> Counts:
    from kpis.compute import backfill as run

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(definition.slug, total=None)
        return run(
            definition,
            as_of=as_of,
            start=start,
            dry_run=dry_run,
            advance=lambda done, total: progress.update(task, completed=done, total=total),
        )


def _line(definition: KpiDefinition, counts: Counts) -> str:
    parts = [f"{counts.new} new", f"{counts.changed} changed", f"{counts.same} same"]
    if counts.retired:
        parts.append(f"{counts.retired} retired")
    if counts.kept:
        parts.append(f"{counts.kept} claims kept")
    nothing = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.without_value.items()))
    suffix = f"  (without a value: {nothing})" if nothing else ""
    return f"{definition.slug} v{definition.current_version}  {', '.join(parts)}{suffix}"
