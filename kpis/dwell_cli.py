"""`mim kpi dwell`: where the time of incidents goes; `mim kpi histograms`: rebuilds what all teams are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from majorops.lib.manner import next_step
from majorops.lib.terminal import Listing, can_be_tried, listing, remote_too

if TYPE_CHECKING:
    from kpis.dwell import Found

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Phase dwell, and histograms of arrivals.")
COLUMNS = (
    "severity", "phase", "name", "n", "incidents", "again", "goingOn", "invalid", "totalMinutes", "share",
    "meanMinutes", "medianMinutes", "p90Minutes",
)  # fmt: skip


def rows_of(found: Found) -> list[dict[str, Any]]:
    """Every phase and severity for programs and files; numbers as they are."""
    from incidents.lifecycle import Phase

    return [
        {
            "severity": one.severity or "all",
            "phase": one.phase,
            "name": Phase(one.phase).label,
            "n": one.n,
            "incidents": one.incidents,
            "again": one.again,
            "goingOn": one.going_on,
            "invalid": one.invalid,
            "totalMinutes": one.total,
            "share": one.share,
            "meanMinutes": one.mean,
            "medianMinutes": one.median,
            "p90Minutes": one.p90,
        }
        for one in found.rows
    ]


def documented(found: Found) -> dict[str, Any]:
    """As the API and the command line show it."""
    from majorops.lib.times import iso

    about = {"window": found.window, "asOf": iso(found.as_of), "incidents": found.incidents}
    return {**about, "phases": rows_of(found)}


@app.command()
@listing
@remote_too
def dwell(
    window: Annotated[str, typer.Option(help="30d, 90d, 365d or all.")] = "90d",
) -> Listing:
    """How long incidents stay in each phase, by severity; stays that came back are counted.

    Example: mim kpi dwell --window 365d
    """
    from kpis.cli_port import kpis

    found = kpis().dwell(window)
    return Listing(found["phases"], _line, f"{found['incidents']} incidents, window {found['window']}")


def _line(row: Mapping[str, Any]) -> str:
    return (
        f"{row['severity']:<9} {row['phase']} {row['name']:<22} {_share(row['share']):>5}  "
        f"p50 {_minutes(row['medianMinutes']):>7}  p90 {_minutes(row['p90Minutes']):>7}  "
        f"n={row['n']:<5} again={row['again']}"
    )


@app.command()
@can_be_tried
def histograms() -> None:
    """Rebuilds times to the bridge and their daily histograms from the dispatches.

    Needed once an installation has more than a million of them, and after two teams were merged.

    Example: mim kpi histograms
    """
    from django.utils import timezone

    from kpis.histograms import rebuild, zone

    arrivals, days = rebuild(timezone.now().astimezone(zone()).date())
    typer.echo(f"{arrivals:,} arrivals, {days:,} days of teams.")
    next_step("mim team readiness")


def _share(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.0f} %"


def _minutes(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f}"
