"""`mim report health | pulse`: how things stand now. Nothing is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from django.utils import timezone

from incidents.cli_port import Document, Which, incidents
from incidents.lifecycle import Severity
from kpis.cli_port import kpis
from kpis.errors import KpiNotFound
from kpis.explain_cli import told
from majorops.lib.manner import next_step
from majorops.lib.terminal import remote_too
from majorops.lib.times import parse_time

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="How things stand now.")
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]

#: The KPI that `health` tells of, and those that `pulse` shows beside the incidents.
HEALTH, RATES = "health-score", ("activation-rate", "sla-resolution-time", "anomaly-response-rate")
#: A night without a run is told by itself.
NIGHT = timedelta(hours=26)
#: So many open incidents are counted.
MOST = 10_000


@app.command()
@remote_too
def health(as_json: AsJson = False) -> None:
    """The health score as it stands, and the parts it is made of.

    Example: mim report health
    """
    try:
        found = kpis().why(HEALTH, "", "")
    except KpiNotFound:
        raise KpiNotFound("The health score is not in use. Next: mim pack install success-tracker") from None
    if as_json:
        _as_json(found)
        return
    for line in told(found):
        typer.echo(line)
    next_step(f"mim kpi show {HEALTH}")


@app.command()
@remote_too
def pulse(as_json: AsJson = False) -> None:
    """Open incidents, late updates, the figures of operators, and whether the last night was computed.

    Example: mim report pulse
    """
    now = timezone.now()
    found = _pulse(now)
    if as_json:
        _as_json(found)
        return
    for line in _lines(found):
        typer.echo(line)
    next_step("mim incident list")


def _as_json(found: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))


def _pulse(now: datetime) -> dict[str, Any]:
    """Of what the database and the API both know: incidents, and definitions with their figures."""
    rows, known = incidents().found(Which.OPEN, MOST), {each["slug"]: each for each in kpis().definitions()}
    newest = max((one["timestamp"] or "" for each in known.values() for one in each["figures"]), default="")
    return {
        "open": {name: sum(row["severity"] == name for row in rows) for name in Severity.labels},
        "overdue": [row["id"] for row in rows if _is_over(row["nextUpdateEta"], now)],
        "rates": [_rate(known[slug]) for slug in RATES if slug in known],
        "newestFigure": newest or None,
        "isStale": _is_over(newest, now - NIGHT) if newest else True,
    }


def _is_over(time: str | None, now: datetime) -> bool:
    return bool(time) and parse_time(time, field="time") < now


def _rate(definition: Document) -> dict[str, Any]:
    figure = definition["figures"][0]
    names = ("window", "value", "reason", "n", "evidence", "timestamp")
    return {"kpi": definition["slug"], "name": definition["name"], **{name: figure[name] for name in names}}


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    counts = ", ".join(f"{count} {name.lower()}" for name, count in found["open"].items() if count)
    yield f"Open: {counts or 'none'}"
    yield f"Late updates: {', '.join(found['overdue']) or 'none'}"
    for rate in found["rates"]:
        value = rate["reason"] if rate["value"] is None else f"{rate['value']:.1f}"
        yield f"{rate['name']}: {value} (n={rate['n']}, {rate['window']}, {rate['evidence']})"
    if not found["rates"]:
        yield "Figures of operators: not in use. Next: mim pack install operator-control-centre"
    stale = " It is stale. Next: mim kpi nightly" if found["isStale"] else ""
    yield f"Newest figure: {found['newestFigure'] or 'none was ever computed'}.{stale}"
