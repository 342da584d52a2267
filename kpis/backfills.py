"""Backfills that somebody asked for over HTTP: counted at once, or carried out by a worker."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from typing import Any

from kpis.compute import Change, backfill, recompute_incident
from kpis.compute.runs import require_runnable
from kpis.errors import NoValuesOfIncidents
from kpis.models import KpiDefinition
from majorops.lib.tasks import task
from majorops.lib.terminal import taken_back
from majorops.lib.times import iso, parse_time

TRIGGER = "api"


@task
def carry_out(slug: str, start: str | None, end: str) -> dict[str, Any]:
    """The same again goes on where it broke off."""
    definition = KpiDefinition.objects.get(pk=slug)
    first = parse_time(start, field="start") if start else None
    last = parse_time(end, field="end")
    return asdict(backfill(definition, as_of=last, start=first, trigger=TRIGGER, resume=True))


def queue(definition: KpiDefinition, start: datetime | None, end: datetime) -> str:
    """The id of the task, once the transaction is committed. Raises NothingToCompute."""
    require_runnable(definition)
    return str(carry_out.enqueue(definition.slug, iso(start), str(iso(end))).id)


def counted(definition: KpiDefinition, start: datetime | None, end: datetime) -> dict[str, Any]:
    """What it would change, with a few examples. Raises NothingToCompute."""
    changes: list[Change] = []
    counts = backfill(definition, as_of=end, start=start, dry_run=True, examples=changes)
    return {**asdict(counts), "examples": [str(change) for change in changes]}


def of_incident(definition: KpiDefinition, incident_id: str, now: datetime, *, dry_run: bool) -> dict[str, Any]:
    """Brings its values of one incident up to date, at once. Raises NoValuesOfIncidents."""
    with taken_back() if dry_run else nullcontext():
        counts = recompute_incident(incident_id, now=now, only=[definition.slug]).get(definition.slug)
    if counts is None:
        raise NoValuesOfIncidents(f"No values of single incidents are kept by {definition.slug}.")
    return {**asdict(counts), "examples": []}
