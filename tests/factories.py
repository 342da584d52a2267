"""One factory per model, always valid. History is made by the real actions: see `stamp`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import factory

from accounts.models import User
from accounts.roles import Role
from incidents.actions import Stamp
from incidents.lifecycle import Phase, Severity
from incidents.models import Incident, PhaseEntry, Source, StatusUpdate, TeamPage, TimelineEvent
from teams.models import Team

#: The moment most tests happen at, and a promise that holds as long as most of them last.
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EVENING = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)


def at(text: str) -> datetime:
    """`10:04`, `10:04:30` on 2 March 2026, or a full `2026-03-03T08:00`; UTC."""
    full = text if "T" in text else f"2026-03-02T{text}"
    moment = datetime.fromisoformat(full)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def stamp(
    by: User | None = None, when: datetime = NOON, *, source: str = Source.WEB, now: datetime | None = None
) -> Stamp:
    """What happened at `when` is written down at `now`: the same moment unless told otherwise."""
    return Stamp(by=by, at=when, now=now or when, source=source)


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User

    email = factory.Sequence(lambda n: f"person{n}@example.com")
    display_name = factory.Sequence(lambda n: f"Person {n}")
    role = Role.STAKEHOLDER


class TeamFactory(factory.django.DjangoModelFactory[Team]):
    class Meta:
        model = Team

    name = factory.Sequence(lambda n: f"Team {n}")
    slug = factory.Sequence(lambda n: f"team-{n}")
    rated_box = "box3"
    on_call_contact = "on-call phone"


class IncidentFactory(factory.django.DjangoModelFactory[Incident]):
    """An open, active incident in phase 1, detected at noon; `resolved_at=` makes it a closed one."""

    class Meta:
        model = Incident

    class Params:
        closed = factory.Trait(
            status="resolved",
            phase=Phase.RESOLUTION,
            resolved_at=factory.LazyAttribute(lambda row: row.detected_at + timedelta(minutes=90)),
        )

    title = factory.Sequence(lambda n: f"Incident {n}")
    severity = Severity.CRITICAL
    detected_at = NOON
    phase_entered_at = factory.SelfAttribute("detected_at")


class TimelineEventFactory(factory.django.DjangoModelFactory[TimelineEvent]):
    class Meta:
        model = TimelineEvent

    incident = factory.SubFactory(IncidentFactory)
    type = "action"
    title = "Failover started"
    actor = "A. Kim"
    occurred_at = NOON
    recorded_at = NOON
    visibility = "internal"


class PhaseEntryFactory(factory.django.DjangoModelFactory[PhaseEntry]):
    class Meta:
        model = PhaseEntry

    incident = factory.SubFactory(IncidentFactory)
    phase_number = Phase.GATHER
    entered_at = NOON
    event = factory.SubFactory(
        TimelineEventFactory,
        incident=factory.SelfAttribute("..incident"),
        type="phase",
        occurred_at=factory.SelfAttribute("..entered_at"),
        phase_number=factory.SelfAttribute("..phase_number"),
    )


class TeamPageFactory(factory.django.DjangoModelFactory[TeamPage]):
    class Meta:
        model = TeamPage

    incident = factory.SubFactory(IncidentFactory)
    team = factory.SubFactory(TeamFactory)
    alarm_level = "box3"
    paged_at = NOON
    arrival_source = factory.LazyAttribute(lambda row: "observed" if getattr(row, "arrived_at", None) else None)


class StatusUpdateFactory(factory.django.DjangoModelFactory[StatusUpdate]):
    class Meta:
        model = StatusUpdate

    incident = factory.SubFactory(IncidentFactory)
    content = "We are looking into it."
    visibility = "internal"
    author_name = "A. Kim"
    created_at = NOON
    recorded_at = NOON
