"""Events of kinds that nobody defined yet, kept word for word where MAJOROPS_UNKNOWN_FACTS is `park`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from kpis.models import ParkedFact, ParkedOutcome
from majorops.lib.ulid import new_ulids


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that cannot be checked yet."""

    text: str
    digest: str


@dataclass(slots=True)
class Released:
    released: int = 0
    refused: int = 0


def park(events: Sequence[Waiting], *, source: str, now: datetime) -> int:
    """Keeps the events; how many were not there already."""
    if not events:
        return 0
    unique = {event.digest: event for event in events}
    known = set(ParkedFact.objects.filter(source=source, digest__in=unique).values_list("digest", flat=True))
    new = [event for digest, event in unique.items() if digest not in known]
    rows = [
        ParkedFact(
            id=pk, kind_key=_kind_of(event.text), text=event.text, digest=event.digest, source=source, received_at=now
        )
        for event, pk in zip(new, new_ulids(len(new)), strict=True)
    ]
    ParkedFact.objects.bulk_create(rows, batch_size=500, ignore_conflicts=True)
    return len(rows)


def _kind_of(text: str) -> str:
    from majorops.lib.rest import parse_json

    event = parse_json(text.encode())
    return str(event["kind"])[:80] if isinstance(event, dict) else ""


def release(*, kind: str = "", now: datetime) -> Released:
    """Checks what waits anew, now that kinds are defined. What still has no kind goes on waiting."""
    from kpis.facts import registry

    told = Released()
    known = [key for key in registry.fresh().kinds if kind in ("", key)]
    rows = ParkedFact.objects.filter(settled_at=None, kind_key__in=known).order_by("id")
    for row in rows.iterator(chunk_size=500):
        _settle(row, now, told)
    return told


@transaction.atomic
def _settle(row: ParkedFact, now: datetime, told: Released) -> None:
    from kpis.facts import ingest

    report = ingest.append_lines(row.text.encode(), source=row.source, now=now)
    why = report.errors[0].reason[:300] if report.rejected else ""
    outcome = ParkedOutcome.REFUSED if report.rejected else ParkedOutcome.RELEASED
    _mark([row.pk], now, outcome, why)
    told.refused += report.rejected
    told.released += 1 - report.rejected


def _mark(ids: Iterable[str], now: datetime, outcome: ParkedOutcome, why: str) -> None:
    ParkedFact.objects.filter(pk__in=list(ids)).update(settled_at=now, outcome=outcome, why=why)
