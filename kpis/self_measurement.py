"""Makes `api_request` facts of the samples that the servers left (majorops/measuring.py), hour by hour."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from kpis.facts import ingest
from kpis.facts.errors import UnknownKind
from kpis.facts.registry import fresh
from kpis.models.facts import KindStatus
from majorops.lib import spool

KIND, SOURCE, SERVICE = "api_request", "majorops", "majorops"
_FIELDS = ("status", "latency_ms", "method", "path")


def need(kind: str) -> None:
    """Raises UnknownKind where no pack brought the kind, or it was retired."""
    rule = fresh().kinds.get(kind)
    if rule is None or rule.status != KindStatus.ACTIVE:
        raise UnknownKind(f"No fact kind {kind} is in use. Next: mim pack install engineering-impact")


def take_up(now: datetime) -> str:
    """Turns every hour that is over into facts, and removes its files. Twice is the same as once.

    Raises UnknownKind; then the files stay.
    """
    folder = Path(settings.MAJOROPS_MEASURE_FOLDER)
    hours = spool.ended(folder, now)
    if not hours:
        return "No hour of requests waits." if settings.MAJOROPS_MEASURE_REQUESTS else "Requests are not measured."
    need(KIND)
    inserted = sum(_take(files, now) for files in hours.values())
    return f"{inserted} requests of {len(hours)} hour{'' if len(hours) == 1 else 's'} are facts."


def _take(files: list[Path], now: datetime) -> int:
    chosen = spool.sample(files, settings.MAJOROPS_MEASURE_PER_HOUR)
    report = ingest.append_events(enumerate(map(_event, chosen), start=1), source=SOURCE, now=now)
    _remove(files)
    return report.inserted


def _event(line: dict[str, Any]) -> dict[str, Any]:
    payload = {name: line[name] for name in _FIELDS if name in line}
    return {
        "kind": KIND,
        "occurredAt": line.get("at"),
        "payload": {"service": SERVICE, **payload},
        "key": f"{line.get('at')}:{line['draw']!r}",
    }


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        with suppress(FileNotFoundError):
            file.unlink()
