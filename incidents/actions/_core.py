"""What every action is made of: who and when, the lock, the compare-and-swap, the history."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from typing import Concatenate, ParamSpec, TypeVar

from django.db import transaction
from django.db.models import F

from accounts.idempotency import effect
from accounts.models import User
from incidents import outbox
from incidents.clock import check_happened, check_order
from incidents.errors import IncidentChanged
from incidents.lifecycle import EventType, Phase, Verb, Visibility
from incidents.models import Incident, PhaseEntry, TimelineEvent
from incidents.outbox_rules import Event
from incidents.signals import is_muted, recorded
from majorops.lib import bus
from majorops.lib.errors import Invalid
from majorops.lib.times import iso


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who did it, when it happened, when it is being written down, and through which door."""

    by: User | None
    at: datetime
    now: datetime
    source: str
    #: The name shown where no account stands behind it.
    name: str = ""

    @property
    def actor(self) -> str:
        return self.by.name if self.by else self.name or "MajorOps"


P = ParamSpec("P")
R = TypeVar("R")


def announce(incident_id: str) -> None:
    """Tells the KPIs of this process first, then every process that shows this incident to somebody."""
    if not is_muted():
        recorded.send_robust(sender=Incident, incident_id=incident_id)
    bus.publish(incident_id)


def action(function: Callable[Concatenate[Incident, P], R]) -> Callable[Concatenate[Incident, P], R]:
    """One effect of its request, in one transaction; the listeners hear of it only once it is committed."""

    @wraps(function)
    def run(incident: Incident, *args: P.args, **kwargs: P.kwargs) -> R:
        with effect(incident):
            result = function(incident, *args, **kwargs)
            transaction.on_commit(partial(announce, incident.pk), robust=True)
        return result

    return run


def locked(incident: Incident, expected_version: int | None = None, *, wanted: Collection[str] = ()) -> Incident:
    """The row as it is now. Raises IncidentChanged if the caller, who wanted to change `wanted`, looked at an older
    version."""
    current = Incident.objects.select_for_update(no_key=True).get(pk=incident.pk)
    if expected_version is not None and current.version != expected_version:
        raise IncidentChanged(
            version=current.version,
            changes=_changes_since(current, expected_version),
            current={name: plain(getattr(current, name)) for name in wanted if hasattr(current, name)},
        )
    return current


def _changes_since(incident: Incident, version: int) -> list[dict[str, object]]:
    """What the entries after a version say was changed, oldest first."""
    return [
        {"field": name, "old": old, "new": new, "by": event.actor, "at": iso(event.recorded_at)}
        for event in incident.timeline.filter(incident_version__gt=version).order_by("incident_version", "id")
        for name, (old, new) in _pairs(event)
    ]


def _pairs(event: TimelineEvent) -> list[tuple[str, tuple[object, object]]]:
    if event.phase_number is not None:
        return [("phase", (None, event.phase_number))]
    return [(name, (old, new)) for name, (old, new) in (event.changes or {}).items()]


def plain(value: object) -> object:
    """A value of a column as JSON holds it."""
    return iso(value) if isinstance(value, datetime) else value.name if isinstance(value, User) else value


def write(incident: Incident, **changes: object) -> None:
    """Compare-and-swap: writes only if nobody has written since `incident` was read."""
    swapped = Incident.objects.filter(pk=incident.pk, version=incident.version)
    if not swapped.update(version=F("version") + 1, **changes):
        raise IncidentChanged
    incident.version += 1
    for name, value in changes.items():
        setattr(incident, name, value)


def log(incident: Incident, stamp: Stamp, *, verb: Verb, type: str, title: str, **fields: object) -> TimelineEvent:
    """An entry in the log, internal unless told otherwise."""
    check_happened(stamp.at, stamp.now)
    return TimelineEvent.objects.create(
        incident=incident,
        verb=verb,
        type=type,
        title=title[:300],
        actor=stamp.actor,
        actor_user=stamp.by,
        occurred_at=stamp.at,
        recorded_at=stamp.now,
        source=stamp.source,
        **{"visibility": Visibility.INTERNAL, **fields},
    )


def tell(incident: Incident, event: Event, stamp: Stamp, title: str = "", text: str = "") -> None:
    """Queues it for whoever wants to hear of this incident outside the page. Title and text are public."""
    outbox.queue_notice(incident, event, now=stamp.now, happened_at=stamp.at, title=title, text=text)


def enter(incident: Incident, phase: Phase, stamp: Stamp, *, verb: Verb, title: str, reason: str = "") -> None:
    """The history of entering a phase: a log entry and a phase entry."""
    event = log(
        incident,
        stamp,
        verb=verb,
        type=EventType.PHASE,
        title=title,
        description=reason,
        phase_number=phase,
        incident_version=incident.version,
    )
    PhaseEntry.objects.create(
        incident=incident,
        phase_number=phase,
        entered_at=stamp.at,
        recorded_at=stamp.now,
        entered_by=stamp.by,
        reason=reason[:500],
        event=event,
    )


def check_after_phase_began(incident: Incident, stamp: Stamp) -> None:
    check_happened(stamp.at, stamp.now)
    check_order(
        incident.phase_entered_at,
        stamp.at,
        sentence="{later} is before the current phase began ({earlier}).",
        field="at",
    )


def phase_of(number: int) -> Phase:
    try:
        return Phase(number)
    except ValueError:
        raise Invalid("phase must be a number from 1 to 8.", field="phase", allowed=Phase.values) from None


def visibility_of(value: str) -> Visibility:
    try:
        return Visibility(value)
    except ValueError:
        raise Invalid(
            f"visibility must be one of {', '.join(Visibility.values)}.", field="visibility", allowed=Visibility.values
        ) from None
